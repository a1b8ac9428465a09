// SPDX-License-Identifier: Apache-2.0
#include "runtime/process_table.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <thread>
#include <vector>

#include "runtime/live_count.hpp"

namespace coppice::runtime {
namespace {

constexpr std::size_t large = 1'000'000;

std::uint64_t number_of(const Process& process) { return process.serial.load(); }

void end(ProcessTable& table, Process& process, std::uint32_t worker) {
  process.head.store(head::tag_of(number_of(process)) | head::dead);
  table.free(process, worker);
}

TEST(ProcessTable, a_small_table_gives_every_slot_out_whoever_has_freed_it) {
  ProcessTable table(3, 2);
  std::vector<Process*> all;
  for (const std::uint32_t worker : {0u, 1u, ProcessTable::no_worker}) all.push_back(table.allocate(worker));
  for (const Process* process : all) ASSERT_NE(process, nullptr);
  EXPECT_EQ(table.allocate(0), nullptr);
  end(table, *all[1], 1);
  EXPECT_EQ(table.allocate(0), all[1]);
  EXPECT_EQ(table.allocate(1), nullptr);
}

TEST(ProcessTable, a_large_table_holds_what_it_promises_whoever_allocates) {
  constexpr std::size_t promised = 70'000;
  ProcessTable table(promised, 2);
  Process* first = table.allocate(0);  // takes a whole magazine
  ASSERT_NE(first, nullptr);
  for (std::size_t i = 1; i < promised; ++i) ASSERT_NE(table.allocate(1), nullptr) << i;
}

TEST(ProcessTable, a_freed_slot_rests_while_the_others_are_used) {
  ProcessTable table(large, 1);
  Process* once = table.allocate(0);
  end(table, *once, 0);
  for (int i = 0; i < 1000; ++i) {
    Process* other = table.allocate(0);
    ASSERT_NE(other, once) << i;
    end(table, *other, 0);
  }
}

TEST(ProcessTable, the_next_tenant_of_a_slot_has_another_number_and_finds_nothing_of_the_last) {
  ProcessTable table(1, 1);
  Process* process = table.allocate(0);
  const std::uint64_t number = number_of(*process);
  table.sight(*process).name.store("gone");
  table.sight(*process).callee.store(7);
  table.badge(*process).kind.store("gone");
  end(table, *process, 0);
  EXPECT_EQ(number_of(*process), 0u);
  EXPECT_EQ(table.allocate(0), process);
  EXPECT_NE(number_of(*process), number);
  EXPECT_EQ(table.sight(*process).name.load(), nullptr);
  EXPECT_EQ(table.sight(*process).callee.load(), 0u);
  EXPECT_EQ(table.badge(*process).kind.load(), nullptr);
}

TEST(ProcessTable, only_the_living_are_listed) {
  ProcessTable table(large, 1);
  Process* lives = table.allocate(0);
  Process* died = table.allocate(ProcessTable::no_worker);
  end(table, *died, 0);
  EXPECT_EQ(table.numbers(), std::vector<std::uint64_t>{number_of(*lives)});
}

TEST(ProcessTable, threads_that_allocate_and_free_side_by_side_never_share_a_slot) {
  ProcessTable table(large, 2);
  std::array<std::vector<std::uint64_t>, 3> taken;
  const auto work = [&](std::uint32_t worker, std::vector<std::uint64_t>& numbers) {
    std::vector<Process*> held;
    for (int round = 0; round < 200; ++round) {
      for (int i = 0; i < 70; ++i) {
        held.push_back(table.allocate(worker));
        numbers.push_back(number_of(*held.back()));
      }
      for (int i = 0; i < 70; ++i) {
        end(table, *held.back(), worker);
        held.pop_back();
      }
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back(work, 0u, std::ref(taken[0]));
  threads.emplace_back(work, 1u, std::ref(taken[1]));
  threads.emplace_back(work, ProcessTable::no_worker, std::ref(taken[2]));
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint64_t> all;
  for (const auto& numbers : taken) all.insert(numbers.begin(), numbers.end());
  EXPECT_EQ(all.size(), 3u * 200 * 70);
  EXPECT_TRUE(table.numbers().empty());
}

TEST(LiveCount, what_begins_on_one_thread_may_end_on_another) {
  LiveCount count(2);
  count.begins(0);
  count.begins(2);
  EXPECT_EQ(count.alive(), 2u);
  count.ends(1);
  EXPECT_EQ(count.alive(), 1u);
  count.ends(0);
  EXPECT_EQ(count.alive(), 0u);
}

}  // namespace
}  // namespace coppice::runtime
