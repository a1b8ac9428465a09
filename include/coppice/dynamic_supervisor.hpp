// SPDX-License-Identifier: Apache-2.0
//
// DynamicSupervisor: a supervisor for many independent children that come and go. It starts empty, knows its children by
// pid only, restarts each one alone, and stops them all at once.
//
//   DynamicSupervisor::start_link({.name = "Sessions"}).value();
//   Pid pid = DynamicSupervisor::start_child("Sessions", child<Session>("ann").restart(Restart::transient)).value();
//   DynamicSupervisor::terminate_child("Sessions", pid);
//   child<DynamicSupervisor>({.name = "Sessions", .max_children = 10'000})      // in a tree
//
// Restart kinds, intensity and its end are those of Supervisor (supervisor.hpp); the children share one counter, so one
// that crashes again and again takes all others with it. A child that ends and is not restarted is forgotten: no
// specification stays behind. Its id is needed in the specification and means nothing here (DS-010).
//
// Stopping. When the supervisor ends, all children are told at once and awaited together: it takes as long as the slowest
// (DS-029). Each has its own deadline; one that takes longer is killed, whatever the others do.
//
// While it starts a child or stops one it serves nobody else: a slow constructor holds up all callers. Several such
// supervisors behind one name: PartitionSupervisor.
//
// The functions take any address of a supervisor (children.hpp), may be called by any thread, wait without limit, and throw
// Exit with `{noproc, {GenServer, :call, ...}}` if there is none. OTP has no extra place for its `extra_arguments`
// (DS-012): in C++ a start function has all its arguments. Elixir: DynamicSupervisor; rules DS-*.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/children.hpp>
#include <coppice/start_result.hpp>

namespace coppice {
inline namespace v1 {

// Wrong values are the error of the start: {:supervisor_data, {:invalid_period, 0}} (DS-004).
struct DynamicSupervisorOptions {
  ServerName name = {};
  std::int64_t max_restarts = 3;                            // at least 0
  std::int64_t max_seconds = 5;                             // at least 1
  std::optional<std::int64_t> max_children = std::nullopt;  // none: no limit
};

class COPPICE_API DynamicSupervisor {
 public:
  using Options = DynamicSupervisorOptions;

  // Starts one, linked to the caller (DS-006). By a process.
  static StartResult<DynamicSupervisor> start_link(Options options = {});
  // As a child: type supervisor; id is its name, or DynamicSupervisor if it has none (DS-007).
  [[nodiscard]] static ChildSpec child_spec(Options options = {});

  // Starts a child. Errors: what is wrong with the specification, found before anybody is asked (DS-008, DS-009);
  // :max_children (DS-011); that of the start, unchanged (DS-013, DS-014). `ignore` is ignore, and nothing is kept.
  static StartChildResult start_child(const ServerAddress& supervisor, ChildSpec spec);
  // Stops a child and forgets it; no restart follows. Also the pid of a child whose restart is being tried: ends the tries
  // (DS-024). Error: :not_found (DS-027).
  static Result<> terminate_child(const ServerAddress& supervisor, const Pid& pid);
  // All children, in no order; ids are :undefined (DS-034).
  [[nodiscard]] static std::vector<ChildInfo> which_children(const ServerAddress& supervisor) {
    return detail::which_children(supervisor);
  }
  [[nodiscard]] static ChildCounts count_children(const ServerAddress& supervisor) {
    return detail::count_children(supervisor);
  }
  // As GenServer's stop (DS-036).
  static void stop(const ServerAddress& supervisor, const ExitReason& reason = ExitReason::normal(),
                   WaitTime timeout = infinity);
};

}  // namespace v1
}  // namespace coppice
