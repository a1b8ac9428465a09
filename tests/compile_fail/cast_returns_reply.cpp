// SPDX-License-Identifier: Apache-2.0
//
// A reply from anything but handle_call (GS-065), and in general a result that is none (GS-063).
//
// expect: Answer<int>|Action
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct Increment {};
  static constexpr Name<Counter> name{"Counter"};
#ifdef GOOD
  Action handle_cast(Increment) { return noreply(); }
#else
  Action handle_cast(Increment) { return reply(1); }
#endif
};

int main() { Counter::name.cast(Counter::Increment{}); }
