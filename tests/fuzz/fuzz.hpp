// SPDX-License-Identifier: Apache-2.0
//
// The targets of the fuzz tests: functions that are given any bytes and must neither crash nor accept what they cannot
// take. libFuzzer looks for inputs (entry.cpp, ./dev fuzz); replay.cpp gives each of them what is kept in corpus/ and
// regressions/, as a test of every build.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace fuzz {

void term(std::string_view input);        // building, printing, comparing and hashing of terms
void config(std::string_view input);      // configuration files, assignments and variables
void table_file(std::string_view input);  // saved tables
void job_args(std::string_view input);    // arguments of jobs
void http(std::string_view input);        // requests to the tour's web server
void commands(std::string_view input);    // lines to the tour

// Ends the program, as a crash that libFuzzer notices, unless the condition holds.
inline void must(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

// Runs the function as a process of a runtime that all inputs share.
void in_process(const std::function<void()>& function);

// Takes numbers and pieces off the front of an input; zeros and empty ones when it is used up.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::uint64_t word() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  std::string_view piece() {
    const std::size_t wanted = byte();
    const std::size_t size = std::min(wanted, rest_.size());
    const std::string_view piece = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return piece;
  }
  std::string_view all() { return std::exchange(rest_, {}); }

 private:
  std::string_view rest_;
};

}  // namespace fuzz
