// SPDX-License-Identifier: Apache-2.0
//
// The watchdog: a thread that notices a handler which holds its worker too long. It looks at each worker's count of
// turns: a worker that is in the same turn as `long_schedule` ago is reported, once a turn, with the process and its
// stack; and its due timers are fired in its place, so that only the processes pinned to it wait.
//
// It sleeps without a deadline while all workers sleep: an idle runtime makes no system call. The first worker that wakes
// wakes it. There is none in the simulation, where no handler can hold a thread against virtual time.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "platform/world.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

class Watchdog {
 public:
  explicit Watchdog(Core& core);
  void start();
  void stop();
  void forget() { (void)thread_.release(); }  // in the child of a fork

  // By a worker that returns from its sleep.
  void worker_woke() noexcept {
    if (asleep_.load(std::memory_order_seq_cst)) wake();
  }

 private:
  struct Seen {
    std::uint64_t turns = 0;
    std::uint64_t number = 0;
    bool reported = false;
  };
  void run();
  void wake() noexcept;
  void look(std::size_t index, Seen& seen);
  [[nodiscard]] bool all_sleep() const noexcept;

  Core& core_;
  platform::Parker parker_;
  std::atomic<bool> asleep_{false};
  std::atomic<bool> stopping_{false};
  std::unique_ptr<platform::Thread> thread_;
};

}  // namespace coppice::runtime
