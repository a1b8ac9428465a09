// SPDX-License-Identifier: Apache-2.0
//
// How children are stopped, how a supervisor ends, and when it ends by itself: rules SV-053 to SV-072.
#include <coppice/sys.hpp>

#include "conformance/supervisor_support.hpp"

namespace {

using namespace conformance;

// Traps exits and does not stop for `shutdown`; notes it when it hears of it.
struct Stubborn : GenServer<Stubborn> {
  static constexpr bool trap_exit = true;
  explicit Stubborn(const Pid& test) : test_(test) {}
  void terminate(const ExitReason& reason) {
    send(test_, Note{inspect(reason.term())});
    sleep_for(infinity);
  }

 private:
  Pid test_;
};

// Ends a child by terminate_child and tells with which reason.
ExitReason end_by_supervisor(const Pid& supervisor, const Term& id) {
  const Reference reference = monitor(pid_of(supervisor, id));
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, id));
  return end_of(reference);
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_053_brutal_kill_does_not_ask) {
  const Pid supervisor = start({child<Stubborn>(self()).id(1).shutdown(brutal_kill)});
  EXPECT_EQ(end_by_supervisor(supervisor, 1), ExitReason::killed());
  EXPECT_EQ(notes(), "");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_054_after_its_time_a_child_is_killed) {
  const Pid supervisor = start({child<Stubborn>(self()).id(1).shutdown(10ms)});
  EXPECT_EQ(end_by_supervisor(supervisor, 1), ExitReason::killed());
  EXPECT_EQ(notes(), ":shutdown");
}

TEST(SupervisorShutdown, SV_054_the_time_of_a_worker_is_five_seconds) {
  behaviour::in_simulation([] {
    const Pid supervisor = start({child<Stubborn>(self()).id(1)});
    const auto begin = monotonic_time();
    EXPECT_EQ(end_by_supervisor(supervisor, 1), ExitReason::killed());
    EXPECT_GE(monotonic_time() - begin, 5s);
    EXPECT_LE(monotonic_time() - begin, 5001ms);
  });
}

struct Slow : GenServer<Slow> {
  static constexpr bool trap_exit = true;
  void terminate(const ExitReason&) { sleep_for(std::chrono::hours(100)); }
};

TEST(SupervisorShutdown, SV_055_infinity_waits_as_long_as_it_takes) {
  behaviour::in_simulation([] {
    const Pid supervisor = start({child<Slow>().shutdown(infinity).id(1)});
    EXPECT_EQ(end_by_supervisor(supervisor, 1), ExitReason::shutdown());
  });
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_056_no_time_at_all_kills_at_once) {
  const Pid supervisor = start({child<Stubborn>(self()).id(1).shutdown(0s)});
  EXPECT_EQ(end_by_supervisor(supervisor, 1), ExitReason::killed());
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_057_a_child_that_has_unlinked_itself_is_stopped_all_the_same) {
  const Pid test = self();
  const auto loose = [test](bool traps) {
    return [=] {
      return spawn_link([parent = self(), test, traps] {
        unlink(parent);
        trap_exit(traps);
        send(test, Note{"loose"});
        sleep_for(infinity);
      });
    };
  };
  const Pid supervisor = start({child(1, loose(false)), child(2, loose(true)).shutdown(10ms)});
  EXPECT_EQ(next_note(), "loose");
  EXPECT_EQ(next_note(), "loose");
  const Pid first = pid_of(supervisor, 1);
  const Pid second = pid_of(supervisor, 2);
  Supervisor::stop(supervisor);
  EXPECT_FALSE(alive(first));
  EXPECT_FALSE(alive(second));
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_057_a_sibling_that_is_dead_already_holds_nothing_up_and_counts_for_nothing) {
  const Pid supervisor = start({idle(1), idle(2)}, {.strategy = Strategy::one_for_all, .max_restarts = 1});
  const Pid first = pid_of(supervisor, 1);
  const Pid second = pid_of(supervisor, 2);
  sys::suspend(supervisor);  // both exit messages are there when it goes on
  for (const Pid& pid : {first, second}) {
    const Reference reference = monitor(pid);
    exit(pid, "boom"_atom);
    end_of(reference);
  }
  sys::resume(supervisor);
  EXPECT_EQ(status_of(supervisor, 1), "running");
  EXPECT_EQ(status_of(supervisor, 2), "running");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_057_what_comes_while_a_child_is_stopped_is_served_afterwards_in_order) {
  const Pid test = self();
  const Pid supervisor = start({noting(test, "a"), noting(test, "b"), child<Stubborn>(test).id(1).shutdown(10ms)});
  EXPECT_EQ(notes(), "+a +b");
  const Pid first = pid_of(supervisor, "a");
  const Pid second = pid_of(supervisor, "b");
  const Reference asker = spawn_monitor([=] { static_cast<void>(Supervisor::terminate_child(supervisor, 1)); }).second;
  EXPECT_EQ(next_note(), ":shutdown");
  for (const Pid& pid : {second, first}) {
    const Reference reference = monitor(pid);
    exit(pid, "boom"_atom);
    end_of(reference);
  }
  end_of(asker);
  static_cast<void>(Supervisor::count_children(supervisor));
  EXPECT_EQ(notes(), "+b +a");
}

TEST(SupervisorShutdown, SV_059_children_are_stopped_one_after_the_other) {
  behaviour::in_simulation([] {
    const Pid supervisor =
        start({child<Stubborn>(self()).id(1).shutdown(2s), child<Stubborn>(self()).id(2).shutdown(3s)});
    const auto begin = monotonic_time();
    Supervisor::stop(supervisor);
    EXPECT_GE(monotonic_time() - begin, 5s);
    EXPECT_LE(monotonic_time() - begin, 5001ms);
  });
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_060_a_child_that_does_not_trap_exits_ends_without_its_terminate) {
  struct Careless : GenServer<Careless> {
    explicit Careless(const Pid& test) : test_(test) {}
    void terminate(const ExitReason&) { send(test_, Note{"terminate"}); }

   private:
    Pid test_;
  };
  const Pid supervisor = start({child<Careless>(self()).id(1)});
  EXPECT_EQ(end_by_supervisor(supervisor, 1), ExitReason::shutdown());
  EXPECT_EQ(notes(), "");
}

// -- the end of a supervisor ----------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(SupervisorShutdown, SV_061_and_SV_065_stop_ends_all_children_in_reverse_order) {
  const Pid test = self();
  const Pid supervisor = start({noting(test, "a"), noting(test, "b"), noting(test, "c")});
  EXPECT_EQ(notes(), "+a +b +c");
  trap_exit(true);
  const Reference reference = monitor(supervisor);
  Supervisor::stop(supervisor, ExitReason::shutdown());
  EXPECT_EQ(notes(), "-c -b -a");
  EXPECT_EQ(end_of(reference), ExitReason::shutdown());
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_061_supervisors_below_stop_their_own_children_first) {
  const Pid test = self();
  const Pid top = start({noting(test, "a"), supervisor({noting(test, "b"), noting(test, "c")}), noting(test, "d")});
  EXPECT_EQ(notes(), "+a +b +c +d");
  Supervisor::stop(top);
  EXPECT_EQ(notes(), "-d -c -b -a");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_062_the_end_of_the_parent_ends_it_with_the_same_reason) {
  for (const ExitReason& reason : {ExitReason::normal(), ExitReason("why"_atom)}) {
    const Pid test = self();
    const Pid parent = spawn([=] {
      send(test, start({noting(test, "a")}));
      receive<Note>();
      exit(reason);
    });
    const Reference reference = monitor(receive<Pid>());
    send(parent, Note{});
    EXPECT_EQ(end_of(reference), reason);
    EXPECT_EQ(notes(), "+a -a");
  }
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_062_the_end_of_the_parent_waits_for_a_start_that_is_under_way) {
  const Pid test = self();
  const Pid parent = spawn([=] {
    start({noting(test, "a"), child("b", [test] {
             send(test, self());
             receive<Ok>();
             return noting(test, "b").start_function()->run();
           })});
  });
  const Pid supervisor = receive<Pid>();
  const Reference reference = monitor(supervisor);
  exit(parent, "why"_atom);
  send(supervisor, Ok{});
  EXPECT_EQ(end_of(reference), "why"_atom);
  EXPECT_EQ(notes(), "+a +b -b -a");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_063_the_exit_signal_of_a_stranger_does_not_end_it) {
  const Pid supervisor = start({idle(1)});
  const Reference reference = spawn_monitor([=] { exit(supervisor, ExitReason::shutdown()); }).second;
  end_of(reference);
  EXPECT_EQ(status_of(supervisor, 1), "running");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_064_the_children_of_a_killed_supervisor_hear_of_it_through_their_links) {
  trap_exit(true);
  const Pid supervisor = start({idle(1), child<Stubborn>(self()).id(2)});
  const Reference idle_end = monitor(pid_of(supervisor, 1));
  const Pid stubborn = pid_of(supervisor, 2);
  exit(supervisor, ExitReason::kill());
  EXPECT_EQ(end_of(idle_end), ExitReason::killed());
  EXPECT_EQ(next_note(), ":killed");
  exit(stubborn, ExitReason::kill());
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_064_a_kill_while_a_child_starts_leaves_no_orphan) {
  trap_exit(true);
  struct Endless : GenServer<Endless> {
    explicit Endless(const Pid& test) {
      send(test, self().pid());
      sleep_for(infinity);
    }
  };
  const Pid test = self();
  const Pid supervisor = start({idle(1)});
  const Pid asker = spawn([=] { static_cast<void>(Supervisor::start_child(supervisor, child<Endless>(test))); });
  const Reference child_end = monitor(receive<Pid>());
  const Reference asker_end = monitor(asker);
  const Reference idle_end = monitor(process_info(supervisor)->links.front());
  exit(supervisor, ExitReason::kill());
  EXPECT_EQ(end_of(child_end), ExitReason::killed());
  EXPECT_EQ(end_of(asker_end).term()[0], Term("killed"_atom));
  end_of(idle_end);
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_064_a_kill_while_it_stops_its_children_leaves_no_orphan) {
  trap_exit(true);
  const Pid supervisor = start({idle(1), child<Stubborn>(self()).id(2).shutdown(infinity)});
  const Reference first = monitor(pid_of(supervisor, 1));
  const Pid stubborn = pid_of(supervisor, 2);
  const Pid asker = spawn([=] { Supervisor::stop(supervisor); });
  EXPECT_EQ(next_note(), ":shutdown");
  exit(supervisor, ExitReason::kill());
  EXPECT_EQ(end_of(first), ExitReason::killed());
  EXPECT_EQ(exit_of(supervisor), ExitReason::killed());
  exit(stubborn, ExitReason::kill());
  end_of(asker);
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_066_an_unexpected_message_is_ignored) {
  const Pid supervisor = start({idle(1)});
  send(supervisor, Note{"what?"});
  EXPECT_EQ(status_of(supervisor, 1), "running");
}

// -- automatic shutdown -----------------------------------------------------------------------------------------------------

ChildSpec significant(int id) { return idle(id).restart(Restart::transient).significant(); }

BEHAVIOUR_TEST(SupervisorShutdown, SV_067_without_it_no_child_may_be_significant) {
  trap_exit(true);
  EXPECT_EQ(inspect(Supervisor::start_link({significant(1)}).reason().term()),
            "{:start_spec, {:bad_combination, [auto_shutdown: :never, significant: true]}}");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_068_any_significant_end_stops_it) {
  trap_exit(true);
  const Pid test = self();
  const Pid supervisor =
      start({noting(test, "a"), significant(1), significant(2)}, {.auto_shutdown = AutoShutdown::any_significant});
  exit(pid_of(supervisor, 2), ExitReason::shutdown());
  EXPECT_EQ(exit_of(supervisor), ExitReason::shutdown());
  EXPECT_EQ(notes(), "+a -a");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_068_any_end_of_a_significant_temporary_child_stops_it) {
  trap_exit(true);
  const Pid supervisor =
      start({significant(1).restart(Restart::temporary)}, {.auto_shutdown = AutoShutdown::any_significant});
  exit(pid_of(supervisor, 1), "boom"_atom);
  EXPECT_EQ(exit_of(supervisor), ExitReason::shutdown());
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_069_all_significant_waits_for_the_last) {
  trap_exit(true);
  const Pid supervisor =
      start({significant(1), significant(2), idle(3)}, {.auto_shutdown = AutoShutdown::all_significant});
  crash(supervisor, pid_of(supervisor, 1), ExitReason::shutdown());
  EXPECT_EQ(status_of(supervisor, 2), "running");
  exit(pid_of(supervisor, 2), ExitReason::shutdown());
  EXPECT_EQ(exit_of(supervisor), ExitReason::shutdown());
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_070_a_crash_of_a_significant_child_is_a_restart) {
  const Pid supervisor = start({significant(1)}, {.auto_shutdown = AutoShutdown::any_significant});
  crash(supervisor, 1);
  EXPECT_EQ(status_of(supervisor, 1), "running");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_071_what_the_supervisor_stops_itself_triggers_nothing) {
  const Pid supervisor = start({significant(1), idle(2)},
                               {.strategy = Strategy::one_for_all, .auto_shutdown = AutoShutdown::any_significant});
  crash(supervisor, 2);
  EXPECT_TRUE(Supervisor::terminate_child(supervisor, 1));
  EXPECT_EQ(status_of(supervisor, 2), "running");
}

BEHAVIOUR_TEST(SupervisorShutdown, SV_072_a_transient_supervisor_that_shuts_itself_down_stays_down) {
  const Pid top = start({supervisor({significant(1)}, {.name = "Inner", .auto_shutdown = AutoShutdown::any_significant})
                             .restart(Restart::transient)});
  const Pid inner = whereis("Inner");
  const Reference reference = monitor(inner);
  exit(pid_of(inner, 1), ExitReason::shutdown());
  end_of(reference);
  EXPECT_EQ(status_of(top, Atom("Inner")), "undefined");
}

}  // namespace
