// SPDX-License-Identifier: Apache-2.0
//
// Which ends cause a restart, of whom, how often, and what happens when a restart fails: rules SV-029 to SV-052.
#include "conformance/supervisor_support.hpp"

namespace {

using namespace conformance;

// Restarted or not, of one child with that restart kind and that end.
std::string after_end(Restart restart, const ExitReason& reason) {
  const Pid supervisor =
      start({child(1, [reason] { return spawn_link([reason] { exit(receive<ExitReason>()); }); }).restart(restart)});
  const Pid pid = pid_of(supervisor, 1);
  const Reference reference = monitor(pid);
  send(pid, reason);
  end_of(reference);
  const std::string status = status_of(supervisor, 1);
  EXPECT_NE(pid_of(supervisor, 1), pid);
  Supervisor::stop(supervisor);
  return status;
}

BEHAVIOUR_TEST(SupervisorRestart, SV_029_a_permanent_child_is_restarted_whatever_the_reason) {
  EXPECT_EQ(after_end(Restart::permanent, ExitReason::normal()), "running");
  EXPECT_EQ(after_end(Restart::permanent, ExitReason::shutdown()), "running");
  EXPECT_EQ(after_end(Restart::permanent, ExitReason("boom"_atom)), "running");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_030_and_SV_032_a_transient_child_is_restarted_after_an_abnormal_end_only) {
  EXPECT_EQ(after_end(Restart::transient, ExitReason::normal()), "undefined");
  EXPECT_EQ(after_end(Restart::transient, ExitReason::shutdown(7)), "undefined");
  EXPECT_EQ(after_end(Restart::transient, ExitReason::killed()), "running");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_031_a_temporary_child_is_forgotten_when_it_ends) {
  EXPECT_EQ(after_end(Restart::temporary, ExitReason::normal()), "none");
  EXPECT_EQ(after_end(Restart::temporary, ExitReason("boom"_atom)), "none");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_033_ends_without_a_restart_do_not_count_and_leave_siblings_alone) {
  const Pid test = self();
  const Pid supervisor =
      start({noting(test, "a"), idle(1).restart(Restart::temporary), idle(2).restart(Restart::transient)},
            {.strategy = Strategy::one_for_all, .max_restarts = 0});
  crash(supervisor, 1);
  crash(supervisor, pid_of(supervisor, 2), ExitReason::shutdown());
  EXPECT_EQ(notes(), "+a");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_034_the_exit_of_a_stranger_is_ignored) {
  const Pid supervisor = start({idle(1)});
  end_of(spawn_monitor([supervisor] {
           link(supervisor);
           exit("boom"_atom);
         }).second);
  EXPECT_EQ(status_of(supervisor, 1), "running");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_035_one_for_one_restarts_the_ended_child_only) {
  const Pid test = self();
  const Pid supervisor = start({noting(test, "a"), noting(test, "b"), noting(test, "c")});
  EXPECT_EQ(notes(), "+a +b +c");
  crash(supervisor, "b");
  EXPECT_EQ(notes(), "+b");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_036_one_for_all_stops_all_backwards_and_starts_all_forwards) {
  const Pid test = self();
  const Pid supervisor =
      start({noting(test, "a"), noting(test, "b"), noting(test, "c")}, {.strategy = Strategy::one_for_all});
  EXPECT_EQ(notes(), "+a +b +c");
  crash(supervisor, "b");
  EXPECT_EQ(notes(), "-c -a +a +b +c");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_037_rest_for_one_restarts_the_ended_child_and_those_after_it) {
  const Pid test = self();
  const Pid supervisor = start({noting(test, "a"), noting(test, "b"), noting(test, "c"), noting(test, "d")},
                               {.strategy = Strategy::rest_for_one});
  EXPECT_EQ(notes(), "+a +b +c +d");
  crash(supervisor, "b");
  EXPECT_EQ(notes(), "-d -c +b +c +d");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_038_temporary_siblings_are_stopped_and_forgotten) {
  const Pid test = self();
  const Pid supervisor =
      start({noting(test, "a"), noting(test, "t").restart(Restart::temporary)}, {.strategy = Strategy::one_for_all});
  crash(supervisor, "a");
  EXPECT_EQ(notes(), "+a +t -t +a");
  EXPECT_EQ(status_of(supervisor, "t"), "none");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_039_a_group_restart_starts_also_what_was_stopped) {
  const Pid supervisor =
      start({idle(1), idle(2), idle(3).restart(Restart::transient)}, {.strategy = Strategy::one_for_all});
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 2));
  crash(supervisor, pid_of(supervisor, 3), ExitReason::shutdown());
  crash(supervisor, 1);
  EXPECT_EQ(status_of(supervisor, 2), "running");
  EXPECT_EQ(status_of(supervisor, 3), "running");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_040_a_group_restart_counts_once) {
  const Pid supervisor = start({idle(1), idle(2), idle(3)}, {.strategy = Strategy::one_for_all, .max_restarts = 2});
  crash(supervisor, 1);
  crash(supervisor, 2);
  EXPECT_TRUE(alive(supervisor));
}

BEHAVIOUR_TEST(SupervisorRestart, SV_042_and_SV_043_one_restart_too_many_stops_all_and_ends_it_with_shutdown) {
  trap_exit(true);
  const Pid test = self();
  const Pid supervisor = start({noting(test, "a"), idle(1), noting(test, "b")});
  for (int i = 0; i < 3; ++i) crash(supervisor, 1);
  EXPECT_EQ(notes(), "+a +b");
  exit(pid_of(supervisor, 1), "boom"_atom);
  EXPECT_EQ(exit_of(supervisor), ExitReason::shutdown());
  EXPECT_EQ(notes(), "-b -a");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_042_with_none_allowed_the_first_end_is_too_many) {
  trap_exit(true);
  const Pid supervisor = start({idle(1)}, {.max_restarts = 0});
  exit(pid_of(supervisor, 1), "boom"_atom);
  EXPECT_EQ(exit_of(supervisor), ExitReason::shutdown());
}

BEHAVIOUR_TEST(SupervisorRestart, SV_044_a_permanent_child_that_finishes_brings_its_supervisor_down) {
  trap_exit(true);
  const auto started = Supervisor::start_link({child(1, [] { return spawn_link([] {}); })});
  EXPECT_EQ(exit_of(started.value()), ExitReason::shutdown());
}

BEHAVIOUR_TEST(SupervisorRestart, SV_045_a_supervisor_that_has_given_up_is_restarted_only_if_it_is_permanent) {
  const auto inner = [](const char* name) { return supervisor({idle(1)}, {.name = name, .max_restarts = 0}); };
  const Pid top = start({inner("Transient").restart(Restart::transient), inner("Permanent")});
  for (const char* name : {"Transient", "Permanent"}) {
    const Pid pid = whereis(name);
    const Reference reference = monitor(pid);
    exit(pid_of(pid, 1), "boom"_atom);
    end_of(reference);
  }
  EXPECT_EQ(status_of(top, Atom("Transient")), "undefined");
  EXPECT_EQ(status_of(top, Atom("Permanent")), "running");
}

TEST(SupervisorRestart, SV_041_and_SV_046_restarts_outside_the_window_are_forgotten) {
  behaviour::in_simulation([] {
    const Pid supervisor = start({idle(1)}, {.max_restarts = 1, .max_seconds = 5});
    for (int i = 0; i < 5; ++i) {
      crash(supervisor, 1);
      sleep_for(7s);
    }
    EXPECT_TRUE(alive(supervisor));
  });
}

TEST(SupervisorRestart, SV_041_a_restart_of_just_the_window_ago_still_counts_in_simulation) {
  behaviour::in_simulation([] {
    trap_exit(true);
    const Pid supervisor = start({idle(1)}, {.max_restarts = 1, .max_seconds = 5});
    crash(supervisor, 1);
    sleep_for(5s);
    exit(pid_of(supervisor, 1), "boom"_atom);
    EXPECT_EQ(exit_of(supervisor), ExitReason::shutdown());
  });
}

// -- failing restarts -------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(SupervisorRestart, SV_047_a_failing_restart_is_tried_again_and_requests_are_served_in_between) {
  const Script script{{"ok", "fail", "fail", "ok"}};
  const Pid supervisor = start({child(1, script), idle(2)});
  crash(supervisor, 1);
  while (status_of(supervisor, 1) != "running") EXPECT_EQ(status_of(supervisor, 2), "running");
  EXPECT_EQ(script.taken->load(), 4u);
}

BEHAVIOUR_TEST(SupervisorRestart, SV_048_each_try_counts) {
  trap_exit(true);
  const Script script{{"ok", "fail"}};
  const Pid supervisor = start({child(1, script)});
  exit(pid_of(supervisor, 1), "boom"_atom);
  EXPECT_EQ(exit_of(supervisor), ExitReason::shutdown());
  EXPECT_EQ(script.taken->load(), 4u);  // the start, and three tries
}

BEHAVIOUR_TEST(SupervisorRestart, SV_048_a_throwing_start_is_a_failing_one) {
  const Pid supervisor = start({child(1, Script{{"ok", "throw", "ok"}})});
  crash(supervisor, 1);
  while (status_of(supervisor, 1) != "running") yield();
  EXPECT_TRUE(alive(supervisor));
}

BEHAVIOUR_TEST(SupervisorRestart, SV_049_rest_for_one_goes_on_at_the_child_that_failed) {
  const Pid test = self();
  const Pid supervisor =
      start({noting(test, "a"), noting(test, "b"), child(1, Script{{"ok", "fail", "ok"}}), noting(test, "c")},
            {.strategy = Strategy::rest_for_one});
  EXPECT_EQ(notes(), "+a +b +c");
  crash(supervisor, "b");
  while (status_of(supervisor, "c") != "running") yield();
  EXPECT_EQ(notes(), "-c +b +c");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_050_one_for_all_begins_again_with_the_first) {
  const Pid test = self();
  const Pid supervisor = start({noting(test, "a"), child(1, Script{{"ok", "fail", "ok"}}), noting(test, "b")},
                               {.strategy = Strategy::one_for_all});
  EXPECT_EQ(notes(), "+a +b");
  crash(supervisor, "b");
  while (status_of(supervisor, "b") != "running") yield();
  EXPECT_EQ(notes(), "-a +a -a +a +b");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_051_a_restart_that_is_ignored_succeeds) {
  const Pid supervisor = start({child(1, Script{{"ok", "ignore"}})});
  crash(supervisor, 1);
  EXPECT_EQ(status_of(supervisor, 1), "undefined");
}

BEHAVIOUR_TEST(SupervisorRestart, SV_052_terminate_child_ends_the_tries) {
  const Script script{{"ok", "fail"}};
  const Pid supervisor = start({child(1, script)}, {.max_restarts = 1'000'000});
  crash(supervisor, 1);
  EXPECT_EQ(status_of(supervisor, 1), "restarting");
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 1));
  const std::size_t taken = script.taken->load();
  EXPECT_EQ(status_of(supervisor, 1), "undefined");
  EXPECT_EQ(script.taken->load(), taken);
}

// -- back-off: ours -----------------------------------------------------------------------------------------------------------

TEST(SupervisorRestart, SV_048_a_back_off_delays_each_restart_longer) {
  behaviour::in_simulation([] {
    const Script script{{"ok", "fail", "fail", "ok"}};
    const Pid supervisor = start({child(1, script).backoff({.first = 100ms, .factor = 2, .max = 10s})});
    const auto begin = monotonic_time();
    crash(supervisor, 1);
    EXPECT_EQ(status_of(supervisor, 1), "restarting");
    while (status_of(supervisor, 1) != "running") sleep_for(1ms);
    const auto took = monotonic_time() - begin;
    EXPECT_GE(took, 700ms);
    EXPECT_LE(took, 710ms);
  });
}

BEHAVIOUR_TEST(SupervisorRestart, SV_052_terminate_child_ends_a_delayed_try) {
  const Pid supervisor = start({idle(1).backoff({.first = std::chrono::hours(1), .max = std::chrono::hours(1)})});
  crash(supervisor, 1);
  EXPECT_EQ(Supervisor::restart_child(supervisor, 1).reason(), "restarting"_atom);
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 1));
  EXPECT_TRUE(Supervisor::restart_child(supervisor, 1));
  EXPECT_EQ(status_of(supervisor, 1), "running");
}

}  // namespace
