// SPDX-License-Identifier: Apache-2.0
//
// The threads of a simulated world: what follows them, how they end, and what ends the program.
#include <gtest/gtest.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "simulation/simulated_world.hpp"

namespace coppice::simulation {
namespace {

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

// -- what follows a thread --------------------------------------------------------------------------------------------

TEST(SimulatedWorldState, a_thread_keeps_the_exception_that_it_handles_across_a_park) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedWorld world(with_seed(seed));
    int right = 0;
    const auto work = [&](int value) {
      return [&world, &right, value] {
        try {
          throw value;
        } catch (int caught) {
          Parker parker;
          for (Nanoseconds i = 0; i < 3; ++i) world.park(parker, world.now() + i * 1'000);
          try {
            throw;
          } catch (int again) {
            right += caught == value && again == value ? 1 : 0;
          }
        }
        EXPECT_EQ(std::current_exception(), nullptr);
      };
    };
    world.run([&] {
      std::vector<std::unique_ptr<Thread>> threads;
      for (int i = 0; i < 4; ++i) threads.push_back(world.start_thread("catcher", work(i)));
      for (const auto& thread : threads) thread->join();
    });
    EXPECT_EQ(right, 4);
  }
}

TEST(SimulatedWorldState, unwinding_in_one_thread_is_not_seen_by_another) {
  SimulatedWorld world(with_seed(9));
  struct ParksWhenDestroyed {
    SimulatedWorld& world;
    ~ParksWhenDestroyed() {
      Parker parker;
      world.park(parker, world.now() + millisecond);
      EXPECT_EQ(std::uncaught_exceptions(), 1);
    }
  };
  world.run([&] {
    const auto thrower = world.start_thread("thrower", [&] {
      try {
        const ParksWhenDestroyed parks{world};
        throw std::runtime_error("unwinding");
      } catch (const std::runtime_error&) {
      }
    });
    Parker parker;
    world.park(parker, world.now() + millisecond / 2);
    EXPECT_EQ(std::uncaught_exceptions(), 0);
    thrower->join();
  });
}

TEST(SimulatedWorldState, run_may_be_called_while_an_exception_is_handled) {
  SimulatedWorld world(with_seed(10));
  try {
    throw 1;
  } catch (int) {
    world.run([&] {
      EXPECT_EQ(std::current_exception(), nullptr);
      world.interleave();
    });
    EXPECT_NE(std::current_exception(), nullptr);
  }
}

void*& followed_slot() {
  thread_local void* slot = nullptr;
  return slot;
}

TEST(SimulatedWorldState, a_followed_thread_local_follows_its_thread) {
  int outside = 0;
  followed_slot() = &outside;
  SimulatedWorld world(with_seed(11));
  world.follow_thread_local(&followed_slot);
  world.follow_thread_local(&followed_slot);
  world.run([&] {
    EXPECT_EQ(followed_slot(), nullptr);
    const auto work = [&world] {
      int mine = 0;
      EXPECT_EQ(followed_slot(), nullptr);
      followed_slot() = &mine;
      for (int i = 0; i < 20; ++i) {
        world.interleave();
        EXPECT_EQ(followed_slot(), &mine);
      }
      followed_slot() = nullptr;
    };
    const auto a = world.start_thread("a", work);
    const auto b = world.start_thread("b", work);
    work();
    a->join();
    b->join();
  });
  EXPECT_EQ(followed_slot(), &outside);
  followed_slot() = nullptr;
}

// -- the life of threads ----------------------------------------------------------------------------------------------

TEST(SimulatedWorldThread, join_returns_when_the_thread_has_ended) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SimulatedWorld world(with_seed(seed));
    world.run([&] {
      bool ended = false;
      const auto outer = world.start_thread("outer", [&] {
        const auto thread = world.start_thread("inner", [&] {
          for (int i = 0; i < 5; ++i) world.interleave();
          ended = true;
        });
        thread->join();
        EXPECT_TRUE(ended);
      });
      outer->join();
      EXPECT_TRUE(ended);
    });
  }
}

TEST(SimulatedWorldThread, run_waits_for_threads_that_nobody_has_joined_yet) {
  SimulatedWorld world(with_seed(14));
  std::unique_ptr<Thread> thread;
  bool ended = false;
  world.run([&] {
    thread = world.start_thread("late", [&] {
      Parker parker;
      world.park(parker, world.now() + 1'000 * millisecond);
      ended = true;
    });
  });
  EXPECT_TRUE(ended);
  thread->join();
}

TEST(SimulatedWorldThread, a_detached_thread_may_end_or_never_end) {
  SimulatedWorld world(with_seed(15));
  bool ended = false;
  std::uint64_t turns = 0;
  Parker parker;
  world.run([&] {
    world
        .start_thread("ends",
                      [&] {
                        for (int i = 0; i < 10; ++i) world.interleave();
                        ended = true;
                      })
        ->detach();
    world.start_thread("parks", [&] { world.park(parker, never); })->detach();
    world
        .start_thread("spins",
                      [&] {
                        for (;; ++turns) world.interleave();
                      })
        ->detach();
  });
  EXPECT_TRUE(ended);
  EXPECT_GT(turns, 0U);
  EXPECT_LT(world.step_count(), 100'000U);
}

TEST(SimulatedWorldThread, an_exception_of_main_leaves_run) {
  SimulatedWorld world(with_seed(16));
  Parker parker;
  EXPECT_THROW(world.run([&] {
    world.start_thread("parks", [&] { world.park(parker, never); })->detach();
    world.interleave();
    throw std::runtime_error("main has had enough");
  }),
               std::runtime_error);
  bool again = false;
  world.run([&] { again = true; });
  EXPECT_TRUE(again);
}

TEST(SimulatedWorldThread, may_be_many) {
  SimulatedWorld world(with_seed(17));
  int ended = 0;
  world.run([&] {
    std::vector<std::unique_ptr<Thread>> threads;
    for (int i = 0; i < 200; ++i) {
      threads.push_back(world.start_thread("one of many", [&] {
        world.interleave();
        ++ended;
      }));
    }
    for (const auto& thread : threads) thread->join();
  });
  EXPECT_EQ(ended, 200);
}

// -- refusals ---------------------------------------------------------------------------------------------------------

TEST(SimulatedWorldStuck, on_stuck_may_throw_out_of_run) {
  SimulatedWorldOptions options = with_seed(18);
  options.on_stuck = [](const std::string& report) { throw std::runtime_error(report); };
  SimulatedWorld world(options);
  Parker parker;
  std::string report;
  try {
    world.run([&] { world.park(parker, never); });
  } catch (const std::runtime_error& error) {
    report = error.what();
  }
  EXPECT_NE(report.find("The seed is 18"), std::string::npos) << report;
  EXPECT_NE(report.find("Thread 0 (main) is parked without a deadline."), std::string::npos) << report;
}

TEST(SimulatedWorldStuck, on_stuck_may_wake_a_thread) {
  Parker parker;
  SimulatedWorld* here = nullptr;
  SimulatedWorldOptions options = with_seed(19);
  options.on_stuck = [&](const std::string&) { here->unpark(parker); };
  SimulatedWorld world(options);
  here = &world;
  bool woken = false;
  world.run([&] { woken = world.park(parker, never); });
  EXPECT_TRUE(woken);
}

class SimulatedWorldDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(SimulatedWorldDeathTest, threads_that_wait_for_each_other_for_ever_are_named) {
  EXPECT_DEATH(
      {
        SimulatedWorld world(with_seed(20));
        world.run([&] {
          const auto worker = world.start_thread("worker", [&] {
            Parker parker;
            world.park(parker, never);
          });
          worker->join();
        });
      },
      "Every simulated thread waits.*seed is 20.*main.* waits for the end of worker.*worker.* is parked without a "
      "deadline");
}

TEST_F(SimulatedWorldDeathTest, a_run_that_takes_too_many_steps_is_a_livelock) {
  EXPECT_DEATH(
      {
        SimulatedWorldOptions options = with_seed(21);
        options.steps_max = 1'000;
        SimulatedWorld world(options);
        world.run([&] {
          for (;;) world.interleave();
        });
      },
      "more than 1000 scheduling steps");
}

TEST_F(SimulatedWorldDeathTest, a_call_from_another_os_thread_ends_the_program) {
  EXPECT_DEATH(
      {
        SimulatedWorld world(with_seed(22));
        Parker parker;
        std::thread([&] { world.unpark(parker); }).join();
      },
      "unpark.. of a simulated world was called by an OS thread that is not the one which made the world");
}

TEST_F(SimulatedWorldDeathTest, parking_outside_run_ends_the_program) {
  EXPECT_DEATH(
      {
        SimulatedWorld world(with_seed(23));
        Parker parker;
        world.park(parker, 0);
      },
      "park.. of a simulated world was called outside its run");
}

TEST_F(SimulatedWorldDeathTest, a_thread_neither_joined_nor_detached_ends_the_program) {
  EXPECT_DEATH(
      {
        SimulatedWorld world(with_seed(24));
        world.run([&] { const auto thread = world.start_thread("lost", [] {}); });
      },
      "neither joined nor detached");
}

}  // namespace
}  // namespace coppice::simulation
