// SPDX-License-Identifier: Apache-2.0
//
// Dynamic supervisors: rules DS-*.
#include <coppice/dynamic_supervisor.hpp>

#include <set>

#include "conformance/supervisor_support.hpp"

namespace {

using namespace conformance;

Pid pool(DynamicSupervisorOptions options = {}) { return DynamicSupervisor::start_link(std::move(options)).value(); }
Pid add(const ServerAddress& supervisor, ChildSpec spec) {
  return DynamicSupervisor::start_child(supervisor, std::move(spec)).value();
}
std::set<Pid> running(const ServerAddress& supervisor) {
  std::set<Pid> pids;
  for (const ChildInfo& info : DynamicSupervisor::which_children(supervisor)) {
    if (info.status == ChildStatus::running) pids.insert(info.pid);
  }
  return pids;
}

// Notes when it is told to stop, and takes its time.
struct Slow : GenServer<Slow> {
  static constexpr bool trap_exit = true;
  Slow(const Pid& test, WaitTime time) : test_(test), time_(time) {}
  void terminate(const ExitReason& reason) {
    send(test_, Note{inspect(reason.term())});
    sleep_for(time_);
  }

 private:
  Pid test_;
  WaitTime time_;
};

BEHAVIOUR_TEST(DynamicSupervisor, DS_001_it_starts_empty_and_under_its_name) {
  const Pid supervisor = pool({.name = "Pool"});
  EXPECT_EQ(whereis("Pool"), supervisor);
  EXPECT_EQ(DynamicSupervisor::count_children("Pool"), ChildCounts{});
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_002_and_DS_004_wrong_options_are_the_error_of_the_start) {
  trap_exit(true);
  const auto why = [](DynamicSupervisorOptions options) {
    return inspect(DynamicSupervisor::start_link(std::move(options)).reason().term());
  };
  EXPECT_EQ(why({.max_restarts = -1}), "{:supervisor_data, {:invalid_intensity, -1}}");
  EXPECT_EQ(why({.max_seconds = 0}), "{:supervisor_data, {:invalid_period, 0}}");
  EXPECT_EQ(why({.max_children = -5}), "{:supervisor_data, {:invalid_max_children, -5}}");
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_006_it_traps_exits_and_is_linked_to_its_starter) {
  const auto info = process_info(pool());
  EXPECT_TRUE(info->trap_exit);
  EXPECT_EQ(info->links, std::vector<Pid>{self()});
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_007_as_a_child_it_is_a_supervisor_with_its_name_as_id) {
  const ChildSpec named = child<DynamicSupervisor>({.name = "Pool"});
  EXPECT_EQ(named.id(), Term(Atom("Pool")));
  EXPECT_EQ(named.type(), ChildType::supervisor);
  const Pid top = start({named, child<DynamicSupervisor>()});
  EXPECT_EQ(pid_of(top, Atom("Pool")), whereis("Pool"));
  const auto again = Supervisor::start_child(top, child<DynamicSupervisor>());
  EXPECT_EQ(again.reason().term()[0], Term("already_started"_atom));
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_008_and_DS_009_a_wrong_specification_is_told_before_anybody_is_asked) {
  const auto why = [](const ChildSpec& spec) {
    return inspect(DynamicSupervisor::start_child("nobody", spec).reason().term()[0]);
  };
  EXPECT_EQ(why(ChildSpec()), ":invalid_child_spec");
  EXPECT_EQ(why(ChildSpec().id(1)), ":invalid_child_spec");
  EXPECT_EQ(why(child(1, std::function<Pid()>())), ":invalid_mfa");
  EXPECT_EQ(why(idle(1).restart(static_cast<Restart>(9))), ":invalid_restart_type");
  EXPECT_EQ(why(idle(1).shutdown(-1s)), ":invalid_shutdown");
  EXPECT_EQ(why(idle(1).type(static_cast<ChildType>(9))), ":invalid_child_type");
  EXPECT_EQ(why(idle(1).modules(1)), ":invalid_modules");
  EXPECT_EQ(why(idle(1).significant()), ":invalid_significant");
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_010_one_specification_can_be_started_any_number_of_times) {
  const Pid supervisor = pool();
  const ChildSpec spec = idle(1);
  const std::set<Pid> pids{add(supervisor, spec), add(supervisor, spec), add(supervisor, spec)};
  EXPECT_EQ(pids.size(), 3u);
  EXPECT_EQ(running(supervisor), pids);
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_011_there_is_room_for_so_many_only) {
  const Pid test = self();
  const Pid supervisor = pool({.max_children = 1});
  const Pid first = add(supervisor, noting(test, "a"));
  EXPECT_EQ(DynamicSupervisor::start_child(supervisor, noting(test, "b")).reason(), "max_children"_atom);
  EXPECT_EQ(notes(), "+a");
  EXPECT_TRUE(DynamicSupervisor::terminate_child(supervisor, first));
  add(supervisor, noting(test, "c"));
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_012_it_serves_nobody_while_a_child_starts) {
  const Pid supervisor = pool();
  const Pid test = self();
  const Pid asker = spawn_link([=] {
    add(supervisor, child(1, [test] {
          send(test, Note{"starting"});
          sleep_for(10ms);
          return spawn_idle();
        }));
  });
  EXPECT_EQ(next_note(), "starting");
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor).active, 1u);
  end_of(asker);
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_013_the_answer_of_the_start_is_handed_on) {
  const Pid supervisor = pool();
  const auto ask = [&](ChildSpec spec) { return DynamicSupervisor::start_child(supervisor, std::move(spec)); };
  EXPECT_EQ(ask(child(1, [] { return ChildOutcome(spawn_idle(), Term("fact")); })).info(), Term("fact"));
  EXPECT_EQ(ask(child(1, Script{{"ignore"}})).to_term(), Term("ignore"_atom));
  EXPECT_EQ(ask(child(1, Script{{"fail"}})).to_term(), tuple("error"_atom, "nope"_atom));
  EXPECT_EQ(ask(child(1, [] { return Term(17); })).reason(), Term(17));
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor).specs, 1u);
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_014_what_the_start_throws_is_the_bare_error) {
  const Pid supervisor = pool();
  const auto why = [&](ChildSpec spec) { return DynamicSupervisor::start_child(supervisor, std::move(spec)).reason(); };
  EXPECT_EQ(why(child(1, Script{{"throw"}})), ExitReason::exception("std::runtime_error", "boom"));
  EXPECT_EQ(why(child(1, []() -> Pid { throw Exit("why"_atom); })), "why"_atom);
  EXPECT_EQ(why(child(1, []() -> Pid { exit("gone"_atom); })), "gone"_atom);
  EXPECT_EQ(why(child(1, []() -> Pid { throw 3; })).term()[0], tuple("nocatch"_atom, "int"));
}

struct Named : GenServer<Named> {
  static constexpr Name<Named> name{"Named"};
};

BEHAVIOUR_TEST(DynamicSupervisor, DS_015_already_started_comes_from_the_name_of_the_child) {
  const Pid supervisor = pool();
  const Pid pid = add(supervisor, child<Named>());
  EXPECT_EQ(DynamicSupervisor::start_child(supervisor, child<Named>()).reason(), tuple("already_started"_atom, pid));
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_018_and_DS_019_and_DS_020_only_a_restarted_child_stays) {
  const Pid supervisor = pool();
  const auto after = [&](Restart restart, const ExitReason& reason) {
    const Pid pid = add(supervisor, idle(1).restart(restart));
    crash(supervisor, pid, reason);
    const std::set<Pid> left = running(supervisor);
    EXPECT_FALSE(left.contains(pid));
    for (const Pid& other : left) EXPECT_TRUE(DynamicSupervisor::terminate_child(supervisor, other));
    return left.size();
  };
  EXPECT_EQ(after(Restart::permanent, ExitReason::shutdown()), 1u);
  EXPECT_EQ(after(Restart::transient, ExitReason::shutdown(3)), 0u);
  EXPECT_EQ(after(Restart::transient, ExitReason("boom"_atom)), 1u);
  EXPECT_EQ(after(Restart::temporary, ExitReason("boom"_atom)), 0u);
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_021_a_restart_that_is_ignored_drops_the_child) {
  const Pid supervisor = pool();
  crash(supervisor, add(supervisor, child(1, Script{{"ok", "ignore"}})));
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor), ChildCounts{});
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_022_and_DS_023_a_failing_restart_is_tried_again) {
  const Pid supervisor = pool({.max_restarts = 1'000'000, .max_children = 1});
  const Script script{{"ok", "fail"}};
  const Pid pid = add(supervisor, child(1, script));
  crash(supervisor, pid);
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor), (ChildCounts{1, 0, 0, 1}));
  EXPECT_EQ(DynamicSupervisor::which_children(supervisor).at(0).to_term(),
            tuple("undefined"_atom, "restarting"_atom, "worker"_atom, "dynamic"_atom));
  EXPECT_EQ(DynamicSupervisor::start_child(supervisor, idle(2)).reason(), "max_children"_atom);
  EXPECT_GE(script.taken->load(), 2u);
  EXPECT_TRUE(DynamicSupervisor::terminate_child(supervisor, pid));
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_022_a_restart_that_succeeds_at_last_has_a_new_pid) {
  const Pid supervisor = pool();
  const Pid pid = add(supervisor, child(1, Script{{"ok", "fail", "fail", "ok"}}));
  crash(supervisor, pid);
  while (running(supervisor).empty()) yield();
  EXPECT_FALSE(running(supervisor).contains(pid));
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_024_the_old_pid_of_a_restarting_child_ends_the_tries) {
  const Pid supervisor = pool({.max_restarts = 1'000'000});
  const Script script{{"ok", "fail"}};
  const Pid pid = add(supervisor, child(1, script));
  crash(supervisor, pid);
  EXPECT_TRUE(DynamicSupervisor::terminate_child(supervisor, pid));
  const std::size_t taken = script.taken->load();
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor).specs, 0u);
  EXPECT_EQ(script.taken->load(), taken);
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_024_a_delayed_try_is_ended_too) {
  const Pid supervisor = pool();
  const Pid pid = add(supervisor, idle(1).backoff({.first = std::chrono::hours(1), .max = std::chrono::hours(1)}));
  crash(supervisor, pid);
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor).active, 0u);
  EXPECT_TRUE(DynamicSupervisor::terminate_child(supervisor, pid));
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_025_and_DS_026_one_restart_too_many_stops_all) {
  trap_exit(true);
  const Pid test = self();
  const Pid supervisor = pool({.max_restarts = 2});
  add(supervisor, noting(test, "a"));
  const Pid pid = add(supervisor, child(1, Script{{"ok", "fail"}}));
  exit(pid, "boom"_atom);
  EXPECT_EQ(exit_of(supervisor), ExitReason::shutdown());
  EXPECT_EQ(notes(), "+a -a");
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_027_and_DS_028_a_child_is_stopped_by_its_pid_and_not_restarted) {
  const Pid supervisor = pool({.max_restarts = 0});
  const Pid pid = add(supervisor, child<Slow>(self(), infinity).shutdown(5ms));
  EXPECT_TRUE(DynamicSupervisor::terminate_child(supervisor, pid));
  EXPECT_FALSE(alive(pid));
  EXPECT_EQ(notes(), ":shutdown");
  EXPECT_EQ(DynamicSupervisor::terminate_child(supervisor, pid).reason(), "not_found"_atom);
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor).specs, 0u);
}

TEST(DynamicSupervisor, DS_029_and_DS_030_all_children_are_told_at_once_and_each_has_its_own_deadline) {
  behaviour::in_simulation([] {
    const Pid supervisor = pool();
    const Pid test = self();
    for (int i = 0; i < 3; ++i) add(supervisor, child<Slow>(test, 2s).shutdown(5s));
    const Reference killed = monitor(add(supervisor, child<Slow>(test, infinity).shutdown(1s)));
    const Reference brutal = monitor(add(supervisor, child<Slow>(test, infinity).shutdown(brutal_kill)));
    const auto begin = monotonic_time();
    DynamicSupervisor::stop(supervisor);
    EXPECT_GE(monotonic_time() - begin, 2s);
    EXPECT_LE(monotonic_time() - begin, 2001ms);
    EXPECT_EQ(notes(), ":shutdown :shutdown :shutdown :shutdown");
    EXPECT_EQ(end_of(killed), ExitReason::killed());
    EXPECT_EQ(end_of(brutal), ExitReason::killed());
  });
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_031_children_that_unlinked_themselves_or_are_dead_hold_nothing_up) {
  const Pid supervisor = pool();
  const Pid test = self();
  const Pid loose = add(supervisor, child(1, [test] {
                          return spawn_link([parent = coppice::self(), test] {
                            unlink(parent);
                            send(test, Note{"loose"});
                            sleep_for(infinity);
                          });
                        }));
  EXPECT_EQ(next_note(), "loose");
  const Pid dead = add(supervisor, idle(2));
  exit(dead, "boom"_atom);
  DynamicSupervisor::stop(supervisor);
  EXPECT_FALSE(alive(loose));
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_033_a_restarting_child_needs_nothing_at_the_end) {
  const Pid supervisor = pool();
  const Pid pid = add(supervisor, idle(1).backoff({.first = std::chrono::hours(1), .max = std::chrono::hours(1)}));
  crash(supervisor, pid);
  DynamicSupervisor::stop(supervisor);
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_034_and_DS_035_children_are_listed_without_ids_and_counted_by_type) {
  const Pid supervisor = pool();
  const Pid pid = add(supervisor, idle("a"));
  EXPECT_EQ(DynamicSupervisor::which_children(supervisor).at(0).to_term(),
            tuple("undefined"_atom, pid, "worker"_atom, "dynamic"_atom));
  add(supervisor, child<DynamicSupervisor>());
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor), (ChildCounts{2, 2, 1, 1}));
  EXPECT_EQ(Supervisor::count_children(supervisor).specs, 2u);  // Elixir's Supervisor asks any supervisor, too
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_036_a_call_to_nobody_fails_and_stop_ends_it) {
  EXPECT_THROW(static_cast<void>(DynamicSupervisor::which_children("nobody")), Exit);
  const Pid supervisor = pool();
  DynamicSupervisor::stop(supervisor, ExitReason::normal());
  EXPECT_FALSE(alive(supervisor));
}

BEHAVIOUR_TEST(DynamicSupervisor, DS_037_an_unexpected_message_is_ignored) {
  const Pid supervisor = pool();
  send(supervisor, Note{"what?"});
  EXPECT_EQ(DynamicSupervisor::count_children(supervisor).specs, 0u);
}

// Nothing here may take time that grows with the square: at the size below that would be minutes.
TEST(DynamicSupervisor, DS_029_many_children_start_crash_and_stop_in_linear_time) {
  behaviour::on_threads([] {
    constexpr int count = 30'000;
    const Pid supervisor = pool({.max_restarts = count});
    std::vector<Pid> pids;
    for (int i = 0; i < count; ++i) {
      pids.push_back(add(supervisor, idle(1).restart(i % 3 == 0 ? Restart::temporary : Restart::permanent)));
    }
    for (int i = 0; i < count / 2; ++i) exit(pids[static_cast<std::size_t>(i)], "boom"_atom);
    DynamicSupervisor::stop(supervisor);
  });
}

}  // namespace
