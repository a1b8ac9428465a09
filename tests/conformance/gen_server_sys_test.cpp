// SPDX-License-Identifier: Apache-2.0
//
// System messages and debugging: GS-113 to GS-126, and the debug options of a start (GS-010).
#include <stdexcept>

#include "conformance/gen_server_probe.hpp"

using namespace conformance;
using Kind = sys::Event::Kind;

namespace {

Probe::Do set(int value) {
  return {plain([value](Probe& p) { p.value = value; })};
}
Probe::Ask answer(int value) {
  return {[value](Probe&) { return Probe::Answer<Term>(Term(value)); }};
}

// The reason of a failed request: {cause, {:sys, function, [server]}}.
ExitReason failed_request(const ExitReason& cause, const char* function, const Term& server) {
  return ExitReason(tuple(cause, tuple("sys"_atom, Atom(function), Term::list_of({server}))));
}

constexpr Name<Probe> named{"gs_sys_probe"};

// A plain aggregate as a state, with replies that convert and others that do not.
class Ledger : public GenServer<Ledger> {
 public:
  struct Add {
    using Reply = int;
    int amount;
  };
  struct Opaque {
    explicit Opaque(int v) : value(v) {}
    int value;
  };
  struct GetOpaque {
    using Reply = Opaque;
  };
  struct AddLater {
    using Reply = int;
  };
  struct AddCast {
    int amount;
  };
  struct StopWith {
    using Reply = int;
  };
  int handle_call(Add m) { return sum += m.amount; }
  Opaque handle_call(GetOpaque) { return Opaque(1); }
  void handle_call(AddLater, From<int> from) { from.reply(sum); }
  Answer<int> handle_call(StopWith) { return reply(3).timeout(infinity); }
  void handle_cast(AddCast m) { sum += m.amount; }
  Term format_status() const { return tuple("sum"_atom, sum); }
  int sum = 0;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_113_a_server_answers_between_two_callbacks) {
  const ProbeRef probe = start_probe();
  probe.cast(set(3));
  EXPECT_EQ(sys::get_state_term(probe), Term(3));
  probe.cast(set(4));
  EXPECT_EQ(sys::get_state_term(probe), Term(4));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_113_a_request_that_fails_exits_the_client) {
  const Pid dead = dead_pid();
  EXPECT_EQ(exit_reason_of([&] { sys::suspend(dead); }), failed_request(ExitReason::noproc(), "suspend", Term(dead)));
  EXPECT_EQ(exit_reason_of([&] { static_cast<void>(sys::get_status(named)); }),
            failed_request(ExitReason::noproc(), "get_status", "gs_sys_probe"_atom));
  const ProbeRef probe = start_probe();
  probe.cast(hold());
  receive<Held>();
  EXPECT_EQ(exit_reason_of([&] { static_cast<void>(sys::get_state_term(probe, 1ms)); }),
            failed_request(ExitReason::timeout(), "get_state", Term(probe.pid())));
  const auto killer = spawn_monitor([probe] {
    await_queue(probe, 2);
    exit(probe, ExitReason::kill());
  });
  EXPECT_EQ(exit_reason_of([&] { sys::resume(probe); }),
            failed_request(ExitReason::killed(), "resume", Term(probe.pid())));
  await_reason(killer.second);
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_113_the_default_timeout_is_5_seconds) {
  const ProbeRef probe = start_probe();
  probe.cast(hold());
  receive<Held>();
  const auto before = monotonic_time();
  EXPECT_EQ(exit_reason_of([&] { static_cast<void>(sys::get_status(probe)); }),
            failed_request(ExitReason::timeout(), "get_status", Term(probe.pid())));
  EXPECT_GE(monotonic_time() - before, 5s);
  EXPECT_LT(monotonic_time() - before, 5100ms);
  send(probe.pid(), Release{});
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_114_get_state_copies_the_state) {
  const ProbeRef probe = start_probe();
  probe.cast(set(8));
  const Probe copy = sys::get_state<Probe>(probe);
  EXPECT_EQ(copy.value, 8);
  probe.cast(set(9));
  EXPECT_EQ(probe.call(get_value()), Term(9));
  EXPECT_EQ(copy.value, 8);
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_114_replace_state_runs_in_the_server) {
  const ProbeRef probe = start_probe();
  Pid ran_in;
  sys::replace_state<Probe>(probe, [&ran_in](Probe& p) {
    p.value = 12;
    ran_in = self();
  });
  EXPECT_EQ(ran_in, probe.pid());
  EXPECT_EQ(probe.call(get_value()), Term(12));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_114_a_function_that_fails_leaves_the_server_alive) {
  const ProbeRef probe = start_probe();
  probe.cast(set(5));
  const auto failure = [&](std::function<void()> fail) {
    const ExitReason reason = exit_reason_of([&] { sys::replace_state<Probe>(probe, [fail](Probe&) { fail(); }); });
    EXPECT_EQ(reason.term()[1], Term(tuple("sys"_atom, "replace_state"_atom, Term::list_of({Term(probe.pid())}))));
    return reason.term()[0];
  };
  const Term raised = failure([] { throw std::logic_error("boom"); });
  EXPECT_EQ(raised[0], Term("callback_failed"_atom));
  EXPECT_EQ(raised[2][0], Term("error"_atom));
  EXPECT_EQ(ExitReason(raised[2][1]).exception_message(), "boom");
  const Term exited = failure([] { throw Exit("boom"_atom); });
  EXPECT_EQ(exited, Term(tuple("callback_failed"_atom, "sys"_atom, tuple("exit"_atom, "boom"_atom))));
  EXPECT_EQ(failure([] { throw 42; })[2][0], Term("error"_atom));
  EXPECT_EQ(probe.call(get_value()), Term(5));
  EXPECT_TRUE(all_heard().empty());
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_114_a_function_that_ends_the_process_ends_the_server) {
  const ProbeRef probe = start_probe();
  const ExitReason reason =
      exit_reason_of([&] { sys::replace_state<Probe>(probe, [](Probe&) { exit("left"_atom); }); });
  EXPECT_EQ(reason, failed_request("left"_atom, "replace_state", Term(probe.pid())));
  EXPECT_EQ(all_heard(), (Texts{"terminate :left", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_114_the_state_of_another_class_is_refused) {
  const ProbeRef probe = start_probe();
  const ExitReason reason = exit_reason_of([&] { static_cast<void>(sys::get_state<Ledger>(probe)); });
  EXPECT_EQ(reason.term()[0][0], Term("badarg"_atom));
  EXPECT_EQ(probe.call(get_value()), Term(0));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_115_get_status_describes_the_server) {
  const ProbeRef probe = start_linked_probe({.init = [](Probe&) {
    dictionary::put("key"_atom, 1);
    return Probe::ok();
  }});
  probe.cast(set(6));
  sys::ServerStatus status = sys::get_status(probe);
  EXPECT_EQ(status.pid, probe.pid());
  EXPECT_EQ(status.module, "Probe");
  EXPECT_EQ(status.parent, self());
  EXPECT_EQ(status.status, sys::Status::running);
  EXPECT_EQ(status.state, Term(6));
  EXPECT_TRUE(status.log.empty());
  const std::pair<Term, Term> entry{"key"_atom, 1};
  EXPECT_NE(std::find(status.dictionary.begin(), status.dictionary.end(), entry), status.dictionary.end());
  sys::suspend(probe);
  sys::log(probe);
  EXPECT_EQ(sys::get_status(probe).status, sys::Status::suspended);
  sys::resume(probe);
  probe.call(answer(2));
  EXPECT_EQ(sys::get_status(probe).log.size(), 2u);
  probe.stop();
  const ProbeRef alone = start_probe();
  EXPECT_EQ(sys::get_status(alone).parent, alone.pid());  // without a link: itself
  alone.stop();
}

BEHAVIOUR_TEST(GenServer, GS_116_a_suspended_server_handles_system_messages_only) {
  const ProbeRef probe = start_probe();
  sys::suspend(probe);
  probe.cast(note("first"));
  send(probe.pid(), Probe::Note{"second"});
  EXPECT_EQ(probe.try_call(get_value(), 5ms).reason(), ExitReason::timeout());
  EXPECT_EQ(sys::get_state_term(probe), Term(0));
  EXPECT_TRUE(all_heard().empty());
  EXPECT_EQ(process_info(probe)->message_queue_len, 3u);
  sys::resume(probe);
  EXPECT_EQ(probe.call(get_value()), Term(0));
  EXPECT_EQ(all_heard(), (Texts{"first", "note second"}));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_117_suspending_or_resuming_twice_is_harmless) {
  const ProbeRef probe = Probe::start_as({.name = named}, Probe::Plan{.watcher = self()}).value();
  sys::resume(named);
  EXPECT_EQ(probe.call(get_value()), Term(0));
  sys::suspend(named);
  sys::suspend(probe);
  sys::resume(named);
  EXPECT_EQ(probe.call(get_value()), Term(0));
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_118_resuming_restarts_a_pending_timeout_in_full) {
  const ProbeRef probe = start_probe();
  probe.cast(Probe::Do{[](Probe&) { return Probe::noreply().timeout(10s); }});
  sleep_for(9s);
  sys::suspend(probe);
  sleep_for(1h);
  EXPECT_TRUE(all_heard().empty());
  const auto resumed = monotonic_time();
  sys::resume(probe);
  EXPECT_EQ(heard(), "timeout");
  EXPECT_GE(monotonic_time() - resumed, 9900ms);
  EXPECT_LT(monotonic_time() - resumed, 10100ms);
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_118_a_message_that_piled_up_cancels_the_timeout) {
  const ProbeRef probe = start_probe();
  probe.cast(Probe::Do{[](Probe&) { return Probe::noreply().timeout(10s); }});
  probe.call(Probe::Ask{[](Probe&) { return Probe::Answer<Term>(Term(1)).timeout(10s); }});
  sys::suspend(probe);
  probe.cast(note("piled up"));
  sys::resume(probe);
  sleep_for(1h);
  EXPECT_EQ(all_heard(), Texts{"piled up"});
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_119_statistics_count_messages_since_they_were_switched_on) {
  const ProbeRef probe = start_probe();
  probe.call(answer(1));
  EXPECT_FALSE(sys::get_statistics(probe).has_value());
  const auto before = system_time();
  sys::statistics(probe, true);
  probe.call(answer(1));                                                           // in and out
  probe.cast(set(1));                                                              // in
  probe.call(Probe::Defer{[](Probe&, From<Term> from) { from.reply(Term(1)); }});  // in; a deferred reply is no event
  const std::optional<sys::Statistics> counts = sys::get_statistics(probe);
  ASSERT_TRUE(counts.has_value());
  EXPECT_EQ(counts->messages_in, 3u);
  EXPECT_EQ(counts->messages_out, 1u);
  EXPECT_GT(counts->reductions, 0u);
  EXPECT_GE(counts->start_time, before);
  EXPECT_GE(counts->current_time, counts->start_time);
  sys::statistics(probe, true);  // again, from zero
  EXPECT_EQ(sys::get_statistics(probe)->messages_in, 0u);
  sys::statistics(probe, false);
  EXPECT_FALSE(sys::get_statistics(probe).has_value());
  probe.stop();
}

TEST(GenServer, GS_120_trace_prints_every_event) {
  ::testing::internal::CaptureStdout();
  std::string pid;
  behaviour::on_threads([&] {
    const ServerRef<Ledger> ledger = Ledger::start().value();
    pid = inspect(ledger.pid());
    sys::trace(ledger, true);
    ledger.call(Ledger::Add{5});
    sys::trace(ledger, false);
    ledger.call(Ledger::Add{6});
    ledger.stop();
  });
  std::fflush(stdout);
  const std::string printed = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(printed.find("*DBG* " + pid + " got {:add, 5}\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("*DBG* " + pid + " sent 5 to "), std::string::npos) << printed;
  EXPECT_NE(printed.find(", new state {:sum, 5}\n"), std::string::npos) << printed;
  EXPECT_EQ(printed.find("6"), std::string::npos) << printed;
}

BEHAVIOUR_TEST(GenServer, GS_120_the_log_keeps_events_in_order) {
  const ServerRef<Ledger> ledger = Ledger::start().value();
  EXPECT_TRUE(sys::get_log(ledger).empty());
  sys::log(ledger);
  ledger.call(Ledger::Add{5});
  ledger.cast(Ledger::AddCast{2});
  ledger.call(Ledger::AddLater{});
  static_cast<void>(ledger.call(Ledger::GetOpaque{}));
  const std::vector<sys::Event> log = sys::get_log(ledger);
  ASSERT_EQ(log.size(), 8u);
  EXPECT_EQ(log[0].kind, Kind::in);
  EXPECT_EQ(log[0].term(), tuple("in"_atom, tuple("add"_atom, 5)));
  EXPECT_EQ(log[1].kind, Kind::out);
  EXPECT_EQ(log[1].term(), tuple("out"_atom, 5, self(), tuple("sum"_atom, 5)));
  EXPECT_EQ(log[1].to, self());
  EXPECT_EQ(log[2].term(), tuple("in"_atom, tuple("add_cast"_atom, 2)));
  EXPECT_EQ(log[3].kind, Kind::noreply);
  EXPECT_EQ(log[3].term(), tuple("noreply"_atom, tuple("sum"_atom, 7)));
  EXPECT_EQ(log[4].kind, Kind::in);
  EXPECT_EQ(log[5].term(), tuple("noreply"_atom, tuple("sum"_atom, 7)));
  EXPECT_EQ(log[7].kind, Kind::out);
  EXPECT_EQ(inspect(log[7].message), inspect(detail::opaque_term("Opaque")));
  ledger.stop();
}

BEHAVIOUR_TEST(GenServer, GS_120_the_log_keeps_the_last_events) {
  const ProbeRef probe = start_probe();
  sys::log(probe);
  for (int i = 0; i < 20; ++i) probe.cast(set(i));
  EXPECT_EQ(sys::get_log(probe).size(), 10u);
  sys::log(probe, 3);
  for (int i = 0; i < 5; ++i) probe.cast(set(i));
  const std::vector<sys::Event> log = sys::get_log(probe);
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[2].state, Term(4));
  sys::log(probe, 0);
  EXPECT_TRUE(sys::get_log(probe).empty());
  probe.cast(set(1));
  EXPECT_TRUE(sys::get_log(probe).empty());
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_120_timeouts_and_continuations_are_logged) {
  const ProbeRef probe = start_probe();
  sys::log(probe);
  probe.cast(Probe::Do{[](Probe&) {
    return Probe::noreply().then(Probe::Continue{[](Probe& p) {
      p.value = 1;
      return Probe::noreply().timeout(0s);
    }});
  }});
  EXPECT_EQ(heard(), "timeout");
  const std::vector<sys::Event> log = sys::get_log(probe);
  ASSERT_EQ(log.size(), 5u);
  EXPECT_EQ(log[1].term(), tuple("noreply"_atom, 0));
  EXPECT_EQ(log[2].term(), tuple("noreply"_atom, 1));
  EXPECT_EQ(log[3].kind, Kind::in);
  EXPECT_EQ(log[4].term(), tuple("noreply"_atom, 1));
  probe.stop();
}

// Each thing that can be switched on stays when another is switched off, and switching off what is not on is harmless.
BEHAVIOUR_TEST(GenServer, GS_119_GS_120_log_trace_and_statistics_are_independent_of_each_other) {
  const ProbeRef probe = start_probe();
  sys::statistics(probe, false);
  sys::trace(probe, false);
  sys::log(probe, 0);
  EXPECT_FALSE(sys::get_statistics(probe).has_value());
  EXPECT_TRUE(sys::get_log(probe).empty());
  sys::log(probe, 5);
  EXPECT_FALSE(sys::get_statistics(probe).has_value());
  sys::statistics(probe, true);
  probe.call(answer(1));
  sys::trace(probe, false);
  sys::log(probe, 0);
  EXPECT_TRUE(sys::get_log(probe).empty());
  EXPECT_EQ(sys::get_statistics(probe)->messages_in, 1u);
  sys::log(probe, 5);
  sys::statistics(probe, false);
  probe.call(answer(2));
  EXPECT_FALSE(sys::get_statistics(probe).has_value());
  EXPECT_EQ(sys::get_log(probe).size(), 2u);
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_120_nothing_is_logged_after_a_continuation_that_ends_the_server) {
  std::vector<sys::Event> seen;
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  sys::install(probe, "see"_atom, [&seen](const sys::Event& event) {
    seen.push_back(event);
    return true;
  });
  probe.cast(Probe::Do{
      [](Probe&) { return Probe::noreply().then(Probe::Continue{[](Probe&) { return Probe::stop("done"_atom); }}); }});
  EXPECT_EQ(await_reason(gone), "done"_atom);
  ASSERT_EQ(seen.size(), 2u);  // the cast and what followed it; a callback that stops is followed by nothing
  EXPECT_EQ(seen[0].kind, Kind::in);
  EXPECT_EQ(seen[1].kind, Kind::noreply);
}

BEHAVIOUR_TEST(GenServer, GS_121_a_debug_function_sees_every_event_until_it_is_done) {
  const ProbeRef probe = start_probe();
  const Pid me = self();
  sys::install(probe, "counting"_atom, [me, seen = 0](const sys::Event& event) mutable {
    send(me, Heard{event.kind == Kind::in ? "in" : event.kind == Kind::out ? "out" : "noreply"});
    return ++seen < 3;
  });
  probe.call(answer(1));
  probe.cast(set(1));
  probe.cast(set(2));
  probe.call(answer(1));
  EXPECT_EQ(all_heard(), (Texts{"in", "out", "in"}));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_121_a_debug_function_that_throws_is_removed) {
  const ProbeRef probe = start_probe();
  const std::function<void()> failures[] = {[] { throw std::logic_error("boom"); }, [] { throw Exit("boom"_atom); },
                                            [] { throw 42; }};
  for (const auto& fail : failures) {
    sys::install(probe, "failing"_atom, [me = self(), fail](const sys::Event&) {
      send(me, Heard{"called"});
      fail();
      return true;
    });
    probe.cast(set(1));
    probe.cast(set(2));
    EXPECT_EQ(probe.call(get_value()), Term(2));
    EXPECT_EQ(all_heard(), Texts{"called"});
  }
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_121_remove_and_no_debug_take_functions_away) {
  const ProbeRef probe = start_probe();
  const auto teller = [me = self()](const std::string& text) {
    return [me, text](const sys::Event& event) {
      if (event.kind == Kind::in) send(me, Heard{text});
      return true;
    };
  };
  sys::install(probe, "a"_atom, teller("a"));
  sys::install(probe, "b"_atom, teller("b"));
  probe.call(get_value());
  sys::remove(probe, "a"_atom);
  probe.call(get_value());
  sys::statistics(probe, true);
  sys::no_debug(probe);
  probe.call(get_value());
  EXPECT_EQ(all_heard(), (Texts{"a", "b", "b"}));
  EXPECT_FALSE(sys::get_statistics(probe).has_value());
  sys::remove(probe, "a"_atom);  // not there: harmless
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_122_terminate_ends_the_server_and_is_answered) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  sys::suspend(probe);
  probe.cast(note("skipped"));
  sys::terminate(probe, ExitReason::shutdown());
  EXPECT_EQ(await_reason(gone), ExitReason::shutdown());
  EXPECT_EQ(all_heard(), (Texts{"terminate :shutdown", "destroyed"}));
}

namespace {

struct Shy : GenServer<Shy> {
  Term format_status() const {
    if (fail) throw std::logic_error("no status");
    return "hidden"_atom;
  }
  struct GetSecret {
    using Reply = int;
  };
  int handle_call(GetSecret) { return secret; }
  explicit Shy(bool f) : fail(f) {}
  bool fail;
  int secret = 7;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_125_format_status_says_how_the_state_shows_itself) {
  const ServerRef<Shy> shy = Shy::start(false).value();
  EXPECT_EQ(sys::get_status(shy).state, Term("hidden"_atom));
  EXPECT_EQ(sys::get_state_term(shy), Term("hidden"_atom));
  shy.stop();
}

BEHAVIOUR_TEST(GenServer, GS_125_a_format_status_that_fails_harms_nobody) {
  const auto shy = Shy::start_monitor(true);
  sys::log(shy.value(), 5);
  EXPECT_EQ(shy.value().call(Shy::GetSecret{}), 7);
  EXPECT_EQ(sys::get_status(shy.value()).state[0], Term("format_status_failed"_atom));
  shy.value().stop("boom"_atom);  // makes a report
  EXPECT_EQ(await_reason(shy.monitor()), "boom"_atom);
}

BEHAVIOUR_TEST(GenServer, GS_126_format_status_does_not_alter_the_state) {
  const ServerRef<Shy> shy = Shy::start(false).value();
  static_cast<void>(sys::get_status(shy));
  EXPECT_EQ(shy.call(Shy::GetSecret{}), 7);
  EXPECT_EQ(sys::get_state<Shy>(shy).secret, 7);
  shy.stop();
}

BEHAVIOUR_TEST(GenServer, GS_010_debugging_may_be_switched_on_at_the_start) {
  const auto started = Probe::start_as({.statistics = true, .log = 2}, Probe::Plan{.init = [](Probe&) {
                                         return Probe::ok().then(Probe::Continue{plain([](Probe&) {})});
                                       }});
  const ProbeRef probe = started.value();
  probe.call(answer(1));
  probe.call(answer(2));
  EXPECT_EQ(sys::get_statistics(probe)->messages_in, 2u);
  const std::vector<sys::Event> log = sys::get_log(probe);
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[1].message, Term(2));
  probe.stop();
}

TEST(GenServer, GS_010_tracing_may_be_switched_on_at_the_start) {
  ::testing::internal::CaptureStdout();
  behaviour::on_threads([] {
    const ServerRef<Ledger> ledger = Ledger::start_as({.name = "gs_traced", .trace = true}).value();
    ledger.cast(Ledger::AddCast{4});
    ledger.stop();
  });
  std::fflush(stdout);
  const std::string printed = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(printed.find("*DBG* gs_traced got {:add_cast, 4}\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("*DBG* gs_traced new state {:sum, 4}\n"), std::string::npos) << printed;
}
