// SPDX-License-Identifier: Apache-2.0
//
// Tables: types, access, names, info, owners and heirs (ET-001 to ET-021).
#include "conformance/ets_support.hpp"

#include <algorithm>

namespace conformance::tables {
namespace {

BEHAVIOUR_TEST(Ets, ET_001_a_new_table_is_a_protected_set_without_heir_unless_asked) {
  const Numbers table = Numbers::create({.label = "plain"});
  const ets::Info info = table.info().value();
  EXPECT_EQ(info.name, "plain");
  EXPECT_FALSE(info.named_table);
  EXPECT_EQ(info.type, Type::set);
  EXPECT_EQ(info.protection, Access::protected_);
  EXPECT_FALSE(info.heir);
  EXPECT_EQ(info.owner, self());
  EXPECT_TRUE(Numbers::create({.name = numbers}).info()->named_table);
}

BEHAVIOUR_TEST(Ets, ET_002_a_set_has_one_object_a_key_a_bag_many_a_duplicate_bag_equal_ones) {
  const auto count = [](Type type) {
    const Numbers table = Numbers::create({.type = type});
    for (const int value : {1, 2, 2}) table.insert(7, value);
    return table.lookup_all(7).size();
  };
  EXPECT_EQ(count(Type::set), 1u);
  EXPECT_EQ(count(Type::ordered_set), 1u);
  EXPECT_EQ(count(Type::bag), 2u);
  EXPECT_EQ(count(Type::duplicate_bag), 3u);
}

BEHAVIOUR_TEST(Ets, ET_003_a_set_tells_1_from_1_0) {
  using Terms = ets::Table<Term, int>;
  const Terms table = Terms::create();
  table.insert(Term(1), 1);
  table.insert(Term(1.0), 2);
  EXPECT_EQ(table.lookup(Term(1)), 1);
  EXPECT_EQ(table.lookup(Term(1.0)), 2);
}

BEHAVIOUR_TEST(Ets, ET_003_in_an_ordered_set_1_and_1_0_are_one_key) {
  using Terms = ets::Table<Term, int>;
  const Terms table = Terms::create({.type = Type::ordered_set});
  table.insert(Term(1), 1);
  table.insert(Term(1.0), 2);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.lookup(Term(1)), 2);
  EXPECT_EQ(table.first(), Term(1.0));
  table.insert(tuple(1, Term(Atom("b"))), 3);
  table.insert(tuple(1.0, Term(Atom("a"))), 4);
  EXPECT_EQ(table.last(), tuple(1, Term(Atom("b"))));
  EXPECT_EQ(table.prev(table.last().value()), tuple(1.0, Term(Atom("a"))));
  table.remove(Term(1));
  EXPECT_EQ(table.size(), 2u);
}

BEHAVIOUR_TEST(Ets, ET_004_an_ordered_set_of_terms_stands_in_the_order_of_terms) {
  using Terms = ets::Table<Term, int>;
  const Terms table = Terms::create({.type = Type::ordered_set});
  const std::vector<Term> sorted{Term(1), Term(Atom("a")), Term(self()), tuple(1), map({}), list(1), Term("b")};
  for (auto term = sorted.rbegin(); term != sorted.rend(); ++term) table.insert(*term, 0);
  std::vector<Term> keys;
  table.for_each([&](const Term& key, int) { keys.push_back(key); });
  EXPECT_EQ(keys, sorted);
}

BEHAVIOUR_TEST(Ets, ET_005_access_says_who_may_read_and_write) {
  const Numbers open = Numbers::create({.access = Access::public_});
  const Numbers guarded = Numbers::create();
  const Numbers closed = Numbers::create({.access = Access::private_});
  for (const auto& table : {open, guarded, closed}) table.insert(1, 1);
  elsewhere([=] {
    EXPECT_EQ(open.lookup(1), 1);
    open.insert(2, 2);
    EXPECT_EQ(guarded.lookup(1), 1);
    EXPECT_TRUE(is_badarg([&] { guarded.insert(2, 2); }));
    EXPECT_TRUE(is_badarg([&] { (void)closed.lookup(1); }));
    EXPECT_TRUE(is_badarg([&] { closed.insert(2, 2); }));
    EXPECT_TRUE(is_badarg([&] { guarded.update_counter(1, 1); }));
    EXPECT_TRUE(is_badarg([&] { guarded.select_delete([](int, int) { return false; }); }));
  });
  EXPECT_EQ(open.lookup(2), 2);
  EXPECT_EQ(closed.lookup(1), 1);
}

BEHAVIOUR_TEST(Ets, ET_006_anybody_may_ask_about_a_private_table) {
  const Numbers closed = Numbers::create({.access = Access::private_});
  elsewhere([=] { EXPECT_EQ(closed.info()->protection, Access::private_); });
}

BEHAVIOUR_TEST(Ets, ET_007_a_name_in_use_is_badarg_a_label_may_be_shared) {
  const Numbers table = Numbers::create({.name = numbers});
  EXPECT_TRUE(is_badarg([] { (void)Numbers::create({.name = numbers}); }));
  const Numbers one = Numbers::create({.label = "same"});
  const Numbers other = Numbers::create({.label = "same"});
  one.insert(1, 1);
  EXPECT_EQ(other.size(), 0u);
}

BEHAVIOUR_TEST(Ets, ET_009_a_looked_up_value_is_a_copy) {
  const Users table = Users::create();
  table.insert("ann", {"Ann", 1});
  table.lookup("ann")->visits = 9;
  EXPECT_EQ(table.lookup("ann")->visits, 1);
}

BEHAVIOUR_TEST(Ets, ET_010_a_table_outlives_every_address_of_it) {
  (void)Numbers::create({.name = numbers, .access = Access::public_});
  numbers.insert(1, 1);
  EXPECT_EQ(numbers.lookup(1), 1);
}

BEHAVIOUR_TEST(Ets, ET_011_a_deleted_table_is_gone_for_everybody) {
  const Numbers table = Numbers::create({.name = numbers});
  table.insert(1, 1);
  elsewhere([=] { EXPECT_TRUE(is_badarg([&] { table.destroy(); })); });
  table.destroy();
  EXPECT_FALSE(table.info());
  EXPECT_FALSE(numbers.info());
  EXPECT_TRUE(is_badarg([&] { (void)table.lookup(1); }));
  EXPECT_TRUE(is_badarg([&] { table.insert(1, 1); }));
  EXPECT_TRUE(is_badarg([&] { (void)numbers.lookup(1); }));
  EXPECT_TRUE(is_badarg([&] { table.destroy(); }));
  const Numbers open = Numbers::create({.access = Access::public_});
  elsewhere([=] { open.destroy(); });
  EXPECT_FALSE(open.info());
}

BEHAVIOUR_TEST(Ets, ET_012_a_renamed_table_has_only_its_new_name) {
  const Numbers table = Numbers::create({.name = numbers});
  const Numbers other = Numbers::create({.name = Numbers::Name("other")});
  table.rename(Numbers::Name("renamed"));
  EXPECT_FALSE(numbers.whereis());
  EXPECT_EQ(Numbers::Name("renamed").whereis(), table);
  EXPECT_EQ(table.info()->name, "renamed");
  EXPECT_TRUE(is_badarg([&] { table.rename(Numbers::Name("other")); }));
  EXPECT_TRUE(is_badarg([] { Numbers::create().rename(numbers); }));
}

BEHAVIOUR_TEST(Ets, ET_013_an_address_found_by_name_does_not_follow_a_later_table) {
  EXPECT_FALSE(numbers.whereis());
  (void)Numbers::create({.name = numbers});
  const Numbers first = numbers.whereis().value();
  first.destroy();
  (void)Numbers::create({.name = numbers});
  EXPECT_NE(numbers.whereis().value(), first);
  EXPECT_TRUE(is_badarg([&] { (void)first.size(); }));
}

BEHAVIOUR_TEST(Ets, ET_013_a_name_whose_table_holds_other_types_is_badarg) {
  (void)Numbers::create({.name = numbers});
  EXPECT_TRUE(is_badarg([] { (void)Words::Name("numbers").lookup("x"); }));
  EXPECT_TRUE(is_badarg([] { (void)Words::Name("numbers").whereis(); }));
}

BEHAVIOUR_TEST(Ets, ET_014_info_tells_what_a_table_is) {
  const Pid heir = spawn_idle();
  const Users table =
      Users::create({.name = users, .type = Type::bag, .access = Access::public_, .heir = ets::Heir{heir}});
  const std::size_t empty = table.info()->memory;
  table.insert("ann", {"Ann", 1});
  table.safe_fixtable(true);
  const ets::Info info = users.info().value();
  EXPECT_EQ(info.name, "users");
  EXPECT_EQ(info.type, Type::bag);
  EXPECT_EQ(info.protection, Access::public_);
  EXPECT_EQ(info.owner, self());
  EXPECT_EQ(info.heir, heir);
  EXPECT_EQ(info.size, 1u);
  EXPECT_GT(info.memory, empty);
  EXPECT_TRUE(info.fixed);
  finish(heir);
}

BEHAVIOUR_TEST(Ets, ET_015_all_lists_the_tables) {
  EXPECT_TRUE(ets::all().empty());
  (void)Numbers::create({.name = numbers});
  (void)Words::create({.label = "other"});
  std::vector<std::string> names;
  for (const ets::Info& info : ets::all()) names.push_back(info.name);
  EXPECT_EQ(names, (std::vector<std::string>{"numbers", "other"}));
}

BEHAVIOUR_TEST(Ets, ET_017_a_table_is_deleted_before_its_owners_death_is_announced) {
  const Pid owner = spawn_owner([] { return Numbers::create({.name = numbers}); });
  const Numbers table = numbers.whereis().value();
  const Reference gone = monitor(owner);
  exit(owner, ExitReason::kill());
  await_down(gone);
  EXPECT_FALSE(table.info());
  EXPECT_TRUE(is_badarg([&] { (void)table.lookup(1); }));
  (void)Numbers::create({.name = numbers});  // the name is free
}

BEHAVIOUR_TEST(Ets, ET_017_values_are_destroyed_with_their_table) {
  using Shared = ets::Table<int, std::shared_ptr<const int>>;
  const auto value = std::make_shared<const int>(1);
  const Pid owner = spawn_owner([value] {
    const Shared table = Shared::create();
    table.insert(1, value);
    return table;
  });
  send(owner, End{});
  await_end(owner);
  EXPECT_EQ(value.use_count(), 1);
}

BEHAVIOUR_TEST(Ets, ET_018_the_heir_becomes_owner_and_is_told) {
  const Pid owner = spawn_owner([test = self()] {
    const Numbers table = Numbers::create({.name = numbers, .heir = ets::Heir{test, Term("data")}});
    table.insert(1, 1);
    return table;
  });
  const Reference gone = monitor(owner);
  send(owner, End{});
  await_down(gone);
  EXPECT_EQ(numbers.info()->owner, self());  // before the death was announced
  const auto transfer = receive<Numbers::Transfer>();
  EXPECT_EQ(transfer.from, owner);
  EXPECT_EQ(transfer.data, Term("data"));
  EXPECT_EQ(transfer.table, numbers.whereis());
  transfer.table.insert(2, 2);
  EXPECT_EQ(numbers.lookup(1), 1);
  EXPECT_EQ(numbers.info()->heir, self());  // the setting stays
}

BEHAVIOUR_TEST(Ets, ET_019_with_a_dead_heir_the_table_is_deleted_and_a_remote_one_is_badarg) {
  const Pid owner =
      spawn_owner([heir = dead_pid()] { return Numbers::create({.name = numbers, .heir = ets::Heir{heir}}); });
  send(owner, End{});
  await_end(owner);
  EXPECT_FALSE(numbers.info());
  EXPECT_TRUE(is_badarg([] { (void)Numbers::create({.heir = ets::Heir{remote_pid()}}); }));
}

BEHAVIOUR_TEST(Ets, ET_019_an_heir_that_dies_with_the_owner_inherits_or_not_but_nothing_is_left) {
  const Pid heir = spawn_idle();
  const Pid owner = spawn_owner([heir] { return Numbers::create({.name = numbers, .heir = ets::Heir{heir}}); });
  exit(owner, ExitReason::kill());
  exit(heir, ExitReason::kill());
  await_end(owner);
  await_end(heir);
  EXPECT_FALSE(numbers.info());
}

BEHAVIOUR_TEST(Ets, ET_020_a_table_is_given_to_a_live_process_by_its_owner_only) {
  const Pid taker = spawn([test = self()] {
    const auto transfer = receive<Numbers::Transfer>();
    EXPECT_EQ(transfer.from, test);
    EXPECT_EQ(transfer.data, Term(5));
    transfer.table.insert(1, 1);
    send(test, Made{});
    receive<End>();
  });
  const Numbers table = Numbers::create({.name = numbers, .heir = ets::Heir{self()}});
  EXPECT_TRUE(is_badarg([&] { table.give_away(self()); }));
  EXPECT_TRUE(is_badarg([&] { table.give_away(dead_pid()); }));
  EXPECT_TRUE(is_badarg([&] { table.give_away(remote_pid()); }));
  table.give_away(taker, Term(5));
  EXPECT_TRUE(is_badarg([&] { table.insert(2, 2); }));  // the right is gone at once
  EXPECT_TRUE(is_badarg([&] { table.give_away(taker); }));
  receive<Made>();
  EXPECT_EQ(table.lookup(1), 1);
  EXPECT_EQ(table.info()->owner, taker);
  EXPECT_EQ(table.info()->heir, self());
  send(taker, End{});
  EXPECT_EQ(receive<Numbers::Transfer>().from, taker);
}

BEHAVIOUR_TEST(Ets, ET_020_a_table_given_to_a_dying_process_is_refused_or_goes_with_it) {
  const Pid taker = spawn_idle();
  const Numbers table = Numbers::create({.name = numbers});
  exit(taker, ExitReason::kill());
  const bool refused = is_badarg([&] { table.give_away(taker); });
  await_end(taker);
  EXPECT_EQ(numbers.info().has_value(), refused);
}

BEHAVIOUR_TEST(Ets, ET_021_the_owner_changes_the_heir) {
  const Pid owner = spawn_owner([test = self()] {
    const Numbers table = Numbers::create({.name = numbers});
    table.set_heir(ets::Heir{test, Term(1)});
    return table;
  });
  EXPECT_TRUE(is_badarg([] { numbers.set_heir({}); }));
  send(owner, End{});
  EXPECT_EQ(receive<Numbers::Transfer>().data, Term(1));
  numbers.set_heir({});
  EXPECT_FALSE(numbers.info()->heir);
}

}  // namespace
}  // namespace conformance::tables
