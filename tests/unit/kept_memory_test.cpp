// SPDX-License-Identifier: Apache-2.0
//
// Memory that one simulated run leaves to the next: it reads as if it were new, and changes no decision.
#include "platform/kept_memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/runtime.hpp>
#include <coppice/timer.hpp>

#include "platform/sanitizers.hpp"
#include "simulation/simulated_world.hpp"

namespace coppice::platform {
namespace {

constexpr std::size_t size = std::size_t{1} << 20;

// -- pages ------------------------------------------------------------------------------------------------------------

TEST(KeptPages, come_back_zeroed_for_who_asks_for_as_many) {
  KeptPages kept;
  std::byte* memory = map_zeroed(size, &kept);
  std::memset(memory, 1, 5000);
  unmap_zeroed(memory, size, 5000, &kept);
  EXPECT_EQ(kept.take(size / 2), nullptr);
  ASSERT_EQ(map_zeroed(size, &kept), memory);
  EXPECT_TRUE(std::all_of(memory, memory + size, [](std::byte byte) { return byte == std::byte{0}; }));
  EXPECT_EQ(kept.take(size), nullptr);
  unmap_zeroed(memory, size, 0, nullptr);
}

TEST(KeptPages, refuse_what_is_dearer_to_zero_than_to_map) {
  KeptPages kept;
  std::byte* memory = map_zeroed(size, nullptr);
  EXPECT_FALSE(kept.give(memory, size, size));
  unmap_zeroed(memory, size, size, nullptr);
}

TEST(KeptPages, are_not_many) {
  KeptPages kept;
  std::vector<std::byte*> all;
  for (std::size_t i = 0; i < 100; ++i) all.push_back(map_zeroed(size, nullptr));
  for (std::byte* memory : all) unmap_zeroed(memory, size, 0, &kept);
  EXPECT_EQ(kept.take(size), all.back());
  std::size_t left = 0;
  while (std::byte* memory = kept.take(size)) {
    ++left;
    unmap_zeroed(memory, size, 0, nullptr);
  }
  EXPECT_LT(left, 20U);
  unmap_zeroed(all.back(), size, 0, nullptr);
}

// -- stacks -----------------------------------------------------------------------------------------------------------

void use(StackPool& pool, std::size_t count) {
  std::vector<Stack*> all;
  for (std::size_t i = 0; i < count; ++i) {
    all.push_back(pool.acquire());
    std::memset(all.back()->low, 0x5A, all.back()->size);
    all.back()->owner = all.back();
    all.back()->name = "somebody";
  }
  for (Stack* stack : all) pool.release(stack);
}

TEST(KeptStacks, go_to_the_next_pool_with_their_guards) {
  KeptStacks kept;
  Stack* first = nullptr;
  {
    StackPool pool({}, &kept);
    use(pool, 3);
    first = pool.acquire();
    pool.release(first);
  }
  StackPool pool({}, &kept);
  EXPECT_EQ(pool.in_use(), 0U);
  Stack* stack = pool.acquire();
  ASSERT_EQ(stack, first);
  EXPECT_EQ(stack->owner, nullptr);
  EXPECT_EQ(stack->name, nullptr);
  EXPECT_EQ(pool.in_use(), 1U);
  bool in_guard = false;
  EXPECT_EQ(stack_of_address(stack->low - 1, in_guard), stack);
  EXPECT_TRUE(in_guard);
#if !COPPICE_ASAN
  if (stack->guard != GuardKind::canary) {
    auto* below = static_cast<volatile std::byte*>(stack->low - 1);
    EXPECT_DEATH(*below = std::byte{1}, "");
  }
#endif
  pool.release(stack);
}

TEST(KeptStacks, go_to_no_pool_with_other_options) {
  KeptStacks kept;
  {
    StackPool pool({}, &kept);
    use(pool, 3);
  }
  StackPool pool({.stacks_max = 2}, &kept);
  Stack* stacks[] = {pool.acquire(), pool.acquire(), pool.acquire()};
  EXPECT_NE(stacks[1], nullptr);
  EXPECT_EQ(stacks[2], nullptr);
  for (Stack* stack : {stacks[0], stacks[1]}) pool.release(stack);
}

TEST(KeptStacks, are_never_more_than_a_trim_leaves) {
  KeptStacks kept;
  {
    StackPool pool({}, &kept);
    use(pool, KeptStacks::stacks_max + 1);
  }
  {
    StackPool pool({}, &kept);
    EXPECT_FALSE(pool.trim(0, 0)) << "nothing was kept of a pool with so many";
    use(pool, KeptStacks::stacks_max);
  }
  StackPool pool({}, &kept);
  EXPECT_FALSE(pool.trim(KeptStacks::stacks_max, 0)) << "who trims finds nothing to do";
  EXPECT_TRUE(pool.trim(0, 0)) << "though this one was kept";
}

TEST(KeptStacks, an_abandoned_one_goes_with_its_pool) {
  KeptStacks kept;
  {
    StackPool pool({}, &kept);
    use(pool, 3);
    ASSERT_NE(pool.acquire(), nullptr);
  }
  StackPool pool({}, &kept);
  EXPECT_FALSE(pool.trim(0, 0));
}

// -- runs -------------------------------------------------------------------------------------------------------------

struct Number {
  int number;
};

struct Unread {};

[[gnu::noinline]] int wait_deep(int depth) {
  std::array<volatile char, 500> filled;
  for (volatile char& place : filled) place = 1;
  if (depth == 0) return receive([](const Number& got) { return got.number; });
  return wait_deep(depth - 1) + filled[0];
}

// So many processes that wait on stacks of their own, each in a different depth of it. Some have names, some die with a full
// mailbox; that one was fuller than it should be takes time.
void program(int processes) {
  const Pid main = self();
  for (int i = 0; i < processes; ++i) {
    const auto body = [main, i] { send(main, Number{wait_deep(i % 40)}); };
    const Pid child = spawn(body, {.name = i % 5 == 0 ? "waits " + std::to_string(i) : "",
                                   .mailbox_capacity = i % 3 == 0 ? std::size_t{2} : std::size_t{0},
                                   .overflow = Overflow::reject});
    (void)monitor(child);
    for (int sent = 0; sent < 2; ++sent) {
      if (!try_send(child, Unread{})) sleep_for(std::chrono::milliseconds(1));
    }
    if (i % 3 == 0 || i % 7 == 0) {
      exit(child, ExitReason::kill());
    } else {
      (void)send_after(child, Number{i}, std::chrono::microseconds(i));
    }
  }
  for (int i = 0; i < processes; ++i) (void)receive([](const Down& down) { return down.pid; });
  if (processes < 400) sleep_for(std::chrono::seconds(30));  // idle workers trim their stacks meanwhile
}

struct Outcome {
  std::uint64_t hash;
  std::uint64_t steps;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome run(std::uint64_t seed, int processes, bool fresh) {
  simulation::SimulatedWorldOptions options;
  options.seed = seed;
  options.fresh_memory = fresh;
  simulation::SimulatedWorld world(options);
  EXPECT_EQ(world.kept_memory() == nullptr, fresh || COPPICE_ASAN != 0 || COPPICE_TSAN != 0);
  world.run([&] {
    Runtime runtime(world, {.schedulers = 3});
    const Runtime::Scope scope(runtime);
    EXPECT_TRUE(runtime.run([&] { program(processes); }).is_normal());
    EXPECT_TRUE(runtime.stop().clean);
    EXPECT_EQ(runtime.process_count(), 0U);
  });
  return {world.decision_hash(), world.step_count()};
}

// Each run finds what one of another size has left: a few stacks, some dozen, more than a trim leaves.
TEST(KeptMemory, no_decision_depends_on_it) {
  constexpr std::array sizes{3, 60, 500, 300, 45, 4};
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    const int processes = sizes[seed % sizes.size()];
    const Outcome fresh = run(seed, processes, true);
    EXPECT_EQ(run(seed, processes, false), fresh) << "seed " << seed;
    EXPECT_EQ(run(seed, processes, false), fresh) << "seed " << seed << ", in its own memory";
    EXPECT_EQ(run(seed, processes, true), fresh) << "seed " << seed;
  }
}

}  // namespace
}  // namespace coppice::platform
