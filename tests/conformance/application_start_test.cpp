// SPDX-License-Identifier: Apache-2.0
//
// Starting an application: rules AP-015 to AP-029.
#include "conformance/application_support.hpp"

namespace {

using namespace conformance;
using application::start;

ExitReason about(const char* what, const Term& app) { return ExitReason(tuple(Atom(what), app)); }

// The probe with these phases; as it was when the test is over.
struct Phases {
  explicit Phases(std::vector<StartPhase> phases) { Probe::phases = std::move(phases); }
  ~Phases() { Probe::phases.clear(); }
  Phases(const Phases&) = delete;
  Phases& operator=(const Phases&) = delete;
};

Term phase_of_probe(const char* phase, const Term& argument) {
  return tuple(application::module<Probe>(), "start_phase"_atom, list(Atom(phase), "normal"_atom, argument));
}

BEHAVIOUR_TEST(ApplicationStart, AP_015_every_dependency_must_be_started) {
  be_the_test();
  EXPECT_EQ(start<Top>().reason(), about("not_started", "middle"_atom));
  EXPECT_TRUE(start<Base>());
  EXPECT_TRUE(start<Middle>());
  EXPECT_EQ(start<Top>().reason(), about("not_started", "other"_atom));
  EXPECT_TRUE(start<Other>());
  EXPECT_TRUE(start<Top>());
  EXPECT_EQ(notes(), "start base, start middle, start other, start top");
  EXPECT_TRUE(application::load({.name = "wishes", .optional_applications = {"nobody"}}));
  EXPECT_TRUE(start("wishes"));
}

BEHAVIOUR_TEST(ApplicationStart, AP_016_a_running_one_is_already_started) {
  EXPECT_TRUE(start<Probe>());
  EXPECT_EQ(start<Probe>().reason(), about("already_started", "probe"_atom));
  EXPECT_TRUE(application::ensure_started<Probe>());
  EXPECT_EQ(application::format_error(start<Probe>().reason()), "already started application probe");
}

BEHAVIOUR_TEST(ApplicationStart, AP_017_an_unknown_type_is_refused) {
  EXPECT_EQ(start<Probe>(static_cast<RestartType>(7)).reason(), about("invalid_restart_type", 7));
}

// Tells in which process its functions run.
class Where : public Application<Where> {
 public:
  StartResult<Supervisor> start(StartType) {
    note(to_string(self()) + " " + to_string(group_leader()));
    return Supervisor::start_link({});
  }
  void stop() { note(to_string(self()) + " " + to_string(group_leader())); }
};

BEHAVIOUR_TEST(ApplicationStart, AP_018_the_callbacks_run_in_a_process_of_their_own_whose_leader_is_the_application) {
  be_the_test();
  EXPECT_TRUE(start<Where>());
  EXPECT_TRUE(application::stop<Where>());
  const std::string first = next_note();
  EXPECT_EQ(next_note(), first);
  EXPECT_EQ(first.find(to_string(self())), std::string::npos);
  EXPECT_NE(first.substr(0, first.find(' ')), first.substr(first.find(' ') + 1));
}

BEHAVIOUR_TEST(ApplicationStart, AP_019_the_type_of_a_start_is_normal) {
  be_the_test();
  EXPECT_TRUE(start<Probe>());
  EXPECT_EQ(next_note(), "start normal");
  EXPECT_EQ(inspect((StartType{StartType::Kind::takeover, "a@b"}).to_term()), "{:takeover, :a@b}");
}

BEHAVIOUR_TEST(ApplicationStart, AP_020_an_error_comes_with_the_call) {
  probe_does("error");
  const ExitReason reason = reason_of_start();
  EXPECT_EQ(reason, ExitReason(tuple("nope"_atom, start_of_probe())));
  EXPECT_EQ(application::format_error(reason), "Probe.start(:normal, []) returned an error: :nope");
}

BEHAVIOUR_TEST(ApplicationStart, AP_021_anything_else_is_a_bad_return) {
  const auto bad = [](const Term& value) {
    return ExitReason(tuple("bad_return"_atom, tuple(start_of_probe(), value)));
  };
  probe_does("ignore");
  EXPECT_EQ(reason_of_start(), bad("ignore"_atom));
  probe_does("exit");
  EXPECT_EQ(reason_of_start(), bad(tuple("EXIT"_atom, "boom"_atom)));
  probe_does("leave");
  EXPECT_EQ(reason_of_start(), bad(tuple("EXIT"_atom, "left"_atom)));
  probe_does("normal");
  EXPECT_EQ(reason_of_start(), ExitReason(tuple(tuple("EXIT"_atom, "normal"_atom), start_of_probe())));
  probe_does("throw");
  const ExitReason thrown = reason_of_start();
  EXPECT_EQ(thrown.term()[1][1], tuple("EXIT"_atom, ExitReason::exception("std::runtime_error", "boom")));
  EXPECT_NE(application::format_error(thrown).find("exited in: Probe.start(:normal, [])"), std::string::npos);
}

BEHAVIOUR_TEST(ApplicationStart, AP_022_a_start_blocks_its_caller_and_nobody_else) {
  be_the_test();
  probe_does("wait");
  const auto [starter, reference] = spawn_monitor([] { EXPECT_TRUE(start<Probe>()); });
  EXPECT_EQ(next_note(), "start normal");
  EXPECT_TRUE(start<Library>());
  EXPECT_FALSE(runs("probe"));
  EXPECT_TRUE(alive(starter));
  for (const Pid& pid : processes()) send(pid, Go{});
  EXPECT_TRUE(await_reason(reference).is_normal());
  EXPECT_TRUE(runs("probe"));
}

BEHAVIOUR_TEST(ApplicationStart, AP_023_two_starts_at_a_time_are_one) {
  be_the_test();
  const auto first = spawn_monitor([] { EXPECT_TRUE(start<Probe>() || true); });
  const Result<> second = start<Probe>();
  EXPECT_TRUE(second || second.reason() == about("already_started", "probe"_atom));
  await_reason(first.second);
  EXPECT_EQ(notes(), "start normal");
  EXPECT_TRUE(application::stop<Probe>());
  notes();

  probe_does("wait");
  const auto both = [] {
    EXPECT_TRUE(start<Probe>());
    note("done");
  };
  const auto one = spawn_monitor(both);
  EXPECT_EQ(next_note(), "start normal");
  const auto two = spawn_monitor(both);
  while (process_info(two.first)->status != ProcessStatus::waiting) yield();
  for (const Pid& pid : processes()) send(pid, Go{});
  EXPECT_TRUE(await_reason(one.second).is_normal());
  EXPECT_TRUE(await_reason(two.second).is_normal());
  EXPECT_EQ(notes(), "done, done");
}

BEHAVIOUR_TEST(ApplicationStart, AP_024_a_failed_start_leaves_it_loaded_and_it_may_be_started_again) {
  probe_does("error");
  EXPECT_FALSE(start<Probe>());
  EXPECT_TRUE(application::spec("probe"));
  EXPECT_FALSE(runs("probe"));
  probe_does("ok");
  EXPECT_TRUE(start<Probe>());
}

BEHAVIOUR_TEST(ApplicationStart, AP_025_a_failed_start_of_a_permanent_application_ends_the_node) {
  trap_exit(true);
  EXPECT_TRUE(start<Library>());
  probe_does("error");
  const ExitReason reason = reason_of_start(RestartType::permanent);
  EXPECT_EQ(reason, ExitReason(tuple("nope"_atom, start_of_probe())));
  const ExitReason end = receive<ExitMessage>().reason;
  EXPECT_EQ(end, ExitReason(tuple("application_start_failure"_atom, "probe"_atom, reason)));
  EXPECT_FALSE(runs("library"));
}

BEHAVIOUR_TEST(ApplicationStart, AP_025_a_failed_start_of_a_transient_one_too_unless_it_was_a_normal_exit) {
  trap_exit(true);
  EXPECT_TRUE(start<Library>());
  probe_does("normal");
  EXPECT_FALSE(start<Probe>(RestartType::transient));
  probe_does("error");
  EXPECT_FALSE(start<Probe>(RestartType::temporary));
  EXPECT_TRUE(runs("library"));
  EXPECT_FALSE(start<Probe>(RestartType::transient));
  EXPECT_EQ(receive<ExitMessage>().reason.term()[0], "application_start_failure"_atom);
}

BEHAVIOUR_TEST(ApplicationStart, AP_026_phases_run_in_order_after_start) {
  const Phases phases({{"one"}, {"two", 5}});
  be_the_test();
  EXPECT_TRUE(start<Probe>());
  EXPECT_EQ(notes(), "start normal, phase one [], phase two 5");
}

BEHAVIOUR_TEST(ApplicationStart, AP_027_a_failing_phase_fails_the_start) {
  const auto failure = [](const char* phase) {
    const Phases phases({{"one"}, {phase, 5}, {"three"}});
    EXPECT_TRUE(application::load<Probe>());
    const ExitReason reason = reason_of_start();
    EXPECT_TRUE(application::unload("probe"));
    return reason;
  };
  be_the_test();
  EXPECT_EQ(failure("fail"), ExitReason(tuple("r"_atom, phase_of_probe("fail", 5))));
  EXPECT_EQ(notes(), "start normal, phase one [], phase fail 5");
  EXPECT_EQ(failure("bad"), ExitReason(tuple("bad_return_value"_atom, tuple(phase_of_probe("bad", 5), 17))));
  EXPECT_EQ(failure("throw"), ExitReason(tuple("bad_return_value"_atom,
                                               tuple(phase_of_probe("throw", 5), tuple("EXIT"_atom, "boom"_atom)))));
}

BEHAVIOUR_TEST(ApplicationStart, AP_028_after_a_failing_phase_the_tree_is_stopped_before_it_is_told) {
  const Phases phases({{"fail"}});
  probe_does("stray");
  EXPECT_FALSE(start<Probe>());
  EXPECT_FALSE(whereis("Probe.Supervisor"));
  EXPECT_FALSE(whereis("stray"));
}

// Its phases are run with those of whom it is included in.
class Inner : public Application<Inner> {
 public:
  static ApplicationSpec spec() { return {.start_phases = {{"two", 22}, {"three", 33}}}; }
  StartResult<Supervisor> start() { return error("never_called"); }
  void start_phase(Atom phase, StartType, const Term& argument) {
    note("inner " + to_string(phase) + " " + inspect(argument));
  }
};
class Outer : public Application<Outer> {
 public:
  static ApplicationSpec spec() {
    return {.included_applications = {app<Inner>()}, .start_phases = {{"one"}, {"two"}}, .start_included = true};
  }
  StartResult<Supervisor> start() { return Supervisor::start_link({}); }
  Result<> start_phase(Atom phase, StartType, const Term&) {
    note("outer " + to_string(phase));
    return {};
  }
};

BEHAVIOUR_TEST(ApplicationStart, AP_029_phases_of_included_applications_run_with_those_of_the_same_name) {
  be_the_test();
  EXPECT_TRUE(start<Outer>());
  EXPECT_EQ(notes(), "outer one, outer two, inner two 22");
}

}  // namespace
