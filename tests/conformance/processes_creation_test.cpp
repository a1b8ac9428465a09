// SPDX-License-Identifier: Apache-2.0
//
// Creation and termination of processes: PR-001 to PR-018.
#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>

#include <coppice/call.hpp>

#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {

struct Go {};
struct Done {};
struct Tick {};
struct Value {
  Term term;
};
struct Leader {
  Pid pid;
};
struct Links {
  std::vector<Pid> pids;
};

// Spawns as soon as there is a slot again: a slot is free only a moment after the death was announced.
template <class F>
std::pair<Pid, Reference> spawn_when_possible(F function) {
  for (;;) {
    try {
      return spawn_monitor(function);
    } catch (const Exit& exit) {
      EXPECT_EQ(exit.reason(), Atom("system_limit"));
      yield();
    }
  }
}

}  // namespace

BEHAVIOUR_TEST(Processes, PR_001_spawn_does_not_wait_for_the_function) {
  const Pid me = self();
  // The child can only end after the parent, which has returned from spawn by then, has told it to.
  const Pid child = spawn([me] {
    receive<Go>();
    send(me, Done{});
  });
  EXPECT_TRUE(alive(child));
  send(child, Go{});
  receive<Done>();
}

BEHAVIOUR_TEST(Processes, PR_001_nothing_that_the_function_does_makes_spawn_fail) {
  const Pid thrower = spawn([] { throw Exit(boom); });
  EXPECT_TRUE(bool(thrower));
  await_end(thrower);
}

BEHAVIOUR_TEST_WITH(Processes, PR_001_only_a_resource_limit_makes_spawn_fail, {.processes_max = 3}) {
  const Pid first = spawn_idle();
  const Pid second = spawn_idle();
  try {
    (void)spawn([] {});
    ADD_FAILURE() << "a fourth process was started";
  } catch (const Exit& exit) {
    EXPECT_EQ(exit.reason(), Atom("system_limit"));
  }
  finish(first);
  EXPECT_TRUE(await_reason(spawn_when_possible([] {}).second).is_normal());
  finish(second);
}

BEHAVIOUR_TEST_WITH(Processes, PR_002_a_pid_is_not_given_to_another_process, {.processes_max = 3}) {
  std::set<Pid> seen;
  std::set<std::uint32_t> slots;
  for (int i = 0; i < 30; ++i) {
    const auto [pid, reference] = spawn_when_possible([] {});
    EXPECT_TRUE(seen.insert(pid).second) << to_string(pid);
    slots.insert(pid.slot());
    await_down(reference);
  }
  EXPECT_LE(slots.size(), 2u);  // so slots were used again
  for (const Pid& pid : seen) EXPECT_FALSE(alive(pid));
}

BEHAVIOUR_TEST(Processes, PR_003_spawn_link_links_before_the_child_runs) {
  const Pid me = self();
  const Pid child = spawn_link([me] {
    send(me, Links{process_info(self())->links});
    receive<Go>();
  });
  const auto links_of_child = receive<Links>();
  ASSERT_EQ(links_of_child.pids.size(), 1u);
  EXPECT_EQ(links_of_child.pids[0], me);
  EXPECT_EQ(process_info(me)->links, std::vector<Pid>{child});
  send(child, Go{});
}

BEHAVIOUR_TEST(Processes, PR_003_the_death_of_a_child_in_its_first_instruction_reaches_its_parent) {
  trap_exit(true);
  const Pid child = spawn_link([] { throw Exit(boom); });
  const auto exit_message = receive<ExitMessage>();
  EXPECT_EQ(exit_message.pid, child);
  EXPECT_EQ(exit_message.reason, boom);
  // And a parent that does not trap dies of it.
  EXPECT_EQ(reason_of([] {
              spawn_link([] { throw Exit(boom); });
              sleep_for(infinity);
            }),
            boom);
}

BEHAVIOUR_TEST(Processes, PR_004_spawn_monitor_monitors_before_the_child_runs) {
  const auto [pid, reference] = spawn_monitor([] { throw Exit(boom); });
  const auto down = receive<Down>();
  EXPECT_EQ(down.reference, reference);
  EXPECT_EQ(down.pid, pid);
  EXPECT_EQ(down.reason, boom);  // not noproc
  static_assert(std::is_same_v<decltype(spawn([] {})), Pid>);
}

BEHAVIOUR_TEST(Processes, PR_006_link_and_monitor_of_one_spawn_both_fire) {
  trap_exit(true);
  const auto [pid, reference] = spawn_link_monitor([] { throw Exit(boom); });
  EXPECT_EQ(receive<ExitMessage>().pid, pid);
  EXPECT_EQ(await_reason(reference), boom);
}

BEHAVIOUR_TEST(Processes, PR_006_link_and_monitor_of_one_spawn_are_independent) {
  trap_exit(true);
  const auto waits = [] {
    receive<Go>();
    throw Exit(boom);
  };
  const auto [unlinked, monitor_only] = spawn_link_monitor(waits);
  unlink(unlinked);
  send(unlinked, Go{});
  EXPECT_EQ(await_reason(monitor_only), boom);
  EXPECT_FALSE(receive<ExitMessage>(0s));

  const auto [demonitored, link_only] = spawn_link_monitor(waits);
  demonitor(link_only);
  send(demonitored, Go{});
  EXPECT_EQ(receive<ExitMessage>().pid, demonitored);
  await_end(demonitored);
  EXPECT_FALSE(receive<Down>(0s));
}

BEHAVIOUR_TEST(Processes, PR_007_a_function_that_returns_ends_its_process_with_normal) {
  EXPECT_EQ(reason_of([] {}), ExitReason::normal());
  EXPECT_EQ(reason_of([] { return 42; }), ExitReason::normal());
}

BEHAVIOUR_TEST(Processes, PR_008_an_uncaught_exit_gives_exactly_its_reason) {
  const ExitReason reasons[] = {
      ExitReason::normal(), ExitReason::shutdown(), ExitReason::shutdown(Term(3)),     ExitReason::kill(),
      ExitReason(boom),     ExitReason(Term(17)),   ExitReason(tuple(boom, 1, "text"))};
  for (const ExitReason& reason : reasons) {
    EXPECT_EQ(reason_of([reason] { throw Exit(reason); }), reason);
    EXPECT_EQ(reason_of([reason] { coppice::exit(reason); }), reason);
  }
}

BEHAVIOUR_TEST(Processes, PR_009_an_uncaught_exception_gives_the_error_and_a_stack) {
  const ExitReason reason = reason_of([] { throw std::runtime_error("out of cheese"); });
  EXPECT_TRUE(reason.is_exception());
  EXPECT_EQ(reason.exception_message(), "out of cheese");
  EXPECT_EQ(reason.exception_type(), "std::runtime_error");
  EXPECT_EQ(reason, ExitReason::exception("std::runtime_error", "out of cheese"));
  EXPECT_FALSE(reason.stack().empty());
  ASSERT_EQ(reason.term().kind(), TermKind::tuple);
  EXPECT_EQ(reason.term().size(), 2u);
}

BEHAVIOUR_TEST(Processes, PR_010_an_uncaught_value_that_is_no_exception_gives_nocatch) {
  const ExitReason reason = reason_of([] { throw 42; });
  const Term term = reason.term();
  ASSERT_EQ(term.kind(), TermKind::tuple);
  ASSERT_EQ(term.size(), 2u);
  ASSERT_EQ(term[0].kind(), TermKind::tuple);
  EXPECT_EQ(term[0][0], Term(Atom("nocatch")));
  EXPECT_EQ(reason.exception_type(), "int");
}

BEHAVIOUR_TEST(Processes, PR_012_a_child_inherits_the_group_leader_and_nothing_else) {
  const Pid me = self();
  const Pid leader = spawn_idle();
  EXPECT_NE(group_leader(), leader);
  group_leader(me, leader);
  trap_exit(true);
  dictionary::put(boom, Term(1));
  spawn([me] {
    send(me, Leader{group_leader()});
    send(me, Value{Term(trap_exit(true))});
    send(me, Value{dictionary::get(boom)});
  });
  EXPECT_EQ(receive<Leader>().pid, leader);
  EXPECT_EQ(receive<Value>().term, Term(false));
  EXPECT_EQ(receive<Value>().term, Term());
  finish(leader);
}

BEHAVIOUR_TEST(Processes, PR_013_no_code_runs_after_a_fatal_signal) {
  for (const ExitReason& reason : {ExitReason::kill(), ExitReason::shutdown()}) {
    const auto handled = std::make_shared<std::atomic<int>>(0);
    const auto [pid, reference] = spawn_monitor([handled] {
      for (;;) receive([&](const Tick&) { ++*handled; });
    });
    exit(pid, reason);
    for (int i = 0; i < 5; ++i) send(pid, Tick{});
    EXPECT_FALSE(alive(pid));
    await_down(reference);
    EXPECT_EQ(handled->load(), 0);
  }
}

BEHAVIOUR_TEST(Processes, PR_014_names_are_free_and_state_is_destroyed_before_the_death_is_announced) {
  struct Resource {
    std::shared_ptr<std::atomic<bool>> gone;
    explicit Resource(std::shared_ptr<std::atomic<bool>> flag) : gone(std::move(flag)) {}
    Resource(Resource&&) = default;
    ~Resource() {
      if (gone) gone->store(true);
    }
  };
  trap_exit(true);
  const auto captured = std::make_shared<std::atomic<bool>>(false);
  const auto on_stack = std::make_shared<std::atomic<bool>>(false);
  const auto start = [&] {
    *captured = *on_stack = false;
    return spawn_link_monitor(
        [resource = Resource(captured), on_stack] {
          const Resource local(on_stack);
          receive<Go>();
          throw Exit(boom);
        },
        {.name = "owner"});
  };
  const auto expect_released = [&] {
    EXPECT_FALSE(bool(whereis("owner")));
    EXPECT_TRUE(captured->load());
    EXPECT_TRUE(on_stack->load());
  };
  {
    const auto [pid, reference] = start();
    EXPECT_EQ(whereis("owner"), pid);
    send(pid, Go{});
    await_down(reference);
    expect_released();
    receive<ExitMessage>();
  }
  {
    const auto [pid, reference] = start();
    send(pid, Go{});
    EXPECT_EQ(receive<ExitMessage>().pid, pid);
    expect_released();
    await_down(reference);
  }
}

BEHAVIOUR_TEST(Processes, PR_015_exit_and_down_both_reach_a_watcher_in_whatever_order) {
  trap_exit(true);
  const auto [pid, reference] = spawn_link_monitor([] { throw Exit(boom); });
  int exits = 0;
  int downs = 0;
  for (int i = 0; i < 2; ++i) {
    receive([&](const ExitMessage& m) { exits += m.pid == pid && m.reason == boom; },
            [&, wanted = reference](const Down& m) { downs += m.reference == wanted && m.reason == boom; });
  }
  EXPECT_EQ(exits, 1);
  EXPECT_EQ(downs, 1);
}

BEHAVIOUR_TEST(Processes, PR_016_a_process_that_the_asker_has_killed_is_not_alive) {
  for (int i = 0; i < 5; ++i) {
    const Pid pid = spawn_idle();
    EXPECT_TRUE(alive(pid));
    exit(pid, ExitReason::kill());
    EXPECT_FALSE(alive(pid));
  }
}

BEHAVIOUR_TEST(Processes, PR_016_a_liveness_test_comes_after_the_askers_other_signals) {
  const Pid waiting = spawn_idle();
  exit(waiting, ExitReason::shutdown());
  EXPECT_FALSE(alive(waiting));
  const Pid computing = spawn([] {
    for (;;) checkpoint();
  });
  EXPECT_TRUE(alive(computing));
  exit(computing, boom);
  EXPECT_FALSE(alive(computing));
  const Pid trapping = spawn([] {
    trap_exit(true);
    for (;;) receive([](const ExitMessage&) {});
  });
  EXPECT_TRUE(has_acted(trapping));
  send(trapping, Tick{});
  EXPECT_TRUE(alive(trapping));
  finish(trapping);
}

namespace {

struct Question {};
using QuestionNode = detail::Envelope<Question, int>;
constexpr detail::SignalTable question_table{detail::SignalKind::message,
                                             detail::envelope_offset<Question, int>(),
                                             &detail::type_identity<Question>,
                                             nullptr,
                                             &detail::destroy_node<QuestionNode>,
                                             nullptr,
                                             &detail::bounce_call,
                                             &detail::describe_payload<Question>};

// Calls a plain process, which never answers.
detail::CallOutcome ask_in_vain(const Pid& server) {
  auto* node = detail::make_node<QuestionNode>(Question{});
  node->table = &question_table;
  node->reply_table = &detail::reply_table<Question, int>;
  return detail::perform_call({server, Term(server)}, node, detail::type_identity<Question>, infinity);
}

}  // namespace

BEHAVIOUR_TEST(Processes, PR_016_the_caller_whose_call_the_asker_handles_is_alive) {
  const Pid me = self();
  const Pid caller = spawn([me] { (void)ask_in_vain(me); });
  receive<Question>();
  send(caller, Tick{});
  EXPECT_TRUE(alive(caller));
  EXPECT_TRUE(process_info(caller).has_value());
  finish(caller);
}

BEHAVIOUR_TEST(Processes, PR_017_a_liveness_test_takes_local_pids_only) {
  const ExitReason reason = reason_of([] { (void)alive(remote_pid()); });
  ASSERT_EQ(reason.term().kind(), TermKind::tuple);
  EXPECT_EQ(reason.term()[0], Term(Atom("badarg")));
  EXPECT_THROW((void)alive(remote_pid()), Exit);
}

BEHAVIOUR_TEST(Processes, PR_017_nobody_is_not_alive) { EXPECT_FALSE(alive(Pid{})); }

BEHAVIOUR_TEST(Processes, PR_018_the_living_are_among_the_processes) {
  const Pid other = spawn_idle();
  const std::vector<Pid> all = processes();
  EXPECT_EQ(std::count(all.begin(), all.end(), self()), 1);
  EXPECT_EQ(std::count(all.begin(), all.end(), other), 1);
  const Pid dead = dead_pid();
  finish(other);
  EXPECT_FALSE(alive(dead));
  // What an enumeration names was a process: each is alive, or leaving, and may be asked.
  for (const Pid& pid : all) (void)alive(pid);
}
