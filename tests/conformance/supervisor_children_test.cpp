// SPDX-License-Identifier: Apache-2.0
//
// Managing children, what is reported of them, and the tree: rules SV-073 to SV-087 and LR-033.
#include <coppice/dynamic_supervisor.hpp>
#include <coppice/sys.hpp>

#include "conformance/supervisor_reports_support.hpp"

namespace {

using namespace conformance;

BEHAVIOUR_TEST(SupervisorChildren, SV_073_a_child_is_added_at_the_end) {
  const Pid test = self();
  const Pid supervisor = start({noting(test, "a")}, {.strategy = Strategy::rest_for_one});
  const Pid pid = Supervisor::start_child(supervisor, noting(test, "b")).value();
  EXPECT_EQ(pid_of(supervisor, "b"), pid);
  crash(supervisor, "a");
  EXPECT_EQ(notes(), "+a +b -b +a +b");
}

BEHAVIOUR_TEST(SupervisorChildren, SV_074_an_id_is_there_once) {
  const Pid supervisor = start({idle(1)});
  EXPECT_EQ(Supervisor::start_child(supervisor, idle(1)).reason(),
            tuple("already_started"_atom, pid_of(supervisor, 1)));
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 1));
  EXPECT_EQ(Supervisor::start_child(supervisor, idle(1)).reason(), "already_present"_atom);
}

BEHAVIOUR_TEST(SupervisorChildren, SV_075_ignore_is_ok_without_a_pid) {
  const Pid supervisor = start({});
  EXPECT_EQ(Supervisor::start_child(supervisor, child(1, Script{{"ignore"}})).to_term(),
            tuple("ok"_atom, "undefined"_atom));
  EXPECT_FALSE(Supervisor::start_child(supervisor, child(2, Script{{"ignore"}}).restart(Restart::temporary)).value());
  EXPECT_EQ(status_of(supervisor, 1), "undefined");
  EXPECT_EQ(status_of(supervisor, 2), "none");
}

BEHAVIOUR_TEST(SupervisorChildren, SV_076_a_child_that_does_not_start_is_forgotten) {
  const Pid supervisor = start({});
  const auto result = Supervisor::start_child(supervisor, child(1, Script{{"fail"}}));
  EXPECT_EQ(inspect(result.reason().term()),
            "{:nope, {:child, :undefined, 1, {:erlang, :apply, [#Script<opaque>, []]}, :permanent, false, 5000, "
            ":worker, :dynamic}}");
  EXPECT_EQ(status_of(supervisor, 1), "none");
  EXPECT_EQ(inspect(Supervisor::start_child(supervisor, idle(1).shutdown(-1s)).reason().term()),
            "{:invalid_shutdown, -1000}");
}

struct Named : GenServer<Named> {
  static constexpr Name<Named> name{"Named"};
};

BEHAVIOUR_TEST(SupervisorChildren, SV_077_a_stopped_child_is_gone_but_its_specification_stays) {
  const Pid supervisor = start({child<Named>(), idle(1).restart(Restart::temporary)}, {.max_restarts = 0});
  EXPECT_TRUE(Supervisor::terminate_child<Named>(supervisor));
  EXPECT_FALSE(whereis("Named"));
  EXPECT_TRUE(Supervisor::terminate_child<Named>(supervisor));
  EXPECT_EQ(status_of(supervisor, Atom("Elixir.Named")), "undefined");
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 1));
  EXPECT_EQ(Supervisor::terminate_child(supervisor, 1).reason(), "not_found"_atom);
}

BEHAVIOUR_TEST(SupervisorChildren, SV_078_a_stopped_child_can_be_started_again) {
  const Pid supervisor = start({idle(1), child(2, Script{{"ok", "fail", "ignore", "ok"}})});
  EXPECT_EQ(Supervisor::restart_child(supervisor, 1).reason(), "running"_atom);
  EXPECT_EQ(Supervisor::restart_child(supervisor, 3).reason(), "not_found"_atom);
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 2));
  EXPECT_EQ(Supervisor::restart_child(supervisor, 2).reason(), "nope"_atom);
  EXPECT_EQ(status_of(supervisor, 2), "undefined");
  EXPECT_EQ(Supervisor::restart_child(supervisor, 2).to_term(), tuple("ok"_atom, "undefined"_atom));
  const Pid pid = Supervisor::restart_child(supervisor, 2).value();
  EXPECT_EQ(pid_of(supervisor, 2), pid);
}

BEHAVIOUR_TEST(SupervisorChildren, SV_078_and_SV_079_a_restarting_child_is_left_alone) {
  const Pid supervisor = start({child(1, Script{{"ok", "fail"}})}, {.max_restarts = 1'000'000});
  crash(supervisor, 1);
  EXPECT_EQ(Supervisor::restart_child(supervisor, 1).reason(), "restarting"_atom);
  EXPECT_EQ(Supervisor::delete_child(supervisor, 1).reason(), "restarting"_atom);
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 1));
  EXPECT_TRUE(Supervisor::delete_child(supervisor, 1));
}

BEHAVIOUR_TEST(SupervisorChildren, SV_079_a_stopped_child_can_be_forgotten) {
  const Pid supervisor = start({idle(1)});
  EXPECT_EQ(Supervisor::delete_child(supervisor, 1).reason(), "running"_atom);
  EXPECT_EQ(Supervisor::delete_child(supervisor, 2).reason(), "not_found"_atom);
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 1));
  EXPECT_TRUE(Supervisor::delete_child(supervisor, 1));
  EXPECT_EQ(status_of(supervisor, 1), "none");
}

BEHAVIOUR_TEST(SupervisorChildren, SV_080_a_specification_is_given_back_as_it_was) {
  const ChildSpec spec = noting(self(), "a").restart(Restart::transient).shutdown(brutal_kill);
  const Pid supervisor = start({spec});
  EXPECT_EQ(Supervisor::get_childspec(supervisor, "a").value(), spec);
  EXPECT_EQ(Supervisor::get_childspec(supervisor, "a").value().to_term().size(), 7u);
  EXPECT_EQ(Supervisor::get_childspec(supervisor, "b").reason(), "not_found"_atom);
}

BEHAVIOUR_TEST(SupervisorChildren, SV_081_children_are_listed_the_last_one_first) {
  const Pid supervisor = start({idle(1), idle(2).type(ChildType::supervisor), child(3, Script{{"ignore"}})});
  const auto children = Supervisor::which_children(supervisor);
  ASSERT_EQ(children.size(), 3u);
  EXPECT_EQ(children[0].to_term(), tuple(3, "undefined"_atom, "worker"_atom, "dynamic"_atom));
  EXPECT_EQ(children[1].to_term(), tuple(2, children[1].pid, "supervisor"_atom, "dynamic"_atom));
  EXPECT_EQ(children[2].id, Term(1));
}

BEHAVIOUR_TEST(SupervisorChildren, SV_082_children_are_counted_by_type_alive_or_not) {
  const Pid supervisor = start({idle(1), idle(2), coppice::supervisor({})});
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 1));
  EXPECT_EQ(Supervisor::count_children(supervisor), (ChildCounts{3, 2, 1, 2}));
  EXPECT_EQ(inspect(Supervisor::count_children(supervisor).to_term()),
            "[specs: 3, active: 2, supervisors: 1, workers: 2]");
}

BEHAVIOUR_TEST(SupervisorChildren, SV_083_a_call_to_nobody_fails_with_an_infinite_timeout_in_its_reason) {
  try {
    static_cast<void>(Supervisor::which_children("nobody"));
    FAIL();
  } catch (const Exit& exit) {
    EXPECT_EQ(inspect(exit.reason().term()), "{:noproc, {GenServer, :call, [:nobody, :which_children, :infinity]}}");
  }
}

BEHAVIOUR_TEST(SupervisorChildren, SV_084_requests_are_served_in_order) {
  const Pid supervisor = start({}, {.name = "Top"});
  static constexpr Name<Supervisor> name{"Top"};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Supervisor::start_child(name, idle(i)));
  EXPECT_EQ(Supervisor::count_children(ServerRef<Supervisor>(supervisor)).specs, 10u);
}

BEHAVIOUR_TEST(SupervisorChildren, SV_085_specifications_can_be_checked_without_starting_them) {
  EXPECT_TRUE(Supervisor::check_childspecs({idle(1), idle(2)}));
  EXPECT_EQ(inspect(Supervisor::check_childspecs({idle(1), idle(1)}).reason().term()), "{:duplicate_child_name, 1}");
  const ChildSpec significant = idle(1).restart(Restart::transient).significant();
  EXPECT_TRUE(Supervisor::check_childspecs({significant}));
  EXPECT_FALSE(Supervisor::check_childspecs({significant}, AutoShutdown::never));
}

// -- reports ----------------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(SupervisorChildren, SV_086_LR_014_LR_015_a_report_names_supervisor_reason_and_offender) {
  const Capture capture;
  logger::set_sasl_reports(true);
  const Pid supervisor = start({idle("a")}, {.name = "Top"});
  const Pid pid = pid_of(supervisor, "a");
  crash(supervisor, pid);
  const auto events = capture.labelled(tuple("supervisor"_atom, "child_terminated"_atom));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(field(events[0], "supervisor"_atom), tuple("local"_atom, Atom("Top")));
  EXPECT_EQ(field(events[0], "errorContext"_atom), Term("child_terminated"_atom));
  const Term offender = field(events[0], "offender"_atom);
  EXPECT_EQ(offender[0], tuple("pid"_atom, pid));
  EXPECT_EQ(offender.size(), 7u);
  const std::string text = "Child \"a\" of Supervisor Top terminated\n** (exit) :boom\nPid: #PID" + to_string(pid);
  EXPECT_EQ(capture.texts().at(1).find(text), 0u) << capture.texts().at(1);
}

BEHAVIOUR_TEST(SupervisorChildren, SV_086_LR_013_LR_017_LR_019_each_start_restart_and_giving_up_is_reported) {
  trap_exit(true);
  EXPECT_EQ(reported([] {
              const Pid supervisor = start({child(1, Script{{"ok", "fail"}})}, {.max_restarts = 1});
              exit(pid_of(supervisor, 1), "boom"_atom);
              exit_of(supervisor);
            }),
            "progress, child_terminated :boom, start_error :nope, shutdown :reached_max_restart_intensity");
}

struct Crashing : GenServer<Crashing> {
  struct Crash {};
  void handle_cast(Crash) { throw std::runtime_error("boom"); }
};

BEHAVIOUR_TEST(SupervisorChildren, LR_020_a_server_reports_before_its_supervisor_does) {
  const Capture capture;
  logger::set_sasl_reports(true);
  const Pid supervisor = start({child<Crashing>().id(1)});
  const Pid first = pid_of(supervisor, 1);
  ServerRef<Crashing>(first).cast(Crashing::Crash{});
  end_of(first);
  EXPECT_NE(pid_of(supervisor, 1), first);
  std::string labels;
  for (const Event& event : capture.events()) {
    if (event.report) labels += inspect(event.report->label) + " ";
  }
  EXPECT_EQ(labels,
            "{:supervisor, :progress} {:gen_server, :terminate} {:proc_lib, :crash} "
            "{:supervisor, :child_terminated} {:supervisor, :progress} ");
  Supervisor::stop(supervisor);
}

BEHAVIOUR_TEST(SupervisorChildren, SV_058_SV_086_LR_018_a_stop_that_goes_wrong_is_reported) {
  const auto stop = [](ChildSpec spec) { return reported([&] { Supervisor::stop(start({spec})); }); };
  EXPECT_EQ(stop(idle(1)), "progress");
  EXPECT_EQ(stop(idle(1).shutdown(brutal_kill)), "progress");
  EXPECT_EQ(stop(child<Ending>(ExitReason("late"_atom))), "progress, shutdown_error :late");
  EXPECT_EQ(stop(child<Ending>(ExitReason::normal())), "progress, shutdown_error :normal");
  EXPECT_EQ(stop(child<Ending>(ExitReason::normal()).restart(Restart::transient)), "progress");
  EXPECT_EQ(stop(child<Hanging>().shutdown(1ms)), "progress, shutdown_error :killed");
}

BEHAVIOUR_TEST(SupervisorChildren, SV_057_and_SV_086_the_reason_of_a_child_that_was_dead_before_is_the_true_one) {
  EXPECT_EQ(reported([] {
              const Pid supervisor = start({idle(1), idle(2)}, {.strategy = Strategy::one_for_all});
              const Pid first = pid_of(supervisor, 1);
              const Pid second = pid_of(supervisor, 2);
              sys::suspend(supervisor);
              const Reference one = monitor(first);
              exit(first, "boom"_atom);
              end_of(one);
              const Reference two = monitor(second);
              exit(second, "too"_atom);
              end_of(two);
              sys::resume(supervisor);
              static_cast<void>(Supervisor::count_children(supervisor));
            }),
            "progress, progress, child_terminated :boom, shutdown_error :too, progress, progress");
}

BEHAVIOUR_TEST(SupervisorChildren, SV_087_LR_016_the_normal_end_of_a_permanent_child_is_reported_too) {
  const auto ended_normally = [](Restart restart) {
    return reported([&] {
      const Pid supervisor = start({idle(1).restart(restart)});
      crash(supervisor, pid_of(supervisor, 1), ExitReason::shutdown());
    });
  };
  EXPECT_EQ(ended_normally(Restart::permanent), "progress, child_terminated :shutdown, progress");
  EXPECT_EQ(ended_normally(Restart::transient), "progress");
}

BEHAVIOUR_TEST(SupervisorChildren, LR_033_an_unexpected_message_is_an_error_event) {
  const Capture capture;
  const Pid plain = start({}, {.name = "Top"});
  const Pid dynamic = DynamicSupervisor::start_link({.name = "Pool"}).value();
  send(plain, 17);
  static_cast<void>(Supervisor::count_children(plain));
  send(dynamic, 17);
  static_cast<void>(DynamicSupervisor::count_children(dynamic));
  EXPECT_EQ(capture.texts(), (std::vector<std::string>{"Supervisor Top received unexpected message: 17",
                                                       "DynamicSupervisor Pool received unexpected message: 17"}));
}

// -- the tree: ours -----------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(SupervisorChildren, SV_081_the_tree_shows_all_supervisors_below) {
  const Pid top =
      start({noting(self(), "a"),
             supervisor({idle(1).restart(Restart::transient), child(2, Script{{"ignore"}})}, {.name = "Inner"}),
             child<DynamicSupervisor>({.name = "Pool"})},
            {.name = "Top"});
  const Pid pooled = DynamicSupervisor::start_child("Pool", idle(1).restart(Restart::temporary)).value();
  const auto shown = [](const ServerAddress& server, const Term& id) { return to_string(pid_of(server, id)); };
  EXPECT_EQ(to_string(Supervisor::tree("Top")),
            "Top " + to_string(top) + " Supervisor\n" +                                                //
                "  " + shown(top, "a") + " Noting id: \"a\" permanent\n" +                             //
                "  Inner " + to_string(whereis("Inner")) + " Supervisor id: :Inner permanent\n" +      //
                "    " + shown("Inner", 1) + " id: 1 transient\n" +                                    //
                "    id: 2 permanent (undefined)\n" +                                                  //
                "  Pool " + to_string(whereis("Pool")) + " DynamicSupervisor id: :Pool permanent\n" +  //
                "    " + to_string(pooled) + " temporary\n");
}

BEHAVIOUR_TEST(SupervisorChildren, SV_081_the_tree_shows_a_busy_supervisor_as_such) {
  const Pid top = start({supervisor({idle(1)}, {.name = "Inner"})});
  sys::suspend("Inner");
  const SupervisorTree tree = Supervisor::tree(top, 10ms);
  EXPECT_EQ(tree.children.at(0).state, SupervisorTree::State::busy);
  sys::resume("Inner");
  EXPECT_EQ(Supervisor::tree(top).to_term().find("children"_atom)->size(), 1u);
}

}  // namespace
