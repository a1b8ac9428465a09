// SPDX-License-Identifier: Apache-2.0
#include "runtime/task_deque.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <vector>

using coppice::runtime::TaskDeque;

namespace {

std::array<std::uint64_t, TaskDeque::stolen_max> taken;

}  // namespace

TEST(TaskDeque, the_owner_takes_the_newest) {
  TaskDeque deque;
  EXPECT_EQ(deque.take_newest(), 0u);
  for (std::uint64_t number = 1; number <= 3; ++number) deque.add(number);
  EXPECT_EQ(deque.size(), 3u);
  EXPECT_EQ(deque.newest(), 3u);
  EXPECT_EQ(deque.oldest(), 1u);
  EXPECT_EQ(deque.take_newest(), 3u);
  deque.add(4);
  EXPECT_EQ(deque.take_newest(), 4u);
  EXPECT_EQ(deque.take_newest(), 2u);
  EXPECT_EQ(deque.take_newest(), 1u);
  EXPECT_EQ(deque.take_newest(), 0u);
  EXPECT_TRUE(deque.empty());
}

TEST(TaskDeque, the_oldest_can_be_taken_or_dropped_by_number) {
  TaskDeque deque;
  EXPECT_EQ(deque.take_oldest(), 0u);
  for (std::uint64_t number = 1; number <= 3; ++number) deque.add(number);
  deque.drop_oldest(2);
  EXPECT_EQ(deque.oldest(), 1u);
  deque.drop_oldest(1);
  EXPECT_EQ(deque.take_oldest(), 2u);
  EXPECT_EQ(deque.take_newest(), 3u);
  EXPECT_EQ(deque.take_oldest(), 0u);
}

TEST(TaskDeque, all_stale_ones_at_the_old_end_are_dropped_at_once) {
  TaskDeque deque;
  const auto is_small = [](std::uint64_t number) { return number < 3; };
  deque.drop_oldest_while(is_small);
  EXPECT_TRUE(deque.empty());
  for (const std::uint64_t number : {1u, 2u, 3u, 1u}) deque.add(number);
  deque.drop_oldest_while(is_small);
  EXPECT_EQ(deque.oldest(), 3u);
  EXPECT_EQ(deque.size(), 2u);
  deque.drop_oldest_while([](std::uint64_t) { return true; });
  EXPECT_TRUE(deque.empty());
}

TEST(TaskDeque, of_few_a_thief_gets_one_and_of_many_the_older_half) {
  TaskDeque deque;
  EXPECT_EQ(deque.steal(taken), 0u);
  for (std::uint64_t number = 1; number <= TaskDeque::few; ++number) deque.add(number);
  EXPECT_EQ(deque.steal(taken), 1u);
  EXPECT_EQ(taken[0], 1u);
  for (std::uint64_t number = TaskDeque::few + 1; number <= 201; ++number) deque.add(number);
  ASSERT_EQ(deque.steal(taken), 100u);
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(taken[i], i + 2);
  EXPECT_EQ(deque.steal(taken, 3), 3u);
  EXPECT_EQ(deque.oldest(), 105u);
}

TEST(TaskDeque, it_is_full_at_its_capacity_wherever_its_first_slot_is) {
  TaskDeque deque;
  for (int round = 0; round < 200; ++round) {  // further than the 16 bits of the first slot's number
    for (std::uint64_t number = 1; number <= TaskDeque::capacity; ++number) {
      ASSERT_FALSE(deque.full());
      deque.add(number);
    }
    ASSERT_TRUE(deque.full());
    for (std::uint64_t number = 1; number <= TaskDeque::capacity; ++number) ASSERT_EQ(deque.take_oldest(), number);
    ASSERT_TRUE(deque.empty());
  }
}

// What the deque promises to those who claim: no number is lost. (That one is found twice is allowed.)
TEST(TaskDeque, no_number_is_lost_between_an_owner_and_thieves) {
  constexpr std::uint64_t numbers = 300'000;
  constexpr int thieves = 2;
  const auto deque = std::make_unique<TaskDeque>();
  const auto found = std::make_unique<std::array<std::atomic<std::uint8_t>, numbers + 1>>();
  std::atomic<bool> done{false};
  const auto claim = [&](std::uint64_t number) { (*found)[number].store(1, std::memory_order_relaxed); };
  std::vector<std::thread> threads;
  for (int i = 0; i < thieves; ++i) {
    threads.emplace_back([&, i] {
      std::array<std::uint64_t, TaskDeque::stolen_max> mine;
      while (!done.load(std::memory_order_acquire)) {
        if (i == 0) {
          if (const std::uint64_t number = deque->take_oldest()) claim(number);
        } else {
          const std::uint32_t got = deque->steal(mine);
          for (std::uint32_t j = 0; j < got; ++j) claim(mine[j]);
        }
      }
    });
  }
  std::uint64_t next = 1;
  for (std::uint64_t step = 0; next <= numbers; ++step) {
    for (std::uint64_t i = 0; i < step % 7 && next <= numbers && !deque->full(); ++i) deque->add(next++);
    for (std::uint64_t i = 0; i < step % 5; ++i) {
      if (const std::uint64_t number = deque->take_newest()) claim(number);
    }
    if (deque->full()) claim(deque->take_newest());
  }
  while (const std::uint64_t number = deque->take_newest()) claim(number);
  done.store(true, std::memory_order_release);
  for (std::thread& thread : threads) thread.join();
  for (std::uint64_t number = 1; number <= numbers; ++number) {
    ASSERT_EQ((*found)[number].load(std::memory_order_relaxed), 1) << number;
  }
}
