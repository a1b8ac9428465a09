// SPDX-License-Identifier: Apache-2.0
//
// blocking(): foreign code that blocks a thread runs beside the schedulers. Where a job really blocks, the test runs on
// threads only: the simulation has but one.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "behaviour/behaviour.hpp"

using namespace coppice;
using namespace std::chrono_literals;

namespace {

struct Ready {};
struct Done {
  int number = 0;
};

// Opened once; a job waits at it as a system call would.
struct Gate {
  std::atomic<bool> open{false};
  void wait() { open.wait(false); }
  void release() {
    open = true;
    open.notify_all();
  }
};

}  // namespace

BEHAVIOUR_TEST(Blocking, it_returns_what_the_function_returns) {
  EXPECT_EQ(blocking([] { return 6 * 7; }), 42);
  const auto text = blocking([] { return std::make_unique<std::string>("moved"); });
  EXPECT_EQ(*text, "moved");
  int seen = 0;
  blocking([&seen] { seen = 5; });
  EXPECT_EQ(seen, 5);
}

BEHAVIOUR_TEST(Blocking, it_throws_what_the_function_throws) {
  try {
    blocking([]() -> int { throw std::runtime_error("no such file"); });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "no such file");
  }
  const auto [pid, watch] = spawn_monitor([] { blocking([] { throw Exit(ExitReason("disk"_atom)); }); });
  const Down down = receive<Down>();
  EXPECT_EQ(down.pid, pid);
  EXPECT_EQ(down.reference, watch);
  EXPECT_EQ(down.reason, "disk"_atom);
}

BEHAVIOUR_TEST(Blocking, the_function_may_send) {
  const Pid me = self();
  blocking([me] { send(me, Done{3}); });
  EXPECT_EQ(receive<Done>(0ms)->number, 3);
}

BEHAVIOUR_TEST(Blocking, messages_that_come_meanwhile_are_there_afterwards) {
  const Pid me = self();
  (void)spawn([me] {
    for (int i = 1; i <= 5; ++i) send(me, Done{i});
  });
  (void)blocking([] { return 1; });
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(receive<Done>().number, i);
}

BEHAVIOUR_TEST(Blocking, many_at_once_all_come_back) {
  const Pid me = self();
  for (int i = 0; i < 20; ++i) {
    (void)spawn([me, i] {
      for (int j = 0; j < 3; ++j) EXPECT_EQ(blocking([i, j] { return i + j; }), i + j);
      send(me, Done{i});
    });
  }
  int sum = 0;
  for (int i = 0; i < 20; ++i) sum += receive<Done>().number;
  EXPECT_EQ(sum, 190);
}

TEST(Blocking, a_signal_takes_effect_when_the_function_is_back) {
  behaviour::on_threads([] {
    const auto gate = std::make_shared<Gate>();
    const auto finished = std::make_shared<std::atomic<bool>>(false);
    const Pid me = self();
    const auto [pid, watch] = spawn_monitor([gate, finished, me] {
      blocking([&] {
        send(me, Ready{});
        gate->wait();
        finished->store(true);
      });
      ADD_FAILURE() << "the process went on after its kill";
    });
    receive<Ready>();
    exit(pid, ExitReason::kill());
    EXPECT_FALSE(alive(pid));
    EXPECT_FALSE(receive<Down>(5ms).has_value());
    EXPECT_FALSE(finished->load());
    gate->release();
    const Down down = receive<Down>();
    EXPECT_EQ(down.reference, watch);
    EXPECT_EQ(down.reason, ExitReason::killed());
    EXPECT_TRUE(finished->load());
  });
}

TEST(Blocking, others_run_meanwhile_on_the_only_scheduler) {
  behaviour::on_threads(
      [] {
        const auto gate = std::make_shared<Gate>();
        (void)spawn([gate] { gate->release(); });
        blocking([gate] { gate->wait(); });  // would wait for ever if it held the scheduler
      },
      {.schedulers = 1});
}

TEST(Blocking, no_more_run_at_once_than_there_are_threads_and_the_others_queue) {
  static constexpr int threads_max = 2;
  struct Count {
    std::atomic<int> now{0};
    std::atomic<int> most{0};
    std::atomic<int> entered{0};
  };
  behaviour::on_threads(
      [] {
        const auto count = std::make_shared<Count>();
        const Pid me = self();
        for (int i = 0; i < 12; ++i) {
          (void)spawn([count, me, i] {
            blocking([&count] {
              const int now = ++count->now;
              int most = count->most;
              while (most < now && !count->most.compare_exchange_weak(most, now)) {
              }
              // The first two wait for each other: so two do run at once.
              if (++count->entered <= threads_max) {
                while (count->entered < threads_max) std::this_thread::yield();
              }
              --count->now;
            });
            send(me, Done{i});
          });
        }
        int sum = 0;
        for (int i = 0; i < 12; ++i) sum += receive<Done>().number;
        EXPECT_EQ(sum, 66);
        EXPECT_EQ(count->most.load(), threads_max);
      },
      {.blocking_threads_max = threads_max});
}

TEST(Blocking, what_still_blocks_at_the_stop_is_named_and_left_behind) {
  const auto gate = std::make_shared<Gate>();
  Runtime runtime({.schedulers = 2, .shutdown_timeout = 50ms});
  const Runtime::Scope scope(runtime);
  const ExitReason reason = runtime.run([gate] {
    const Pid me = self();
    (void)spawn(
        [gate, me] {
          blocking([&] {
            send(me, Ready{});
            gate->wait();
          });
        },
        {.name = "stuck"});
    receive<Ready>();
  });
  EXPECT_TRUE(reason.is_normal());
  const StopReport report = runtime.stop();
  EXPECT_FALSE(report.clean);
  ASSERT_EQ(report.abandoned.size(), 1u);
  EXPECT_NE(report.abandoned[0].find("stuck"), std::string::npos) << report.abandoned[0];
  gate->release();
}
