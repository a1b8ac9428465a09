// SPDX-License-Identifier: Apache-2.0
//
// A message to a typed address of a server that has no handle_info for it.
//
// expect: does_not_handle_info<Counter, .*Tock
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct Tick {};
  struct Tock {};
  static constexpr Name<Counter> name{"Counter"};
  void handle_info(Tick) {}
};

int main() {
#ifdef GOOD
  send(Counter::name, Counter::Tick{});
#else
  send(Counter::name, Counter::Tock{});
#endif
}
