// SPDX-License-Identifier: Apache-2.0
//
// Running, ending and stopping: rules AP-034 to AP-038, AP-042 to AP-046, AP-048, AP-049 and LR-034.
#include "conformance/application_support.hpp"
#include "conformance/logger_support.hpp"

namespace {

using namespace conformance;
using application::start;
using application::stop;

ExitReason about(const char* what, const char* app) { return ExitReason(tuple(Atom(what), Atom(app))); }

ExitReason terminated(const ExitReason& reason) {
  return ExitReason(tuple("application_terminated"_atom, "probe"_atom, reason));
}

BEHAVIOUR_TEST(ApplicationStop, AP_034_processes_belong_to_an_application_through_their_group_leader) {
  probe_does("stray");
  EXPECT_FALSE(application::get_application());
  EXPECT_TRUE(start<Probe>());
  EXPECT_EQ(application::get_application(whereis("Probe.Supervisor")), "probe"_atom);
  EXPECT_EQ(application::get_application(whereis("stray")), "probe"_atom);
  EXPECT_EQ(application::get_application(Supervisor::which_children("Probe.Supervisor").front().pid), "probe"_atom);
  EXPECT_FALSE(application::get_application(self()));
  EXPECT_FALSE(application::get_application(dead_pid()));
}

BEHAVIOUR_TEST(ApplicationStop, AP_035_when_the_tree_ends_by_itself_the_callbacks_run_and_the_rest_is_killed) {
  be_the_test();
  probe_does("stray");
  EXPECT_TRUE(start<Probe>());
  const Reference stray = monitor(whereis("stray"));
  next_note();
  end_probe(ExitReason::shutdown());
  EXPECT_EQ(await_reason(stray), ExitReason::killed());
  EXPECT_EQ(next_note(), "prep_stop 1 down");
  EXPECT_EQ(next_note(), "stop down");
  await_stopped("probe");
}

BEHAVIOUR_TEST(ApplicationStop, AP_036_the_end_of_a_temporary_application_is_nobody_elses_business) {
  EXPECT_TRUE(start<Library>());
  EXPECT_TRUE(start<Probe>());
  end_probe(ExitReason(boom));
  await_stopped("probe");
  EXPECT_TRUE(runs("library"));
  EXPECT_TRUE(start<Probe>());
}

BEHAVIOUR_TEST(ApplicationStop, AP_037_a_transient_one_may_end_with_normal_only) {
  trap_exit(true);
  EXPECT_TRUE(start<Library>());
  EXPECT_TRUE(start<Probe>(RestartType::transient));
  end_probe(ExitReason::normal());
  await_stopped("probe");
  EXPECT_TRUE(runs("library"));
  while (!application::ensure_started<Probe>(RestartType::transient)) yield();
  end_probe(ExitReason::shutdown());
  EXPECT_EQ(receive<ExitMessage>().reason, terminated(ExitReason::shutdown()));
  EXPECT_FALSE(runs("library"));
}

BEHAVIOUR_TEST(ApplicationStop, AP_038_the_end_of_a_permanent_one_stops_all_and_ends_the_node) {
  trap_exit(true);
  be_the_test();
  EXPECT_TRUE(start<Base>());
  EXPECT_TRUE(start<Middle>());
  EXPECT_TRUE(start<Probe>(RestartType::permanent));
  notes();
  end_probe(ExitReason::normal());
  const ExitMessage end = receive<ExitMessage>();
  EXPECT_EQ(end.reason, terminated(ExitReason::normal()));
  EXPECT_FALSE(end.pid);
  EXPECT_EQ(notes(), "prep_stop 1 down, stop down, stop middle, stop base");
  EXPECT_TRUE(application::started_applications().empty());
}

BEHAVIOUR_TEST(ApplicationStop, AP_042_stop_stops_this_application_and_no_other) {
  EXPECT_EQ(stop("probe").reason(), about("not_started", "probe"));
  EXPECT_TRUE(start<Base>(RestartType::permanent));
  EXPECT_TRUE(start<Middle>(RestartType::permanent));
  EXPECT_TRUE(stop<Base>());
  EXPECT_FALSE(runs("base"));
  EXPECT_TRUE(runs("middle"));
  EXPECT_EQ(stop<Base>().reason(), about("not_started", "base"));
}

BEHAVIOUR_TEST(ApplicationStop, AP_043_prep_stop_then_the_tree_then_stop_then_the_rest_is_killed) {
  be_the_test();
  probe_does("stray");
  EXPECT_TRUE(start<Probe>());
  const Reference stray = monitor(whereis("stray"));
  next_note();
  EXPECT_TRUE(stop<Probe>());
  EXPECT_EQ(notes(), "prep_stop 1 up, stop down");
  EXPECT_EQ(await_reason(stray), ExitReason::killed());
}

BEHAVIOUR_TEST(ApplicationStop, AP_043_what_prep_stop_throws_is_logged_and_what_stop_throws_is_ignored) {
  const Capture capture;
  EXPECT_TRUE(start<Probe>());
  probe_does("bad prep_stop");
  EXPECT_TRUE(stop<Probe>());
  const auto events = capture.labelled(tuple("application_master"_atom, "shutdown_error"_atom));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(field(events[0], "module"_atom), application::module<Probe>());
  EXPECT_TRUE(start<Probe>());
  probe_does("bad stop");
  EXPECT_TRUE(stop<Probe>());
  EXPECT_FALSE(whereis("Probe.Supervisor"));
}

BEHAVIOUR_TEST(ApplicationStop, AP_044_the_object_of_start_is_there_until_stop) {
  be_the_test();
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(start<Probe>());
    EXPECT_TRUE(stop<Probe>());
    EXPECT_EQ(notes(), "start normal, prep_stop 1 up, stop down");  // each start has an object of its own
  }
}

BEHAVIOUR_TEST(ApplicationStop, AP_045_a_stopped_application_stays_loaded) {
  EXPECT_TRUE(start<Probe>());
  Probe::put_env("port", 1);
  EXPECT_TRUE(stop<Probe>());
  EXPECT_TRUE(application::spec("probe"));
  EXPECT_EQ(Probe::get_env<int>("port"), 1);
}

// A server of the tree that stops its own application.
struct Suicide : GenServer<Suicide> {
  void handle_info(Wake) { static_cast<void>(stop_own()); }
  static Result<> stop_own() { return application::stop("own_end"); }
};
class OwnEnd : public Application<OwnEnd> {
 public:
  StartResult<Supervisor> start() {
    StartResult<Supervisor> tree = Supervisor::start_link({child<Suicide>()}, {.name = "OwnEnd.Supervisor"});
    return tree;
  }
  void prep_stop() { note(to_string(Suicide::stop_own().reason())); }
};

BEHAVIOUR_TEST(ApplicationStop, AP_046_a_process_of_the_application_that_stops_it_goes_down_with_it) {
  be_the_test();
  EXPECT_TRUE(start<OwnEnd>());
  const Pid server = Supervisor::which_children("OwnEnd.Supervisor").front().pid;
  const Reference end = monitor(server);
  ServerRef<Suicide>(server).send(Wake{});
  EXPECT_EQ(await_reason(end), ExitReason::shutdown());
  EXPECT_EQ(next_note(), ":deadlock");  // what its own prep_stop is told, which would wait for itself
  await_stopped("own_end");
}

class Short : public Application<Short> {
 public:
  static ApplicationSpec spec() { return {.max_time = 20ms}; }
  StartResult<Supervisor> start() { return Supervisor::start_link({}); }
  void stop() { note("stop"); }
};

BEHAVIOUR_TEST(ApplicationStop, AP_048_it_ends_with_normal_when_its_time_is_over) {
  trap_exit(true);
  be_the_test();
  EXPECT_TRUE(start<Library>());
  EXPECT_TRUE(start<Short>(RestartType::transient));
  EXPECT_EQ(next_note(), "stop");
  await_stopped("short");
  EXPECT_TRUE(runs("library"));
}

BEHAVIOUR_TEST(ApplicationStop, AP_049_LR_034_each_start_and_each_end_is_reported) {
  const Capture capture;
  logger::set_sasl_reports(true);
  EXPECT_TRUE(start<Probe>());
  auto events = capture.labelled(tuple("application_controller"_atom, "progress"_atom));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].level, Level::info);
  EXPECT_EQ(field(events[0], "application"_atom), "probe"_atom);
  EXPECT_TRUE(stop<Probe>());
  EXPECT_TRUE(start<Probe>(RestartType::transient));
  end_probe(ExitReason::normal());
  await_stopped("probe");
  probe_does("error");
  EXPECT_FALSE(start<Probe>());
  events = capture.labelled(tuple("application_controller"_atom, "exit"_atom));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].level, Level::notice);
  EXPECT_EQ(field(events[0], "exited"_atom), "stopped"_atom);
  EXPECT_EQ(field(events[0], "type"_atom), "temporary"_atom);
  EXPECT_EQ(field(events[1], "exited"_atom), "normal"_atom);
  EXPECT_EQ(field(events[1], "type"_atom), "transient"_atom);
  EXPECT_EQ(field(events[2], "exited"_atom), tuple("nope"_atom, start_of_probe()));
  bool seen = false;
  for (const std::string& text : capture.texts()) seen = seen || contains(text, "Application probe exited: :stopped");
  EXPECT_TRUE(seen);
}

}  // namespace
