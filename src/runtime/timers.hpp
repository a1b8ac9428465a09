// SPDX-License-Identifier: Apache-2.0
//
// Timers: one shard for each worker, a timer wheel behind a latch. Two kinds of node stand in the wheel: the WakeTimer of
// a process (deadline of its wait, inactivity timeout) and the MessageTimer of send_after.
//
// Who does what
//   any thread      starts, cancels and reads message timers by reference: the shard's number is in the reference.
//   the owner       arms and disarms the wake timer of its process, in the shard of the worker it is on.
//   the worker      fires what is due in its own shard; a stuck worker's shard is fired by the watchdog.
//
// A message timer is one node from the node pool, which stands in the wheel, in a table by its reference's number, and in the
// list of those to the same process. So to start one and to cancel it allocates nothing else as a rule. The latch is free as
// a rule too: it is the worker's own processes that start and cancel.
//
// Why a cancelled timer is never delivered after cancel has returned: firing takes the timer out of the tables under the
// latch, and cancel looks there under the same latch. What fire has taken out is on its way, and cancel says false.
// Messages are pushed after the latch was released; wake signals are pushed under it, so that a process which disarms its
// timer (and then may free it) never frees one that is being pushed.
//
// A wake timer is re-armed lazily. A process whose timer is armed, in the shard of the worker it is on, for a time no later
// than its new deadline leaves it as it is: it is woken too early, finds that its deadline is still to come, and arms the
// timer then. So whoever waits with the same timeout again and again touches the wheel once a timeout. The owner reads
// `armed_until` without the latch. What it reads may be old in one case: the timer is being fired. Then either (1) firing has
// found `queued` false and pushes the wake signal, which ends the wait that is about to begin; or (2) it has found `queued`
// true, that is an earlier wake signal which the process has not taken in: taking it in exchanges `queued` (acquire), reads
// what firing wrote there (release), and so sees `armed_until` as firing left it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "platform/latch.hpp"
#include "runtime/process.hpp"
#include "runtime/timer_shard.hpp"

namespace coppice::runtime {

struct TimersTo;

struct MessageTimer : ShardTimer, detail::Pooled {
  MessageTimer() noexcept : ShardTimer(false) {}
  std::uint64_t id = 0;
  std::uint64_t asked = 0;  // the deadline; in the simulation the wheel may have a later one
  MessageTimer* next_by_id = nullptr;
  Signal* message = nullptr;
  Pid to;
  std::unique_ptr<const std::string> name;  // if it is to a name
  TimersTo* target = nullptr;               // the list in which it stands; null for a timer to a name
  MessageTimer* target_next = nullptr;
  MessageTimer* target_previous = nullptr;
};
static_assert(sizeof(MessageTimer) <= 128);

// The timers of a shard to one process. Made at the first and gone with the last.
struct TimersTo : detail::Pooled {
  explicit TimersTo(std::uint64_t the_number) noexcept : number(the_number) {}
  const std::uint64_t number;  // Pid::number
  MessageTimer* first = nullptr;
  TimersTo* next_target = nullptr;
};

inline std::uint64_t table_key(const MessageTimer& timer) noexcept { return timer.id; }
inline std::uint64_t table_key(const TimersTo& target) noexcept { return target.number; }

struct TimerParts {
  using Host = Core;
  using Shard = TimerShard;
  using WakeTimer = runtime::WakeTimer;
  using MessageTimer = runtime::MessageTimer;
  using TimersTo = runtime::TimersTo;
  using Mutex = platform::Latch;
  template <class T>
  using Atomic = std::atomic<T>;
  static void push_wake(Core& core, WakeTimer& timer);
  static void deliver(Core& core, MessageTimer* timer);
  static void destroy(MessageTimer* timer) noexcept;
  static void moved_forward(Core& core, std::uint32_t shard);
  static std::uint64_t lateness(Core& core);
  static void fetch_message(const MessageTimer& timer) noexcept { __builtin_prefetch(timer.message, 1); }
};
extern template class BasicTimerShard<TimerParts>;

class TimerShard final : public BasicTimerShard<TimerParts> {
 public:
  using BasicTimerShard::BasicTimerShard;
};

}  // namespace coppice::runtime
