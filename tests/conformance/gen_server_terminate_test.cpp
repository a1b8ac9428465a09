// SPDX-License-Identifier: Apache-2.0
//
// When terminate runs, what it is given, and what it may change: GS-092 to GS-099, GS-105.
#include <atomic>
#include <stdexcept>

#include "conformance/gen_server_probe.hpp"
#include "conformance/logger_support.hpp"

using namespace conformance;

namespace {

// The ways into a callback.
enum class Callback { call, cast, info, continuation, timeout };
constexpr Callback callbacks[] = {Callback::call, Callback::cast, Callback::info, Callback::continuation,
                                  Callback::timeout};

// Runs `work` in that callback of a probe, which ends by it.
void run_in(Callback callback, const ProbeRef& probe, const Probe::Work& work) {
  switch (callback) {
    case Callback::call:
      static_cast<void>(probe.try_call(Probe::Ask{[work](Probe& p) { return Probe::Answer<Term>(work(p)); }}));
      return;
    case Callback::cast: return probe.cast(Probe::Do{work});
    case Callback::info: return probe.send(Probe::Inform{work});
    case Callback::continuation:
      return probe.cast(Probe::Do{[work](Probe&) { return Probe::noreply().then(Probe::Continue{work}); }});
    case Callback::timeout: return probe.cast(Probe::Do{[](Probe&) { return Probe::noreply().timeout(0s); }});
  }
}

struct Ending {
  ExitReason reason;
  Texts texts;
};

// How a probe ends that does `work` in that callback.
Ending ending(Callback callback, const Probe::Work& work, Probe::Plan plan = {}) {
  plan.timeout = work;
  const ProbeRef probe = start_probe(std::move(plan));
  const Reference gone = monitor(probe);
  run_in(callback, probe, work);
  Ending ending{await_reason(gone), {}};
  ending.texts = all_heard();
  std::erase(ending.texts, "timeout");
  return ending;
}

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_092_terminate_runs_after_a_stop_in_every_callback) {
  for (const Callback callback : callbacks) {
    SCOPED_TRACE(static_cast<int>(callback));
    const Ending end = ending(callback, [](Probe&) { return Probe::stop("enough"_atom); });
    EXPECT_EQ(end.reason, "enough"_atom);
    EXPECT_EQ(end.texts, (Texts{"terminate :enough", "destroyed"}));
  }
}

BEHAVIOUR_TEST(GenServer, GS_092_terminate_runs_after_an_exception_in_every_callback) {
  for (const Callback callback : callbacks) {
    SCOPED_TRACE(static_cast<int>(callback));
    const Ending end = ending(callback, plain([](Probe&) { throw std::logic_error("raised"); }));
    EXPECT_EQ(end.reason.exception_message(), "raised");
    EXPECT_EQ(end.texts, (Texts{"terminate raised", "destroyed"}));
  }
}

BEHAVIOUR_TEST(GenServer, GS_092_terminate_runs_after_an_exit_in_every_callback) {
  for (const Callback callback : callbacks) {
    SCOPED_TRACE(static_cast<int>(callback));
    const Ending thrown = ending(callback, plain([](Probe&) { throw Exit("thrown"_atom); }));
    EXPECT_EQ(thrown.reason, "thrown"_atom);
    EXPECT_EQ(thrown.texts, (Texts{"terminate :thrown", "destroyed"}));
    const Ending left = ending(callback, plain([](Probe&) { exit("left"_atom); }));
    EXPECT_EQ(left.reason, "left"_atom);
    EXPECT_EQ(left.texts, (Texts{"terminate :left", "destroyed"}));
  }
}

BEHAVIOUR_TEST(GenServer, GS_092_terminate_runs_after_a_bad_value_in_every_callback) {
  for (const Callback callback : callbacks) {
    SCOPED_TRACE(static_cast<int>(callback));
    const Ending end = ending(callback, [](Probe&) { return Probe::noreply().timeout(-1s); });
    EXPECT_EQ(end.reason.term()[0], Term("bad_return_value"_atom));
    ASSERT_EQ(end.texts.size(), 2u);
    EXPECT_EQ(end.texts[0], "terminate " + to_string(end.reason));
  }
}

BEHAVIOUR_TEST(GenServer, GS_092_terminate_runs_after_a_system_request) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  sys::terminate(probe, "asked"_atom);
  EXPECT_EQ(await_reason(gone), "asked"_atom);
  EXPECT_EQ(all_heard(), (Texts{"terminate :asked", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_093_terminate_does_not_run_when_init_fails) {
  const std::function<Probe::Init(Probe&)> inits[] = {
      [](Probe&) -> Probe::Init { throw std::logic_error("in init"); },
      [](Probe&) -> Probe::Init { exit("left"_atom); },
      [](Probe&) -> Probe::Init { return Probe::stop("stopped"_atom); },
      [](Probe&) -> Probe::Init { return Probe::ignore(); },
      [](Probe&) -> Probe::Init { return error("unwilling"); },
  };
  for (const auto& init : inits) {
    EXPECT_FALSE(Probe::start(Probe::Plan{.watcher = self(), .init = init}).is_ok());
    EXPECT_EQ(all_heard(), Texts{"destroyed"});
  }
}

BEHAVIOUR_TEST(GenServer, GS_093_terminate_does_not_run_when_an_exit_signal_ends_the_server) {
  for (const ExitReason& reason : {ExitReason::shutdown(), ExitReason("boom"_atom)}) {
    const ProbeRef probe = start_probe();
    const Reference gone = monitor(probe);
    exit(probe, reason);
    EXPECT_EQ(await_reason(gone), reason);
    EXPECT_EQ(all_heard(), Texts{"destroyed"});
  }
}

BEHAVIOUR_TEST(GenServer, GS_093_terminate_does_not_run_when_the_server_is_killed) {
  for (const bool busy : {false, true}) {
    const ProbeRef probe = start_probe(trapping());
    const Reference gone = monitor(probe);
    if (busy) {
      probe.cast(hold());
      receive<Held>();
    }
    exit(probe, ExitReason::kill());
    EXPECT_EQ(await_reason(gone), ExitReason::killed());
    EXPECT_EQ(all_heard(), Texts{"destroyed"});
  }
}

TEST(GenServer, GS_093_terminate_does_not_run_when_the_system_halts) {
  std::atomic<int> terminated = 0;
  {
    Runtime runtime({.schedulers = 2});
    const Runtime::Scope scope(runtime);
    static_cast<void>(runtime.run([&] {
      auto plan = trapping();
      plan.terminate = [&](Probe&) { ++terminated; };
      Probe::start(std::move(plan)).value();
    }));
    static_cast<void>(runtime.stop());
    EXPECT_EQ(runtime.process_count(), 0u);
  }
  EXPECT_EQ(terminated, 0);
}

BEHAVIOUR_TEST(GenServer, GS_094_terminate_sees_the_state_that_the_handler_left) {
  const auto tell_value = [](Probe& p) { p.tell("value " + std::to_string(p.value)); };
  const Ending stopped = ending(Callback::cast,
                                [](Probe& p) {
                                  p.value = 3;
                                  return Probe::stop("done"_atom);
                                },
                                {.terminate = tell_value});
  EXPECT_EQ(stopped.texts, (Texts{"terminate :done", "value 3", "destroyed"}));
  // A C++ object is changed in place: what a handler has done before it threw stays done.
  const Ending thrown = ending(Callback::cast, plain([](Probe& p) {
                                 p.value = 4;
                                 throw Exit("thrown"_atom);
                               }),
                               {.terminate = tell_value});
  EXPECT_EQ(thrown.texts, (Texts{"terminate :thrown", "value 4", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_095_terminate_is_given_the_reason_with_which_the_server_then_ends) {
  struct Keeper : GenServer<Keeper> {
    struct Throw {};
    explicit Keeper(std::shared_ptr<ExitReason> keep) : given(std::move(keep)) {}
    void handle_cast(Throw) { throw std::out_of_range("too far"); }
    void terminate(const ExitReason& reason) { *given = reason; }
    std::shared_ptr<ExitReason> given;
  };
  const auto given = std::make_shared<ExitReason>();
  const auto keeper = Keeper::start_monitor(given);
  keeper.value().cast(Keeper::Throw{});
  const ExitReason reason = await_reason(keeper.monitor());
  EXPECT_EQ(*given, reason);
  EXPECT_TRUE(given->is_exception());
  EXPECT_EQ(given->exception_type(), "std::out_of_range");
  EXPECT_EQ(given->exception_message(), "too far");
  EXPECT_FALSE(given->stack().empty());
}

BEHAVIOUR_TEST(GenServer, GS_096_the_value_of_terminate_is_ignored) {
  struct Valued : GenServer<Valued> {
    int terminate(const ExitReason&) { return 42; }
  };
  const auto valued = Valued::start_monitor();
  valued.value().stop(ExitReason::shutdown());
  EXPECT_EQ(await_reason(valued.monitor()), ExitReason::shutdown());
}

BEHAVIOUR_TEST(GenServer, GS_097_an_exception_in_terminate_replaces_the_reason) {
  const Ending raised = ending(Callback::cast, [](Probe&) { return Probe::stop("original"_atom); },
                               {.terminate = [](Probe&) { throw std::logic_error("in terminate"); }});
  EXPECT_EQ(raised.reason.exception_message(), "in terminate");
  EXPECT_EQ(raised.texts, (Texts{"terminate :original", "destroyed"}));
  const Ending thrown = ending(Callback::cast, [](Probe&) { return Probe::stop("original"_atom); },
                               {.terminate = [](Probe&) { throw Exit("thrown"_atom); }});
  EXPECT_EQ(thrown.reason, "thrown"_atom);
  const Ending left = ending(Callback::cast, [](Probe&) { return Probe::stop("original"_atom); },
                             {.terminate = [](Probe&) { exit("left"_atom); }});
  EXPECT_EQ(left.reason, "left"_atom);
  EXPECT_EQ(left.texts, (Texts{"terminate :original", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_098_links_and_monitors_see_the_original_reason) {
  trap_exit(true);
  const ProbeRef probe = start_linked_probe({.terminate = [](Probe& p) { p.tell("terminated"); }});
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{[](Probe&) { return Probe::stop(ExitReason::shutdown(Term(7))); }});
  EXPECT_EQ(await_reason(gone), ExitReason::shutdown(Term(7)));
  const ExitMessage message = receive<ExitMessage>();
  EXPECT_EQ(message.reason, ExitReason::shutdown(Term(7)));
  EXPECT_EQ(message.pid, probe.pid());
}

BEHAVIOUR_TEST(GenServer, GS_099_unread_messages_are_discarded_and_callers_get_the_reason) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{[me = self()](Probe&) {
    send(me, Held{coppice::self()});
    receive<Release>();
    return Probe::stop("enough"_atom);
  }});
  receive<Held>();
  probe.cast(note("unread"));
  const auto caller = spawn_monitor([probe] { probe.call(get_value(), infinity); });
  await_queue(probe, 2);
  send(probe.pid(), Release{});
  EXPECT_EQ(await_reason(gone), "enough"_atom);
  const ExitReason failed = await_reason(caller.second);
  EXPECT_EQ(failed.term()[0], Term("enough"_atom));
  EXPECT_EQ(all_heard(), (Texts{"terminate :enough", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_099_a_caller_whose_reply_was_deferred_gets_the_reason) {
  const ProbeRef probe = start_probe();
  const auto caller = spawn_monitor([probe] {
    probe.call(Probe::Defer{[](Probe& p, From<Term> from) {
                 p.held.push_back(std::move(from));
                 p.tell("held");
               }},
               infinity);
  });
  EXPECT_EQ(heard(), "held");
  probe.stop("enough"_atom);
  EXPECT_EQ(await_reason(caller.second).term()[0], Term("enough"_atom));
}

BEHAVIOUR_TEST(GenServer, GS_105_an_end_is_logged_unless_it_is_normal_or_a_shutdown) {
  const Capture capture;
  for (const ExitReason& reason : {ExitReason::normal(), ExitReason::shutdown(), ExitReason::shutdown(Term(1))}) {
    start_probe().stop(reason);
  }
  EXPECT_TRUE(capture.terminate_reports().empty());
  start_probe().stop("boom"_atom);
  ASSERT_EQ(capture.terminate_reports().size(), 1u);
  EXPECT_EQ(capture.terminate_reports()[0].level, Level::error);
  EXPECT_EQ(field(capture.terminate_reports()[0], "reason"_atom), Term("boom"_atom));
}
