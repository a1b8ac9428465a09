// SPDX-License-Identifier: Apache-2.0
//
// Timers: rules PR-090 to PR-105, and the timer service of PR-106. Lower bounds of time are checked on the runtime's own
// clock; there is no upper bound on real threads.
#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {

struct Tick {
  int number = 0;
};
struct Done {};

}  // namespace

BEHAVIOUR_TEST(Timers, PR_090_send_after_sends_the_bare_message_once_and_not_before_its_time) {
  const auto begin = monotonic_time();
  const Reference timer = send_after(self(), Tick{5}, 20ms);
  EXPECT_TRUE(static_cast<bool>(timer));
  EXPECT_EQ(receive<Tick>().number, 5);
  EXPECT_GE(monotonic_time() - begin, 20ms);
  EXPECT_FALSE(receive<Tick>(30ms).has_value());
}

BEHAVIOUR_TEST(Timers, PR_090_each_timer_has_its_own_reference) {
  const Reference first = send_after(self(), Tick{1}, 1h);
  const Reference second = send_after(self(), Tick{2}, 1h);
  EXPECT_NE(first, second);
  EXPECT_TRUE(cancel_timer(first).has_value());
  EXPECT_TRUE(read_timer(second).has_value());
  EXPECT_TRUE(cancel_timer(second).has_value());
}

BEHAVIOUR_TEST(Timers, PR_091_start_timer_wraps_the_message_with_its_reference) {
  const Reference timer = start_timer(5ms, self(), Tick{9});
  const auto timeout = receive<TimerTimeout<Tick>>();
  EXPECT_EQ(timeout.reference, timer);
  EXPECT_EQ(timeout.message.number, 9);
  register_name(self(), "by name");
  const Reference named = start_timer(0ms, "by name", Tick{10});
  const auto other = receive<TimerTimeout<Tick>>();
  EXPECT_EQ(other.reference, named);
  EXPECT_EQ(other.message.number, 10);
}

BEHAVIOUR_TEST(Timers, PR_092_a_timer_of_0_comes_after_a_message_sent_right_afterwards) {
  (void)send_after(self(), Tick{2}, 0ms);
  send(self(), Tick{1});
  EXPECT_EQ(receive<Tick>().number, 1);
  EXPECT_EQ(receive<Tick>().number, 2);
}

BEHAVIOUR_TEST(Timers, PR_093_a_name_is_resolved_when_the_timer_fires) {
  const Pid first = until_stopped();
  register_name(first, "target");
  (void)send_after("target", Tick{1}, 20ms);
  unregister_name("target");
  register_name(self(), "target");
  EXPECT_EQ(receive<Tick>().number, 1);
  EXPECT_EQ(process_info(first)->message_queue_len, 0u);
  finish(first);
}

BEHAVIOUR_TEST(Timers, PR_093_a_name_that_nobody_has_then_is_ignored) {
  const Reference timer = send_after("nobody", Tick{1}, 1ms);
  (void)send_after(self(), Tick{2}, 20ms);
  EXPECT_EQ(receive<Tick>().number, 2);
  while (read_timer(timer)) sleep_for(1ms);
  EXPECT_FALSE(receive<Tick>(5ms).has_value());
}

BEHAVIOUR_TEST(Timers, PR_093_a_pid_of_another_node_is_badarg) {
  Pid remote = self();
  remote.node = 1;
  EXPECT_TRUE(is_badarg([remote] { (void)send_after(remote, Tick{}, 1ms); }));
  EXPECT_TRUE(is_badarg([remote] { (void)start_timer(1ms, remote, Tick{}); }));
}

BEHAVIOUR_TEST(Timers, PR_094_a_negative_time_is_badarg) {
  EXPECT_TRUE(is_badarg([] { (void)send_after(self(), Tick{}, -1ms); }));
  EXPECT_TRUE(is_badarg([] { (void)send_after("anybody", Tick{}, -1ms); }));
  EXPECT_TRUE(is_badarg([] { (void)start_timer(-1ms, self(), Tick{}); }));
  EXPECT_FALSE(receive<Tick>(5ms).has_value());
}

BEHAVIOUR_TEST(Timers, PR_095_an_absolute_time_is_one_of_the_monotonic_clock) {
  const auto due = monotonic_time() + 20ms;
  const Reference timer = send_after(self(), Tick{1}, due, {.absolute = true});
  EXPECT_LE(read_timer(timer).value_or(0ms), 20ms);
  receive<Tick>();
  EXPECT_GE(monotonic_time(), due);
}

BEHAVIOUR_TEST(Timers, PR_095_an_absolute_time_that_is_past_fires_at_once) {
  sleep_for(10ms);
  (void)send_after(self(), Tick{1}, monotonic_time() - 5ms, {.absolute = true});
  EXPECT_EQ(receive<Tick>().number, 1);
  (void)start_timer(monotonic_time() - 5ms, self(), Tick{2}, {.absolute = true});
  EXPECT_EQ(receive<TimerTimeout<Tick>>().message.number, 2);
}

BEHAVIOUR_TEST(Timers, PR_095_an_absolute_time_before_the_start_is_badarg) {
  EXPECT_TRUE(is_badarg([] { (void)send_after(self(), Tick{}, 0ns, {.absolute = true}); }));
  EXPECT_TRUE(is_badarg([] { (void)send_after(self(), Tick{}, -1ns, {.absolute = true}); }));
}

BEHAVIOUR_TEST(Timers, PR_096_a_timer_to_a_pid_is_cancelled_when_the_process_dies) {
  const Pid target = until_stopped();
  const Reference first = send_after(target, Tick{}, 1h);
  const Reference second = start_timer(2h, target, Tick{});
  const Reference of_another = send_after(self(), Tick{}, 1h);
  EXPECT_TRUE(read_timer(first).has_value());
  EXPECT_TRUE(read_timer(second).has_value());
  finish(target);
  EXPECT_FALSE(read_timer(first).has_value());
  EXPECT_FALSE(read_timer(second).has_value());
  EXPECT_TRUE(cancel_timer(of_another).has_value());
}

BEHAVIOUR_TEST(Timers, PR_096_a_timer_to_a_dead_pid_is_never_started) {
  const Pid target = until_stopped();
  finish(target);
  const Reference timer = send_after(target, Tick{}, 1h);
  EXPECT_TRUE(static_cast<bool>(timer));
  EXPECT_FALSE(read_timer(timer).has_value());
  EXPECT_FALSE(cancel_timer(timer).has_value());
}

BEHAVIOUR_TEST(Timers, PR_096_a_timer_started_while_its_target_dies_is_gone_when_the_death_is_heard) {
  const auto [target, watch] = spawn_monitor([] {});
  const Reference timer = send_after(target, Tick{}, 1h);
  EXPECT_EQ(receive<Down>().reference, watch);
  EXPECT_FALSE(read_timer(timer).has_value());
}

BEHAVIOUR_TEST(Timers, PR_096_a_timer_to_a_name_outlives_the_process_that_had_it) {
  const Pid target = until_stopped();
  register_name(target, "heir");
  const Reference timer = send_after("heir", Tick{4}, 30ms);
  finish(target);
  register_name(self(), "heir");
  EXPECT_EQ(receive<Tick>().number, 4);
  EXPECT_FALSE(read_timer(timer).has_value());
}

BEHAVIOUR_TEST(Timers, PR_097_a_timer_outlives_the_process_that_started_it) {
  const Pid me = self();
  const auto [starter, watch] = spawn_monitor([me] { (void)send_after(me, Tick{6}, 20ms); });
  EXPECT_EQ(receive<Down>().reference, watch);
  EXPECT_EQ(receive<Tick>().number, 6);
  EXPECT_FALSE(alive(starter));
}

BEHAVIOUR_TEST(Timers, PR_098_read_timer_gives_the_time_that_is_left_or_nothing) {
  const Reference timer = send_after(self(), Tick{}, 1h);
  const auto left = read_timer(timer);
  ASSERT_TRUE(left.has_value());
  EXPECT_LE(*left, 1h);
  EXPECT_GT(*left, 59min);
  sleep_for(5ms);
  EXPECT_LE(*read_timer(timer), 1h - 5ms + 1ms);
  EXPECT_TRUE(cancel_timer(timer).has_value());
  EXPECT_FALSE(read_timer(timer).has_value());
  const Reference fires = send_after(self(), Tick{}, 1ms);
  receive<Tick>();
  EXPECT_FALSE(read_timer(fires).has_value());
  EXPECT_FALSE(read_timer(Reference{}).has_value());
  EXPECT_FALSE(read_timer(alias()).has_value());
}

BEHAVIOUR_TEST(Timers, PR_099_a_cancelled_timer_sends_nothing) {
  const Reference timer = send_after(self(), Tick{}, 10ms);
  const auto left = cancel_timer(timer);
  if (left) {
    EXPECT_LE(*left, 10ms);
    EXPECT_FALSE(receive<Tick>(30ms).has_value());
    EXPECT_FALSE(cancel_timer(timer).has_value());
  } else {  // ten milliseconds have passed between two statements
    EXPECT_TRUE(receive<Tick>(1s).has_value());
  }
}

BEHAVIOUR_TEST(Timers, PR_099_cancel_that_races_with_the_clock_never_lies) {
  for (int i = 0; i < 20; ++i) {
    const Reference timer = send_after(self(), Tick{i}, std::chrono::microseconds(100 * (i % 3)));
    if (i % 2 == 0) yield();
    if (cancel_timer(timer)) {
      EXPECT_FALSE(receive<Tick>(1ms).has_value());
    } else {
      EXPECT_EQ(receive<Tick>().number, i);  // PR-100: on its way if it is not here yet
    }
  }
}

BEHAVIOUR_TEST(Timers, PR_100_a_timer_that_cannot_be_cancelled_has_its_message_here_or_on_its_way) {
  const Reference timer = send_after(self(), Tick{1}, 1ms);
  sleep_for(20ms);
  EXPECT_FALSE(cancel_timer(timer).has_value());
  EXPECT_EQ(receive<Tick>().number, 1);
}

BEHAVIOUR_TEST(Timers, PR_101_an_asynchronous_cancel_answers_with_a_message) {
  const Reference timer = send_after(self(), Tick{}, 1h);
  EXPECT_FALSE(cancel_timer(timer, {.async = true}).has_value());
  TimerCancelled answer = receive<TimerCancelled>();
  EXPECT_EQ(answer.reference, timer);
  ASSERT_TRUE(answer.left.has_value());
  EXPECT_LE(*answer.left, 1h);
  EXPECT_GT(*answer.left, 59min);
  (void)cancel_timer(timer, {.async = true});
  answer = receive<TimerCancelled>();
  EXPECT_EQ(answer.reference, timer);
  EXPECT_FALSE(answer.left.has_value());
}

BEHAVIOUR_TEST(Timers, PR_102_a_cancel_without_info_gives_no_result) {
  const Reference first = send_after(self(), Tick{}, 1h);
  EXPECT_FALSE(cancel_timer(first, {.info = false}).has_value());
  EXPECT_FALSE(read_timer(first).has_value());  // it was cancelled all the same
  const Reference second = send_after(self(), Tick{}, 1h);
  EXPECT_FALSE(cancel_timer(second, {.async = true, .info = false}).has_value());
  EXPECT_FALSE(read_timer(second).has_value());
  EXPECT_FALSE(receive<TimerCancelled>(5ms).has_value());
}

BEHAVIOUR_TEST(Timers, PR_103_any_process_may_cancel_or_read_a_timer) {
  const Reference timer = send_after(self(), Tick{}, 1h);
  const Pid me = self();
  (void)spawn([me, timer] {
    EXPECT_TRUE(read_timer(timer).has_value());
    EXPECT_TRUE(cancel_timer(timer).has_value());
    send(me, Done{});
  });
  receive<Done>();
  EXPECT_FALSE(read_timer(timer).has_value());
}

BEHAVIOUR_TEST(Timers, PR_104_timers_fire_in_order_of_deadlines_that_are_far_apart) {
  for (int i = 5; i >= 1; --i) (void)send_after(self(), Tick{i}, std::chrono::milliseconds(20 * i));
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(receive<Tick>().number, i);
}

BEHAVIOUR_TEST(Timers, PR_098_PR_099_a_timer_of_infinity_never_fires_and_can_be_cancelled) {
  const Reference timer = send_after(self(), Done{}, infinity);
  EXPECT_FALSE(receive<Done>(100ms).has_value());
  EXPECT_GT(read_timer(timer).value(), 24h);
  EXPECT_GT(cancel_timer(timer).value(), 24h);
  EXPECT_FALSE(read_timer(timer).has_value());
}

BEHAVIOUR_TEST(Timers, PR_098_PR_100_a_reference_of_another_kind_or_another_node_is_no_timer) {
  const Reference timer = send_after(self(), Done{}, 60s);
  Reference elsewhere = timer;
  ++elsewhere.creation;
  Reference nowhere = timer;
  nowhere.words[2] = 1000;
  for (const Reference& other : {elsewhere, nowhere, alias()}) {
    EXPECT_FALSE(read_timer(other).has_value());
    EXPECT_FALSE(cancel_timer(other).has_value());
  }
  EXPECT_TRUE(cancel_timer(timer).has_value());
}

BEHAVIOUR_TEST(Timers, PR_105_no_timer_is_early) {
  const auto begin = monotonic_time();
  for (int i = 0; i < 30; ++i) (void)send_after(self(), Tick{i}, std::chrono::microseconds(370 * i));
  for (int i = 0; i < 30; ++i) {
    const int number = receive<Tick>().number;
    EXPECT_GE(monotonic_time() - begin, std::chrono::microseconds(370 * number));
  }
}

BEHAVIOUR_TEST(Timers, PR_105_no_wait_ends_early) {
  const auto begin = monotonic_time();
  sleep_for(1500us);
  EXPECT_GE(monotonic_time() - begin, 1500us);
  EXPECT_FALSE(receive<Tick>(700us).has_value());
  EXPECT_GE(monotonic_time() - begin, 2200us);
}

// -- the timer service ---------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(TimerService, PR_106_apply_after_runs_the_function_once_in_a_process_of_its_own) {
  const Pid me = self();
  const auto begin = monotonic_time();
  const auto handle = timer::apply_after(20ms, [me] { send(me, self()); });
  ASSERT_TRUE(handle.has_value());
  EXPECT_NE(receive<Pid>(), me);
  EXPECT_GE(monotonic_time() - begin, 20ms);
  EXPECT_FALSE(receive<Pid>(60ms).has_value());
}

BEHAVIOUR_TEST(TimerService, PR_106_apply_after_does_not_depend_on_its_creator) {
  const Pid me = self();
  const auto [creator, watch] = spawn_monitor([me] { (void)timer::apply_after(20ms, [me] { send(me, Done{}); }); });
  EXPECT_EQ(receive<Down>().reference, watch);
  receive<Done>();
  EXPECT_FALSE(alive(creator));
}

BEHAVIOUR_TEST(TimerService, PR_106_apply_interval_runs_again_and_again_until_it_is_cancelled) {
  const Pid me = self();
  const auto begin = monotonic_time();
  const auto handle = timer::apply_interval(10ms, [me] { send(me, Tick{}); });
  for (int i = 1; i <= 3; ++i) {
    receive<Tick>();
    EXPECT_GE(monotonic_time() - begin, 10ms * i);
  }
  EXPECT_TRUE(timer::cancel(*handle).has_value());
  while (receive<Tick>(0ms)) {
  }
  // What was started before the cancel may still come; the timer itself does nothing more.
  int late = 0;
  while (receive<Tick>(50ms)) ++late;
  EXPECT_LE(late, 1);
}

BEHAVIOUR_TEST(TimerService, PR_106_apply_interval_ends_with_its_creator) {
  const Pid me = self();
  const Pid creator = spawn([me] {
    (void)timer::apply_interval(10ms, [me] { send(me, Tick{}); });
    receive<Stop>();
  });
  receive<Tick>();
  receive<Tick>();
  finish(creator);
  int late = 0;
  while (late < 100 && receive<Tick>(50ms)) ++late;
  EXPECT_LT(late, 100);
}

BEHAVIOUR_TEST(TimerService, PR_106_a_crash_of_the_function_does_not_end_the_interval) {
  const Pid me = self();
  const auto handle = timer::apply_interval(5ms, [me] {
    send(me, Tick{});
    exit(ExitReason("crash"_atom));
  });
  for (int i = 0; i < 3; ++i) receive<Tick>();
  EXPECT_TRUE(timer::cancel(*handle).has_value());
}

BEHAVIOUR_TEST(TimerService, PR_106_send_interval_sends_copies_until_it_is_cancelled) {
  const auto handle = timer::send_interval(10ms, self(), Tick{3});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive<Tick>().number, 3);
  EXPECT_TRUE(timer::cancel(*handle).has_value());
  while (receive<Tick>(0ms)) {
  }
  EXPECT_FALSE(receive<Tick>(50ms).has_value());  // nothing is sent once cancel has returned
}

BEHAVIOUR_TEST(TimerService, PR_106_send_interval_ends_with_its_target_and_not_with_its_creator) {
  const Pid me = self();
  const auto [creator, watch] = spawn_monitor([me] { (void)timer::send_interval(10ms, me, Tick{1}); });
  EXPECT_EQ(receive<Down>().reference, watch);
  receive<Tick>();
  receive<Tick>();

  const Pid target = until_stopped();
  const std::size_t before = processes().size();
  const auto handle = timer::send_interval(10ms, target, Tick{2});
  EXPECT_EQ(processes().size(), before + 1);
  finish(target);
  for (int i = 0; i < 10'000 && processes().size() >= before; ++i) sleep_for(1ms);
  EXPECT_LT(processes().size(), before);  // target and timer are both gone
  EXPECT_TRUE(timer::cancel(*handle).has_value());
  EXPECT_FALSE(alive(creator));
}

BEHAVIOUR_TEST(TimerService, PR_106_send_interval_to_a_name) {
  register_name(self(), "ticker");
  const auto handle = timer::send_interval(5ms, "ticker", Tick{8});
  EXPECT_EQ(receive<Tick>().number, 8);
  EXPECT_EQ(receive<Tick>().number, 8);
  EXPECT_TRUE(timer::cancel(*handle).has_value());
  const auto refused = timer::send_interval(5ms, "nobody at all", Tick{});
  EXPECT_FALSE(refused.has_value());
  EXPECT_EQ(refused.reason(), "badarg"_atom);
}

BEHAVIOUR_TEST(TimerService, PR_106_exit_after_sends_an_exit_signal) {
  const auto [target, watch] = spawn_monitor([] { receive<Stop>(); });
  const auto begin = monotonic_time();
  EXPECT_TRUE(timer::exit_after(20ms, target, ExitReason("too_late"_atom)).has_value());
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, watch);
  EXPECT_EQ(down.pid, target);
  EXPECT_EQ(down.reason, "too_late"_atom);
  EXPECT_GE(monotonic_time() - begin, 20ms);
}

BEHAVIOUR_TEST(TimerService, PR_106_exit_after_can_be_trapped_and_kill_after_cannot) {
  const Pid me = self();
  const auto [target, watch] = spawn_monitor([me] {
    trap_exit(true);
    EXPECT_TRUE(timer::exit_after(5ms, ExitReason("soft"_atom)).has_value());  // to the caller
    EXPECT_EQ(receive<ExitMessage>().reason, "soft"_atom);
    send(me, Done{});
    EXPECT_TRUE(timer::kill_after(5ms).has_value());
    sleep_for(infinity);
  });
  receive<Done>();
  const Down down = receive<Down>();
  EXPECT_EQ(down.pid, target);
  EXPECT_EQ(down.reference, watch);
  EXPECT_EQ(down.reason, ExitReason::killed());
}

BEHAVIOUR_TEST(TimerService, PR_106_a_cancelled_timer_does_nothing) {
  const Pid target = until_stopped();
  const auto handle = timer::kill_after(50ms, target);
  EXPECT_TRUE(timer::cancel(*handle).has_value());
  sleep_for(80ms);
  // Fifty milliseconds are a long time for three statements, but no promise: the timer may have been first.
  if (alive(target)) finish(target);
  const Pid me = self();
  const auto later = timer::apply_after(1h, [me] { send(me, Done{}); });
  EXPECT_TRUE(timer::cancel(*later).has_value());
  EXPECT_FALSE(receive<Done>(2ms).has_value());
}

BEHAVIOUR_TEST(TimerService, PR_106_cancel_is_ok_for_a_timer_that_has_ended_and_badarg_for_what_is_none) {
  const Pid me = self();
  const auto handle = timer::apply_after(1ms, [me] { send(me, Done{}); });
  receive<Done>();
  EXPECT_TRUE(timer::cancel(*handle).has_value());
  EXPECT_TRUE(timer::cancel(*handle).has_value());
  const Result<> refused = timer::cancel(timer::TimerHandle{});
  EXPECT_FALSE(refused.has_value());
  EXPECT_EQ(refused.reason(), "badarg"_atom);
}

BEHAVIOUR_TEST(TimerService, PR_106_any_process_may_cancel) {
  const Pid me = self();
  const auto handle = timer::send_interval(10ms, me, Tick{});
  const auto [other, watch] = spawn_monitor([handle] { EXPECT_TRUE(timer::cancel(*handle).has_value()); });
  EXPECT_EQ(receive<Down>().reference, watch);
  while (receive<Tick>(0ms)) {
  }
  EXPECT_FALSE(receive<Tick>(50ms).has_value());
  EXPECT_NE(other, me);
}

BEHAVIOUR_TEST(TimerService, PR_106_a_time_that_is_none_is_badarg) {
  const Pid me = self();
  const auto refused = [](const Result<timer::TimerHandle>& result) {
    return !result.has_value() && result.reason() == "badarg"_atom;
  };
  EXPECT_TRUE(refused(timer::apply_after(-1ms, [] {})));
  EXPECT_TRUE(refused(timer::apply_after(infinity, [] {})));
  EXPECT_TRUE(refused(timer::apply_interval(0ms, [] {})));
  EXPECT_TRUE(refused(timer::apply_interval(-1ms, [] {})));
  EXPECT_TRUE(refused(timer::send_interval(0ms, me, Tick{})));
  EXPECT_TRUE(refused(timer::exit_after(-1ms, me, ExitReason::shutdown())));
  EXPECT_TRUE(refused(timer::kill_after(-1ms, me)));
  EXPECT_EQ(processes(), std::vector<Pid>{me});
}
