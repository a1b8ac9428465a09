// SPDX-License-Identifier: Apache-2.0
//
// Waiting and leaving.
//
// A wait in four steps: (1) take in what has arrived; a fatal signal throws here. (2) If there is still nothing to go on
// with and time is left, arm the process's timer and switch away; the target of the switch commits the wait in `head`.
// (3) Whoever clears the waiting bit schedules us: a message, a signal, the timer's wake signal. (4) Back on the stack,
// take in again before anything else: so every return from a wait acts on signals first, and a reply never overtakes an
// exit that its sender sent earlier.
//
// Leaving. A fatal signal or exit() marks the process and throws LeaveStack, a private type that is no std::exception.
// Swallowing it helps nobody: every later wait, checkpoint and return throws it again, and after 100 swallows the process
// is reported, its stack abandoned, its death announced. While the stack is being unwound waits do not throw, because a
// second exception would end the program: they return at once as timed out.
#pragma once

#include "platform/world.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

struct LeaveStack {};

inline constexpr std::uint16_t swallows_max = 100;
inline constexpr std::uint32_t checkpoints_per_turn = 64;  // calls of checkpoint() before others run

enum class WaitFor : std::uint8_t {
  messages,  // anything ends the wait
  signals    // ordinary messages do not
};

// Waits once: returns true if something has arrived (and was taken in), false if the deadline has passed or the process
// may not wait any more. Throws LeaveStack if the process is leaving.
bool wait_once(Process& process, WaitFor what, platform::Nanoseconds deadline);

[[gnu::cold]] void leave_now(Process& process);
inline void leave_if_due(Process& process) {
  if (process.body->leaving != Leave::no) [[unlikely]]
    leave_now(process);
}
// Takes in what has arrived, then throws LeaveStack if the process is leaving and its stack is not being unwound.
inline void take_in(Process& process) {
  intake(process);
  leave_if_due(process);
}

// Is the process on its way out, so that a wait must return at once?
[[nodiscard]] bool must_not_wait_as_it_leaves(const Process& process);
[[nodiscard]] inline bool must_not_wait(const Process& process) {
  const Body& body = *process.body;
  return (body.dying || body.leaving != Leave::no) && must_not_wait_as_it_leaves(process);
}

// What may wait asks first. Does the handler of a message run that never waits (in_place.hpp)? Then its process leaves, with
// the reason `{never_waits, message}`; while the stack is being unwound must_not_wait() is true afterwards.
[[gnu::cold]] void end_for_waiting(Process& process);
inline void end_if_it_must_go_on(Process& process) {
  if (process.body->must_go_on) [[unlikely]]
    end_for_waiting(process);
}

[[noreturn]] void leave(Process& process, const ExitReason& reason, Leave how);

// Arms the process's own timer: at that time, or earlier, it gets a wake signal, which ends any wait.
void arm_wake_timer(Process& process, platform::Nanoseconds deadline);
// Makes the memory for it, if it has none yet: arming cannot fail afterwards.
void make_extension_and_timer(Process& process);
inline void prepare_wake_timer(Process& process) {
  const Extension* extension = process.body->extension_.get();
  if (extension == nullptr || extension->timer == nullptr) make_extension_and_timer(process);
}

// now + timeout, or `never`; `passed`, which is earlier than any time, for a timeout of 0. `{badarg, text}` for a negative
// one.
inline constexpr platform::Nanoseconds passed = 0;
[[nodiscard]] platform::Nanoseconds finite_deadline_of(Process& process, WaitTime timeout);
[[nodiscard]] inline platform::Nanoseconds deadline_of(Process& process, WaitTime timeout) {
  return timeout.is_infinite() ? platform::never : finite_deadline_of(process, timeout);
}

}  // namespace coppice::runtime
