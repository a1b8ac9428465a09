// SPDX-License-Identifier: Apache-2.0
#include "runtime/mailbox.hpp"

#include "platform/fault.hpp"
#include "runtime/core.hpp"
#include "runtime/signals.hpp"
#include "runtime/worker.hpp"

namespace coppice::runtime {
namespace {

constexpr bool is_bounded(std::uint32_t flags) { return (flags & flag::bounded) != 0; }

// Steps 1 to 4 of the header.
bool push_to_line(Core& core, Process& process, std::uint64_t number, Signal* signal, bool is_message) {
  std::uint64_t word = process.head.load(std::memory_order_acquire);
  if (process.serial.load(std::memory_order_acquire) != number) return false;
  const std::uint64_t tag = head::tag_of(number);
  const bool at_once = signal->table->kind == SignalKind::message && !is_bounded(process.flags.load(std::memory_order_relaxed));
  for (;;) {
    if ((word & head::dead) != 0 || (word & head::tag_bits) != tag) return false;
    if (at_once && word == (tag | head::waiting)) {
      if (!process.head.compare_exchange_weak(word, tag, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      take_at_once(process, signal);
      core.schedule(process);
      return true;
    }
    const bool keeps_waiting = is_message && (word & head::call_wait) != 0;
    signal->next = head::signal(word);
    const std::uint64_t bits = keeps_waiting ? word & head::state_bits : 0;
    const std::uint64_t pushed = tag | reinterpret_cast<std::uint64_t>(signal) | bits;
    if (process.head.compare_exchange_weak(word, pushed, std::memory_order_acq_rel, std::memory_order_acquire)) {
      if ((word & head::waiting) != 0 && !keeps_waiting) core.schedule(process);
      return true;
    }
  }
}

bool is_message(const Signal* signal) {
  return signal->table->kind == SignalKind::message || signal->table->kind == SignalKind::alias_message;
}

}  // namespace

bool push(Core& core, const Pid& to, Signal* signal) {
  if (!core.is_local(to)) return false;
  return push_to_line(core, core.table().line(to), to.number, signal, is_message(signal));
}

Process* claim_waiting(Core& core, const Pid& pid) noexcept {
  Process& process = core.table().line(pid);
  std::uint64_t word = process.head.load(std::memory_order_acquire);
  if (process.serial.load(std::memory_order_acquire) != pid.number) return nullptr;
  const std::uint64_t tag = head::tag_of(pid.number);
  if (word != (tag | head::waiting) || is_bounded(process.flags.load(std::memory_order_relaxed))) return nullptr;
  const bool claimed =
      process.head.compare_exchange_strong(word, tag, std::memory_order_acq_rel, std::memory_order_relaxed);
  return claimed ? &process : nullptr;
}

void take_at_once(Process& process, Signal* message) {
  if (process.queue == nullptr && !at_rest(process) && take_first_message(process, message)) [[likely]] return;
  std::uint64_t word = process.head.load(std::memory_order_relaxed);
  do {
    message->next = head::signal(word);
  } while (!process.head.compare_exchange_weak(word, (word & head::tag_bits) | reinterpret_cast<std::uint64_t>(message),
                                               std::memory_order_release, std::memory_order_relaxed));
}

bool takes_room(const Signal* message) {
  if (message->table->kind != SignalKind::message) return false;
  if (message->table->payload_offset == 0) return false;  // a system message: it carries no payload
  const detail::TypeIdentity* type = message->table->type;
  return type == nullptr ||
         !(same_type(type, &detail::type_identity<Down>) || same_type(type, &detail::type_identity<ExitMessage>) ||
           same_type(type, &detail::type_identity<Response>));
}

// `pending` counts what is pushed or queued. A sender that counts in while its receiver dies, and takes it back when the
// slot has a new tenant, may leave the count one off: hence it is signed, so that it never looks like a full mailbox.
bool take_room(Core& core, const Process& process) {
  Sight& sight = core.table().sight(process);
  const std::uint32_t limit = sight.limit.load(std::memory_order_relaxed);
  const auto overflow = static_cast<Overflow>(limit & 0xff);
  const bool refuses = overflow == Overflow::reject || overflow == Overflow::drop_newest;
  if (sight.pending.fetch_add(1, std::memory_order_relaxed) < static_cast<std::int32_t>(limit >> 8) || !refuses) return true;
  sight.pending.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

Pushed try_push_message(Core& core, const Pid& to, Signal* message) {
  if (!core.is_local(to)) return Pushed::dead;
  Process& process = core.table().line(to);
  const bool counted = (process.flags.load(std::memory_order_relaxed) & flag::bounded) != 0 &&
                       process.serial.load(std::memory_order_acquire) == to.number && takes_room(message);
  if (counted && !take_room(core, process)) return Pushed::full;
  if (push_to_line(core, process, to.number, message, is_message(message))) return Pushed::delivered;
  if (counted) core.table().sight(process).pending.fetch_sub(1, std::memory_order_relaxed);
  return Pushed::dead;
}

bool push_message(Core& core, const Pid& to, Signal* message) {
  if (core.is_local(to)) {
    Process& process = core.table().line(to);
    if ((process.flags.load(std::memory_order_relaxed) & flag::bounded) == 0) [[likely]] {
      if (push_to_line(core, process, to.number, message, true)) return true;
      discard(message, ExitReason::noproc());
      return false;
    }
  }
  switch (try_push_message(core, to, message)) {
    case Pushed::delivered: return true;
    case Pushed::dead: discard(message, ExitReason::noproc()); return false;
    case Pushed::full:
      core.table().sight(core.table().line(to)).dropped.fetch_add(1, std::memory_order_relaxed);
      discard(message, ExitReason(Atom("full")));
      return false;
  }
  return false;
}

void push_wake(Core& core, WakeTimer& timer) {
  if (!push_to_line(core, *timer.process, timer.number, &timer.signal, false)) {
    timer.queued.store(false, std::memory_order_release);
  }
}

bool intake_news(Process& process) {
  Body& body = *process.body;
  if (body.leaving != Leave::no) return false;
  std::uint64_t word = process.head.load(std::memory_order_relaxed);
  word = process.head.exchange(word & head::tag_bits, std::memory_order_acq_rel);
  Signal* oldest = oldest_first(head::signal(word));
  while (oldest != nullptr) {
    Signal* next = oldest->next;
    act(process, oldest);
    oldest = next;
    if (body.leaving != Leave::no) {
      body.unhandled = oldest;  // behind the fatal one
      break;
    }
  }
  return true;
}

void append(Process& process, Signal* message) {
  if (process.queue == nullptr) {
    message->next = message;
  } else {
    message->next = process.queue->next;
    process.queue->next = message;
  }
  process.queue = message;
  process.queue_length.store(process.queue_length.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if ((process.flags.load(std::memory_order_relaxed) & flag::bounded) != 0 && takes_room(message)) {
    ++process.body->room_taken;
  }
}

void unlink(Process& process, Signal* previous, Signal* message) {
  if (message == previous) {
    process.queue = nullptr;
  } else {
    previous->next = message->next;
    if (process.queue == message) process.queue = previous;
  }
  message->next = nullptr;
  process.queue_length.store(process.queue_length.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  if ((process.flags.load(std::memory_order_relaxed) & flag::bounded) != 0 && takes_room(message)) {
    --process.body->room_taken;
    process.body->core->table().sight(process).pending.fetch_sub(1, std::memory_order_relaxed);
  }
}

Signal* take_first_of_some(Process& process) {
  Signal* message = process.queue->next;
  unlink(process, process.queue, message);
  return message;
}

Signal* take_first_that_takes_room(Process& process) {
  if (process.body->room_taken == 0) return nullptr;
  Signal* previous = process.queue;
  while (!takes_room(previous->next)) previous = previous->next;
  Signal* message = previous->next;
  unlink(process, previous, message);
  return message;
}

void discard(Signal* signal, const ExitReason& why) noexcept {
  if (signal->table->bounce != nullptr) {
    signal->table->bounce(signal, why);
  } else {
    signal->table->destroy(signal);
  }
}

}  // namespace coppice::runtime
