// SPDX-License-Identifier: Apache-2.0
//
// What an exit signal does to its receiver: the table of PR-048 as a pure function.
#pragma once

#include <coppice/exit_reason.hpp>

namespace coppice::runtime {

struct ExitSignal {
  ExitReason reason;
  bool caused_by_link = false;  // else sent by exit(pid, reason)
  bool from_self = false;
};

enum class ExitEffect { ignore, message, terminate };

struct ExitDecision {
  ExitEffect effect = ExitEffect::ignore;
  ExitReason reason;  // of the termination, or in the message

  friend bool operator==(const ExitDecision&, const ExitDecision&) = default;
};

// The special reason is `kill`, and only when it is sent explicitly (PR-048): it cannot be trapped and shows as
// `killed`. A `normal` signal ends nobody but its own sender (PR-049).
[[nodiscard]] inline ExitDecision decide_exit(const ExitSignal& signal, bool trapping) {
  if (!signal.caused_by_link && signal.reason == ExitReason::kill())
    return {ExitEffect::terminate, ExitReason::killed()};
  if (trapping) return {ExitEffect::message, signal.reason};
  if (signal.reason.is_normal() && !signal.from_self) return {ExitEffect::ignore, signal.reason};
  return {ExitEffect::terminate, signal.reason};
}

}  // namespace coppice::runtime
