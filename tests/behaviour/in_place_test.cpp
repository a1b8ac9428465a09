// SPDX-License-Identifier: Apache-2.0
//
// Handlers that have promised never to wait, which an idle server runs on its caller's stack: nobody can tell but by the
// clock. Each test sees the same with that forced on, forced off, and left to the seed.
#include <string>
#include <vector>

#include "behaviour/in_place_support.hpp"

using namespace in_place;

#define IN_PLACE_TEST(name) CALL_TEST_IN_ALL_WAYS(InPlace, name)

namespace {

ExitReason broken_promise() { return ExitReason(tuple(Atom("never_waits"), Atom("do"))); }

// What the caller is told and what the server ends with, after it has waited so.
void expect_end(Wait how, const ExitReason& wanted) {
  const auto server = Quick::start(self()).value();
  const Reference watch = monitor(server.pid());
  const auto outcome = server.try_call(Quick::Do{how}, infinity);
  ASSERT_FALSE(outcome) << static_cast<int>(how);
  EXPECT_EQ(outcome.reason(), wanted) << static_cast<int>(how);
  EXPECT_EQ(await_reason(watch), wanted) << static_cast<int>(how);
  EXPECT_EQ(receive<Terminated>().reason, wanted) << static_cast<int>(how);
  EXPECT_EQ(mailbox_length(), 0u);
}

IN_PLACE_TEST(calls_are_answered_in_order_with_others_between_them) {
  const auto server = Quick::start().value();
  int sum = 0;
  for (int i = 1; i <= 100; ++i) {
    sum += i;
    EXPECT_EQ(server.call(Quick::Add{i}), sum);
    if (i % 10 == 0) {
      EXPECT_EQ(server.call(Quick::SlowGet{}), sum);
    }
  }
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

IN_PLACE_TEST(whatever_waits_ends_the_server_with_the_broken_promise) {
  for (const Wait how :
       {Wait::receive, Wait::sleep, Wait::call, Wait::call_nobody, Wait::start, Wait::task, Wait::hibernate}) {
    expect_end(how, broken_promise());
  }
}

IN_PLACE_TEST(a_start_that_may_not_be_waited_for_starts_nobody) {
  const std::size_t before = processes().size();
  expect_end(Wait::start, broken_promise());
  EXPECT_EQ(processes().size(), before);
}

// The handler that goes on has replied; then its server ends all the same.
IN_PLACE_TEST(whoever_swallows_the_end_ends_when_the_handler_returns) {
  const auto server = Quick::start(self()).value();
  EXPECT_EQ(server.call(Quick::Do{Wait::swallow_once}), 1);
  EXPECT_EQ(receive<Terminated>().reason, broken_promise());
}

IN_PLACE_TEST(what_only_looks_or_lets_others_run_is_no_wait) {
  const auto server = Quick::start().value();
  int sum = 0;
  for (const Wait how : {Wait::look, Wait::yield, Wait::checkpoint}) EXPECT_EQ(server.call(Quick::Do{how}), ++sum);
  server.stop();
}

IN_PLACE_TEST(a_cast_has_promised_nothing) {
  const auto server = Quick::start().value();
  server.cast(Quick::DoAsCast{Wait::sleep});
  EXPECT_EQ(server.call(Quick::SlowGet{}), 1);
  server.stop();
}

IN_PLACE_TEST(a_wait_while_an_exception_is_under_way_returns_and_ends_the_server) {
  expect_end(Wait::in_a_destructor, broken_promise());
}

IN_PLACE_TEST(a_handler_that_throws_ends_its_server_which_has_died_before_the_caller_hears_of_it) {
  const auto server = Quick::start_as({.name = "quick"}, self()).value();
  const Reference watch = monitor(server.pid());
  EXPECT_TRUE(is_exception(server.try_call(Quick::Raise{"thrown"}).reason(), "thrown"));
  EXPECT_FALSE(whereis("quick"));
  EXPECT_FALSE(alive(server.pid()));
  EXPECT_TRUE(is_exception(receive<Terminated>(0ms).value().reason, "thrown"));
  EXPECT_EQ(receive<Down>(0ms).value().reference, watch);
}

IN_PLACE_TEST(a_handler_may_exit) {
  const auto server = Quick::start(self()).value();
  EXPECT_EQ(server.try_call(Quick::Leave{}).reason(), ExitReason(Atom("had_enough")));
  EXPECT_EQ(receive<Terminated>().reason, ExitReason(Atom("had_enough")));
}

IN_PLACE_TEST(a_handler_may_stop_its_server_and_the_reply_comes_after_terminate) {
  const auto first = Quick::start().value();
  EXPECT_EQ(first.call(Quick::Stop{true, self()}), 5);
  EXPECT_EQ(receive<Terminated>(0ms).value().reason, ExitReason(boom));
  await_end(first.pid());
  const auto second = Quick::start().value();
  EXPECT_EQ(second.try_call(Quick::Stop{false, self()}).reason(), ExitReason(boom));
  EXPECT_EQ(receive<Terminated>(0ms).value().reason, ExitReason(boom));
}

IN_PLACE_TEST(a_continuation_runs_before_the_next_message_and_may_wait) {
  const auto server = Quick::start().value();
  EXPECT_EQ(server.call(Quick::Continue{self()}), 1);
  EXPECT_EQ(server.call(Quick::Add{1}, infinity), 101);
  server.stop();
}

IN_PLACE_TEST(timeouts_for_inactivity_are_set_and_cancelled) {
  const auto server = Quick::start().value();
  EXPECT_EQ(server.call(Quick::Arm{self(), 1h}), 1);
  EXPECT_EQ(server.call(Quick::Add{1}), 1);
  EXPECT_EQ(server.call(Quick::Arm{self(), 1ms}), 1);
  EXPECT_EQ(receive<Note>().number, 1);
  EXPECT_EQ(mailbox_length(), 0u);
  kill_and_wait(server.pid());
}

IN_PLACE_TEST(a_bad_return_ends_the_server) {
  const auto server = Quick::start().value();
  const ExitReason bad(tuple(Atom("bad_return_value"), tuple(Atom("timeout"), -1)));
  EXPECT_EQ(server.try_call(Quick::Bad{}).reason(), bad);
  await_end(server.pid());
}

IN_PLACE_TEST(the_handler_runs_as_the_server) {
  const auto server = Quick::start().value();
  dictionary::put("value", "the caller's");
  EXPECT_EQ(server.call(Quick::Who{}), server.pid());
  EXPECT_TRUE(server.call(Quick::Remember{5}).is_nil());
  EXPECT_EQ(server.call(Quick::Remember{6}), Term(5));
  EXPECT_EQ(dictionary::get("value"), Term("the caller's"));
  EXPECT_EQ(self(), process_info(self())->pid);
  server.stop();
}

IN_PLACE_TEST(the_handler_does_not_see_the_exceptions_of_its_caller) {
  const auto server = Quick::start().value();
  struct Calls {
    const ServerRef<Quick>& server;
    int& seen;
    ~Calls() { seen = server.try_call(Quick::Uncaught{}).value_or(-1); }
  };
  int seen = -1;
  try {
    const Calls at_the_end{server, seen};
    throw std::runtime_error("the caller's");
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(server.call(Quick::Uncaught{}), 0);
    EXPECT_STREQ(error.what(), "the caller's");
    EXPECT_NE(std::current_exception(), nullptr);
  }
  EXPECT_EQ(seen, 0);
  server.stop();
}

IN_PLACE_TEST(what_the_server_sends_before_it_replies_is_there_when_the_call_returns) {
  const auto server = Quick::start().value();
  EXPECT_EQ(server.call(Quick::Tell{self(), 5}), 5);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(receive<Note>(0ms).value().number, i);
  server.stop();
}

IN_PLACE_TEST(a_kill_that_the_server_sends_before_its_reply_ends_the_caller) {
  const auto server = Quick::start().value();
  const Pid me = self();
  const auto [caller, watch] = spawn_monitor([=] {
    (void)server.try_call(Quick::KillCaller{}, infinity);
    send(me, Note{1});
  });
  EXPECT_EQ(await_reason(watch), ExitReason::killed());
  EXPECT_EQ(server.call(Quick::Add{1}), 1);
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

IN_PLACE_TEST(a_server_that_kills_itself_has_no_terminate) {
  const auto server = Quick::start(self()).value();
  const Reference watch = monitor(server.pid());
  (void)server.try_call(Quick::KillSelf{}, infinity);
  EXPECT_EQ(await_reason(watch), ExitReason::killed());
  EXPECT_FALSE(receive<Terminated>(0ms));
}

IN_PLACE_TEST(another_process_may_answer_later) {
  const auto server = Quick::start().value();
  const Pid helper = spawn([] {
    for (;;) receive([](Handed&& handed) { handed.from.reply(9); });
  });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(server.call(Quick::Defer{helper}), 9);
  kill_and_wait(helper);
  EXPECT_EQ(server.try_call(Quick::Defer{helper}).reason(), Atom("no_reply"));
  EXPECT_EQ(server.try_call(Quick::Drop{}).reason(), Atom("no_reply"));
  server.stop();
}

IN_PLACE_TEST(a_caller_whose_answer_is_late_gets_its_timeout) {
  const auto server = Quick::start().value();
  const auto begin = monotonic_time();
  EXPECT_EQ(server.try_call(Quick::Defer{self()}, 10ms).reason(), ExitReason::timeout());
  EXPECT_GE(monotonic_time() - begin, 10ms);
  receive([](Handed&& handed) { handed.from.reply(9); });
  EXPECT_EQ(server.try_call(Quick::Add{1}, 0ms).reason(), ExitReason::timeout());
  EXPECT_EQ(server.call(Quick::Add{1}), 2);
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

IN_PLACE_TEST(a_handler_may_fail_after_it_has_replied) {
  const auto server = Quick::start(self()).value();
  EXPECT_EQ(server.call(Quick::ReplyThenRaise{}), 3);
  EXPECT_TRUE(is_exception(receive<Terminated>().reason, "after the reply"));
}

IN_PLACE_TEST(a_suspended_server_answers_when_it_is_resumed) {
  const auto server = Quick::start().value();
  const Pid me = self();
  sys::suspend(server.pid());
  EXPECT_EQ(server.try_call(Quick::Add{1}, 1ms).reason(), ExitReason::timeout());
  spawn([=] { send(me, Note{server.call(Quick::Add{1}, infinity)}); });
  sys::resume(server.pid());
  EXPECT_EQ(receive<Note>().number, 2);
  server.stop();
}

IN_PLACE_TEST(debug_functions_see_the_call) {
  const auto server = Quick::start().value();
  sys::statistics(server.pid(), true);
  EXPECT_EQ(server.call(Quick::Add{1}), 1);
  EXPECT_EQ(server.call(Quick::Add{1}), 2);
  EXPECT_EQ(sys::get_statistics(server.pid()).value().messages_in, 2u);
  server.stop();
}

// The last of the chain runs in place under a caller that itself runs by hand-off, for one that has not committed its wait.
IN_PLACE_TEST(a_chain_of_hand_offs_ends_in_place) {
  std::vector<Pid> chain{Quick::start().value()};
  for (int i = 0; i < 10; ++i) chain.push_back(Forwarder::start().value());
  const ServerRef<Forwarder> first(chain.back());
  const std::vector<Pid> rest(chain.begin(), chain.end() - 1);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(first.call(Forwarder::Ask{rest}), 9 + i);
  for (const Pid& pid : chain) kill_and_wait(pid);
}

IN_PLACE_TEST(many_callers_get_an_answer_each) {
  constexpr int callers = 8;
  constexpr int calls = 50;
  const auto server = Quick::start().value();
  const Pid me = self();
  for (int i = 0; i < callers; ++i) {
    spawn([=] {
      for (int k = 0; k < calls; ++k) {
        (void)server.call(Quick::Add{1}, infinity);
        if (k % 7 == 0) yield();
      }
      send(me, Note{calls});
    });
  }
  for (int i = 0; i < callers; ++i) receive<Note>();
  EXPECT_EQ(server.call(Quick::Add{0}, infinity), callers * calls);
  server.stop();
}

// What it waits for comes at the same time as calls that it would handle in place if it were idle.
IN_PLACE_TEST(a_server_that_waits_in_another_handler_is_not_idle) {
  const auto server = Quick::start().value();
  const Pid me = self();
  for (int i = 1; i <= 20; ++i) {
    spawn([=] { send(me, Told{server.call(Quick::GetWhenTold{me}, infinity), {}}); });
    receive<Ready>();
    spawn([=] { send(server.pid(), Go{}); });
    spawn([=] { send(me, Note{server.call(Quick::Add{1}, infinity)}); });
    EXPECT_EQ(receive<Told>().index, i - 1);
    EXPECT_EQ(receive<Note>().number, i);
  }
  server.stop();
}

// Whoever never stops to swallow the end of its process takes its caller with it, if that lies beneath.
IN_PLACE_TEST(a_server_that_swallows_its_end_for_ever_is_abandoned) {
  const auto server = Quick::start().value();
  const Reference watch = monitor(server.pid());
  const Pid me = self();
  const auto [caller, end] =
      spawn_monitor([=] { send(me, Finished{server.try_call(Quick::Do{Wait::swallow_for_ever}, infinity).reason()}); });
  EXPECT_EQ(await_reason(watch), broken_promise());
  const ExitReason reason = await_reason(end);
  if (reason.is_normal()) {
    EXPECT_EQ(receive<Finished>().reason, broken_promise());
  } else {
    EXPECT_EQ(reason, ExitReason(tuple(Atom("buried"), server.pid())));
  }
}

TEST(InPlace, a_blocking_call_ends_the_server_too) {
  for (const HandOff mode : {HandOff::always, HandOff::never}) {
    behaviour::on_threads([] { expect_end(Wait::block, broken_promise()); }, {.hand_off = mode});
  }
}

TEST(InPlace, it_is_used_where_it_is_forced_and_not_where_it_is_forbidden) {
  for (const HandOff mode : {HandOff::always, HandOff::never}) {
    behaviour::on_threads(
        [mode] {
          const auto server = Quick::start().value();
          for (int i = 0; i < 3; ++i) EXPECT_EQ(server.call(Quick::IsCallerCommitted{}), mode == HandOff::never);
          server.stop();
        },
        {.schedulers = 1, .hand_off = mode});
  }
}

TEST(InPlace, a_caller_and_its_server_let_others_run) {
  for (const HandOff mode : {HandOff::always, HandOff::never}) {
    behaviour::on_threads(
        [] {
          const auto server = Quick::start().value();
          const Pid me = self();
          const auto [caller, watch] = spawn_monitor([=] {
            send(me, Go{});
            for (;;) server.call(Quick::Add{1});
          });
          receive<Go>();
          (void)send_after(me, Note{1}, 1ms);
          receive<Note>();
          exit(caller, ExitReason::kill());
          EXPECT_EQ(await_reason(watch), ExitReason::killed());
          server.stop();
        },
        {.schedulers = 1, .hand_off = mode});
  }
}

TEST(InPlace, a_thread_that_is_no_process_calls_in_place_as_well) {
  Runtime runtime({.schedulers = 1, .hand_off = HandOff::always});
  const Runtime::Scope scope(runtime);
  const auto server = Quick::start().value();
  for (int i = 1; i <= 10; ++i) EXPECT_EQ(server.call(Quick::Add{1}), i);
  EXPECT_TRUE(is_exception(server.try_call(Quick::Raise{"thrown"}).reason(), "thrown"));
}

}  // namespace
