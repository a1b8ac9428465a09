// SPDX-License-Identifier: Apache-2.0
//
// Counter: counts what happens in the tour. It can be told to crash, and does.
#pragma once

#include <stdexcept>

#include <coppice/gen_server.hpp>

#include "farewell.hpp"

namespace tour {

class Counter : public coppice::GenServer<Counter> {
 public:
  struct Increment {};
  struct GetValue {
    using Reply = int;
  };
  struct Crash {};

  // Client
  static constexpr coppice::Name<Counter> name{"Counter"};
  static void increment() { name.cast(Increment{}); }
  static int get_value() { return name.call(GetValue{}); }

  // Server
  explicit Counter(int initial = 0) : value_(initial) {}
  void handle_cast(Increment) { ++value_; }
  void handle_cast(Crash) { lose_a_wheel(); }
  int handle_call(GetValue) const { return value_; }

  // What a report shows of the state.
  [[nodiscard]] coppice::Term format_status() const { return coppice::tuple(coppice::Atom("value"), value_); }

 private:
  [[gnu::noinline]] void lose_a_wheel() {
    if (value_ >= 0) throw std::runtime_error("the counter was told to crash");
  }

  int value_;
  Farewell farewell_{"Counter"};
};

}  // namespace tour
