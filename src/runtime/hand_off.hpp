// SPDX-License-Identifier: Apache-2.0
//
// A call by hand-off: the caller claims an idle server, and its worker runs the server's turn at once, on another of its
// stacks; the reply goes straight to the caller, which runs next. Nobody can tell but by the clock, because it is the
// queued path with its waits left out: docs/internals/hand_off.md says why.
//
// Actors: the caller P, the server V, their worker; everybody else, who may send signals to both meanwhile.
//
//   1. P claims V: compare-and-swap of V's head from `waiting` to `running`. It holds V now as a sender does that has
//      woken it, wakes it if it is at rest (rest.hpp), and puts the envelope where V's intake would.
//   2. P leaves its stack S for a spare one, whose loop runs V's turn next. P's wait is *not committed*: its head goes on
//      to say `running`, and who sends it a signal leaves that there and schedules nobody. The worker notes P (HandOff-
//      UnderWay); until step 3 nobody but this thread can make P go on.
//   3. One of these ends the state of step 2:
//      a. V answers the envelope on this thread: the answer is put where P's intake would (Body::reply), and P is noted as
//         answered. When V's turn ends, P goes on; if V waits or yields first, P is scheduled like one that was woken.
//      b. V's turn ends without an answer, or V waits, yields, hands off a call of its own, or is abandoned: P's wait is
//         committed as that of any caller, with its deadline armed. If anything has arrived for P the commit fails, and P
//         is scheduled. The answer will come through its mailbox.
//   4. P goes on on S: it takes in signals, and only then looks whether it has an answer.
//
// A worker has at most one hand-off in step 2: an inner one first settles the outer one by 3b.
#pragma once

#include "runtime/call_wait.hpp"
#include "runtime/core.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

// Whether a call that may go so, by hand-off or in place, is to.
[[nodiscard]] inline bool is_wanted(Core& core, platform::Choice choice) {
  switch (core.options().hand_off) {
    case HandOff::always: return true;
    case HandOff::never: return false;
    case HandOff::automatic: break;
  }
  return core.world().choose(choice, 2, 1) != 0;
}

// Calls `server`, which the caller has claimed and which has the envelope, by hand-off if that may be; else schedules it.
// `here` is the worker that runs the caller. In either case the caller goes on to wait for its answer. It has memory for its
// timer (prepare_wake_timer): settling cannot fail.
void hand_off_or_schedule(Worker& here, Process& caller, Process& server, const detail::CallNode* node,
                          CallTimes& times);

}  // namespace coppice::runtime
