// SPDX-License-Identifier: Apache-2.0
#include "runtime/process_table.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <random>
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

// -- giving back

// As an idle worker does it.
void sort_all(ProcessTable& table, std::uint32_t worker) {
  table.watch_spare();
  while (table.sort_spare(worker, 100)) {
  }
}

std::vector<Process*> allocate_many(ProcessTable& table, std::size_t count, std::uint32_t worker) {
  std::vector<Process*> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(table.allocate(worker));
  return all;
}

// In an order that has nothing to do with that of their slots.
void end_many(ProcessTable& table, std::vector<Process*> all, std::uint32_t worker) {
  std::shuffle(all.begin(), all.end(), std::minstd_rand(5));
  for (Process* process : all) end(table, *process, worker);
}

// How many pages of that stretch of the lines take memory.
std::size_t resident_pages(Process* first, std::size_t count) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(first) + page - 1) / page * page;
  std::vector<unsigned char> pages(count * sizeof(Process) / page);
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(begin), pages.size() * page, pages.data()), 0);
  return static_cast<std::size_t>(std::ranges::count_if(pages, [](unsigned char byte) { return (byte & 1) != 0; }));
}

constexpr std::size_t burst = 50'000;

TEST(ProcessTable, the_memory_of_free_slots_goes_back_and_serves_again) {
  for (const std::size_t size : {std::size_t{60'000}, large}) {
    ProcessTable table(size, 2);
    const std::vector<Process*> all = allocate_many(table, burst, 0);
    EXPECT_FALSE(table.to_spare(1));
    end_many(table, all, 0);
    EXPECT_TRUE(table.to_spare(0));
    EXPECT_GT(resident_pages(all.front(), burst), burst / 65);
    EXPECT_EQ(table.given_back(), 0u);
    sort_all(table, 0);
    EXPECT_FALSE(table.to_spare(0));
    EXPECT_GT(table.given_back(), burst * 95 / 100);
    EXPECT_LT(resident_pages(all.front(), burst), burst / 65 / 20);
    EXPECT_TRUE(table.numbers().empty());
    EXPECT_EQ(allocate_many(table, burst, 0).size(), burst);
    EXPECT_EQ(table.given_back(), 0u);
    EXPECT_EQ(table.numbers().size(), burst);
  }
}

TEST(ProcessTable, a_chunk_with_a_living_process_keeps_its_memory) {
  ProcessTable table(large, 1);
  std::vector<Process*> all = allocate_many(table, burst, 0);
  Process* lives = all[burst / 2];
  const std::uint64_t number = number_of(*lives);
  all.erase(all.begin() + burst / 2);
  end_many(table, all, 0);
  sort_all(table, 0);
  EXPECT_GT(table.given_back(), burst * 9 / 10);
  EXPECT_EQ(number_of(*lives), number);
  EXPECT_EQ(table.numbers(), std::vector<std::uint64_t>{number});
  // And when it has gone, too, that goes back as well: with the slots that were sorted before.
  const std::size_t before = table.given_back();
  end(table, *lives, 0);
  EXPECT_TRUE(table.to_spare(0));
  sort_all(table, 0);
  EXPECT_GT(table.given_back(), before);
}

TEST(ProcessTable, no_number_comes_again_though_the_slots_were_given_back_in_between) {
  ProcessTable table(large, 1);
  std::set<std::uint64_t> numbers;
  std::size_t births = 0;
  const auto live = [&](std::size_t count) {
    const std::vector<Process*> all = allocate_many(table, count, 0);
    for (const Process* process : all) numbers.insert(number_of(*process));
    births += count;
    end_many(table, all, 0);
  };
  for (int round = 0; round < 4; ++round) {
    live(burst / 2);
    for (int i = 0; i < 20; ++i) live(700);  // so that the slots of a chunk were not used equally often
    sort_all(table, 0);
    EXPECT_GT(table.given_back(), burst / 4);
  }
  EXPECT_EQ(numbers.size(), births);
}

TEST(ProcessTable, a_slot_given_back_goes_on_with_its_next_tag) {
  ProcessTable table(large, 1);
  const std::vector<Process*> all = allocate_many(table, burst, 0);
  for (std::size_t i = 0; i < burst; ++i) {  // as if it had been used some thousand times: each its own
    all[i]->serial.store((2 + i % 60'000) << Pid::slot_bits | (number_of(*all[i]) & 0xff'ffff));
  }
  std::map<Process*, std::uint64_t> uses;
  for (Process* process : all) uses[process] = number_of(*process) >> Pid::slot_bits;
  end_many(table, all, 0);
  sort_all(table, 0);
  EXPECT_GT(table.given_back(), burst / 2);
  for (std::size_t i = 0; i < burst; ++i) {
    Process* process = table.allocate(0);
    ASSERT_EQ(number_of(*process) >> Pid::slot_bits, uses[process] + 1);
  }
}

TEST(ProcessTable, a_chunk_whose_slots_were_used_too_differently_stays) {
  ProcessTable table(large, 1);
  const std::vector<Process*> all = allocate_many(table, burst, 0);
  for (std::size_t i = 0; i < burst; i += 300) {
    all[i]->serial.store(std::uint64_t{70'000} << Pid::slot_bits | (number_of(*all[i]) & 0xff'ffff));
  }
  end_many(table, all, 0);
  sort_all(table, 0);
  EXPECT_EQ(table.given_back(), 0u);
}

TEST(ProcessTable, no_tenant_has_the_tag_that_a_page_given_back_reads_as) {
  ProcessTable table(1, 1);
  Process* process = table.allocate(0);
  process->serial.store(std::uint64_t{0xffff} << Pid::slot_bits | (number_of(*process) & 0xff'ffff));
  end(table, *process, 0);
  EXPECT_EQ(table.allocate(0), process);
  EXPECT_EQ(number_of(*process) >> Pid::slot_bits, 0x1'0001u);
  EXPECT_NE(process->head.load(), 0u);
}

TEST(ProcessTable, the_last_free_slot_is_found_also_among_those_given_back) {
  constexpr std::size_t promised = 20'000;
  ProcessTable table(promised, 2);
  end_many(table, allocate_many(table, promised, 0), 1);
  sort_all(table, 0);
  EXPECT_GT(table.given_back(), promised / 2);
  for (std::size_t i = 0; i < promised; ++i) ASSERT_NE(table.allocate(1), nullptr) << i;
  EXPECT_EQ(table.allocate(1), nullptr);
}

TEST(ProcessTable, a_pid_of_a_slot_that_is_given_back_beside_finds_nobody) {
  ProcessTable table(large, 2);
  std::vector<Process*> all = allocate_many(table, burst, 0);
  Process* process = all[burst / 2];
  const std::uint64_t number = number_of(*process);
  std::atomic<bool> ended{false};
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::thread looks([&] {
    while (!stop.load()) {
      const bool was = ended.load();
      std::uint64_t word = 0;
      const bool there = head::look(*process, number, word);
      if (there && (was || (word & head::tag_bits) != head::tag_of(number))) ++wrong;
      word = head::tag_of(number);  // as it was when it ran: who saw that, and comes now
      if (process->head.compare_exchange_strong(word, word) && was) ++wrong;
    }
  });
  end_many(table, all, 0);
  ended.store(true);
  for (int round = 0; round < 20; ++round) {
    sort_all(table, 0);
    end_many(table, allocate_many(table, burst, 0), 0);
  }
  stop.store(true);
  looks.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(ProcessTable, nobody_finds_a_slot_that_is_not_open_yet) {
  ProcessTable table(100, 1);
  std::uint64_t number = 0;
  Process* process = table.allocate_closed(0, number);
  ASSERT_NE(process, nullptr);
  std::uint64_t word = 0;
  EXPECT_FALSE(head::look(*process, number, word));
  EXPECT_TRUE(table.numbers().empty());
  head::open(*process, number, head::waiting);
  EXPECT_TRUE(head::look(*process, number, word));
  EXPECT_EQ(word, head::tag_of(number) | head::waiting);
  EXPECT_EQ(table.numbers(), std::vector<std::uint64_t>{number});
}

TEST(LineageSource, gives_more_than_it_has_counted_in_advance) {
  constexpr std::uint32_t births = 70'000;
  auto made = std::make_unique<Lineage>();
  const Lineage* lineage = made.get();
  LineageSource source;
  EXPECT_TRUE(source == nullptr);
  source.make(std::move(made));
  std::vector<SharedLineage> given;
  for (std::uint32_t i = 0; i < births; ++i) given.push_back(source.give());
  EXPECT_EQ(given.back().operator->(), lineage);
  source.reset();
  EXPECT_TRUE(source == nullptr);
  EXPECT_EQ(lineage->references.load(), births);
  given.resize(1);
  EXPECT_EQ(lineage->references.load(), 1u);
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
