// SPDX-License-Identifier: Apache-2.0
//
// Tasks that have not begun, and workers that help each other: who runs when, and that nobody is forgotten.
#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include <coppice/task.hpp>

#include "behaviour/behaviour.hpp"

using namespace coppice;
using namespace std::chrono_literals;

namespace {

struct Ping {};
struct Release {};
struct Ran {};
struct GaveUp {};

constexpr int rounds_max = 30'000'000;  // in which everybody should have had a turn; in the simulation long before

// Each starts its successor, so that there is always a new one; the last one gives up.
void succeed_each_other_as_tasks(const Pid& told, const std::shared_ptr<std::atomic<bool>>& ran, int round) {
  if (ran->load()) return;
  if (round == rounds_max) return send(told, GaveUp{});
  Task::start(succeed_each_other_as_tasks, told, ran, round + 1);
}
void succeed_each_other_as_processes(const Pid& told, const std::shared_ptr<std::atomic<bool>>& ran, int round) {
  if (ran->load()) return;
  if (round == rounds_max) return send(told, GaveUp{});
  (void)spawn([told, ran, round] { succeed_each_other_as_processes(told, ran, round + 1); });
}

bool heard_of_one_that_ran() {
  return receive([](const Ran&) { return true; }, [](const GaveUp&) { return false; });
}

long fib(int n) {
  if (n < 2) return n;
  const auto first = Task::async(fib, n - 1);
  const auto second = Task::async(fib, n - 2);
  return first.await(infinity) + second.await(infinity);
}

// Holds the scheduler, and calls nothing that lets others run, until `count` have run elsewhere.
bool held_until(const std::atomic<int>& ran, int count) {
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (ran.load(std::memory_order_acquire) < count) {
    if (std::chrono::steady_clock::now() > give_up) return false;
  }
  return true;
}

}  // namespace

// -- fairness

TEST(TaskScheduling, new_tasks_without_end_do_not_starve_an_old_one) {
  behaviour::with_one_scheduler([] {
    const Pid me = self();
    const auto ran = std::make_shared<std::atomic<bool>>(false);
    Task::start([me, ran] {
      ran->store(true);
      send(me, Ran{});
    });
    Task::start(succeed_each_other_as_tasks, me, ran, 0);
    EXPECT_TRUE(heard_of_one_that_ran());
  });
}

TEST(TaskScheduling, new_tasks_without_end_do_not_starve_a_process) {
  behaviour::with_one_scheduler([] {
    const Pid me = self();
    const auto ran = std::make_shared<std::atomic<bool>>(false);
    Task::start(succeed_each_other_as_tasks, me, ran, 0);
    (void)spawn([me, ran] {
      yield();
      ran->store(true);
      send(me, Ran{});
    });
    EXPECT_TRUE(heard_of_one_that_ran());
  });
}

TEST(TaskScheduling, new_processes_without_end_do_not_starve_a_task) {
  behaviour::with_one_scheduler([] {
    const Pid me = self();
    const auto ran = std::make_shared<std::atomic<bool>>(false);
    (void)spawn([me, ran] { succeed_each_other_as_processes(me, ran, 0); });
    Task::start([me, ran] {
      ran->store(true);
      send(me, Ran{});
    });
    EXPECT_TRUE(heard_of_one_that_ran());
  });
}

// -- tasks that have not begun

TEST(TaskScheduling, an_awaited_task_runs_before_those_that_were_started_after_it) {
  behaviour::on_threads(
      [] {
        const auto order = std::make_shared<std::vector<int>>();
        std::vector<TaskHandle<int>> tasks;
        for (int i = 0; i < 5; ++i) {
          tasks.push_back(Task::async([order, i] {
            order->push_back(i);
            return i;
          }));
        }
        for (int i = 0; i < 5; ++i) EXPECT_EQ(tasks[static_cast<std::size_t>(i)].await(), i);
        EXPECT_EQ(*order, (std::vector<int>{0, 1, 2, 3, 4}));
      },
      {.schedulers = 1});
}

BEHAVIOUR_TEST(TaskScheduling, a_tree_of_tasks_comes_to_its_value) { EXPECT_EQ(fib(8), 21); }

TEST(TaskScheduling, a_large_tree_of_tasks_comes_to_its_value) {
  for (int i = 0; i < 5; ++i) behaviour::on_threads([] { EXPECT_EQ(fib(17), 1597); });
}

TEST(TaskScheduling, more_tasks_than_the_deque_holds_all_run) {
  behaviour::on_threads([] {
    std::vector<TaskHandle<int>> tasks;
    for (int i = 0; i < 5'000; ++i) tasks.push_back(Task::async([i] { return i; }));
    const std::vector<int> values = await_many(tasks, 60s);
    for (int i = 0; i < 5'000; ++i) ASSERT_EQ(values[static_cast<std::size_t>(i)], i);
  });
}

// What is sent to a task that has not begun makes it begin; its number in the deque is stale from then on.
BEHAVIOUR_TEST(TaskScheduling, messages_reach_tasks_whether_they_have_begun_or_not) {
  std::vector<TaskHandle<int>> tasks;
  for (int i = 0; i < 12; ++i) {
    tasks.push_back(Task::async([i] {
      receive<Ping>();
      receive<Release>();
      return i;
    }));
    if (i % 3 == 0) send(tasks.back().pid(), Ping{});
  }
  for (int i = 11; i >= 0; --i) {
    if (i % 3 != 0) send(tasks[static_cast<std::size_t>(i)].pid(), Ping{});
    if (i % 2 == 0) yield();
    send(tasks[static_cast<std::size_t>(i)].pid(), Release{});
  }
  for (int i = 0; i < 12; ++i) EXPECT_EQ(tasks[static_cast<std::size_t>(i)].await(), i);
}

BEHAVIOUR_TEST(TaskScheduling, tasks_that_are_ended_before_they_begin_are_gone) {
  const auto ran = std::make_shared<std::atomic<int>>(0);
  std::vector<TaskHandle<int>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(Task::async([ran, i] { return ran->fetch_add(1) * 0 + i; }));
  for (int i = 0; i < 10; ++i) {
    const TaskHandle<int>& task = tasks[static_cast<std::size_t>(i)];
    if (i % 2 == 0) {
      const auto result = task.shutdown(brutal_kill);  // it may have been faster
      if (result) {
        EXPECT_EQ(**result, i);
      }
      EXPECT_FALSE(alive(task.pid()));
    } else {
      EXPECT_EQ(task.await(), i);
    }
  }
}

BEHAVIOUR_TEST(TaskScheduling, an_await_finds_its_value_behind_messages_that_wait) {
  for (int i = 0; i < 3; ++i) send(self(), Ping{});
  const auto task = Task::async([] { return 1; });
  const auto other = Task::async([owner = self()] {
    send(owner, Release{});
    return 2;
  });
  EXPECT_EQ(task.await(), 1);
  EXPECT_EQ(other.await(), 2);
  for (int i = 0; i < 3; ++i) receive<Ping>();
  receive<Release>();
  EXPECT_EQ(process_info(self())->message_queue_len, 0u);
}

// -- a value that is given to a waiting owner by hand

BEHAVIOUR_TEST(AwaitedTask, what_it_has_said_before_stays_in_front_of_nothing) {
  const Pid me = self();
  for (int round = 0; round < 3; ++round) {
    const auto task = Task::async([me, round] {
      if (round != 0) send(me, Ping{});
      if (round == 2) yield();
      return round;
    });
    EXPECT_EQ(task.await(), round);
    EXPECT_EQ(process_info(self())->message_queue_len, round == 0 ? 0u : 1u);
    if (round != 0) receive<Ping>();
    EXPECT_TRUE(process_info(self())->links.empty());
    EXPECT_TRUE(process_info(self())->monitors.empty());
    EXPECT_FALSE(alive(task.pid()));
  }
}

// With one scheduler the task begins when its owner waits for it. Its function has nothing to destroy, so that the value goes
// with its end.
void take_a_forged_answer() {
  Reference reference;
  const auto task = Task::async([owner = self(), at = &reference] {
    send(owner, TaskResult<int>(*at, 7));
    return 1;
  });
  reference = task.reference();
  EXPECT_EQ(task.await(), 7);
}

TEST(AwaitedTask, the_first_answer_is_taken_wherever_it_comes_from) {
  behaviour::on_threads(take_a_forged_answer, {.schedulers = 1});
}
TEST(AwaitedTask, the_first_answer_is_taken_in_simulation) {
  behaviour::in_simulation(take_a_forged_answer, {.schedulers = 1});
}

BEHAVIOUR_TEST(AwaitedTask, a_trapping_owner_gets_the_exit_and_no_down) {
  trap_exit(true);
  const auto task = Task::async([] { return 1; });
  EXPECT_EQ(task.await(), 1);
  EXPECT_TRUE(receive<ExitMessage>().reason.is_normal());
  EXPECT_EQ(process_info(self())->message_queue_len, 0u);
}

// The kill may come before the value, together with it on either side, or too late.
BEHAVIOUR_TEST(AwaitedTask, the_value_of_a_killed_owner_is_destroyed) {
  const auto value = std::make_shared<int>(1);
  const auto [owner, watch] = spawn_monitor([&value] {
    const auto task = Task::async([at = &value] { return *at; });  // nothing to destroy: the value goes with the end
    EXPECT_EQ(task.await(), value);
  });
  yield();
  exit(owner, ExitReason::kill());
  receive<Down>();
  while (processes().size() > 1) yield();
  EXPECT_EQ(value.use_count(), 1);
}

BEHAVIOUR_TEST(AwaitedTask, an_owner_with_a_bounded_mailbox_gets_its_value) {
  (void)spawn_monitor(
      [] {
        for (int i = 0; i < 3; ++i) EXPECT_EQ(Task::async([i] { return i; }).await(), i);
        EXPECT_EQ(process_info(self())->message_queue_len, 0u);
      },
      {.mailbox_capacity = 2, .overflow = Overflow::reject});
  EXPECT_TRUE(receive<Down>().reason.is_normal());
}

BEHAVIOUR_TEST(AwaitedTask, an_await_that_was_left_takes_no_value_of_another) {
  const auto slow = Task::async([] {
    receive<Release>();
    return 1;
  });
  EXPECT_THROW((void)slow.await(1ms), Exit);
  const auto quick = Task::async([slow = slow.pid()] {
    send(slow, Release{});
    return 2;
  });
  EXPECT_EQ(quick.await(), 2);
  while (alive(slow.pid())) yield();
  EXPECT_EQ(process_info(self())->message_queue_len, 0u);
}

// -- workers help each other

TEST(Relief, what_stands_behind_a_long_turn_runs_on_another_scheduler) {
  for (int round = 0; round < 20; ++round) {
    behaviour::on_threads([] {
      const auto ran = std::make_shared<std::atomic<int>>(0);
      for (int i = 0; i < 10; ++i) (void)spawn([ran] { ran->fetch_add(1); });
      EXPECT_TRUE(held_until(*ran, 10));
    });
  }
}

TEST(Relief, tasks_that_stand_behind_a_long_turn_run_on_another_scheduler) {
  for (int round = 0; round < 20; ++round) {
    behaviour::on_threads([] {
      const auto ran = std::make_shared<std::atomic<int>>(0);
      std::vector<TaskHandle<int>> tasks;
      for (int i = 0; i < 100; ++i) tasks.push_back(Task::async([ran] { return ran->fetch_add(1) * 0; }));
      EXPECT_TRUE(held_until(*ran, 100));
      for (const TaskHandle<int>& task : tasks) EXPECT_EQ(task.await(), 0);
    });
  }
}

// One after the other, with the other schedulers going to sleep and waking all the time.
TEST(Relief, it_comes_however_often_it_is_needed) {
  behaviour::on_threads(
      [] {
        const auto ran = std::make_shared<std::atomic<int>>(0);
        for (int i = 1; i <= 500; ++i) {
          (void)spawn([ran] { ran->fetch_add(1); });
          ASSERT_TRUE(held_until(*ran, i));
        }
      },
      {.schedulers = 3});
}
