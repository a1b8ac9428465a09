// SPDX-License-Identifier: Apache-2.0
//
// Plays scenarios on coppice, in the simulation: against_otp [--seeds N] FILE...
//
// Each is played with N seeds. A scenario whose processes tell something else with another seed is no scenario: there is
// nothing to compare with. What they tell is printed as scenario.exs prints it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include <coppice/logger.hpp>
#include <coppice/testing/simulation.hpp>

#include "against_otp/stage.hpp"

namespace {

std::string play(const against_otp::Line& scenario, std::uint64_t seed) {
  coppice::testing::Simulation simulation({.seed = seed});
  std::string told;
  simulation.run([&] { told = against_otp::Stage(scenario).play(); });
  return told;
}

// Whether all seeds agree.
bool play_all(const against_otp::Line& scenario, std::uint64_t seeds) {
  const std::string first = play(scenario, 0);
  std::fputs(first.c_str(), stdout);
  std::fflush(stdout);  // whatever comes next
  for (std::uint64_t seed = 1; seed < seeds; ++seed) {
    const std::string told = play(scenario, seed);
    if (told == first) continue;
    std::fprintf(stderr, "seed %llu tells something else:\n%s", static_cast<unsigned long long>(seed), told.c_str());
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seeds = 20;
  bool sound = true;
  try {
    for (int i = 1; i < argc; ++i) {
      if (std::strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
        seeds = std::strtoull(argv[++i], nullptr, 10);
        continue;
      }
      std::ifstream file(argv[i]);
      if (!file) throw against_otp::ParseError("cannot be read");
      const std::string text(std::istreambuf_iterator<char>(file), {});
      for (const against_otp::Line& scenario : against_otp::parse(text)) sound = play_all(scenario, seeds) && sound;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "against_otp: %s\n", error.what());
    return 2;
  }
  return sound ? 0 : 1;
}
