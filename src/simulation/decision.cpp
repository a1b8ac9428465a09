// SPDX-License-Identifier: Apache-2.0
#include "simulation/decision.hpp"

#include <array>

namespace coppice::simulation {

std::string_view name_of(platform::Choice choice) noexcept {
  constexpr std::array<std::string_view, choice_count> names = {
      "run_next_or_queue", "which_queue", "steal_victim", "placement", "hand_off",
      "in_place",          "turn_budget", "next_thread",  "fault",     "user"};
  return names[static_cast<std::size_t>(choice)];
}

std::string describe(const Decision& decision) {
  std::string thread = "thread " + std::to_string(decision.thread);
  const std::string result = std::to_string(decision.result);
  switch (decision.kind) {
    case Decision::Kind::choice:
      return thread + " chose " + result + " of " + std::to_string(decision.alternatives) + " for " +
             std::string(name_of(decision.choice));
    case Decision::Kind::time: return thread + " advanced the clock to " + result + " ns";
    case Decision::Kind::random: return thread + " drew the random number " + result;
    case Decision::Kind::thread_started: return thread + " started thread " + result;
    case Decision::Kind::thread_ended: return "thread " + result + " ended";
  }
  return thread;
}

}  // namespace coppice::simulation
