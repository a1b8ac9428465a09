// SPDX-License-Identifier: Apache-2.0
//
// Latch: a lock that is held for less time than it takes to put a thread to sleep, as a rule. One word: free, held, or
// held and waited for. Who does not get it looks again for a while before it sleeps. It is a third of the instructions of
// std::mutex, which matters for writers to shared tables and for timers that are cancelled right after they were started.
//
// What takes it is an acquire and what frees it a release: what its last holder wrote is seen. A waiter marks it as waited
// for with the same exchange with which it tries to take it, so whoever frees it sees the mark and wakes the sleepers; one
// that gets it so keeps the mark, and wakes somebody for nothing at worst.
#pragma once

#include <atomic>
#include <cstdint>

namespace coppice::platform {

// In a loop that waits for another thread: lets the core's other thread have its units for a moment.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// `Atomic` and the number of looks are parameters for the model checker's sake (tests/model/tables_test.cpp).
template <template <class> class Atomic, int looks_before_sleep>
class BasicLatch {
 public:
  void lock() noexcept {
    if (!try_lock()) wait();
  }
  bool try_lock() noexcept {
    std::uint32_t seen = free;
    return state_.compare_exchange_strong(seen, held, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept {
    if (state_.exchange(free, std::memory_order_release) == waited_for) state_.notify_all();
  }

 private:
  static constexpr std::uint32_t free = 0;
  static constexpr std::uint32_t held = 1;
  static constexpr std::uint32_t waited_for = 2;

  [[gnu::noinline]] void wait() noexcept {
    for (int look = 0; look < looks_before_sleep; ++look) {
      if (state_.load(std::memory_order_relaxed) == free && try_lock()) return;
      pause();
    }
    while (state_.exchange(waited_for, std::memory_order_acquire) != free) {
      state_.wait(waited_for, std::memory_order_relaxed);
    }
  }

  Atomic<std::uint32_t> state_{free};
};

using Latch = BasicLatch<std::atomic, 64>;

}  // namespace coppice::platform
