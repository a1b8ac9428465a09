// SPDX-License-Identifier: Apache-2.0
//
// A handle_cast that returns a value which is no result (GS-063).
//
// expect: this handler must return void or Action
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct Increment {};
  static constexpr Name<Counter> name{"Counter"};
#ifdef GOOD
  void handle_cast(Increment) {}
#else
  int handle_cast(Increment) { return 1; }
#endif
};

int main() { Counter::name.cast(Counter::Increment{}); }
