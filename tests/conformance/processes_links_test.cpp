// SPDX-License-Identifier: Apache-2.0
//
// Links: PR-038 to PR-047.
#include <atomic>
#include <memory>
#include <vector>

#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {

struct Go {};
struct Linked {
  std::vector<Pid> pids;
};

// A process that ends with `boom` when it is told to.
auto ends_when_told() {
  return [] {
    receive<Go>();
    throw Exit(boom);
  };
}

int exit_messages_now() {
  int count = 0;
  while (receive<ExitMessage>(0s)) ++count;
  return count;
}

}  // namespace

BEHAVIOUR_TEST(Processes, PR_038_linking_twice_gives_one_exit_signal) {
  trap_exit(true);
  const Pid me = self();
  const auto [pid, reference] = spawn_link_monitor([me] {
    link(me);
    receive<Go>();
    link(me);
    throw Exit(boom);
  });
  EXPECT_TRUE(link(pid));
  EXPECT_TRUE(link(pid));
  EXPECT_EQ(process_info(self())->links, std::vector<Pid>{pid});
  send(pid, Go{});
  EXPECT_EQ(receive<ExitMessage>().reason, boom);
  await_down(reference);
  EXPECT_EQ(exit_messages_now(), 0);
}

BEHAVIOUR_TEST(Processes, PR_038_a_link_works_both_ways) {
  // Whichever end dies takes the other with it, whoever has linked.
  for (const bool linker_dies : {true, false}) {
    const auto [other, other_down] = spawn_monitor(ends_when_told());
    const auto [linker, linker_down] = spawn_monitor([pid = other] {
      link(pid);
      receive<Go>();
      throw Exit(boom);
    });
    EXPECT_TRUE(has_acted(linker));
    while (process_info(linker)->links.empty()) yield();
    EXPECT_EQ(process_info(other)->links, std::vector<Pid>{linker});
    send(linker_dies ? linker : other, Go{});
    EXPECT_EQ(await_reason(other_down), boom);
    EXPECT_EQ(await_reason(linker_down), boom);
  }
}

BEHAVIOUR_TEST(Processes, PR_039_linking_to_oneself_does_nothing) {
  trap_exit(true);
  EXPECT_TRUE(link(self()));
  EXPECT_TRUE(process_info(self())->links.empty());
  EXPECT_TRUE(unlink(self()));
  EXPECT_EQ(exit_messages_now(), 0);
  EXPECT_EQ(reason_of([] {
              link(self());
              throw Exit(boom);
            }),
            boom);
}

BEHAVIOUR_TEST(Processes, PR_040_linking_to_a_dead_pid_without_trapping_fails_with_noproc) {
  const Pid dead = dead_pid();
  for (const Pid& pid : {dead, Pid{}}) {
    try {
      link(pid);
      ADD_FAILURE() << "link returned";
    } catch (const Exit& exit) {
      EXPECT_EQ(exit.reason(), ExitReason::noproc());
    }
    EXPECT_EQ(reason_of([pid] { link(pid); }), ExitReason::noproc());
  }
  EXPECT_TRUE(process_info(self())->links.empty());
}

BEHAVIOUR_TEST(Processes, PR_040_linking_to_a_dead_pid_while_trapping_gives_a_message) {
  trap_exit(true);
  const Pid dead = dead_pid();
  EXPECT_TRUE(link(dead));
  const auto message = receive<ExitMessage>();
  EXPECT_EQ(message.pid, dead);
  EXPECT_EQ(message.reason, ExitReason::noproc());
  EXPECT_EQ(exit_messages_now(), 0);
  EXPECT_TRUE(process_info(self())->links.empty());
}

BEHAVIOUR_TEST(Processes, PR_040_linking_to_a_process_that_is_dying_gives_one_message) {
  trap_exit(true);
  for (int i = 0; i < 5; ++i) {
    const Pid pid = spawn([] { throw Exit(boom); });
    EXPECT_TRUE(link(pid));
    const auto message = receive<ExitMessage>();
    EXPECT_EQ(message.pid, pid);
    EXPECT_TRUE(message.reason == boom || message.reason == ExitReason::noproc()) << message.reason;
    await_end(pid);
    EXPECT_EQ(exit_messages_now(), 0);
  }
}

BEHAVIOUR_TEST(Processes, PR_041_linking_to_a_remote_pid_never_fails_at_once) {
  // Nothing connects us with that node, which is what the exit signal says.
  trap_exit(true);
  EXPECT_TRUE(link(remote_pid()));
  const auto message = receive<ExitMessage>();
  EXPECT_EQ(message.pid, remote_pid());
  EXPECT_EQ(message.reason, ExitReason::noconnection());
  // It kills a caller that does not trap, and cannot be caught there.
  EXPECT_EQ(reason_of([] {
              try {
                link(remote_pid());
                sleep_for(infinity);
              } catch (const Exit&) {
                throw Exit(boom);
              }
            }),
            ExitReason::noconnection());
}

BEHAVIOUR_TEST(Processes, PR_042_each_linked_process_gets_one_exit_signal_and_the_link_is_gone) {
  const Pid me = self();
  const Pid centre = spawn(ends_when_told());
  std::vector<Pid> watchers;
  struct Heard {
    Pid watcher;
    Pid from;
    ExitReason reason;
    std::size_t links;
    bool more;
  };
  for (int i = 0; i < 3; ++i) {
    watchers.push_back(spawn([me, centre] {
      trap_exit(true);
      link(centre);
      send(me, Linked{});
      const auto message = receive<ExitMessage>();
      const bool more = receive<ExitMessage>(10ms).has_value();
      send(me, Heard{self(), message.pid, message.reason, process_info(self())->links.size(), more});
    }));
  }
  for (int i = 0; i < 3; ++i) receive<Linked>();
  send(centre, Go{});
  for (const Pid& watcher : watchers) {
    const Heard heard =
        receive(when([watcher](const Heard& h) { return h.watcher == watcher; }, [](const Heard& h) { return h; }));
    EXPECT_EQ(heard.from, centre);
    EXPECT_EQ(heard.reason, boom);
    EXPECT_EQ(heard.links, 0u);
    EXPECT_FALSE(heard.more);
  }
}

BEHAVIOUR_TEST(Processes, PR_043_unlink_always_succeeds) {
  EXPECT_TRUE(unlink(Pid{}));
  EXPECT_TRUE(unlink(dead_pid()));
  EXPECT_TRUE(unlink(remote_pid()));
  const Pid pid = spawn_idle();
  EXPECT_TRUE(unlink(pid));
  EXPECT_TRUE(link(pid));
  EXPECT_TRUE(unlink(pid));
  EXPECT_TRUE(unlink(pid));
  EXPECT_TRUE(alive(pid));
  exit(pid, boom);  // the caller does not trap and survives
  await_end(pid);
}

BEHAVIOUR_TEST(Processes, PR_044_after_unlink_the_link_does_nothing_more) {
  trap_exit(true);
  for (int i = 0; i < 10; ++i) {
    const auto [pid, reference] = spawn_link_monitor([i] {
      for (int k = 0; k < i; ++k) yield();
      throw Exit(boom);
    });
    if (i % 3 == 1) yield();
    unlink(pid);
    exit_messages_now();  // one that was queued before stays (PR-045)
    await_down(reference);
    EXPECT_EQ(exit_messages_now(), 0);
    EXPECT_TRUE(process_info(self())->links.empty());
  }
}

BEHAVIOUR_TEST(Processes, PR_044_the_death_of_an_unlinked_process_does_not_kill) {
  // The canonical use: no trapping, so nothing may arrive after unlink has returned.
  const auto [survivor, reference] = spawn_monitor([] {
    const Pid child = spawn_link(ends_when_told());
    unlink(child);
    send(child, Go{});
    await_end(child);
  });
  EXPECT_TRUE(await_reason(reference).is_normal());
}

BEHAVIOUR_TEST(Processes, PR_044_a_new_link_counts_again) {
  trap_exit(true);
  for (int i = 0; i < 5; ++i) {
    const auto [pid, reference] = spawn_link_monitor(ends_when_told());
    unlink(pid);
    if (i % 2 == 1) yield();
    link(pid);
    send(pid, Go{});
    EXPECT_EQ(receive<ExitMessage>().pid, pid);
    await_down(reference);
    EXPECT_EQ(exit_messages_now(), 0);
  }
}

BEHAVIOUR_TEST(Processes, PR_045_an_exit_message_that_was_queued_before_unlink_stays) {
  trap_exit(true);
  const auto [pid, reference] = spawn_link_monitor([] { throw Exit(boom); });
  await_down(reference);
  while (process_info(self())->message_queue_len == 0) yield();
  unlink(pid);
  const auto message = receive<ExitMessage>(0s);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->pid, pid);
}

BEHAVIOUR_TEST(Processes, PR_046_an_explicit_exit_signal_does_not_need_the_link) {
  trap_exit(true);
  const Pid me = self();
  const auto [pid, reference] = spawn_link_monitor([me] {
    receive<Go>();
    exit(me, Atom("explicit"));
    throw Exit(boom);
  });
  unlink(pid);
  send(pid, Go{});
  await_down(reference);
  EXPECT_EQ(receive<ExitMessage>().reason, Atom("explicit"));
  EXPECT_EQ(exit_messages_now(), 0);
}

BEHAVIOUR_TEST(Processes, PR_047_a_reason_travels_unchanged_along_a_chain) {
  const ExitReason reason(tuple(boom, 1, "because"));
  std::vector<Reference> references;
  Pid previous;
  for (int i = 0; i < 6; ++i) {
    const auto [pid, reference] = spawn_monitor([previous] {
      if (previous) link(previous);
      sleep_for(infinity);
    });
    references.push_back(reference);
    if (previous) {
      while (process_info(pid)->links.empty()) yield();
    }
    previous = pid;
  }
  exit(previous, reason);
  for (const Reference& reference : references) EXPECT_EQ(await_reason(reference), reason);
}
