// SPDX-License-Identifier: Apache-2.0
//
// yield, yield_many, shutdown, ignore: TK-033 to TK-053.
#include "conformance/task_support.hpp"

using namespace conformance;

namespace {

using Yielded = std::optional<TaskResult<int>>;

bool is_value(const Yielded& result, int value) { return result && result->is_ok() && **result == value; }
bool is_exit(const Yielded& result, const ExitReason& reason) {
  return result && !result->is_ok() && result->reason() == reason;
}
void release(const IntTask& task) {
  send(task.pid(), Release{});
  await_end_of(task);
}

}  // namespace

BEHAVIOUR_TEST(Task, TK_033_what_yield_returns) {
  trap_exit(true);
  const auto good = Task::async([] { return 1; });
  EXPECT_TRUE(is_value(good.yield(), 1));
  EXPECT_TRUE(is_exit(Task::async(crash).yield(), boom));
  const auto slow = Task::async(held(2));
  EXPECT_FALSE(slow.yield(1ms));
  EXPECT_FALSE(slow.shutdown());
}

BEHAVIOUR_TEST(Task, TK_034_after_nothing_one_may_ask_again_after_an_answer_there_is_none) {
  const auto task = Task::async(held(3));
  EXPECT_FALSE(task.yield(0s));
  EXPECT_FALSE(task.yield(1ms));
  send(task.pid(), Release{});
  EXPECT_TRUE(is_value(task.yield(), 3));
  EXPECT_FALSE(task.yield(1ms));
}

BEHAVIOUR_TEST(Task, TK_035_an_exit_is_seen_for_a_normal_end_and_when_the_link_is_gone) {
  const auto leaving = Task::async([]() -> int { throw Exit(ExitReason::normal()); });
  EXPECT_TRUE(is_exit(leaving.yield(), ExitReason::normal()));
  const auto unlinked = Task::async([] { return receive<Release>(), crash(); });
  unlink(unlinked.pid());
  send(unlinked.pid(), Release{});
  EXPECT_TRUE(is_exit(unlinked.yield(), boom));
  EXPECT_EQ(reason_of([] { Task::async(crash).yield(); }), boom);  // else the link ends the caller
}

BEHAVIOUR_TEST(Task, TK_037_yield_many_gives_what_each_has_in_order) {
  trap_exit(true);
  const std::vector<IntTask> tasks{Task::async(held(1)), Task::async([] { return 2; }), Task::async(crash)};
  await_end_of(tasks[1]);
  await_end_of(tasks[2]);
  const auto results = yield_many(tasks, {.timeout = 1ms});
  ASSERT_EQ(results.size(), 3u);
  EXPECT_FALSE(results[0]);
  EXPECT_TRUE(is_value(results[1], 2));
  EXPECT_TRUE(is_exit(results[2], boom));
  release(tasks[0]);
  const auto [again] = yield_many({}, tasks[0]);  // it may be asked again
  EXPECT_TRUE(is_value(again, 1));
}

BEHAVIOUR_TEST(Task, TK_038_TK_040_with_a_limit_it_returns_when_so_many_have_answered) {
  const std::vector<IntTask> tasks{Task::async(held(1)), Task::async([] { return 2; })};
  const auto results = yield_many(tasks, {.timeout = infinity, .limit = 1, .on_timeout = OnYieldTimeout::kill_task});
  EXPECT_FALSE(results[0]);
  EXPECT_TRUE(is_value(results[1], 2));
  EXPECT_TRUE(has_acted(tasks[0].pid()));  // on_timeout did not apply
  send(tasks[0].pid(), Release{});
  EXPECT_EQ(tasks[0].await(), 1);
}

BEHAVIOUR_TEST(Task, TK_039_a_limit_beyond_the_number_of_tasks_is_that_number) {
  const std::vector<IntTask> tasks{Task::async([] { return 1; })};
  const auto results = yield_many(tasks, {.timeout = infinity, .limit = 9});
  EXPECT_TRUE(is_value(results[0], 1));
  EXPECT_TRUE(yield_many(std::vector<IntTask>{}, {.timeout = infinity}).empty());
}

BEHAVIOUR_TEST(Task, TK_041_kill_task_ends_what_has_not_answered) {
  const auto task = Task::async(stubborn());
  const auto [result] = yield_many({.timeout = 1ms, .on_timeout = OnYieldTimeout::kill_task}, task);
  EXPECT_FALSE(result);
  EXPECT_FALSE(alive(task.pid()));
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_041_ignore_lets_it_run_unheard) {
  const auto task = Task::async(held(1));
  const auto [result] = yield_many({.timeout = 1ms, .on_timeout = OnYieldTimeout::ignore}, task);
  EXPECT_FALSE(result);
  release(task);
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_042_TK_043_shutdown_ends_the_task_and_gives_a_value_that_it_has_sent) {
  const auto done = Task::async([] { return 1; });
  await_end_of(done);
  EXPECT_TRUE(is_value(done.shutdown(), 1));
  const auto running = Task::async(held(2));
  EXPECT_FALSE(running.shutdown());
  EXPECT_FALSE(alive(running.pid()));
  const auto killed = Task::async(stubborn());
  EXPECT_FALSE(killed.shutdown(brutal_kill));
  EXPECT_FALSE(alive(killed.pid()));
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_042_a_value_that_comes_meanwhile_counts) {
  const auto task = Task::async([me = self()] {
    trap_exit(true);
    send(me, Release{});
    receive<ExitMessage>();
    return 5;
  });
  receive<Release>();
  EXPECT_TRUE(is_value(task.shutdown(infinity), 5));
}

BEHAVIOUR_TEST(Task, TK_044_a_task_that_outlives_its_time_is_killed) {
  const auto task = Task::async([me = self()] {
    trap_exit(true);
    send(me, Release{});
    receive<Release>();
    return 1;
  });
  receive<Release>();
  EXPECT_TRUE(is_exit(task.shutdown(2ms), ExitReason::killed()));
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_045_a_task_that_does_not_trap_ends_at_once_also_with_timeout_0) {
  const auto task = Task::async(held(1));
  EXPECT_FALSE(task.shutdown(0s));
  EXPECT_FALSE(alive(task.pid()));
}

BEHAVIOUR_TEST(Task, TK_046_a_task_that_had_ended_gives_its_reason) {
  trap_exit(true);
  const auto crashed = Task::async(crash);
  await_end_of(crashed);
  EXPECT_TRUE(is_exit(crashed.shutdown(), boom));
  const auto left = Task::async([]() -> int { throw Exit(ExitReason::normal()); });
  await_end_of(left);
  EXPECT_TRUE(is_exit(left.shutdown(brutal_kill), ExitReason::normal()));
}

BEHAVIOUR_TEST(Task, TK_047_the_reason_of_the_other_form_is_an_exit) {
  trap_exit(true);
  const auto ended_with = [](ExitReason reason) {
    const auto task = Task::async([reason]() -> int { throw Exit(reason); });
    await_end_of(task);
    return task;
  };
  EXPECT_TRUE(is_exit(ended_with(ExitReason::shutdown()).shutdown(brutal_kill), ExitReason::shutdown()));
  EXPECT_TRUE(is_exit(ended_with(ExitReason::killed()).shutdown(1s), ExitReason::killed()));
  EXPECT_FALSE(ended_with(ExitReason::shutdown()).shutdown(1s));
  EXPECT_FALSE(ended_with(ExitReason::killed()).shutdown(brutal_kill));
}

BEHAVIOUR_TEST(Task, TK_048_a_second_shutdown_finds_no_process) {
  const auto task = Task::async(held(1));
  EXPECT_FALSE(task.shutdown());
  EXPECT_TRUE(is_exit(task.shutdown(), ExitReason::noproc()));
  const auto awaited = Task::async([] { return 1; });
  EXPECT_EQ(awaited.await(), 1);
  await_end_of(awaited);
  EXPECT_TRUE(is_exit(awaited.shutdown(), ExitReason::noproc()));
}

BEHAVIOUR_TEST(Task, TK_049_all_messages_of_the_task_are_flushed_but_an_exit_that_came_before) {
  trap_exit(true);
  const auto crashed = Task::async(crash);
  await_end_of(crashed);
  static_cast<void>(crashed.shutdown());
  EXPECT_EQ(messages(), 1u);
  EXPECT_EQ(exit_message_of(crashed.pid()), boom);
  const auto running = Task::async(held(1));
  static_cast<void>(running.shutdown());
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_050_the_task_ends_also_if_the_caller_is_killed_meanwhile) {
  const Pid me = self();
  const auto [owner, watch] = spawn_monitor([me] {
    const auto task = Task::async(held(1));
    send(me, task.pid());
    receive<Release>();
    task.shutdown(infinity);
  });
  const Reference ended = monitor(receive<Pid>());
  send(owner, Release{});
  exit(owner, ExitReason::kill());
  const ExitReason reason = await_reason(ended);
  EXPECT_TRUE(reason == ExitReason::shutdown() || reason == ExitReason::killed()) << to_string(reason);
  await_reason(watch);
}

BEHAVIOUR_TEST(Task, TK_051_shutdown_of_a_completed_task_is_ignore) {
  const auto task = Task::completed(6);
  EXPECT_TRUE(is_value(task.shutdown(), 6));
  EXPECT_FALSE(task.shutdown(brutal_kill));
}

BEHAVIOUR_TEST(Task, TK_053_ignore_gives_up_a_running_task_and_tells_what_is_there) {
  trap_exit(true);
  const auto running = Task::async(held(1));
  EXPECT_FALSE(running.ignore());
  EXPECT_TRUE(process_info(running.pid())->links.empty());
  release(running);
  const auto done = Task::async([] { return 2; });
  await_end_of(done);
  EXPECT_TRUE(is_value(done.ignore(), 2));
  const auto crashed = Task::async(crash);
  await_end_of(crashed);
  EXPECT_TRUE(is_exit(crashed.ignore(), boom));
  EXPECT_EQ(exit_message_of(crashed.pid()), boom);
  EXPECT_EQ(exit_message_of(done.pid()), ExitReason::normal());
  EXPECT_EQ(messages(), 0u);
}
