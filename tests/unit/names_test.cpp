// SPDX-License-Identifier: Apache-2.0
#include "runtime/names.hpp"

#include <gtest/gtest.h>

using coppice::Pid;
using coppice::runtime::NameTable;

// All share one hash, so that only the text tells them apart.
TEST(NameTable, names_that_differ_in_one_place_are_different_names) {
  NameTable table(1);
  for (std::size_t length = 1; length <= 40; ++length) {
    const std::string name(length, 'a');
    ASSERT_TRUE(table.bind(name, Pid{length, 0, 1}));
    const std::uint64_t hash = coppice::detail::hash_text(name);
    EXPECT_EQ(table.whereis(name, hash).number, length);
    for (std::size_t place = 0; place < length; ++place) {
      std::string other = name;
      other[place] = 'b';
      EXPECT_FALSE(table.whereis(other, hash)) << other;
    }
    EXPECT_FALSE(table.whereis(name + "a", hash));
    EXPECT_FALSE(table.whereis(std::string_view(name).substr(1), hash));
  }
}

TEST(NameTable, a_name_that_was_freed_may_be_taken_again) {
  NameTable table(1);
  ASSERT_TRUE(table.bind("Counter", Pid{7, 0, 1}));
  Pid holder;
  EXPECT_FALSE(table.bind("Counter", Pid{8, 0, 1}, &holder));
  EXPECT_EQ(holder.number, 7u);
  EXPECT_FALSE(table.unbind("Counter", Pid{8, 0, 1}));
  EXPECT_TRUE(table.unbind("Counter", Pid{7, 0, 1}));
  EXPECT_FALSE(table.whereis("Counter"));
  EXPECT_TRUE(table.bind("Counter", Pid{8, 0, 1}));
  EXPECT_EQ(table.whereis("Counter").number, 8u);
}
