// SPDX-License-Identifier: Apache-2.0
//
// The tasks that have not begun, one deque for each worker: the owner adds and takes the newest, thieves take the oldest.
// So a tree of tasks is walked depth first by its owner, on stacks that are still in the caches, and a thief gets the
// largest piece of it.
//
// What stands in here is not a process but its number, and the entry owns nothing. A task that has not begun is a process
// that waits without a stack (`waiting` in its head), and whoever is to run it claims it by compare-and-swap as a sender
// does that wakes an idle server: the worker that finds its number here, the owner that awaits it (Worker::run_task_next), whoever
// sends it a signal. Exactly one of them wins. The others' entries are stale, which the 64-bit number tells for ever.
// The promise is only this: *as long as a task waits to begin, its number stands in some deque, or is in the hands of a
// worker that is about to claim it.* That a number may stand in two deques does no harm, and that is what makes the owner's
// side free of fences and of atomic read-modify-writes.
//
// One word, the anchor, says what is in the ring: first (16 bits), size (16 bits), and how many were ever added (32).
//   add       1. write the slot behind the last; 2. store the anchor with size + 1 and added + 1 (release).
//   take      1. read the last slot; 2. store the anchor with size - 1 (release).
//   steal     1. load the anchor (acquire); 2. read the first slots; 3. compare-and-swap the anchor to first + n,
//             size - n (acquire-release). If that fails, nothing was taken.
// Edge cases
//   - The owner's plain store may overwrite a theft that happened since its load: the stolen numbers stand here again. They
//     are in two places then; one of the two claims will fail.
//   - No number is lost: the owner's store derives from a value in which all numbers stood that it has not taken itself.
//   - A thief that succeeds has read the right slots. A slot in [first, first + size) is overwritten only by an add that
//     has seen a larger `first` (add refuses when all slots are used). Between two adds the pairs (first, size) never
//     repeat: `first + size` only falls, by takes, and while it stays, `first` only grows. So if the thief's swap finds
//     the anchor that it loaded, no value with a larger `first` was there before it that an add could have seen; and an
//     add that sees it later comes after the thief's reads, since it loads with acquire what the swap released. `added`
//     tells the anchors of different adds apart; a thief would have to sleep through exactly 2^32 of them.
//   - Every store of the anchor is a release, also that of a take: in C++20 a plain store does not continue the release
//     sequence of the one before it.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

namespace coppice::runtime {

// The atomics are a parameter for the model checker's sake (tests/model), and so are the numbers.
template <template <class> class Atomic, std::uint32_t places, std::uint32_t few_of_them>
class BasicTaskDeque {
 public:
  static constexpr std::uint32_t capacity = places;
  static constexpr std::uint32_t stolen_max = capacity / 2;
  // A tree of tasks shows a few entries, each the root of a large piece: one is enough. Many entries are many equal tasks.
  static constexpr std::uint32_t few = few_of_them;

  // -- the owner
  [[nodiscard]] bool full() const noexcept { return Anchor(anchor_.load(std::memory_order_relaxed)).size >= capacity; }
  // There must be room.
  void add(std::uint64_t number) noexcept {
    Anchor anchor(anchor_.load(std::memory_order_acquire));
    slots_[anchor.end() % capacity].store(number, std::memory_order_relaxed);
    ++anchor.size;
    ++anchor.added;
    anchor_.store(anchor.word(), std::memory_order_release);
  }
  // 0 if it is empty, as the next two.
  std::uint64_t take_newest() noexcept {
    Anchor anchor(anchor_.load(std::memory_order_acquire));
    if (anchor.size == 0) return 0;
    --anchor.size;
    const std::uint64_t number = slots_[anchor.end() % capacity].load(std::memory_order_relaxed);
    anchor_.store(anchor.word(), std::memory_order_release);
    return number;
  }
  [[nodiscard]] std::uint64_t newest() const noexcept {
    const Anchor anchor(anchor_.load(std::memory_order_acquire));
    return anchor.size == 0 ? 0 : slots_[(anchor.end() - 1) % capacity].load(std::memory_order_relaxed);
  }

  // -- any worker
  [[nodiscard]] std::uint64_t oldest() const noexcept {
    const Anchor anchor(anchor_.load(std::memory_order_acquire));
    return anchor.size == 0 ? 0 : slots_[anchor.first % capacity].load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] std::uint32_t size() const noexcept { return Anchor(anchor_.load(std::memory_order_acquire)).size; }

  // The oldest, of many the older half, at most `most`, into `taken`; returns how many.
  std::uint32_t steal(std::array<std::uint64_t, stolen_max>& taken, std::uint32_t most = stolen_max) noexcept {
    std::uint64_t word = anchor_.load(std::memory_order_acquire);
    Anchor anchor(word);
    if (anchor.size == 0) return 0;
    const std::uint32_t count = std::min<std::uint32_t>(most, anchor.size <= few ? 1u : anchor.size / 2u);
    for (std::uint32_t i = 0; i < count; ++i) {
      taken[i] = slots_[(anchor.first + i) % capacity].load(std::memory_order_relaxed);
    }
    anchor.first = static_cast<std::uint16_t>(anchor.first + count);
    anchor.size = static_cast<std::uint16_t>(anchor.size - count);
    const bool won =
        anchor_.compare_exchange_strong(word, anchor.word(), std::memory_order_acq_rel, std::memory_order_relaxed);
    return won ? count : 0;
  }
  // Only the oldest; 0 if it is empty, or another was faster.
  std::uint64_t take_oldest() noexcept {
    return take_oldest_if([](std::uint64_t) { return true; });
  }
  // If it is this one.
  void drop_oldest(std::uint64_t number) noexcept {
    (void)take_oldest_if([number](std::uint64_t oldest) { return oldest == number; });
  }
  // All at the old end that are, none if another was faster.
  template <class Stale>
  void drop_oldest_while(Stale stale) noexcept {
    std::uint64_t word = anchor_.load(std::memory_order_acquire);
    Anchor anchor(word);
    const std::uint16_t size = anchor.size;
    while (anchor.size != 0 && stale(slots_[anchor.first % capacity].load(std::memory_order_relaxed))) {
      ++anchor.first;
      --anchor.size;
    }
    if (anchor.size == size) return;
    anchor_.compare_exchange_strong(word, anchor.word(), std::memory_order_acq_rel, std::memory_order_relaxed);
  }

 private:
  struct Anchor {
    std::uint16_t first;  // modulo 2^16, of which the capacity is a divisor
    std::uint16_t size;
    std::uint32_t added;
    explicit Anchor(std::uint64_t word) noexcept
        : first(static_cast<std::uint16_t>(word)),
          size(static_cast<std::uint16_t>(word >> 16)),
          added(static_cast<std::uint32_t>(word >> 32)) {}
    [[nodiscard]] std::uint32_t end() const noexcept { return std::uint32_t{first} + size; }
    [[nodiscard]] std::uint64_t word() const noexcept {
      return std::uint64_t{first} | std::uint64_t{size} << 16 | std::uint64_t{added} << 32;
    }
  };

  template <class Wanted>
  std::uint64_t take_oldest_if(Wanted wanted) noexcept {
    std::uint64_t word = anchor_.load(std::memory_order_acquire);
    Anchor anchor(word);
    if (anchor.size == 0) return 0;
    const std::uint64_t number = slots_[anchor.first % capacity].load(std::memory_order_relaxed);
    if (!wanted(number)) return 0;
    ++anchor.first;
    --anchor.size;
    const bool won =
        anchor_.compare_exchange_strong(word, anchor.word(), std::memory_order_acq_rel, std::memory_order_relaxed);
    return won ? number : 0;
  }

  alignas(64) Atomic<std::uint64_t> anchor_{0};
  std::array<Atomic<std::uint64_t>, capacity> slots_{};
};

using TaskDeque = BasicTaskDeque<std::atomic, 1024, 64>;

}  // namespace coppice::runtime
