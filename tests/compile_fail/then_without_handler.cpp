// SPDX-License-Identifier: Apache-2.0
//
// then(message) without a handle_continue for it (GS-110).
//
// expect: then\(message\) needs a handle_continue for that message
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct Load {};
  Init init() { return ok().then(Load{}); }
#ifdef GOOD
  void handle_continue(Load) {}
#endif
};

int main() { (void)Counter::start_link(); }
