// SPDX-License-Identifier: Apache-2.0
//
// The caller's side of a call, for those who send the envelope by other means: a start hands it to the child it makes, and
// a call by hand-off makes it only if the caller has to wait.
#pragma once

#include "platform/world.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

// Gives the process a fresh call id (Body::call_id), which the envelope must carry, and makes it await that call. Whatever
// way the process leaves its wait, it awaits nothing afterwards, and a late answer is dropped.
class AwaitedCall {
 public:
  explicit AwaitedCall(Process& process) noexcept : AwaitedCall(process, begin(*process.body)) {}
  // For a process that awaits a call already.
  struct Begun {};
  AwaitedCall(Process& process, Begun) noexcept : process_(process) {}
  ~AwaitedCall();
  static Begun begin(Body& body) noexcept {
    if (++body.call_id == 0) body.call_id = 1;
    body.awaited_call = body.call_id;
    body.call_failed = false;
    return {};
  }
  AwaitedCall(const AwaitedCall&) = delete;
  AwaitedCall& operator=(const AwaitedCall&) = delete;

 private:
  Process& process_;
};

// How long a call may take. The caller's; it outlives the call.
struct CallTimes {
  WaitTime timeout;
  platform::Nanoseconds begin = 0;                   // for the report of a failure
  platform::Nanoseconds deadline = platform::never;  // once the caller's wait was committed or is about to be

  // Counts from now: for a call by hand-off, from when its server no longer holds the worker.
  void start(Core& core);
};

// Makes a noted edge one that takes part in the search for deadlocks: the caller's, before its callee may get an edge of its
// own. Does nothing if the call was released or answered meanwhile.
void confirm_edge(Process& caller, std::uint64_t callee) noexcept;

// Makes the envelope of a call that began without one, for the server that was called, and lets the caller await it: as
// AwaitedCall, which is still to be made. The caller's edge is noted, and must be confirmed.
[[nodiscard]] detail::CallNode* make_awaited_envelope(Process& caller, const Process& server, detail::PlacedCall& call);
// The rest of a call without an envelope that was not answered, once that is made: waits for the end of it.
[[nodiscard]] detail::CallOutcome await_envelope(Process& process, const Pid& callee, const detail::PlacedCall& call,
                                                 const CallTimes& times);

// Waits for the awaited answer: sets outcome.node, or outcome.cause (`timeout` after the deadline).
void await_outcome(Process& process, platform::Nanoseconds deadline, detail::CallOutcome& outcome);

}  // namespace coppice::runtime
