// SPDX-License-Identifier: Apache-2.0
//
// Partition supervisors: rules PS-*.
#include <coppice/dynamic_supervisor.hpp>
#include <coppice/partition_supervisor.hpp>

#include <set>

#include "conformance/supervisor_support.hpp"

namespace {

using namespace conformance;

struct Shelf : GenServer<Shelf> {
  struct Which {
    using Reply = int;
  };
  explicit Shelf(int number) : number_(number) {}
  int handle_call(Which) const { return number_; }

 private:
  int number_;
};

// Partitions that know their number.
ChildSpec numbered(const ChildSpec&, std::size_t partition) { return child<Shelf>(static_cast<int>(partition)); }

Pid shelves(std::int64_t count, const char* name = "Shelves") {
  return PartitionSupervisor::start_link(
             {.name = name, .child_spec = child<Shelf>(0), .partitions = count, .with_arguments = numbered})
      .value();
}
int number_of(const Term& key) { return PartitionSupervisor::via<Shelf>("Shelves", key).call(Shelf::Which{}); }

// The cause of a misuse by this process.
template <class F>
Term cause(F function) {
  try {
    function();
  } catch (const Exit& exit) {
    return exit.reason().term()[0];
  }
  return "none"_atom;
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_001_and_PS_002_name_specification_and_a_positive_number_are_required) {
  EXPECT_EQ(cause([] { static_cast<void>(PartitionSupervisor::start_link({.child_spec = idle(1)})); }), "badarg"_atom);
  EXPECT_EQ(cause([] { static_cast<void>(PartitionSupervisor::start_link({.name = "Shelves"})); }), "badarg"_atom);
  EXPECT_EQ(cause([] { shelves(0); }), "badarg"_atom);
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_002_there_is_one_partition_for_each_scheduler) {
  static_cast<void>(PartitionSupervisor::start_link({.name = "Shelves", .child_spec = idle(1)}));
  const std::size_t count = PartitionSupervisor::partitions("Shelves");
  EXPECT_TRUE(count == 2 || count == 3) << count;  // on threads, in simulation
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_003_wrong_options_are_the_error_of_the_start) {
  trap_exit(true);
  const auto result = PartitionSupervisor::start_link({.name = "Shelves", .child_spec = idle(1), .max_seconds = 0});
  EXPECT_EQ(inspect(result.reason().term()), "{:supervisor_data, {:invalid_period, 0}}");
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_004_and_PS_005_each_partition_has_its_number_as_id_and_its_own_arguments) {
  const Pid supervisor = shelves(3);
  EXPECT_EQ(number_of(0), 0);
  EXPECT_EQ(number_of(2), 2);
  const auto children = PartitionSupervisor::which_children(supervisor);
  ASSERT_EQ(children.size(), 3u);
  EXPECT_EQ(children[0].to_term(), tuple(2, children[0].pid, "worker"_atom, list(Atom("Elixir.Shelf"))));
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_006_a_taken_name_is_already_started) {
  const Pid supervisor = shelves(1);
  const auto again = PartitionSupervisor::start_link({.name = "Shelves", .child_spec = idle(1)});
  EXPECT_EQ(again.reason(), tuple("already_started"_atom, supervisor));
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_007_and_PS_009_a_failing_partition_fails_the_start_and_leaves_no_table) {
  trap_exit(true);
  const auto result = PartitionSupervisor::start_link(
      {.name = "Shelves", .child_spec = child(1, Script{{"ok", "fail"}}), .partitions = 2});
  EXPECT_EQ(result.reason(), ExitReason::shutdown(tuple("failed_to_start_child"_atom, 1, "nope"_atom)));
  EXPECT_EQ(cause([] { static_cast<void>(PartitionSupervisor::partitions("Shelves")); }), "noproc"_atom);
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_008_and_PS_012_a_restarted_partition_is_found_under_its_new_pid) {
  const Pid supervisor = shelves(2);
  const auto address = PartitionSupervisor::via<Shelf>("Shelves", 1);
  const Pid before = address.pid();
  crash(supervisor, before);
  EXPECT_NE(address.pid(), before);
  EXPECT_EQ(address.pid(), pid_of(supervisor, 1));
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_009_the_table_is_gone_when_the_supervisor_is_killed) {
  trap_exit(true);
  const Pid supervisor = shelves(2);
  exit(supervisor, ExitReason::kill());
  exit_of(supervisor);
  EXPECT_EQ(cause([] { number_of(1); }), "noproc"_atom);
  shelves(3);
  EXPECT_EQ(PartitionSupervisor::partitions("Shelves"), 3u);
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_010_integers_go_by_their_remainder_and_others_by_their_hash) {
  shelves(3);
  EXPECT_EQ(number_of(0), 0);
  EXPECT_EQ(number_of(3), 0);
  EXPECT_EQ(number_of(-1), 1);
  EXPECT_EQ(number_of(4), 1);
  EXPECT_EQ(number_of(*Term::integer("-100000000000000000000000000001")), 2);
  std::set<int> seen;
  for (int i = 0; i < 100; ++i) seen.insert(number_of(tuple("key"_atom, i)));
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_EQ(number_of("ann"), number_of("ann"));
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_011_an_unknown_name_is_told_to_the_caller) {
  try {
    number_of(1);
    FAIL();
  } catch (const Exit& exit) {
    EXPECT_EQ(inspect(exit.reason().term()), "{:noproc, {PartitionSupervisor, :partitions, [:Shelves]}}");
  }
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_013_nobody_can_be_registered_under_a_key) {
  shelves(1);
  trap_exit(true);
  const ServerName key = PartitionSupervisor::via<Shelf>("Shelves", 1);
  EXPECT_EQ(cause([&] { static_cast<void>(key.via()->register_name(self())); }), "badarg"_atom);
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_014_a_partition_that_is_ignored_is_not_found) {
  static_cast<void>(PartitionSupervisor::start_link(
      {.name = "Shelves", .child_spec = child(1, Script{{"ignore"}}), .partitions = 1}));
  EXPECT_FALSE(PartitionSupervisor::via<Shelf>("Shelves", 1).pid());
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_015_and_PS_016_it_can_be_asked_and_stopped_like_a_supervisor) {
  const Pid supervisor = shelves(4);
  EXPECT_EQ(PartitionSupervisor::partitions("Shelves"), 4u);
  EXPECT_EQ(PartitionSupervisor::count_children("Shelves"), (ChildCounts{4, 4, 0, 4}));
  PartitionSupervisor::stop("Shelves");
  EXPECT_FALSE(alive(supervisor));
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_017_and_PS_018_and_PS_021_it_shrinks_and_grows_up_to_what_it_was) {
  const Pid supervisor = shelves(3);
  const Pid last = pid_of(supervisor, 2);
  EXPECT_EQ(PartitionSupervisor::resize("Shelves", 2), 3u);
  EXPECT_FALSE(alive(last));
  EXPECT_EQ(status_of(supervisor, 2), "undefined");
  EXPECT_EQ(number_of(2), 0);
  EXPECT_EQ(PartitionSupervisor::resize("Shelves", 2), 2u);
  EXPECT_EQ(PartitionSupervisor::resize("Shelves", 3), 2u);
  EXPECT_EQ(number_of(2), 2);
  EXPECT_EQ(cause([] { PartitionSupervisor::resize("Shelves", 4); }), "badarg"_atom);
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_018_a_partition_that_does_not_start_again_is_an_error) {
  static_cast<void>(PartitionSupervisor::start_link(
      {.name = "Shelves", .child_spec = child(1, Script{{"ok", "fail"}}), .partitions = 1}));
  PartitionSupervisor::resize("Shelves", 0);
  EXPECT_THROW(PartitionSupervisor::resize("Shelves", 1), Exit);
  EXPECT_EQ(PartitionSupervisor::partitions("Shelves"), 0u);
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_019_resizes_take_turns) {
  const Pid supervisor = shelves(4);
  std::vector<Reference> ends;
  for (const std::size_t size : {1, 4, 2, 3}) {
    ends.push_back(spawn_monitor([size] { PartitionSupervisor::resize("Shelves", size); }).second);
  }
  for (const Reference& reference : ends) EXPECT_EQ(end_of(reference), ExitReason::normal());
  EXPECT_EQ(PartitionSupervisor::count_children(supervisor).active, PartitionSupervisor::partitions("Shelves"));
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_020_without_partitions_no_key_has_one) {
  shelves(2);
  PartitionSupervisor::resize("Shelves", 0);
  EXPECT_EQ(cause([] { number_of(1); }), "badarg"_atom);
}

BEHAVIOUR_TEST(PartitionSupervisor, PS_022_as_a_child_its_id_is_its_name) {
  const ChildSpec spec = child<PartitionSupervisor>({.name = "Pools", .child_spec = child<DynamicSupervisor>()});
  EXPECT_EQ(spec.id(), Term(Atom("Pools")));
  EXPECT_EQ(spec.type(), ChildType::supervisor);
  start({spec});
  const auto pool = PartitionSupervisor::via<DynamicSupervisor>("Pools", self());
  EXPECT_TRUE(DynamicSupervisor::start_child(pool, idle(1)).is_ok());
  EXPECT_EQ(DynamicSupervisor::count_children(pool).active, 1u);
}

// A via module for one name.
struct OneName final : ViaModule {
  Pid holder;
  bool register_name(const Term&, const Pid& pid) override { return holder = pid, true; }
  void unregister_name(const Term&) override { holder = {}; }
  Pid whereis_name(const Term&) override { return holder; }
};

BEHAVIOUR_TEST(PartitionSupervisor, PS_001_the_name_may_be_a_via_name) {
  static auto* module = new OneName();
  module->holder = {};
  const ServerName name(*module, "shelves");
  static_cast<void>(PartitionSupervisor::start_link({.name = name, .child_spec = child<Shelf>(7), .partitions = 1}));
  EXPECT_EQ(PartitionSupervisor::via<Shelf>(name, 1).call(Shelf::Which{}), 7);
  PartitionSupervisor::stop(name);
}

}  // namespace
