// SPDX-License-Identifier: Apache-2.0
//
// Stopping: GS-087 to GS-091, and the parent's exit: GS-100 to GS-104. When terminate runs: gen_server_terminate_test.cpp.
#include "conformance/gen_server_probe.hpp"

using namespace conformance;

namespace {

constexpr Name<Probe> named{"gs_stop_probe"};

// The reason of a stop that failed: {cause, {GenServer, :stop, [server, reason, timeout]}}.
ExitReason failed_stop(const ExitReason& cause, const Term& server, const ExitReason& reason, const Term& timeout) {
  Term call = tuple(Atom("Elixir.GenServer"), "stop"_atom, Term::list_of({server, reason.term(), timeout}));
  return ExitReason(tuple(cause, std::move(call)));
}

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_087_stop_waits_until_the_server_is_gone) {
  const ProbeRef probe = start_probe({.terminate = [](Probe&) { sleep_for(5ms); }});
  const Reference gone = monitor(probe);
  probe.stop();
  EXPECT_FALSE(alive(probe));
  EXPECT_EQ(all_heard(), (Texts{"terminate :normal", "destroyed"}));
  EXPECT_EQ(await_reason(gone), ExitReason::normal());
}

BEHAVIOUR_TEST(GenServer, GS_087_stop_succeeds_with_whatever_reason_was_given) {
  for (const ExitReason& reason : {ExitReason::shutdown(), ExitReason("abnormal"_atom), ExitReason(tuple(1, 2))}) {
    const ProbeRef probe = start_probe();
    const Reference gone = monitor(probe);
    EXPECT_EQ(exit_reason_of([&] { probe.stop(reason); }), ExitReason::normal());
    EXPECT_EQ(await_reason(gone), reason);
    EXPECT_EQ(all_heard(), (Texts{"terminate " + to_string(reason), "destroyed"}));
  }
}

BEHAVIOUR_TEST(GenServer, GS_088_stop_is_served_behind_the_messages_that_are_queued) {
  const ProbeRef probe = start_probe();
  probe.cast(hold());
  receive<Held>();
  probe.cast(note("one"));
  send(probe.pid(), Probe::Note{"two"});
  const auto stopper = spawn_monitor([probe] { probe.stop(); });
  await_queue(probe, 3);
  send(probe.pid(), Release{});
  await_reason(stopper.second);
  EXPECT_EQ(all_heard(), (Texts{"one", "note two", "terminate :normal", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_088_a_suspended_server_stops_and_skips_its_messages) {
  const ProbeRef probe = start_probe();
  sys::suspend(probe);
  probe.cast(note("skipped"));
  probe.stop();
  EXPECT_EQ(all_heard(), (Texts{"terminate :normal", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_089_the_name_is_free_when_stop_has_returned) {
  for (int i = 0; i < 50; ++i) {
    const auto started = Probe::start_as({.name = named}, Probe::Plan{});
    ASSERT_TRUE(started.is_ok()) << started.reason();
    named.stop();
    EXPECT_EQ(named.pid(), Pid());
  }
}

BEHAVIOUR_TEST(GenServer, GS_090_stop_fails_if_the_server_ends_with_another_reason) {
  const ProbeRef probe = start_probe({.terminate = [](Probe&) { throw Exit("other"_atom); }});
  EXPECT_EQ(exit_reason_of([&] { probe.stop(); }),
            failed_stop("other"_atom, Term(probe.pid()), ExitReason::normal(), "infinity"_atom));
}

BEHAVIOUR_TEST(GenServer, GS_090_stop_fails_if_the_server_is_killed_meanwhile) {
  const ProbeRef probe = start_probe();
  probe.cast(hold());
  receive<Held>();
  const auto killer = spawn_monitor([probe] {
    await_queue(probe, 1);
    exit(probe, ExitReason::kill());
  });
  EXPECT_EQ(exit_reason_of([&] { probe.stop(ExitReason::shutdown(), 1h); }),
            failed_stop(ExitReason::killed(), Term(probe.pid()), ExitReason::shutdown(), Term(3'600'000)));
  await_reason(killer.second);
}

BEHAVIOUR_TEST(GenServer, GS_091_stop_of_nobody_is_noproc) {
  const Pid dead = dead_pid();
  EXPECT_EQ(exit_reason_of([&] { ProbeRef(dead).stop(); }),
            failed_stop(ExitReason::noproc(), Term(dead), ExitReason::normal(), "infinity"_atom));
  EXPECT_EQ(exit_reason_of([&] { named.stop(ExitReason::shutdown(), 1s); }),
            failed_stop(ExitReason::noproc(), "gs_stop_probe"_atom, ExitReason::shutdown(), Term(1000)));
}

BEHAVIOUR_TEST(GenServer, GS_091_stop_of_oneself_is_calling_self) {
  const ProbeRef probe = start_probe();
  probe.cast(Probe::Do{plain([](Probe& p) { p.tell(to_string(exit_reason_of([] { Probe::self().stop(); }))); })});
  EXPECT_EQ(heard(), to_string(failed_stop("calling_self"_atom, Term(probe.pid()), {}, "infinity"_atom)));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_091_a_negative_time_is_badarg) {
  const ProbeRef probe = start_probe();
  EXPECT_EQ(exit_reason_of([&] { probe.stop(ExitReason::normal(), -1ms); }),
            ExitReason::badarg("stop: the timeout must not be negative"));
  EXPECT_TRUE(alive(probe));
  probe.stop();
}

// A thread that is no process stops a server as a process does, and hears of a failure in the same way.
TEST(GenServer, GS_087_GS_090_a_thread_that_is_no_process_may_stop_a_server) {
  Runtime runtime({.schedulers = 2});
  const Runtime::Scope scope(runtime);
  const ProbeRef first = Probe::start(Probe::Plan{}).value();
  first.stop("given"_atom);
  EXPECT_FALSE(alive(first));
  const ExitReason noproc = exit_reason_of([&] { first.stop(); });
  ASSERT_EQ(noproc.term().kind(), TermKind::tuple) << noproc;
  EXPECT_EQ(ExitReason(noproc.term()[0]), ExitReason::noproc());
  const ProbeRef second = Probe::start(Probe::Plan{.terminate = [](Probe&) { exit("another"_atom); }}).value();
  const ExitReason another = exit_reason_of([&] { second.stop(); });
  ASSERT_EQ(another.term().kind(), TermKind::tuple) << another;
  EXPECT_EQ(another.term()[0], Term("another"_atom));
  const ProbeRef third = Probe::start(Probe::Plan{}).value();
  EXPECT_TRUE(runtime.stop().clean);
  EXPECT_EQ(exit_reason_of([&] { third.stop(); }), ExitReason::shutdown());  // nobody is left to do it
}

BEHAVIOUR_TEST(GenServer, GS_091_when_the_time_is_over_the_server_goes_on_terminating) {
  const ProbeRef probe = start_probe({.terminate = [](Probe& p) {
    receive<Release>();
    p.tell("released");
  }});
  const Reference gone = monitor(probe);
  EXPECT_EQ(exit_reason_of([&] { probe.stop(ExitReason::normal(), 5ms); }),
            failed_stop(ExitReason::timeout(), Term(probe.pid()), {}, Term(5)));
  EXPECT_TRUE(alive(probe));
  send(probe.pid(), Release{});
  EXPECT_EQ(await_reason(gone), ExitReason::normal());
  EXPECT_EQ(all_heard(), (Texts{"terminate :normal", "released", "destroyed"}));
  EXPECT_EQ(receive<Down>(0s).has_value(), false);  // of the stop that gave up
}

// -- the parent ------------------------------------------------------------------------------------------------------------

namespace {

// A probe with a parent that ends with `reason` when it is sent a Release. The watcher is the caller.
struct Family {
  Pid parent;
  ProbeRef probe;
  Reference gone;
  explicit Family(const ExitReason& reason, Probe::Plan plan = {}) {
    plan.watcher = self();
    parent = spawn([me = self(), reason, plan] {
      send(me, Probe::start_link(plan).value());
      receive<Release>();
      exit(reason);
    });
    probe = receive<ProbeRef>();
    gone = monitor(probe);
  }
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_100_the_exit_of_the_parent_ends_a_trapping_server) {
  for (const ExitReason& reason : {ExitReason::normal(), ExitReason::shutdown(), ExitReason("boom"_atom)}) {
    const Family family(reason, trapping());
    send(family.parent, Release{});
    EXPECT_EQ(await_reason(family.gone), reason);
    EXPECT_EQ(all_heard(), (Texts{"terminate " + to_string(reason), "destroyed"}));  // no "exit": not to handle_info
  }
}

BEHAVIOUR_TEST(GenServer, GS_101_a_normal_exit_of_the_parent_leaves_a_server_that_does_not_trap) {
  const Family family(ExitReason::normal());
  const Reference parent = monitor(family.parent);
  send(family.parent, Release{});
  await_reason(parent);
  EXPECT_EQ(family.probe.call(get_value()), Term(0));
  EXPECT_TRUE(all_heard().empty());
  family.probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_101_any_other_exit_of_the_parent_kills_it_without_terminate) {
  for (const ExitReason& reason : {ExitReason::shutdown(), ExitReason("boom"_atom)}) {
    const Family family(reason);
    send(family.parent, Release{});
    EXPECT_EQ(await_reason(family.gone), reason);
    EXPECT_EQ(all_heard(), Texts{"destroyed"});
  }
}

BEHAVIOUR_TEST(GenServer, GS_102_the_exit_of_the_parent_is_handled_in_mailbox_order) {
  const Family family(ExitReason::shutdown(), trapping());
  family.probe.cast(hold());
  receive<Held>();
  family.probe.cast(note("before"));
  send(family.parent, Release{});
  await_queue(family.probe, 2);
  family.probe.cast(note("behind"));
  send(family.probe.pid(), Release{});
  EXPECT_EQ(await_reason(family.gone), ExitReason::shutdown());
  EXPECT_EQ(all_heard(), (Texts{"before", "terminate :shutdown", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_102_a_suspended_server_reacts_to_it_at_once) {
  const Family family(ExitReason::shutdown(), trapping());
  sys::suspend(family.probe);
  family.probe.cast(note("before"));
  send(family.parent, Release{});
  EXPECT_EQ(await_reason(family.gone), ExitReason::shutdown());
  EXPECT_EQ(all_heard(), (Texts{"terminate :shutdown", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_103_an_exit_that_the_parent_sends_ends_a_trapping_server) {
  const ProbeRef probe = start_linked_probe(trapping());
  const Reference gone = monitor(probe);
  unlink(probe);
  exit(probe, "told"_atom);
  EXPECT_EQ(await_reason(gone), "told"_atom);
  EXPECT_EQ(all_heard(), (Texts{"terminate :told", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_103_a_forged_message_ends_even_a_server_that_does_not_trap) {
  const ProbeRef probe = start_linked_probe();
  const Reference gone = monitor(probe);
  const Pid me = self();
  trap_exit(true);
  spawn([probe, me] { send(probe.pid(), ExitMessage{me, "forged"_atom}); });
  EXPECT_EQ(await_reason(gone), "forged"_atom);
  EXPECT_EQ(all_heard(), (Texts{"terminate :forged", "destroyed"}));
  EXPECT_EQ(receive<ExitMessage>().reason, "forged"_atom);
}

BEHAVIOUR_TEST(GenServer, GS_104_exits_of_others_go_to_handle_info) {
  const ProbeRef probe = start_linked_probe(trapping());
  spawn([probe] { exit(probe, "of_a_stranger"_atom); });
  EXPECT_EQ(heard(), "exit :of_a_stranger");
  probe.cast(Probe::Do{plain([](Probe&) { spawn_link([] {}); })});
  EXPECT_EQ(heard(), "exit :normal");
  EXPECT_TRUE(alive(probe));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_104_a_server_without_a_link_has_no_parent) {
  const ProbeRef probe = start_probe(trapping());
  exit(probe, "from_the_starter"_atom);
  EXPECT_EQ(heard(), "exit :from_the_starter");
  EXPECT_TRUE(alive(probe));
  probe.stop();
}
