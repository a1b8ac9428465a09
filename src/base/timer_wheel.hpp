// SPDX-License-Identifier: Apache-2.0
//
// A hierarchical timer wheel that is exact to the nanosecond.
//
// The wheel is a plain data structure of one thread: it reads no clock, takes no lock and allocates nothing. Its owner
// tells it the time, and whoever shares it among threads brings the lock. All times are nanoseconds on one monotonic
// scale of the owner's choice.
//
// Shape. Time is cut into ticks of 2^16 ns (65.5 us). A tick number has 48 bits, read as eight digits of six bits, and
// each digit is a level of 64 slots. A node stands on the level of the highest digit in which its tick differs from the
// current tick, in the slot which that digit of its own tick names. Three facts follow and carry the whole design:
//
//   1. Every node of a level is earlier than every node of a higher level, and within a level a lower slot is earlier.
//      The earliest slot is thus found by one bit search a level.
//   2. When the current tick enters a slot, all lower levels are empty. The slot's nodes are dealt out again, in their
//      order, on to lower levels; each node is moved at most once a level.
//   3. Nodes of equal deadline always stand in the same list, in the order of their insertion. No sequence number is
//      needed for stability.
//
// Nodes of the current tick, and those already overdue, are near: they are kept in a list sorted by deadline, which is
// what makes the wheel exact below the tick. A node that arrives out of order waits in a second, unsorted list, which
// is sorted and merged when somebody next asks; an insertion is O(1) therefore whatever the wheel holds.
//
// A slot that is entered may hold very many nodes that nobody has touched for long, each of which names the next: one wait
// for memory after the other. So each node of a slot also names one some places further on, which is fetched meanwhile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace coppice::base {

// What a timer derives from or contains. The wheel does not own its nodes: a node must stay where it is for as long as
// it is armed. A node belongs to one wheel at a time.
struct TimerNode {
  // While armed, links of the wheel. In a chain that `expire` returned, `next` leads to the next due node.
  TimerNode* next = nullptr;
  TimerNode* previous = nullptr;
  // The time, in ns, at which the node is due. Written by `insert` and valid after expiry too; never write it while the
  // node is armed, because the wheel finds the node's slot by it.
  std::uint64_t deadline = 0;
  // The wheel's: a node some places behind this one when that was inserted, to be fetched ahead of its turn. Never followed,
  // for it may be gone.
  const TimerNode* ahead = nullptr;

  // True from `insert` until `cancel` or until `expire` has returned the node.
  bool armed() const { return previous != nullptr; }
};

class TimerWheel {
 public:
  // What `next_deadline` says when nothing is armed.
  static constexpr std::uint64_t never = ~std::uint64_t{0};

  // An empty wheel whose current time is `now` (ns).
  explicit TimerWheel(std::uint64_t now);

  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Does not touch the nodes that are still armed: they must not be cancelled afterwards.
  ~TimerWheel() = default;

  // Arms `node` for `deadline_ns`. A deadline that has passed already is due at the next `expire`. A node that is armed
  // in this wheel is moved, and counts as inserted now. O(1), no allocation. A deadline of `never` is kept like any
  // other, and only `expire(never)` returns it.
  void insert(TimerNode& node, std::uint64_t deadline_ns);

  // Disarms `node`. Returns false, and does nothing, if it is not armed: it was never inserted, was cancelled, or has
  // been handed out by `expire`. O(1).
  bool cancel(TimerNode& node);

  // When to call `expire` next: the earliest deadline armed, or `never` if there is none. The answer is never later
  // than the earliest deadline. It can be earlier in one case only: the earliest node of a crowded slot has been
  // cancelled, and the answer is still that node's deadline. A sleeper that then calls `expire` in vain has thereby
  // spread the slot over lower levels, so that this happens at most once a level (eight times) before the answer is
  // exact. Not const, because near nodes that arrived out of order are put in order first, at a cost linear in the near
  // nodes (those of one tick); O(1) otherwise.
  std::uint64_t next_deadline();

  // Moves the current time to `now` and disarms every node whose deadline is `<= now`, and no other. Returns them as a
  // chain linked by `next` (null if there is none) in order of deadline, and of insertion among equals. A node of the
  // chain may be inserted again once its `next` has been read. A `now` earlier than that of a former call is allowed:
  // the wheel does not turn back, and nodes due by then are returned all the same.
  TimerNode* expire(std::uint64_t now);

  // How many nodes are armed.
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  static constexpr unsigned tick_shift = 16;  // a tick is 2^16 ns
  static constexpr unsigned digit_bits = 6;   // 64 slots a level: one word of bits says which are occupied
  static constexpr unsigned level_count = 8;  // 16 + 8 * 6 = 64: every deadline has its place
  static constexpr unsigned slot_count = 1u << digit_bits;
  static constexpr std::uint8_t fetch_distance = 8;
  static constexpr std::size_t rescan_max = 64;  // nodes that next_deadline looks at to replace a stale minimum

  struct Position {
    unsigned level;
    unsigned slot;
  };
  struct Level {
    std::uint64_t occupied = 0;  // bit s: slot s has nodes
    std::uint64_t stale = 0;     // bit s: the node that gave slot s its minimum has been cancelled
    // The heads of circular lists. A head's `deadline` is a lower bound of its slot's deadlines: the least ever
    // inserted since the slot was last empty.
    std::array<TimerNode, slot_count> slots;
    // Of each slot the node that is the next to be told who stands `fetch_distance` places behind it; the head if none.
    std::array<TimerNode*, slot_count> untold;
    std::array<std::uint8_t, slot_count> untold_count{};  // from that one to the last; at most fetch_distance
  };

  bool is_near(std::uint64_t deadline) const { return (deadline >> tick_shift) <= tick_; }
  Position position_of(std::uint64_t deadline) const;
  std::uint64_t first_tick_of(Position position) const;
  bool find_earliest_slot(Position& position) const;
  void place(TimerNode& node);
  void place_near(TimerNode& node);
  void enter_slot(Position position);
  void tidy_near();
  TimerNode** take_near_until(std::uint64_t now, TimerNode** tail);

  std::uint64_t tick_;
  std::size_t size_ = 0;
  TimerNode near_;   // head: sorted by deadline, insertion order among equals
  TimerNode fresh_;  // head: near too, in insertion order, all inserted later than their equals in near_
  std::array<Level, level_count> levels_;
};

}  // namespace coppice::base
