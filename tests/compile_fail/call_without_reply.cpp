// SPDX-License-Identifier: Apache-2.0
//
// A call with a message that names no Reply.
//
// expect: does_not_handle_call<Counter, .*GetValue
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct GetValue {
#ifdef GOOD
    using Reply = int;
#endif
  };
  static constexpr Name<Counter> name{"Counter"};
  int handle_call(GetValue) const { return 0; }
};

int main() { Counter::name.call(Counter::GetValue{}); }
