// SPDX-License-Identifier: Apache-2.0
//
// A reply that is a pointer into the server's state.
//
// expect: a reply may not hold a bare pointer, reference, string_view or span
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct GetValue {
#ifdef GOOD
    using Reply = int;
#else
    using Reply = int*;
#endif
  };
  static constexpr Name<Counter> name{"Counter"};
#ifdef GOOD
  int handle_call(GetValue) { return value_; }
#else
  int* handle_call(GetValue) { return &value_; }
#endif

 private:
  int value_ = 0;
};

int main() { (void)Counter::name.call(Counter::GetValue{}); }
