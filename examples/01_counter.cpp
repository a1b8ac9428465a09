// SPDX-License-Identifier: Apache-2.0
//
// A GenServer: a state, the messages that change it, and functions that hide the messages from its clients.
#include <coppice/gen_server.hpp>
using namespace coppice;

class Counter : public GenServer<Counter> {
 public:
  struct Increment {};
  struct GetValue {
    using Reply = int;
  };

  // Client
  static constexpr Name<Counter> name{"Counter"};
  static void increment() { name.cast(Increment{}); }
  static int get_value() { return name.call(GetValue{}); }

  // Server
  explicit Counter(int initial = 0) : value_(initial) {}
  void handle_cast(Increment) { ++value_; }
  int handle_call(GetValue) const { return value_; }

 private:
  int value_;
};

int main() {
  return coppice::run([] {
    Counter::start_link(0).value();
    Counter::increment();
    print("{}\n", Counter::get_value());  // 1
  });
}
