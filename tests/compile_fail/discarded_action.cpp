// SPDX-License-Identifier: Apache-2.0
//
// A result that a handler makes and forgets to return: a warning, and an error where warnings of this kind are errors.
//
// expect: nodiscard|unused-result
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

#pragma GCC diagnostic error "-Wunused-result"

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct Increment {};
  Action handle_cast(Increment) {
#ifdef GOOD
    return stop(ExitReason::normal());
#else
    stop(ExitReason::normal());
    return noreply();
#endif
  }
};

int main() { (void)Counter::start_link(); }
