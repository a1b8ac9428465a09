// SPDX-License-Identifier: Apache-2.0
//
// The slab of control lines. Mapped once for a runtime and unmapped, or left to the next one of its simulation, when the
// runtime's memory goes, so a line may be looked at by anybody who holds a pid, whatever has become of its process.
//
// Slots go from hand to hand in magazines. A worker takes its slots from one and puts what it frees into another, both
// its own; a full one goes to the back of the depot's queue, an empty one is replaced by the one that has waited there
// longest, or by slots that nobody has used yet. So the workers meet at the lock once in 64 births and 64 deaths, and a slot
// that was freed rests while all others in the depot are used. Foreign threads share a pair of magazines under the lock.
// In a small table all do, and a magazine holds one slot: there the last free slot must be found, whoever has freed it. In a
// large one each worker may keep up to two magazines from the others: that many slots more are mapped.
//
// Giving back. A burst of processes leaves the depot full. An idle worker sorts out what nobody has needed for a while, as
// it does with nodes (node_pool.cpp), some slots at a time:
//   1. sort_spare puts what the worker itself has kept to the depot, and takes the magazines out that have waited there
//      longest. Each slot goes to the list of its chunk: as many slots as it takes for their lines, badges and sights to
//      fill whole pages. refill() hands out what was sorted when the depot has nothing left.
//   2. A chunk with all of its slots in its list leaves the table: its pages go to the system. All of that under the lock,
//      so that the last free slot is found at any time.
//   3. When the depot and the lists have nothing left, a chunk that was given back is cut into magazines like one that was
//      never used, and before any such.
//
// Why nobody notices. Whoever holds an old pid may look at a line at any time, and sees it as its last tenant has left it,
// or zeros: the system clears the page for all processors before it answers. Either way the serial is not that of his pid.
// A compare-and-swap of what he saw before needs a word that was there with a living tenant: the one that has been left
// has `dead` in it, and 0 is no tenant's word, since no tag is 0 (see allocate). A slot that comes back has the use count
// that it had: the highest of its chunk is kept, and, where they differ, the low 16 bits of each. A chunk in which they
// differ by more than these tell stays as it is. Thus neither a number nor, before its time, a tag comes again. What a
// late hand still writes beside the head (a flag, a count of lost messages) is cleared for the next tenant, as ever.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "base/intrusive_list.hpp"
#include "platform/kept_memory.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

// May be called from any thread.
class ProcessTable {
 public:
  static constexpr std::uint32_t no_worker = ~std::uint32_t{0};

  // `kept`, if not null, must outlive the table.
  ProcessTable(std::size_t processes_max, unsigned workers, platform::KeptPages* kept = nullptr);
  ~ProcessTable();
  ProcessTable(const ProcessTable&) = delete;
  ProcessTable& operator=(const ProcessTable&) = delete;

  // A free line, its serial already that of the new tenant and its head `running`; null when no slot is left. `worker` is
  // the calling thread's number among this runtime's workers.
  [[nodiscard]] Process* allocate(std::uint32_t worker) noexcept;
  // The same, but `number` is to be the serial, and the caller opens the line (head::open): until then nobody can know of
  // the new tenant.
  [[nodiscard]] Process* allocate_closed(std::uint32_t worker, std::uint64_t& number) noexcept;
  // Gives the slot of a dead process to whoever comes last.
  void free(Process& process, std::uint32_t worker) noexcept;

  [[nodiscard]] Process& line(const Pid& pid) noexcept { return lines_[pid.slot()]; }
  [[nodiscard]] Badge& badge(const Process& process) noexcept { return badges_[&process - lines_]; }
  [[nodiscard]] Sight& sight(const Process& process) noexcept { return sights_[&process - lines_]; }
  [[nodiscard]] bool in_range(const Pid& pid) const noexcept { return pid.slot() < slots_; }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_; }

  // The number of every live process, a snapshot without promise.
  [[nodiscard]] std::vector<std::uint64_t> numbers() const;

  // -- giving memory back, by a worker that is idle. A table that never had so many processes is left alone.
  static constexpr std::uint32_t spare_min = 8 * 1024;
  // May it be worth it?
  [[nodiscard]] bool to_spare(std::uint32_t worker) const noexcept;
  // Notes from now on what nobody needs.
  void watch_spare() noexcept;
  // Sorts about so many slots of that, some nanoseconds each, and gives back; true if there may be more.
  [[nodiscard]] bool sort_spare(std::uint32_t worker, std::size_t slots) noexcept;
  // How many slots have no memory now, of those that were used.
  [[nodiscard]] std::size_t given_back() const noexcept { return given_back_slots_.load(std::memory_order_relaxed); }

 private:
  struct alignas(64) Magazines {
    Process* taking = nullptr;       // linked by run_link
    Process* freed_first = nullptr;  // the same
    Process* freed_last = nullptr;
    std::uint32_t freed = 0;
  };
  // All zero until one of its slots is sorted.
  struct Chunk {
    base::ListHook hook;      // in sorted_ or given_back_
    Process* free = nullptr;  // what was sorted, linked by run_link
    std::uint32_t free_count = 0;
    bool uses_differ = false;             // of one given back: low_uses_ tells how often each was used
    std::atomic<bool> given_back{false};  // numbers() need not look
    std::uint64_t uses = 0;               // of one given back: how often the slot that was used most
  };
  using Chunks = base::IntrusiveList<Chunk, &Chunk::hook>;

  [[nodiscard]] Process* take(Magazines& from) noexcept;
  bool refill(Magazines& magazines) noexcept;
  bool take_from_depot(Magazines& magazines) noexcept;
  bool take_sorted(Magazines& magazines) noexcept;
  bool take_uncut(Magazines& magazines) noexcept;
  bool begin_chunk() noexcept;
  void put(Magazines& to, Process& process) noexcept;
  void hand_over(Process* magazine) noexcept;
  void hand_over_freed(Magazines& magazines) noexcept;
  void hand_over_all(Magazines& magazines) noexcept;
  void sort(Process& process) noexcept;
  void give_back(Chunk& chunk) noexcept;
  [[nodiscard]] std::size_t first_slot(const Chunk& chunk) const noexcept {
    return static_cast<std::size_t>(&chunk - chunks_) << chunk_shift_;
  }

  [[nodiscard]] std::size_t chunk_count() const noexcept { return (slots_ >> chunk_shift_) + 1; }
  template <class T>
  void map(T*& array, std::size_t count);
  template <class T>
  void unmap(T* array, std::size_t count, std::size_t touched) noexcept;

  platform::KeptPages* const kept_;
  std::size_t slots_ = 0;
  std::uint32_t magazine_size_ = 1;
  unsigned chunk_shift_ = 0;
  Process* lines_ = nullptr;
  Badge* badges_ = nullptr;
  Sight* sights_ = nullptr;
  Chunk* chunks_ = nullptr;
  std::uint16_t* low_uses_ = nullptr;
  std::vector<Magazines> of_workers_;  // each its worker's alone; none in a small table
  std::mutex mutex_;                   // guards what follows
  Magazines shared_;
  std::uint32_t uncut_ = 1;  // slots from here to uncut_end_ are handed out next of those that lie in a row
  std::uint32_t uncut_end_ = 1;
  Process* depot_first_ = nullptr;  // magazines, linked by next_magazine of their first slots
  Process* depot_last_ = nullptr;
  std::uint32_t spare_ = 0;  // the fewest magazines in the depot since watch_spare, less those that were sorted
  Chunks sorted_;            // with free slots in their lists
  Chunks given_back_;
  bool small_pages_ = false;  // the system was told so
  // Written under the lock, read without it.
  std::atomic<std::uint32_t> used_{1};        // slots below were used
  std::atomic<std::uint32_t> depot_held_{0};  // magazines
  std::atomic<std::size_t> given_back_slots_{0};
};

}  // namespace coppice::runtime
