// SPDX-License-Identifier: Apache-2.0
//
// An entry of Messages<...> without a handle_info.
//
// expect: every entry of Messages<\.\.\.> needs a handle_info
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct Tick {};
  struct Tock {};
  using Messages = coppice::Messages<Tick, Tock>;
  void handle_info(Tick) {}
#ifdef GOOD
  void handle_info(Tock) {}
#endif
};

int main() { (void)Counter::start_link(); }
