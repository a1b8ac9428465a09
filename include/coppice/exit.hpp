// SPDX-License-Identifier: Apache-2.0
//
// Exit: Elixir's catchable exit. `throw Exit(reason)` is `exit(reason)` of Elixir where somebody may catch it
// (`catch :exit, reason`); a failed call throws one. It is not a std::exception: `catch (const std::exception&)` is
// Elixir's `rescue` and does not see exits. Uncaught, it ends the process with exactly its reason (PR-008).
// coppice::exit(reason) in process.hpp is the one that nobody can catch.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include <coppice/config.hpp>
#include <coppice/exit_reason.hpp>
#include <coppice/pid.hpp>

namespace coppice {
inline namespace v1 {

// What a reader wants to know about a call that failed. Empty for an Exit that was not thrown by a call.
struct CallFailure {
  std::string server;                  // its name, else its pid, as the caller addressed it
  Pid pid;                             // the process that was asked; none if the name was not registered
  std::string request;                 // type of the request
  std::chrono::nanoseconds waited{0};  // how long the caller waited
  std::size_t queue_length = 0;        // messages in the server's mailbox when the call failed
  std::string doing;                   // type of the message that the server was handling then; empty if idle or gone
};

class COPPICE_API Exit {
 public:
  explicit Exit(ExitReason reason) : reason_(std::move(reason)) {}
  Exit(ExitReason reason, CallFailure failure) : reason_(std::move(reason)), failure_(std::move(failure)) {}

  // For a failed call: `{why, {GenServer, :call, [server, request, timeout]}}`.
  [[nodiscard]] const ExitReason& reason() const noexcept { return reason_; }
  // For a failed call the `why` alone, e.g. `timeout` or `noproc`; else the same as reason().
  [[nodiscard]] ExitReason cause() const;
  [[nodiscard]] const CallFailure& call() const noexcept { return failure_; }

  // A few lines for people: the reason as Elixir's Exception.format_exit prints it, and the facts of the call.
  [[nodiscard]] std::string message() const;

 private:
  ExitReason reason_;
  CallFailure failure_;
};

}  // namespace v1
}  // namespace coppice
