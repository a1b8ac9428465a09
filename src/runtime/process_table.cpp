// SPDX-License-Identifier: Apache-2.0
#include "runtime/process_table.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <utility>

#include "platform/fault.hpp"

namespace coppice::runtime {
namespace {

constexpr std::size_t slots_max = (std::size_t{1} << Pid::slot_bits) - 1;
constexpr std::uint32_t magazine_slots = 64;
constexpr std::size_t small_table = 64 * 1024;
constexpr std::uint32_t numbered_in_turn = 256;  // small programs have small pids, in the order of birth
constexpr std::uint32_t fresh_first = 1024;      // as long as fewer were used, freed slots rest

template <class T>
T* map_array(std::size_t count) {
  void* memory =
      ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<T*>(memory);
}

}  // namespace

// Pages of the slabs are zero until a slot is first used; refill() then constructs its line and its badge. A zero line has
// serial 0, which no pid carries. A zero sight says what a new one would, so its page stays untouched until somebody has
// something to say there.
ProcessTable::ProcessTable(std::size_t processes_max, unsigned workers) {
  const std::size_t wanted = std::clamp<std::size_t>(processes_max, 1, slots_max - 1) + 1;
  const bool small = wanted < small_table;
  slots_ = small ? wanted : std::min(wanted + std::size_t{workers} * 2 * magazine_slots, slots_max);
  if (!small) {
    magazine_size_ = magazine_slots;
    of_workers_ = std::vector<Magazines>(workers);
  }
  lines_ = map_array<Process>(slots_);
  badges_ = map_array<Badge>(slots_);
  sights_ = map_array<Sight>(slots_);
}

ProcessTable::~ProcessTable() {
  ::munmap(lines_, slots_ * sizeof(Process));
  ::munmap(badges_, slots_ * sizeof(Badge));
  ::munmap(sights_, slots_ * sizeof(Sight));
}

Process* ProcessTable::take(Magazines& from) noexcept {
  Process* process = from.taking;
  if (process != nullptr) from.taking = process->run_link;
  return process;
}

// Under the lock. Fresh slots first: as long as there are any, a freed slot rests.
bool ProcessTable::refill(Magazines& magazines) noexcept {
  if (untouched_ < slots_ && (depot_first_ == nullptr || untouched_ < fresh_first)) {
    const std::uint32_t wanted = &magazines == &shared_ || untouched_ < numbered_in_turn ? 1 : magazine_size_;
    const auto end = static_cast<std::uint32_t>(std::min<std::size_t>(slots_, untouched_ + wanted));
    for (std::uint32_t slot = end; slot-- > untouched_;) {
      auto* process = ::new (static_cast<void*>(&lines_[slot])) Process;
      ::new (static_cast<void*>(&badges_[slot])) Badge;
      process->run_link = std::exchange(magazines.taking, process);
    }
    untouched_ = end;
    used_.store(untouched_, std::memory_order_release);
    return true;
  }
  if (depot_first_ != nullptr) {
    magazines.taking = depot_first_;
    depot_first_ = std::exchange(depot_first_->next_magazine, nullptr);
    if (depot_first_ == nullptr) depot_last_ = nullptr;
    return true;
  }
  for (Magazines* own : {&magazines, &shared_}) {  // what has not become a full magazine yet
    if (own->freed == 0) continue;
    magazines.taking = std::exchange(own->freed_first, nullptr);
    own->freed_last = nullptr;
    own->freed = 0;
    return true;
  }
  magazines.taking = std::exchange(shared_.taking, nullptr);
  return magazines.taking != nullptr;
}

Process* ProcessTable::allocate(std::uint32_t worker) noexcept {
  Process* process = nullptr;
  if (worker < of_workers_.size()) {
    Magazines& mine = of_workers_[worker];
    process = take(mine);
    if (process == nullptr) {
      const std::lock_guard lock(mutex_);
      if (refill(mine)) process = take(mine);
    }
  } else {
    const std::lock_guard lock(mutex_);
    process = take(shared_);
    if (process == nullptr && refill(shared_)) process = take(shared_);
  }
  if (process == nullptr) return nullptr;
  process->queue = nullptr;
  process->stack = nullptr;
  process->run_link = nullptr;
  const std::uint64_t use = process->uses + 1;
  process->body = nullptr;
  process->queue_length.store(0, std::memory_order_relaxed);
  process->flags.store(0, std::memory_order_relaxed);
  process->handling.store(nullptr, std::memory_order_relaxed);
  Badge& badge = badges_[process - lines_];
  badge.kind.store(nullptr, std::memory_order_relaxed);
  badge.parent.store(0, std::memory_order_relaxed);
  badge.group_leader.store(0, std::memory_order_relaxed);
  if (use != 1) sights_[process - lines_].clear();
  const std::uint64_t number = (use << Pid::slot_bits) | static_cast<std::uint64_t>(process - lines_);
  head::open(*process, number);
  return process;
}

void ProcessTable::put(Magazines& to, Process& process) noexcept {
  process.run_link = nullptr;
  if (to.freed_last != nullptr) {
    to.freed_last->run_link = &process;
  } else {
    to.freed_first = &process;
  }
  to.freed_last = &process;
  ++to.freed;
}

// Under the lock: a full magazine goes to the back of the depot.
void ProcessTable::hand_over(Magazines& magazines) noexcept {
  Process* full = std::exchange(magazines.freed_first, nullptr);
  magazines.freed_last = nullptr;
  magazines.freed = 0;
  full->next_magazine = nullptr;
  if (depot_last_ != nullptr) {
    depot_last_->next_magazine = full;
  } else {
    depot_first_ = full;
  }
  depot_last_ = full;
}

void ProcessTable::free(Process& process, std::uint32_t worker) noexcept {
  COPPICE_INVARIANT((process.head.load(std::memory_order_relaxed) & head::dead) != 0,
                    "a process slot was freed whose process is not dead");
  process.uses = process.serial.load(std::memory_order_relaxed) >> Pid::slot_bits;
  head::close(process);
  if (worker < of_workers_.size()) {
    Magazines& mine = of_workers_[worker];
    put(mine, process);
    if (mine.freed < magazine_size_) return;
    const std::lock_guard lock(mutex_);
    hand_over(mine);
  } else {
    const std::lock_guard lock(mutex_);
    put(shared_, process);
    if (shared_.freed >= magazine_size_) hand_over(shared_);
  }
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
