// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a job after an attempt, as plain data.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <coppice/jobs.hpp>

namespace coppice::jobs {

using Micros = std::int64_t;  // since 1970

// How an attempt ended, told by the queue.
struct AttemptEnd {
  enum class Kind : std::uint8_t {
    ok,
    failed,
    snoozed,
    cancelled,
    discarded,
    put_back  // broken off by a stop
  };
  Kind kind = Kind::ok;
  std::string reason = {};
  std::chrono::nanoseconds snooze{0};
};

// What is written then.
struct Next {
  JobState state = JobState::completed;
  int attempt = 0;                          // attempts that count
  std::optional<Micros> scheduled_at = {};  // of the next attempt
  bool over = true;
  std::optional<std::string> error = {};  // none: as it was

  friend bool operator==(const Next&, const Next&) = default;
};

// Reasons are cut to this many bytes.
inline constexpr std::size_t reason_max = 4096;

// The delay after the failure of the attempt-th attempt (from 1). `salt` decides the jitter: the same job gets the
// same.
[[nodiscard]] std::chrono::nanoseconds retry_delay(const Backoff& backoff, int attempt, std::uint64_t salt);

[[nodiscard]] Next decide(const AttemptEnd& end, const Job& job, const Backoff& backoff, Micros now);

}  // namespace coppice::jobs
