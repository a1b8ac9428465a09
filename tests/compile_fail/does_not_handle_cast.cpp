// SPDX-License-Identifier: Apache-2.0
//
// A cast with a message that the server has no handle_cast for.
//
// expect: does_not_handle_cast<Counter, .*Reset
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct Increment {};
  struct Reset {};
  static constexpr Name<Counter> name{"Counter"};
  void handle_cast(Increment) {}
};

int main() {
#ifdef GOOD
  Counter::name.cast(Counter::Increment{});
#else
  Counter::name.cast(Counter::Reset{});
#endif
}
