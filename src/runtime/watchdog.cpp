// SPDX-License-Identifier: Apache-2.0
#include "runtime/watchdog.hpp"

#include "platform/thread_trace.hpp"
#include "platform/trace.hpp"
#include "runtime/core.hpp"

namespace coppice::runtime {

Watchdog::Watchdog(Core& core) : core_(core) {}

void Watchdog::start() {
  if (core_.world().simulated() || core_.options().long_schedule.count() <= 0) return;
  thread_ = core_.world().start_thread("coppice.watchdog", [this] { run(); });
}

void Watchdog::stop() {
  if (!thread_) return;
  stopping_.store(true, std::memory_order_release);
  core_.world().unpark(parker_);
  thread_->join();
  thread_.reset();
}

void Watchdog::wake() noexcept {
  if (asleep_.exchange(false, std::memory_order_seq_cst)) core_.world().unpark(parker_);
}

bool Watchdog::all_sleep() const noexcept { return core_.watch().all_sleep(); }

// Falling asleep: say so, look again whether all workers sleep, then park. A worker that wakes clears its idle bit first
// and looks at `asleep_` then (both seq_cst), so one of the two sees the other.
void Watchdog::run() {
  std::vector<Seen> seen(core_.workers().size());
  const auto period = static_cast<platform::Nanoseconds>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(core_.options().long_schedule).count());
  while (!stopping_.load(std::memory_order_acquire)) {
    if (all_sleep()) {
      asleep_.store(true, std::memory_order_seq_cst);
      core_.world().park(parker_, all_sleep() ? platform::never : core_.world().now() + period);
      asleep_.store(false, std::memory_order_seq_cst);
    } else {
      core_.world().park(parker_, core_.world().now() + period);
    }
    for (std::size_t i = 0; i < seen.size() && !stopping_.load(std::memory_order_acquire); ++i) look(i, seen[i]);
  }
}

void Watchdog::look(std::size_t index, Seen& seen) {
  Worker& worker = *core_.workers()[index];
  const std::uint64_t turns = worker.turns.load(std::memory_order_relaxed);
  const std::uint64_t number = worker.running_number.load(std::memory_order_acquire);
  if (number == 0 || turns != seen.turns || number != seen.number) {
    seen = {turns, number, false};
    return;
  }
  core_.timer_shard(static_cast<std::uint32_t>(index)).fire(core_.world().now());
  if (seen.reported) return;
  seen.reported = true;
  std::string text = "long_schedule: process " + core_.describe(core_.pid_of(number)) + " has held scheduler " +
                     std::to_string(index) + " for more than " + std::to_string(core_.options().long_schedule.count()) +
                     " ms; the processes that wait on it wait with it";
  const std::uint64_t thread = worker.native_thread.load(std::memory_order_acquire);
  if (thread != 0) {
    for (const std::string& frame : platform::symbolise(platform::trace_of_thread(thread))) text += "\n    " + frame;
  }
  core_.warn(text);
}

}  // namespace coppice::runtime
