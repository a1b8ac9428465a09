// SPDX-License-Identifier: Apache-2.0
#include "platform/stack_pool.hpp"

#include <gtest/gtest.h>

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "platform/sanitizers.hpp"

namespace coppice::platform {
namespace {

constexpr bool sanitized = COPPICE_ASAN != 0 || COPPICE_TSAN != 0;

bool kernel_has_guard_install() { return StackPool{StackPoolOptions{}}.guard_kind() == GuardKind::guard_install; }

// Asks the kernel whether a page can be written to, without being hurt by the answer.
bool is_writable(std::byte* address) {
  int ends[2];
  if (::pipe(ends) != 0) return false;
  const bool sent = ::write(ends[1], "x", 1) == 1;
  const bool written = ::read(ends[0], address, 1) == 1;
  ::close(ends[0]);
  ::close(ends[1]);
  return sent && written;
}

TEST(StackPool, hands_out_a_stack_with_its_header_at_the_top) {
  StackPool pool{StackPoolOptions{}};
  Stack* stack = pool.acquire();
  ASSERT_NE(stack, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(stack) % 64, 0U);
  EXPECT_EQ(stack->low + stack->size, reinterpret_cast<std::byte*>(stack));
  EXPECT_GE(stack->size, std::size_t{256 - 64 - 1} * 1024);
  std::memset(stack->low, 1, stack->size);
  EXPECT_EQ(pool.in_use(), 1U);
  pool.release(stack);
  EXPECT_EQ(pool.in_use(), 0U);
}

TEST(StackPool, hands_out_last_what_came_back_first) {
  StackPool pool{StackPoolOptions{}};
  Stack* first = pool.acquire();
  Stack* second = pool.acquire();
  pool.release(first);
  pool.release(second);
  EXPECT_EQ(pool.acquire(), second);
  EXPECT_EQ(pool.acquire(), first);
  pool.release(first);
  pool.release(second);
}

TEST(StackPool, clears_what_belonged_to_the_last_holder_but_keeps_the_context) {
  StackPool pool{StackPoolOptions{}};
  Stack* stack = pool.acquire();
  stack->owner = &pool;
  stack->next = stack;
  stack->home = 3;
  stack->name = "Counter";
  stack->exceptions = {&pool, 2};
  stack->context.size = 77;
  pool.release(stack);
  ASSERT_EQ(pool.acquire(), stack);
  EXPECT_EQ(stack->owner, nullptr);
  EXPECT_EQ(stack->next, nullptr);
  EXPECT_EQ(stack->home, 0U);
  EXPECT_EQ(stack->name, nullptr);
  EXPECT_EQ(stack->exceptions.caught, nullptr);
  EXPECT_EQ(stack->exceptions.uncaught, 0U);
  EXPECT_EQ(stack->context.size, 77U);
  pool.release(stack);
}

TEST(StackPool, rounds_sizes_up_to_a_power_of_two_and_keeps_them_apart) {
  StackPool pool{StackPoolOptions{}};
  Stack* small = pool.acquire(1);
  Stack* big = pool.acquire(300 * 1024);
  Stack* huge = pool.acquire(std::size_t{200} << 20);  // more than a slab
  ASSERT_NE(small, nullptr);
  ASSERT_NE(big, nullptr);
  ASSERT_NE(huge, nullptr);
  EXPECT_GE(small->size, 15U * 1024);
  EXPECT_EQ(big->size_class, 19U);
  EXPECT_EQ(huge->size_class, 28U);
  huge->low[0] = std::byte{1};
  pool.release(big);
  Stack* usual = pool.acquire();
  EXPECT_NE(usual, big);
  EXPECT_EQ(pool.acquire(512 * 1024), big);
  for (Stack* stack : {small, big, huge, usual}) pool.release(stack);
}

TEST(StackPool, answers_null_when_it_is_exhausted_and_serves_again_after_a_release) {
  StackPoolOptions options;
  options.stacks_max = 3;
  StackPool pool{options};
  Stack* stacks[] = {pool.acquire(), pool.acquire(), pool.acquire()};
  EXPECT_EQ(pool.acquire(), nullptr);
  EXPECT_EQ(pool.in_use(), 3U);
  pool.release(stacks[1]);
  EXPECT_EQ(pool.acquire(), stacks[1]);
  for (Stack* stack : stacks) pool.release(stack);
}

TEST(StackPool, answers_null_for_a_size_that_the_system_does_not_have) {
  StackPool pool{StackPoolOptions{}};
  EXPECT_EQ(pool.acquire(std::size_t{1} << 47), nullptr);
  EXPECT_EQ(pool.acquire(~std::size_t{0}), nullptr);
  EXPECT_EQ(pool.in_use(), 0U);
}

TEST(StackPool, finds_the_stack_of_an_address) {
  StackPool pool{StackPoolOptions{}};
  Stack* first = pool.acquire();
  Stack* second = pool.acquire();
  bool in_guard = true;
  for (Stack* stack : {first, second}) {
    EXPECT_EQ(stack_of_address(stack->low, in_guard), stack);
    EXPECT_FALSE(in_guard);
    EXPECT_EQ(stack_of_address(stack, in_guard), stack);
    EXPECT_FALSE(in_guard);
    EXPECT_EQ(stack_of_address(stack->low - 1, in_guard), stack);
    EXPECT_TRUE(in_guard);
    EXPECT_EQ(stack_of_address(stack->low - 64 * 1024, in_guard), stack);
    EXPECT_TRUE(in_guard);
  }
  int local = 0;
  EXPECT_EQ(stack_of_address(&local, in_guard), nullptr);
  EXPECT_FALSE(in_guard);
  const void* low = first->low;
  pool.release(first);
  pool.release(second);
  EXPECT_EQ(stack_of_address(low, in_guard), first);
}

TEST(StackPool, forgets_the_addresses_of_a_destroyed_pool) {
  const void* low = nullptr;
  {
    StackPool pool{StackPoolOptions{}};
    Stack* stack = pool.acquire();
    low = stack->low;
    pool.release(stack);
  }
  bool in_guard = false;
  EXPECT_EQ(stack_of_address(low, in_guard), nullptr);
}

TEST(StackPool, guards_the_pages_below_a_stack) {
  for (const GuardKind kind : {GuardKind::guard_install, GuardKind::mprotect}) {
    if (kind == GuardKind::guard_install && !kernel_has_guard_install()) continue;
    StackPoolOptions options;
    options.guard_strongest = kind;
    StackPool pool{options};
    ASSERT_EQ(pool.guard_kind(), kind);
    Stack* stack = pool.acquire();
    EXPECT_EQ(stack->guard, kind);
    EXPECT_TRUE(is_writable(stack->low));
    EXPECT_FALSE(is_writable(stack->low - 1));
    EXPECT_FALSE(is_writable(stack->low - 64 * 1024));
    pool.release(stack);
  }
}

TEST(StackPool, goes_on_with_canaries_when_the_budget_of_map_entries_is_used_up) {
  StackPoolOptions options;
  options.guard_strongest = GuardKind::mprotect;
  options.mprotect_guards_max = 5;  // two stacks of two entries
  StackPool pool{options};
  Stack* stacks[] = {pool.acquire(), pool.acquire(), pool.acquire()};
  EXPECT_EQ(stacks[0]->guard, GuardKind::mprotect);
  EXPECT_EQ(stacks[1]->guard, GuardKind::mprotect);
  EXPECT_EQ(stacks[2]->guard, GuardKind::canary);
  EXPECT_EQ(pool.guard_kind(), GuardKind::canary);
  for (Stack* stack : stacks) pool.release(stack);
}

TEST(StackPool, takes_back_a_stack_whose_canary_is_whole) {
  StackPoolOptions options;
  options.guard_strongest = GuardKind::canary;
  StackPool pool{options};
  Stack* stack = pool.acquire();
  std::memset(stack->low, 1, stack->size);
  pool.release(stack);
  pool.trim(0);
  ASSERT_EQ(pool.acquire(), stack);
  pool.release(stack);
  EXPECT_EQ(pool.in_use(), 0U);
}

TEST(StackPoolDeathTest, a_damaged_canary_ends_the_program_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  StackPoolOptions options;
  options.guard_strongest = GuardKind::canary;
  StackPool pool{options};
  Stack* stack = pool.acquire();
  stack->name = "Counter";
  EXPECT_DEATH(
      {
        stack->low[-3] = std::byte{0};
        pool.release(stack);
      },
      "a process \\(Counter\\) has overflowed its stack of 256 KiB");
  pool.release(stack);
}

TEST(StackPoolDeathTest, giving_a_stack_back_twice_ends_the_program_with_a_sentence) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  StackPool pool{StackPoolOptions{}};
  Stack* stack = pool.acquire();
  pool.release(stack);
  EXPECT_DEATH(pool.release(stack), "coppice: a stack was given back to its pool twice");
}

// How many pages of these stacks are in memory, headers included.
std::size_t resident_pages(const std::vector<std::pair<std::byte*, std::size_t>>& stretches) {
  std::size_t pages = 0;
  for (const auto& [low, size] : stretches) {
    std::vector<unsigned char> in_memory((size + 4095) / 4096);
    EXPECT_EQ(::mincore(low, size, in_memory.data()), 0);
    for (const unsigned char page : in_memory) pages += page & 1;
  }
  return pages;
}

TEST(StackPool, trim_gives_back_all_pages_of_all_free_stacks_but_some) {
  StackPool pool{StackPoolOptions{}};
  std::vector<Stack*> stacks;
  std::vector<std::pair<std::byte*, std::size_t>> stretches;
  for (int i = 0; i < 40; ++i) stacks.push_back(pool.acquire());
  for (Stack* stack : stacks) {
    std::memset(stack->low, 1, stack->size);
    const auto end = (reinterpret_cast<std::uintptr_t>(stack) | 4095) + 1;
    stretches.emplace_back(stack->low, end - reinterpret_cast<std::uintptr_t>(stack->low));
  }
  const std::size_t each = stretches[0].second / 4096;
  const std::size_t kept = sanitized ? 1 : 0;  // the header's page
  for (Stack* stack : stacks) pool.release(stack);
  EXPECT_EQ(resident_pages(stretches), 40 * each);
  EXPECT_TRUE(pool.trim(10, 20));  // there are more
  EXPECT_EQ(resident_pages(stretches), 20 * each + 20 * kept);
  EXPECT_FALSE(pool.trim(10, 20));
  EXPECT_EQ(resident_pages(stretches), 10 * each + 30 * kept);
  EXPECT_FALSE(pool.trim(10));
  EXPECT_EQ(resident_pages(stretches), 10 * each + 30 * kept);
  std::set<Stack*> again;
  for (int i = 0; i < 40; ++i) {
    Stack* stack = pool.acquire();
    again.insert(stack);
    bool in_guard = false;
    EXPECT_EQ(stack_of_address(stack->low, in_guard), stack);
    EXPECT_EQ(stack->low + stack->size, reinterpret_cast<std::byte*>(stack));
    EXPECT_EQ(stack->guard, pool.guard_kind());
  }
  EXPECT_EQ(again, std::set<Stack*>(stacks.begin(), stacks.end()));
  for (Stack* stack : again) pool.release(stack);
}

TEST(StackPool, a_trimmed_stack_keeps_its_kind_of_guard) {
  StackPool pool{StackPoolOptions{.guard_strongest = GuardKind::canary}};
  Stack* stack = pool.acquire();
  pool.release(stack);
  pool.trim(0);
  ASSERT_EQ(pool.acquire(), stack);
  EXPECT_EQ(stack->guard, GuardKind::canary);
  pool.release(stack);
}

TEST(StackPool, many_more_stacks_than_map_entries_have_guards) {
  if (sanitized || !kernel_has_guard_install()) {
    GTEST_SKIP() << "needs MADV_GUARD_INSTALL and no sanitizer";
  }
  constexpr std::size_t count = 50'000;
  StackPool pool{StackPoolOptions{}};
  std::vector<Stack*> stacks;
  for (std::size_t i = 0; i < count; ++i) {
    stacks.push_back(pool.acquire());
    ASSERT_NE(stacks.back(), nullptr);
    ASSERT_EQ(stacks.back()->guard, GuardKind::guard_install);
  }
  EXPECT_EQ(pool.in_use(), count);
  for (const std::size_t i : {std::size_t{0}, count / 2, count - 1}) EXPECT_FALSE(is_writable(stacks[i]->low - 1));
  bool in_guard = false;
  EXPECT_EQ(stack_of_address(stacks.back()->low - 1, in_guard), stacks.back());
  EXPECT_TRUE(in_guard);
  for (Stack* stack : stacks) pool.release(stack);
}

TEST(StackPool, many_more_stacks_than_map_entries_exist_without_guard_install_too) {
  if (sanitized) GTEST_SKIP() << "each stack is a mapping of its own under a sanitizer";
  StackPoolOptions options;
  options.guard_strongest = GuardKind::mprotect;
  options.default_size = 128 * 1024;
  StackPool pool{options};
  std::vector<Stack*> stacks;
  for (std::size_t i = 0; i < 50'000; ++i) {
    stacks.push_back(pool.acquire());
    ASSERT_NE(stacks.back(), nullptr);
  }
  EXPECT_EQ(stacks.front()->guard, GuardKind::mprotect);
  EXPECT_EQ(stacks.back()->guard, GuardKind::canary);
  for (Stack* stack : stacks) pool.release(stack);
}

TEST(StackPool, serves_several_threads_at_once) {
  StackPoolOptions options;
  options.stacks_max = 64;
  StackPool pool{options};
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2'000; ++i) {
        Stack* stack = pool.acquire();
        if (stack == nullptr) continue;
        stack->home = static_cast<std::uint32_t>(t);
        std::memset(stack->low + stack->size - 64, t, 64);
        bool in_guard = false;
        if (stack_of_address(stack->low, in_guard) == stack && stack->home == static_cast<std::uint32_t>(t)) ++served;
        if (i % 100 == 0) pool.trim(1);
        pool.release(stack);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served.load(), 8'000);
  EXPECT_EQ(pool.in_use(), 0U);
}

}  // namespace
}  // namespace coppice::platform
