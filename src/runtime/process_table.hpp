// SPDX-License-Identifier: Apache-2.0
//
// The slab of control lines. Mapped once for a runtime and unmapped when the runtime's memory goes, so a line may be
// looked at by anybody who holds a pid, whatever has become of its process.
//
// Slots go from hand to hand in magazines. A worker takes its slots from one and puts what it frees into another, both
// its own; a full one goes to the back of the depot's queue, an empty one is replaced by the one that has waited there
// longest, or by slots that nobody has used yet. So the workers meet at the lock once in 64 births and 64 deaths, and a slot
// that was freed rests while all others in the depot are used. Foreign threads share a pair of magazines under the lock.
// In a small table all do, and a magazine holds one slot: there the last free slot must be found, whoever has freed it. In a
// large one each worker may keep up to two magazines from the others: that many slots more are mapped.
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
  static constexpr std::uint32_t no_worker = ~std::uint32_t{0};

  ProcessTable(std::size_t processes_max, unsigned workers);
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  // A free line, its serial already that of the new tenant and its head `running`; null when no slot is left. `worker` is
  // the calling thread's number among this runtime's workers.
  [[nodiscard]] Process* allocate(std::uint32_t worker) noexcept;
  // Gives the slot of a dead process to whoever comes last.
  void free(Process& process, std::uint32_t worker) noexcept;

  [[nodiscard]] Process& line(const Pid& pid) noexcept { return lines_[pid.slot()]; }
  [[nodiscard]] Badge& badge(const Process& process) noexcept { return badges_[&process - lines_]; }
  [[nodiscard]] Sight& sight(const Process& process) noexcept { return sights_[&process - lines_]; }
  [[nodiscard]] bool in_range(const Pid& pid) const noexcept { return pid.slot() < slots_; }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_; }

  // The number of every live process, a snapshot without promise.
  [[nodiscard]] std::vector<std::uint64_t> numbers() const;

 private:
  struct alignas(64) Magazines {
    Process* taking = nullptr;       // linked by run_link
    Process* freed_first = nullptr;  // the same
    Process* freed_last = nullptr;
    std::uint32_t freed = 0;
  };

  [[nodiscard]] Process* take(Magazines& from) noexcept;
  bool refill(Magazines& magazines) noexcept;
  void put(Magazines& to, Process& process) noexcept;
  void hand_over(Magazines& magazines) noexcept;

  std::size_t slots_ = 0;
  std::uint32_t magazine_size_ = 1;
  Process* lines_ = nullptr;
  Badge* badges_ = nullptr;
  Sight* sights_ = nullptr;
  std::vector<Magazines> of_workers_;  // each its worker's alone; none in a small table
  std::mutex mutex_;                   // guards what follows
  Magazines shared_;
  std::uint32_t untouched_ = 1;     // slots from here on were never used; slot 0 is nobody
  Process* depot_first_ = nullptr;  // magazines, linked by next_magazine of their first slots
  Process* depot_last_ = nullptr;
  std::atomic<std::uint32_t> used_{1};  // slots below were used
};

}  // namespace coppice::runtime
