// SPDX-License-Identifier: Apache-2.0
//
// The stack of another thread, for the report on a handler that holds its worker too long: the thread is interrupted by
// a signal and writes its own return addresses down. Any thread may ask; one question at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace coppice::platform {

// The kernel's number of the calling thread.
[[nodiscard]] std::uint64_t native_thread_id() noexcept;

// The signal that asks a thread: must not be blocked in it.
[[nodiscard]] int trace_signal() noexcept;

// Return addresses of that thread of this program, innermost first; empty if it does not answer within `patience` or is
// gone.
[[nodiscard]] std::vector<std::uintptr_t> trace_of_thread(
    std::uint64_t native_thread, std::chrono::milliseconds patience = std::chrono::milliseconds(200));

}  // namespace coppice::platform
