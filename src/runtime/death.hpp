// SPDX-License-Identifier: Apache-2.0
//
// The order of death.
//   1. The reason is fixed: by the function's return, an uncaught exception, exit(), or a fatal signal.
//   2. The stack has been unwound; we stand at the bottom of the process.
//   3. Signals that had arrived before are acted on, so that a monitor set before the end reports its true reason. If
//      the end came by a signal, those behind it are not.
//   4. The user's state is destroyed; its destructors may send, and waits in them return at once.
//   5. The name is free; what belongs to the process in an annex (a shared table) is deleted or given on; `head` says
//      dead: nothing is pushed any more; the timers to it are gone.
//   6. What is left in the mailbox is answered as the dead do: calls fail with the reason, links and monitors hear
//      `noproc`, messages vanish.
//   7. EXIT to the linked, DOWN to the watchers.
//   8. The slot is free.
#pragma once

#include "runtime/process.hpp"

namespace coppice::runtime {

// Steps 3 to 8. The calling worker's current process; its line is not its own afterwards.
void die(Process& process, ExitReason reason) noexcept;

// The same from the midst of a stack that refuses to unwind: the state and the stack are left behind.
[[noreturn]] void die_and_abandon(Process& process);

[[nodiscard]] std::unique_ptr<WakeTimer> make_wake_timer(Process& process);

// The reason of whatever exception is being handled, as a process that did not catch it ends with it (PR-008..PR-010).
// LeaveStack is not among them.
[[nodiscard]] ExitReason reason_of_current_exception();

}  // namespace coppice::runtime
