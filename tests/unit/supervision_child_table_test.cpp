// SPDX-License-Identifier: Apache-2.0
//
// ChildTable against a map, with numbers that collide.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>

#include "base/random.hpp"
#include "supervision/child_table.hpp"

namespace {

using coppice::otp::ChildTable;
using coppice::otp::SharedSpec;

void expect_same(ChildTable& table, const std::map<std::uint64_t, SharedSpec*>& expected) {
  ASSERT_EQ(table.size(), expected.size());
  for (const auto& [number, spec] : expected) {
    const ChildTable::Entry* entry = table.find(number);
    ASSERT_NE(entry, nullptr) << number;
    EXPECT_EQ(entry->spec, spec);
  }
  std::size_t visited = 0;
  table.for_each([&](const ChildTable::Entry& entry) {
    ++visited;
    EXPECT_TRUE(expected.contains(entry.number));
  });
  EXPECT_EQ(visited, expected.size());
}

TEST(ChildTableTest, an_empty_one_finds_nothing) {
  ChildTable table;
  EXPECT_EQ(table.find(1), nullptr);
  EXPECT_EQ(table.size(), 0u);
}

TEST(ChildTableTest, finds_what_a_map_finds_after_any_insertions_and_erasures) {
  SharedSpec specs[3];
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    coppice::base::Xoshiro256 random(seed);
    ChildTable table;
    std::map<std::uint64_t, SharedSpec*> expected;
    for (int step = 0; step < 2000; ++step) {
      const std::uint64_t number = 1 + random.below(seed % 2 == 0 ? 40 : 400);
      if (ChildTable::Entry* entry = table.find(number)) {
        table.erase(entry);
        EXPECT_EQ(expected.erase(number), 1u);
      } else {
        SharedSpec* spec = &specs[number % 3];
        table.insert(number, spec);
        expected.emplace(number, spec);
      }
      EXPECT_EQ(table.find(number) != nullptr, expected.contains(number));
      if (step % 100 == 0) expect_same(table, expected);
    }
    expect_same(table, expected);
  }
}

// With many children the table is most of what a supervisor keeps of each.
TEST(ChildTableTest, a_large_one_is_never_half_empty) {
  constexpr std::size_t large = 512;
  SharedSpec spec;
  ChildTable table;
  coppice::base::Xoshiro256 random(7);
  std::map<std::uint64_t, SharedSpec*> expected;
  while (expected.size() < 20'000) {
    const std::uint64_t number = random.next() | 1;
    if (!expected.emplace(number, &spec).second) continue;
    table.insert(number, &spec);
    EXPECT_LT(table.size(), table.places());
    if (table.size() > large) {
      EXPECT_GE(table.size() * 100, table.places() * 64) << table.size();
    }
  }
  expect_same(table, expected);
}

}  // namespace
