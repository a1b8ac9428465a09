// SPDX-License-Identifier: Apache-2.0
//
// What tasks decide, as pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <coppice/exit_reason.hpp>

namespace coppice::otp {

// How a task is told to end: asked by `shutdown`, or killed at once. (Killed after it was asked counts as asked.)
enum class TaskEnding : std::uint8_t { asked, killed };

// Did this reason come from the one who ended the task, so that there is nothing to tell (TK-043, TK-044, TK-047)?
[[nodiscard]] inline bool ended_by_us(TaskEnding how, const ExitReason& reason) {
  return reason == (how == TaskEnding::asked ? ExitReason::shutdown() : ExitReason::killed());
}

// Of how many answers yield_many returns (TK-039).
[[nodiscard]] inline std::size_t answers_wanted(std::size_t tasks, std::size_t limit) { return std::min(tasks, limit); }

// Where a stream stands.
struct StreamProgress {
  std::size_t started = 0;
  std::size_t running = 0;
  std::size_t delivered = 0;
};
struct StreamLimits {
  std::size_t max_concurrency = 1;
  bool ordered = true;
  std::size_t buffer_max = 0;  // of an ordered stream: results that wait for an earlier one
};

// May another element be started (TK-058)? An ordered stream does not run further ahead than its buffer allows: all
// that was started and not delivered is a running task or will be a buffered result.
[[nodiscard]] inline bool may_start(const StreamLimits& limits, const StreamProgress& progress) {
  if (progress.running >= limits.max_concurrency) return false;
  if (!limits.ordered) return true;
  const std::size_t undelivered = progress.started - progress.delivered;
  return undelivered < limits.max_concurrency || undelivered - limits.max_concurrency < limits.buffer_max;
}

}  // namespace coppice::otp
