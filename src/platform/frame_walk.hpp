// SPDX-License-Identifier: Apache-2.0
//
// Walks over a stack along its frame pointers: some instructions a frame, where unwinding takes some hundred, but frames of
// functions that keep no frame pointer are missing. On processors other than x86-64 and aarch64 nothing is found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace coppice::platform {

// Puts addresses of return into `addresses`, the innermost first, beginning with that of the record at `frame`; returns how
// many. Reads nothing outside of the stack, which lies between `low` and `high`.
[[nodiscard]] std::size_t walk_frames(std::uintptr_t frame, std::uintptr_t low, std::uintptr_t high,
                                      std::span<std::uintptr_t> addresses) noexcept;

// The same for the stack on which the caller runs, if that is a borrowed one; 0 on that of a thread, whose bounds are not known.
// `frame` is the address of a frame of the caller's or of one of its callers.
[[nodiscard]] std::size_t walk_own_frames(const void* frame, std::span<std::uintptr_t> addresses) noexcept;

}  // namespace coppice::platform
