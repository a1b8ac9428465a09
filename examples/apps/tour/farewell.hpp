// SPDX-License-Identifier: Apache-2.0
//
// Farewell: a member by which a server tells that it stops, while the whole application does. Destructors run in the order
// in which a supervisor stops its children, also when they are killed: so what is shown is what happens.
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include "terminal.hpp"

namespace tour {

class Farewell {
 public:
  explicit Farewell(std::string who) : who_(std::move(who)) {}
  ~Farewell() {
    if (wanted()) tell("{} stops", who_);
  }
  Farewell(const Farewell&) = delete;
  Farewell& operator=(const Farewell&) = delete;

  // From now on, each is told.
  static void begin() { wanted() = true; }

 private:
  static std::atomic<bool>& wanted() {
    static std::atomic<bool> value{false};
    return value;
  }
  std::string who_;
};

}  // namespace tour
