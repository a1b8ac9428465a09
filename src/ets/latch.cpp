// SPDX-License-Identifier: Apache-2.0
#include "ets/latch.hpp"

namespace coppice::otp {

void Latch::wait() noexcept {
  for (int look = 0; look < looks_before_sleep; ++look) {
    if (state_.load(std::memory_order_relaxed) == free && try_lock()) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  while (state_.exchange(waited_for, std::memory_order_acquire) != free) {
    state_.wait(waited_for, std::memory_order_relaxed);
  }
}

}  // namespace coppice::otp
