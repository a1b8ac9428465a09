// SPDX-License-Identifier: Apache-2.0
//
// Links and monitors that are made and ended by both sides at once, while the processes die. The tests predict only what
// holds however the signals cross: both sides agree in the end, and what stands is heard of.
#include <algorithm>
#include <vector>

#include "base/random.hpp"
#include "behaviour/behaviour.hpp"

using namespace coppice;
using namespace std::chrono_literals;

namespace {

struct Stop {};
struct Ready {};
struct Sync {};
struct Go {
  Pid peer;
  std::uint64_t seed = 0;
};
struct Last {
  bool linked = false;
};

std::uint64_t draw_number() {
  static std::uint64_t drawn = 0;
  return ++drawn;
}

bool contains(const std::vector<Pid>& pids, const Pid& pid) { return std::count(pids.begin(), pids.end(), pid) != 0; }

// Links and unlinks with its peer at random, lets everything of the peer's arrive, then tells its last deed and waits.
Pid waverer(const Pid& report_to, bool ends_linked) {
  return spawn([report_to, ends_linked] {
    const Go go = receive<Go>();
    base::Xoshiro256 random(go.seed);
    const std::uint64_t deeds = random.next() % 7;
    for (std::uint64_t i = 0; i < deeds; ++i) {
      if (random.next() % 2 == 0) {
        link(go.peer);
      } else {
        unlink(go.peer);
      }
      if (random.next() % 3 == 0) yield();
    }
    if (ends_linked) {
      link(go.peer);
    } else {
      unlink(go.peer);
    }
    send(report_to, Ready{});
    receive<Stop>();
  });
}

}  // namespace

BEHAVIOUR_TEST(Relations, links_that_both_sides_make_and_end_at_once_leave_both_of_one_mind) {
  for (unsigned ends = 0; ends < 4; ++ends) {
    const bool first_links = (ends & 1) != 0;
    const bool second_links = (ends & 2) != 0;
    const Pid first = waverer(self(), first_links);
    const Pid second = waverer(self(), second_links);
    send(first, Go{second, draw_number()});
    send(second, Go{first, draw_number()});
    receive<Ready>();
    receive<Ready>();
    // Each question travels behind what the two have sent us, not behind what they sent each other: ask until the answers
    // of two rounds are the same and the acknowledgements have come.
    bool at_first = false;
    bool at_second = true;
    for (int i = 0; i < 10'000 && (i < 20 || at_first != at_second); ++i) {
      at_first = contains(process_info(first)->links, second);
      at_second = contains(process_info(second)->links, first);
      yield();
    }
    EXPECT_EQ(at_first, at_second);
    if (first_links && second_links) {
      EXPECT_TRUE(at_first) << "both linked last";
    }
    if (!first_links && !second_links) {
      EXPECT_FALSE(at_first) << "both unlinked last";
    }
    const Reference watch = monitor(second);
    exit(first, ExitReason("boom"_atom));
    if (!at_first) send(second, Stop{});
    EXPECT_EQ(receive(when([watch](const Down& down) { return down.reference == watch; },
                           [](const Down& down) { return down.reason; })),
              at_first ? ExitReason("boom"_atom) : ExitReason::normal());
  }
}

BEHAVIOUR_TEST(Relations, after_unlink_the_end_of_the_peer_does_nothing_however_they_cross) {
  for (int i = 0; i < 3; ++i) {
    const auto [survivor, watch] = spawn_monitor([] {
      const Pid peer = receive<Pid>();
      link(peer);
      send(peer, Stop{});
      unlink(peer);
      receive<Stop>();
    });
    const Pid dying = spawn([] {
      receive<Stop>();
      exit(ExitReason("boom"_atom));
    });
    const Reference end_of_peer = monitor(dying);
    send(survivor, dying);
    EXPECT_EQ(receive(when([end_of_peer](const Down& down) { return down.reference == end_of_peer; },
                           [](const Down& down) { return down.reason; })),
              "boom"_atom);
    send(survivor, Stop{});
    const Down down = receive<Down>();
    EXPECT_EQ(down.reference, watch);
    EXPECT_TRUE(down.reason.is_normal()) << to_string(down.reason);
  }
}

BEHAVIOUR_TEST(Relations, a_link_made_anew_after_an_unlink_counts) {
  trap_exit(true);
  for (int i = 0; i < 3; ++i) {
    const Pid peer = spawn([] { receive<Stop>(); });
    for (int j = 0; j < 3; ++j) {
      link(peer);
      unlink(peer);
      if (j == 1) yield();
    }
    link(peer);
    exit(peer, ExitReason::kill());
    const ExitMessage message = receive<ExitMessage>();
    EXPECT_EQ(message.pid, peer);
    EXPECT_TRUE(message.reason == ExitReason::killed() || message.reason == ExitReason::noproc());
    EXPECT_FALSE(receive<ExitMessage>(2ms).has_value());  // one exit, not one for each link
  }
}

BEHAVIOUR_TEST(Relations, a_link_to_a_process_that_is_dying_gives_exactly_one_exit) {
  trap_exit(true);
  const Pid dying = spawn([] {
    yield();
    exit(ExitReason("boom"_atom));
  });
  if (draw_number() % 2 == 0) yield();
  link(dying);
  const ExitMessage message = receive<ExitMessage>();
  EXPECT_EQ(message.pid, dying);
  EXPECT_TRUE(message.reason == "boom"_atom || message.reason == ExitReason::noproc()) << to_string(message.reason);
  EXPECT_FALSE(receive<ExitMessage>(2ms).has_value());
  EXPECT_TRUE(process_info(self())->links.empty());
}

// What stands in the mailbox behind a fatal signal is answered for the dead. With one scheduler the other process has not
// begun to run when all of these signals are there.
BEHAVIOUR_TEST_WITH(Relations, a_link_behind_a_fatal_signal_gives_noproc_once, {.schedulers = 1}) {
  trap_exit(true);
  const Pid doomed = spawn([] { receive<Stop>(); });
  exit(doomed, ExitReason("boom"_atom));
  link(doomed);
  EXPECT_EQ(receive<ExitMessage>().reason, ExitReason::noproc());
  EXPECT_FALSE(receive<ExitMessage>(2ms).has_value());
  EXPECT_TRUE(process_info(self())->links.empty());
}

BEHAVIOUR_TEST_WITH(Relations, a_monitor_behind_a_fatal_signal_gives_noproc_once, {.schedulers = 1}) {
  const Pid doomed = spawn([] { receive<Stop>(); });
  exit(doomed, ExitReason("boom"_atom));
  const Reference watch = monitor(doomed);
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, watch);
  EXPECT_EQ(down.reason, ExitReason::noproc());
  EXPECT_FALSE(receive<Down>(2ms).has_value());
}

BEHAVIOUR_TEST_WITH(Relations, after_an_unlink_behind_a_fatal_signal_the_exit_is_not_heard_of, {.schedulers = 1}) {
  trap_exit(true);
  const Pid doomed = spawn([] { receive<Stop>(); });
  link(doomed);
  exit(doomed, ExitReason("boom"_atom));
  unlink(doomed);
  EXPECT_FALSE(receive<ExitMessage>(2ms).has_value());
  const Pid child = spawn_link([] { receive<Stop>(); });
  exit(child, ExitReason("boom"_atom));
  unlink(child);
  EXPECT_FALSE(receive<ExitMessage>(2ms).has_value());
  EXPECT_TRUE(process_info(self())->links.empty());
}

// The end that was announced before the unlink was seen does not count, however often the link is made anew; the newest
// link does, and finds nobody.
BEHAVIOUR_TEST_WITH(Relations, of_links_made_anew_behind_a_fatal_signal_the_newest_gives_noproc, {.schedulers = 1}) {
  trap_exit(true);
  for (const bool child : {false, true}) {
    for (int anew = 1; anew <= 3; ++anew) {
      const Pid doomed = child ? spawn_link([] { receive<Stop>(); }) : spawn([] { receive<Stop>(); });
      link(doomed);
      exit(doomed, ExitReason("boom"_atom));
      for (int i = 0; i < anew; ++i) {
        unlink(doomed);
        link(doomed);
      }
      const ExitMessage message = receive<ExitMessage>();
      EXPECT_EQ(message.pid, doomed);
      EXPECT_EQ(message.reason, ExitReason::noproc());
      EXPECT_FALSE(receive<ExitMessage>(2ms).has_value());
      EXPECT_TRUE(process_info(self())->links.empty());
    }
  }
}

BEHAVIOUR_TEST_WITH(Relations, a_child_may_link_and_unlink_its_parent_too, {.schedulers = 1}) {
  trap_exit(true);
  const Pid me = self();
  const Pid linked = spawn_link([me] { link(me); });
  link(linked);  // crosses the child's
  EXPECT_EQ(receive<ExitMessage>().pid, linked);
  const Pid unlinked = spawn_link([me] {
    unlink(me);
    send(me, Ready{});
    receive<Stop>();
  });
  receive<Ready>();
  EXPECT_TRUE(process_info(self())->links.empty());
  send(unlinked, Stop{});
  EXPECT_FALSE(receive<ExitMessage>(2ms).has_value());
}

BEHAVIOUR_TEST(Relations, a_monitor_of_a_child_may_end_after_the_child_has_made_relations_of_its_own) {
  const auto [child, watch] = spawn_monitor([me = self()] {
    link(me);  // its tie to the parent becomes a watcher and a link as of any two
    unlink(me);
    const Reference other = monitor(me);
    send(me, Ready{});
    receive<Stop>();
    demonitor(other);
  });
  receive<Ready>();
  EXPECT_TRUE(demonitor(watch, {.info = true}));
  send(child, Stop{});
  EXPECT_EQ(
      receive(when([](const Down&) { return true; }, [](const Down&) { return 1; }), after(2ms, [] { return 0; })), 0);
}

BEHAVIOUR_TEST(Relations, two_that_are_linked_and_die_at_once_are_both_heard_of) {
  const auto [first, first_watch] = spawn_monitor([] {
    link(receive<Pid>());
    receive<Stop>();
    exit(ExitReason("first"_atom));
  });
  const auto [second, second_watch] = spawn_monitor([] {
    link(receive<Pid>());
    receive<Stop>();
    exit(ExitReason("second"_atom));
  });
  send(first, second);
  send(second, first);
  send(first, Stop{});
  send(second, Stop{});
  for (int i = 0; i < 2; ++i) {
    const Down down = receive<Down>();
    EXPECT_TRUE(down.reference == first_watch || down.reference == second_watch);
    EXPECT_TRUE(down.reason == "first"_atom || down.reason == "second"_atom || down.reason == ExitReason::noproc())
        << to_string(down.reason);
  }
  EXPECT_FALSE(receive<Down>(2ms).has_value());
}

BEHAVIOUR_TEST(Relations, a_chain_of_links_dies_with_one_reason_from_either_end) {
  constexpr int length = 12;
  const std::size_t hit = draw_number() % length;
  std::vector<Pid> chain;
  std::vector<Reference> watches;
  for (int i = 0; i < length; ++i) {
    const Pid previous = chain.empty() ? Pid{} : chain.back();
    const Pid me = self();
    const auto [pid, watch] = spawn_monitor([previous, me] {
      if (previous) link(previous);
      send(me, Ready{});
      sleep_for(infinity);
    });
    receive<Ready>();
    chain.push_back(pid);
    watches.push_back(watch);
  }
  exit(chain[hit], ExitReason("chain"_atom));
  for (int i = 0; i < length; ++i) EXPECT_EQ(receive<Down>().reason, "chain"_atom);
}

BEHAVIOUR_TEST(Relations, a_storm_of_monitors_ends_with_one_down_for_each_that_stood) {
  base::Xoshiro256 random(draw_number());
  const Pid target = spawn([] { receive<Stop>(); });
  std::vector<Reference> standing;
  for (int i = 0; i < 60; ++i) {
    if (standing.empty() || random.next() % 3 != 0) {
      standing.push_back(monitor(target));
    } else {
      const std::size_t which = random.next() % standing.size();
      EXPECT_TRUE(demonitor(standing[which], {.flush = true, .info = true}));
      standing.erase(standing.begin() + static_cast<std::ptrdiff_t>(which));
    }
    if (random.next() % 8 == 0) yield();
  }
  EXPECT_EQ(process_info(target)->monitored_by.size(), standing.size());
  EXPECT_EQ(process_info(self())->monitors.size(), standing.size());
  send(target, Stop{});
  while (!standing.empty()) {
    const Down down = receive<Down>();
    EXPECT_EQ(std::erase(standing, down.reference), 1u);
    EXPECT_TRUE(down.reason.is_normal());
  }
  EXPECT_FALSE(receive<Down>(2ms).has_value());
}

BEHAVIOUR_TEST(Relations, a_storm_of_monitors_against_a_dying_target_leaves_nothing_behind) {
  base::Xoshiro256 random(draw_number());
  const Pid target = spawn([] {
    for (int i = 0; i < 3; ++i) yield();
  });
  std::vector<Reference> kept;
  for (int i = 0; i < 30; ++i) {
    const Reference reference = monitor(target);
    if (random.next() % 2 == 0) {
      kept.push_back(reference);
    } else {
      demonitor(reference, {.flush = true});
    }
    if (random.next() % 6 == 0) yield();
  }
  while (!kept.empty()) {
    const Down down = receive<Down>();
    EXPECT_EQ(std::erase(kept, down.reference), 1u);
    EXPECT_TRUE(down.reason.is_normal() || down.reason == ExitReason::noproc());
  }
  EXPECT_FALSE(receive<Down>(2ms).has_value());
  EXPECT_TRUE(process_info(self())->monitors.empty());
}

BEHAVIOUR_TEST(Relations, watchers_that_die_while_their_target_dies_do_no_harm) {
  const Pid target = spawn([] { receive<Stop>(); });
  std::vector<Reference> watches;
  for (int i = 0; i < 8; ++i) {
    watches.push_back(spawn_monitor([target, i] {
                        for (int j = 0; j < 4; ++j) (void)monitor(target);
                        if (i % 2 == 0) {
                          (void)receive<Down>();
                        } else if (i % 4 == 1) {
                          yield();
                        }
                      }).second);
    if (i == 4) send(target, Stop{});
  }
  for (std::size_t i = 0; i < watches.size(); ++i) {
    const Down down = receive<Down>();
    EXPECT_EQ(std::erase(watches, down.reference), 1u);
    EXPECT_TRUE(down.reason.is_normal());
    if (watches.empty()) break;
    --i;
  }
}
