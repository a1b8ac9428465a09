// SPDX-License-Identifier: Apache-2.0
//
// Writing to tables (ET-022 to ET-034).
#include "conformance/ets_support.hpp"

#include <limits>

namespace conformance::tables {
namespace {

struct Stats {
  int hits = 0;
  int misses = 0;
  friend bool operator==(const Stats&, const Stats&) = default;
};
using StatsTable = ets::Table<std::string, Stats>;

// A value whose copy fails on request.
struct Fragile {
  int number = 0;
  bool breaks = false;
  Fragile() = default;
  Fragile(int n, bool b) : number(n), breaks(b) {}
  Fragile(const Fragile& other) : number(other.number), breaks(other.breaks) {
    if (breaks) throw std::runtime_error("fragile");
  }
  Fragile& operator=(const Fragile&) = default;
};

BEHAVIOUR_TEST(Ets, ET_022_insert_replaces_in_sets_and_adds_in_bags) {
  for (const Type type : {Type::set, Type::ordered_set}) {
    const Numbers table = Numbers::create({.type = type});
    table.insert(1, 1);
    table.insert(1, 2);
    EXPECT_EQ(table.to_vector(), pairs({{1, 2}}));
  }
  const Numbers bag = Numbers::create({.type = Type::bag});
  for (const int value : {1, 2, 1}) bag.insert(1, value);
  EXPECT_EQ(bag.lookup_all(1), pairs({{1, 1}, {1, 2}}));
}

BEHAVIOUR_TEST(Ets, ET_023_ET_059_nobody_sees_a_part_of_an_insert_of_many) {
  const Numbers table = Numbers::create({.access = Access::public_});
  table.insert(pairs({{1, 0}, {2, 0}, {3, 0}}));
  const auto [writer, gone] = spawn_monitor([table] {
    for (int round = 1; round <= 20; ++round) table.insert(pairs({{1, round}, {2, round}, {3, round}}));
  });
  for (int round = 0; round < 20; ++round) {
    const auto all = table.to_vector();
    EXPECT_EQ(all.at(0).value, all.at(1).value);
    EXPECT_EQ(all.at(0).value, all.at(2).value);
    const int first = table.lookup(3).value();
    EXPECT_GE(table.lookup(1).value(), first);
    checkpoint();
  }
  await_down(gone);
}

// Three keys are written together, always with a stamp that was not used before. So while one of them has the same stamp
// before and after, the others have it too.
BEHAVIOUR_TEST(Ets, ET_059_nobody_sees_a_part_of_an_insert_new_of_many_or_of_a_clear) {
  for (const Type type : {Type::set, Type::ordered_set}) {
    const Numbers table = Numbers::create({.type = type, .access = Access::public_});
    std::vector<Reference> ends;
    for (int writer = 1; writer <= 2; ++writer) {
      ends.push_back(spawn_monitor([table, writer] {
                       for (int round = 0; round < 20; ++round) {
                         const int stamp = writer * 1000 + round;
                         if (!table.insert_new(pairs({{1, stamp}, {2, stamp}, {3, stamp}}))) table.clear();
                         checkpoint();
                       }
                     }).second);
    }
    for (int round = 0; round < 40; ++round) {
      const std::optional<int> before = table.lookup(3);
      const std::optional<int> first = table.lookup(1);
      const std::optional<int> second = table.lookup(2);
      if (before && table.lookup(3) == before) {
        EXPECT_EQ(first, before);
        EXPECT_EQ(second, before);
      }
      checkpoint();
    }
    for (const Reference& end : ends) await_down(end);
    EXPECT_TRUE(table.size() == 0 || table.size() == 3) << table.size();
  }
}

BEHAVIOUR_TEST(Ets, ET_059_nobody_sees_a_part_of_an_update_of_several_fields) {
  const StatsTable table = StatsTable::create({.access = Access::public_});
  table.insert("a", {0, 0});
  std::vector<Reference> ends;
  for (int writer = 0; writer < 2; ++writer) {
    ends.push_back(spawn_monitor([table] {
                     for (int round = 0; round < 20; ++round) {
                       const std::vector<int> both =
                           table.update_counter("a", {ets::CounterOp<Stats, int>{&Stats::hits, 1},
                                                      ets::CounterOp<Stats, int>{&Stats::misses, 1}});
                       EXPECT_EQ(both.at(0), both.at(1));
                       checkpoint();
                     }
                   }).second);
  }
  for (int round = 0; round < 20; ++round) {
    const Stats seen = table.lookup("a").value();
    EXPECT_EQ(seen.hits, seen.misses);
    checkpoint();
  }
  for (const Reference& end : ends) await_down(end);
  EXPECT_EQ(table.lookup("a"), (Stats{40, 40}));  // none of them was lost
  const auto [writer, gone] = spawn_monitor([table] {
    for (int round = 1; round <= 20; ++round) {
      EXPECT_TRUE(table.update_element("a", &Stats::hits, round, &Stats::misses, round));
      checkpoint();
    }
  });
  for (int round = 0; round < 20; ++round) {
    const Stats seen = table.lookup("a").value();
    EXPECT_EQ(seen.hits, seen.misses);
    checkpoint();
  }
  await_down(gone);
}

BEHAVIOUR_TEST(Ets, ET_059_nobody_sees_a_part_of_the_objects_of_a_key_go) {
  const Numbers bag = Numbers::create({.type = Type::bag, .access = Access::public_});
  const auto [writer, gone] = spawn_monitor([bag] {
    for (int round = 0; round < 20; ++round) {
      bag.insert(pairs({{1, 1}, {1, 2}, {1, 3}}));
      checkpoint();
      if (round % 2 == 0) {
        bag.remove(1);
      } else {
        EXPECT_EQ(bag.take(1).size(), 3u);
      }
      checkpoint();
    }
  });
  for (int round = 0; round < 40; ++round) {
    const std::size_t seen = bag.lookup_all(1).size();
    EXPECT_TRUE(seen == 0 || seen == 3) << seen;
    checkpoint();
  }
  await_down(gone);
}

BEHAVIOUR_TEST(Ets, ET_023_an_insert_that_fails_inserts_nothing) {
  using Table = ets::Table<int, Fragile>;
  const Table table = Table::create();
  std::vector<Table::Object> objects;
  objects.reserve(2);
  objects.push_back({1, {1, false}});
  objects.push_back({2, {2, false}});
  objects[1].value.breaks = true;
  EXPECT_THROW(table.insert(std::move(objects)), std::runtime_error);
  EXPECT_EQ(table.size(), 0u);
}

BEHAVIOUR_TEST(Ets, ET_024_of_several_objects_with_one_key_the_last_stays) {
  const Numbers table = Numbers::create();
  table.insert(pairs({{1, 1}, {1, 2}, {1, 3}}));
  EXPECT_EQ(table.to_vector(), pairs({{1, 3}}));
}

BEHAVIOUR_TEST(Ets, ET_025_an_empty_list_inserts_nothing) {
  const Numbers table = Numbers::create();
  table.insert(pairs({}));
  EXPECT_TRUE(table.insert_new(pairs({})));
  EXPECT_EQ(table.size(), 0u);
}

BEHAVIOUR_TEST(Ets, ET_026_insert_new_is_all_or_nothing) {
  const Numbers table = Numbers::create();
  EXPECT_TRUE(table.insert_new(1, 1));
  EXPECT_FALSE(table.insert_new(1, 2));
  EXPECT_EQ(table.lookup(1), 1);
  EXPECT_FALSE(table.insert_new(pairs({{2, 2}, {1, 2}})));
  EXPECT_FALSE(table.member(2));
  EXPECT_TRUE(table.insert_new(pairs({{3, 1}, {3, 2}})));  // repeated within the list: no conflict
  EXPECT_EQ(table.lookup(3), 2);
  const Numbers bag = Numbers::create({.type = Type::duplicate_bag});
  EXPECT_TRUE(bag.insert_new(1, 1));
  EXPECT_FALSE(bag.insert_new(1, 2));
}

BEHAVIOUR_TEST(Ets, ET_026_of_many_that_insert_new_one_wins) {
  const Numbers table = Numbers::create({.access = Access::public_});
  std::vector<Reference> ends;
  for (int i = 0; i < 5; ++i) {
    ends.push_back(spawn_monitor([table, i, test = self()] {
                     if (table.insert_new(1, i)) send(test, i);
                   }).second);
  }
  for (const Reference& end : ends) await_down(end);
  EXPECT_EQ(receive<int>(), table.lookup(1));
  EXPECT_FALSE(receive<int>(0s));
}

BEHAVIOUR_TEST(Ets, ET_027_removing_succeeds_whether_or_not_something_was_there) {
  const Numbers bag = Numbers::create({.type = Type::duplicate_bag});
  bag.insert(pairs({{1, 1}, {1, 1}, {1, 2}, {2, 1}}));
  bag.remove(9);
  bag.remove_object(1, 9);
  bag.remove_object(1, 1);  // all equal ones
  EXPECT_EQ(bag.lookup_all(1), pairs({{1, 2}}));
  bag.remove(1);
  EXPECT_EQ(bag.to_vector(), pairs({{2, 1}}));
  bag.clear();
  bag.clear();
  EXPECT_EQ(bag.size(), 0u);
}

BEHAVIOUR_TEST(Ets, ET_027_clear_is_atomic) {
  const Numbers table = Numbers::create({.access = Access::public_});
  const auto [writer, gone] = spawn_monitor([table] {
    for (int round = 0; round < 10; ++round) {
      table.insert(pairs({{1, 1}, {2, 2}}));
      table.clear();
    }
  });
  for (int round = 0; round < 10; ++round) {
    const std::size_t size = table.to_vector().size();
    EXPECT_TRUE(size == 0 || size == 2) << size;
    checkpoint();
  }
  await_down(gone);
}

BEHAVIOUR_TEST(Ets, ET_028_take_removes_and_returns) {
  const Numbers bag = Numbers::create({.type = Type::bag});
  bag.insert(pairs({{1, 1}, {1, 2}}));
  EXPECT_EQ(bag.take(1), pairs({{1, 1}, {1, 2}}));
  EXPECT_TRUE(bag.take(1).empty());
}

BEHAVIOUR_TEST(Ets, ET_029_update_element_tells_whether_the_key_was_there) {
  const Users table = Users::create();
  table.insert("ann", {"Ann", 1});
  EXPECT_TRUE(table.update_element("ann", &User::name, std::string("Anna")));
  EXPECT_TRUE(table.update_element("ann", &User::visits, 5, &User::name, std::string("A")));
  EXPECT_EQ(table.lookup("ann"), (User{"A", 5}));
  EXPECT_TRUE(table.update_element("ann", User{"B", 6}));
  EXPECT_EQ(table.lookup("ann"), (User{"B", 6}));
  EXPECT_FALSE(table.update_element("bob", &User::visits, 1));
  EXPECT_FALSE(table.member("bob"));
  EXPECT_TRUE(is_badarg([] { (void)Users::create({.type = Type::bag}).update_element("x", &User::visits, 1); }));
}

BEHAVIOUR_TEST(Ets, ET_030_counters_of_many_writers_lose_nothing) {
  const Numbers table = Numbers::create({.access = Access::public_});
  table.insert(1, 0);
  std::vector<Reference> ends;
  for (int i = 0; i < 4; ++i) {
    ends.push_back(spawn_monitor([table] {
                     for (int n = 0; n < 25; ++n) table.update_counter(1, 1);
                   }).second);
  }
  for (const Reference& end : ends) await_down(end);
  EXPECT_EQ(table.update_counter(1, 0), 100);
  EXPECT_TRUE(is_badarg([] { (void)Numbers::create({.type = Type::bag}).update_counter(1, 1); }));
}

BEHAVIOUR_TEST(Ets, ET_031_a_bare_increment_acts_on_the_value) {
  const Numbers table = Numbers::create();
  table.insert(1, 10);
  EXPECT_EQ(table.update_counter(1, -3), 7);
}

BEHAVIOUR_TEST(Ets, ET_032_beyond_the_threshold_the_counter_is_set) {
  const Numbers table = Numbers::create();
  table.insert(1, 8);
  EXPECT_EQ(table.update_counter(1, 2, 10, 0), 10);  // not beyond
  EXPECT_EQ(table.update_counter(1, 1, 10, 0), 0);
  EXPECT_EQ(table.update_counter(1, -1, 0, 9), 9);
  EXPECT_EQ(table.update_counter(1, -9, 0, 5), 0);
}

BEHAVIOUR_TEST(Ets, ET_033_several_steps_work_one_after_another_all_or_none) {
  const StatsTable table = StatsTable::create();
  table.insert("a", {1, 1});
  using Op = ets::CounterOp<Stats, int>;
  EXPECT_EQ(table.update_counter("a", {Op{&Stats::hits, 2}, Op{&Stats::hits, 3}, Op{&Stats::misses, 1}}),
            (std::vector<int>{3, 6, 2}));
  EXPECT_TRUE(is_badarg([&] {
    (void)table.update_counter("a", {Op{&Stats::hits, 1}, Op{&Stats::misses, std::numeric_limits<int>::max()}});
  }));
  EXPECT_EQ(table.lookup("a"), (Stats{6, 2}));
  EXPECT_TRUE(table.update_counter("a", std::initializer_list<Op>{}).empty());
}

BEHAVIOUR_TEST(Ets, ET_034_a_missing_key_is_badarg_unless_there_is_something_to_begin_with) {
  const Numbers table = Numbers::create();
  EXPECT_TRUE(is_badarg([&] { table.update_counter(1, 1); }));
  EXPECT_EQ(table.update_counter(1, 1, std::optional<int>(10)), 11);
  EXPECT_EQ(table.lookup(1), 11);
  const StatsTable stats = StatsTable::create();
  EXPECT_EQ(stats.update_counter("a", &Stats::misses, 1, Stats{5, 5}), 6);
  EXPECT_EQ(stats.lookup("a"), (Stats{5, 6}));
}

BEHAVIOUR_TEST(Ets, update_runs_anew_when_somebody_else_was_faster) {
  const Numbers table = Numbers::create({.access = Access::public_});
  table.insert(1, 0);
  int runs = 0;
  EXPECT_TRUE(table.update(1, [&](int value) {
    if (++runs == 1) table.insert(1, 100);
    return value + 1;
  }));
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(table.lookup(1), 101);
  EXPECT_FALSE(table.update(9, [](int value) { return value; }));
}

}  // namespace
}  // namespace conformance::tables
