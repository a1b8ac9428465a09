// SPDX-License-Identifier: Apache-2.0
//
// A program in which all wait for ever fails its run, says who waits where, and leaves other runs as they are.
#include <coppice/testing/gtest.hpp>

#include <gtest/gtest-spi.h>

#include <string>
#include <string_view>

#include <coppice/gen_server.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

#include "platform/world.hpp"

using namespace coppice;
using namespace std::chrono_literals;
using coppice::testing::Simulation;
using coppice::testing::SimulationOptions;
using coppice::testing::Stuck;

namespace {

struct Never {};
struct Noise {};

class Forgetful : public GenServer<Forgetful> {
 public:
  struct Ask {
    using Reply = int;
  };
  struct Wait {
    using Reply = int;
  };
  static constexpr Name<Forgetful> name{"Forgetful"};
  int handle_call(const Wait&) {
    return receive([](const Never&) { return 1; });
  }
  void handle_call(const Ask&, From<int> from) { kept_.push_back(std::move(from)); }

 private:
  std::vector<From<int>> kept_;
};

[[gnu::noinline]] void wait_for_what_never_comes() {
  (void)receive([](const Never&) { return 1; });
}

std::string what_is_said(const std::function<void()>& main) {
  Simulation simulation({.seed = 7});
  try {
    simulation.run(main);
  } catch (const Stuck& stuck) {
    return stuck.what();
  }
  return "";
}

bool says(const std::string& text, std::string_view words) { return text.find(words) != std::string::npos; }

TEST(SimulatedStuck, a_process_that_waits_for_ever_is_told_with_the_place) {
  const std::string told = what_is_said([] {
    sleep_for(3s);
    register_name(self(), "waits");
    send(self(), Noise{});
    send(self(), Noise{});
    wait_for_what_never_comes();
  });
  EXPECT_TRUE(says(told, "every process waits, and nothing will wake any of them; seed 7, 30")) << told;
  EXPECT_TRUE(says(told, " waits, 2 messages in its mailbox, in\n")) << told;
#if defined(__x86_64__) || defined(__aarch64__)
  EXPECT_TRUE(says(told, "wait_for_what_never_comes")) << told;
#endif
}

TEST(SimulatedStuck, a_server_that_keeps_its_answer_back_is_told_as_idle) {
  const std::string told = what_is_said([] {
    (void)Forgetful::start_link().value();
    (void)Forgetful::name.call(Forgetful::Ask{}, infinity);
  });
  EXPECT_TRUE(says(told, "> waits, in\n")) << told;
  EXPECT_TRUE(says(told, "Forgetful) is idle\n")) << told;
}

TEST(SimulatedStuck, a_caller_is_told_with_the_server_that_waits_in_its_handler) {
  const std::string told = what_is_said([] {
    (void)Forgetful::start_link().value();
    (void)Forgetful::name.call(Forgetful::Wait{}, infinity);
  });
  EXPECT_TRUE(says(told, "> waits for the answer of #PID<0.")) << told;
  EXPECT_TRUE(says(told, "Forgetful) waits, in\n")) << told;
}

// Waits for ever if the seed chooses so; the rest is what other runs are compared by.
void waits_if_so_chosen(Simulation& simulation) {
  (void)spawn_monitor([] { sleep_for(1ms); });
  (void)receive<Down>();
  if (simulation.choose(4) == 1) wait_for_what_never_comes();
}

TEST(SimulatedStuck, the_runs_behind_it_are_what_they_were) {
  const auto hash = [](std::uint64_t seed) {
    Simulation simulation({.seed = seed});
    try {
      simulation.run([&] { waits_if_so_chosen(simulation); });
      EXPECT_EQ(simulation.processes_left(), 0u);
    } catch (const Stuck&) {
      return std::pair(simulation.decision_hash(), true);
    }
    return std::pair(simulation.decision_hash(), false);
  };
  int stuck = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const auto first = hash(seed);
    EXPECT_EQ(hash(seed), first);
    stuck += first.second ? 1 : 0;
  }
  EXPECT_GT(stuck, 0);
  EXPECT_LT(stuck, 30);
}

void run_test_that_may_wait_for_ever() { coppice::testing::run_test(waits_if_so_chosen); }

TEST(SimulatedStuck, it_is_a_failure_of_its_test_and_not_the_end_of_the_program) {
  EXPECT_NONFATAL_FAILURE(run_test_that_may_wait_for_ever(), "every process waits");
}

TEST(SimulatedStuck, explore_and_find_failure_find_it) {
  const auto body = [](Simulation& simulation) { simulation.run([&] { waits_if_so_chosen(simulation); }); };
  const auto found = coppice::testing::find_failure(100, body);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(says(found->what, "every process waits")) << found->what;
  const auto explored = coppice::testing::explore(body, {.deviations_max = 1});
  ASSERT_TRUE(explored.failure.has_value());
  EXPECT_TRUE(says(explored.failure->what, "every process waits")) << explored.failure->what;
  EXPECT_EQ(explored.failure->deviations.size(), 1u);
}

TEST(SimulatedStuck, a_thread_that_waits_for_ever_is_told_too) {
  Simulation simulation({.seed = 3});
  coppice::platform::Parker parker;
  const auto wait = [&] { simulation.world().park(parker, coppice::platform::never); };
  EXPECT_THROW(simulation.run_thread(wait), Stuck);
}

}  // namespace
