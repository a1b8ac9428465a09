// SPDX-License-Identifier: Apache-2.0
#include "base/timer_wheel.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace coppice::base {
namespace {

void make_empty(TimerNode& head) { head.next = head.previous = &head; }

bool is_empty(const TimerNode& head) { return head.next == &head; }

void link_before(TimerNode& place, TimerNode& node) {
  node.next = &place;
  node.previous = place.previous;
  place.previous->next = &node;
  place.previous = &node;
}

void unlink(TimerNode& node) {
  node.previous->next = node.next;
  node.next->previous = node.previous;
}

// Merges two chains that are sorted and end in null. Among equals those of `first` come first.
TimerNode* merge_chains(TimerNode* first, TimerNode* second) {
  TimerNode* merged = nullptr;
  TimerNode** tail = &merged;
  while (first != nullptr && second != nullptr) {
    TimerNode*& least = second->deadline < first->deadline ? second : first;
    *tail = least;
    tail = &least->next;
    least = least->next;
  }
  *tail = first != nullptr ? first : second;
  return merged;
}

// Cuts the longest sorted run off the front of the chain `rest` and returns it.
TimerNode* cut_run(TimerNode*& rest) {
  TimerNode* run = rest;
  TimerNode* last = run;
  while (last->next != nullptr && last->deadline <= last->next->deadline) last = last->next;
  rest = std::exchange(last->next, nullptr);
  return run;
}

// A stable merge sort of the runs found in the chain: O(n) for what is sorted already, which timers of one duration
// are, and O(n log n) at worst. Entry i of `waiting` holds the merge of 2^i runs, the higher entry the earlier nodes.
TimerNode* sort_chain(TimerNode* chain) {
  std::array<TimerNode*, 64> waiting{};
  std::size_t used = 0;
  while (chain != nullptr) {
    TimerNode* carried = cut_run(chain);
    std::size_t i = 0;
    for (; i < used && waiting[i] != nullptr; ++i) {
      carried = merge_chains(std::exchange(waiting[i], nullptr), carried);
    }
    waiting[i] = carried;
    used = std::max(used, i + 1);
  }
  TimerNode* sorted = nullptr;
  for (std::size_t i = 0; i < used; ++i) sorted = merge_chains(waiting[i], sorted);
  return sorted;
}

// Empties the list of `head` and returns its nodes as a chain that ends in null.
TimerNode* take_all(TimerNode& head) {
  if (is_empty(head)) return nullptr;
  TimerNode* chain = head.next;
  head.previous->next = nullptr;
  make_empty(head);
  return chain;
}

}  // namespace

TimerWheel::TimerWheel(std::uint64_t now) : tick_(now >> tick_shift) {
  make_empty(near_);
  make_empty(fresh_);
  for (Level& level : levels_) {
    for (unsigned slot = 0; slot < slot_count; ++slot) {
      make_empty(level.slots[slot]);
      level.slots[slot].deadline = never;
      level.untold[slot] = &level.slots[slot];
    }
  }
}

void TimerWheel::insert(TimerNode& node, std::uint64_t deadline_ns) {
  cancel(node);
  node.deadline = deadline_ns;
  place(node);
  ++size_;
}

bool TimerWheel::cancel(TimerNode& node) {
  if (!node.armed()) return false;
  TimerNode* next = node.next;
  unlink(node);
  node.next = node.previous = nullptr;
  --size_;
  if (is_near(node.deadline)) return true;
  const Position position = position_of(node.deadline);
  Level& level = levels_[position.level];
  TimerNode& head = level.slots[position.slot];
  // If another of the untold was cancelled, the count is too high by one, and a node is told of one nearer by.
  if (level.untold[position.slot] == &node) {
    level.untold[position.slot] = next;
    --level.untold_count[position.slot];
  }
  const std::uint64_t bit = std::uint64_t{1} << position.slot;
  if (is_empty(head)) {
    level.occupied &= ~bit;
    level.stale &= ~bit;
    level.untold[position.slot] = &head;
    level.untold_count[position.slot] = 0;
    head.deadline = never;
  } else if (head.deadline == node.deadline) {
    level.stale |= bit;
  }
  return true;
}

std::uint64_t TimerWheel::next_deadline() {
  tidy_near();
  if (!is_empty(near_)) return near_.next->deadline;
  Position position{};
  if (!find_earliest_slot(position)) return never;
  Level& level = levels_[position.level];
  TimerNode& head = level.slots[position.slot];
  const std::uint64_t bit = std::uint64_t{1} << position.slot;
  if ((level.stale & bit) == 0) return head.deadline;
  std::uint64_t least = never;
  std::size_t seen = 0;
  for (const TimerNode* node = head.next; node != &head; node = node->next) {
    if (++seen > rescan_max) return head.deadline;  // crowded: the old bound is still one, and costs one vain wake-up
    least = std::min(least, node->deadline);
  }
  head.deadline = least;
  level.stale &= ~bit;
  return least;
}

TimerNode* TimerWheel::expire(std::uint64_t now) {
  TimerNode* due = nullptr;
  TimerNode** tail = take_near_until(now, &due);
  const std::uint64_t target = now >> tick_shift;
  Position position{};
  while (find_earliest_slot(position) && first_tick_of(position) <= target) {
    enter_slot(position);
    tail = take_near_until(now, tail);
  }
  // No slot begins between the current tick and the target, so each node's highest differing digit is the same for both
  // and no node has to move.
  tick_ = std::max(tick_, target);
  *tail = nullptr;
  return due;
}

TimerWheel::Position TimerWheel::position_of(std::uint64_t deadline) const {
  const std::uint64_t tick = deadline >> tick_shift;
  const unsigned highest_bit = static_cast<unsigned>(std::bit_width(tick ^ tick_)) - 1;
  const unsigned level = highest_bit / digit_bits;
  return {level, static_cast<unsigned>(tick >> (level * digit_bits)) % slot_count};
}

std::uint64_t TimerWheel::first_tick_of(Position position) const {
  const unsigned shift = position.level * digit_bits;
  const std::uint64_t higher_digits = tick_ >> (shift + digit_bits) << (shift + digit_bits);
  return higher_digits | (std::uint64_t{position.slot} << shift);
}

bool TimerWheel::find_earliest_slot(Position& position) const {
  for (unsigned level = 0; level < level_count; ++level) {
    if (levels_[level].occupied == 0) continue;
    position = {level, static_cast<unsigned>(std::countr_zero(levels_[level].occupied))};
    return true;
  }
  return false;
}

void TimerWheel::place(TimerNode& node) {
  if (is_near(node.deadline)) return place_near(node);
  const Position position = position_of(node.deadline);
  Level& level = levels_[position.level];
  TimerNode& head = level.slots[position.slot];
  const std::uint64_t bit = std::uint64_t{1} << position.slot;
  link_before(head, node);
  TimerNode*& untold = level.untold[position.slot];
  if (untold == &head) {
    untold = &node;
    level.untold_count[position.slot] = 1;
  } else if (level.untold_count[position.slot] < fetch_distance) {
    ++level.untold_count[position.slot];
  } else {
    untold->ahead = &node;
    untold = untold->next;
  }
  level.occupied |= bit;
  if (node.deadline <= head.deadline) {
    head.deadline = node.deadline;
    level.stale &= ~bit;
  }
}

void TimerWheel::place_near(TimerNode& node) {
  const bool in_order = is_empty(fresh_) && (is_empty(near_) || near_.previous->deadline <= node.deadline);
  link_before(in_order ? near_ : fresh_, node);
}

// Makes the slot's first tick the current one and deals the slot's nodes out again. Requires that the slot is the
// earliest occupied one. The order of the list is kept, which keeps equal deadlines in order.
void TimerWheel::enter_slot(Position position) {
  tick_ = first_tick_of(position);
  Level& level = levels_[position.level];
  TimerNode& head = level.slots[position.slot];
  const std::uint64_t bit = std::uint64_t{1} << position.slot;
  level.occupied &= ~bit;
  level.stale &= ~bit;
  level.untold[position.slot] = &head;
  level.untold_count[position.slot] = 0;
  head.deadline = never;
  TimerNode* node = take_all(head);
  while (node != nullptr) {
    __builtin_prefetch(node->ahead, 1);
    place(*std::exchange(node, node->next));
  }
}

// Sorts the fresh nodes and merges them into the near ones.
void TimerWheel::tidy_near() {
  if (is_empty(fresh_)) return;
  TimerNode* fresh = sort_chain(take_all(fresh_));
  TimerNode* node = merge_chains(take_all(near_), fresh);
  while (node != nullptr) link_before(near_, *std::exchange(node, node->next));
}

// Moves the near nodes due by `now` to the end of a chain, whose last link is `*tail`. Returns the new last link, whose
// value is not yet set.
TimerNode** TimerWheel::take_near_until(std::uint64_t now, TimerNode** tail) {
  tidy_near();
  TimerNode* node = near_.next;
  while (node != &near_ && node->deadline <= now) {
    *tail = node;
    tail = &node->next;
    node->previous = nullptr;
    --size_;
    node = node->next;
  }
  near_.next = node;
  node->previous = &near_;
  return tail;
}

}  // namespace coppice::base
