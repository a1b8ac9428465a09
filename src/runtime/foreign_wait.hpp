// SPDX-License-Identifier: Apache-2.0
//
// What a process and the foreign thread that completes its wait share. Each holds it, so whoever is last frees it.
//
// The phase, and who changes it
//   pending -> done      the foreign thread. The process is running, or in an ordinary wait: it is sent the wake node, the
//                        answer to a call that was made to nobody. What comes late is dropped like any late reply.
//   pending -> parked    the target of the switch by which the process left its stack in wait_for_end(). From here on
//                        nobody but the foreign thread can make it runnable: its head says running, signals queue up.
//   parked  -> done      the foreign thread, which then schedules the process, as the blocking pool does.
// A switch that finds the phase done reschedules the process by itself. So each transition is made by one compare and
// swap or exchange, and exactly one side schedules.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <coppice/foreign_wait.hpp>

#include "runtime/process.hpp"

namespace coppice {
inline namespace v1 {
namespace detail {

struct ForeignWaitState {
  enum Phase : std::uint8_t { pending, parked, done };

  explicit ForeignWaitState(runtime::Process& waiting);  // which awaits a call from now on
  void forget() noexcept;                                // ... and no more: by the process, whatever way it leaves
  ~ForeignWaitState();

  // Leaving::foreign: true if the process is parked now, false if it has been completed and must be scheduled.
  [[nodiscard]] bool park() noexcept;
  void complete() noexcept;

  std::shared_ptr<runtime::Core> core;  // a completion may come after its runtime has stopped
  runtime::Process& process;
  Pid pid;
  CallNode* wake = nullptr;  // made in advance
  std::atomic<std::uint8_t> phase{pending};
};

}  // namespace detail
}  // namespace v1
}  // namespace coppice
