// SPDX-License-Identifier: Apache-2.0
#include "pool/pool_decision.hpp"

#include <algorithm>

namespace coppice::pool {

Decision::Decision(const Limits& limits) : limits_(limits), slots_(limits.size) {
  empty_.reserve(limits.size);
  for (std::size_t i = limits.size; i > 0; --i) empty_.push_back(static_cast<Slot>(i - 1));
}

Steps Decision::begin() {
  Steps steps;
  make_what_is_needed(steps);
  return steps;
}

Arrival Decision::ask(const Ticket& ticket, Steps& steps) {
  if (!idle_.empty()) {
    take_from_idle(ticket, steps);
    return Arrival::accepted;
  }
  // A caller for whom a resource of its own is about to be made waits too, but is not turned away.
  const std::size_t coming = making_ + (limits_.lazy ? empty_.size() : 0);
  if (queue_.size() >= limits_.queue_max + coming) return Arrival::rejected;
  places_[ticket] = queue_.insert(queue_.end(), ticket);
  make_what_is_needed(steps);
  return Arrival::accepted;
}

void Decision::ask_again(const Ticket& ticket, Steps& steps) {
  const auto lent = lent_.find(ticket);
  if (lent == lent_.end()) return;
  const Slot slot = lent->second;
  lent_.erase(lent);
  destroy(slot, steps);
  if (idle_.empty()) {
    places_[ticket] = queue_.insert(queue_.begin(), ticket);
  } else {
    take_from_idle(ticket, steps);
  }
  make_what_is_needed(steps);
}

void Decision::give_back(const Ticket& ticket, bool keep, std::int64_t now, Steps& steps) {
  const auto lent = lent_.find(ticket);
  if (lent == lent_.end()) return;
  const Slot slot = lent->second;
  lent_.erase(lent);
  if (keep && (limits_.max_uses == 0 || slots_[slot].uses < limits_.max_uses)) {
    to_idle_or_next(slot, now, steps);
  } else {
    destroy(slot, steps);
    make_what_is_needed(steps);
  }
}

bool Decision::give_up(const Ticket& ticket, bool untouched, std::int64_t now, Steps& steps) {
  const auto place = places_.find(ticket);
  if (place != places_.end()) {
    queue_.erase(place->second);
    places_.erase(place);
    return true;
  }
  const auto lent = lent_.find(ticket);
  if (lent != lent_.end() && untouched) --slots_[lent->second].uses;
  give_back(ticket, untouched, now, steps);
  return false;
}

void Decision::made(Slot slot, std::int64_t now, Steps& steps) {
  --making_;
  slots_[slot].uses = 0;
  to_idle_or_next(slot, now, steps);
}

void Decision::failed(Slot slot, Steps& steps) {
  if (!limits_.lazy || !queue_.empty()) {
    steps.retry.push_back(slot);
  } else {
    --making_;
    slots_[slot].state = State::empty;
    empty_.push_back(slot);
  }
}

void Decision::retry(Slot slot, Steps& steps) {
  if (!limits_.lazy || !queue_.empty()) {
    steps.make.push_back(slot);
  } else {
    failed(slot, steps);  // nobody waits any more: made when next needed
  }
}

void Decision::expire(std::int64_t since, Steps& steps) {
  while (!idle_.empty() && slots_[idle_.front()].idle_since <= since) {
    const Slot slot = idle_.front();
    idle_.pop_front();
    destroy(slot, steps);
  }
  make_what_is_needed(steps);
}

std::optional<std::int64_t> Decision::idle_since() const {
  if (idle_.empty()) return std::nullopt;
  return slots_[idle_.front()].idle_since;
}

void Decision::to_idle_or_next(Slot slot, std::int64_t now, Steps& steps) {
  if (!queue_.empty()) {
    const Ticket next = queue_.front();
    queue_.pop_front();
    places_.erase(next);
    lend(slot, next, steps);
    return;
  }
  Entry& entry = slots_[slot];
  entry.state = State::idle;
  entry.idle_since = now;
  idle_.push_back(slot);
}

void Decision::lend(Slot slot, const Ticket& ticket, Steps& steps) {
  Entry& entry = slots_[slot];
  entry.state = State::busy;
  lent_[ticket] = slot;
  steps.grant.push_back({ticket, slot, entry.uses > 0});
  ++entry.uses;
}

void Decision::take_from_idle(const Ticket& ticket, Steps& steps) {
  const Slot slot = idle_.back();
  idle_.pop_back();
  lend(slot, ticket, steps);
}

void Decision::destroy(Slot slot, Steps& steps) {
  slots_[slot].state = State::empty;
  empty_.push_back(slot);
  steps.destroy.push_back(slot);
  ++discarded_;
}

void Decision::make_what_is_needed(Steps& steps) {
  // Eager: all slots are filled. Lazy: one for each caller that waits.
  while (!empty_.empty() && (!limits_.lazy || making_ < queue_.size())) {
    const Slot slot = empty_.back();
    empty_.pop_back();
    slots_[slot].state = State::making;
    ++making_;
    steps.make.push_back(slot);
  }
}

}  // namespace coppice::pool
