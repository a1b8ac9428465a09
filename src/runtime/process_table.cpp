// SPDX-License-Identifier: Apache-2.0
#include "runtime/process_table.hpp"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "platform/fault.hpp"
#include "platform/pages.hpp"

namespace coppice::runtime {
namespace {

constexpr std::size_t slots_max = (std::size_t{1} << Pid::slot_bits) - 1;
constexpr std::uint32_t magazine_slots = 64;
constexpr std::size_t small_table = 64 * 1024;
constexpr std::uint32_t numbered_in_turn = 256;  // small programs have small pids, in the order of birth
constexpr std::uint32_t fresh_first = 1024;      // as long as fewer were used, freed slots rest

}  // namespace

// Pages of the slabs are zero until a slot is first used; take_uncut() then constructs its line and its badge. A zero line
// has serial 0, which no pid carries. A zero sight says what a new one would, so its page stays untouched until somebody has
// something to say there.
ProcessTable::ProcessTable(std::size_t processes_max, unsigned workers, platform::KeptPages* kept) : kept_(kept) {
  const std::size_t wanted = std::clamp<std::size_t>(processes_max, 1, slots_max - 1) + 1;
  const bool small = wanted < small_table;
  slots_ = small ? wanted : std::min(wanted + std::size_t{workers} * 2 * magazine_slots, slots_max);
  if (!small) {
    magazine_size_ = magazine_slots;
    of_workers_ = std::vector<Magazines>(workers);
  }
  map(lines_, slots_);
  map(badges_, slots_);
  map(sights_, slots_);
  static_assert(sizeof(Process) % 8 == 0 && sizeof(Badge) % 8 == 0 && sizeof(Sight) % 8 == 0);
  const auto page_size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  chunk_shift_ = static_cast<unsigned>(std::countr_zero(page_size / 8));
  map(chunks_, chunk_count());
  map(low_uses_, slots_);
}

// Nobody writes to what belongs to a slot that was never used.
ProcessTable::~ProcessTable() {
  sorted_.clear();
  given_back_.clear();
  const std::size_t used = used_.load(std::memory_order_relaxed);
  unmap(lines_, slots_, used);
  unmap(badges_, slots_, used);
  unmap(sights_, slots_, used);
  unmap(chunks_, chunk_count(), (used >> chunk_shift_) + 1);
  unmap(low_uses_, slots_, used);
}

template <class T>
void ProcessTable::map(T*& array, std::size_t count) {
  array = reinterpret_cast<T*>(platform::map_zeroed(count * sizeof(T), kept_));
}

template <class T>
void ProcessTable::unmap(T* array, std::size_t count, std::size_t touched) noexcept {
  platform::unmap_zeroed(reinterpret_cast<std::byte*>(array), count * sizeof(T), touched * sizeof(T), kept_);
}

// -- where slots come from. All but take() under the lock

Process* ProcessTable::take(Magazines& from) noexcept {
  Process* process = from.taking;
  if (process != nullptr) from.taking = process->run_link;
  return process;
}

bool ProcessTable::take_from_depot(Magazines& magazines) noexcept {
  if (depot_first_ == nullptr) return false;
  magazines.taking = depot_first_;
  depot_first_ = std::exchange(depot_first_->next_magazine, nullptr);
  if (depot_first_ == nullptr) depot_last_ = nullptr;
  const std::uint32_t held = depot_held_.load(std::memory_order_relaxed) - 1;
  depot_held_.store(held, std::memory_order_relaxed);
  spare_ = std::min(spare_, held);
  return true;
}

bool ProcessTable::take_sorted(Magazines& magazines) noexcept {
  if (sorted_.empty()) return false;
  Chunk& chunk = *sorted_.begin();
  for (std::uint32_t i = 0; i < magazine_size_ && chunk.free != nullptr; ++i) {
    Process* process = std::exchange(chunk.free, chunk.free->run_link);
    process->run_link = std::exchange(magazines.taking, process);
    --chunk.free_count;
  }
  if (chunk.free == nullptr) sorted_.remove(chunk);
  return true;
}

bool ProcessTable::begin_chunk() noexcept {
  const std::size_t chunk_slots = std::size_t{1} << chunk_shift_;
  if (!given_back_.empty()) {
    Chunk& chunk = *given_back_.begin();
    given_back_.remove(chunk);
    chunk.given_back.store(false, std::memory_order_relaxed);
    given_back_slots_.fetch_sub(chunk_slots, std::memory_order_relaxed);
    uncut_ = static_cast<std::uint32_t>(first_slot(chunk));
  } else {
    uncut_ = used_.load(std::memory_order_relaxed);
    if (uncut_ == slots_) return false;
  }
  uncut_end_ =
      static_cast<std::uint32_t>(std::min<std::size_t>(slots_, ((uncut_ >> chunk_shift_) + 1) << chunk_shift_));
  return true;
}

bool ProcessTable::take_uncut(Magazines& magazines) noexcept {
  if (uncut_ == uncut_end_ && !begin_chunk()) return false;
  const std::uint32_t wanted = &magazines == &shared_ || uncut_ < numbered_in_turn ? 1 : magazine_size_;
  const std::uint32_t end = std::min(uncut_end_, uncut_ + wanted);
  const bool fresh = uncut_ == used_.load(std::memory_order_relaxed);
  const Chunk& chunk = chunks_[uncut_ >> chunk_shift_];
  for (std::uint32_t slot = end; slot-- > uncut_;) {
    Process* process = &lines_[slot];
    if (fresh) {
      ::new (static_cast<void*>(process)) Process;
      ::new (static_cast<void*>(&badges_[slot])) Badge;
    } else {  // somebody may look at it
      const std::uint64_t less = chunk.uses_differ ? static_cast<std::uint16_t>(chunk.uses - low_uses_[slot]) : 0;
      process->uses = chunk.uses - less;
    }
    process->run_link = std::exchange(magazines.taking, process);
  }
  uncut_ = end;
  if (fresh) used_.store(end, std::memory_order_release);
  return true;
}

// Fresh slots first, as long as few were used: a freed slot rests.
bool ProcessTable::refill(Magazines& magazines) noexcept {
  if (used_.load(std::memory_order_relaxed) < fresh_first && take_uncut(magazines)) return true;
  if (take_from_depot(magazines) || take_sorted(magazines) || take_uncut(magazines)) return true;
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
  std::uint64_t number;
  Process* process = allocate_closed(worker, number);
  if (process != nullptr) head::open(*process, number);
  return process;
}

Process* ProcessTable::allocate_closed(std::uint32_t worker, std::uint64_t& number) noexcept {
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
  std::uint64_t use = process->uses + 1;
  use += static_cast<std::uint16_t>(use) == 0 ? 1 : 0;  // no tag is 0: a head of a page given back is no tenant's
  process->body = nullptr;
  process->queue_length.store(0, std::memory_order_relaxed);
  process->flags.store(0, std::memory_order_relaxed);
  process->handling.store(nullptr, std::memory_order_relaxed);
  Badge& badge = badges_[process - lines_];
  badge.kind.store(nullptr, std::memory_order_relaxed);
  badge.parent.store(0, std::memory_order_relaxed);
  badge.group_leader.store(0, std::memory_order_relaxed);
  if (use != 1) sights_[process - lines_].clear();
  number = (use << Pid::slot_bits) | static_cast<std::uint64_t>(process - lines_);
  return process;
}

// -- where slots go

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

// Under the lock: a magazine goes to the back of the depot.
void ProcessTable::hand_over(Process* magazine) noexcept {
  magazine->next_magazine = nullptr;
  if (depot_last_ != nullptr) {
    depot_last_->next_magazine = magazine;
  } else {
    depot_first_ = magazine;
  }
  depot_last_ = magazine;
  depot_held_.store(depot_held_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void ProcessTable::hand_over_freed(Magazines& magazines) noexcept {
  hand_over(std::exchange(magazines.freed_first, nullptr));
  magazines.freed_last = nullptr;
  magazines.freed = 0;
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
    hand_over_freed(mine);
  } else {
    const std::lock_guard lock(mutex_);
    put(shared_, process);
    if (shared_.freed >= magazine_size_) hand_over_freed(shared_);
  }
}

std::vector<std::uint64_t> ProcessTable::numbers() const {
  std::vector<std::uint64_t> numbers;
  const std::uint32_t used = used_.load(std::memory_order_acquire);
  for (std::uint32_t slot = 1; slot < used; ++slot) {
    if (chunks_[slot >> chunk_shift_].given_back.load(std::memory_order_relaxed)) {
      slot |= (std::uint32_t{1} << chunk_shift_) - 1;  // the last of them
      continue;
    }
    const std::uint64_t serial = lines_[slot].serial.load(std::memory_order_acquire);
    if (serial != 0) numbers.push_back(serial);
  }
  return numbers;
}

// -- giving back

bool ProcessTable::to_spare(std::uint32_t worker) const noexcept {
  if (used_.load(std::memory_order_relaxed) < spare_min) return false;
  if (depot_held_.load(std::memory_order_relaxed) >= spare_min / magazine_size_) return true;
  return worker < of_workers_.size() &&
         (of_workers_[worker].taking != nullptr || of_workers_[worker].freed_first != nullptr);
}

void ProcessTable::watch_spare() noexcept {
  const std::lock_guard lock(mutex_);
  const std::uint32_t held = depot_held_.load(std::memory_order_relaxed);
  if (held >= spare_min / magazine_size_) spare_ = held;
}

// Under the lock.
void ProcessTable::hand_over_all(Magazines& magazines) noexcept {
  if (magazines.taking != nullptr) {
    hand_over(std::exchange(magazines.taking, nullptr));
    ++spare_;
  }
  if (magazines.freed_first != nullptr) {
    hand_over_freed(magazines);
    ++spare_;
  }
}

// Under the lock. The chunk may be gone afterwards.
void ProcessTable::sort(Process& process) noexcept {
  Chunk& chunk = chunks_[static_cast<std::size_t>(&process - lines_) >> chunk_shift_];
  process.run_link = std::exchange(chunk.free, &process);
  if (chunk.free_count++ == 0) sorted_.push_back(chunk);
  if (chunk.free_count >> chunk_shift_ != 0) give_back(chunk);
}

// Under the lock, all of its slots in its list. The first chunk, which slot 0 belongs to, and a last one that is smaller
// never come here.
void ProcessTable::give_back(Chunk& chunk) noexcept {
  const std::size_t first = first_slot(chunk);
  const std::size_t count = std::size_t{1} << chunk_shift_;
  std::uint64_t least = ~std::uint64_t{0};
  std::uint64_t most = 0;
  for (std::size_t slot = first; slot < first + count; ++slot) {
    least = std::min(least, lines_[slot].uses);
    most = std::max(most, lines_[slot].uses);
  }
  if (most - least > 0xffff) return;
  chunk.uses = most;
  chunk.uses_differ = most != least;
  if (chunk.uses_differ) {
    for (std::size_t slot = first; slot < first + count; ++slot) {
      low_uses_[slot] = static_cast<std::uint16_t>(lines_[slot].uses);
    }
  }
  const auto each = [](auto* array, std::size_t from, std::size_t size, auto what) {
    what(reinterpret_cast<std::byte*>(array + from), size * sizeof(*array));
  };
  const auto all = [&](std::size_t from, std::size_t size, auto what) {
    each(lines_, from, size, what);
    each(badges_, from, size, what);
    each(sights_, from, size, what);
  };
  if (!std::exchange(small_pages_, true)) {  // else it may fill the holes again
    all(0, slots_, [](std::byte* begin, std::size_t size) { platform::wish_for_huge_pages(begin, size, false); });
  }
  all(first, count, platform::give_pages_back);
  chunk.free = nullptr;
  chunk.free_count = 0;
  sorted_.remove(chunk);
  given_back_.push_back(chunk);
  chunk.given_back.store(true, std::memory_order_relaxed);
  given_back_slots_.fetch_add(count, std::memory_order_relaxed);
}

bool ProcessTable::sort_spare(std::uint32_t worker, std::size_t slots) noexcept {
  const std::lock_guard lock(mutex_);
  if (used_.load(std::memory_order_relaxed) < spare_min) return false;
  if (worker < of_workers_.size()) hand_over_all(of_workers_[worker]);
  hand_over_all(shared_);
  std::size_t sorted = 0;
  while (spare_ != 0 && sorted < slots) {
    Magazines magazine;
    --spare_;
    take_from_depot(magazine);
    for (Process* process = magazine.taking; process != nullptr; ++sorted) {
      Process* next = process->run_link;
      sort(*process);  // may be gone with its page
      process = next;
    }
  }
  return spare_ != 0;
}

}  // namespace coppice::runtime
