// SPDX-License-Identifier: Apache-2.0
//
// The caller's side of a call, for those who send the envelope by other means: a start hands it to the child it makes.
#pragma once

#include "platform/world.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

// Gives the process a fresh call id (Body::call_id), which the envelope must carry, and makes it await that call. Whatever
// way the process leaves its wait, it awaits nothing afterwards, and a late answer is dropped.
class AwaitedCall {
 public:
  AwaitedCall(Worker& here, Process& process);  // the worker that runs it
  ~AwaitedCall();
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

  // Counts from now.
  void start(Core& core);
  // The same for a call by hand-off that is not over yet: only its `begin` is known, from the last tick.
  void start_late(Core& core);
};

// Makes a noted edge one that takes part in the search for deadlocks: the caller's, before its callee may get an edge of its
// own. Does nothing if the call was released or answered meanwhile.
void confirm_edge(Process& caller, std::uint64_t callee) noexcept;

// The rest of a call in place whose handler has not replied: makes its envelope, which the server has, one that the running
// process awaits, schedules the server, and waits. The process has memory for its timer.
[[nodiscard]] detail::CallOutcome await_after_in_place(Worker& here, Process& server, detail::PlacedCall& call,
                                                       WaitTime timeout);

// Waits for the awaited answer: sets outcome.node, or outcome.cause (`timeout` after the deadline).
void await_outcome(Process& process, platform::Nanoseconds deadline, detail::CallOutcome& outcome);

}  // namespace coppice::runtime
