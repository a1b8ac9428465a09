// SPDX-License-Identifier: Apache-2.0
#include "runtime/timers.hpp"

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"

namespace coppice::runtime {

TimerShard::TimerShard(Core& core, std::uint32_t index, std::uint64_t now) : core_(core), index_(index), wheel_(now) {}

TimerShard::~TimerShard() {
  for (auto& [id, timer] : by_id_) {
    wheel_.cancel(*timer);
    timer->message->table->destroy(timer->message);
    delete timer;
  }
}

// Under the lock. A worker that sleeps reads `next_` when it goes to sleep; whoever brings it forward wakes the worker.
void TimerShard::note_deadline() { next_.store(wheel_.next_deadline(), std::memory_order_seq_cst); }

void TimerShard::arm(WakeTimer& timer, std::uint64_t deadline) {
  if (timer.shard != nullptr && timer.shard != this) disarm(timer);
  const std::lock_guard lock(mutex_);
  timer.shard = this;
  if (timer.armed() && timer.deadline == deadline) return;
  wheel_.insert(timer, deadline);
  timer.armed_until.store(deadline, std::memory_order_relaxed);
  if (deadline < next_.load(std::memory_order_relaxed)) note_deadline();
}

void TimerShard::disarm(WakeTimer& timer) {
  TimerShard* shard = timer.shard;
  if (shard == nullptr) return;
  const std::lock_guard lock(shard->mutex_);
  shard->wheel_.cancel(timer);
  timer.armed_until.store(base::TimerWheel::never, std::memory_order_relaxed);
}

void TimerShard::start(MessageTimer* timer, std::uint64_t deadline) {
  bool earlier = false;
  {
    const std::lock_guard lock(mutex_);
    wheel_.insert(*timer, deadline);
    by_id_.emplace(timer->id, timer);
    if (timer->to) {
      MessageTimer*& first = by_target_[timer->to.number];
      timer->target_next = first;
      if (first != nullptr) first->target_previous = timer;
      first = timer;
    }
    if (deadline < next_.load(std::memory_order_relaxed)) {
      note_deadline();
      earlier = true;
    }
  }
  if (earlier) core_.timer_moved_forward(index_);
}

void TimerShard::unlink(MessageTimer& timer) {
  by_id_.erase(timer.id);
  if (!timer.to) return;
  if (timer.target_next != nullptr) timer.target_next->target_previous = timer.target_previous;
  if (timer.target_previous != nullptr) {
    timer.target_previous->target_next = timer.target_next;
  } else if (timer.target_next != nullptr) {
    by_target_[timer.to.number] = timer.target_next;
  } else {
    by_target_.erase(timer.to.number);
  }
}

namespace {

void destroy(MessageTimer* timer) {
  timer->message->table->destroy(timer->message);
  delete timer;
}

std::uint64_t left(std::uint64_t deadline, std::uint64_t now) { return deadline > now ? deadline - now : 0; }

}  // namespace

std::optional<std::uint64_t> TimerShard::cancel(std::uint64_t id, std::uint64_t now) {
  MessageTimer* timer = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return std::nullopt;
    timer = found->second;
    wheel_.cancel(*timer);
    unlink(*timer);
  }
  const std::uint64_t rest = left(timer->deadline, now);
  destroy(timer);
  return rest;
}

std::optional<std::uint64_t> TimerShard::read(std::uint64_t id, std::uint64_t now) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return std::nullopt;
  return left(found->second->deadline, now);
}

void TimerShard::cancel_all_to(std::uint64_t number) {
  MessageTimer* first = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = by_target_.find(number);
    if (found == by_target_.end()) return;
    first = found->second;
    by_target_.erase(found);
    for (MessageTimer* timer = first; timer != nullptr; timer = timer->target_next) {
      wheel_.cancel(*timer);
      by_id_.erase(timer->id);
    }
  }
  while (first != nullptr) {
    MessageTimer* next = first->target_next;
    destroy(first);
    first = next;
  }
}

std::size_t TimerShard::message_timer_count() {
  const std::lock_guard lock(mutex_);
  return by_id_.size();
}

void TimerShard::fire(std::uint64_t now) {
  if (next_.load(std::memory_order_relaxed) > now) return;
  MessageTimer* first = nullptr;
  MessageTimer** last = &first;
  {
    const std::lock_guard lock(mutex_);
    base::TimerNode* node = wheel_.expire(now);
    while (node != nullptr) {
      base::TimerNode* next = node->next;
      if (static_cast<ShardTimer*>(node)->is_wake) {
        auto& timer = static_cast<WakeTimer&>(*node);
        timer.armed_until.store(base::TimerWheel::never, std::memory_order_relaxed);
        if (!timer.queued.exchange(true, std::memory_order_acq_rel)) push_wake(core_, timer);
      } else {
        auto* timer = static_cast<MessageTimer*>(node);
        unlink(*timer);
        *last = timer;
        timer->target_next = nullptr;
        last = &timer->target_next;
      }
      node = next;
    }
    note_deadline();
  }
  while (first != nullptr) {
    MessageTimer* timer = first;
    first = timer->target_next;
    const Pid to = timer->to ? timer->to : core_.names().whereis(timer->name);
    push_message(core_, to, timer->message);
    delete timer;
  }
}

}  // namespace coppice::runtime
