// SPDX-License-Identifier: Apache-2.0
//
// How a supervisor and its children are started: rules SV-001 to SV-028.
#include "conformance/supervisor_support.hpp"

namespace {

using namespace conformance;

struct Plain : GenServer<Plain> {
  struct Get {
    using Reply = int;
  };
  static constexpr Name<Plain> name{"Plain"};
  explicit Plain(std::string text) : size_(static_cast<int>(text.size())) { text.clear(); }
  int handle_call(Get) const { return size_; }

 private:
  int size_;
};

struct Storage : ModuleSupervisor<Storage> {
  static constexpr Name<Supervisor> name{"Storage"};
  SupervisorInit init(const std::string& path, int copies) {
    if (path.empty()) return SupervisorInit::ignore();
    if (copies < 0) throw std::runtime_error("no copies");
    std::vector<ChildSpec> children;
    for (int i = 0; i < copies; ++i) children.push_back(idle(i));
    return Supervisor::init(std::move(children), {.strategy = Strategy::one_for_all});
  }
};

ExitReason failure(std::vector<ChildSpec> children, SupervisorOptions options = {}) {
  trap_exit(true);
  const auto result = Supervisor::start_link(std::move(children), std::move(options));
  EXPECT_TRUE(result.is_error());
  return result.reason();
}

BEHAVIOUR_TEST(SupervisorStart, SV_012_a_class_is_started_by_its_own_start_link_with_copies_of_the_arguments) {
  const Pid supervisor = start({child<Plain>("four")});
  EXPECT_EQ(Plain::name.call(Plain::Get{}), 4);
  crash(supervisor, Plain::name.pid());
  EXPECT_EQ(Plain::name.call(Plain::Get{}), 4);
}

BEHAVIOUR_TEST(SupervisorStart, SV_012_what_a_start_function_throws_is_the_error_of_the_start) {
  const Pid supervisor = start({});
  const auto reason = [&](ChildSpec spec) {
    return Supervisor::start_child(supervisor, std::move(spec)).reason().term()[0];
  };
  EXPECT_EQ(reason(child(1, []() -> Pid { throw Exit("why"_atom); })), tuple("EXIT"_atom, "why"_atom));
  EXPECT_EQ(reason(child(1, []() -> Pid { exit("gone"_atom); })), tuple("EXIT"_atom, "gone"_atom));
  EXPECT_EQ(reason(child(1, []() -> Pid { throw std::runtime_error("boom"); }))[1],
            ExitReason::exception("std::runtime_error", "boom").term());
  EXPECT_EQ(reason(child(1, [] { return Term(17); })), Term(17));
  EXPECT_EQ(reason(child(1, []() -> Pid { throw 3; })), Term("int"));
  EXPECT_TRUE(alive(supervisor));
}

BEHAVIOUR_TEST(SupervisorStart, SV_013_a_fact_beside_the_pid_goes_to_who_asked) {
  const Pid supervisor = start({});
  const auto result =
      Supervisor::start_child(supervisor, child(1, [] { return ChildOutcome(spawn_idle(), Term("fact")); }));
  EXPECT_EQ(result.info(), Term("fact"));
  EXPECT_EQ(result.value(), pid_of(supervisor, 1));
}

BEHAVIOUR_TEST(SupervisorStart, SV_014_ignore_keeps_a_child_without_a_process_unless_it_is_temporary) {
  const Pid supervisor =
      start({child(1, Script{{"ignore"}}), child(2, Script{{"ignore"}}).restart(Restart::temporary)});
  EXPECT_EQ(status_of(supervisor, 1), "undefined");
  EXPECT_EQ(status_of(supervisor, 2), "none");
}

BEHAVIOUR_TEST(SupervisorStart, SV_015_a_child_that_unlinks_itself_is_not_noticed_when_it_ends) {
  const Pid supervisor = start({child(1, [] { return spawn_link([parent = self()] { unlink(parent); }); })});
  const Pid pid = pid_of(supervisor, 1);
  end_of(pid);
  EXPECT_EQ(pid_of(supervisor, 1), pid);
  EXPECT_EQ(Supervisor::count_children(supervisor), (ChildCounts{1, 0, 0, 1}));
}

BEHAVIOUR_TEST(SupervisorStart, SV_016_the_arguments_of_a_temporary_child_are_forgotten) {
  const Pid supervisor = start({child<Plain>("text").restart(Restart::temporary)});
  EXPECT_EQ(Supervisor::get_childspec<Plain>(supervisor).value().start()[2], Term("undefined"_atom));
}

BEHAVIOUR_TEST(SupervisorStart, SV_017_a_supervisor_is_registered_under_its_name) {
  const Pid supervisor = start({}, {.name = "Top"});
  EXPECT_EQ(whereis("Top"), supervisor);
  EXPECT_EQ(Supervisor::start_link({}, {.name = "Top"}).reason(), tuple("already_started"_atom, supervisor));
}

BEHAVIOUR_TEST(SupervisorStart, SV_020_wrong_options_are_the_error_of_the_start) {
  EXPECT_EQ(inspect(failure({}, {.max_restarts = -1}).term()), "{:supervisor_data, {:invalid_intensity, -1}}");
  EXPECT_EQ(inspect(failure({}, {.max_seconds = 0}).term()), "{:supervisor_data, {:invalid_period, 0}}");
}

BEHAVIOUR_TEST(SupervisorStart, SV_007_and_SV_021_a_wrong_list_starts_nobody) {
  const Pid test = self();
  EXPECT_EQ(inspect(failure({noting(test, "a"), noting(test, "a")}).term()),
            "{:start_spec, {:duplicate_child_name, \"a\"}}");
  EXPECT_EQ(inspect(failure({noting(test, "a"), ChildSpec()}).term()), "{:start_spec, :missing_id}");
  EXPECT_EQ(notes(), "");
}

BEHAVIOUR_TEST(SupervisorStart, SV_010_a_module_makes_children_and_options_from_its_arguments) {
  const Pid supervisor = Storage::start_link("/var", 2).value();
  EXPECT_EQ(whereis("Storage"), supervisor);
  const Pid first = pid_of(supervisor, 0);
  crash(supervisor, 1);
  EXPECT_EQ(end_of(first), ExitReason::noproc());
  EXPECT_NE(pid_of(supervisor, 0), first);
}

BEHAVIOUR_TEST(SupervisorStart, SV_023_a_module_may_ignore) {
  EXPECT_TRUE(Storage::start_link("", 0).is_ignore());
  EXPECT_FALSE(whereis("Storage"));
}

BEHAVIOUR_TEST(SupervisorStart, SV_022_what_the_init_of_a_module_throws_is_the_error) {
  trap_exit(true);
  EXPECT_EQ(Storage::start_link("x", -1).reason(), ExitReason::exception("std::runtime_error", "no copies"));
}

BEHAVIOUR_TEST(SupervisorStart, SV_024_children_are_started_in_order_before_start_link_returns) {
  const Pid test = self();
  start({noting(test, "a"), noting(test, "b"), noting(test, "c")});
  EXPECT_EQ(notes(), "+a +b +c");
}

BEHAVIOUR_TEST(SupervisorStart, SV_025_a_failing_child_takes_the_earlier_ones_back) {
  const Pid test = self();
  const ExitReason reason =
      failure({noting(test, "a"), noting(test, "b"), child("c", Script{{"fail"}}), noting(test, "d")});
  EXPECT_EQ(reason, ExitReason::shutdown(tuple("failed_to_start_child"_atom, "c", "nope"_atom)));
  EXPECT_EQ(notes(), "+a +b -b -a");
}

BEHAVIOUR_TEST(SupervisorStart, SV_025_the_starter_gets_the_exit_signal) {
  static_cast<void>(spawn_monitor([] {
    static_cast<void>(Supervisor::start_link({child(1, Script{{"fail"}})}));
    sleep_for(infinity);
  }));
  EXPECT_EQ(receive<Down>().reason, ExitReason::shutdown(tuple("failed_to_start_child"_atom, 1, "nope"_atom)));
}

BEHAVIOUR_TEST(SupervisorStart, SV_025_a_child_that_dies_while_it_starts_is_a_failing_child) {
  trap_exit(true);
  const auto result = Supervisor::start_link({child(1, [] {
    const Pid pid = spawn_link([] { exit("early"_atom); });
    return Result<Pid>(error(end_of(pid)));
  })});
  EXPECT_EQ(result.reason().term()[1][0], Term("failed_to_start_child"_atom));
}

BEHAVIOUR_TEST(SupervisorStart, SV_026_a_supervisor_traps_exits_and_is_linked_to_its_starter) {
  const Pid supervisor = start({});
  const auto info = process_info(supervisor);
  EXPECT_TRUE(info->trap_exit);
  EXPECT_EQ(info->links, std::vector<Pid>{self()});
}

BEHAVIOUR_TEST(SupervisorStart, SV_027_a_supervisor_as_a_child_has_its_name_as_id_and_all_its_time) {
  const ChildSpec named = supervisor({idle(1)}, {.name = "Inner"});
  EXPECT_EQ(named.id(), Term(Atom("Inner")));
  EXPECT_EQ(named.shutdown(), Shutdown(infinity));
  EXPECT_EQ(named.type(), ChildType::supervisor);
  EXPECT_EQ(supervisor({}).id(), Term(Atom("Elixir.Supervisor")));
  EXPECT_EQ(child<Storage>("x", 1).type(), ChildType::supervisor);
  const Pid top = start({named, child<Storage>("/", 1)});
  EXPECT_EQ(pid_of(top, Atom("Inner")), whereis("Inner"));
  EXPECT_EQ(Supervisor::count_children("Storage").active, 1u);
}

BEHAVIOUR_TEST(SupervisorStart, SV_028_a_supervisor_that_starts_a_slow_child_serves_nobody) {
  const Pid supervisor = start({});
  const Pid test = self();
  const Pid asker = spawn_link([=] {
    const auto slow = child(1, [test] {
      send(test, Note{"starting"});
      sleep_for(20ms);
      return spawn_idle();
    });
    static_cast<void>(Supervisor::start_child(supervisor, slow));
  });
  EXPECT_EQ(next_note(), "starting");
  EXPECT_EQ(Supervisor::count_children(supervisor).active, 1u);  // answered after the start
  end_of(asker);
}

BEHAVIOUR_TEST(SupervisorStart, SV_028_a_child_that_asks_its_supervisor_while_it_starts_is_told_of_the_deadlock) {
  struct Asking : GenServer<Asking> {
    explicit Asking(Pid supervisor) { static_cast<void>(Supervisor::count_children(supervisor)); }
  };
  const Pid supervisor = start({});
  const auto result = Supervisor::start_child(supervisor, child<Asking>(supervisor));
  ASSERT_TRUE(result.is_error());
  EXPECT_EQ(result.reason().term()[0][0][0], Term("deadlock"_atom));
}

}  // namespace
