// SPDX-License-Identifier: Apache-2.0
//
// Starting registries, registering, leaving (RG-001 to RG-025).
#include "conformance/registry_support.hpp"

namespace conformance::registries {
namespace {

BEHAVIOUR_TEST(Registry, RG_001_name_and_keys_are_options_with_partitions_listeners_and_meta) {
  register_name(self(), "listener");
  const Running registry({.name = users,
                          .keys = Keys::duplicate,
                          .partitions = 3,
                          .listeners = {"listener"},
                          .meta = {{Term(Atom("a")), Term(1)}}});
  EXPECT_EQ(users.get_meta(Term(Atom("a"))), Term(1));
  EXPECT_EQ(Supervisor::count_children(registry.pid()).active, 3u);
  users.register_key("x", 1);
  EXPECT_EQ(receive<Users::Registered>().key, "x");
}

BEHAVIOUR_TEST(Registry, RG_002_a_wrong_option_is_badarg) {
  EXPECT_TRUE(is_badarg([] { (void)Users::start_link({}); }));
  EXPECT_TRUE(is_badarg([] { (void)Users::start_link({.name = users, .partitions = 0}); }));
  EXPECT_TRUE(is_badarg([] { (void)Users::start_link({.name = users, .meta = {{Term(1), Term(1)}}}); }));
}

BEHAVIOUR_TEST(Registry, RG_003_it_is_a_supervisor_with_a_child_for_each_partition) {
  const Running registry({.name = users, .partitions = 2});
  EXPECT_EQ(whereis("Users"), registry.pid());
  EXPECT_EQ(Supervisor::which_children("Users").size(), 2u);
}

BEHAVIOUR_TEST(Registry, RG_004_a_name_in_use_is_already_started) {
  const Running registry({.name = users});
  users.register_key("x", 1);
  const auto second = Users::start_link({.name = users});
  EXPECT_EQ(second.reason().term(), tuple(Atom("already_started"), registry.pid()));
  EXPECT_EQ(users.count(), 1u);  // the first is as it was
}

BEHAVIOUR_TEST(Registry, RG_005_its_child_specification_is_a_supervisor_of_its_name) {
  const ChildSpec spec = child<Users>({.name = users});
  EXPECT_EQ(spec.id(), Term(Atom("Users")));
  EXPECT_EQ(spec.type(), ChildType::supervisor);
  trap_exit(true);
  const auto tree = Supervisor::start_link({spec}).value();
  users.register_key("x", 1);
  EXPECT_EQ(users.count(), 1u);
  tree.stop();
}

BEHAVIOUR_TEST(Registry, RG_006_an_unknown_registry_is_badarg) {
  EXPECT_TRUE(is_badarg([] { users.register_key("x", 1); }));
  EXPECT_TRUE(is_badarg([] { (void)users.lookup("x"); }));
  EXPECT_TRUE(is_badarg([] { (void)users.count(); }));
  EXPECT_TRUE(is_badarg([] { (void)Held::start_link_as({.name = via<Held>(users, "x")}); }));
  Running registry({.name = users});
  registry.stop();
  EXPECT_TRUE(is_badarg([] { (void)users.lookup("x"); }));
}

BEHAVIOUR_TEST(Registry, a_registry_of_other_types_under_the_name_is_badarg) {
  const Running registry({.name = users});
  EXPECT_TRUE(is_badarg([] { (void)Registry<int>::Name("Users").lookup(1); }));
}

BEHAVIOUR_TEST(Registry, RG_007_keys_are_compared_exactly) {
  using Terms = Registry<Term>;
  static constexpr Terms::Name terms{"Terms"};
  trap_exit(true);
  const auto registry = Terms::start_link({.name = terms}).value();
  terms.register_key(Term(1));
  terms.register_key(Term(1.0));
  terms.register_key(Term(Atom("_")));
  EXPECT_EQ(terms.count(), 3u);
  EXPECT_EQ(terms.lookup(Term(1)).size(), 1u);
  EXPECT_TRUE(terms.lookup(map({})).empty());
  registry.stop();
}

BEHAVIOUR_TEST(Registry, RG_008_RG_009_registering_gives_the_partitions_process_and_links_to_it) {
  const Running registry({.name = users});
  const Pid partition = users.register_key("x", 7).value();
  EXPECT_EQ(partition, Supervisor::which_children("Users").front().pid);
  EXPECT_TRUE(links_to(partition));
  EXPECT_EQ(users.lookup("x"), (std::vector<Entry>{{self(), 7}}));
}

BEHAVIOUR_TEST(Registry, RG_010_a_unique_key_is_refused_to_a_second_and_leaves_nothing_behind) {
  const Running registry({.name = users});
  const Pid first = spawn_registered([] { users.register_key("x", 1); });
  EXPECT_EQ(users.register_key("x", 2).reason().term(), tuple(Atom("already_registered"), first));
  EXPECT_TRUE(users.keys(self()).empty());
  EXPECT_FALSE(links_to(Supervisor::which_children("Users").front().pid));
  users.register_key("y", 1);
  EXPECT_EQ(users.register_key("y", 2).reason().term(), tuple(Atom("already_registered"), self()));
  EXPECT_TRUE(links_to(Supervisor::which_children("Users").front().pid));
  finish(first);
}

BEHAVIOUR_TEST(Registry, RG_011_the_key_of_a_killed_process_can_be_taken_at_once) {
  const Running registry({.name = users, .partitions = 2});
  const Pid first = spawn_registered([] { users.register_key("x", 1); });
  exit(first, ExitReason::kill());
  EXPECT_TRUE(users.register_key("x", 2));
  await_end(first);
  EXPECT_EQ(users.lookup("x"), (std::vector<Entry>{{self(), 2}}));
}

BEHAVIOUR_TEST(Registry, RG_012_of_many_at_once_exactly_one_gets_the_key) {
  const Running registry({.name = users, .partitions = 2});
  std::vector<Reference> ends;
  for (int i = 0; i < 6; ++i) {
    ends.push_back(spawn_monitor([i, test = self()] {
                     if (users.register_key("x", i)) {
                       send(test, i);
                       sleep_for(1h);
                     }
                   }).second);
  }
  for (int i = 0; i < 5; ++i) receive<Down>();
  const int winner = receive<int>();
  const std::vector<Entry> entries = users.lookup("x");
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries.front().value, winner);
  EXPECT_FALSE(receive<int>(0s));
  exit(entries.front().pid, ExitReason::kill());
  receive<Down>();
}

BEHAVIOUR_TEST(Registry, RG_013_duplicate_keys_are_registered_any_number_of_times) {
  const Running registry({.name = topics, .keys = Keys::duplicate, .partitions = 2});
  for (const int value : {1, 2, 2}) EXPECT_TRUE(topics.register_key("x", value));
  const Pid other = spawn_registered([] { topics.register_key("x", 3); });
  EXPECT_EQ(values_of(topics.lookup("x")), (std::vector<int>{1, 2, 2, 3}));
  finish(other);
}

BEHAVIOUR_TEST(Registry, RG_014_the_caller_is_what_is_registered) {
  const Running registry({.name = users});
  users.register_key("x", 1);
  EXPECT_EQ(users.pid("x"), self());
}

BEHAVIOUR_TEST(Registry, RG_015_RG_018_listeners_hear_of_registering_and_unregistering) {
  register_name(self(), "listener");
  const Running registry({.name = users, .listeners = {"listener"}});
  users.register_key("x", 7);
  const auto registered = receive<Users::Registered>();
  EXPECT_EQ(registered.registry, "Users");
  EXPECT_EQ(registered.key, "x");
  EXPECT_EQ(registered.pid, self());
  EXPECT_EQ(registered.value, 7);
  (void)users.register_key("x", 8);
  EXPECT_FALSE(receive<Users::Registered>(0s));  // refused
  users.unregister("x");
  EXPECT_EQ(receive<Users::Unregistered>().key, "x");
  users.unregister("never");
  EXPECT_EQ(receive<Users::Unregistered>().key, "never");
}

BEHAVIOUR_TEST(Registry, RG_016_a_listener_that_is_not_there_is_badarg_after_the_entry_was_made) {
  const Running registry({.name = users, .listeners = {"nobody"}});
  EXPECT_TRUE(is_badarg([] { users.register_key("x", 1); }));
  EXPECT_EQ(users.pid("x"), self());
}

BEHAVIOUR_TEST(Registry, RG_017_unregistering_takes_the_callers_entries_of_the_key_only) {
  const Running registry({.name = topics, .keys = Keys::duplicate});
  const Pid other = spawn_registered([] { topics.register_key("x", 9); });
  for (const int value : {1, 2}) topics.register_key("x", value);
  topics.register_key("y", 3);
  topics.unregister("x");
  topics.unregister("x");
  EXPECT_EQ(topics.lookup("x"), (std::vector<Entry>{{other, 9}}));
  EXPECT_EQ(values_of(topics.lookup("y")), (std::vector<int>{3}));
  finish(other);
}

BEHAVIOUR_TEST(Registry, RG_019_unregister_match_takes_what_matches_and_tells_if_nothing_is_left) {
  register_name(self(), "listener");
  const Running registry({.name = topics, .keys = Keys::duplicate, .listeners = {"listener"}});
  for (const int value : {1, 2, 3}) topics.register_key("x", value);
  topics.unregister_match("x", [](int value) { return value < 3; });
  EXPECT_EQ(values_of(topics.lookup("x")), (std::vector<int>{3}));
  EXPECT_FALSE(receive<Users::Unregistered>(0s));
  topics.unregister_match("x", [](int) { return true; });
  EXPECT_TRUE(receive<Users::Unregistered>(0s));
}

BEHAVIOUR_TEST(Registry, RG_020_the_link_goes_with_the_last_entry) {
  for (const Keys keys : {Keys::unique, Keys::duplicate, Keys::duplicate_by_key}) {
    const Running registry({.name = users, .keys = keys});
    const Pid partition = users.register_key("x", 1).value();
    users.register_key("y", 1);
    users.unregister("x");
    EXPECT_TRUE(links_to(partition));
    users.unregister("y");
    EXPECT_FALSE(links_to(partition));
  }
}

BEHAVIOUR_TEST(Registry, RG_021_RG_023_entries_leave_with_their_process_before_its_death_is_announced) {
  const Running registry({.name = topics, .keys = Keys::duplicate, .partitions = 3});
  const Pid other = spawn_registered([] {
    for (const char* key : {"x", "x", "y"}) topics.register_key(key, 1);
  });
  EXPECT_EQ(topics.count(), 3u);
  finish(other);
  EXPECT_EQ(topics.count(), 0u);
  EXPECT_TRUE(topics.lookup("x").empty());
  EXPECT_TRUE(topics.keys(other).empty());
  EXPECT_TRUE(topics.values("x", other).empty());
}

BEHAVIOUR_TEST(Registry, RG_022_listeners_are_not_told_of_a_death) {
  register_name(self(), "listener");
  const Running registry({.name = users, .listeners = {"listener"}});
  finish(spawn_registered([] { users.register_key("x", 1); }));
  receive<Users::Registered>();
  EXPECT_FALSE(receive<Users::Unregistered>(0s));
}

BEHAVIOUR_TEST(Registry, RG_024_the_end_of_a_partition_ends_who_is_registered_in_it) {
  const Running registry({.name = users});
  const Pid plain = spawn_registered([] { users.register_key("x", 1); });
  const Reference gone = monitor(plain);
  const Pid partition = users.register_key("y", 1).value();
  exit(partition, ExitReason::kill());
  EXPECT_EQ(await_reason(gone), ExitReason(Atom("killed")));
  const auto message = receive<ExitMessage>();
  EXPECT_EQ(message.pid, partition);
  EXPECT_EQ(message.reason, ExitReason(Atom("killed")));
  while (true) {  // until the partition has been started again
    try {
      EXPECT_TRUE(users.keys(self()).empty());
      users.register_key("y", 2);
      break;
    } catch (const Exit&) {
      yield();
    }
  }
  EXPECT_EQ(users.lookup("y").front().value, 2);
  EXPECT_TRUE(users.lookup("x").empty());
}

BEHAVIOUR_TEST(Registry, RG_025_with_unique_keys_all_partitions_start_anew_else_only_the_one) {
  for (const Keys keys : {Keys::unique, Keys::duplicate}) {
    const Running registry({.name = users, .keys = keys, .partitions = 2});
    const auto pids = [] {
      std::vector<Pid> found;
      for (const ChildInfo& info : Supervisor::which_children("Users")) found.push_back(info.pid);
      return found;
    };
    const std::vector<Pid> before = pids();
    const Reference gone = monitor(before[0]);
    exit(before[0], ExitReason::kill());
    await_down(gone);
    std::vector<Pid> after = pids();
    while (after[0] == before[0] || !after[0]) after = pids();
    EXPECT_EQ(after[1] == before[1], keys == Keys::duplicate);
    EXPECT_EQ(users.count(), 0u);
  }
}

}  // namespace
}  // namespace conformance::registries
