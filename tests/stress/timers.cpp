// SPDX-License-Identifier: Apache-2.0
//
// Timers: storms of starts, cancels and expiries by many processes on all workers. Each timer has a number; what becomes of
// it is noted under that number: it was cancelled (cancel_timer gave the time left) or it was delivered, exactly one of the
// two and that once, and never before its time. Timers of receivers that are killed are lost with them, and only those.
#include <algorithm>
#include <mutex>

#include <coppice/timer.hpp>

#include "stress/stress.hpp"

namespace {

using namespace coppice;
using namespace stress;
using namespace std::chrono_literals;

struct Tick {
  std::uint32_t number;
  Counted<Tick> counted = {};
};
struct Stop {};

struct Record {
  std::atomic<std::uint32_t> fired{0};
  std::atomic<std::uint32_t> cancelled{0};
  std::atomic<bool> lost{false};     // its receiver was to be killed
  std::atomic<std::int64_t> due{0};  // of monotonic_time()
};

class Timers final : public Workload {
 public:
  [[nodiscard]] const char* name() const override { return "timers"; }

  void run(const Setting& setting, Clock::time_point until, Random random) override {
    records_ = std::vector<Record>(setting.scaled(2'000'000, 1000));
    next_ = 0;
    pool_.clear();
    const std::uint32_t processes_wanted = setting.scaled(200, 8);
    Crew listeners;
    for (std::uint32_t i = 0; i < processes_wanted; ++i) listeners.add([this] { listen(); });
    const std::vector<Pid> targets = listeners.pids();
    Crew starters;
    for (std::uint32_t i = 0; i < processes_wanted; ++i) {
      starters.add([this, targets, until, r = Random(random.next())]() mutable { storm(targets, until, r); });
    }
    starters.add([this, until, r = Random(random.next())]() mutable { die_with_timers(until, r); });
    note_peak(processes().size());
    starters.wait();
    await_expiries();
    for (const Pid& listener : targets) send(listener, Stop{});
    listeners.wait();
    operations += used();
    judge();
  }

  void check() override { none_left<Tick>("timers' messages"); }

 private:
  [[nodiscard]] std::uint32_t used() const {
    return std::min<std::uint32_t>(next_.load(), static_cast<std::uint32_t>(records_.size()));
  }

  void listen() {
    for (bool done = false; !done;) {
      receive([&](const Tick& tick) { heard(tick.number); },
              [&](const TimerTimeout<Tick>& timeout) { heard(timeout.message.number); }, [&](Stop) { done = true; });
    }
  }
  void heard(std::uint32_t number) {
    Record& record = records_[number];
    if (monotonic_time().count() < record.due.load()) fail("a timer came early");
    if (record.fired.fetch_add(1) != 0) fail("a timer came twice");
  }

  // Starts one and gives its number, or none if there are no records left.
  bool start_one(const Pid& to, Random& random, bool lost) {
    const std::uint32_t number = next_.fetch_add(1);
    if (number >= records_.size()) return false;
    const std::chrono::microseconds delay(random.below(4) == 0 ? random.below(50'000) : random.below(3'000));
    const auto due = monotonic_time() + delay;
    records_[number].due = due.count();
    records_[number].lost = lost;
    Reference timer;
    switch (random.below(3)) {
      case 0: timer = send_after(to, Tick{number}, delay); break;
      case 1: timer = start_timer(delay, to, Tick{number}); break;
      default: timer = send_after(to, Tick{number}, due, {.absolute = true}); break;
    }
    const std::scoped_lock lock(mutex_);
    pool_.emplace_back(timer, number);
    return true;
  }

  // Any timer of anybody.
  void cancel_one(Random& random) {
    std::pair<Reference, std::uint32_t> chosen;
    {
      const std::scoped_lock lock(mutex_);
      if (pool_.empty()) return;
      const std::size_t i = random.below(static_cast<std::uint32_t>(pool_.size()));
      chosen = pool_[i];
      if (random.below(8) != 0) {  // else somebody else may try it too
        pool_[i] = pool_.back();
        pool_.pop_back();
      }
    }
    if (random.below(4) == 0) (void)read_timer(chosen.first);
    if (cancel_timer(chosen.first)) {
      if (records_[chosen.second].cancelled.fetch_add(1) != 0) fail("a timer was cancelled twice");
    }
  }

  void storm(const std::vector<Pid>& targets, Clock::time_point until, Random& random) {
    while (!over(until)) {
      for (std::uint32_t i = random.below(8); i > 0; --i) {
        if (!start_one(targets[random.below(static_cast<std::uint32_t>(targets.size()))], random, false)) return;
      }
      for (std::uint32_t i = random.below(6); i > 0; --i) cancel_one(random);
      sleep_for(std::chrono::microseconds(random.below(500)));
    }
  }

  void die_with_timers(Clock::time_point until, Random& random) {
    while (!over(until)) {
      auto [victim, end] = spawn_monitor([this] { listen(); });
      for (int i = 0; i < 20; ++i) {
        if (!start_one(victim, random, true)) break;
      }
      sleep_for(std::chrono::microseconds(random.below(3000)));
      exit(victim, "kill"_atom);
      kills += 1;
      (void)receive<Down>();
    }
  }

  // Whatever is armed has to come in time: the last one 50 ms after its start.
  void await_expiries() {
    const auto deadline = Clock::now() + 30s;
    while (Clock::now() < deadline) {
      std::uint32_t open = 0;
      for (std::uint32_t i = 0; i < used(); ++i) {
        const Record& record = records_[i];
        if (!record.lost.load() && record.fired.load() + record.cancelled.load() == 0) ++open;
      }
      if (open == 0) return;
      sleep_for(10ms);
    }
  }

  void judge() {
    std::uint64_t never = 0;
    std::uint64_t both = 0;
    for (std::uint32_t i = 0; i < used(); ++i) {
      const std::uint32_t ends = records_[i].fired.load() + records_[i].cancelled.load();
      if (ends == 0 && !records_[i].lost.load()) ++never;
      if (ends > 1) ++both;
    }
    same("timers that never came", never, 0);
    same("timers that came although they were cancelled", both, 0);
  }

  std::vector<Record> records_;
  std::atomic<std::uint32_t> next_{0};
  std::mutex mutex_;
  std::vector<std::pair<Reference, std::uint32_t>> pool_;
};

}  // namespace

std::unique_ptr<Workload> stress::make_timers() { return std::make_unique<Timers>(); }
