// SPDX-License-Identifier: Apache-2.0
//
// How a parent counts the lineage that its children share: by plain stores, as long as they come back to it.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/process.hpp"

namespace coppice::runtime {
namespace {

constexpr std::size_t in_advance = 0xffff;

struct LineageSourceTest : ::testing::Test {
  LineageSourceTest() { source.make(std::make_unique<Lineage>()); }
  [[nodiscard]] std::uint32_t references() const { return source->references.load(); }
  LineageSource source;
};

TEST_F(LineageSourceTest, what_comes_back_is_given_again_without_being_counted) {
  for (std::size_t i = 0; i < 3 * in_advance; ++i) {
    SharedLineage given = source.give();
    EXPECT_FALSE(given == nullptr);
    source.take_back(given);
    EXPECT_TRUE(given == nullptr);
  }
  EXPECT_EQ(references(), 1 + in_advance);
}

TEST_F(LineageSourceTest, what_does_not_come_back_counts_for_itself) {
  { const SharedLineage gone = source.give(); }
  EXPECT_EQ(references(), in_advance);
}

TEST_F(LineageSourceTest, another_ones_is_not_taken) {
  LineageSource other;
  other.make(std::make_unique<Lineage>());
  SharedLineage given = other.give();
  source.take_back(given);
  EXPECT_FALSE(given == nullptr);
  SharedLineage none;
  source.take_back(none);
  EXPECT_TRUE(none == nullptr);
  LineageSource empty;
  empty.take_back(given);
  EXPECT_FALSE(given == nullptr);
}

// More were counted in advance than its word has room for: what is too much counts for itself.
TEST_F(LineageSourceTest, no_more_are_taken_back_than_can_be_noted) {
  std::vector<SharedLineage> all;
  for (std::size_t i = 0; i <= in_advance; ++i) all.push_back(source.give());
  EXPECT_EQ(references(), 1 + 2 * in_advance);
  std::size_t refused = 0;
  for (SharedLineage& given : all) {
    source.take_back(given);
    if (!(given == nullptr)) ++refused;
  }
  EXPECT_EQ(refused, in_advance);  // one was taken: all but one of the second lot were left already
  all.clear();
  EXPECT_EQ(references(), 1 + in_advance);
}

}  // namespace
}  // namespace coppice::runtime
