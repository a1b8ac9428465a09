// SPDX-License-Identifier: Apache-2.0
#include <coppice/testing/simulation.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>

#include <coppice/exit.hpp>
#include <coppice/process.hpp>
#include <coppice/timer.hpp>

#include "runtime/core.hpp"
#include "simulation/deciders.hpp"
#include "simulation/simulated_world.hpp"
#include "simulation/waiting.hpp"

namespace coppice {
inline namespace v1 {
namespace testing {

namespace {

using platform::Nanoseconds;
using simulation::SimulatedWorld;
using simulation::SimulatedWorldOptions;

// Who decides, if it is not the seed, by the number of a choice, its alternatives and its policy.
using Decider = std::function<std::uint32_t(std::uint64_t, std::uint32_t, std::uint32_t)>;

struct Invariant {
  std::string what;
  std::shared_ptr<std::function<bool()>> holds;  // empty once it is given up
};

Nanoseconds not_negative(std::chrono::nanoseconds time) {
  return static_cast<Nanoseconds>(std::max<std::int64_t>(time.count(), 0));
}

// A choice against the policy, as it was made.
struct Noted {
  Deviation deviation;
  platform::Choice choice{};
  std::uint32_t alternatives = 0;
  Nanoseconds time = 0;
  std::string who;
  std::string fault;  // what it came to
};

// Of all simulations of the program.
struct Tally {
  std::atomic<std::uint64_t> runs{0};
  std::atomic<std::uint64_t> steps{0};
  std::atomic<std::uint64_t> kills{0};
  std::atomic<std::uint64_t> stalls{0};
  std::atomic<std::uint64_t> late_timers{0};
  std::atomic<std::uint64_t> refused_stacks{0};
  std::atomic<std::uint64_t> refused_processes{0};
};
constinit Tally tally;

// The number and class of the process that runs where a choice is made.
std::string who_runs() {
  runtime::Worker* here = runtime::this_worker();
  if (here == nullptr) return "a thread that is no worker";
  runtime::Process* process = here->current();
  if (process == nullptr) return "worker " + std::to_string(here->id());
  const char* kind = here->core().table().badge(*process).kind.load(std::memory_order_relaxed);
  const Pid pid = here->core().pid_of(process->serial.load(std::memory_order_relaxed));
  return inspect(pid) + (kind == nullptr ? "" : std::string(" ") + kind);
}

}  // namespace

struct Simulation::Impl {
  Impl(const SimulationOptions& given, bool notes, Decider other = {})
      : options(given), decider(std::move(other)), takes_notes(notes), world(world_options()) {
    options.runtime.schedulers = given.schedulers;
  }

  SimulatedWorldOptions world_options() {
    if (options.deviations) {
      decider = [by = simulation::Deviating(*options.deviations)](std::uint64_t number, std::uint32_t alternatives,
                                                                  std::uint32_t policy) mutable {
        return by.decide(number, alternatives, policy);
      };
    }
    SimulatedWorldOptions wanted;
    wanted.seed = options.seed;
    wanted.hardware_threads = options.schedulers;
    wanted.steps_max = options.steps_max;
    if (takes_notes) {
      wanted.on_choice = [this](std::uint64_t number, const simulation::Decision& made) { note(number, made); };
    }
    if (decider) {
      wanted.decide = [this](std::uint64_t number, platform::Choice, std::uint32_t alternatives, std::uint32_t policy) {
        return decider(number, alternatives, policy);
      };
    }
    wanted.on_step = [this] { on_step(); };
    wanted.on_stuck = [this](const std::string& threads) { throw Stuck(stuck(threads)); };
    const Faults& faults = options.faults;
    if (faults.late_timers_permille != 0) wanted.on_timer = [this] { return lateness(); };
    if (faults.refused_stacks_permille != 0 || faults.refused_processes_permille != 0) {
      wanted.on_request = [this](platform::Scarce what, std::uint64_t number) { return refuses(what, number); };
    }
    return wanted;
  }

  void note(std::uint64_t number, const simulation::Decision& made) {
    if (made.result == made.policy) return;
    noted.push_back({{number, static_cast<std::uint32_t>(made.result)},
                     made.choice,
                     made.alternatives,
                     world.time_since_start(),
                     who_runs(),
                     {}});
  }

  // For the trace: what the last choice came to.
  void tell_fault(const std::function<std::string()>& what) {
    if (takes_notes && !noted.empty()) noted.back().fault = what();
  }
  [[nodiscard]] std::string shown(const Pid& pid) const {
    const Victim victim = describe(pid);
    return inspect(pid) + (victim.kind.empty() ? "" : " " + std::string(victim.kind)) +
           (victim.name.empty() ? "" : " (" + std::string(victim.name) + ")");
  }

  [[nodiscard]] bool faults_may_be() const {
    return core != nullptr && !faults_are_over && world.time_since_start() < not_negative(options.faults.until);
  }

  // Without a runtime of ours, in run_thread or while that of run() stops, what is known are the threads.
  [[nodiscard]] std::string stuck(const std::string& threads) const {
    if (core == nullptr) return threads;
    return "every process waits, and nothing will wake any of them; seed " + std::to_string(options.seed) + ", " +
           std::to_string(world.time_since_start()) + " ns after the start:\n" + simulation::who_waits(*core);
  }

  void on_step() {
    for (const Invariant& invariant : invariants) {
      if (!*invariant.holds || (*invariant.holds)()) continue;
      world.end_run(std::make_exception_ptr(InvariantViolated(invariant.what + " does not hold, " +
                                                              std::to_string(world.time_since_start()) +
                                                              " ns after the start, while " + who_runs() + " runs")));
    }
    const Faults& faults = options.faults;
    if ((faults.kills_permille == 0 && faults.stalls_permille == 0) || !faults_may_be()) return;
    if (counts.kills < faults.kills_max && world.chance(faults.kills_permille)) kill_one();
    if (world.chance(faults.stalls_permille)) stall();
  }

  void kill_one() {
    std::vector<Pid> victims;
    for (const std::uint64_t number : core->table().numbers()) {
      const Pid pid = core->pid_of(number);
      const std::uint32_t flags = core->table().line(pid).flags.load(std::memory_order_relaxed);
      if (pid == core->first_process() || (flags & runtime::flag::doomed) != 0) continue;
      if (!options.faults.may_kill || options.faults.may_kill(describe(pid))) victims.push_back(pid);
    }
    if (victims.empty()) return;
    ++counts.kills;
    const Pid victim = victims[world.pick(static_cast<std::uint32_t>(victims.size()))];
    tell_fault([&] { return "kills " + shown(victim); });
    // As if by a foreign thread: the worker on which this runs may be about to sleep, and looks no more into its own slots.
    void* const worker = std::exchange(runtime::this_worker_slot(), nullptr);
    runtime::exit_from(*core, {}, victim, ExitReason::kill());
    runtime::this_worker_slot() = worker;
  }

  [[nodiscard]] Victim describe(const Pid& pid) const {
    Victim victim{.pid = pid, .kind = {}, .name = {}};
    const runtime::Process& process = core->table().line(pid);
    const char* kind = core->table().badge(process).kind.load(std::memory_order_relaxed);
    const char* name = core->table().sight(process).name.load(std::memory_order_relaxed);
    if (kind != nullptr) victim.kind = kind;
    if (name != nullptr) victim.name = name;
    return victim;
  }

  void stall() {
    const Nanoseconds most = not_negative(options.faults.stall_max);
    if (most == 0) return;
    ++counts.stalls;
    const Nanoseconds time = part_of(most);
    tell_fault([&] { return "stands still for " + std::to_string(time) + " ns"; });
    platform::Parker nobody_wakes;
    (void)world.park(nobody_wakes, world.now() + time);
  }

  Nanoseconds part_of(Nanoseconds most) {
    constexpr std::uint32_t parts = 16;
    return most * (world.pick(parts) + 1) / parts;
  }

  Nanoseconds lateness() {
    const Nanoseconds most = not_negative(options.faults.late_max);
    if (most == 0 || !faults_may_be() || !world.chance(options.faults.late_timers_permille)) return 0;
    ++counts.late_timers;
    const Nanoseconds time = part_of(most);
    tell_fault([&] { return "its timer will be late by " + std::to_string(time) + " ns"; });
    return time;
  }

  bool refuses(platform::Scarce what, std::uint64_t number) {
    const Faults& faults = options.faults;
    const bool is_stack = what == platform::Scarce::stack;
    const std::uint32_t permille = is_stack ? faults.refused_stacks_permille : faults.refused_processes_permille;
    if (permille == 0 || !faults_may_be()) return false;
    const Pid pid = core->pid_of(number);
    if (pid == core->first_process() || (faults.may_refuse && !faults.may_refuse(describe(pid)))) return false;
    if (!world.chance(permille)) return false;
    ++(is_stack ? counts.refused_stacks : counts.refused_processes);
    tell_fault([&] { return shown(pid) + (is_stack ? " gets no stack" : " gets no process"); });
    return true;
  }

  // What this run adds to the tally; once.
  void add_up() {
    tally.runs += 1;
    tally.steps += world.step_count();
    tally.kills += counts.kills;
    tally.stalls += counts.stalls;
    tally.late_timers += counts.late_timers;
    tally.refused_stacks += counts.refused_stacks;
    tally.refused_processes += counts.refused_processes;
  }

  SimulationOptions options;
  Decider decider;
  bool takes_notes = false;
  std::vector<Noted> noted;
  std::vector<Invariant> invariants;
  FaultCounts counts;
  bool faults_are_over = false;
  runtime::Core* core = nullptr;  // while the runtime runs
  SimulatedWorld world;
  StopReport report;
  std::size_t processes_left = 0;
  std::size_t timers_left = 0;
};

Simulation::Simulation(const SimulationOptions& options) : impl_(std::make_unique<Impl>(options, false)) {}
Simulation::Simulation(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Simulation::~Simulation() = default;

ExitReason Simulation::run(std::function<void()> main) {
  ExitReason reason;
  struct Forget {  // however the run ends
    Impl& impl;
    ~Forget() {
      impl.core = nullptr;
      impl.add_up();
    }
  } const forget{*impl_};
  impl_->world.run([&] {
    Runtime runtime(impl_->world, impl_->options.runtime);
    const Runtime::Scope scope(runtime);
    impl_->core = &runtime.core();
    reason = runtime.run(std::move(main));
    impl_->core = nullptr;
    impl_->report = runtime.stop();
    impl_->processes_left = runtime.process_count();
    impl_->timers_left = runtime.timer_count();
  });
  return reason;
}

void Simulation::run_thread(std::function<void()> body) { impl_->world.run(std::move(body)); }

Always Simulation::always(std::string what, std::function<bool()> holds) {
  auto invariant = std::make_shared<std::function<bool()>>(std::move(holds));
  impl_->invariants.push_back({std::move(what), invariant});
  return Always(std::move(invariant));
}

void Simulation::recovers(std::string_view what, std::chrono::nanoseconds within, const std::function<bool()>& works) {
  impl_->faults_are_over = true;
  constexpr int looks = 64;
  const std::chrono::nanoseconds pause =
      std::max<std::chrono::nanoseconds>(within / looks, std::chrono::microseconds(1));
  const std::chrono::nanoseconds deadline = monotonic_time() + within;
  for (;;) {
    const bool in_time = monotonic_time() <= deadline;
    bool works_now = false;
    try {
      works_now = works();
    } catch (const Exit&) {
    }
    // Who asked in time for something that takes no time may be answered a moment later: the clock drifts.
    if (works_now && in_time && monotonic_time() <= deadline + pause) return;
    if (!in_time) break;
    sleep_for(pause);
  }
  impl_->world.end_run(std::make_exception_ptr(
      NotRecovered(std::string(what) + " is not so " + std::to_string(within.count()) + " ns after the last fault")));
}

FaultCounts Simulation::faults() const noexcept { return impl_->counts; }
std::uint64_t Simulation::kills() const noexcept { return impl_->counts.kills; }
std::uint64_t Simulation::stalls() const noexcept { return impl_->counts.stalls; }
std::uint64_t Simulation::step_count() const noexcept { return impl_->world.step_count(); }
std::uint64_t Simulation::seed() const noexcept { return impl_->options.seed; }
platform::World& Simulation::world() noexcept { return impl_->world; }
std::uint32_t Simulation::choose(std::uint32_t alternatives) {
  return impl_->world.choose(platform::Choice::user, alternatives, 0);
}
std::uint64_t Simulation::decision_hash() const noexcept { return impl_->world.decision_hash(); }
std::uint64_t Simulation::decision_count() const noexcept { return impl_->world.decision_count(); }
const StopReport& Simulation::stop_report() const noexcept { return impl_->report; }
std::size_t Simulation::processes_left() const noexcept { return impl_->processes_left; }
std::size_t Simulation::timers_left() const noexcept { return impl_->timers_left; }

Totals totals() noexcept {
  Totals all;
  all.runs = tally.runs;
  all.steps = tally.steps;
  all.faults = {.kills = tally.kills,
                .stalls = tally.stalls,
                .late_timers = tally.late_timers,
                .refused_stacks = tally.refused_stacks,
                .refused_processes = tally.refused_processes};
  return all;
}

// -- many runs -------------------------------------------------------------------------------------------------------

// Runs with notes, for those who look at many.
struct Inside {
  using Body = std::function<void(Simulation&)>;

  // The failure of a run, if it fails.
  static std::optional<Failure> run(const SimulationOptions& options, const Body& body, Decider decider = {}) {
    Simulation simulation(std::make_unique<Simulation::Impl>(options, true, std::move(decider)));
    std::optional<Failure> failure;
    try {
      body(simulation);
    } catch (const std::exception& error) {
      failure = Failure{.what = error.what(), .seed = options.seed, .deviations = {}, .trace = {}};
    } catch (const Exit& exit) {
      failure = Failure{.what = to_string(exit.reason()), .seed = options.seed, .deviations = {}, .trace = {}};
    } catch (...) {
      failure = Failure{.what = "it threw something", .seed = options.seed, .deviations = {}, .trace = {}};
    }
    if (!failure) return std::nullopt;
    for (const Noted& noted : simulation.impl_->noted) failure->deviations.push_back(noted.deviation);
    failure->trace = trace(simulation.impl_->noted);
    return failure;
  }

  static std::string trace(const std::vector<Noted>& all) {
    std::string text;
    for (const Noted& noted : all) {
      text += "choice " + std::to_string(noted.deviation.choice) + ", " + std::to_string(noted.time / 1000) +
              " us: " + noted.who + ": " + std::string(simulation::name_of(noted.choice)) + " " +
              std::to_string(noted.deviation.chosen) + " of " + std::to_string(noted.alternatives) +
              (noted.fault.empty() ? "" : ": " + noted.fault) + "\n";
    }
    return text;
  }
};

namespace {

void tell(const Failure& failure) {
  std::string list;
  for (const Deviation& deviation : failure.deviations) {
    list +=
        (list.empty() ? "{" : ", {") + std::to_string(deviation.choice) + ", " + std::to_string(deviation.chosen) + "}";
  }
  std::fprintf(stderr, "simulation: %s\nsimulation: .deviations = {{%s}} replays it; these are\n%s",
               failure.what.c_str(), list.c_str(), failure.trace.c_str());
}

}  // namespace

void for_each_seed(std::uint64_t count, const std::function<void(Simulation&)>& body,
                   const SimulationOptions& options) {
  std::uint64_t first = 0;
  if (const char* only = std::getenv("COPPICE_SEED")) {
    first = std::strtoull(only, nullptr, 10);
    count = first + 1;
  }
  for (std::uint64_t seed = first; seed < count; ++seed) {
    SimulationOptions seeded = options;
    seeded.seed = seed;
    try {
      Simulation simulation(seeded);
      body(simulation);
    } catch (...) {
      std::fprintf(stderr, "simulation: seed %llu failed; COPPICE_SEED=%llu replays it\n",
                   static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
      if (std::getenv("COPPICE_SHRINK") != nullptr) {
        if (const auto failure = Inside::run(seeded, body)) tell(shrink(*failure, body, seeded));
      }
      throw;
    }
  }
}

std::optional<Failure> find_failure(std::uint64_t count, const std::function<void(Simulation&)>& body,
                                    const SimulationOptions& options) {
  for (std::uint64_t seed = 0; seed < count; ++seed) {
    SimulationOptions seeded = options;
    seeded.seed = seed;
    seeded.deviations.reset();
    if (auto failure = Inside::run(seeded, body)) return failure;
  }
  return std::nullopt;
}

Failure shrink(const Failure& failure, const std::function<void(Simulation&)>& body, const SimulationOptions& options,
               std::uint64_t runs_max) {
  Failure shortest = failure;
  SimulationOptions wanted = options;
  wanted.seed = failure.seed;
  std::uint64_t runs = 0;
  const auto fails = [&](const std::vector<Deviation>& deviations) {
    ++runs;
    wanted.deviations = deviations;
    auto found = Inside::run(wanted, body);
    if (found) shortest = std::move(*found);
    return found.has_value();
  };
  if (runs_max == 0) return failure;
  if (!fails(failure.deviations)) {  // it needs the times of its seed
    shortest.deviations.clear();
    return shortest;
  }
  (void)simulation::fewest(shortest.deviations, runs_max - 1, fails);
  // Nothing can be left out of these; but others may be fewer. With one or two, all can be tried.
  constexpr std::size_t tried_all_max = 2;
  if (shortest.deviations.size() < 2) return shortest;
  wanted.deviations.reset();
  simulation::DepthFirst search(static_cast<unsigned>(std::min(shortest.deviations.size() - 1, tried_all_max)));
  const Decider decider = [&search](std::uint64_t, std::uint32_t alternatives, std::uint32_t policy) {
    return search.decide(alternatives, policy);
  };
  do {
    if (++runs > runs_max) break;
    if (auto found = Inside::run(wanted, body, decider)) return *std::move(found);
  } while (search.next());
  return shortest;
}

Explored explore(const std::function<void(Simulation&)>& body, const ExploreOptions& options) {
  Explored explored;
  simulation::DepthFirst search(options.deviations_max);
  const Decider decider = [&search](std::uint64_t, std::uint32_t alternatives, std::uint32_t policy) {
    return search.decide(alternatives, policy);
  };
  SimulationOptions wanted = options.simulation;
  wanted.seed = 0;
  wanted.deviations.reset();
  do {
    if (explored.runs == options.runs_max) return explored;
    ++explored.runs;
    explored.failure = Inside::run(wanted, body, decider);
    if (explored.failure) return explored;
  } while (search.next());
  explored.complete = true;
  return explored;
}

}  // namespace testing
}  // namespace v1
}  // namespace coppice
