// SPDX-License-Identifier: Apache-2.0
#include "platform/frame_walk.hpp"

#include "platform/stack_pool.hpp"

namespace coppice::platform {

#if defined(__x86_64__) || defined(__aarch64__)

// Reads frame records that no instrumentation knows about.
__attribute__((no_sanitize("address"))) std::size_t walk_frames(std::uintptr_t frame, std::uintptr_t low,
                                                                std::uintptr_t high,
                                                                std::span<std::uintptr_t> addresses) noexcept {
  std::size_t count = 0;
  while (count < addresses.size() && frame >= low && frame % sizeof frame == 0 && frame + 2 * sizeof frame <= high) {
    const auto* record = reinterpret_cast<const std::uintptr_t*>(frame);  // the caller's, and where it goes on
    if (record[1] == 0) break;
    addresses[count++] = record[1];
    if (record[0] <= frame) break;  // callers lie higher
    frame = record[0];
  }
  return count;
}

std::size_t walk_own_frames(const void* frame, std::span<std::uintptr_t> addresses) noexcept {
  bool in_guard = false;
  const Stack* stack = stack_of_address(frame, in_guard);
  if (stack == nullptr) return 0;
  const auto low = reinterpret_cast<std::uintptr_t>(stack->low);
  return walk_frames(reinterpret_cast<std::uintptr_t>(frame), low, low + stack->size, addresses);
}

#else

std::size_t walk_frames(std::uintptr_t, std::uintptr_t, std::uintptr_t, std::span<std::uintptr_t>) noexcept {
  return 0;
}
std::size_t walk_own_frames(const void*, std::span<std::uintptr_t>) noexcept { return 0; }

#endif

}  // namespace coppice::platform
