// SPDX-License-Identifier: Apache-2.0
#include "simulation/simulated_world.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "platform/context.hpp"
#include "platform/stack_pool.hpp"

namespace coppice::simulation {
namespace {

using platform::Choice;
using platform::Nanoseconds;
using platform::never;
using platform::Parker;
using platform::Thread;

constexpr Nanoseconds millisecond = 1'000'000;

SimulatedWorldOptions with_seed(std::uint64_t seed) {
  SimulatedWorldOptions options;
  options.seed = seed;
  return options;
}

SimulatedWorldOptions without_drift(std::uint64_t seed) {
  SimulatedWorldOptions options = with_seed(seed);
  options.drift_max = 0;
  return options;
}

// Three threads that append their letter five times each, with a point of interleaving after each letter.
std::string letters(SimulatedWorld& world) {
  std::string text;
  world.run([&] {
    std::vector<std::unique_ptr<Thread>> threads;
    for (const char letter : {'a', 'b', 'c'}) {
      threads.push_back(world.start_thread(std::string(1, letter), [&world, &text, letter] {
        for (int i = 0; i < 5; ++i) {
          text += letter;
          world.interleave();
        }
      }));
    }
    for (const auto& thread : threads) thread->join();
  });
  return text;
}

// -- seeds ------------------------------------------------------------------------------------------------------------

TEST(SimulatedWorld, the_same_seed_gives_the_same_run) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedWorldOptions options = with_seed(seed);
    options.record_decisions = true;
    SimulatedWorld first(options);
    SimulatedWorld second(options);
    EXPECT_EQ(letters(first), letters(second));
    EXPECT_EQ(first.decision_hash(), second.decision_hash());
    EXPECT_EQ(first.decision_count(), second.decision_count());
    EXPECT_EQ(first.decisions(), second.decisions());
    EXPECT_EQ(first.decisions().size(), first.decision_count());
    EXPECT_EQ(first.now(), second.now());
  }
}

TEST(SimulatedWorld, other_seeds_give_other_interleavings) {
  std::set<std::string> texts;
  std::set<std::uint64_t> hashes;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SimulatedWorld world(with_seed(seed));
    texts.insert(letters(world));
    hashes.insert(world.decision_hash());
  }
  EXPECT_GT(texts.size(), 90U);
  EXPECT_EQ(hashes.size(), 100U);
}

TEST(SimulatedWorld, a_difference_between_two_runs_changes_the_hash) {
  const auto hash_after = [](bool extra_choice) {
    SimulatedWorld world(with_seed(1));
    world.run([&] {
      if (extra_choice) (void)world.choose(Choice::user, 2, 0);
    });
    return world.decision_hash();
  };
  EXPECT_EQ(hash_after(false), hash_after(false));
  EXPECT_NE(hash_after(false), hash_after(true));
}

TEST(SimulatedWorld, interleave_is_never_taken_at_permille_0_and_always_at_1000) {
  SimulatedWorldOptions options = with_seed(7);
  options.interleave_permille = 0;
  SimulatedWorld whole(options);
  const std::string text = letters(whole);
  EXPECT_EQ(std::set<std::string>({text.substr(0, 5), text.substr(5, 5), text.substr(10, 5)}),
            std::set<std::string>({"aaaaa", "bbbbb", "ccccc"}));
  options.interleave_permille = 1000;
  SimulatedWorld always(options);
  const std::string mixed = letters(always).substr(0, 8);
  EXPECT_EQ(std::adjacent_find(mixed.begin(), mixed.end()), mixed.end()) << mixed;
}

// A mailbox with a lost wake-up: the consumer looks, finds nothing, and only then says that it sleeps. A producer that
// comes in between finds nobody asleep and wakes nobody. The consumer's deadline shows it.
bool message_is_late(std::uint64_t seed, std::uint64_t* hash = nullptr) {
  SimulatedWorld world(with_seed(seed));
  bool late = false;
  world.run([&] {
    Parker parker;
    bool asleep = false;
    bool message = false;
    const auto consumer = world.start_thread("consumer", [&] {
      if (message) return;
      world.interleave();
      asleep = true;
      late = !world.park(parker, world.now() + 1'000 * millisecond);
    });
    const auto producer = world.start_thread("producer", [&] {
      message = true;
      world.interleave();
      if (asleep) world.unpark(parker);
    });
    consumer->join();
    producer->join();
  });
  if (hash != nullptr) *hash = world.decision_hash();
  return late;
}

TEST(SimulatedWorld, some_seed_among_a_hundred_finds_a_lost_wakeup_and_replays_it) {
  std::vector<std::uint64_t> found;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    if (message_is_late(seed)) found.push_back(seed);
  }
  ASSERT_FALSE(found.empty());
  ASSERT_LT(found.size(), 100U) << "a bug that every seed finds needs no simulation";
  for (const std::uint64_t seed : found) {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    EXPECT_TRUE(message_is_late(seed, &first));
    EXPECT_TRUE(message_is_late(seed, &second));
    EXPECT_EQ(first, second);
  }
}

// -- time -------------------------------------------------------------------------------------------------------------

TEST(SimulatedWorldTime, sleepers_wake_in_the_order_of_their_deadlines) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SimulatedWorld world(with_seed(seed));
    std::vector<Nanoseconds> woken;
    world.run([&] {
      const Nanoseconds start = world.now();
      std::vector<std::unique_ptr<Thread>> threads;
      for (const Nanoseconds after : std::vector<Nanoseconds>{30, 10, 50, 20, 40}) {
        threads.push_back(world.start_thread("sleeper", [&world, &woken, start, after] {
          Parker parker;
          EXPECT_FALSE(world.park(parker, start + after * millisecond));
          EXPECT_GE(world.now(), start + after * millisecond);
          woken.push_back(after);
        }));
      }
      for (const auto& thread : threads) thread->join();
    });
    EXPECT_EQ(woken, (std::vector<Nanoseconds>{10, 20, 30, 40, 50}));
  }
}

TEST(SimulatedWorldTime, a_year_passes_at_once_and_exactly_without_drift) {
  constexpr Nanoseconds year = Nanoseconds{365} * 24 * 3600 * 1'000 * millisecond;
  SimulatedWorld world(without_drift(3));
  const auto wall_clock = world.system_now();
  EXPECT_EQ(wall_clock.time_since_epoch(), SimulatedWorld::start_of_wall_clock);
  world.run([&] {
    Parker parker;
    EXPECT_FALSE(world.park(parker, world.now() + year));
  });
  EXPECT_EQ(world.now(), SimulatedWorld::start_time + year);
  EXPECT_EQ(world.system_now() - wall_clock, std::chrono::nanoseconds(year));
}

TEST(SimulatedWorldTime, equal_deadlines_are_ordered_by_the_seed) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedWorld world(without_drift(seed));
    std::string order;
    world.run([&] {
      const Nanoseconds deadline = world.now() + millisecond;
      const auto sleep = [&world, &order, deadline](char letter) {
        return [&world, &order, deadline, letter] {
          Parker parker;
          world.park(parker, deadline);
          order += letter;
        };
      };
      const auto a = world.start_thread("a", sleep('a'));
      const auto b = world.start_thread("b", sleep('b'));
      a->join();
      b->join();
    });
    orders.insert(order);
  }
  EXPECT_EQ(orders, (std::set<std::string>{"ab", "ba"}));
}

TEST(SimulatedWorldTime, code_that_polls_the_clock_gets_there) {
  SimulatedWorld world(with_seed(4));
  world.run([&] {
    const Nanoseconds until = world.now() + millisecond;
    while (world.now() < until) world.interleave();
    const Nanoseconds spin_until = world.now() + 20'000;
    while (world.now() < spin_until) {
    }
  });
  EXPECT_GE(world.now(), SimulatedWorld::start_time + millisecond + 20'000);
}

TEST(SimulatedWorldTime, a_deadline_passes_while_another_thread_keeps_running) {
  SimulatedWorld world(with_seed(5));
  bool woken = false;
  world.run([&] {
    const auto sleeper = world.start_thread("sleeper", [&] {
      Parker parker;
      woken = !world.park(parker, world.now() + millisecond);
    });
    while (!woken) world.interleave();
    sleeper->join();
  });
  EXPECT_TRUE(woken);
}

// -- parking ----------------------------------------------------------------------------------------------------------

TEST(SimulatedWorldPark, keeps_the_contract_of_the_seam) {
  SimulatedWorld world(with_seed(6));
  world.run([&] {
    Parker parker;
    EXPECT_FALSE(world.park(parker, 0));
    world.unpark(parker);
    world.unpark(parker);
    EXPECT_TRUE(world.park(parker, 0));
    EXPECT_FALSE(world.park(parker, world.now() + millisecond));
    world.unpark(parker);
    EXPECT_TRUE(world.park(parker, never));
  });
}

TEST(SimulatedWorldPark, two_threads_hand_a_turn_to_each_other_a_hundred_thousand_times) {
  constexpr int rounds = 100'000;
  SimulatedWorld world(with_seed(7));
  int turns = 0;
  world.run([&] {
    Parker ping;
    Parker pong;
    const auto partner = world.start_thread("partner", [&] {
      for (int i = 0; i < rounds; ++i) {
        ASSERT_TRUE(world.park(ping, never));
        ++turns;
        world.unpark(pong);
        world.unpark(pong);
      }
    });
    for (int i = 0; i < rounds; ++i) {
      world.unpark(ping);
      ASSERT_TRUE(world.park(pong, never));
      ASSERT_EQ(turns, i + 1);
    }
    partner->join();
  });
  EXPECT_EQ(turns, rounds);
}

// A thread may park on a stack that the simulation has never seen, as the runtime's processes do.
struct BorrowedStack {
  SimulatedWorld* world;
  Parker* parker;
  platform::Context* thread;
  platform::Context* borrowed;
  bool parked_in_time;

  static void entry(void* argument) {
    auto& self = *static_cast<BorrowedStack*>(argument);
    self.parked_in_time = self.world->park(*self.parker, never);
    platform::switch_context(*self.borrowed, *self.thread, nullptr);
  }
};

TEST(SimulatedWorldPark, works_on_a_stack_that_the_thread_has_borrowed) {
  platform::StackPool pool({});
  platform::Stack* const stack = pool.acquire();
  ASSERT_NE(stack, nullptr);
  SimulatedWorld world(with_seed(8));
  world.run([&] {
    Parker parker;
    const auto worker = world.start_thread("worker", [&] {
      platform::make_context(stack->context, stack->low, stack->size, &BorrowedStack::entry);
      platform::Context own;
      platform::adopt_thread(own);
      BorrowedStack borrowed{&world, &parker, &own, &stack->context, false};
      platform::switch_context(own, stack->context, &borrowed);
      EXPECT_TRUE(borrowed.parked_in_time);
      // Its own stack is the simulation's, not that of the OS thread: a sanitizer must be told the right bounds.
      const auto* const here = static_cast<const std::byte*>(__builtin_frame_address(0));
      EXPECT_GE(here, static_cast<const std::byte*>(own.low));
      EXPECT_LT(here, static_cast<const std::byte*>(own.low) + own.size);
      platform::destroy_context(stack->context);
    });
    for (int i = 0; i < 20; ++i) world.interleave();
    world.unpark(parker);
    worker->join();
  });
  pool.release(stack);
}

// -- choices ----------------------------------------------------------------------------------------------------------

TEST(SimulatedWorldChoice, follows_the_mode_of_its_kind) {
  using Source = ChoiceMode::Source;
  SimulatedWorldOptions options = with_seed(12);
  const auto mode_of = [&options](Choice choice) -> ChoiceMode& {
    return options.choices.at(static_cast<std::size_t>(choice));
  };
  mode_of(Choice::hand_off) = {.source = Source::policy};
  mode_of(Choice::placement) = {.source = Source::fixed, .value = 9};
  mode_of(Choice::turn_budget) = {.source = Source::seeded, .policy_permille = 1000};
  SimulatedWorld world(options);
  std::array<int, 4> seen{};
  for (int i = 0; i < 400; ++i) {
    EXPECT_EQ(world.choose(Choice::hand_off, 4, 2), 2U);
    EXPECT_EQ(world.choose(Choice::placement, 4, 2), 3U);
    EXPECT_EQ(world.choose(Choice::turn_budget, 4, 1), 1U);
    EXPECT_EQ(world.choose(Choice::fault, 1, 0), 0U);
    ++seen.at(world.choose(Choice::steal_victim, 4, 0));
  }
  for (const int count : seen) EXPECT_GT(count, 50);
}

TEST(SimulatedWorldChoice, is_described_in_words) {
  SimulatedWorldOptions options = without_drift(13);
  options.record_decisions = true;
  options.choices.at(static_cast<std::size_t>(Choice::user)) = {.source = ChoiceMode::Source::fixed, .value = 1};
  SimulatedWorld world(options);
  world.run([&] { (void)world.choose(Choice::user, 3, 0); });
  std::vector<std::string> lines;
  for (const Decision& decision : world.decisions()) lines.push_back(describe(decision));
  EXPECT_EQ(lines, (std::vector<std::string>{"thread 0 started thread 0", "thread 0 chose 1 of 3 for user",
                                             "thread 0 ended"}));
}

}  // namespace
}  // namespace coppice::simulation
