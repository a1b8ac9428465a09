// SPDX-License-Identifier: Apache-2.0
//
// What the workloads of the stress test have in common: the setting in which they run, how they count, how they complain.
//
// A workload runs in rounds. The first process of a round is `run`, which starts what it needs, lets it work until the time
// is over, ends it and returns. When all its processes have ended `check` is asked, by a foreign thread: whatever it finds
// wrong it says with `fail`. The random choices come from the seed of the round, so that a run can be repeated with the
// same ones, though not with the same order of events: these are real threads.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <coppice/process.hpp>
#include <coppice/receive.hpp>
#include <coppice/runtime.hpp>

#include "base/random.hpp"

namespace stress {

using Random = coppice::base::Xoshiro256;
using Clock = std::chrono::steady_clock;
using Count = std::atomic<std::uint64_t>;

struct Setting {
  bool plain = true;        // no sanitizer: memory is measured
  std::uint32_t scale = 1;  // numbers of processes are divided by it
  unsigned schedulers = 4;
  coppice::HandOff hand_off = coppice::HandOff::automatic;
  bool thorough = false;  // at least the numbers of rounds that a workload promises, however long they take

  // At least `least`, so that every workload keeps its shape at every scale.
  [[nodiscard]] std::uint32_t scaled(std::uint32_t number, std::uint32_t least = 2) const {
    return number / scale > least ? number / scale : least;
  }
};

// Says that something is wrong: counted, printed with the workload and its seed, and the run goes on. Any thread.
void fail(const std::string& what);
[[nodiscard]] std::uint64_t failures();

// fail unless both are the same.
void same(const char* what, std::uint64_t got, std::uint64_t wanted);

class Workload {
 public:
  virtual ~Workload() = default;
  [[nodiscard]] virtual const char* name() const = 0;
  virtual void run(const Setting& setting, Clock::time_point until, Random random) = 0;
  virtual void check() = 0;
  // How many rounds a thorough run makes at least, whatever time that takes.
  [[nodiscard]] virtual std::uint64_t rounds_min(const Setting&) const { return 0; }
  Count operations{0};
  Count kills{0};
  Count restarts{0};
  Count peak{0};  // processes at a time

  void note_peak(std::uint64_t processes) {
    std::uint64_t old = peak.load();
    while (old < processes && !peak.compare_exchange_weak(old, processes)) {
    }
  }
};

// One of each, made by the files of the workloads.
std::unique_ptr<Workload> make_trees();
std::unique_ptr<Workload> make_floods();
std::unique_ptr<Workload> make_timers();
std::unique_ptr<Workload> make_names();
std::unique_ptr<Workload> make_tables();
std::unique_ptr<Workload> make_tasks();
std::unique_ptr<Workload> make_calls();
std::unique_ptr<Workload> make_held();
std::unique_ptr<Workload> make_runtimes();

// Objects that must all have gone by the end of a round: a member of messages and states. Moving and copying count too.
template <class Of>
class Counted {
 public:
  Counted() { living.fetch_add(1, std::memory_order_relaxed); }
  Counted(const Counted&) { living.fetch_add(1, std::memory_order_relaxed); }
  Counted(Counted&&) noexcept { living.fetch_add(1, std::memory_order_relaxed); }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) = default;
  ~Counted() { living.fetch_sub(1, std::memory_order_relaxed); }
  static inline std::atomic<std::int64_t> living{0};
};

// fail unless none is left.
template <class Of>
void none_left(const char* what) {
  same(what, static_cast<std::uint64_t>(Counted<Of>::living.load()), 0);
}

// Processes that are started together and awaited together, by one process. How each of them ended is asked of `judge`.
class Crew {
 public:
  template <class F>
  coppice::Pid add(F function) {
    auto [pid, reference] = coppice::spawn_monitor(std::move(function));
    pids_.push_back(pid);
    references_.push_back(reference);
    return pid;
  }
  [[nodiscard]] const std::vector<coppice::Pid>& pids() const noexcept { return pids_; }

  // Waits for all; those that end with anything but normal, or killed if that is allowed, are complained about. Messages of
  // other types stay in the mailbox.
  void wait(bool may_be_killed = false);

 private:
  std::vector<coppice::Pid> pids_;
  std::vector<coppice::Reference> references_;
};

[[nodiscard]] inline bool is_killed(const coppice::ExitReason& reason) {
  return reason == coppice::ExitReason(coppice::Atom("killed"));
}
[[nodiscard]] inline bool over(Clock::time_point until) { return Clock::now() >= until; }

// fail if the calling process has any message.
void nothing_received(const char* who);

// Sleeps a random time below `most`, or yields, or goes on.
void dawdle(Random& random, std::chrono::microseconds most = std::chrono::microseconds(300));

}  // namespace stress
