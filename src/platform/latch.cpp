// SPDX-License-Identifier: Apache-2.0
#include "platform/latch.hpp"

namespace coppice::platform {

void Latch::wait() noexcept {
  for (int look = 0; look < looks_before_sleep; ++look) {
    if (state_.load(std::memory_order_relaxed) == free && try_lock()) return;
    pause();
  }
  while (state_.exchange(waited_for, std::memory_order_acquire) != free) {
    state_.wait(waited_for, std::memory_order_relaxed);
  }
}

}  // namespace coppice::platform
