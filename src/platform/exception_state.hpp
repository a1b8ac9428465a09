// SPDX-License-Identifier: Apache-2.0
//
// The C++ runtime keeps, per thread, which exceptions are being handled and how many are in flight. A process that
// waits inside a `catch` block, or in a destructor during unwinding, must take that state with it and leave a clean one
// to whoever runs next on the thread: without it two such processes corrupt each other's exceptions.
#pragma once

namespace coppice::platform {

// The head of `__cxa_eh_globals` as the Itanium C++ ABI lays it out (section 2.2.2).
struct ExceptionState {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

// Where the calling thread keeps its state: one place for the life of the thread, which nobody may use on another one.
[[nodiscard]] ExceptionState& exception_state_of_thread() noexcept;

// Returns the calling thread's state and leaves an empty one. Never inlined: the thread may change across a switch.
[[nodiscard]] ExceptionState take_exception_state() noexcept;

// Puts a state back on the calling thread.
void put_exception_state(const ExceptionState& state) noexcept;

}  // namespace coppice::platform
