// SPDX-License-Identifier: Apache-2.0
#include "jobs/job_decision.hpp"

#include <algorithm>
#include <cmath>

namespace coppice::jobs {
namespace {

// Between 0 and 1, the same for the same salt (SplitMix64).
double chance_of(std::uint64_t salt) {
  std::uint64_t z = salt + 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

Micros later(Micros now, std::chrono::nanoseconds delay) {
  return now +
         std::chrono::duration_cast<std::chrono::microseconds>(std::max(delay, std::chrono::nanoseconds(0))).count();
}

}  // namespace

std::chrono::nanoseconds retry_delay(const Backoff& backoff, int attempt, std::uint64_t salt) {
  const double most = static_cast<double>(backoff.max.count());
  const double grown =
      static_cast<double>(backoff.first.count()) * std::pow(std::max(backoff.factor, 1.0), attempt - 1);
  const double jitter = std::clamp(backoff.jitter, 0.0, 1.0) * chance_of(salt + static_cast<std::uint64_t>(attempt));
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::min(grown, most) * (1 - jitter)));
}

Next decide(const AttemptEnd& end, const Job& job, const Backoff& backoff, Micros now) {
  const std::string reason = end.reason.substr(0, reason_max);
  switch (end.kind) {
    case AttemptEnd::Kind::ok: return {JobState::completed, job.attempt, std::nullopt, true, std::nullopt};
    case AttemptEnd::Kind::snoozed:
      return {JobState::scheduled, job.attempt - 1, later(now, end.snooze), false, std::nullopt};
    case AttemptEnd::Kind::cancelled: return {JobState::cancelled, job.attempt, std::nullopt, true, reason};
    case AttemptEnd::Kind::discarded: return {JobState::discarded, job.attempt, std::nullopt, true, reason};
    case AttemptEnd::Kind::put_back: return {JobState::available, job.attempt - 1, now, false, std::nullopt};
    case AttemptEnd::Kind::failed: break;
  }
  if (job.attempt >= job.max_attempts) return {JobState::discarded, job.attempt, std::nullopt, true, reason};
  const Micros at = later(now, retry_delay(backoff, job.attempt, static_cast<std::uint64_t>(job.id) << 8));
  return {JobState::retryable, job.attempt, at, false, reason};
}

}  // namespace coppice::jobs
