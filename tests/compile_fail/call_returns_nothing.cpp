// SPDX-License-Identifier: Apache-2.0
//
// A handle_call that returns nothing and takes no From: nobody could ever answer.
//
// expect: a handle_call that returns nothing must take a From<R>
// also-compiles-with: -DGOOD
#include <utility>

#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct GetValue {
    using Reply = int;
  };
  static constexpr Name<Counter> name{"Counter"};
#ifdef GOOD
  void handle_call(GetValue, From<int> from) { from.reply(0); }
#else
  void handle_call(GetValue) {}
#endif
};

int main() { (void)Counter::name.call(Counter::GetValue{}); }
