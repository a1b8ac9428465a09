// SPDX-License-Identifier: Apache-2.0
#include "runtime/process_table.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "platform/fault.hpp"

namespace coppice::runtime {
namespace {

template <class T>
T* map_array(std::size_t count) {
  void* memory = ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(memory);
}

}  // namespace

// Pages of the slab are zero until a slot is first used; allocate() then constructs the line. A zero line has serial 0,
// which no pid carries.
ProcessTable::ProcessTable(std::size_t processes_max)
    : slots_(std::clamp<std::size_t>(processes_max, 1, (std::size_t{1} << Pid::slot_bits) - 2) + 1) {
  lines_ = map_array<Process>(slots_);
  sights_ = map_array<Sight>(slots_);
}

ProcessTable::~ProcessTable() {
  ::munmap(lines_, slots_ * sizeof(Process));
  ::munmap(sights_, slots_ * sizeof(Sight));
}

Process* ProcessTable::allocate() noexcept {
  Process* process = nullptr;
  {
    const std::lock_guard lock(mutex_);
    // Fresh slots first: as long as there are any, a freed slot rests.
    if (untouched_ < slots_ && (free_first_ == nullptr || untouched_ < 1024)) {
      process = ::new (static_cast<void*>(&lines_[untouched_])) Process;
      ::new (static_cast<void*>(&sights_[untouched_])) Sight;
      ++untouched_;
      used_.store(untouched_, std::memory_order_release);
    } else if (free_first_ != nullptr) {
      process = free_first_;
      free_first_ = process->run_link;
      if (free_first_ == nullptr) free_last_ = nullptr;
    } else {
      return nullptr;
    }
  }
  count_.fetch_add(1, std::memory_order_relaxed);
  process->queue = nullptr;
  process->stack = nullptr;
  process->run_link = nullptr;
  process->body = nullptr;
  process->queue_length.store(0, std::memory_order_relaxed);
  process->flags.store(0, std::memory_order_relaxed);
  Sight& sight = sights_[process - lines_];
  sight.callee.store(0, std::memory_order_relaxed);
  sight.handling.store(nullptr, std::memory_order_relaxed);
  sight.name.store(nullptr, std::memory_order_relaxed);
  sight.kind.store(nullptr, std::memory_order_relaxed);
  sight.parent.store(0, std::memory_order_relaxed);
  sight.group_leader.store(0, std::memory_order_relaxed);
  sight.limit.store(0, std::memory_order_relaxed);
  sight.pending.store(0, std::memory_order_relaxed);
  sight.dropped.store(0, std::memory_order_relaxed);
  // `spare` remembers the use count of the slot while nobody lives there.
  const std::uint64_t use = process->spare + 1;
  process->spare = use;
  const std::uint64_t number = (use << Pid::slot_bits) | static_cast<std::uint64_t>(process - lines_);
  // The serial before the head: who reads the new head (acquire) reads the new serial as well.
  process->serial.store(number, std::memory_order_relaxed);
  process->head.store(head::tag_of(number), std::memory_order_release);
  return process;
}

void ProcessTable::free(Process& process) noexcept {
  COPPICE_INVARIANT((process.head.load(std::memory_order_relaxed) & head::dead) != 0,
                    "a process slot was freed whose process is not dead");
  process.serial.store(0, std::memory_order_release);
  count_.fetch_sub(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  process.run_link = nullptr;
  if (free_last_ != nullptr) {
    free_last_->run_link = &process;
  } else {
    free_first_ = &process;
  }
  free_last_ = &process;
}

std::vector<std::uint64_t> ProcessTable::numbers() const {
  std::vector<std::uint64_t> numbers;
  const std::uint32_t used = used_.load(std::memory_order_acquire);
  for (std::uint32_t slot = 1; slot < used; ++slot) {
    const std::uint64_t serial = lines_[slot].serial.load(std::memory_order_acquire);
    if (serial != 0) numbers.push_back(serial);
  }
  return numbers;
}

}  // namespace coppice::runtime
