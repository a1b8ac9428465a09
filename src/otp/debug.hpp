// SPDX-License-Identifier: Apache-2.0
//
// What sys can switch on in a server: trace, log, statistics, functions of the user's own (GS-119..GS-121).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <coppice/sys.hpp>
#include <coppice/term.hpp>

namespace coppice::otp {

class Debug {
 public:
  // Tells everybody of an event of the server `name`. A function that says done, or throws, is removed.
  void event(const std::string& name, const sys::Event& event);

  bool trace = false;
  std::size_t log_size = 0;  // 0: off
  std::deque<sys::Event> log;
  bool statistics = false;
  sys::Statistics counts;
  std::vector<std::pair<Term, sys::DebugFunction>> functions;

  [[nodiscard]] bool idle() const noexcept { return !trace && log_size == 0 && !statistics && functions.empty(); }
};

}  // namespace coppice::otp
