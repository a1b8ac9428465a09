// SPDX-License-Identifier: Apache-2.0
//
// The start protocol for processes of one's own, and becoming a server: GS-127 to GS-135.
#include <coppice/proc_lib.hpp>

#include <atomic>
#include <stdexcept>

#include "conformance/gen_server_probe.hpp"
#include "conformance/logger_support.hpp"

using namespace conformance;

namespace {

struct Started {
  Pid pid;
};

// A process that becomes a Probe.
template <class Prepare>
Pid start_loop(Probe::Plan plan, Prepare prepare, Term* acknowledged = nullptr) {
  plan.watcher = self();
  const Term value = proc_lib::start_link([plan, prepare] {
    Probe probe(plan);
    prepare();
    proc_lib::init_ack(tuple("ok"_atom, self()));
    Probe::enter_loop(probe);
  });
  if (acknowledged != nullptr) *acknowledged = value;
  return value[1].as_pid().value();
}

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_127_the_starter_waits_for_the_acknowledgement) {
  const Pid me = self();
  const Term value = proc_lib::start([me] {
    sleep_for(2ms);
    send(me, Heard{"prepared"});
    proc_lib::init_ack("ready"_atom);
  });
  EXPECT_EQ(value, Term("ready"_atom));
  EXPECT_EQ(all_heard(), Texts{"prepared"});
}

BEHAVIOUR_TEST(GenServer, GS_128_start_returns_whatever_was_acknowledged_and_the_process_goes_on) {
  for (const Term& wanted : {Term(42), Term(tuple("a"_atom, 1, 2)), Term("text"), Term(tuple("error"_atom, 1))}) {
    const Pid me = self();
    const Term value = proc_lib::start_link([me, wanted] {
      proc_lib::init_ack(wanted);
      proc_lib::init_ack("again"_atom);  // does nothing
      receive<Release>();
      send(me, Heard{"went on"});
    });
    EXPECT_EQ(value, wanted);
    ASSERT_EQ(process_info(me)->links.size(), 1u);
    const Pid child = process_info(me)->links[0];
    const Reference gone = monitor(child);
    send(child, Release{});
    EXPECT_EQ(heard(), "went on");
    EXPECT_EQ(await_reason(gone), ExitReason::normal());
  }
}

BEHAVIOUR_TEST(GenServer, GS_128_init_ack_elsewhere_does_nothing) {
  proc_lib::init_ack("nobody waits"_atom);
  SUCCEED();
}

BEHAVIOUR_TEST(GenServer, GS_129_an_explicit_failure_is_returned_when_the_process_has_ended) {
  const Pid me = self();
  const Term value = proc_lib::start([me] {
    struct Last {
      Pid to;
      ~Last() { send(to, Heard{"unwound"}); }
    } last{me};
    send(me, Started{self()});
    proc_lib::init_fail(tuple("error"_atom, "eperm"_atom), "failed"_atom);
  });
  EXPECT_EQ(value, tuple("error"_atom, "eperm"_atom));
  EXPECT_EQ(all_heard(), Texts{"unwound"});
  EXPECT_FALSE(alive(receive<Started>().pid));
}

BEHAVIOUR_TEST(GenServer, GS_129_the_process_ends_with_the_reason_of_the_failure) {
  trap_exit(true);
  const Term value = proc_lib::start(
      [me = self()] {
        send(me, Started{self()});
        receive<Release>();
        proc_lib::init_fail(1, "failed"_atom);
      },
      1ms);
  EXPECT_EQ(value, tuple("error"_atom, "timeout"_atom));
  const auto [starter, ended] = spawn_monitor([] {
    static_cast<void>(proc_lib::start_link([] { proc_lib::init_fail(1, "failed"_atom); }));
    sleep_for(infinity);
  });
  EXPECT_EQ(await_reason(ended), "failed"_atom);  // by the link
}

BEHAVIOUR_TEST(GenServer, GS_130_death_without_acknowledgement_is_an_error_with_the_reason) {
  EXPECT_EQ(proc_lib::start([] {}), tuple("error"_atom, "normal"_atom));
  EXPECT_EQ(proc_lib::start([] { exit("left"_atom); }), tuple("error"_atom, "left"_atom));
  const Term raised = proc_lib::start([] { throw std::logic_error("boom"); });
  EXPECT_EQ(raised[0], Term("error"_atom));
  EXPECT_EQ(ExitReason(raised[1]).exception_message(), "boom");
}

BEHAVIOUR_TEST(GenServer, GS_131_when_the_time_is_over_the_process_is_killed) {
  trap_exit(true);
  const Pid me = self();
  const Term value = proc_lib::start_link(
      [me] {
        send(me, Started{self()});
        trap_exit(true);
        sleep_for(infinity);
      },
      20ms);
  EXPECT_EQ(value, tuple("error"_atom, "timeout"_atom));
  const auto started = receive<Started>(0s);
  EXPECT_FALSE(started && alive(started->pid));
  EXPECT_TRUE(process_info(me)->links.empty());
  EXPECT_FALSE(receive<ExitMessage>(0s).has_value());
}

BEHAVIOUR_TEST(GenServer, GS_132_such_a_process_records_ancestors_and_initial_call) {
  const Pid me = self();
  const Term value = proc_lib::start_link([] {
    const std::vector<Term> mine = ancestors();
    proc_lib::init_ack(tuple(self(), mine));
    receive<Release>();
  });
  const Pid child = value[0].as_pid().value();
  EXPECT_EQ(value[1][0], Term(me));
  EXPECT_FALSE(process_info(child)->initial_call.empty());
  EXPECT_EQ(process_info(child)->ancestors[0], Term(me));
  send(child, Release{});
  await_end(child);
}

BEHAVIOUR_TEST(GenServer, GS_132_such_a_process_makes_a_crash_report) {
  const Capture capture;
  logger::set_sasl_reports(true);
  static_cast<void>(proc_lib::start([] { exit(ExitReason::shutdown()); }));
  static_cast<void>(proc_lib::start([] {}));
  EXPECT_TRUE(capture.crash_reports().empty());
  static_cast<void>(proc_lib::start([] { throw std::logic_error("boom"); }));
  EXPECT_EQ(capture.crash_reports().size(), 1u);
}

BEHAVIOUR_TEST(GenServer, GS_133_enter_loop_makes_a_server_of_the_process) {
  const Pid pid = start_loop({}, [] {});
  const ProbeRef probe(pid);
  EXPECT_EQ(probe.call(get_value()), Term(0));
  probe.cast(note("cast"));
  EXPECT_EQ(heard(), "cast");
  send(pid, Probe::Note{"info"});
  EXPECT_EQ(heard(), "note info");
  EXPECT_EQ(sys::get_state_term(pid), Term(0));
  sys::replace_state<Probe>(pid, [](Probe& p) { p.value = 4; });
  EXPECT_EQ(probe.call(get_value()), Term(4));
  const sys::ServerStatus status = sys::get_status(pid);
  EXPECT_EQ(status.parent, self());
  EXPECT_EQ(status.module, "Probe");
  probe.stop();
  EXPECT_EQ(all_heard(), (Texts{"terminate :normal", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_133_enter_loop_does_not_call_init_and_never_returns) {
  const Pid me = self();
  const Term value = proc_lib::start([me] {
    Probe probe({.watcher = me, .init = [](Probe& p) {
                   p.tell("init");
                   return Probe::ok();
                 }});
    proc_lib::init_ack(self());
    Probe::enter_loop(probe);
    send(me, Heard{"returned"});
  });
  const ProbeRef probe(value.as_pid().value());
  probe.call(get_value());
  probe.stop();
  EXPECT_EQ(all_heard(), (Texts{"terminate :normal", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_133_enter_loop_may_begin_with_a_timeout_or_a_continuation) {
  const Pid me = self();
  const auto start = [me](auto first) {
    return proc_lib::start([me, first] {
             Probe probe({.watcher = me});
             proc_lib::init_ack(self());
             Probe::enter_loop(probe, {}, first());
           })
        .as_pid()
        .value();
  };
  const Pid timed = start([] { return Probe::noreply().timeout(1ms); });
  EXPECT_EQ(heard(), "timeout");
  const Pid continued =
      start([] { return Probe::noreply().then(Probe::Continue{plain([](Probe& p) { p.tell("continued"); })}); });
  EXPECT_EQ(heard(), "continued");
  const Pid sleeping = start([] { return Probe::noreply().hibernate(); });
  EXPECT_EQ(ProbeRef(sleeping).call(get_value()), Term(0));
  for (const Pid& pid : {timed, continued, sleeping}) ProbeRef(pid).stop();
  EXPECT_EQ(proc_lib::start([me] {
              Probe probe({.watcher = me});
              Probe::enter_loop(probe, {}, Probe::stop("unwilling"_atom));
            }),
            tuple("error"_atom, "unwilling"_atom));
}

BEHAVIOUR_TEST(GenServer, GS_133_the_end_of_such_a_server_is_that_of_any_server) {
  trap_exit(true);
  const auto check = [](const std::function<void(const ProbeRef&)>& end, const ExitReason& reason, const Texts& texts) {
    const Pid pid = start_loop({}, [] {});
    const Reference gone = monitor(pid);
    end(ProbeRef(pid));
    EXPECT_EQ(await_reason(gone), reason);
    EXPECT_EQ(receive<ExitMessage>().reason, reason);
    EXPECT_EQ(all_heard(), texts);
  };
  check([](const ProbeRef& p) { p.cast(Probe::Do{[](Probe&) { return Probe::stop("enough"_atom); }}); }, "enough"_atom,
        {"terminate :enough", "destroyed"});
  check([](const ProbeRef& p) { p.cast(Probe::Do{plain([](Probe&) { throw Exit("thrown"_atom); })}); }, "thrown"_atom,
        {"terminate :thrown", "destroyed"});
  check([](const ProbeRef& p) { p.cast(Probe::Do{plain([](Probe&) { exit("left"_atom); })}); }, "left"_atom,
        {"terminate :left", "destroyed"});
  check([](const ProbeRef& p) { exit(p, ExitReason::kill()); }, ExitReason::killed(), {"destroyed"});
  check([](const ProbeRef& p) { exit(p, ExitReason::shutdown()); }, ExitReason::shutdown(), {"destroyed"});
  check(
      [](const ProbeRef& p) {
        p.cast(hold());
        receive<Held>();
        exit(p, ExitReason::kill());
      },
      ExitReason::killed(), {"destroyed"});
}

BEHAVIOUR_TEST(GenServer, GS_133_such_a_server_obeys_the_exit_of_its_parent) {
  const Pid me = self();
  const Pid parent = spawn([me] {
    static_cast<void>(proc_lib::start_link([me] {
      trap_exit(true);
      Probe probe({.watcher = me});
      send(me, Started{self()});
      proc_lib::init_ack(1);
      Probe::enter_loop(probe);
    }));
    receive<Release>();
    exit(ExitReason::shutdown());
  });
  const Reference gone = monitor(receive<Started>().pid);
  send(parent, Release{});
  EXPECT_EQ(await_reason(gone), ExitReason::shutdown());
  EXPECT_EQ(all_heard(), (Texts{"terminate :shutdown", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_133_such_a_server_may_be_suspended_while_its_timeout_runs_out) {
  const Pid pid = start_loop({}, [] {});
  const ProbeRef probe(pid);
  probe.cast(Probe::Do{[](Probe&) { return Probe::noreply().timeout(20ms); }});
  sys::suspend(pid);
  sleep_for(40ms);
  EXPECT_TRUE(all_heard().empty());
  sys::resume(pid);
  EXPECT_EQ(heard(), "timeout");
  probe.stop();
}

BEHAVIOUR_TEST_WITH(GenServer, GS_133_such_a_server_lets_others_run, {.schedulers = 1}) {
  const Pid pid = start_loop({}, [] {});
  static std::function<Probe::Action(Probe&)> again;
  again = [](Probe&) {
    Probe::self().cast(Probe::Do{again});
    return Probe::noreply();
  };
  const Reference gone = monitor(pid);
  unlink(pid);
  ProbeRef(pid).cast(Probe::Do{again});
  sleep_for(1ms);  // comes back only if it lets others run
  exit(pid, ExitReason::kill());
  EXPECT_EQ(await_reason(gone), ExitReason::killed());
}

BEHAVIOUR_TEST(GenServer, GS_134_a_name_must_be_registered_to_the_process) {
  const auto enter = [](const ServerName& name, const char* own) {
    return proc_lib::start([name, own] {
      if (own != nullptr) register_name(self(), own);
      Probe probe({});
      proc_lib::init_ack(self());
      Probe::enter_loop(probe, name);
    });
  };
  trap_exit(true);
  const auto end_of = [&](const ServerName& name) {
    const auto [runner, gone] = spawn_monitor([name] {
      static_cast<void>(proc_lib::start_link([name] {
        Probe probe({});
        Probe::enter_loop(probe, name);
      }));
      sleep_for(infinity);
    });
    return await_reason(gone);
  };
  EXPECT_EQ(end_of("gs_134_not_registered"), "process_not_registered"_atom);
  const Term value = enter("gs_134_registered", "gs_134_registered");
  EXPECT_EQ(ProbeRef(value.as_pid().value()).call(get_value()), Term(0));
  EXPECT_EQ(end_of("gs_134_registered"), "process_not_registered"_atom);  // to another
  ProbeRef(value.as_pid().value()).stop();
  struct Empty final : ViaModule {
    bool register_name(const Term&, const Pid&) override { return true; }
    void unregister_name(const Term&) override {}
    Pid whereis_name(const Term&) override { return {}; }
  } empty;
  EXPECT_EQ(end_of(ServerName(empty, "x"_atom)).term()[0], Term("process_not_registered_via"_atom));
}

BEHAVIOUR_TEST(GenServer, GS_135_a_process_that_proc_lib_did_not_start_cannot_enter_a_loop) {
  EXPECT_EQ(reason_of([] {
              Probe probe({});
              Probe::enter_loop(probe);
            }),
            "process_was_not_started_by_proc_lib"_atom);
}
