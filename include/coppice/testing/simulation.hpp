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
// replayed by its seed: set COPPICE_SEED in the environment and for_each_seed runs that one alone.
//
// Processes are killed, workers stand still, timers are late, stacks and processes run out at moments that the seed
// chooses, on request (Faults). Invariants are asked at every step (always); that a system comes back when the faults have
// stopped is a line (recovers). explore() goes through all schedules of a small program; shrink() finds the few choices that
// make a run fail. For GoogleTest: testing/gtest.hpp.
//
// A program whose processes all wait for ever fails its run, which says who waits where (Stuck). What the simulation
// cannot control (a thread of the program's own, a process that never waits) ends the program with a sentence. One OS
// thread at a time may use a Simulation.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coppice/runtime.hpp>

namespace coppice {
inline namespace v1 {
namespace testing {

// A process that may be killed, or refused something.
struct Victim {
  Pid pid;
  std::string_view kind;  // class of a server, "Task", or empty
  std::string_view name;  // registered name, or empty
};

// What goes wrong, at random moments that the seed chooses. Ours: OTP has no such thing. A kill is an exit signal from nobody
// with the reason `kill`, so links and monitors see `killed` (PR-048). A step is a point where another thread may go on: whenever a
// worker looks for work, a message is sent, a checkpoint passed. Some hundred of them are a short program.
struct Faults {
  std::uint32_t kills_permille = 0;  // at so many steps of 1000 one process gets the signal `kill`
  std::uint64_t kills_max = ~std::uint64_t{0};
  std::function<bool(const Victim&)> may_kill = {};  // none: everybody; the first process is never killed
  std::uint32_t stalls_permille = 0;                 // at so many the worker stands still, with its timers
  std::chrono::nanoseconds stall_max = std::chrono::milliseconds(1);  // for at most this long
  // Of 1000 timers (of send_after, of the timeout of a wait, of a server's inactivity) so many fire later than asked for, by at
  // most late_max. read_timer and cancel_timer go on to tell what was asked for.
  std::uint32_t late_timers_permille = 0;
  std::chrono::nanoseconds late_max = std::chrono::milliseconds(1);
  // At so many of 1000 times a process that has to wait gets no stack to leave to the others (it ends with :system_limit, as
  // with RuntimeOptions::stacks_max), or one that starts a process gets none (spawn throws Exit(:system_limit), a start
  // gives that error, as with processes_max). The first process is never refused.
  std::uint32_t refused_stacks_permille = 0;
  std::uint32_t refused_processes_permille = 0;
  std::function<bool(const Victim&)> may_refuse = {};             // whom; none: everybody
  std::chrono::nanoseconds until = std::chrono::hours(24 * 365);  // no fault from this virtual time on
};

// How many there were.
struct FaultCounts {
  std::uint64_t kills = 0;
  std::uint64_t stalls = 0;
  std::uint64_t late_timers = 0;
  std::uint64_t refused_stacks = 0;
  std::uint64_t refused_processes = 0;
  [[nodiscard]] std::uint64_t all() const noexcept {
    return kills + stalls + late_timers + refused_stacks + refused_processes;
  }
};

// A choice that is made otherwise than the production code would make it: which one, counted from 0, and what is chosen.
struct Deviation {
  std::uint64_t choice = 0;
  std::uint32_t chosen = 0;
  friend bool operator==(const Deviation&, const Deviation&) = default;
};

struct SimulationOptions {
  std::uint64_t seed = 0;
  unsigned schedulers = 3;      // simulated worker threads
  RuntimeOptions runtime = {};  // `schedulers` there is ignored
  std::uint64_t steps_max = 50'000'000;
  Faults faults = {};
  // In place of the seed: all choices by policy, but for these. What shrink() and explore() find is replayed so.
  std::optional<std::vector<Deviation>> deviations = std::nullopt;
};

// Thrown by Simulation::run when an invariant does not hold.
class InvariantViolated : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Thrown by Simulation::run when what recovers() waits for has not come.
class NotRecovered : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Thrown by Simulation::run, and run_thread, when everybody waits and nothing will ever wake anybody: no message is
// under way, no timer is set. what() tells the seed, the time, and of each process where it waits, for which server
// (unless that has taken the call and keeps the answer back), and how many messages it has; of a server without work, that
// it is idle. The run is then forgotten without unwinding.
class Stuck : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// An invariant that is asked as long as this lives: Simulation::always.
class COPPICE_API Always {
 public:
  Always(Always&& other) noexcept : invariant_(std::exchange(other.invariant_, nullptr)) {}
  Always& operator=(Always&&) = delete;
  ~Always() {
    if (invariant_) *invariant_ = nullptr;
  }

 private:
  friend class Simulation;
  explicit Always(std::shared_ptr<std::function<bool()>> invariant) : invariant_(std::move(invariant)) {}
  std::shared_ptr<std::function<bool()>> invariant_;
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

  // Before run(), or by a process of the run. While the result lives `holds()` is asked at every step, between whatever
  // two things happen; when it does not hold, run() throws InvariantViolated at once, with the time and who was running. It
  // must only look: at what the program shares, not at what a process is in the middle of changing. The run is then
  // forgotten without unwinding.
  [[nodiscard]] Always always(std::string what, std::function<bool()> holds);
  // By a process of the run: from now on there are no faults, and within so much virtual time `works()` must be true; else
  // run() throws NotRecovered there and then. `works` is asked by the calling process, again and again, until it is true.
  // It may call servers: an exit of a call counts as no.
  //   simulation.recovers("Ledger answers", 2s, [] { return Ledger::name.call(Ledger::Sum{}) >= 0; });
  void recovers(std::string_view what, std::chrono::nanoseconds within, const std::function<bool()>& works);
  // So far.
  [[nodiscard]] FaultCounts faults() const noexcept;
  [[nodiscard]] std::uint64_t kills() const noexcept;   // of them
  [[nodiscard]] std::uint64_t stalls() const noexcept;  // of them
  [[nodiscard]] std::uint64_t step_count() const noexcept;

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
  friend struct Inside;
  struct Impl;
  explicit Simulation(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What all calls of Simulation::run in this program have done so far, for the last line of a report.
struct Totals {
  std::uint64_t runs = 0;
  std::uint64_t steps = 0;
  FaultCounts faults = {};
};
[[nodiscard]] COPPICE_API Totals totals() noexcept;

// A run that fails: `body` threw.
struct Failure {
  std::string what;                   // the exception
  std::uint64_t seed = 0;             // of a run by seed
  std::vector<Deviation> deviations;  // replay it with SimulationOptions::deviations; empty after shrink() if only the
                                      // seed's own times make it fail
  std::string trace;                  // the deviations in words
};

// Runs `body` with the seeds 0 to count - 1, or with COPPICE_SEED alone if that is set. When `body` throws, the seed and
// the command that replays it are printed on standard error before the exception goes on; with COPPICE_SHRINK=1 also the
// shortest list of deviations that shrink() finds.
COPPICE_API void for_each_seed(std::uint64_t count, const std::function<void(Simulation&)>& body,
                               const SimulationOptions& options = {});

// The first seed of so many whose run fails.
[[nodiscard]] COPPICE_API std::optional<Failure> find_failure(std::uint64_t count,
                                                              const std::function<void(Simulation&)>& body,
                                                              const SimulationOptions& options = {});

// Looks for a shorter schedule that fails, too: as few choices as possible that are not made by policy. Runs `body` at
// most `runs_max` times. `options` are those of the run that failed.
[[nodiscard]] COPPICE_API Failure shrink(const Failure& failure, const std::function<void(Simulation&)>& body,
                                         const SimulationOptions& options = {}, std::uint64_t runs_max = 2000);

struct ExploreOptions {
  unsigned deviations_max = 2;  // of one run: most mistakes need few
  std::uint64_t runs_max = 100'000;
  SimulationOptions simulation = {};  // `seed` and `deviations` are ignored
};
struct Explored {
  std::uint64_t runs = 0;
  bool complete = false;  // all runs within the bound, none failed
  std::optional<Failure> failure = {};
};
// Goes through all schedules of a small program that deviate from the policy at most so often, depth first, and stops at
// the first that fails. The number of runs grows with (choices of a run) to the power of deviations_max.
[[nodiscard]] COPPICE_API Explored explore(const std::function<void(Simulation&)>& body,
                                           const ExploreOptions& options = {});

}  // namespace testing
}  // namespace v1
}  // namespace coppice
