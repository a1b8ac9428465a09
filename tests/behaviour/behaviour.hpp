// SPDX-License-Identifier: Apache-2.0
//
// BEHAVIOUR_TEST(Suite, name) { ... }: a test whose body is the first process of a system. It runs on real threads and in
// simulation over many seeds (COPPICE_SEEDS, 200 by default), and each run must end clean: no process, no timer left.
// In the body use EXPECT_* and ASSERT_* as usual; time is virtual in the simulation, so sleep_for costs nothing there:
// let no test depend on how long something takes on real threads.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>

#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/runtime.hpp>
#include <coppice/testing/simulation.hpp>
#include <coppice/timer.hpp>

namespace behaviour {

inline std::uint64_t seeds() {
  const char* text = std::getenv("COPPICE_SEEDS");
  return text == nullptr ? 200 : std::strtoull(text, nullptr, 10);
}

// COPPICE_HAND_OFF=always or never forces the way in which idle servers are called, in all tests that leave it open.
inline coppice::RuntimeOptions with_hand_off(coppice::RuntimeOptions options) {
  const char* text = std::getenv("COPPICE_HAND_OFF");
  if (text == nullptr || options.hand_off != coppice::HandOff::automatic) return options;
  if (std::string(text) == "always") options.hand_off = coppice::HandOff::always;
  if (std::string(text) == "never") options.hand_off = coppice::HandOff::never;
  return options;
}

// COPPICE_STALLS=N: at N of 1000 steps of a simulation the worker stands still for a moment, with its timers.
// COPPICE_LATE=N: N of 1000 timers fire a moment later than they should.
inline coppice::testing::Faults faults() {
  const auto permille = [](const char* name) {
    const char* text = std::getenv(name);
    return text == nullptr ? 0 : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
  };
  return {.stalls_permille = permille("COPPICE_STALLS"),
          .stall_max = std::chrono::microseconds(300),
          .late_timers_permille = permille("COPPICE_LATE"),
          .late_max = std::chrono::microseconds(300)};
}

inline void on_threads(const std::function<void()>& body, const coppice::RuntimeOptions& options = {}) {
  coppice::RuntimeOptions two = with_hand_off(options);
  if (two.schedulers == 0) two.schedulers = 2;
  coppice::Runtime runtime(two);
  const coppice::Runtime::Scope scope(runtime);
  const coppice::ExitReason reason = runtime.run(body);
  EXPECT_TRUE(reason.is_normal()) << "the test's process ended: " << coppice::format_exit(reason);
  const coppice::StopReport report = runtime.stop();
  EXPECT_TRUE(report.clean) << (report.killed.empty() ? "" : report.killed.front())
                            << (report.abandoned.empty() ? "" : report.abandoned.front());
  EXPECT_EQ(runtime.process_count(), 0u);
  EXPECT_EQ(runtime.timer_count(), 0u);
}

inline void in_simulation(const std::function<void()>& body, const coppice::RuntimeOptions& options = {}) {
  coppice::testing::for_each_seed(seeds(),
                                  [&](coppice::testing::Simulation& simulation) {
                                    const coppice::ExitReason reason = simulation.run(body);
                                    EXPECT_TRUE(reason.is_normal())
                                        << "the test's process ended: " << coppice::format_exit(reason);
                                    EXPECT_TRUE(simulation.stop_report().clean);
                                    EXPECT_EQ(simulation.processes_left(), 0u);
                                    EXPECT_EQ(simulation.timers_left(), 0u);
                                    if (::testing::Test::HasFailure())
                                      throw std::runtime_error("seed " + std::to_string(simulation.seed()));
                                  },
                                  {.schedulers = options.schedulers == 0 ? 3 : options.schedulers,
                                   .runtime = with_hand_off(options),
                                   .faults = faults()});
}

// The same with one scheduler, where nobody else can help out.
inline void with_one_scheduler(const std::function<void()>& body) {
  on_threads(body, {.schedulers = 1});
  in_simulation(body, {.schedulers = 1});
}

}  // namespace behaviour

// With RuntimeOptions: BEHAVIOUR_TEST_WITH(Suite, name, {.processes_max = 10}).
#define BEHAVIOUR_TEST_WITH(suite, name, ...)                                                         \
  static void suite##_##name##_body();                                                                \
  TEST(suite, name##_on_threads) { behaviour::on_threads(suite##_##name##_body, __VA_ARGS__); }       \
  TEST(suite, name##_in_simulation) { behaviour::in_simulation(suite##_##name##_body, __VA_ARGS__); } \
  static void suite##_##name##_body()
#define BEHAVIOUR_TEST(suite, name) BEHAVIOUR_TEST_WITH(suite, name, coppice::RuntimeOptions{})
