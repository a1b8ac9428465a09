// SPDX-License-Identifier: Apache-2.0
//
// PR-025: all signals of one process to another arrive in the order sent, whatever their kinds. One process draws a random
// sequence of signals and predicts, from the order alone, what the other will see; the other says what it saw.
#include <algorithm>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "behaviour/behaviour.hpp"

using namespace coppice;
using namespace std::chrono_literals;

namespace {

struct Note {
  int number = 0;
};
struct Ready {};
struct Stop {};
struct Seen {
  std::vector<std::string> events;
};

// Each body runs in many simulations: another draw for each.
std::uint64_t draw_number() {
  static std::uint64_t drawn = 0;
  return ++drawn;
}

std::string exit_event(int i) { return "exit " + std::to_string(i); }
std::string note_event(int i) { return "note " + std::to_string(i); }

// Notes what it receives until Stop, which it answers with the list.
Pid recorder(const Pid& report_to) {
  return spawn([report_to] {
    trap_exit(true);
    send(report_to, alias());
    Seen seen;
    for (bool more = true; more;) {
      more = receive(
          [&](const Note& note) { return seen.events.push_back(note_event(note.number)), true; },
          [&](const ExitMessage& exit) { return seen.events.push_back("exit " + inspect(exit.reason.term())), true; },
          [](const Stop&) { return false; });
    }
    send(report_to, std::move(seen));
  });
}

}  // namespace

BEHAVIOUR_TEST(Ordering, PR_025_messages_exits_and_alias_messages_arrive_as_they_were_sent) {
  base::Xoshiro256 random(draw_number());
  const Pid to = recorder(self());
  const Reference through = receive<Reference>();
  std::vector<std::string> expected;
  for (int i = 0; i < 40; ++i) {
    switch (random.next() % 5) {
      case 0:
        send(to, Note{i});
        expected.push_back(note_event(i));
        break;
      case 1:
        send(through, Note{i});
        expected.push_back(note_event(i));
        break;
      case 2:
        exit(to, ExitReason(Term(i)));
        expected.push_back(exit_event(i));
        break;
      case 3:  // relations in between must not disturb the order
        link(to);
        unlink(to);
        demonitor(monitor(to));
        break;
      default:
        if (random.next() % 2 == 0) yield();
        if (random.next() % 4 == 0) {
          EXPECT_TRUE(process_info(to).has_value());
        }
        break;
    }
  }
  send(to, Stop{});
  EXPECT_EQ(receive<Seen>().events, expected);
}

// The fatal signal stands at a random place among others: what was sent before it took effect, what came after did not.
BEHAVIOUR_TEST(Ordering, PR_025_a_fatal_signal_cuts_the_sequence_at_its_place) {
  base::Xoshiro256 random(draw_number());
  const Pid me = self();
  const Pid to = spawn([me] {
    send(me, Ready{});
    for (;;) {
      const int number = receive<Note>().number;
      send(me, Note{number});
    }
  });
  receive<Ready>();
  const int cut = static_cast<int>(random.next() % 10);
  std::vector<Reference> before;
  std::vector<Reference> after_cut;
  for (int i = 0; i < 10; ++i) {
    if (i == cut) exit(to, ExitReason("cut"_atom));
    (i < cut ? before : after_cut).push_back(monitor(to));
    send(to, Note{i});
    if (random.next() % 3 == 0) yield();
  }
  for (std::size_t i = 0; i < before.size() + after_cut.size(); ++i) {
    const Down down = receive<Down>();
    const bool was_before = std::find(before.begin(), before.end(), down.reference) != before.end();
    EXPECT_EQ(down.reason, was_before ? ExitReason("cut"_atom) : ExitReason::noproc());
  }
  int last = -1;
  while (auto note = receive<Note>(0ms)) {  // echoes: in order, none of a message behind the cut
    EXPECT_EQ(note->number, last + 1);
    last = note->number;
  }
  EXPECT_LT(last, cut);
}

// What a dying process has sent, and then its EXIT and DOWN, arrive in that order.
BEHAVIOUR_TEST(Ordering, PR_025_the_news_of_a_death_come_after_everything_that_was_sent_before) {
  trap_exit(true);
  const Pid me = self();
  const Reference through = alias();
  const auto [child, watch] = spawn_link_monitor([me, through] {
    for (int i = 0; i < 10; ++i) {
      if (i % 3 == 0) {
        send(through, Note{i});
      } else {
        send(me, Note{i});
      }
      if (i % 4 == 1) yield();
    }
    exit(ExitReason("done"_atom));
  });
  std::vector<std::string> seen;
  for (int i = 0; i < 12; ++i) {
    receive([&](const Note& note) { seen.push_back(note_event(note.number)); },
            [&](const ExitMessage&) { seen.push_back("EXIT"); }, [&](const Down&) { seen.push_back("DOWN"); });
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], note_event(i));
  EXPECT_EQ(seen[10] == "EXIT", seen[11] == "DOWN");
  EXPECT_NE(seen[10], seen[11]);
  EXPECT_FALSE(alive(child));
  EXPECT_TRUE(static_cast<bool>(watch));
}

BEHAVIOUR_TEST(Ordering, PR_025_a_link_made_and_ended_around_an_exit_counts_as_it_was_sent) {
  // The receiver does not trap; a link-caused exit ends it only if the link stood when the other ended.
  base::Xoshiro256 random(draw_number());
  const bool linked_at_the_end = random.next() % 2 == 0;
  const auto [to, watch] = spawn_monitor([] { receive<Stop>(); });
  const std::uint64_t noise = random.next();
  const Pid target = to;
  const auto [other, other_watch] = spawn_monitor([target, linked_at_the_end, noise] {
    for (unsigned i = 0; i < 6; ++i) {
      link(target);
      if ((noise >> i & 1) != 0) yield();
      unlink(target);
    }
    if (linked_at_the_end) link(target);
    exit(ExitReason("boom"_atom));
  });
  EXPECT_EQ(receive(when([w = other_watch](const Down& down) { return down.reference == w; },
                         [](const Down& down) { return down.reason; })),
            "boom"_atom);
  if (!linked_at_the_end) send(to, Stop{});
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, watch);
  EXPECT_EQ(down.reason, linked_at_the_end ? ExitReason("boom"_atom) : ExitReason::normal());
  EXPECT_NE(other, to);
}

BEHAVIOUR_TEST(Ordering, PR_025_three_senders_keep_their_own_order_each) {
  const Pid me = self();
  for (int sender = 0; sender < 3; ++sender) {
    (void)spawn([me, sender] {
      for (int i = 0; i < 15; ++i) {
        send(me, Note{sender * 100 + i});
        if ((i + sender) % 4 == 0) yield();
      }
    });
  }
  int next[3] = {0, 0, 0};
  for (int i = 0; i < 45; ++i) {
    const int number = receive<Note>().number;
    EXPECT_EQ(number % 100, next[number / 100]++);
  }
}
