// SPDX-License-Identifier: Apache-2.0
//
// What a supervisor decides, as pure functions over plain data: is a child started again, whose ends matter, which siblings
// are stopped and started and in which order, is the intensity exceeded, is a specification valid. The processes that ask
// (supervisor.cpp, dynamic_supervisor.cpp) carry the answers out.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/supervisor.hpp>

namespace coppice::otp {

// -- the end of a child

struct EndVerdict {
  enum class Fate : std::uint8_t { restart, keep_stopped, forget } fate;
  bool report;  // as child_terminated
  friend bool operator==(const EndVerdict&, const EndVerdict&) = default;
};
// SV-029..SV-033, SV-087.
[[nodiscard]] EndVerdict judge_end(Restart restart, const ExitReason& reason);

// Whether a child that was told to stop ended in a way that needs no report (SV-058).
[[nodiscard]] bool is_expected_end(const Shutdown& shutdown, Restart restart, const ExitReason& reason);
// The same for the children of a dynamic supervisor, which accept any kind of shutdown (DS-032).
[[nodiscard]] bool is_expected_dynamic_end(const Shutdown& shutdown, Restart restart, const ExitReason& reason);

// Whether the end of a child that is not restarted ends its supervisor (SV-067..SV-069). `others` counts the other
// significant children that are running or restarting.
[[nodiscard]] bool ends_supervisor(AutoShutdown mode, bool significant, std::size_t others);

// -- the restart of a group

struct Sibling {
  bool running = false;
  bool temporary = false;
};
// Indices into the group, which is given in start order and includes the child that failed.
struct GroupPlan {
  std::vector<std::size_t> stop;    // in this order: last started first
  std::vector<std::size_t> forget;  // temporary siblings, once stopped (SV-038)
  std::vector<std::size_t> start;   // in this order; also those that did not run before (SV-039)
};
[[nodiscard]] GroupPlan plan_group(std::span<const Sibling> group);

// -- restart intensity

// The restarts of the last `seconds`, counted by the second: adding one costs constant time, however many there are.
class RestartWindow {
 public:
  RestartWindow(std::int64_t restarts_max, std::int64_t seconds) : restarts_max_(restarts_max), seconds_(seconds) {}
  // Notes a restart at that second of a monotonic clock; false if it is one too many (SV-041, SV-042).
  [[nodiscard]] bool admit(std::int64_t now_s);

 private:
  std::int64_t restarts_max_;
  std::int64_t seconds_;
  std::int64_t total_ = 0;
  std::deque<std::pair<std::int64_t, std::int64_t>> counts_;  // second, restarts in it; oldest first
};

// -- back-off

// The delay before the next restart. `previous` is the last one, 0 if there was none; `ran` is how long the child ran
// since; `chance` is between 0 and 1.
struct Delay {
  std::chrono::nanoseconds base;    // to be given as `previous` next time
  std::chrono::nanoseconds actual;  // with jitter
};
[[nodiscard]] Delay next_delay(const Backoff& backoff, std::chrono::nanoseconds previous, std::chrono::nanoseconds ran,
                               double chance);

// -- validation: what is wrong, or nothing

// SV-020: {:invalid_strategy, v} and its kin.
[[nodiscard]] std::optional<Term> check_flags(const SupervisorFlags& flags);
// SV-005, SV-008. Without a mode the combination with auto_shutdown is not checked.
[[nodiscard]] std::optional<Term> check_child(const ChildSpec& spec, std::optional<AutoShutdown> mode);
// The first that is wrong, or an id that stands there twice (SV-007).
[[nodiscard]] std::optional<Term> check_children(std::span<const ChildSpec> specs, std::optional<AutoShutdown> mode);

}  // namespace coppice::otp
