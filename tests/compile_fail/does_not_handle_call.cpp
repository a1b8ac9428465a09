// SPDX-License-Identifier: Apache-2.0
//
// A call with a message that the server has no handle_call for.
//
// expect: does_not_handle_call<Counter, .*basic_string
// also-compiles-with: -DGOOD
#include <string>

#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct GetValue {
    using Reply = int;
  };
  static constexpr Name<Counter> name{"Counter"};
  int handle_call(GetValue) const { return 0; }
};

int main() {
#ifdef GOOD
  return Counter::name.call(Counter::GetValue{});
#else
  Counter::name.call(std::string{"x"});
#endif
}
