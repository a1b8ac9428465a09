// SPDX-License-Identifier: Apache-2.0
//
// Faults on request, and invariants that are asked at every step.
#include <coppice/testing/gtest.hpp>

#include <set>
#include <string>

#include <coppice/gen_server.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/timer.hpp>

using namespace coppice;
using namespace std::chrono_literals;
using coppice::testing::Faults;
using coppice::testing::Simulation;
using coppice::testing::SimulationOptions;
using coppice::testing::Victim;

namespace {

class Echo : public GenServer<Echo> {
 public:
  struct Ask {
    using Reply = int;
    int number;
  };
  static constexpr Name<Echo> name{"Echo"};
  int handle_call(const Ask& ask) { return ask.number; }
};

SupervisorOptions patient() { return {.max_restarts = 1'000'000, .max_seconds = 1}; }

// -- kills

TEST_SIM_WITH(SimulatedFaults, a_supervised_server_answers_when_the_kills_have_stopped,
              {.faults = {.kills_permille = 20, .may_kill = [](const Victim& v) { return v.name == "Echo"; }, .until = 1ms}}) {
  Supervisor::start_link({child<Echo>()}, patient()).value();
  for (int i = 0; i < 20; ++i) {
    const Result<int> answer = Echo::name.try_call(Echo::Ask{i});
    if (answer) {
      EXPECT_EQ(*answer, i);
    }
  }
  sleep_for(2ms);
  EXPECT_EQ(Echo::name.call(Echo::Ask{7}), 7);
}

TEST(SimulatedFaults, kills_happen_and_are_the_same_for_the_same_seed) {
  const auto run = [](std::uint64_t seed) {
    Simulation simulation({.seed = seed, .faults = {.kills_permille = 50}});
    std::uint64_t down = 0;
    simulation.run([&] {
      for (int i = 0; i < 20; ++i) (void)spawn_monitor([] { sleep_for(100us); });
      for (int i = 0; i < 20; ++i) down += receive<Down>().reason == ExitReason::killed() ? 1 : 0;
    });
    return std::tuple(down, simulation.kills(), simulation.decision_hash());
  };
  std::uint64_t killed = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto first = run(seed);
    EXPECT_EQ(first, run(seed));
    EXPECT_LE(std::get<0>(first), std::get<1>(first));
    killed += std::get<0>(first);
  }
  EXPECT_GT(killed, 0u);
}

TEST(SimulatedFaults, the_first_process_and_those_that_may_not_are_spared) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Simulation simulation({.seed = seed, .faults = {.kills_permille = 500, .kills_max = 3, .may_kill = [](const Victim& victim) {
                                                      return victim.kind.find("Echo") == std::string_view::npos;
                                                    }}});
    bool answered = false;
    const ExitReason reason = simulation.run([&] {
      Echo::start().value();
      for (int i = 0; i < 5; ++i) (void)spawn([] { sleep_for(1ms); });
      sleep_for(2ms);
      answered = Echo::name.call(Echo::Ask{1}) == 1;
    });
    EXPECT_TRUE(reason.is_normal());
    EXPECT_TRUE(answered);
    EXPECT_LE(simulation.kills(), 3u);
  }
}

TEST(SimulatedFaults, none_after_their_time) {
  Simulation simulation({.faults = {.kills_permille = 1000, .until = 0ns}});
  EXPECT_TRUE(simulation.run([] { (void)spawn_monitor([] { sleep_for(1ms); }), (void)receive<Down>(); }).is_normal());
  EXPECT_EQ(simulation.kills(), 0u);
}

// -- stalls

TEST(SimulatedFaults, a_worker_that_stands_still_makes_timers_late_but_loses_nothing) {
  std::uint64_t stalls = 0;
  bool late = false;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Simulation simulation({.seed = seed, .faults = {.stalls_permille = 100, .stall_max = 10ms}});
    simulation.run([&] {
      struct Tick {};
      const auto begin = monotonic_time();
      for (int i = 0; i < 10; ++i) (void)send_after(self(), Tick{}, 1ms);
      for (int i = 0; i < 10; ++i) (void)receive<Tick>();
      const auto took = monotonic_time() - begin;
      EXPECT_GE(took, 1ms);
      late = late || took > 3ms;
    });
    stalls += simulation.stalls();
  }
  EXPECT_GT(stalls, 0u);
  EXPECT_TRUE(late);
}

// -- invariants

TEST(SimulatedInvariants, one_that_does_not_hold_ends_the_run_where_it_happened) {
  int shared = 0;
  Simulation simulation(SimulationOptions{});
  const auto watched = simulation.always("shared stays below 3", [&] { return shared < 3; });
  std::string told;
  int seen_at_the_end = -1;
  try {
    simulation.run([&] {
      for (int i = 0; i < 10; ++i) {
        ++shared;
        yield();
      }
      seen_at_the_end = shared;
    });
  } catch (const coppice::testing::InvariantViolated& violated) {
    told = violated.what();
  }
  EXPECT_NE(told.find("shared stays below 3 does not hold"), std::string::npos) << told;
  EXPECT_EQ(shared, 3);
  EXPECT_EQ(seen_at_the_end, -1);
}

TEST_SIM(SimulatedInvariants, one_that_holds_is_asked_and_disturbs_nobody) {
  int asked = 0;
  const auto watched = simulation.always("asked", [&asked] { return ++asked > 0; });
  Echo::start_link().value();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Echo::name.call(Echo::Ask{i}), i);
  EXPECT_GT(asked, 0);
  Echo::name.stop();
}

}  // namespace
