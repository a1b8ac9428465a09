// SPDX-License-Identifier: Apache-2.0
//
// The same seed gives the same run, decision by decision; different seeds give different runs.
#include <coppice/testing/simulation.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

using namespace coppice;
using namespace std::chrono_literals;

namespace {

struct Token {
  int hops = 0;
};
struct Tick {
  int number = 0;
};
struct Peer {
  Pid pid;
};
struct Stop {};

// What happened, in the order in which it did.
using Trace = std::shared_ptr<std::vector<std::string>>;

void ring_member(const Trace& trace, const Pid& report_to, int place) {
  const Pid next = receive<Peer>().pid;
  for (;;) {
    const bool more = receive(
        [&](const Token& token) {
          trace->push_back("token " + std::to_string(token.hops) + " at " + std::to_string(place));
          if (token.hops == 0) {
            send(report_to, Token{});
          } else {
            send(next, Token{token.hops - 1});
          }
          if (token.hops % 5 == 0) sleep_for(std::chrono::microseconds(10 * place));
          return true;
        },
        [&](const Tick& tick) {
          trace->push_back("tick " + std::to_string(tick.number) + " at " + std::to_string(place));
          if (tick.number % 3 == 0) (void)blocking([n = tick.number] { return n * n; });
          return true;
        },
        [](const Stop&) { return false; });
    if (!more) return;
  }
}

// A ring with several tokens, timers into it, children that are linked, monitored, named and killed meanwhile.
void program(const Trace& trace) {
  constexpr int members = 7;
  constexpr int tokens = 4;
  std::vector<Pid> ring;
  for (int i = 0; i < members; ++i) {
    const Pid me = self();
    ring.push_back(spawn([trace, me, i] { ring_member(trace, me, i); }, {.name = "member" + std::to_string(i)}));
  }
  for (int i = 0; i < members; ++i)
    send(ring[static_cast<std::size_t>(i)], Peer{ring[static_cast<std::size_t>((i + 1) % members)]});
  for (int i = 0; i < tokens; ++i) send("member" + std::to_string(i), Token{20 + i});
  std::vector<Reference> timers;
  for (int i = 0; i < 10; ++i) {
    timers.push_back(
        send_after(ring[static_cast<std::size_t>(i % members)], Tick{i}, std::chrono::microseconds(37 * i)));
  }
  trap_exit(true);
  for (int i = 0; i < 6; ++i) {
    const auto [pid, watch] = spawn_link_monitor([i] {
      for (int j = 0; j < i; ++j) yield();
      if (i % 2 == 0) sleep_for(infinity);
    });
    if (i % 2 == 0) exit(pid, ExitReason::kill());
    const Down down = receive<Down>();
    EXPECT_EQ(down.reference, watch);
    trace->push_back("down " + to_string(down.reason));
    EXPECT_EQ(receive<ExitMessage>().pid, pid);
  }
  for (int i = 0; i < tokens; ++i) receive<Token>();
  for (const Reference& timer : timers) (void)cancel_timer(timer);
  for (const Pid& pid : ring) {
    const Reference watch = monitor(pid);
    send(pid, Stop{});
    EXPECT_EQ(receive<Down>().reference, watch);
  }
}

struct Outcome {
  std::uint64_t hash = 0;
  std::uint64_t decisions = 0;
  std::vector<std::string> trace;
};

Outcome run_with(std::uint64_t seed) {
  const Trace trace = std::make_shared<std::vector<std::string>>();
  coppice::testing::Simulation simulation({.seed = seed});
  const ExitReason reason = simulation.run([&] { program(trace); });
  EXPECT_TRUE(reason.is_normal()) << to_string(reason);
  EXPECT_EQ(simulation.processes_left(), 0u);
  EXPECT_EQ(simulation.timers_left(), 0u);
  return {simulation.decision_hash(), simulation.decision_count(), *trace};
}

}  // namespace

TEST(Replay, the_same_seed_gives_the_same_run) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const Outcome first = run_with(seed);
    const Outcome second = run_with(seed);
    EXPECT_EQ(first.hash, second.hash) << "seed " << seed;
    EXPECT_EQ(first.decisions, second.decisions) << "seed " << seed;
    EXPECT_EQ(first.trace, second.trace) << "seed " << seed;
    EXPECT_GT(first.decisions, 100u);
  }
}

TEST(Replay, different_seeds_give_different_runs) {
  std::set<std::uint64_t> hashes;
  std::set<std::vector<std::string>> traces;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Outcome run = run_with(seed);
    hashes.insert(run.hash);
    traces.insert(run.trace);
  }
  EXPECT_EQ(hashes.size(), 60u);
  EXPECT_GT(traces.size(), 30u);  // and not only in decisions that change nothing
}

TEST(Replay, what_ran_before_in_the_program_does_not_matter) {
  const Outcome first = run_with(5);
  (void)run_with(77);
  {
    Runtime on_threads({.schedulers = 2});
    (void)on_threads.run([] {});
  }
  const Outcome second = run_with(5);
  EXPECT_EQ(first.hash, second.hash);
  EXPECT_EQ(first.trace, second.trace);
}
