// SPDX-License-Identifier: Apache-2.0
//
// Messages and mailboxes: PR-019 to PR-037.
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {

struct Number {
  int value;
};
struct Text {
  std::string value;
};
struct Tagged {
  int sender;
  int value;
};
struct Token {
  std::shared_ptr<int> owner;
};
struct Numbers {
  std::vector<int> values;
};
struct Go {};
struct Ready {};

// Takes whatever is in the mailbox and numbers it: "1 2 EXIT 3".
std::string drain() {
  std::string text;
  bool more = true;
  while (more) {
    receive([&](const Number& n) { text += std::to_string(n.value) + " "; },
            [&](const Text& t) { text += t.value + " "; }, [&](const ExitMessage&) { text += "EXIT "; },
            [&](const Down&) { text += "DOWN "; }, after(0s, [&] { more = false; }));
  }
  return text;
}

}  // namespace

BEHAVIOUR_TEST(Processes, PR_019_send_does_not_wait_for_the_receiver) {
  const Pid sleeper = spawn_idle();
  for (int i = 0; i < 2'000; ++i) send(sleeper, Number{i});
  EXPECT_EQ(process_info(sleeper)->message_queue_len, 2'000u);
  finish(sleeper);
}

BEHAVIOUR_TEST(Processes, PR_020_a_message_to_a_dead_pid_vanishes) {
  const auto token = std::make_shared<int>(1);
  const Pid dead = dead_pid();
  send(dead, Token{token});
  EXPECT_EQ(token.use_count(), 1);
  send(Pid{}, Token{token});
  EXPECT_EQ(token.use_count(), 1);
}

BEHAVIOUR_TEST(Processes, PR_021_a_send_to_an_unregistered_name_fails_in_the_sender) {
  const auto token = std::make_shared<int>(1);
  EXPECT_THROW(send("nobody", Token{token}), Exit);
  EXPECT_EQ(token.use_count(), 1);
  const ExitReason reason = reason_of([] { send("nobody", Number{1}); });
  ASSERT_EQ(reason.term().kind(), TermKind::tuple);
  EXPECT_EQ(reason.term()[0], Term(Atom("badarg")));
}

BEHAVIOUR_TEST(Processes, PR_022_a_send_to_a_name_on_a_node_never_fails) {
  register_name(self(), "me");
  send(NodeName{"nobody", "nonode@nohost"}, Number{1});
  send(NodeName{"me", "no_such_node@nowhere"}, Number{2});
  send(NodeName{"me", "nonode@nohost"}, Number{3});
  EXPECT_EQ(receive<Number>().value, 3);
  EXPECT_FALSE(receive<Number>(0s));
}

BEHAVIOUR_TEST(Processes, PR_023_a_message_through_a_dead_alias_vanishes) {
  const auto token = std::make_shared<int>(1);
  const Reference mine = alias();
  send(mine, Number{1});
  EXPECT_EQ(receive<Number>().value, 1);
  unalias(mine);
  send(mine, Token{token});
  EXPECT_FALSE(receive<Token>(0s));
  EXPECT_EQ(token.use_count(), 1);

  const Pid me = self();
  struct Alias {
    Reference reference;
  };
  const auto [owner, reference] = spawn_monitor([me] { send(me, Alias{alias()}); });
  const auto theirs = receive<Alias>();
  await_down(reference);
  send(theirs.reference, Token{token});
  send(Reference{}, Token{token});
  EXPECT_EQ(token.use_count(), 1);
}

BEHAVIOUR_TEST(Processes, PR_024_a_name_is_resolved_when_the_message_is_sent) {
  const Pid me = self();
  const auto reports = [me](const char* who) {
    return spawn([me, who = std::string(who)] {
      receive<Go>();
      const int value = receive<Number>().value;
      send(me, Text{who + std::to_string(value)});
    });
  };
  const Pid first = reports("first");
  const Pid second = reports("second");
  register_name(first, "name");
  send("name", Number{1});
  unregister_name("name");
  register_name(second, "name");
  send(first, Go{});
  send(second, Go{});
  EXPECT_EQ(receive<Text>().value, "first1");
  send("name", Number{2});
  EXPECT_EQ(receive<Text>().value, "second2");
}

BEHAVIOUR_TEST(Processes, PR_025_messages_of_one_sender_arrive_in_order) {
  const Pid me = self();
  spawn([me] {
    for (int i = 0; i < 200; ++i) send(me, Number{i});
  });
  for (int i = 0; i < 200; ++i) ASSERT_EQ(receive<Number>().value, i);
}

BEHAVIOUR_TEST(Processes, PR_025_signals_of_all_kinds_arrive_in_order) {
  trap_exit(true);
  const Pid me = self();
  const auto [pid, reference] = spawn_monitor([me] {
    receive<Go>();
    send(me, Number{1});
    exit(me, boom);
    send(me, Number{2});
    link(me);
    send(me, Number{3});
    unlink(me);
    exit(me, boom);
    send(me, Number{4});
  });
  EXPECT_TRUE(alive(pid));
  send(pid, Go{});
  std::string text;
  for (int i = 0; i < 7; ++i) {
    receive([&](const Number& n) { text += std::to_string(n.value) + " "; },
            [&](const ExitMessage&) { text += "EXIT "; }, [&](const Down&) { text += "DOWN "; });
  }
  EXPECT_EQ(text, "1 EXIT 2 3 EXIT 4 DOWN ");
  EXPECT_EQ(drain(), "");
}

BEHAVIOUR_TEST(Processes, PR_025_a_monitor_set_before_a_kill_tells_the_true_reason) {
  const Pid pid = spawn_idle();
  const Reference reference = monitor(pid);
  exit(pid, ExitReason::kill());
  EXPECT_EQ(await_reason(reference), ExitReason::killed());
  // Set behind the kill, it finds a process that is gone.
  const Pid other = spawn_idle();
  exit(other, ExitReason::kill());
  EXPECT_EQ(await_reason(monitor(other)), ExitReason::noproc());
}

BEHAVIOUR_TEST(Processes, PR_027_no_message_is_lost_or_doubled) {
  constexpr int senders = 5;
  constexpr int count = 40;
  const Pid me = self();
  for (int s = 0; s < senders; ++s) {
    spawn([me, s] {
      for (int i = 0; i < count; ++i) {
        send(me, Tagged{s, i});
        if (i % 10 == 9) yield();
      }
    });
  }
  std::array<int, senders> next{};
  for (int i = 0; i < senders * count; ++i) {
    const auto tagged = receive<Tagged>();
    ASSERT_EQ(tagged.value, next[static_cast<std::size_t>(tagged.sender)]++);
  }
  EXPECT_FALSE(receive<Tagged>(10ms));
}

BEHAVIOUR_TEST(Processes, PR_028_a_mailbox_is_unbounded) {
  constexpr int count = 20'000;
  for (int i = 0; i < count; ++i) send(self(), Number{i});
  EXPECT_EQ(process_info(self())->message_queue_len, std::size_t{count});
  for (int i = 0; i < count; ++i) ASSERT_EQ(receive<Number>().value, i);
}

BEHAVIOUR_TEST(Processes, PR_029_a_message_stays_until_it_is_received) {
  send(self(), Text{"kept"});
  send(self(), Number{1});
  receive<Number>();
  EXPECT_FALSE(receive<Number>(1ms));
  sleep_for(1ms);
  yield();
  EXPECT_EQ(receive<Text>(0s)->value, "kept");
}

BEHAVIOUR_TEST(Processes, PR_029_unread_messages_go_with_their_process) {
  const auto token = std::make_shared<int>(1);
  const auto [pid, reference] = spawn_monitor([] {
    receive<Number>();
    receive<Go>();
  });
  for (int i = 0; i < 5; ++i) send(pid, Token{token});
  send(pid, Number{1});
  EXPECT_TRUE(has_acted(pid));
  EXPECT_EQ(token.use_count(), 6);
  send(pid, Go{});
  send(pid, Token{token});
  EXPECT_TRUE(await_reason(reference).is_normal());
  EXPECT_EQ(token.use_count(), 1);
}

BEHAVIOUR_TEST(Processes, PR_030_receive_takes_the_oldest_message_that_matches_any_pattern) {
  send(self(), Text{"a"});
  send(self(), Number{1});
  send(self(), Text{"b"});
  send(self(), Number{2});
  // The order of the patterns does not matter between messages, only for one message.
  EXPECT_EQ(receive([](const Number& n) { return std::to_string(n.value); }, [](const Text& t) { return t.value; }),
            "a");
  EXPECT_EQ(receive(when([](const Number& n) { return n.value == 2; }, [](const Number&) { return "only two"; }),
                    [](const Number&) { return "any"; }),
            std::string("any"));
  EXPECT_EQ(receive([](const Number&) { return "first pattern"; },
                    when([](const Number& n) { return n.value == 2; }, [](const Number&) { return "second pattern"; })),
            std::string("first pattern"));
  EXPECT_EQ(drain(), "b ");
}

BEHAVIOUR_TEST(Processes, PR_030_the_messages_that_do_not_match_keep_their_order) {
  for (int i = 1; i <= 6; ++i) send(self(), Number{i});
  const auto take = [](int wanted) {
    return receive(
        when([wanted](const Number& n) { return n.value == wanted; }, [](const Number& n) { return n.value; }));
  };
  EXPECT_EQ(take(3), 3);
  EXPECT_EQ(take(6), 6);
  EXPECT_EQ(take(1), 1);
  send(self(), Number{7});
  EXPECT_EQ(drain(), "2 4 5 7 ");
}

BEHAVIOUR_TEST(Processes, PR_030_a_message_that_arrives_while_waiting_is_seen_behind_the_others) {
  const Pid me = self();
  send(me, Number{1});
  const Pid helper = spawn([me] {
    receive<Go>();
    for (int i = 2; i <= 5; ++i) {
      send(me, Number{i});
      yield();
    }
  });
  send(helper, Go{});
  const int got = receive(when([](const Number& n) { return n.value == 4; }, [](const Number& n) { return n.value; }));
  EXPECT_EQ(got, 4);
  await_end(helper);
  EXPECT_EQ(drain(), "1 2 3 5 ");
}

BEHAVIOUR_TEST(Processes, PR_031_a_receive_of_no_time_looks_at_every_queued_message) {
  for (int i = 0; i < 10; ++i) send(self(), Text{"x"});
  send(self(), Number{5});
  EXPECT_EQ(receive<Number>(0s)->value, 5);
  EXPECT_FALSE(receive<Number>(0s));
  bool timed_out = false;
  receive(when([](const Text& t) { return t.value == "y"; }, [](const Text&) {}), after(0s, [&] { timed_out = true; }));
  EXPECT_TRUE(timed_out);
}

BEHAVIOUR_TEST(Processes, PR_032_a_receive_without_match_waits_until_a_fatal_signal) {
  const auto passed = std::make_shared<std::atomic<bool>>(false);
  const auto [pid, reference] = spawn_monitor([passed] {
    receive<Go>();
    *passed = true;
  });
  for (int i = 0; i < 5; ++i) send(pid, Number{i});
  sleep_for(10ms);
  EXPECT_TRUE(alive(pid));
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
  EXPECT_FALSE(passed->load());
}

// Where Erlang counts reductions, C++ code acts on signals where it waits or calls checkpoint().
BEHAVIOUR_TEST(Processes, PR_033_a_signal_acts_on_a_process_that_receives_nothing) {
  const auto ends_by_signal = [](auto function) {
    const auto [pid, reference] = spawn_monitor(function);
    EXPECT_TRUE(alive(pid));
    exit(pid, boom);
    EXPECT_EQ(await_reason(reference), boom);
  };
  ends_by_signal([] {
    for (;;) checkpoint();
  });
  ends_by_signal([] {
    for (;;) yield();
  });
  ends_by_signal([] { sleep_for(infinity); });
  ends_by_signal([] {
    for (;;) sleep_for(0s);
  });
  ends_by_signal([] { hibernate(); });
}

BEHAVIOUR_TEST(Processes, PR_034_what_the_sender_changes_later_is_not_seen) {
  const Pid me = self();
  const Pid other = spawn([me] {
    receive<Go>();
    send(me, receive<Numbers>());
  });
  Numbers numbers{{1, 2, 3}};
  send(other, numbers);
  numbers.values[0] = 99;
  send(other, Go{});
  EXPECT_EQ(receive<Numbers>().values, (std::vector<int>{1, 2, 3}));
}

BEHAVIOUR_TEST(Processes, PR_035_a_message_to_oneself_goes_to_the_end) {
  send(self(), Number{1});
  send(self(), Text{"two"});
  send(self(), Number{3});
  EXPECT_EQ(drain(), "1 two 3 ");
}

// Virtual time only: 60 days are more than the 2^32 ms of one wait in OTP.
TEST(Processes, PR_036_a_wait_may_be_longer_than_49_days) {
  behaviour::in_simulation([] {
    const auto begin = monotonic_time();
    sleep_for(24h * 60);
    EXPECT_GE(monotonic_time() - begin, 24h * 60);
    EXPECT_LT(monotonic_time() - begin, 24h * 61);
    EXPECT_FALSE(receive<Go>(24h * 60));
    EXPECT_GE(monotonic_time() - begin, 24h * 120);
  });
}

BEHAVIOUR_TEST(Processes, PR_037_an_infinite_sleep_takes_no_message_and_never_returns) {
  const auto [pid, reference] = spawn_monitor([] { sleep_for(infinity); });
  for (int i = 0; i < 3; ++i) send(pid, Number{i});
  sleep_for(5ms);
  EXPECT_EQ(process_info(pid)->message_queue_len, 3u);
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
}

BEHAVIOUR_TEST(Processes, PR_037_a_sleep_returns_in_time_and_takes_no_message) {
  sleep_for(0s);
  const auto begin = monotonic_time();
  const Pid me = self();
  const Pid noisy = spawn([me] {
    for (int i = 1; i <= 3; ++i) {
      send(me, Number{i});
      sleep_for(1ms);
    }
  });
  sleep_for(20ms);  // messages do not shorten it
  EXPECT_GE(monotonic_time() - begin, 20ms);
  await_end(noisy);
  EXPECT_EQ(drain(), "1 2 3 ");
  EXPECT_THROW(sleep_for(-1ms), Exit);
}
