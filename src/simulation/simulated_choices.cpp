// SPDX-License-Identifier: Apache-2.0
//
// SimulatedWorld: how choices are made, and the record of them. The rest is in simulated_world.cpp.
#include <algorithm>

#include "platform/fault.hpp"
#include "simulation/simulated_world.hpp"

namespace coppice::simulation {

using platform::Choice;

// -- decisions --------------------------------------------------------------------------------------------------------

std::uint64_t SimulatedWorld::random() {
  check_os_thread("random");
  const std::uint64_t number = numbers_.next();
  record(Decision::Kind::random, Choice{}, 0, number);
  return number;
}

std::uint32_t SimulatedWorld::choose_by_seed(Choice what, std::uint32_t alternatives, std::uint32_t policy) {
  check_os_thread("choose");
  return decide(what, alternatives, policy);
}

std::uint32_t SimulatedWorld::decide(Choice what, std::uint32_t alternatives, std::uint32_t policy) {
  if (alternatives <= 1) return 0;
  COPPICE_INVARIANT(policy < alternatives, "The policy of a choice is none of its alternatives.");
  if (options_.decide) return decide_by_other(what, alternatives, policy);
  const ChoiceMode& mode = options_.choices[static_cast<std::size_t>(what)];
  std::uint32_t result = policy;
  if (mode.source == ChoiceMode::Source::fixed) result = std::min(mode.value, alternatives - 1);
  if (mode.source == ChoiceMode::Source::seeded) {
    const bool follow = mode.policy_permille != 0 && schedule_.chance_permille(mode.policy_permille);
    if (!follow) result = schedule_.below(alternatives);
  }
  return record_choice(what, alternatives, policy, result);
}

std::uint32_t SimulatedWorld::decide_by_other(Choice what, std::uint32_t alternatives, std::uint32_t policy) {
  const std::uint32_t result = options_.decide(choice_count_, what, alternatives, policy);
  return record_choice(what, alternatives, policy, std::min(result, alternatives - 1));
}

bool SimulatedWorld::chance(std::uint32_t permille) {
  if (permille == 0) return false;
  if (options_.decide) return decide_by_other(Choice::fault, 2, 0) != 0;
  return record_choice(Choice::fault, 2, 0, schedule_.chance_permille(permille) ? 1 : 0) != 0;
}

std::uint32_t SimulatedWorld::pick(std::uint32_t alternatives) { return decide(Choice::fault, alternatives, 0); }

// 0: the running thread goes on; n: the runnable thread n - 1 does.
std::uint32_t SimulatedWorld::decide_interleave(std::uint32_t others) {
  const ChoiceMode& mode = options_.choices[static_cast<std::size_t>(Choice::next_thread)];
  if (options_.decide || mode.source != ChoiceMode::Source::seeded) return decide(Choice::next_thread, others + 1, 0);
  const bool change = schedule_.chance_permille(options_.interleave_permille);
  return record_choice(Choice::next_thread, others + 1, 0, change ? 1 + schedule_.below(others) : 0);
}

}  // namespace coppice::simulation
