// SPDX-License-Identifier: Apache-2.0
//
// A call by hand-off: the caller claims an idle server, and its worker runs the server at once, on another of its stacks;
// when the server is done, the caller goes on. Nobody can tell but by the clock, because it is the queued path with its
// waits left out: docs/internals/hand_off.md says why.
//
// Actors: the caller P, the server V, their worker; everybody else, who may send signals to both meanwhile.
//
//   1. P claims V: compare-and-swap of V's head from `waiting` to `running`. It holds V now as a sender does that has
//      woken it, and wakes it if it is at rest (rest.hpp).
//   2. P notes the call on its stack S (CallUnderWay), and with the worker. V runs on a spare stack X: called like a function,
//      where the machine and the build allow it (platform/call_above.hpp), else by the loop on X, which P switches to. P's
//      context is saved in either case. P's wait is *not committed*: its head goes on to say `running`, and who sends it a
//      signal leaves that there and schedules nobody. Until step 3 nobody but this thread can make P go on.
//   3. One of these ends the state of step 2:
//      a. V's turn ends on this thread, without a wait: P goes on, and X is a spare stack again.
//      b. V waits, yields, or is abandoned, or somebody who must be able to find P's edge is about to wait: the call is
//         settled. X is V's from now on. P becomes a caller like any other: if it has its answer it is scheduled, as one
//         that was woken; else its wait is committed, with its deadline armed. If anything has arrived for P the commit
//         fails, and P is scheduled. The answer will come through its mailbox.
//   4. P goes on on S: it takes in signals, and only then looks whether it has an answer.
//
// Two kinds of call.
//   With an envelope: P puts it where V's intake would, and V runs a turn as any other (Body::run). An answer to it on this
//   thread stays with P (Body::reply). If the turn ends without one, P waits as any caller.
//   Without an envelope (PlacedCall): the request and the reply stand in P's frame, and V runs the one handler
//   (Body::run_in_place): in_place.hpp. The envelope is made when the call is settled; from then on V touches nothing of
//   P's frame, which may be gone.
//
// While V runs it may hand off a call of its own. Then several are under way on the worker, each inside the one before it.
// All are settled together, the oldest first, so that an edge is confirmed before the server at its end can get one.
#pragma once

#include "runtime/call_wait.hpp"
#include "runtime/core.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

// A call that is under way. On the caller's stack, and good for as long as the caller has not gone on.
struct CallUnderWay {
  Process* caller;
  Process* server;
  detail::PlacedCall* placed;    // null: it has an envelope,
  const detail::CallNode* node;  // this; null once it is answered
  CallTimes* times;
  Worker* worker = nullptr;
  CallUnderWay* outer = nullptr;     // the one that was the newest before
  platform::Stack* stack = nullptr;  // S
  platform::Stack* lent = nullptr;   // X
  InPlace what = InPlace::refused;   // without an envelope: what has become of it, unless it was settled
  bool settled = false;

  [[nodiscard]] bool is_answered() const noexcept { return placed != nullptr ? placed->answered : node == nullptr; }
};

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
