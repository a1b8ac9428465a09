// SPDX-License-Identifier: Apache-2.0
//
// A shard of the timers (timers.hpp) without what it has to do with the rest of the runtime, which is in `Parts`: the
// types Host, Shard (the class that is made of this one), WakeTimer, MessageTimer, TimersTo and Mutex, the template Atomic,
// and
//
//   push_wake(host, timer)      brings the timer's signal to its process; if that is gone, `queued` is false again
//   deliver(host, timer)        sends the message; the timer is gone
//   destroy(timer)              the same without sending
//   moved_forward(host, index)  the worker that sleeps until its next deadline has to look again
//   lateness(host)              by how much a timer is to be late: 0 but in a simulation
//   fetch_message(timer)        the message will be touched soon
//
// They are parameters for the model checker's sake: tests/model/timers_test.cpp runs this source.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/intrusive_table.hpp"
#include "base/timer_wheel.hpp"

namespace coppice::runtime {

// What stands in a shard's wheel: a process's own timer, or a message to be sent.
struct ShardTimer : base::TimerNode {
  explicit ShardTimer(bool wake) noexcept : is_wake(wake) {}
  const bool is_wake;
};

template <class Parts>
class BasicTimerShard {
 public:
  using Host = typename Parts::Host;
  using Shard = typename Parts::Shard;
  using WakeTimer = typename Parts::WakeTimer;
  using MessageTimer = typename Parts::MessageTimer;
  using TimersTo = typename Parts::TimersTo;

  BasicTimerShard(Host& host, std::uint32_t index, std::uint64_t now) : host_(host), index_(index), wheel_(now) {}
  ~BasicTimerShard() {
    by_target_.drain([](TimersTo& target) { delete &target; });
    by_id_.drain([this](MessageTimer& timer) {
      wheel_.cancel(timer);
      Parts::destroy(&timer);
    });
  }
  BasicTimerShard(const BasicTimerShard&) = delete;
  BasicTimerShard& operator=(const BasicTimerShard&) = delete;

  // -- the process's own timer: by its owner
  // Will it wake the process by `deadline` without being touched? If so, and it stands in the shard of the worker that the
  // process is on, it is left as it is.
  [[nodiscard]] static bool is_set(const WakeTimer& timer, std::uint64_t deadline) noexcept {
    return timer.armed_until.load(std::memory_order_relaxed) <= deadline;
  }
  void arm(WakeTimer& timer, std::uint64_t deadline);
  static void disarm(WakeTimer& timer);
  // Its signal was taken in.
  static void note_taken(WakeTimer& timer) noexcept { (void)timer.queued.exchange(false, std::memory_order_acq_rel); }

  // -- message timers: any thread
  void start(MessageTimer* timer, std::uint64_t deadline, std::uint64_t lateness);
  [[nodiscard]] std::optional<std::uint64_t> cancel(std::uint64_t id);  // its deadline
  [[nodiscard]] std::optional<std::uint64_t> read(std::uint64_t id);    // the same
  void cancel_all_to(std::uint64_t number);
  [[nodiscard]] std::size_t message_timer_count();

  // -- the worker, or the watchdog in its place
  [[nodiscard]] std::uint64_t next_deadline() const noexcept { return next_.load(std::memory_order_seq_cst); }
  void fire(std::uint64_t now);

 private:
  using Lock = std::lock_guard<typename Parts::Mutex>;
  using Bound = typename Parts::template Atomic<std::uint64_t>;

  [[nodiscard]] static std::uint64_t later(std::uint64_t deadline, std::uint64_t by) noexcept {
    return by < base::TimerWheel::never - deadline ? deadline + by : base::TimerWheel::never - 1;
  }
  // Under the lock. A worker that sleeps reads `next_` when it goes to sleep; whoever brings it forward wakes the worker.
  void note_deadline() { next_.store(wheel_.next_deadline(), std::memory_order_seq_cst); }
  void fetch_due(const base::TimerNode* due) const noexcept;
  void note_target(MessageTimer& timer);
  void forget_target(MessageTimer& timer) noexcept;

  Host& host_;
  const std::uint32_t index_;
  typename Parts::Mutex latch_;
  base::TimerWheel wheel_;
  base::IntrusiveTable<MessageTimer, &MessageTimer::next_by_id> by_id_;
  base::IntrusiveTable<TimersTo, &TimersTo::next_target> by_target_;
  Bound next_{base::TimerWheel::never};  // a lower bound of the earliest deadline
};

template <class Parts>
void BasicTimerShard<Parts>::arm(WakeTimer& timer, std::uint64_t deadline) {
  deadline = later(deadline, Parts::lateness(host_));
  if (timer.shard != nullptr && timer.shard != this) disarm(timer);
  const Lock lock(latch_);
  timer.shard = static_cast<Shard*>(this);
  if (timer.armed() && timer.deadline == deadline) return;
  wheel_.insert(timer, deadline);
  timer.armed_until.store(deadline, std::memory_order_relaxed);
  if (deadline < next_.load(std::memory_order_relaxed)) note_deadline();
}

template <class Parts>
void BasicTimerShard<Parts>::disarm(WakeTimer& timer) {
  BasicTimerShard* shard = timer.shard;
  if (shard == nullptr) return;
  const Lock lock(shard->latch_);
  shard->wheel_.cancel(timer);
  timer.armed_until.store(base::TimerWheel::never, std::memory_order_relaxed);
}

template <class Parts>
void BasicTimerShard<Parts>::start(MessageTimer* timer, std::uint64_t deadline, std::uint64_t lateness) {
  bool earlier = false;
  timer->asked = deadline;
  deadline = later(deadline, lateness);
  {
    const Lock lock(latch_);
    if (timer->to) note_target(*timer);
    by_id_.insert(*timer);
    wheel_.insert(*timer, deadline);
    if (deadline < next_.load(std::memory_order_relaxed)) {
      note_deadline();
      earlier = true;
    }
  }
  if (earlier) Parts::moved_forward(host_, index_);
}

template <class Parts>
void BasicTimerShard<Parts>::note_target(MessageTimer& timer) {
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

template <class Parts>
void BasicTimerShard<Parts>::forget_target(MessageTimer& timer) noexcept {
  if (timer.target == nullptr) return;
  if (timer.target_next != nullptr) timer.target_next->target_previous = timer.target_previous;
  if (timer.target_previous != nullptr) {
    timer.target_previous->target_next = timer.target_next;
    return;
  }
  timer.target->first = timer.target_next;
  if (timer.target_next == nullptr) delete by_target_.take(timer.target->number);
}

template <class Parts>
std::optional<std::uint64_t> BasicTimerShard<Parts>::cancel(std::uint64_t id) {
  MessageTimer* timer = nullptr;
  {
    const Lock lock(latch_);
    timer = by_id_.take(id);
    if (timer == nullptr) return std::nullopt;
    wheel_.cancel(*timer);
    forget_target(*timer);
  }
  const std::uint64_t deadline = timer->asked;
  Parts::destroy(timer);
  return deadline;
}

template <class Parts>
std::optional<std::uint64_t> BasicTimerShard<Parts>::read(std::uint64_t id) {
  const Lock lock(latch_);
  const MessageTimer* timer = by_id_.find(id);
  if (timer == nullptr) return std::nullopt;
  return timer->asked;
}

template <class Parts>
void BasicTimerShard<Parts>::cancel_all_to(std::uint64_t number) {
  TimersTo* target = nullptr;
  {
    const Lock lock(latch_);
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
    Parts::destroy(first);
    first = next;
  }
}

template <class Parts>
std::size_t BasicTimerShard<Parts>::message_timer_count() {
  const Lock lock(latch_);
  return by_id_.size();
}

// Of a chain of due nodes, which the wheel has just touched: the memory that taking them out touches besides. Many that are
// due together lie apart, and so their waits for memory overlap.
template <class Parts>
void BasicTimerShard<Parts>::fetch_due(const base::TimerNode* due) const noexcept {
  const auto for_each_message = [due](auto&& fetch) {
    for (const base::TimerNode* node = due; node != nullptr; node = node->next) {
      const auto* timer = static_cast<const ShardTimer*>(node);
      if (!timer->is_wake) fetch(*static_cast<const MessageTimer*>(timer));
    }
  };
  for_each_message([this](const MessageTimer& timer) {
    by_id_.fetch_bucket(timer.id);
    Parts::fetch_message(timer);
    __builtin_prefetch(&timer.target_previous, 1);
  });
  for_each_message([this](const MessageTimer& timer) {
    by_id_.fetch_first(timer.id);
    __builtin_prefetch(timer.target_next, 1);
    __builtin_prefetch(timer.target_previous, 1);
  });
}

template <class Parts>
void BasicTimerShard<Parts>::fire(std::uint64_t now) {
  if (next_.load(std::memory_order_relaxed) > now) return;
  MessageTimer* first = nullptr;
  MessageTimer** last = &first;
  {
    const Lock lock(latch_);
    base::TimerNode* node = wheel_.expire(now);
    if (node != nullptr && node->next != nullptr) fetch_due(node);
    while (node != nullptr) {
      base::TimerNode* next = node->next;
      if (static_cast<ShardTimer*>(node)->is_wake) {
        auto& timer = static_cast<WakeTimer&>(*node);
        timer.armed_until.store(base::TimerWheel::never, std::memory_order_relaxed);
        if (!timer.queued.exchange(true, std::memory_order_acq_rel)) Parts::push_wake(host_, timer);
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
    Parts::deliver(host_, timer);
  }
}

}  // namespace coppice::runtime
