// SPDX-License-Identifier: Apache-2.0
//
// Calls by hand-off: nobody can tell them from calls through the mailbox. Each test runs three times, with hand-off
// forced on, forced off, and left to the seed (on threads: on), and must see the same.
#include <string>
#include <vector>

#include "behaviour/hand_off_support.hpp"
#include "runtime/core.hpp"

using namespace calls;

#define HAND_OFF_TEST(name) CALL_TEST_IN_ALL_WAYS(HandOff, name)

namespace {

struct Note {
  int number;
};

// Does within its handler what it is told to do before it answers.
class Callee : public GenServer<Callee> {
 public:
  struct Plain {
    using Reply = int;
  };
  struct WaitForGo {
    using Reply = int;
    Pid test;
  };
  struct KillCaller {
    using Reply = int;
    bool yields;  // before it replies
  };
  struct Tell {
    using Reply = int;
    Pid whom;
    int count;
  };
  struct Throw {
    using Reply = int;
  };
  struct Ask {
    using Reply = ProcessInfo;
    Pid whom;
  };
  struct Who {
    using Reply = Pid;
  };
  struct Remember {
    using Reply = Term;
    int value;
  };
  struct ReplyThenSleep {
    using Reply = int;
    Pid test;
  };
  struct Defer {
    using Reply = int;
    Pid whom;
  };
  struct Arm {
    using Reply = int;
    Pid test;
    std::chrono::milliseconds time;
  };

  struct HasCallerCommitted {  // its wait; no observer could ask so
    using Reply = bool;
  };

  int handle_call(Plain) { return ++calls_; }
  int handle_call(WaitForGo message) {
    send(message.test, Ready{coppice::self()});
    receive<Go>();
    return ++calls_;
  }
  void handle_call(KillCaller message, From<int> from) {
    coppice::exit(from.pid(), ExitReason::kill());
    if (message.yields) yield();
    from.reply(1);
  }
  int handle_call(Tell message) {
    for (int i = 0; i < message.count; ++i) send(message.whom, Note{i});
    return message.count;
  }
  int handle_call(Throw) { throw std::runtime_error("thrown"); }
  ProcessInfo handle_call(Ask message) { return process_info(message.whom).value(); }
  Pid handle_call(Who) { return coppice::self(); }
  Term handle_call(Remember message) { return dictionary::put("value", message.value); }
  void handle_call(ReplyThenSleep message, From<int> from) {
    from.reply(7);
    sleep_for(1h);
    send(message.test, Note{1});
  }
  void handle_call(Defer message, From<int> from) { send(message.whom, Handed{std::move(from)}); }
  Answer<int> handle_call(Arm message) {
    test_ = message.test;
    return reply(1).timeout(message.time);
  }
  void handle_call(HasCallerCommitted, From<bool> from) {
    runtime::Core& core = runtime::this_worker()->core();
    from.reply((core.table().line(from.pid()).head.load() & runtime::head::waiting) != 0);
  }
  void handle_info(Timeout) { send(test_, Note{calls_}); }

 private:
  int calls_ = 0;
  Pid test_;
};

// Calls the next one of a chain from within its handler.
class Chained : public GenServer<Chained> {
 public:
  struct Sum {
    using Reply = int;
    std::vector<Pid> rest;
  };
  int handle_call(Sum message) {
    if (message.rest.empty()) return 1;
    const ServerRef<Chained> next(message.rest.back());
    message.rest.pop_back();
    return 1 + next.call(Sum{std::move(message.rest)}, infinity);
  }
};

HAND_OFF_TEST(calls_are_answered_in_order) {
  const auto server = Callee::start().value();
  for (int i = 1; i <= 100; ++i) EXPECT_EQ(server.call(Callee::Plain{}), i);
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

HAND_OFF_TEST(a_handler_may_wait) {
  const auto server = Callee::start().value();
  const Pid me = self();
  const auto [caller, watch] = spawn_monitor([=] { send(me, Note{server.call(Callee::WaitForGo{me}, infinity)}); });
  EXPECT_EQ(receive<Ready>().pid, server.pid());
  send(server.pid(), Go{});
  EXPECT_EQ(receive<Note>().number, 1);
  EXPECT_TRUE(await_reason(watch).is_normal());
  server.stop();
}

HAND_OFF_TEST(a_caller_whose_server_waits_too_long_gets_its_timeout) {
  const auto server = Callee::start().value();
  const auto begin = monotonic_time();
  EXPECT_EQ(server.try_call(Callee::WaitForGo{self()}, 10ms).reason(), ExitReason::timeout());
  EXPECT_GE(monotonic_time() - begin, 10ms);
  EXPECT_EQ(receive<Ready>().pid, server.pid());
  send(server.pid(), Go{});
  EXPECT_EQ(server.call(Callee::Plain{}, infinity), 2);  // the request was handled all the same
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

HAND_OFF_TEST(a_timeout_of_nothing_is_a_timeout_though_the_server_is_idle) {
  const auto server = Callee::start().value();
  EXPECT_EQ(server.try_call(Callee::Plain{}, 0ms).reason(), ExitReason::timeout());
  EXPECT_EQ(server.call(Callee::Plain{}), 2);
  server.stop();
}

HAND_OFF_TEST(servers_call_each_other_in_a_chain) {
  std::vector<Pid> chain;
  for (int i = 0; i < 20; ++i) chain.push_back(Chained::start().value());
  const ServerRef<Chained> first(chain.back());
  std::vector<Pid> rest(chain.begin(), chain.end() - 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(first.call(Chained::Sum{rest}), 20);
  for (const Pid& pid : chain) ServerRef<Chained>(pid).stop();
}

HAND_OFF_TEST(a_circle_of_calls_is_a_deadlock) {
  const Pid first = Chained::start().value();
  const Pid second = Chained::start().value();
  const ExitReason reason = ServerRef<Chained>(first).try_call(Chained::Sum{{first, second}}, infinity).reason();
  const Term circle = tuple(Atom("deadlock"), std::vector<Pid>{second, first, second});
  EXPECT_NE(inspect(reason.term()).find(inspect(circle)), std::string::npos) << reason;
  await_end(first);
  await_end(second);
}

template <class M>
void check_kill_of_the_caller(M message) {
  const auto server = Callee::start().value();
  const Pid me = self();
  const auto [caller, watch] = spawn_monitor([=] {
    (void)server.try_call(message, infinity);
    send(me, Note{1});
  });
  EXPECT_EQ(await_reason(watch), ExitReason::killed());
  EXPECT_EQ(server.call(Callee::Plain{}), 1);
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

HAND_OFF_TEST(a_kill_that_the_server_sends_before_its_reply_ends_the_caller) {
  check_kill_of_the_caller(Callee::KillCaller{.yields = false});
}

HAND_OFF_TEST(a_kill_that_the_server_sends_before_it_waits_ends_the_caller) {
  check_kill_of_the_caller(Callee::KillCaller{.yields = true});
}

HAND_OFF_TEST(a_caller_can_be_killed_while_its_server_waits) {
  const auto server = Callee::start().value();
  const Pid me = self();
  const Pid caller = spawn([=] { (void)server.try_call(Callee::WaitForGo{me}, infinity); });
  receive<Ready>();
  kill_and_wait(caller);
  send(server.pid(), Go{});
  EXPECT_EQ(server.call(Callee::Plain{}), 2);
  server.stop();
}

HAND_OFF_TEST(a_server_can_be_killed_while_it_waits_in_a_call) {
  const auto server = Callee::start().value();
  const Pid me = self();
  spawn([=] { send(me, Told{0, server.try_call(Callee::WaitForGo{me}, infinity).reason()}); });
  receive<Ready>();
  kill_and_wait(server.pid());
  EXPECT_EQ(receive<Told>().reason, ExitReason::killed());
}

HAND_OFF_TEST(what_the_server_sends_before_it_replies_is_there_when_the_call_returns) {
  const auto server = Callee::start().value();
  EXPECT_EQ(server.call(Callee::Tell{self(), 5}), 5);
  for (int i = 0; i < 5; ++i) {
    const auto note = receive<Note>(0ms);
    ASSERT_TRUE(note);
    EXPECT_EQ(note->number, i);
  }
  server.stop();
}

HAND_OFF_TEST(a_server_that_throws_has_died_before_its_caller_hears_of_it) {
  const auto server = Callee::start_as({.name = "callee"}).value();
  const Reference watch = monitor(server.pid());
  EXPECT_TRUE(is_exception(server.try_call(Callee::Throw{}).reason(), "thrown"));
  EXPECT_FALSE(whereis("callee"));
  EXPECT_FALSE(alive(server.pid()));
  const auto down = receive<Down>(0ms);
  ASSERT_TRUE(down);
  EXPECT_EQ(down->reference, watch);
}

HAND_OFF_TEST(the_handler_runs_as_the_server) {
  const auto server = Callee::start().value();
  dictionary::put("value", "the caller's");
  EXPECT_EQ(server.call(Callee::Who{}), server.pid());
  EXPECT_TRUE(server.call(Callee::Remember{5}).is_nil());
  EXPECT_EQ(server.call(Callee::Remember{6}), Term(5));
  EXPECT_EQ(dictionary::get("value"), Term("the caller's"));
  EXPECT_EQ(process_info(server.pid())->dictionary.size(), 1u);
  server.stop();
}

HAND_OFF_TEST(a_caller_shows_itself_as_waiting) {
  const auto server = Callee::start().value();
  send(self(), Note{1});
  const ProcessInfo seen = server.call(Callee::Ask{self()});
  EXPECT_EQ(seen.pid, self());
  EXPECT_EQ(seen.status, ProcessStatus::waiting);
  EXPECT_EQ(seen.message_queue_len, 1u);
  EXPECT_EQ(receive<Note>().number, 1);
  server.stop();
}

HAND_OFF_TEST(a_server_that_goes_on_after_its_reply_does_not_hold_its_caller) {
  const auto server = Callee::start().value();
  const auto begin = monotonic_time();
  EXPECT_EQ(server.call(Callee::ReplyThenSleep{self()}), 7);
  EXPECT_LT(monotonic_time() - begin, 1h);
  kill_and_wait(server.pid());
}

HAND_OFF_TEST(another_process_may_answer) {
  const auto server = Callee::start().value();
  const Pid helper = spawn([] {
    for (;;) receive([](Handed&& handed) { handed.from.reply(9); });
  });
  for (int i = 0; i < 5; ++i) EXPECT_EQ(server.call(Callee::Defer{helper}), 9);
  kill_and_wait(helper);
  EXPECT_EQ(server.try_call(Callee::Defer{helper}).reason(), Atom("no_reply"));
  server.stop();
}

HAND_OFF_TEST(a_call_cancels_the_timeout_for_inactivity) {
  const auto server = Callee::start().value();
  EXPECT_EQ(server.call(Callee::Arm{self(), 1h}), 1);
  EXPECT_EQ(server.call(Callee::Plain{}), 1);
  EXPECT_EQ(server.call(Callee::Arm{self(), 1ms}), 1);
  EXPECT_EQ(receive<Note>().number, 1);
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

HAND_OFF_TEST(a_suspended_server_answers_when_it_is_resumed) {
  const auto server = Callee::start().value();
  const Pid me = self();
  sys::suspend(server.pid());
  EXPECT_EQ(server.try_call(Callee::Plain{}, 1ms).reason(), ExitReason::timeout());
  spawn([=] { send(me, Note{server.call(Callee::Plain{}, infinity)}); });
  sys::resume(server.pid());
  EXPECT_EQ(receive<Note>().number, 2);
  server.stop();
}

TEST(HandOff, it_is_used_where_it_is_forced_and_not_where_it_is_forbidden) {
  for (const HandOff mode : {HandOff::always, HandOff::never}) {
    behaviour::on_threads(
        [mode] {
          const auto server = Callee::start().value();  // idle: it has the only scheduler to itself until it is
          for (int i = 0; i < 3; ++i) EXPECT_EQ(server.call(Callee::HasCallerCommitted{}), mode == HandOff::never);
          server.stop();
        },
        {.schedulers = 1, .hand_off = mode});
  }
}

// A caller and its server keep nobody else from running, on the only scheduler.
void call_until_killed() {
  const auto server = Callee::start().value();
  const Pid me = self();
  const auto [caller, watch] = spawn_monitor([=] {
    send(me, Go{});
    for (;;) server.call(Callee::Plain{});
  });
  receive<Go>();
  (void)send_after(me, Note{1}, 1ms);
  spawn([=] { send(me, Go{}); });
  receive<Go>();
  receive<Note>();
  exit(caller, ExitReason::kill());
  EXPECT_EQ(await_reason(watch), ExitReason::killed());
  server.stop();
}

TEST(HandOff, a_caller_and_its_server_let_others_run_and_timers_fire) {
  for (const HandOff mode : {HandOff::always, HandOff::never}) {
    behaviour::on_threads(call_until_killed, {.schedulers = 1, .hand_off = mode});
  }
}

}  // namespace
