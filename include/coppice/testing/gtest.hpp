// SPDX-License-Identifier: Apache-2.0
//
// TEST_SIM: a GoogleTest whose body runs in the simulation, once for each of many seeds.
//
//   TEST_SIM(Counter, counts) {
//     Counter::start_link(0).value();
//     Counter::name.cast(Counter::Increment{});
//     EXPECT_EQ(Counter::name.call(Counter::GetValue{}), 1);
//   }
//   TEST_SIM_WITH(Tree, survives, {.faults = {.kills_permille = 5, .until = 1s}}) { ... }
//
// The body is the first process of a system of its own; `simulation` is its Simulation, for choose() and always(). The run
// fails if an expectation does, if the body's process ends otherwise than normally, or if something is left: a process
// that had to be killed at the end, a process or timer that is still there. The first seed that fails is told, with the
// command that replays it, and no other is tried. COPPICE_SEEDS says how many seeds there are (200), COPPICE_SEED which
// one alone, COPPICE_SHRINK=1 asks for the shortest schedule that fails.
//
// Needs GoogleTest, which coppice itself does not.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include <coppice/exit_reason.hpp>
#include <coppice/testing/simulation.hpp>

namespace coppice {
inline namespace v1 {
namespace testing {

// What TEST_SIM runs.
inline void run_test(const std::function<void(Simulation&)>& body, const SimulationOptions& options = {}) {
  const char* count = std::getenv("COPPICE_SEEDS");
  const auto once = [&](Simulation& simulation) {
    const ExitReason reason = simulation.run([&] { body(simulation); });
    const auto demand = [](bool holds, const std::string& what) {
      if (!holds) throw std::runtime_error(what);
    };
    demand(!::testing::Test::HasFailure(), "an expectation has failed");
    demand(reason.is_normal(), "the test's process ended: " + format_exit(reason));
    demand(simulation.stop_report().clean, "not all processes ended when they were asked to");
    demand(simulation.processes_left() == 0 && simulation.timers_left() == 0, "processes or timers are left");
  };
  try {
    for_each_seed(count == nullptr ? 200 : std::strtoull(count, nullptr, 10), once, options);
  } catch (const std::exception& error) {
    if (!::testing::Test::HasFailure()) ADD_FAILURE() << error.what();
  }
}

}  // namespace testing
}  // namespace v1
}  // namespace coppice

#define TEST_SIM_WITH(suite, name, ...)                                                           \
  static void suite##_##name##_body([[maybe_unused]] ::coppice::testing::Simulation& simulation); \
  TEST(suite, name) { ::coppice::testing::run_test(suite##_##name##_body, __VA_ARGS__); }         \
  static void suite##_##name##_body([[maybe_unused]] ::coppice::testing::Simulation& simulation)
#define TEST_SIM(suite, name) TEST_SIM_WITH(suite, name, ::coppice::testing::SimulationOptions{})
