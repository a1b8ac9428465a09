// SPDX-License-Identifier: Apache-2.0
//
// All schedules of a small program, and the shortest one that fails.
#include <coppice/testing/simulation.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include <coppice/agent.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/task.hpp>

#include "simulation/deciders.hpp"

using namespace coppice;
using coppice::simulation::DepthFirst;
using coppice::simulation::Deviating;
using coppice::testing::Deviation;
using coppice::testing::Simulation;

namespace {

// -- who decides

TEST(Deciders, all_by_policy_but_for_some) {
  Deviating by({{5, 1}, {2, 7}});
  EXPECT_EQ(by.decide(0, 3, 1), 1u);
  EXPECT_EQ(by.decide(2, 3, 0), 2u) << "no more than there are";
  EXPECT_EQ(by.decide(3, 3, 0), 0u);
  EXPECT_EQ(by.decide(5, 2, 0), 1u);
  EXPECT_EQ(by.decide(6, 2, 0), 0u);
}

// Runs of three choices with 2, 3 and 2 alternatives whose policies are 0, 1 and 0.
std::multiset<std::string> all_runs(unsigned deviations_max) {
  std::multiset<std::string> runs;
  DepthFirst search(deviations_max);
  do {
    std::string run;
    for (const auto& [alternatives, policy] : {std::pair{2u, 0u}, std::pair{3u, 1u}, std::pair{2u, 0u}}) {
      run += std::to_string(search.decide(alternatives, policy));
    }
    runs.insert(run);
  } while (search.next());
  return runs;
}

TEST(Deciders, depth_first_makes_each_run_once) {
  EXPECT_EQ(all_runs(0), (std::multiset<std::string>{"010"}));
  EXPECT_EQ(all_runs(1), (std::multiset<std::string>{"010", "011", "000", "020", "110"}));
  const std::multiset<std::string> all = all_runs(3);
  EXPECT_EQ(all.size(), 12u);
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 12u);
}

TEST(Deciders, fewest_leaves_what_is_needed) {
  std::vector<Deviation> all;
  for (std::uint64_t i = 0; i < 100; ++i) all.push_back({i, 1});
  std::uint64_t asked = 0;
  const auto fails = [&](const std::vector<Deviation>& some) {
    ++asked;
    const auto has = [&](std::uint64_t n) { return std::ranges::find(some, Deviation{n, 1}) != some.end(); };
    return has(17) && has(80);
  };
  EXPECT_EQ(simulation::fewest(all, 1000, fails), (std::vector<Deviation>{{17, 1}, {80, 1}}));
  EXPECT_LT(asked, 100u);
}

// -- the last ticket, sold by two clerks

bool sell_badly(Agent<int>::Ref tickets) {
  if (tickets.get([](int left) { return left; }) == 0) return false;
  tickets.update([](int& left) { --left; });
  return true;
}
bool sell_well(Agent<int>::Ref tickets) {
  return tickets.get_and_update([](int& left) { return left > 0 && left-- > 0; });
}

void two_clerks(Simulation& simulation, bool (*sell)(Agent<int>::Ref)) {
  int sold = 0;
  simulation.run([&] {
    const auto tickets = Agent<int>::start_link([] { return 1; }).value();
    auto [one, other] = await_many(infinity, Task::async(sell, tickets), Task::async(sell, tickets));
    sold = int(one) + int(other);
    tickets.stop();
  });
  if (sold != 1) throw std::runtime_error("sold " + std::to_string(sold));
}

TEST(Shrinking, leaves_the_choices_that_matter_and_they_replay) {
  const auto body = [](Simulation& simulation) { two_clerks(simulation, sell_badly); };
  const auto failure = coppice::testing::find_failure(200, body);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->what, "sold 2");
  const auto shortest = coppice::testing::shrink(*failure, body);
  EXPECT_EQ(shortest.what, "sold 2");
  ASSERT_FALSE(shortest.deviations.empty());
  EXPECT_LE(shortest.deviations.size(), 2u) << failure->deviations.size();
  EXPECT_NE(shortest.trace.find("choice " + std::to_string(shortest.deviations.front().choice)), std::string::npos);
  Simulation again({.deviations = shortest.deviations});
  EXPECT_THROW(body(again), std::runtime_error);
}

TEST(Exploring, finds_the_schedule_that_fails) {
  const auto explored =
      coppice::testing::explore([](Simulation& simulation) { two_clerks(simulation, sell_badly); },
                                {.deviations_max = 2, .runs_max = 200'000, .simulation = {.schedulers = 2}});
  ASSERT_TRUE(explored.failure) << explored.runs;
  EXPECT_EQ(explored.failure->what, "sold 2");
  EXPECT_LE(explored.failure->deviations.size(), 2u);
  std::printf("found in run %llu\n%s", static_cast<unsigned long long>(explored.runs), explored.failure->trace.c_str());
}

TEST(Exploring, goes_through_all_schedules_of_a_program_that_is_right) {
  const auto explored =
      coppice::testing::explore([](Simulation& simulation) { two_clerks(simulation, sell_well); },
                                {.deviations_max = 1, .runs_max = 200'000, .simulation = {.schedulers = 2}});
  EXPECT_FALSE(explored.failure) << explored.failure->what;
  EXPECT_TRUE(explored.complete);
  EXPECT_GT(explored.runs, 20u);
  std::printf("%llu runs\n", static_cast<unsigned long long>(explored.runs));
}

TEST(Exploring, tells_when_it_has_not_seen_all) {
  const auto explored = coppice::testing::explore([](Simulation& simulation) { two_clerks(simulation, sell_well); },
                                                  {.deviations_max = 3, .runs_max = 10});
  EXPECT_EQ(explored.runs, 10u);
  EXPECT_FALSE(explored.complete);
}

}  // namespace
