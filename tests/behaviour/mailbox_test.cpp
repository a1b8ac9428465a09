// SPDX-License-Identifier: Apache-2.0
//
// The mailbox: selective receive, capacity and overflow, high-water mark and peak.
#include <atomic>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "behaviour/behaviour.hpp"
#include "runtime/core.hpp"

using namespace coppice;
using namespace std::chrono_literals;

namespace {

struct Note {
  int number = 0;
};
struct Other {
  std::string text;
};
struct Ready {};
struct Never {};
struct Numbers {
  std::vector<int> numbers;
};

// A process with a mailbox of its own kind. It does nothing until it gets an exit signal, which no mailbox refuses; then
// it sends its creator the numbers of the notes it has, oldest first.
Pid collector(const SpawnOptions& options) {
  const Pid me = self();
  const Pid pid = spawn(
      [me] {
        trap_exit(true);
        send(me, Ready{});
        receive<ExitMessage>();
        Numbers found;
        while (auto note = receive<Note>(0ms)) found.numbers.push_back(note->number);
        send(me, std::move(found));
        receive<ExitMessage>();
      },
      options);
  receive<Ready>();
  return pid;
}

std::vector<int> collect(const Pid& pid) {
  exit(pid, ExitReason::normal());
  return receive<Numbers>().numbers;
}

void end(const Pid& pid) {
  const Reference watch = monitor(pid);
  exit(pid, ExitReason::kill());
  receive(when([watch](const Down& down) { return down.reference == watch; }, [](const Down&) {}));
}

bool refused_as_full(const Result<>& result) { return !result && result.reason() == "full"_atom; }

// What the reporter heard, while one of these lives. Made outside the runtime under test, and after a first runtime, which
// sets the reporter of the logger.
struct Heard {
  static inline std::atomic<int> calls{0};
  static inline std::atomic<std::size_t> length{0};
  runtime::Reporter before;
  Heard() {
    const Runtime first({.schedulers = 1});
    before = runtime::reporter();
    calls = 0;
    length = 0;
    runtime::Reporter reporter = before;
    reporter.high_water_mark = [](runtime::Process&, std::size_t reached) {
      ++calls;
      length = reached;
    };
    runtime::set_reporter(reporter);
  }
  ~Heard() { runtime::set_reporter(before); }
};

}  // namespace

// -- selective receive ---------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(SelectiveReceive, the_oldest_message_that_any_handler_accepts_is_taken) {
  send(self(), Note{1});
  send(self(), Other{"a"});
  send(self(), Note{2});
  const auto next = [] {
    return receive([](const Other& other) { return other.text; },
                   [](const Note& note) { return std::to_string(note.number); });
  };
  EXPECT_EQ(next(), "1");  // by age of the message, not by order of the handlers
  EXPECT_EQ(next(), "a");
  EXPECT_EQ(next(), "2");
}

BEHAVIOUR_TEST(SelectiveReceive, among_handlers_for_a_message_the_first_that_accepts_it_runs) {
  send(self(), Note{5});
  const int which = receive(when([](const Note& note) { return note.number > 7; }, [](const Note&) { return 1; }),
                            when([](const Note& note) { return note.number > 3; }, [](const Note&) { return 2; }),
                            [](const Note&) { return 3; });
  EXPECT_EQ(which, 2);
}

BEHAVIOUR_TEST(SelectiveReceive, what_is_not_accepted_stays_in_order) {
  for (int i = 1; i <= 6; ++i) send(self(), Note{i});
  const auto even = [] {
    return receive(when([](const Note& note) { return note.number % 2 == 0; }, [](const Note& n) { return n.number; }),
                   after(0ms, [] { return 0; }));
  };
  for (const int expected : {2, 4, 6, 0}) EXPECT_EQ(even(), expected);
  for (const int expected : {1, 3, 5}) EXPECT_EQ(receive<Note>(0ms)->number, expected);
  EXPECT_FALSE(receive<Note>(0ms).has_value());
}

BEHAVIOUR_TEST(SelectiveReceive, a_wait_goes_on_behind_what_it_has_seen) {
  const Pid me = self();
  (void)spawn([me] {
    for (int i = 1; i <= 20; ++i) {
      send(me, Note{i});
      if (i % 4 == 0) yield();
    }
    send(me, Other{"end"});
  });
  int conditions = 0;
  receive(when([&conditions](const Note&) { return ++conditions, false; }, [](const Note&) {}), [](const Other&) {});
  EXPECT_EQ(conditions, 20);  // each message was looked at once
  for (int i = 1; i <= 20; ++i) EXPECT_EQ(receive<Note>(0ms)->number, i);
}

BEHAVIOUR_TEST(SelectiveReceive, a_handler_for_term_catches_everything) {
  send(self(), Note{1});
  send(self(), Term(tuple("hello"_atom, 2)));
  send(self(), Other{"x"});
  const auto next = [] {
    return receive([](const Note&) { return Term("note"_atom); }, [](Term term) { return term; });
  };
  EXPECT_EQ(next(), Term("note"_atom));  // a handler before it still has the first choice
  EXPECT_EQ(next(), tuple("hello"_atom, 2));
  EXPECT_FALSE(next().is_nil());
  EXPECT_FALSE(receive<Other>(0ms).has_value());
}

BEHAVIOUR_TEST(SelectiveReceive, several_types_give_a_variant) {
  send(self(), Never{});
  send(self(), Other{"first"});
  send(self(), Note{2});
  const auto first = receive<Note, Other>();
  ASSERT_TRUE(std::holds_alternative<Other>(first));
  EXPECT_EQ(std::get<Other>(first).text, "first");
  const auto second = receive<Note, Other>();
  ASSERT_TRUE(std::holds_alternative<Note>(second));
  EXPECT_EQ(std::get<Note>(second).number, 2);
  EXPECT_TRUE(receive<Never>(0ms).has_value());
}

BEHAVIOUR_TEST(SelectiveReceive, a_handler_may_take_its_message_away) {
  send(self(), std::make_unique<int>(7));
  const auto taken = receive([](std::unique_ptr<int>&& pointer) { return std::move(pointer); });
  EXPECT_EQ(*taken, 7);
}

BEHAVIOUR_TEST(SelectiveReceive, a_handler_that_throws_has_consumed_its_message) {
  send(self(), Note{1});
  send(self(), Note{2});
  EXPECT_THROW(receive([](const Note&) { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_EQ(receive<Note>().number, 2);
}

BEHAVIOUR_TEST(SelectiveReceive, a_receive_inside_a_handler_sees_the_other_messages) {
  for (int i = 1; i <= 3; ++i) send(self(), Note{i});
  receive([](const Note& outer) {
    EXPECT_EQ(outer.number, 1);
    EXPECT_EQ(receive<Note>().number, 2);
  });
  EXPECT_EQ(receive<Note>().number, 3);
}

BEHAVIOUR_TEST(SelectiveReceive, after_runs_when_nothing_matches_in_time) {
  send(self(), Note{1});
  const auto begin = monotonic_time();
  const int result = receive([](const Other&) { return 1; }, after(20ms, [] { return 2; }));
  EXPECT_EQ(result, 2);
  EXPECT_GE(monotonic_time() - begin, 20ms);
  EXPECT_TRUE(receive<Note>(0ms).has_value());
}

// -- capacity and overflow -----------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(BoundedMailbox, reject_tells_the_sender_that_it_is_full) {
  const Pid pid = collector({.mailbox_capacity = 3, .overflow = Overflow::reject});
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(try_send(pid, Note{i}).has_value());
  EXPECT_TRUE(refused_as_full(try_send(pid, Note{4})));
  EXPECT_EQ(process_info(pid)->messages_dropped, 0u);  // the sender has been told: nothing is lost
  send(pid, Note{5});
  send(pid, Note{6});
  EXPECT_EQ(process_info(pid)->messages_dropped, 2u);
  EXPECT_EQ(collect(pid), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(try_send(pid, Note{7}).has_value());  // there is room again
  end(pid);
  const Result<> dead = try_send(pid, Note{8});
  EXPECT_FALSE(dead.has_value());
  EXPECT_EQ(dead.reason(), ExitReason::noproc());
}

BEHAVIOUR_TEST(BoundedMailbox, drop_newest_keeps_what_came_first) {
  const Pid pid = collector({.mailbox_capacity = 3, .overflow = Overflow::drop_newest});
  for (int i = 1; i <= 5; ++i) send(pid, Note{i});
  EXPECT_EQ(process_info(pid)->messages_dropped, 2u);
  EXPECT_EQ(process_info(pid)->message_queue_len, 3u);
  EXPECT_EQ(collect(pid), (std::vector<int>{1, 2, 3}));
  end(pid);
}

BEHAVIOUR_TEST(BoundedMailbox, drop_oldest_keeps_what_came_last) {
  const Pid pid = collector({.mailbox_capacity = 3, .overflow = Overflow::drop_oldest});
  for (int i = 1; i <= 5; ++i) send(pid, Note{i});
  EXPECT_EQ(process_info(pid)->messages_dropped, 2u);
  EXPECT_EQ(process_info(pid)->message_queue_len, 3u);
  EXPECT_EQ(collect(pid), (std::vector<int>{3, 4, 5}));
  end(pid);
}

BEHAVIOUR_TEST(BoundedMailbox, drop_oldest_may_drop_what_a_waiting_receive_has_seen) {
  const Pid pid = collector({.mailbox_capacity = 2, .overflow = Overflow::drop_oldest});
  for (int i = 1; i <= 9; ++i) {
    send(pid, Note{i});
    EXPECT_TRUE(process_info(pid).has_value());  // it has been looked at and passed over
  }
  EXPECT_EQ(process_info(pid)->messages_dropped, 7u);
  EXPECT_EQ(collect(pid), (std::vector<int>{8, 9}));
  end(pid);
}

BEHAVIOUR_TEST(BoundedMailbox, exit_ends_the_receiver_at_the_first_message_too_many) {
  const Pid pid = collector({.mailbox_capacity = 3, .overflow = Overflow::exit});
  const Reference watch = monitor(pid);
  for (int i = 1; i <= 3; ++i) send(pid, Note{i});
  EXPECT_TRUE(alive(pid));
  EXPECT_TRUE(process_info(pid).has_value());
  send(pid, Note{4});
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, watch);
  EXPECT_EQ(down.reason, "mailbox_full"_atom);
}

BEHAVIOUR_TEST(BoundedMailbox, a_capacity_without_a_policy_is_none) {
  const Pid pid = collector({.mailbox_capacity = 2});
  for (int i = 1; i <= 5; ++i) EXPECT_TRUE(try_send(pid, Note{i}).has_value());
  EXPECT_EQ(collect(pid).size(), 5u);
  end(pid);
}

// Down and EXIT messages are signals: they are delivered to a full mailbox, take no room in it and give none back.
BEHAVIOUR_TEST(BoundedMailbox, signals_are_never_refused_and_never_counted) {
  for (const Overflow overflow : {Overflow::reject, Overflow::drop_newest, Overflow::drop_oldest, Overflow::exit}) {
    const Pid me = self();
    const Pid watched = spawn([] { receive<Never>(); });
    const Pid pid = spawn(
        [me, watched] {
          trap_exit(true);
          for (int i = 0; i < 4; ++i) (void)monitor(watched);
          send(me, Ready{});
          receive<ExitMessage>();
          receive<ExitMessage>();
          int downs = 0;
          while (receive<Down>(0ms)) ++downs;
          EXPECT_EQ(downs, 4);
          send(me, Ready{});
          receive<ExitMessage>();
          Numbers found;
          while (auto note = receive<Note>(0ms)) found.numbers.push_back(note->number);
          send(me, std::move(found));
        },
        {.mailbox_capacity = 2, .overflow = overflow});
    receive<Ready>();
    send(pid, Note{1});
    send(pid, Note{2});
    end(watched);
    while (process_info(pid)->message_queue_len < 6) yield();
    EXPECT_EQ(process_info(pid)->messages_dropped, 0u);
    exit(pid, ExitReason::normal());
    exit(pid, ExitReason::normal());
    receive<Ready>();
    if (overflow != Overflow::exit) send(pid, Note{3});
    EXPECT_EQ(process_info(pid)->messages_dropped, overflow == Overflow::exit ? 0u : 1u);
    const std::vector<int> expected =
        overflow == Overflow::drop_oldest ? std::vector<int>{2, 3} : std::vector<int>{1, 2};
    EXPECT_EQ(collect(pid), expected);
  }
}

BEHAVIOUR_TEST(BoundedMailbox, drop_oldest_does_not_drop_a_down) {
  const Pid me = self();
  const Pid pid = spawn(
      [me] {
        trap_exit(true);
        const auto [child, watch] = spawn_monitor([] {});
        while (process_info(self())->message_queue_len == 0) sleep_for(1ms);
        send(me, Ready{});
        receive<ExitMessage>();
        EXPECT_EQ(receive<Down>(0ms)->reference, watch);
        Numbers found;
        while (auto note = receive<Note>(0ms)) found.numbers.push_back(note->number);
        send(me, std::move(found));
        (void)child;
      },
      {.mailbox_capacity = 2, .overflow = Overflow::drop_oldest});
  receive<Ready>();
  for (int i = 1; i <= 5; ++i) send(pid, Note{i});
  EXPECT_EQ(collect(pid), (std::vector<int>{4, 5}));
}

BEHAVIOUR_TEST(BoundedMailbox, messages_through_an_alias_are_counted_too) {
  const Pid me = self();
  const Pid pid = spawn(
      [me] {
        trap_exit(true);
        send(me, alias());
        for (int round = 0; round < 3; ++round) {
          receive<ExitMessage>();
          Numbers found;
          while (auto note = receive<Note>(0ms)) found.numbers.push_back(note->number);
          send(me, std::move(found));
        }
      },
      {.mailbox_capacity = 2, .overflow = Overflow::reject});
  const Reference to = receive<Reference>();
  for (int round = 0; round < 3; ++round) {  // the count is right again after each round
    send(to, Note{1});
    EXPECT_TRUE(process_info(pid).has_value());
    EXPECT_TRUE(try_send(pid, Note{2}).has_value());
    EXPECT_TRUE(refused_as_full(try_send(pid, Note{3})));
    send(to, Note{4});
    EXPECT_EQ(process_info(pid)->messages_dropped, static_cast<std::uint64_t>(round) + 1);
    EXPECT_EQ(collect(pid), (std::vector<int>{1, 2}));
  }
}

BEHAVIOUR_TEST(BoundedMailbox, many_senders_lose_nothing_unsaid) {
  const Pid me = self();
  const Pid pid = collector({.mailbox_capacity = 10, .overflow = Overflow::reject});
  for (int s = 0; s < 4; ++s) {
    (void)spawn([me, pid] {
      int accepted = 0;
      for (int i = 0; i < 8; ++i) {
        if (try_send(pid, Note{i})) ++accepted;
        if (i % 3 == 0) yield();
      }
      send(me, Note{accepted});
    });
  }
  int accepted = 0;
  for (int s = 0; s < 4; ++s) accepted += receive<Note>().number;
  EXPECT_EQ(accepted, 10);
  EXPECT_EQ(process_info(pid)->message_queue_peak, 10u);
  EXPECT_EQ(collect(pid).size(), 10u);
  end(pid);
}

BEHAVIOUR_TEST(BoundedMailbox, the_next_tenant_of_a_slot_starts_with_an_empty_count) {
  const Pid first = collector({.mailbox_capacity = 2, .overflow = Overflow::reject});
  send(first, Note{1});
  send(first, Note{2});
  end(first);
  for (int i = 0; i < 3; ++i) {
    const Pid next = collector({.mailbox_capacity = 2, .overflow = Overflow::reject});
    EXPECT_TRUE(try_send(next, Note{1}).has_value());
    EXPECT_TRUE(try_send(next, Note{2}).has_value());
    EXPECT_TRUE(refused_as_full(try_send(next, Note{3})));
    EXPECT_EQ(process_info(next)->messages_dropped, 0u);
    end(next);
  }
}

// -- bursts --------------------------------------------------------------------------------------------------------------

// The messages of a burst may go straight into the queue of a process that is to run next; the signals between them do not.
BEHAVIOUR_TEST(Mailbox, a_burst_to_a_process_that_is_about_to_run_keeps_its_order) {
  constexpr int length = 40;
  const Pid me = self();
  const Pid pid = spawn([me] {
    trap_exit(true);
    send(me, Ready{});
    Numbers seen;
    while (seen.numbers.size() < length) {
      receive([&](const Note& note) { seen.numbers.push_back(note.number); },
              [&](const ExitMessage&) { seen.numbers.push_back(-1); });
    }
    send(me, std::move(seen));
  });
  receive<Ready>();
  std::vector<int> sent;
  for (int i = 0; i < length; ++i) {
    sent.push_back(i % 10 == 7 ? -1 : i);
    if (i % 10 == 7) {
      exit(pid, ExitReason("poke"_atom));
    } else {
      send(pid, Note{i});
    }
  }
  EXPECT_EQ(receive<Numbers>().numbers, sent);
}

BEHAVIOUR_TEST(Mailbox, a_burst_is_there_when_its_receiver_looks_for_the_first_time) {
  constexpr int length = 300;
  const Pid me = self();
  const Pid pid = spawn([me] {
    send(me, Ready{});
    receive<Other>();
    Numbers found;
    while (auto note = receive<Note>(0ms)) found.numbers.push_back(note->number);
    send(me, std::move(found));
    receive<Never>();
  });
  receive<Ready>();
  for (int i = 0; i < length; ++i) send(pid, Note{i});
  send(pid, Other{"go"});
  const std::vector<int> found = receive<Numbers>().numbers;
  ASSERT_EQ(found.size(), static_cast<std::size_t>(length));
  for (int i = 0; i < length; ++i) EXPECT_EQ(found[static_cast<std::size_t>(i)], i);
  const auto info = process_info(pid);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->message_queue_peak, static_cast<std::size_t>(length + 1));
  end(pid);
}

// -- peak and high-water mark --------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Mailbox, the_peak_stays_when_the_queue_is_empty_again) {
  const Pid pid = collector({});
  EXPECT_EQ(process_info(pid)->message_queue_peak, 0u);
  for (int i = 0; i < 50; ++i) send(pid, Note{i});
  EXPECT_EQ(process_info(pid)->message_queue_peak, 50u);
  EXPECT_EQ(collect(pid).size(), 50u);
  const auto info = *process_info(pid);
  EXPECT_EQ(info.message_queue_len, 0u);
  EXPECT_GE(info.message_queue_peak, 50u);
  EXPECT_LE(info.message_queue_peak, 51u);  // the exit message came on top
  end(pid);
}

namespace {

void crosses_its_mark(std::size_t own_mark, std::size_t mark) {
  const Pid pid = collector({.high_water_mark = own_mark});
  Heard::calls = 0;
  const auto fill_to = [pid](std::size_t length) {
    for (std::size_t i = process_info(pid)->message_queue_len; i < length; ++i) send(pid, Note{});
    EXPECT_EQ(process_info(pid)->message_queue_len, length);
  };
  fill_to(mark - 1);
  EXPECT_EQ(Heard::calls, 0);
  fill_to(mark);
  EXPECT_EQ(Heard::calls, 1);
  EXPECT_EQ(Heard::length, mark);
  fill_to(mark * 3);
  EXPECT_EQ(Heard::calls, 1);  // crossing it is told, not being above it
  (void)collect(pid);
  fill_to(mark);
  EXPECT_EQ(Heard::calls, 2);  // it had fallen to nothing: this is another flood
  end(pid);
}

}  // namespace

TEST(HighWaterMark, crossing_ones_own_mark_is_reported_on_threads) {
  const Heard heard;
  behaviour::on_threads([] { crosses_its_mark(10, 10); });
}
TEST(HighWaterMark, crossing_ones_own_mark_is_reported_in_simulation) {
  const Heard heard;
  behaviour::in_simulation([] { crosses_its_mark(10, 10); });
}
TEST(HighWaterMark, without_one_the_runtimes_mark_counts) {
  const Heard heard;
  behaviour::on_threads([] { crosses_its_mark(0, 7); }, {.high_water_mark = 7});
  behaviour::in_simulation([] { crosses_its_mark(0, 7); }, {.high_water_mark = 7});
}

TEST(HighWaterMark, a_queue_that_swings_about_its_mark_is_reported_once) {
  const Heard heard;
  behaviour::in_simulation([] {
    Heard::calls = 0;
    const Pid me = self();
    const Pid pid = spawn(
        [me] {
          for (int i = 0; i < 30; ++i) {
            receive<Never>();
            (void)receive<Note>(0ms);
            send(me, Ready{});
          }
        },
        {.high_water_mark = 10});
    for (int i = 0; i < 10; ++i) send(pid, Note{});
    for (int i = 0; i < 30; ++i) {
      send(pid, Never{});
      receive<Ready>();
      send(pid, Note{});
    }
    EXPECT_LE(Heard::calls, 1);
  });
}

TEST(HighWaterMark, a_bounded_mailbox_has_one_too) {
  const Heard heard;
  behaviour::on_threads([] {
    const Pid pid = collector({.mailbox_capacity = 20, .overflow = Overflow::reject, .high_water_mark = 5});
    for (int i = 0; i < 8; ++i) send(pid, Note{});
    EXPECT_EQ(process_info(pid)->message_queue_len, 8u);
    EXPECT_EQ(Heard::calls, 1);
    EXPECT_EQ(Heard::length, 5u);
    end(pid);
  });
}
