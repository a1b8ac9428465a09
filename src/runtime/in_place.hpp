// SPDX-License-Identifier: Apache-2.0
//
// A call in place: the handler of an idle server, which has promised never to wait, runs on the stack of its caller, as a
// function would. It is hand-off (hand_off.hpp) with the switches of stacks left out, and what nobody can tell there
// nobody can tell here: docs/internals/hand_off.md.
//
// Actors: the caller P, the server V, their worker.
//
//   1. P claims V, as for a hand-off.
//   2. The worker says that V runs: self(), dictionary, links, reports and the watchdog see V. P's head goes on to say
//      `running`; P is buried under V's handler, and nobody but this thread can make it go on.
//   3. V's handler runs, once, for this call (Body::run_in_place). An answer to it on this thread stays with the worker.
//   4. V commits its wait. If it has more to do than to wait for the next message (it throws, stops, has a continuation
//      or a timeout), it is scheduled instead, and does that in a turn of its own: so nothing of V but that one handler ever
//      stands on P's stack. P's edge is confirmed first if P has no answer.
//   5. P goes on: it takes in signals, then looks whether it has an answer; if not, it waits as any caller.
//
// The promise. A handler that waited would bury P for as long. So a wait in one ends V, with the reason
// `{never_waits, message}`: on every path, so that it is found whether V was idle or not. A yield does nothing there.
// Whoever swallows the end by catch (...) and waits again, a hundred times, is abandoned as on any stack; here P's frames
// go with it, and P dies for it with the reason `{buried, V}`.
#pragma once

#include <cstdint>

namespace coppice::runtime {

// What became of a message that was to be handled in place.
enum class InPlace : std::uint8_t {
  refused,  // nothing: the process must have a turn of its own for it
  done,     // handled, and the process has nothing to do
  goes_on   // handled, and the process must have a turn for the rest of it
};

}  // namespace coppice::runtime
