// SPDX-License-Identifier: Apache-2.0
//
// A call without an envelope: an idle server runs the one handler, whose reply is what it returns, for a caller that stands
// by. The request and the place for the reply are in the caller's frame (PlacedCall). What nobody can tell of a hand-off
// nobody can tell of this: docs/internals/hand_off.md. The code stands with that of hand-off, in hand_off.cpp.
//
// Actors: the caller P, the server V, their worker.
//
//   1. P claims V, as for any hand-off.
//   2. V's handler runs, once, for this call (Body::run_in_place): on a spare stack (hand_off.hpp), or, if it has promised
//      never to wait, in place, that is on P's own stack, as a function would. The worker says that V runs: self(),
//      dictionary, links, reports and the watchdog see V. P's head goes on to say `running`; nobody but this thread can make
//      it go on.
//   3. The handler returns.
//      a. V has nothing more to do than to wait for its next message: it commits its wait.
//      b. V has more to do (its handler threw, or was interrupted): it is scheduled, and does that in a turn of its own. If
//         there is no reply the envelope is made now. V has it as its unanswered call, and P awaits it; P's edge is confirmed
//         before V is scheduled.
//   4. P goes on: it takes in signals, then looks whether it has an answer; if not, it waits as any caller.
//
// A handler on a spare stack may wait. Then the call is settled in the midst of step 2, and V goes on as if it had had an
// envelope from the beginning: it acts on how the handler has left within the same turn.
//
// The promise. A handler that waited would bury P for as long. So a wait in one ends V, with the reason
// `{never_waits, message}`: on every path, so that it is found whether V was idle or not. A yield does nothing there.
// Whoever swallows the end by catch (...) and waits again, a hundred times, is abandoned as on any stack; in place P's
// frames go with it, and P dies for it with the reason `{buried, V}`. The same holds for what stands in P's frame while a
// handler on a spare stack has it: to move the request out of it or the reply into it must not wait.
#pragma once

#include <cstdint>

namespace coppice::runtime {

// What became of a message that was to be handled in place.
enum class InPlace : std::uint8_t {
  refused,  // nothing: the process must have a turn of its own for it
  done,     // handled, and the process has nothing to do
  goes_on,  // handled, and the process must have a turn for the rest of it
  settled   // handled; meanwhile its caller has become one that waits, and what there was to be done after it is done
};

}  // namespace coppice::runtime
