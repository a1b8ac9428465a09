// SPDX-License-Identifier: Apache-2.0
//
// What dynamic supervisors report: rules DS-016, DS-017, DS-026 and DS-032.
#include <coppice/dynamic_supervisor.hpp>

#include "conformance/supervisor_reports_support.hpp"

namespace {

using namespace conformance;

Pid pool(DynamicSupervisorOptions options = {}) { return DynamicSupervisor::start_link(std::move(options)).value(); }

BEHAVIOUR_TEST(DynamicSupervisorReports, DS_016_starts_are_not_reported_and_failing_restarts_are) {
  EXPECT_EQ(reported([] {
              const Pid supervisor = pool();
              EXPECT_FALSE(DynamicSupervisor::start_child(supervisor, child(1, Script{{"fail"}})));
              crash(supervisor,
                    DynamicSupervisor::start_child(supervisor, child(1, Script{{"ok", "fail", "ignore"}})).value());
              while (DynamicSupervisor::count_children(supervisor).specs != 0) yield();
            }),
            "child_terminated :boom, start_error :nope");
}

BEHAVIOUR_TEST(DynamicSupervisorReports, DS_017_the_arguments_of_a_temporary_child_are_not_kept) {
  const Capture capture;
  logger::set_sasl_reports(true);
  const Pid supervisor = pool({.name = "Pool"});
  const Pid pid = DynamicSupervisor::start_child(supervisor, noting(self(), "a").restart(Restart::temporary)).value();
  crash(supervisor, pid);
  const auto events = capture.labelled(tuple("supervisor"_atom, "child_terminated"_atom));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(*keyword_find(field(events[0], "offender"_atom), "mfargs"_atom),
            tuple(Atom("Elixir.Noting"), "start_link"_atom, "undefined"_atom));
}

BEHAVIOUR_TEST(DynamicSupervisorReports, DS_026_giving_up_is_reported) {
  trap_exit(true);
  EXPECT_EQ(reported([] {
              const Pid supervisor = pool({.max_restarts = 0});
              exit(DynamicSupervisor::start_child(supervisor, idle(1)).value(), "boom"_atom);
              exit_of(supervisor);
            }),
            "child_terminated :boom, shutdown :reached_max_restart_intensity");
}

BEHAVIOUR_TEST(DynamicSupervisorReports, DS_032_a_stop_that_goes_wrong_is_reported) {
  const auto stop = [](const ChildSpec& spec, bool one) {
    return reported([&] {
      const Pid supervisor = pool();
      const Pid pid = DynamicSupervisor::start_child(supervisor, spec).value();
      if (one) static_cast<void>(DynamicSupervisor::terminate_child(supervisor, pid).value());
      DynamicSupervisor::stop(supervisor);
    });
  };
  for (const bool one : {true, false}) {
    EXPECT_EQ(stop(idle(1), one), "");
    EXPECT_EQ(stop(idle(1).shutdown(brutal_kill), one), "");
    EXPECT_EQ(stop(child<Ending>(ExitReason::shutdown(3)), one), "");
    EXPECT_EQ(stop(child<Ending>(ExitReason::normal()), one), "shutdown_error :normal");
    EXPECT_EQ(stop(child<Ending>(ExitReason::normal()).restart(Restart::temporary), one), "");
    EXPECT_EQ(stop(child<Hanging>().shutdown(1ms), one), "shutdown_error :killed");
  }
}

}  // namespace
