// SPDX-License-Identifier: Apache-2.0
#include "platform/world.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <csignal>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/random.hpp"
#include "platform/cpu_quota.hpp"

namespace coppice::platform {
namespace {

constexpr Nanoseconds millisecond = 1'000'000;

// -- parking ----------------------------------------------------------------------------------------------------------

TEST(ThreadsWorldPark, a_deadline_in_the_past_returns_false_at_once) {
  Parker parker;
  EXPECT_FALSE(threads_world().park(parker, 0));
  EXPECT_FALSE(threads_world().park(parker, threads_world().now() - 1));
}

TEST(ThreadsWorldPark, a_token_is_taken_even_if_the_deadline_has_passed) {
  Parker parker;
  threads_world().unpark(parker);
  EXPECT_TRUE(threads_world().park(parker, 0));
}

TEST(ThreadsWorldPark, an_unpark_before_the_park_is_not_lost) {
  Parker parker;
  threads_world().unpark(parker);
  EXPECT_TRUE(threads_world().park(parker, never));
}

TEST(ThreadsWorldPark, several_unparks_count_once) {
  Parker parker;
  threads_world().unpark(parker);
  threads_world().unpark(parker);
  threads_world().unpark(parker);
  EXPECT_TRUE(threads_world().park(parker, never));
  EXPECT_FALSE(threads_world().park(parker, 0));
}

TEST(ThreadsWorldPark, does_not_return_before_its_deadline) {
  Parker parker;
  const Nanoseconds deadline = threads_world().now() + 2 * millisecond;
  EXPECT_FALSE(threads_world().park(parker, deadline));
  EXPECT_GE(threads_world().now(), deadline);
}

TEST(ThreadsWorldPark, a_parker_can_be_used_again_after_a_deadline) {
  Parker parker;
  EXPECT_FALSE(threads_world().park(parker, threads_world().now() + millisecond / 10));
  threads_world().unpark(parker);
  EXPECT_TRUE(threads_world().park(parker, never));
}

TEST(ThreadsWorldPark, two_threads_hand_a_turn_to_each_other_a_hundred_thousand_times) {
  constexpr int rounds = 100'000;
  World& world = threads_world();
  Parker ping;
  Parker pong;
  int turns = 0;  // not atomic: what was written before unpark() is visible after the park() that takes its token
  const auto partner = world.start_thread("partner", [&] {
    for (int i = 0; i < rounds; ++i) {
      ASSERT_TRUE(world.park(ping, never));
      ++turns;
      world.unpark(pong);
    }
  });
  for (int i = 0; i < rounds; ++i) {
    world.unpark(ping);
    ASSERT_TRUE(world.park(pong, never));
    ASSERT_EQ(turns, i + 1);
  }
  partner->join();
}

TEST(ThreadsWorldPark, a_token_that_races_with_a_deadline_is_taken_once_or_still_there) {
  World& world = threads_world();
  Parker start;
  Parker sleeper;
  Parker done;
  constexpr int rounds = 2'000;
  const auto waker = world.start_thread("waker", [&] {
    for (int i = 0; i < rounds; ++i) {
      world.park(start, never);
      world.unpark(sleeper);
      world.unpark(done);
    }
  });
  for (int i = 0; i < rounds; ++i) {
    world.unpark(start);
    const bool in_time = world.park(sleeper, world.now() + static_cast<Nanoseconds>(i) * 20);
    world.park(done, never);
    EXPECT_NE(world.park(sleeper, 0), in_time);
  }
  waker->join();
}

// -- threads ----------------------------------------------------------------------------------------------------------

TEST(ThreadsWorldThread, is_named_with_the_first_fifteen_characters) {
  std::array<char, 16> name{};
  threads_world()
      .start_thread("coppice worker 12", [&] { pthread_getname_np(pthread_self(), name.data(), name.size()); })
      ->join();
  EXPECT_STREQ(name.data(), "coppice worker ");
}

TEST(ThreadsWorldThread, blocks_asynchronous_signals_and_lets_faults_through) {
  sigset_t in_thread{};
  sigset_t before{};
  sigset_t after{};
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  threads_world().start_thread("masked", [&] { pthread_sigmask(SIG_SETMASK, nullptr, &in_thread); })->join();
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGALRM, SIGUSR1, SIGPIPE}) {
    EXPECT_EQ(sigismember(&in_thread, signal), 1) << signal;
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal)) << signal;
  }
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPROF}) {
    EXPECT_EQ(sigismember(&in_thread, signal), 0) << signal;
  }
}

TEST(ThreadsWorldThread, may_be_detached) {
  World& world = threads_world();
  Parker parker;
  auto thread = world.start_thread("detached", [&] { world.unpark(parker); });
  thread->detach();
  thread.reset();
  EXPECT_TRUE(world.park(parker, never));
}

TEST(ThreadsWorldThreadDeathTest, ends_the_program_if_it_is_neither_joined_nor_detached) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH({ const auto thread = threads_world().start_thread("lost", [] {}); }, "neither joined nor detached");
}

// -- the rest of the world --------------------------------------------------------------------------------------------

TEST(ThreadsWorld, is_not_simulated_and_chooses_by_policy) {
  EXPECT_FALSE(threads_world().simulated());
  for (std::uint32_t policy = 0; policy < 5; ++policy) {
    EXPECT_EQ(threads_world().choose(Choice::steal_victim, 5, policy), policy);
  }
}

TEST(ThreadsWorld, has_a_clock_that_does_not_go_back) {
  Nanoseconds last = threads_world().now();
  for (int i = 0; i < 1'000; ++i) {
    const Nanoseconds time = threads_world().now();
    ASSERT_GE(time, last);
    last = time;
  }
}

TEST(ThreadsWorld, draws_other_numbers_in_each_thread) {
  std::set<std::uint64_t> numbers;
  for (int i = 0; i < 100; ++i) numbers.insert(threads_world().random());
  threads_world()
      .start_thread("draws",
                    [&] {
                      for (int i = 0; i < 100; ++i) numbers.insert(threads_world().random());
                    })
      ->join();
  EXPECT_EQ(numbers.size(), 200U);
}

TEST(ThreadsWorld, has_at_least_one_hardware_thread) { EXPECT_GE(threads_world().hardware_threads(), 1U); }

// -- quotas -----------------------------------------------------------------------------------------------------------

TEST(CpuQuota, version_2_is_rounded_up_to_whole_processors) {
  EXPECT_EQ(cpus_of_cpu_max("200000 100000\n"), 2U);
  EXPECT_EQ(cpus_of_cpu_max("150000 100000\n"), 2U);
  EXPECT_EQ(cpus_of_cpu_max("5000 100000"), 1U);
  EXPECT_EQ(cpus_of_cpu_max("18446744073709551615 1"), 4294967295U);
}

TEST(CpuQuota, version_2_without_a_quota_or_not_understood_is_nothing) {
  for (const char* text : {"max 100000\n", "", "\n", "100000", "100000 0", "0 100000", "-1 100000", "1e5 100000"}) {
    EXPECT_EQ(cpus_of_cpu_max(text), std::nullopt) << text;
  }
}

TEST(CpuQuota, version_1_reads_two_files) {
  EXPECT_EQ(cpus_of_cfs("300000\n", "100000\n"), 3U);
  EXPECT_EQ(cpus_of_cfs("1000\n", "100000\n"), 1U);
  EXPECT_EQ(cpus_of_cfs("-1\n", "100000\n"), std::nullopt);
  EXPECT_EQ(cpus_of_cfs("100000\n", ""), std::nullopt);
}

std::optional<unsigned> cpus_with(std::map<std::string, std::string> files) {
  return cgroup_cpus([&](const std::string& path) -> std::optional<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return std::nullopt;
    return found->second;
  });
}

TEST(CpuQuota, the_smallest_quota_on_the_way_to_the_root_counts) {
  EXPECT_EQ(cpus_with({{"/proc/self/cgroup", "0::/a/b/c\n"},
                       {"/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n"},
                       {"/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
                       {"/sys/fs/cgroup/a/cpu.max", "400000 100000\n"}}),
            4U);
}

TEST(CpuQuota, a_container_that_sees_the_path_of_its_host_reads_the_root_of_its_mount) {
  EXPECT_EQ(cpus_with({{"/proc/self/cgroup", "4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n"},
                       {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n"},
                       {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"}}),
            3U);
}

TEST(CpuQuota, both_versions_are_heard_on_a_hybrid_system) {
  EXPECT_EQ(cpus_with({{"/proc/self/cgroup", "2:cpuacct:/\n1:cpu:/x\n0::/y\n"},
                       {"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "500000\n"},
                       {"/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"},
                       {"/sys/fs/cgroup/y/cpu.max", "600000 100000\n"}}),
            5U);
}

TEST(CpuQuota, without_groups_there_is_none) {
  EXPECT_EQ(cpus_with({}), std::nullopt);
  EXPECT_EQ(cpus_with({{"/proc/self/cgroup", "garbage\n0::\n:\n::\n"}}), std::nullopt);
  EXPECT_EQ(cpus_with({{"/proc/self/cgroup", "2:cpuset:/\n"}, {"/sys/fs/cgroup/cpu.max", "1 1"}}), std::nullopt);
}

// -- generators -------------------------------------------------------------------------------------------------------

TEST(Random, split_mix_64_gives_the_published_sequence) {
  base::SplitMix64 generator(1234567);
  EXPECT_EQ(generator.next(), 6457827717110365317U);
  EXPECT_EQ(generator.next(), 3203168211198807973U);
  EXPECT_EQ(generator.next(), 9817491932198370423U);
}

TEST(Random, xoshiro_256_gives_the_published_sequence) {
  base::Xoshiro256 generator(std::array<std::uint64_t, 4>{1, 2, 3, 4});
  EXPECT_EQ(generator.next(), 11520U);
  EXPECT_EQ(generator.next(), 0U);
  EXPECT_EQ(generator.next(), 1509978240U);
  EXPECT_EQ(generator.next(), 1215971899390074240U);
}

TEST(Random, a_state_of_zeros_is_replaced) {
  base::Xoshiro256 generator(std::array<std::uint64_t, 4>{});
  EXPECT_NE(generator.next() | generator.next(), 0U);
}

TEST(Random, below_stays_below_and_reaches_every_number) {
  base::Xoshiro256 generator(1);
  std::array<int, 7> seen{};
  for (int i = 0; i < 7'000; ++i) ++seen.at(generator.below(7));
  for (const int count : seen) EXPECT_GT(count, 800);
  EXPECT_EQ(generator.below(0), 0U);
  EXPECT_EQ(generator.below(1), 0U);
}

}  // namespace
}  // namespace coppice::platform
