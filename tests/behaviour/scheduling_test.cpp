// SPDX-License-Identifier: Apache-2.0
//
// Fairness: nobody starves because others are busy. And the watchdog, which tells of a handler that holds its scheduler.
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "behaviour/behaviour.hpp"
#include "runtime/core.hpp"

using namespace coppice;
using namespace std::chrono_literals;

namespace {

struct Ping {
  Pid from;
};
struct Pong {};
struct Started {};
struct GaveUp {};
struct Ran {};

constexpr int rounds_max = 3'000;  // in which everybody should have had a turn

// Two processes that talk to each other without a pause; they say when `before` rounds are done, and give up after `most`.
std::pair<Pid, Pid> chatty_pair(int before, int most) {
  const Pid me = self();
  const Pid answering = spawn([] {
    for (;;) receive([](const Ping& ping) { send(ping.from, Pong{}); });
  });
  const Pid asking = spawn([me, answering, before, most] {
    for (int round = 0; round < most; ++round) {
      if (round == before) send(me, Started{});
      send(answering, Ping{self()});
      receive<Pong>();
    }
    send(me, GaveUp{});
  });
  return {asking, answering};
}

void end(const std::pair<Pid, Pid>& pair) {
  exit(pair.first, ExitReason::kill());
  exit(pair.second, ExitReason::kill());
}

}  // namespace

BEHAVIOUR_TEST(Scheduling, a_loop_with_checkpoints_lets_others_run) {
  const auto done = std::make_shared<std::atomic<bool>>(false);
  (void)spawn([done] { done->store(true); });
  while (!done->load()) checkpoint();
}

TEST(Scheduling, a_loop_with_checkpoints_lets_others_run_on_the_only_scheduler) {
  behaviour::with_one_scheduler([] {
    const auto done = std::make_shared<std::atomic<bool>>(false);
    (void)spawn([done] {
      yield();
      done->store(true);
    });
    while (!done->load()) checkpoint();
  });
}

BEHAVIOUR_TEST(Scheduling, a_kill_takes_effect_at_a_checkpoint) {
  const Pid me = self();
  const auto [pid, watch] = spawn_monitor([me] {
    send(me, Started{});
    for (;;) checkpoint();
  });
  receive<Started>();
  exit(pid, ExitReason::kill());
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, watch);
  EXPECT_EQ(down.reason, ExitReason::killed());
}

TEST(Scheduling, yield_lets_the_others_have_their_turn) {
  behaviour::with_one_scheduler([] {
    const auto turns = std::make_shared<int>(0);
    for (int i = 0; i < 5; ++i) (void)spawn([turns] { ++*turns; });
    for (int i = 0; i < 200 && *turns < 5; ++i) yield();
    EXPECT_EQ(*turns, 5);
  });
}

TEST(Scheduling, a_chatty_pair_does_not_starve_a_new_process) {
  for (int phase = 0; phase < 4; ++phase) {  // whatever the beat of their talk is
    behaviour::with_one_scheduler([phase] {
      const auto pair = chatty_pair(100 + phase, rounds_max);
      receive<Started>();
      const Pid me = self();
      (void)spawn([me] { send(me, Ran{}); });
      const bool ran = receive([](const Ran&) { return true; }, [](const GaveUp&) { return false; });
      EXPECT_TRUE(ran);
      end(pair);
    });
  }
}

TEST(Scheduling, a_chatty_pair_does_not_starve_one_that_waits_for_a_message) {
  behaviour::with_one_scheduler([] {
    const auto pair = chatty_pair(100, rounds_max);
    receive<Started>();
    const Pid me = self();
    const Pid other = spawn([me] {
      send(me, Started{});
      for (;;) receive([](const Ping& ping) { send(ping.from, Ran{}); });
    });
    for (int i = 0; i < 10; ++i) {
      send(other, Ping{me});
      EXPECT_TRUE(receive([](const Ran&) { return true; }, [](const GaveUp&) { return false; }));
    }
    exit(other, ExitReason::kill());
    end(pair);
  });
}

// On threads: in the simulation a talk takes hardly any time.
TEST(Scheduling, a_chatty_pair_does_not_hold_up_a_timer) {
  behaviour::on_threads(
      [] {
        const auto pair = chatty_pair(100, 100'000'000);
        receive<Started>();
        (void)send_after(self(), Ran{}, 2ms);
        receive<Ran>();
        sleep_for(2ms);
        end(pair);
      },
      {.schedulers = 1});
}

// -- the watchdog --------------------------------------------------------------------------------------------------------

namespace {

// Takes the warnings of the runtime while it lives, and lets the spinning process go at the first long_schedule.
struct Warnings {
  static inline std::mutex mutex;
  static inline std::string text;
  static inline bool heard = false;  // atomic, but read without a function call: see below
  runtime::Reporter before;
  Warnings() {
    const Runtime first({.schedulers = 1});  // sets the logger's reporter, once
    before = runtime::reporter();
    __atomic_store_n(&heard, false, __ATOMIC_RELEASE);
    text.clear();
    runtime::Reporter reporter = before;
    reporter.warning = [](const std::string& warning) {
      if (warning.find("long_schedule") == std::string::npos) return;
      const std::lock_guard lock(mutex);
      text = warning;
      __atomic_store_n(&heard, true, __ATOMIC_RELEASE);
    };
    runtime::set_reporter(reporter);
  }
  ~Warnings() { runtime::set_reporter(before); }
};

// Calls nothing, however little is optimised: at the first instructions of a callee its caller is not yet among the
// frames that a walk along frame pointers finds.
[[gnu::noinline]] void hold_the_scheduler_until_somebody_complains() {
  while (!__atomic_load_n(&Warnings::heard, __ATOMIC_ACQUIRE)) asm volatile("" ::: "memory");
}

}  // namespace

TEST(LongSchedule, a_process_that_holds_its_scheduler_is_reported_with_name_and_stack) {
  const Warnings warnings;
  behaviour::on_threads(
      [] {
        const auto [pid, watch] = spawn_monitor([] { hold_the_scheduler_until_somebody_complains(); }, {.name = "hog"});
        EXPECT_EQ(receive<Down>().reference, watch);
        const std::lock_guard lock(Warnings::mutex);
        EXPECT_NE(Warnings::text.find(inspect(pid)), std::string::npos) << Warnings::text;
        EXPECT_NE(Warnings::text.find("hog"), std::string::npos) << Warnings::text;
#if !defined(__SANITIZE_THREAD__)  // its runtime, in which the signal finds the thread, keeps no frame pointers
        EXPECT_NE(Warnings::text.find("hold_the_scheduler_until_somebody_complains"), std::string::npos)
            << Warnings::text;
#endif
      },
      {.long_schedule = 20ms});
}

TEST(LongSchedule, zero_turns_it_off) {
  const Warnings warnings;
  behaviour::on_threads(
      [] {
        const auto until = std::chrono::steady_clock::now() + 50ms;
        while (std::chrono::steady_clock::now() < until) {
        }
      },
      {.long_schedule = 0ms});
  EXPECT_FALSE(__atomic_load_n(&Warnings::heard, __ATOMIC_ACQUIRE)) << Warnings::text;
}

TEST(LongSchedule, timers_of_a_scheduler_that_is_held_fire_all_the_same) {
  const Warnings warnings;
  behaviour::on_threads(
      [] {
        const Pid me = self();
        const auto [pid, watch] = spawn_monitor([me] {
          const Reference timer = send_after(me, Ran{}, 1ms);  // in the shard of the scheduler that this process holds
          hold_the_scheduler_until_somebody_complains();
          EXPECT_FALSE(read_timer(timer).has_value());
        });
        receive<Ran>();
        EXPECT_EQ(receive<Down>().reference, watch);
        EXPECT_FALSE(alive(pid));
      },
      {.long_schedule = 20ms});
}
