// SPDX-License-Identifier: Apache-2.0
//
// Lines to the tour, whose systems are not running: each command finds nobody and has to say so. None may end the process
// that asks.
#include <unistd.h>

#include "commands.hpp"
#include "fuzz/fuzz.hpp"

void fuzz::commands(std::string_view input) {
  static const bool quiet = [] { return std::freopen("/dev/null", "w", stdout) != nullptr; }();
  must(quiet, "there is no /dev/null");
  in_process([&] {
    for (std::size_t begin = 0; begin <= input.size();) {
      const std::size_t end = std::min(input.find('\n', begin), input.size());
      if (tour::carry_out(input.substr(begin, end - begin)) == tour::Outcome::quit) return;
      begin = end + 1;
    }
  });
}
