// SPDX-License-Identifier: Apache-2.0
//
// await and await_many: TK-020 to TK-032.
#include "conformance/task_support.hpp"

using namespace conformance;

BEHAVIOUR_TEST(Task, TK_020_await_returns_the_value) {
  const auto task = Task::async([] { return std::make_unique<int>(4); });  // may be movable only
  EXPECT_EQ(*task.await(), 4);
  EXPECT_EQ(Task::async([] {}).await(infinity), Ok{});
}

BEHAVIOUR_TEST(Task, TK_021_a_task_that_died_ends_the_awaiting_owner) {
  trap_exit(true);
  const auto crashing = Task::async(crash);
  EXPECT_EQ(exit_of([&] { crashing.await(); }), failed(boom, "await", crashing, 5000));
  const auto leaving = Task::async([]() -> int { throw Exit(ExitReason::normal()); });
  EXPECT_EQ(exit_of([&] { leaving.await(infinity); }), failed("normal"_atom, "await", leaving, "infinity"_atom));
}

BEHAVIOUR_TEST(Task, TK_022_a_timeout_of_await_does_not_stop_the_task) {
  const auto task = Task::async(held(1));
  EXPECT_EQ(exit_of([&] { task.await(1ms); }), failed("timeout"_atom, "await", task, 1));
  const ProcessInfo info = *process_info(task.pid());  // it lives, and it is linked still
  EXPECT_EQ(info.links, std::vector<Pid>{self()});
  EXPECT_TRUE(info.monitored_by.empty());
  send(task.pid(), Release{});
  await_end_of(task);
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_022_a_timeout_that_nobody_catches_ends_owner_and_task) {
  const Pid me = self();
  const auto [owner, watch] = spawn_monitor([me] {
    const auto task = Task::async(held(1));
    send(me, task.pid());
    receive<Release>();
    task.await(1ms);
  });
  const Reference ended = monitor(receive<Pid>());
  send(owner, Release{});
  const ExitReason reason = await_reason(watch);
  EXPECT_EQ(reason.term()[0], "timeout"_atom);
  EXPECT_EQ(await_reason(ended), reason);
}

BEHAVIOUR_TEST(Task, TK_024_only_the_owner_may_ask) {
  const auto task = Task::async(held(1));
  const auto is_refused = [](auto function) {
    const ExitReason reason = exit_of(function);
    return reason.term().kind() == TermKind::tuple && reason.term()[0] == "badarg"_atom;
  };
  const auto other = spawn_monitor([task, is_refused] {
    EXPECT_TRUE(is_refused([&] { task.await(0s); }));
    EXPECT_TRUE(is_refused([&] { task.yield(0s); }));
    EXPECT_TRUE(is_refused([&] { task.shutdown(); }));
    EXPECT_TRUE(is_refused([&] { task.ignore(); }));
    EXPECT_TRUE(is_refused([&] { static_cast<void>(await_many(0s, task)); }));
    EXPECT_TRUE(is_refused([&] { static_cast<void>(yield_many(std::vector{task})); }));
  });
  EXPECT_TRUE(await_reason(other.second).is_normal());
  send(task.pid(), Release{});
  EXPECT_EQ(task.await(), 1);  // nothing of it was consumed
}

BEHAVIOUR_TEST(Task, TK_025_a_second_await_waits_out_its_time) {
  const auto task = Task::async([] { return 1; });
  EXPECT_EQ(task.await(), 1);
  EXPECT_EQ(exit_of([&] { task.await(2ms); }), failed("timeout"_atom, "await", task, 2));
}

BEHAVIOUR_TEST(Task, TK_026_a_value_in_the_mailbox_is_returned_with_timeout_0) {
  const auto task = Task::async([] { return 1; });
  await_end_of(task);
  EXPECT_EQ(task.await(0s), 1);
}

BEHAVIOUR_TEST(Task, TK_027_a_trapping_owner_keeps_the_exit_message_of_a_good_end) {
  trap_exit(true);
  const auto task = Task::async([] { return 1; });
  EXPECT_EQ(task.await(), 1);
  await_end_of(task);
  EXPECT_EQ(exit_message_of(task.pid()), ExitReason::normal());
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_028_a_trapping_owner_fails_in_await_and_keeps_the_exit_message) {
  trap_exit(true);
  const auto task = Task::async(crash);
  EXPECT_EQ(exit_of([&] { task.await(); }), failed(boom, "await", task, 5000));
  EXPECT_EQ(exit_message_of(task.pid()), boom);
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_029_await_many_gives_the_values_in_the_order_of_the_tasks) {
  const auto slow = Task::async(held(1));
  const auto quick = Task::async([] { return std::string("two"); });
  const Pid waker = spawn([pid = slow.pid(), quick = quick.pid()] {
    await_end(quick);
    send(pid, Release{});
  });
  const auto [first, second] = await_many(5s, slow, quick);
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, "two");
  std::vector<IntTask> tasks;
  for (int i = 0; i < 20; ++i) tasks.push_back(Task::async([i] { return i * i; }));
  const std::vector<int> squares = await_many(tasks);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(squares[static_cast<std::size_t>(i)], i * i);
  EXPECT_TRUE(await_many(std::vector<IntTask>{}, 0s).empty());
  await_end(waker);
  for (const auto& task : tasks) await_end_of(task);
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_030_the_first_death_gives_all_up) {
  trap_exit(true);
  send(self(), 99);
  const auto held_back = Task::async(held(1));
  const auto crashing = Task::async(crash);
  const std::vector<IntTask> tasks{held_back, crashing};
  const Term shown = list(held_back.to_term(), crashing.to_term());
  EXPECT_EQ(exit_of([&] { static_cast<void>(await_many(tasks)); }),
            ExitReason(tuple(boom, tuple(Atom("Elixir.Task"), "await_many"_atom, list(shown, 5000)))));
  send(held_back.pid(), Release{});
  await_end_of(held_back);
  EXPECT_EQ(exit_message_of(crashing.pid()), boom);
  EXPECT_EQ(exit_message_of(held_back.pid()), ExitReason::normal());
  EXPECT_EQ(receive<int>(0s), 99);
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_030_so_does_the_timeout) {
  const auto held_back = Task::async(held(1));
  const auto done = Task::async([] { return 2; });
  const Term shown = list(held_back.to_term(), done.to_term());
  EXPECT_EQ(exit_of([&] { static_cast<void>(await_many(3ms, held_back, done)); }),
            ExitReason(tuple("timeout"_atom, tuple(Atom("Elixir.Task"), "await_many"_atom, list(shown, 3)))));
  send(held_back.pid(), Release{});
  await_end_of(held_back);
  await_end_of(done);
  EXPECT_EQ(messages(), 0u);
}

BEHAVIOUR_TEST(Task, TK_031_the_order_of_the_mailbox_decides) {
  trap_exit(true);
  const auto good = Task::async([] { return 1; });
  await_end_of(good);
  const auto bad = Task::async(crash);
  await_end_of(bad);
  EXPECT_EQ(exit_of([&] { static_cast<void>(await_many(5s, good, bad)); }).term()[0], Term(boom));
  const auto bad_first = Task::async(crash);
  await_end_of(bad_first);
  const auto late = Task::completed(1);
  EXPECT_EQ(exit_of([&] { static_cast<void>(await_many(5s, bad_first, late)); }).term()[0], Term(boom));
  EXPECT_EQ(late.await(0s), 1);  // its value was behind the death, and was not taken
}

BEHAVIOUR_TEST(Task, TK_032_no_timer_is_left_behind) {
  const auto task = Task::async([] { return 1; });
  EXPECT_EQ(std::get<0>(await_many(1h, task)), 1);
  EXPECT_EQ(messages(), 0u);  // and the harness finds no timer at the end
}
