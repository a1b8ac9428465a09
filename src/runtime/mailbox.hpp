// SPDX-License-Identifier: Apache-2.0
//
// The mailbox: how a signal gets into a process (any thread) and how the process takes it in (its owner). What is done to
// the head word itself, with its memory orders, stands in head.hpp.
//
// Push, by any thread
//   1. load head (acquire); if it says dead, or the line's serial is not the pid's, the receiver is gone.
//      The order matters: the serial is compared after head was loaded, and the compare-and-swap of step 3 fails if
//      head has changed since; so what was compared is what is pushed to.
//   2. link the signal to the newest one in head.
//   3. compare-and-swap head to the signal (release: the receiver sees the node's contents; acquire: if the waiting bit
//      was set, we see everything its last owner wrote). A process in a call wait that gets an ordinary message keeps
//      its bits; in every other case the bits go.
//   4. if the waiting bit went, the process is ours: schedule it.
//   An ordinary message need not travel through the head if nothing stands there and its sender owns the receiver, which
//   is so in two cases: the receiver waits for any message, and step 3 has only cleared the bit; or it is the process that
//   the sender's worker will run next, which this thread alone can take out of its slot. Then the sender puts the message
//   where the receiver's intake would: `take_at_once`. A later signal of the same sender finds the head still empty, or
//   stands in it, that is behind.
//
// Intake, by the owner
//   exchange head to `running` (acquire), reverse the chain, act on each signal in order (signals.cpp). Messages go to
//   the local queue; a chain of nothing else goes there as it is. The one reversal makes the order of one sender's
//   signals that of their sending (PR-025).
#pragma once

#include "runtime/process.hpp"

namespace coppice::runtime {

// Pushes any signal. Returns false, and leaves the node to the caller, if there is no such process.
[[nodiscard]] bool push(Core& core, const Pid& to, Signal* signal);
inline void push_or_destroy(Core& core, const Pid& to, Signal* signal) noexcept {
  if (!push(core, to, signal)) signal->table->destroy(signal);
}

// Pushes an ordinary message, by the rules of a bounded mailbox if it is one. A message for nobody is bounced or
// destroyed. Returns whether it was delivered.
bool push_message(Core& core, const Pid& to, Signal* message);
// The same for a caller that knows which worker of this runtime it runs on: `here`, null if on none.
bool push_message(Core& core, Worker* here, const Pid& to, Signal* message);

// Pushes a message and says what became of it: unless it was delivered, it is the caller's still. A bounded mailbox is
// `full` for ordinary messages if its policy refuses the newest one.
enum class Pushed { delivered, dead, full };
[[nodiscard]] Pushed try_push_message(Core& core, const Pid& to, Signal* message);

[[nodiscard]] constexpr bool is_bounded(std::uint32_t flags) noexcept { return (flags & flag::bounded) != 0; }
// Does a bounded mailbox count it? Down, EXIT, response and system messages are signals, whatever the mailbox calls them: they are
// never refused, never dropped and take no room. Must say the same of a message whenever it is asked.
[[nodiscard]] bool takes_room(const Signal* message);
// Counts an ordinary message in before it goes to a bounded mailbox; false, and not counted, if it is refused. What is
// counted in is counted out when it leaves the queue.
[[nodiscard]] bool take_room(Core& core, const Process& process);

// Pushes the wake signal of a process's own timer. Under the shard's lock.
void push_wake(Core& core, WakeTimer& timer);

// Takes in what has arrived and acts on it. Returns true if anything has. The owner only. Once the process is leaving
// it takes nothing in any more.
bool intake_news(Process& process);
inline bool intake(Process& process) {
  const bool news = (process.head.load(std::memory_order_acquire) & head::pointer_bits) != 0;
  return (news || process.body->mark_due) && intake_news(process);
}

// The chain of a mailbox begins with the newest signal: turns it round and returns the oldest.
[[nodiscard]] inline Signal* oldest_first(Signal* newest) noexcept {
  Signal* oldest = nullptr;
  while (newest != nullptr) {
    Signal* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

// Becomes the owner of a process that waits for any message and has nothing in its head. Null, and nothing has changed,
// if it is not so, or if its mailbox is bounded. The new owner gives it something to do, then schedules it.
[[nodiscard]] Process* claim_waiting(Core& core, const Pid& pid) noexcept;
// By the owner of a process with nothing in its head, whether it waited or is to run next: an ordinary message, as if it had
// been pushed and taken in. A process at rest takes it in itself: then it is pushed.
void take_at_once(Process& process, Signal* message);

// -- the local queue: owner only
void append(Process& process, Signal* message);
// Of a bounded mailbox: a message has left the queue.
void give_room(Process& process, const Signal* message);
// Unlinks `message`, whose predecessor is `previous` (the newest message for the oldest).
inline void unlink(Process& process, Signal* previous, Signal* message) {
  if (message == previous) {
    process.queue = nullptr;
  } else {
    previous->next = message->next;
    if (process.queue == message) process.queue = previous;
  }
  message->next = nullptr;
  process.queue_length.store(process.queue_length.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  if (is_bounded(process.flags.load(std::memory_order_relaxed))) give_room(process, message);
}
[[nodiscard]] inline Signal* take_first(Process& process) {
  Signal* newest = process.queue;
  if (newest == nullptr) return nullptr;
  Signal* message = newest->next;
  if (message == newest) {
    process.queue = nullptr;
  } else {
    newest->next = message->next;
    __builtin_prefetch(message->next);
  }
  process.queue_length.store(process.queue_length.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  if ((process.flags.load(std::memory_order_relaxed) & flag::bounded) != 0) [[unlikely]]
    give_room(process, message);
  return message;
}
// The oldest message that takes room; null if there is none.
[[nodiscard]] Signal* take_first_that_takes_room(Process& process);

// The length at which a mailbox is reported: the process's own, else the runtime's. For Body::high_water_mark.
[[nodiscard]] std::uint32_t high_water_mark_of(const Body& body) noexcept;
void report_mark(Process& process);
inline void report_mark_if_due(Process& process) {
  if (process.body->mark_due) [[unlikely]]
    report_mark(process);
}

// Nobody will handle it: bounces what can be bounced, destroys the rest.
void discard(Signal* signal, const ExitReason& why) noexcept;

}  // namespace coppice::runtime
