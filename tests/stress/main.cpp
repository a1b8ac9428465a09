// SPDX-License-Identifier: Apache-2.0
//
// stress [--seconds N] [--seed N] [--schedulers N] [--hand-off always|never] [--thorough] [WORKLOAD...]
//
// Runs the workloads one after the other, each for its share of the time: in legs of one Runtime each, with other numbers
// of schedulers and other ways to hand off in turn, and each leg in rounds. After every round nothing may be left: no
// process but those that the library itself keeps, no timer, no held stack, no name, no table; and, without sanitizers, the
// memory in use at the end of a leg is compared with that after its second round.
//
// Prints a line for each workload, and last `stress: clean`, or how many complaints there were and how to run them again.
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <coppice/ets.hpp>
#include <coppice/print.hpp>

#include "platform/sanitizers.hpp"
#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

// Memory may grow by an eighth and 24 MiB between the second round of a leg and its last one: rounds are not all alike,
// and malloc keeps what several threads have given back.
constexpr std::size_t growth_divisor = 8;
constexpr std::size_t growth_floor = std::size_t{24} << 20;

struct Plan {
  double seconds = 5;
  std::uint64_t seed = 1;
  unsigned schedulers = 0;  // 0: in turn
  HandOff hand_off = HandOff::automatic;
  bool forced_hand_off = false;
  bool thorough = false;
  std::vector<std::string> workloads;
};

struct Leg {
  unsigned schedulers;
  HandOff hand_off;
};
constexpr Leg legs[] = {{4, HandOff::automatic}, {2, HandOff::always}, {8, HandOff::never}, {1, HandOff::automatic}};

[[nodiscard]] std::size_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long pages = 0;
  if (std::fscanf(file, "%*u %lu", &pages) != 1) pages = 0;
  std::fclose(file);
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// -- what is there --------------------------------------------------------------------------------------------------

struct Inventory {
  std::size_t processes;
  std::size_t timers;
  std::size_t stacks;
  std::size_t names;
  std::size_t tables;
  friend bool operator==(const Inventory&, const Inventory&) = default;
};

[[nodiscard]] Inventory take_inventory(const Runtime& runtime) {
  return {runtime.process_count(), runtime.timer_count(), runtime.stacks_held(), registered().size(),
          ets::all().size()};
}

// The last processes of a round may still be on their way out when its first one has ended.
void nothing_left(const Runtime& runtime, const Inventory& before) {
  const auto deadline = Clock::now() + std::chrono::seconds(20);
  Inventory now = take_inventory(runtime);
  while (now != before && Clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(1));
    now = take_inventory(runtime);
  }
  same("processes left", now.processes, before.processes);
  same("timers left", now.timers, before.timers);
  same("stacks held", now.stacks, before.stacks);
  same("names left", now.names, before.names);
  same("tables left", now.tables, before.tables);
}

// -- a round that does not end --------------------------------------------------------------------------------------

// Ends the program, telling who is there, if nobody calls `done` in time.
class Alarm {
 public:
  Alarm(Runtime& runtime, std::chrono::seconds time) : thread_([this, &runtime, time] { watch(runtime, time); }) {}
  ~Alarm() {
    {
      const std::scoped_lock lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void watch(Runtime& runtime, std::chrono::seconds time) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, time, [this] { return done_; })) return;
    const Runtime::Scope scope(runtime);
    std::fprintf(stderr, "stress: FAILED: a round does not end: %zu processes, %zu timers; some of them:\n",
                 runtime.process_count(), runtime.timer_count());
    std::size_t shown = 0;
    for (const Pid& pid : processes()) {
      if (++shown > 40) break;
      const auto info = process_info(pid);
      if (!info) continue;
      println("  {} {} {} status {} queue {} links {} monitors {}", pid, info->initial_call, info->registered_name,
              static_cast<int>(info->status), info->message_queue_len, info->links.size(), info->monitors.size());
      for (const std::string& frame : info->current_stacktrace) println("      {}", frame);
    }
    std::fflush(nullptr);
    std::abort();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;
};

// -- legs and rounds ------------------------------------------------------------------------------------------------

struct Tally {
  std::uint64_t rounds = 0;
  std::size_t resident_before = 0;  // of the leg that grew most
  std::size_t resident_after = 0;
};

[[nodiscard]] std::string where(const Workload& workload, const Leg& leg, std::uint64_t seed) {
  static const char* const ways[] = {"automatic", "always", "never"};
  return std::string(workload.name()) + " with " + std::to_string(leg.schedulers) + " schedulers, hand-off " +
         ways[static_cast<int>(leg.hand_off)] + ", seed " + std::to_string(seed);
}

void run_round(Workload& workload, Runtime& runtime, const Setting& setting, Clock::time_point until,
               std::uint64_t seed) {
  const Inventory before = take_inventory(runtime);
  const Alarm alarm(runtime, duration_cast<std::chrono::seconds>(until - Clock::now()) +
                                 std::chrono::seconds(setting.plain ? 120 : 400));
  const ExitReason reason = runtime.run([&] { workload.run(setting, until, Random(seed)); });
  if (!reason.is_normal()) fail("the first process ended with " + format_exit(reason));
  nothing_left(runtime, before);
  workload.check();
}

void judge_growth(Tally& tally, std::size_t before, std::size_t after) {
  const auto growth = [](std::size_t from, std::size_t to) { return to > from ? to - from : 0; };
  if (tally.resident_before == 0 || growth(before, after) > growth(tally.resident_before, tally.resident_after)) {
    tally.resident_before = before;
    tally.resident_after = after;
  }
  if (after > before + before / growth_divisor + growth_floor) {
    fail("memory grew from " + std::to_string(before >> 20) + " MiB to " + std::to_string(after >> 20) + " MiB");
  }
}

void run_leg(Workload& workload, const Setting& setting, Clock::duration time, std::uint64_t& seed, Tally& tally,
             std::uint64_t rounds_min) {
  const auto end = Clock::now() + time;
  const auto length = std::clamp<Clock::duration>(time / 4, milliseconds(50), std::chrono::seconds(20));
  Runtime runtime({.schedulers = setting.schedulers, .long_schedule = milliseconds(0), .hand_off = setting.hand_off});
  const Runtime::Scope scope(runtime);
  std::size_t settled = 0;
  std::size_t after = 0;
  std::uint64_t rounds = 0;
  for (; !over(end) || rounds < rounds_min; ++rounds) {
    const std::uint64_t complaints = failures();
    run_round(workload, runtime, setting, Clock::now() + length, seed);
    if (failures() != complaints) {
      fail("in round " + std::to_string(rounds) + " of " +
           where(workload, {setting.schedulers, setting.hand_off}, seed));
    }
    ++seed;
    after = resident_bytes();
    if (rounds == 1) settled = after;
  }
  if (setting.plain && rounds > 2) judge_growth(tally, settled, after);
  tally.rounds += rounds;
  const StopReport report = runtime.stop();
  if (!report.clean) fail("the stop was not clean: " + where(workload, {setting.schedulers, setting.hand_off}, seed));
  same("processes after the stop", runtime.process_count(), 0);
  same("timers after the stop", runtime.timer_count(), 0);
}

void run_workload(Workload& workload, const Plan& plan, std::chrono::duration<double> time) {
  Setting setting;
  setting.plain = !COPPICE_ASAN && !COPPICE_TSAN;
  setting.scale = COPPICE_TSAN ? 20 : COPPICE_ASAN ? 10 : 1;
  setting.thorough = plan.thorough;
  const auto began = Clock::now();
  const std::uint64_t complaints = failures();
  std::uint64_t seed = plan.seed;
  Tally tally;
  // A short run has time for one leg, which differs from workload to workload and from seed to seed.
  const std::size_t count = time.count() < 4 ? 1 : std::size(legs);
  for (std::size_t i = 0; i < count; ++i) {
    Leg leg = legs[count == 1 ? (plan.seed + std::strlen(workload.name())) % std::size(legs) : i];
    if (plan.schedulers != 0) leg.schedulers = plan.schedulers;
    if (plan.forced_hand_off) leg.hand_off = plan.hand_off;
    setting.schedulers = leg.schedulers;
    setting.hand_off = leg.hand_off;
    const std::uint64_t rounds_min = plan.thorough ? workload.rounds_min(setting) / count : 0;
    run_leg(workload, setting, duration_cast<Clock::duration>(time) / static_cast<int>(count), seed, tally, rounds_min);
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  std::printf(
      "%-9s 1/%-3u %7llu %12llu %10llu %10llu %9llu %8zu %8zu %8.1f  %s\n", workload.name(), setting.scale,
      static_cast<unsigned long long>(tally.rounds), static_cast<unsigned long long>(workload.operations.load()),
      static_cast<unsigned long long>(workload.kills.load()), static_cast<unsigned long long>(workload.restarts.load()),
      static_cast<unsigned long long>(workload.peak.load()), tally.resident_before >> 20, tally.resident_after >> 20,
      seconds, failures() == complaints ? "clean" : "FAILED");
  std::fflush(stdout);
}

[[nodiscard]] HandOff hand_off_of(const std::string& text) {
  if (text == "always") return HandOff::always;
  if (text == "never") return HandOff::never;
  std::fprintf(stderr, "stress: hand-off is always or never, not %s\n", text.c_str());
  std::exit(2);
}

[[nodiscard]] Plan plan_of(int argc, char** argv) {
  Plan plan;
  if (const char* text = std::getenv("COPPICE_HAND_OFF")) {
    plan.hand_off = hand_off_of(text);
    plan.forced_hand_off = true;
  }
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 < argc) return argv[++i];
      std::fprintf(stderr, "stress: %s wants a value\n", argument.c_str());
      std::exit(2);
    };
    if (argument == "--seconds") {
      plan.seconds = std::strtod(value(), nullptr);
    } else if (argument == "--seed") {
      plan.seed = std::strtoull(value(), nullptr, 10);
    } else if (argument == "--schedulers") {
      plan.schedulers = static_cast<unsigned>(std::strtoul(value(), nullptr, 10));
    } else if (argument == "--hand-off") {
      plan.hand_off = hand_off_of(value());
      plan.forced_hand_off = true;
    } else if (argument == "--thorough") {
      plan.thorough = true;
    } else if (argument.starts_with("-")) {
      std::fprintf(stderr, "stress: unknown option %s\n", argument.c_str());
      std::exit(2);
    } else {
      plan.workloads.push_back(argument);
    }
  }
  return plan;
}

[[nodiscard]] std::vector<std::unique_ptr<Workload>> wanted(const Plan& plan) {
  std::vector<std::unique_ptr<Workload>> all;
  all.push_back(make_trees());
  all.push_back(make_floods());
  all.push_back(make_timers());
  all.push_back(make_names());
  all.push_back(make_tables());
  all.push_back(make_tasks());
  all.push_back(make_calls());
  all.push_back(make_held());
  all.push_back(make_runtimes());
  if (plan.workloads.empty()) return all;
  std::erase_if(all, [&](const auto& workload) {
    return std::find(plan.workloads.begin(), plan.workloads.end(), workload->name()) == plan.workloads.end();
  });
  if (all.size() != plan.workloads.size()) {
    std::fprintf(stderr, "stress: there is no such workload\n");
    std::exit(2);
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  const Plan plan = plan_of(argc, argv);
  // Crash reports of processes that are killed by the thousand say nothing here.
  if (::setenv("COPPICE_LOG", "none", 0) != 0) return 2;
  const auto workloads = wanted(plan);
  std::printf("%-9s %-5s %7s %12s %10s %10s %9s %8s %8s %8s  seed %llu\n", "workload", "scale", "rounds", "operations",
              "kills", "restarts", "peak", "MiB", "MiB end", "seconds", static_cast<unsigned long long>(plan.seed));
  const std::chrono::duration<double> share(plan.seconds / static_cast<double>(workloads.size()));
  for (const auto& workload : workloads) run_workload(*workload, plan, share);
  if (failures() == 0) {
    std::printf("stress: clean\n");
    return 0;
  }
  std::printf("stress: %llu complaints; the same choices again: --seed %llu\n",
              static_cast<unsigned long long>(failures()), static_cast<unsigned long long>(plan.seed));
  return 1;
}
