// SPDX-License-Identifier: Apache-2.0
//
// Faults on request, invariants that are asked at every step, and systems that come back.
#include <coppice/testing/gtest.hpp>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/supervisor.hpp>
#include <coppice/task.hpp>
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
              {.faults = {
                   .kills_permille = 20, .may_kill = [](const Victim& v) { return v.name == "Echo"; }, .until = 1ms}}) {
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
    Simulation simulation(
        {.seed = seed, .faults = {.kills_permille = 500, .kills_max = 3, .may_kill = [](const Victim& victim) {
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

// -- late timers

struct Tick {};

TEST(SimulatedFaults, a_late_timer_comes_after_its_time_but_says_what_was_asked_for) {
  bool late = false;
  std::uint64_t late_timers = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Simulation simulation({.seed = seed, .faults = {.late_timers_permille = 300, .late_max = 50ms}});
    const ExitReason reason = simulation.run([&] {
      const auto begin = monotonic_time();
      const Reference timer = send_after(self(), Tick{}, 10ms);
      const Reference other = send_after(self(), Tick{}, 10s);
      EXPECT_LE(*read_timer(timer), 10ms);
      EXPECT_LE(*cancel_timer(other), 10s);
      receive<Tick>();
      const auto took = monotonic_time() - begin;
      EXPECT_GE(took, 10ms);
      late = late || took > 11ms;
    });
    EXPECT_TRUE(reason.is_normal());
    EXPECT_EQ(simulation.timers_left(), 0u);
    late_timers += simulation.faults().late_timers;
  }
  EXPECT_TRUE(late);
  EXPECT_GT(late_timers, 0u);
}

TEST(SimulatedFaults, a_wait_with_a_timeout_may_be_late_too) {
  Simulation simulation({.faults = {.late_timers_permille = 1000, .late_max = 1s}});
  simulation.run([] {
    const auto begin = monotonic_time();
    EXPECT_FALSE(receive([](const Tick&) { return true; }, after(1ms, [] { return false; })));
    EXPECT_GE(monotonic_time() - begin, 60ms);  // a sixteenth of the most, at least
  });
  EXPECT_EQ(simulation.faults().late_timers, 1u);
}

// -- no stack, no process

TEST(SimulatedFaults, who_has_to_wait_and_gets_no_stack_ends_with_system_limit) {
  Simulation simulation({.schedulers = 1, .faults = {.refused_stacks_permille = 1000}});
  const ExitReason reason = simulation.run([] {
    const auto waits = spawn_monitor([] { sleep_for(1ms); });
    EXPECT_EQ(receive<Down>().reason, ExitReason("system_limit"_atom));
    const auto does_not = spawn_monitor([] {});
    EXPECT_TRUE(receive<Down>().reason.is_normal());
    EXPECT_NE(waits.first, does_not.first);
  });
  EXPECT_TRUE(reason.is_normal()) << "the first process is spared";
  EXPECT_EQ(simulation.faults().refused_stacks, 1u);
  EXPECT_EQ(simulation.processes_left(), 0u);
}

TEST(SimulatedFaults, who_starts_a_process_and_gets_none_is_told_so) {
  Simulation simulation({.faults = {.refused_processes_permille = 1000}});
  const ExitReason reason = simulation.run([] {
    const ExitReason limit("system_limit"_atom);
    (void)spawn_monitor([] { (void)spawn([] {}); });
    EXPECT_EQ(receive<Down>().reason, limit);
    (void)spawn_monitor([] { (void)Task::async([] { return 1; }); });
    EXPECT_EQ(receive<Down>().reason, limit);
    (void)spawn_monitor([limit] { EXPECT_EQ(Echo::start().reason(), limit); });
    EXPECT_TRUE(receive<Down>().reason.is_normal());
    (void)spawn([] {});  // the first process is spared
  });
  EXPECT_TRUE(reason.is_normal());
  EXPECT_EQ(simulation.faults().refused_processes, 3u);
}

TEST(SimulatedFaults, those_who_may_not_be_refused_are_spared) {
  Simulation simulation({.faults = {.refused_stacks_permille = 1000,
                                    .refused_processes_permille = 1000,
                                    .may_refuse = [](const Victim& victim) { return victim.name == "Echo"; }}});
  const ExitReason reason = simulation.run([] {
    (void)spawn_monitor([] {
      sleep_for(1ms);
      (void)spawn([] {});
    });
    EXPECT_TRUE(receive<Down>().reason.is_normal());
  });
  EXPECT_TRUE(reason.is_normal());
  EXPECT_EQ(simulation.faults().all(), 0u);
}

TEST_SIM_WITH(SimulatedFaults, a_supervisor_that_gets_no_process_tries_until_it_gets_one,
              {.faults = {
                   .kills_permille = 20,
                   .may_kill = [](const Victim& v) { return v.name == "Echo"; },
                   .late_timers_permille = 100,
                   .refused_processes_permille = 500,
                   .may_refuse = [](const Victim& v) { return v.kind.find("Supervisor") != std::string_view::npos; },
                   .until = 1ms}}) {
  trap_exit(true);
  if (Supervisor::start_link({child<Echo>()}, patient())) {  // else it got no process for its child
    for (int i = 0; i < 20; ++i) (void)Echo::name.try_call(Echo::Ask{i});
    simulation.recovers("Echo answers", 100ms, [] { return Echo::name.call(Echo::Ask{7}) == 7; });
  }
}

// -- systems that come back

TEST_SIM_WITH(SimulatedRecovery, a_system_that_comes_back,
              {.faults = {.kills_permille = 20,
                          .may_kill = [](const Victim& v) { return v.name == "Echo"; },
                          .stalls_permille = 20,
                          .late_timers_permille = 200}}) {
  Supervisor::start_link({child<Echo>()}, patient()).value();
  for (int i = 0; i < 20; ++i) (void)Echo::name.try_call(Echo::Ask{i});
  simulation.recovers("Echo answers", 10ms, [] { return Echo::name.call(Echo::Ask{7}) == 7; });
  const auto before = simulation.faults().all();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Echo::name.call(Echo::Ask{i}), i);
  EXPECT_EQ(simulation.faults().all(), before) << "no fault any more";
}

std::string what_recovery_said(std::chrono::nanoseconds within, const std::function<bool()>& works) {
  Simulation simulation(SimulationOptions{});
  try {
    simulation.run([&] { simulation.recovers("it works", within, works); });
  } catch (const coppice::testing::NotRecovered& error) {
    return error.what();
  }
  return "";
}

TEST(SimulatedRecovery, one_that_does_not_come_back_fails_the_run) {
  EXPECT_EQ(what_recovery_said(1h, [] { return false; }), "it works is not so 3600000000000 ns after the last fault");
  EXPECT_EQ(what_recovery_said(1s, []() -> bool { throw Exit(ExitReason::noproc()); }),
            "it works is not so 1000000000 ns after the last fault");
}

TEST(SimulatedRecovery, one_that_comes_back_too_late_fails_the_run) {
  EXPECT_NE(what_recovery_said(1s, [] { return sleep_for(2s), true; }), "");
  EXPECT_EQ(what_recovery_said(3s, [] { return sleep_for(2s), true; }), "");
}

// -- what the trace says of faults

TEST(SimulatedTrace, tells_what_each_fault_came_to) {
  const auto trace_of = [](const Faults& faults) {
    const auto fails = [](Simulation& simulation) {
      (void)simulation.run([] {
        for (int i = 0; i < 5; ++i) {
          (void)spawn_monitor([] {
            sleep_for(1ms);
            (void)spawn([] {});
          });
        }
        for (int i = 0; i < 5; ++i) receive<Down>();
      });
      if (simulation.faults().all() != 0) throw std::runtime_error("there was a fault");
    };
    const auto failure = coppice::testing::find_failure(100, fails, {.faults = faults});
    return failure ? failure->trace : "";
  };
  const auto says = [](const std::string& trace, const char* words) { return trace.find(words) != std::string::npos; };
  EXPECT_TRUE(says(trace_of({.kills_permille = 20}), ": kills #PID<0."));
  EXPECT_TRUE(says(trace_of({.stalls_permille = 20}), ": stands still for "));
  EXPECT_TRUE(says(trace_of({.late_timers_permille = 200}), ": its timer will be late by "));
  EXPECT_TRUE(says(trace_of({.refused_stacks_permille = 200}), " gets no stack"));
  EXPECT_TRUE(says(trace_of({.refused_processes_permille = 200}), " gets no process"));
}

TEST(SimulatedTotals, count_all_runs_of_the_program) {
  const auto before = coppice::testing::totals();
  Simulation simulation({.faults = {.late_timers_permille = 1000}});
  simulation.run([] { sleep_for(1ms); });
  const auto after = coppice::testing::totals();
  EXPECT_EQ(after.runs, before.runs + 1);
  EXPECT_EQ(after.steps, before.steps + simulation.step_count());
  EXPECT_EQ(after.faults.late_timers, before.faults.late_timers + 1);
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
