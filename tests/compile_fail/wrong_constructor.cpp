// SPDX-License-Identifier: Apache-2.0
//
// start_link with arguments that no constructor of the server takes.
//
// expect: the server has no constructor that takes these arguments
// also-compiles-with: -DGOOD
#include <coppice/gen_server.hpp>

using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  explicit Counter(int initial) : value_(initial) {}

 private:
  int value_;
};

int main() {
#ifdef GOOD
  (void)Counter::start_link(1);
#else
  (void)Counter::start_link(1, 2);
#endif
}
