// SPDX-License-Identifier: Apache-2.0
//
// The slab of control lines. Mapped once for a runtime and unmapped when the runtime's memory goes, so a line may be
// looked at by anybody who holds a pid, whatever has become of its process. Slots are reused first in, first out: a slot
// that was freed is the last to be used again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "runtime/process.hpp"

namespace coppice::runtime {

// May be called from any thread.
class ProcessTable {
 public:
  explicit ProcessTable(std::size_t processes_max);
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  // A free line, its serial already that of the new tenant and its head `running`; null when no slot is left.
  [[nodiscard]] Process* allocate() noexcept;
  // Gives the slot of a dead process to whoever comes last.
  void free(Process& process) noexcept;

  [[nodiscard]] Process& line(const Pid& pid) noexcept { return lines_[pid.slot()]; }
  [[nodiscard]] Sight& sight(const Process& process) noexcept { return sights_[&process - lines_]; }
  [[nodiscard]] bool in_range(const Pid& pid) const noexcept { return pid.slot() < slots_; }
  [[nodiscard]] std::size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_; }

  // The number of every live process, a snapshot without promise.
  [[nodiscard]] std::vector<std::uint64_t> numbers() const;

 private:
  const std::size_t slots_;
  Process* lines_ = nullptr;
  Sight* sights_ = nullptr;
  std::atomic<std::size_t> count_{0};
  std::mutex mutex_;                      // guards the three below
  std::uint32_t untouched_ = 1;           // slots from here on were never used; slot 0 is nobody
  Process* free_first_ = nullptr;         // linked by run_link
  Process* free_last_ = nullptr;
  std::atomic<std::uint32_t> used_{1};    // slots below were used
};

}  // namespace coppice::runtime
