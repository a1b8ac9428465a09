// SPDX-License-Identifier: Apache-2.0
#include "base/intrusive_table.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <vector>

namespace coppice::base {
namespace {

struct Item {
  explicit Item(std::uint64_t the_key) : key(the_key) {}
  std::uint64_t key;
  Item* next = nullptr;
};
std::uint64_t table_key(const Item& item) { return item.key; }
using Table = IntrusiveTable<Item, &Item::next>;

std::multiset<std::uint64_t> keys_of(const Table& table) {
  std::multiset<std::uint64_t> keys;
  table.for_each([&](const Item& item) { keys.insert(item.key); });
  return keys;
}

TEST(IntrusiveTable, what_is_inserted_is_found_until_it_is_taken) {
  Table table;
  Item one(1);
  EXPECT_EQ(table.find(1), nullptr);
  table.insert(one);
  EXPECT_EQ(table.find(1), &one);
  EXPECT_EQ(table.find(2), nullptr);
  EXPECT_EQ(table.take(2), nullptr);
  EXPECT_EQ(table.take(1), &one);
  EXPECT_EQ(table.take(1), nullptr);
  EXPECT_TRUE(table.empty());
}

TEST(IntrusiveTable, it_agrees_with_a_map_whatever_is_done_to_it) {
  std::uint64_t state = 7;
  const auto random = [&state] { return state = state * 6364136223846793005ULL + 1442695040888963407ULL, state >> 33; };
  Table table;
  std::deque<Item> items;
  std::map<std::uint64_t, Item*> expected;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t key = (random() % 300) << 24;  // as numbers of pids differ: in the high bits
    const auto found = expected.find(key);
    ASSERT_EQ(table.find(key), found == expected.end() ? nullptr : found->second);
    if (found == expected.end() && step % 4000 < 2500) {
      items.emplace_back(key);
      table.insert(items.back());
      expected.emplace(key, &items.back());
    } else if (found != expected.end()) {
      ASSERT_EQ(table.take(key), found->second);
      expected.erase(found);
    }
    ASSERT_EQ(table.size(), expected.size());
  }
}

TEST(IntrusiveTable, each_element_is_visited_and_drained_once) {
  for (const std::uint64_t count : {0u, 1u, 4u, 5u, 100u}) {
    Table table;
    std::deque<Item> items;
    std::multiset<std::uint64_t> all;
    for (std::uint64_t key = 1; key <= count; ++key) {
      table.insert(items.emplace_back(key));
      all.insert(key);
    }
    EXPECT_EQ(keys_of(table), all);
    std::multiset<std::uint64_t> drained;
    table.drain([&](Item& item) { drained.insert(item.key); });
    EXPECT_EQ(drained, all);
    EXPECT_TRUE(table.empty());
    Item again(3);
    table.insert(again);
    EXPECT_EQ(table.find(3), &again);
  }
}

}  // namespace
}  // namespace coppice::base
