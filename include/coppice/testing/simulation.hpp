// SPDX-License-Identifier: Apache-2.0
//
// Simulation: a whole system on one thread, in virtual time, with every scheduling choice drawn from a seed.
//
//   for_each_seed(200, [](testing::Simulation& simulation) {
//     simulation.run([] {
//       Counter::start_link(0).value();
//       sleep_for(24h);                      // takes no time
//     });
//   });
//
// It runs the production code. The same seed gives the same run: decision_hash() of two runs is equal. A failure is
// replayed by its seed: set COPPICE_SEED in the environment and for_each_seed runs that one alone. What the simulation
// cannot control (a thread of the program's own, a wait that nothing will ever end) ends the program with a sentence.
// One OS thread at a time may use a Simulation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <coppice/runtime.hpp>

namespace coppice {
inline namespace v1 {
namespace testing {

struct SimulationOptions {
  std::uint64_t seed = 0;
  unsigned schedulers = 3;       // simulated worker threads
  RuntimeOptions runtime = {};   // `schedulers` there is ignored
  std::uint64_t steps_max = 50'000'000;
};

class COPPICE_API Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // Runs `main` as the first process of a fresh runtime in the simulated world, then stops the runtime; returns the exit
  // reason of `main`. May be called once.
  ExitReason run(std::function<void()> main);

  // Runs `body` as a simulated thread that is no process: for tests that make a Runtime in `world()` themselves.
  void run_thread(std::function<void()> body);

  [[nodiscard]] std::uint64_t seed() const noexcept;
  [[nodiscard]] platform::World& world() noexcept;
  // A number below `alternatives` that depends on the seed and counts among the decisions.
  [[nodiscard]] std::uint32_t choose(std::uint32_t alternatives);
  // After run(): one number for all that was decided.
  [[nodiscard]] std::uint64_t decision_hash() const noexcept;
  [[nodiscard]] std::uint64_t decision_count() const noexcept;
  // What stop() had to do, and what was left when it had ended: processes, timers, stacks. All zero in a sound program.
  [[nodiscard]] const StopReport& stop_report() const noexcept;
  [[nodiscard]] std::size_t processes_left() const noexcept;
  [[nodiscard]] std::size_t timers_left() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Runs `body` with the seeds 0 to count - 1, or with COPPICE_SEED alone if that is set. When `body` throws, the seed and
// the command that replays it are printed on standard error before the exception goes on.
COPPICE_API void for_each_seed(std::uint64_t count, const std::function<void(Simulation&)>& body,
                               const SimulationOptions& options = {});

}  // namespace testing
}  // namespace v1
}  // namespace coppice
