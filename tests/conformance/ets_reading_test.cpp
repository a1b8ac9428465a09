// SPDX-License-Identifier: Apache-2.0
//
// Reading, selecting and walking tables (ET-036 to ET-066).
#include "conformance/ets_support.hpp"

#include <algorithm>

namespace conformance::tables {
namespace {

const auto all_of_them = [](int, int) { return true; };
const auto is_even = [](int key, int) { return key % 2 == 0; };

Numbers filled(Type type, int count) {
  const Numbers table = Numbers::create({.type = type, .access = Access::public_});
  for (int key = count; key > 0; --key) table.insert(key, key * 10);
  return table;
}

std::vector<int> walk(const Numbers& table) {
  std::vector<int> keys;
  for (auto key = table.first(); key; key = table.next(*key)) keys.push_back(*key);
  return keys;
}

BEHAVIOUR_TEST(Ets, ET_036_objects_of_one_key_come_in_order_of_insertion) {
  const Numbers bag = Numbers::create({.type = Type::bag});
  for (const int value : {3, 1, 2, 3}) bag.insert(1, value);  // an equal one does not move
  EXPECT_EQ(bag.lookup_all(1), pairs({{1, 3}, {1, 1}, {1, 2}}));
  EXPECT_EQ(bag.lookup(1), 3);
  EXPECT_TRUE(bag.lookup_all(9).empty());
}

BEHAVIOUR_TEST(Ets, ET_037_lookup_element_gives_the_field_or_badarg_or_the_given) {
  const Users table = Users::create();
  table.insert("ann", {"Ann", 3});
  EXPECT_EQ(table.lookup_element("ann", &User::visits), 3);
  EXPECT_EQ(table.lookup_element("ann").name, "Ann");
  EXPECT_EQ(table.lookup_element("bob", &User::visits, -1), -1);
  EXPECT_TRUE(is_badarg([&] { (void)table.lookup_element("bob", &User::visits); }));
}

BEHAVIOUR_TEST(Ets, ET_038_member) {
  const Numbers table = filled(Type::set, 1);
  EXPECT_TRUE(table.member(1));
  EXPECT_FALSE(table.member(2));
}

BEHAVIOUR_TEST(Ets, ET_039_a_walk_visits_every_key_once) {
  const Numbers ordered = filled(Type::ordered_set, 5);
  EXPECT_EQ(walk(ordered), (std::vector<int>{1, 2, 3, 4, 5}));
  EXPECT_EQ(ordered.last(), 5);
  EXPECT_EQ(ordered.prev(5), 4);
  EXPECT_FALSE(ordered.prev(1));
  const Numbers set = filled(Type::set, 50);
  std::vector<int> keys = walk(set);
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(keys.size(), 50u);
  EXPECT_EQ(std::unique(keys.begin(), keys.end()), keys.end());
  EXPECT_EQ(set.last(), set.first());
  EXPECT_EQ(set.prev(*set.first()), set.next(*set.first()));
  const Numbers bag = Numbers::create({.type = Type::bag});
  bag.insert(pairs({{1, 1}, {1, 2}, {2, 1}}));
  EXPECT_EQ(walk(bag).size(), 2u);
  EXPECT_FALSE(Numbers::create().first());
}

BEHAVIOUR_TEST(Ets, ET_040_next_to_a_key_that_is_not_there) {
  const Numbers ordered = filled(Type::ordered_set, 3);
  ordered.remove(2);
  EXPECT_EQ(ordered.next(2), 3);
  EXPECT_EQ(ordered.prev(2), 1);
  const Numbers set = filled(Type::set, 3);
  EXPECT_TRUE(is_badarg([&] { (void)set.next(99); }));
  set.safe_fixtable(true);
  (void)set.next(99);
}

BEHAVIOUR_TEST(Ets, ET_041_fold_goes_over_every_object_up_or_down) {
  const Numbers table = filled(Type::ordered_set, 4);
  const auto append = [](int key, int, std::string text) { return text + std::to_string(key); };
  EXPECT_EQ(table.fold(std::string(), append), "1234");
  EXPECT_EQ(table.foldr(std::string(), append), "4321");
  EXPECT_EQ(filled(Type::set, 300).fold(0, [](int, int, int n) { return n + 1; }), 300);
}

BEHAVIOUR_TEST(Ets, ET_042_to_vector_gives_all_objects) {
  EXPECT_EQ(filled(Type::ordered_set, 2).to_vector(), pairs({{1, 10}, {2, 20}}));
}

BEHAVIOUR_TEST(Ets, ET_046_ET_055_select_gives_the_objects_in_key_order) {
  EXPECT_EQ(filled(Type::ordered_set, 5).select(is_even), pairs({{2, 20}, {4, 40}}));
}

BEHAVIOUR_TEST(Ets, ET_045_ET_047_select_projects) {
  const auto values = filled(Type::ordered_set, 4).select(is_even, [](int key, int value) { return key + value; });
  EXPECT_EQ(values, (std::vector<int>{22, 44}));
}

BEHAVIOUR_TEST(Ets, ET_050_what_a_predicate_throws_goes_to_the_caller_and_nothing_is_deleted) {
  const Numbers table = filled(Type::ordered_set, 3);
  const auto fails = [](int key, int) { return key < 3 ? true : throw std::runtime_error("no"); };
  EXPECT_THROW((void)table.select(fails), std::runtime_error);
  EXPECT_THROW((void)table.select_delete(fails), std::runtime_error);
  EXPECT_EQ(table.size(), 3u);
}

BEHAVIOUR_TEST(Ets, ET_051_select_count_and_select_delete) {
  const Numbers table = filled(Type::set, 300);
  EXPECT_EQ(table.select_count(is_even), 150u);
  EXPECT_EQ(table.select_delete(is_even), 150u);
  EXPECT_EQ(table.select_count(is_even), 0u);
  EXPECT_EQ(table.size(), 150u);
}

BEHAVIOUR_TEST(Ets, ET_052_select_replace_replaces_values_and_counts) {
  const Numbers table = filled(Type::ordered_set, 4);
  const auto halve = [](int key, int value) { return key > 2 ? std::optional<int>(value / 2) : std::nullopt; };
  EXPECT_EQ(table.select_replace(halve), 2u);
  EXPECT_EQ(table.to_vector(), pairs({{1, 10}, {2, 20}, {3, 15}, {4, 20}}));
  const Numbers bag = filled(Type::bag, 4);
  EXPECT_TRUE(is_badarg([&] { (void)bag.select_replace(halve); }));
}

BEHAVIOUR_TEST(Ets, ET_053_select_with_a_limit_goes_on) {
  const Numbers table = filled(Type::ordered_set, 7);
  std::vector<std::vector<int>> parts;
  for (auto part = table.select(all_of_them, ets::Limit{3}); part; part = table.select(*part)) {
    parts.push_back(keys_of(part->objects));
  }
  EXPECT_EQ(parts, (std::vector<std::vector<int>>{{1, 2, 3}, {4, 5, 6}, {7}}));
  EXPECT_FALSE(Numbers::create().select(all_of_them, ets::Limit{3}));
  EXPECT_TRUE(is_badarg([&] { (void)table.select(all_of_them, ets::Limit{0}); }));
}

BEHAVIOUR_TEST(Ets, ET_054_select_reverse_goes_down) {
  EXPECT_EQ(keys_of(filled(Type::ordered_set, 4).select_reverse(is_even)), (std::vector<int>{4, 2}));
}

BEHAVIOUR_TEST(Ets, ET_058_every_object_is_seen_whole) {
  const Users table = Users::create({.access = Access::public_});
  table.insert("ann", {"0", 0});
  const auto [writer, gone] = spawn_monitor([table] {
    for (int i = 1; i <= 30; ++i) table.insert("ann", {std::to_string(i), i});
  });
  for (int i = 0; i < 30; ++i) {
    const User seen = table.lookup("ann").value();
    EXPECT_EQ(seen.name, std::to_string(seen.visits));
    checkpoint();
  }
  await_down(gone);
}

BEHAVIOUR_TEST(Ets, ET_059_take_is_taken_by_one_only) {
  const Numbers table = filled(Type::set, 10);
  std::vector<Reference> ends;
  for (int i = 0; i < 3; ++i) {
    ends.push_back(spawn_monitor([table, test = self()] {
                     for (int key = 1; key <= 10; ++key) {
                       for (const auto& object : table.take(key)) send(test, object.key);
                     }
                   }).second);
  }
  for (const Reference& end : ends) await_down(end);
  int sum = 0;
  while (const auto key = receive<int>(0s)) sum += *key;
  EXPECT_EQ(sum, 55);
}

// ET-060, ET-061, ET-063: objects that are there all the time are visited once, whatever else comes and goes.
void visit_while_others_write(Type type) {
  const Numbers table = filled(type, 200);
  const auto [writer, gone] = spawn_monitor([table] {
    for (int i = 0; i < 100; ++i) {
      table.insert(1000 + i, 0);
      table.remove(2 * i + 1);      // the odd ones go
      table.insert(2 * i + 2, -1);  // the even ones are replaced
    }
  });
  std::vector<int> seen;
  table.for_each([&](int key, int) {
    if (key <= 200 && key % 2 == 0) seen.push_back(key);
    if (key % 16 == 0) yield();
  });
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
  await_down(gone);
}
BEHAVIOUR_TEST(Ets, ET_060_a_pass_over_a_set_sees_what_stays_once) { visit_while_others_write(Type::set); }
BEHAVIOUR_TEST(Ets, ET_061_a_pass_over_an_ordered_set_sees_what_stays_once) {
  visit_while_others_write(Type::ordered_set);
}
BEHAVIOUR_TEST(Ets, ET_063_a_pass_over_a_bag_sees_what_stays_and_may_see_what_comes) {
  const Numbers table = filled(Type::duplicate_bag, 20);
  int seen = 0;
  table.for_each([&](int key, int) {
    if (key <= 20) ++seen;
    if (key <= 20) table.insert(100 + key, 0);
  });
  EXPECT_EQ(seen, 20);
}

BEHAVIOUR_TEST(Ets, ET_062_a_fixed_table_is_walked_while_keys_go) {
  const Numbers table = filled(Type::set, 50);
  table.safe_fixtable(true);
  table.safe_fixtable(true);
  table.safe_fixtable(false);
  EXPECT_TRUE(table.info()->fixed);  // counted
  std::vector<int> seen;
  for (auto key = table.first(); key; key = table.next(*key)) {
    seen.push_back(*key);
    table.remove(*key);
  }
  EXPECT_EQ(seen.size(), 50u);
  table.safe_fixtable(false);
  EXPECT_FALSE(table.info()->fixed);
  elsewhere([table] { table.safe_fixtable(true); });
  EXPECT_FALSE(table.info()->fixed);  // released by the end of the process
}

BEHAVIOUR_TEST(Ets, ET_064_without_fixing_a_walk_from_a_removed_key_is_badarg) {
  const Numbers table = filled(Type::set, 3);
  const int key = table.first().value();
  table.remove(key);
  EXPECT_TRUE(is_badarg([&] { (void)table.next(key); }));
}

BEHAVIOUR_TEST(Ets, ET_065_a_read_after_a_write_has_returned_sees_it) {
  const Numbers table = Numbers::create({.access = Access::public_});
  elsewhere([table] { table.insert(1, 7); });
  EXPECT_EQ(table.lookup(1), 7);
}

BEHAVIOUR_TEST(Ets, ET_066_size_is_exact_when_nobody_writes) {
  const Numbers table = filled(Type::bag, 10);
  table.insert(1, 1);
  table.remove(2);
  EXPECT_EQ(table.size(), 10u);
}

BEHAVIOUR_TEST(Ets, many_objects_come_and_go_and_every_one_is_found) {
  for (const Type type : {Type::set, Type::ordered_set}) {
    const Numbers table = filled(type, 400);
    for (int key = 1; key <= 400; ++key) EXPECT_EQ(table.lookup(key), key * 10);
    for (int key = 1; key <= 400; key += 3) table.remove(key);
    for (int key = 1; key <= 400; ++key) EXPECT_EQ(table.member(key), key % 3 != 1) << key;
    for (int key = 1; key <= 400; ++key) table.remove(key);
    EXPECT_EQ(table.size(), 0u);
    EXPECT_FALSE(table.first());
  }
}

}  // namespace
}  // namespace conformance::tables
