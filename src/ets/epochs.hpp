// SPDX-License-Identifier: Apache-2.0
//
// Epochs: when may memory be freed that readers may still be looking at, although they take no lock?
//
// Actors. Readers pin: from then on, until they unpin, whatever they can reach from a shared root stays. Writers
// publish a new root, and stamp what can no longer be reached from it with the epoch. Anybody may try to advance the
// epoch. What was stamped e may be freed once the epoch is e + 2 or later.
//
// State. `epoch_`, a counter that only grows; and a slot for each worker of the runtime, with slots for foreign threads
// beside them, each on a cache line of its own: 0 while its thread is not reading, else the epoch it saw when it
// pinned.
//
// Steps.
//   pin      p = epoch_; slot = p; then load the root
//   publish  store the new root; stamp e = epoch_
//   advance  g = epoch_; if every slot is 0 or g: epoch_ from g to g + 1
//   free     if epoch_ >= e + 2
// All stores and loads named here are sequentially consistent, but for unpin (slot = 0), which is a release.
//
// Why this is right. Let a reader have loaded the old root. In the one order of all these operations its pin comes
// before that load, the load before the store of the new root (else it would have seen that), the store before the
// stamp. So its slot was set, to some p <= e, before the stamp read e. For the epoch to become e + 2, somebody looks
// through the slots after having read e + 1, and e + 1 was written after the stamp read e. So that look comes after the
// pin: it sees p, which is not e + 1, and gives up; or it sees what the reader's thread stored later, at the earliest
// its unpin, whose release it acquires: all that the reader did comes before the advance, and before the freeing, which
// reads the epoch that the advance wrote.
//
// No reader writes a line that another one reads. No fences: ThreadSanitizer understands all of it. The model checker rejects
// a weaker pin, unpin or look (tests/model/tables_test.cpp).
//
// A pin is short: nothing that may wait is called within it. It nests, also when a process should wait within it after
// all: a worker counts its pins.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/atomic.hpp"
#include "runtime/annex.hpp"
#include "runtime/core.hpp"

namespace coppice::otp {

class Epochs {
 public:
  Epochs(std::uint32_t creation, std::size_t workers);
  ~Epochs();
  Epochs(const Epochs&) = delete;
  Epochs& operator=(const Epochs&) = delete;

  // Those of a runtime; made at the first use.
  [[nodiscard]] static const std::shared_ptr<Epochs>& of(runtime::Core& core);

  class Pin;

  // The calling thread's among places(): a worker has one to itself, foreign threads share the last.
  [[nodiscard]] std::size_t place_of_thread() const noexcept {
    const runtime::Worker* worker = runtime::this_worker();
    return worker != nullptr && worker->core().creation() == creation_ ? worker->id() : workers_;
  }
  [[nodiscard]] std::size_t places() const noexcept { return workers_ + 1; }

  // After the new root was stored: what has become unreachable gets this stamp.
  [[nodiscard]] std::uint64_t stamp() const noexcept { return epoch_.load(std::memory_order_seq_cst); }
  [[nodiscard]] bool is_over(std::uint64_t stamp) const noexcept {
    return epoch_.load(std::memory_order_seq_cst) >= stamp + 2;
  }
  // False if a reader that pinned earlier still reads.
  bool try_advance() noexcept;

  // Frees `object` later, through `free`: for what is retired rarely (a whole table). Tries at once, so that without a
  // reader it is gone when this returns. The caller holds no lock that `free` might take.
  void retire(void* object, void (*free)(void*) noexcept);
  void collect() noexcept;

 private:
  struct alignas(64) Slot {
    base::Atomic<std::uint64_t> state{0};
    base::Atomic<bool> taken{false};  // of foreign slots
    std::uint32_t depth = 0;          // the thread's own
  };
  struct Garbage {
    void* object;
    void (*free)(void*) noexcept;
    std::uint64_t stamp;
  };
  static constexpr std::size_t foreign_slots = base::is_modelled ? 4 : 64;

  [[nodiscard]] Slot& take_foreign_slot() noexcept;

  const std::uint32_t creation_;
  const std::size_t workers_;
  std::unique_ptr<Slot[]> slots_;                     // the workers', then those for foreign threads
  base::Atomic<std::size_t> foreign_used_{0};         // foreign slots from here on were never taken
  alignas(64) base::Atomic<std::uint64_t> epoch_{1};  // read by all, written by writers
  alignas(64) base::Mutex mutex_;
  std::vector<Garbage> garbage_;
};

// Inlined: the processor can keep a few hundred instructions in flight while it waits for memory, and these are some of
// them (docs/internals/tables.md).
class Epochs::Pin {
 public:
  explicit Pin(Epochs& epochs) noexcept {
    const runtime::Worker* worker = runtime::this_worker();
    foreign_ = worker == nullptr || worker->core().creation() != epochs.creation_;
    slot_ = foreign_ ? &epochs.take_foreign_slot() : &epochs.slots_[worker->id()];
    if (slot_->depth++ != 0) return;
    slot_->state.store(epochs.epoch_.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
  }
  ~Pin() {
    if (--slot_->depth == 0) slot_->state.store(0, std::memory_order_release);
    if (foreign_) slot_->taken.store(false, std::memory_order_release);
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;

 private:
  Slot* slot_;
  bool foreign_;
};

}  // namespace coppice::otp
