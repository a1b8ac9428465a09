// SPDX-License-Identifier: Apache-2.0
#include "runtime/timers.hpp"

#include <mutex>

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"

namespace coppice::runtime {
namespace {

void destroy(MessageTimer* timer) {
  timer->message->table->destroy(timer->message);
  delete timer;
}

}  // namespace

TimerShard::TimerShard(Core& core, std::uint32_t index, std::uint64_t now) : core_(core), index_(index), wheel_(now) {}

TimerShard::~TimerShard() {
  by_target_.drain([](TimersTo& target) { delete &target; });
  by_id_.drain([this](MessageTimer& timer) {
    wheel_.cancel(timer);
    destroy(&timer);
  });
}

// Under the lock. A worker that sleeps reads `next_` when it goes to sleep; whoever brings it forward wakes the worker.
void TimerShard::note_deadline() { next_.store(wheel_.next_deadline(), std::memory_order_seq_cst); }

namespace {

std::uint64_t later(std::uint64_t deadline, std::uint64_t by) {
  return by < base::TimerWheel::never - deadline ? deadline + by : base::TimerWheel::never - 1;
}

}  // namespace

void TimerShard::arm(WakeTimer& timer, std::uint64_t deadline) {
  deadline = later(deadline, core_.world().timer_lateness());
  if (timer.shard != nullptr && timer.shard != this) disarm(timer);
  const std::lock_guard lock(latch_);
  timer.shard = this;
  if (timer.armed() && timer.deadline == deadline) return;
  wheel_.insert(timer, deadline);
  timer.armed_until.store(deadline, std::memory_order_relaxed);
  if (deadline < next_.load(std::memory_order_relaxed)) note_deadline();
}

void TimerShard::disarm(WakeTimer& timer) {
  TimerShard* shard = timer.shard;
  if (shard == nullptr) return;
  const std::lock_guard lock(shard->latch_);
  shard->wheel_.cancel(timer);
  timer.armed_until.store(base::TimerWheel::never, std::memory_order_relaxed);
}

void TimerShard::start(MessageTimer* timer, std::uint64_t deadline, std::uint64_t lateness) {
  bool earlier = false;
  timer->asked = deadline;
  deadline = later(deadline, lateness);
  {
    const std::lock_guard lock(latch_);
    if (timer->to) note_target(*timer);
    by_id_.insert(*timer);
    wheel_.insert(*timer, deadline);
    if (deadline < next_.load(std::memory_order_relaxed)) {
      note_deadline();
      earlier = true;
    }
  }
  if (earlier) core_.timer_moved_forward(index_);
}

void TimerShard::note_target(MessageTimer& timer) {
  TimersTo* target = by_target_.find(timer.to.number);
  if (target == nullptr) {
    target = new TimersTo(timer.to.number);
    by_target_.insert(*target);
  }
  timer.target = target;
  timer.target_next = target->first;
  if (target->first != nullptr) target->first->target_previous = &timer;
  target->first = &timer;
}

void TimerShard::forget_target(MessageTimer& timer) noexcept {
  if (timer.target == nullptr) return;
  if (timer.target_next != nullptr) timer.target_next->target_previous = timer.target_previous;
  if (timer.target_previous != nullptr) {
    timer.target_previous->target_next = timer.target_next;
    return;
  }
  timer.target->first = timer.target_next;
  if (timer.target_next == nullptr) delete by_target_.take(timer.target->number);
}

std::optional<std::uint64_t> TimerShard::cancel(std::uint64_t id) {
  MessageTimer* timer = nullptr;
  {
    const std::lock_guard lock(latch_);
    timer = by_id_.take(id);
    if (timer == nullptr) return std::nullopt;
    wheel_.cancel(*timer);
    forget_target(*timer);
  }
  const std::uint64_t deadline = timer->asked;
  destroy(timer);
  return deadline;
}

std::optional<std::uint64_t> TimerShard::read(std::uint64_t id) {
  const std::lock_guard lock(latch_);
  const MessageTimer* timer = by_id_.find(id);
  if (timer == nullptr) return std::nullopt;
  return timer->asked;
}

void TimerShard::cancel_all_to(std::uint64_t number) {
  TimersTo* target = nullptr;
  {
    const std::lock_guard lock(latch_);
    target = by_target_.take(number);
    if (target == nullptr) return;
    for (MessageTimer* timer = target->first; timer != nullptr; timer = timer->target_next) {
      wheel_.cancel(*timer);
      by_id_.take(timer->id);
    }
  }
  MessageTimer* first = target->first;
  delete target;
  while (first != nullptr) {
    MessageTimer* next = first->target_next;
    destroy(first);
    first = next;
  }
}

std::size_t TimerShard::message_timer_count() {
  const std::lock_guard lock(latch_);
  return by_id_.size();
}

// Of a chain of due nodes, which the wheel has just touched: the memory that taking them out touches besides. Many that are
// due together lie apart, and so their waits for memory overlap.
void TimerShard::fetch_due(const base::TimerNode* due) const noexcept {
  const auto for_each_message = [due](auto&& fetch) {
    for (const base::TimerNode* node = due; node != nullptr; node = node->next) {
      const auto* timer = static_cast<const ShardTimer*>(node);
      if (!timer->is_wake) fetch(*static_cast<const MessageTimer*>(timer));
    }
  };
  for_each_message([this](const MessageTimer& timer) {
    by_id_.fetch_bucket(timer.id);
    __builtin_prefetch(timer.message, 1);
    __builtin_prefetch(&timer.target_previous, 1);
  });
  for_each_message([this](const MessageTimer& timer) {
    by_id_.fetch_first(timer.id);
    __builtin_prefetch(timer.target_next, 1);
    __builtin_prefetch(timer.target_previous, 1);
  });
}

void TimerShard::fire(std::uint64_t now) {
  if (next_.load(std::memory_order_relaxed) > now) return;
  MessageTimer* first = nullptr;
  MessageTimer** last = &first;
  {
    const std::lock_guard lock(latch_);
    base::TimerNode* node = wheel_.expire(now);
    if (node != nullptr && node->next != nullptr) fetch_due(node);
    while (node != nullptr) {
      base::TimerNode* next = node->next;
      if (static_cast<ShardTimer*>(node)->is_wake) {
        auto& timer = static_cast<WakeTimer&>(*node);
        timer.armed_until.store(base::TimerWheel::never, std::memory_order_relaxed);
        if (!timer.queued.exchange(true, std::memory_order_acq_rel)) push_wake(core_, timer);
      } else {
        auto* timer = static_cast<MessageTimer*>(node);
        by_id_.take(timer->id);
        forget_target(*timer);
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
    const Pid to = timer->to ? timer->to : core_.names().whereis(*timer->name);
    push_message(core_, to, timer->message);
    delete timer;
  }
}

}  // namespace coppice::runtime
