// SPDX-License-Identifier: Apache-2.0
#include "runtime/mailbox.hpp"

#include <algorithm>
#include <utility>

#include "platform/fault.hpp"
#include "runtime/core.hpp"
#include "runtime/signals.hpp"
#include "runtime/worker.hpp"

namespace coppice::runtime {
namespace {

// The worker on which the calling thread runs, if it is one of this runtime's.
Worker* worker_in(Core& core) noexcept {
  Worker* here = this_worker();
  return here != nullptr && &here->core() == &core ? here : nullptr;
}

// Steps 1 to 4 of the header, through the head. `word` was loaded, and the serial compared after it.
bool push_through_head(Core& core, Worker* here, Process& process, std::uint64_t word, std::uint64_t tag,
                       Signal* signal, bool is_message) {
  return head::push(process, word, tag, signal, is_message, [&] { core.schedule(process, here); });
}

bool push_to_line(Core& core, Process& process, std::uint64_t number, Signal* signal, bool is_message) {
  std::uint64_t word;
  if (!head::look(process, number, word)) return false;
  return push_through_head(core, worker_in(core), process, word, head::tag_of(number), signal, is_message);
}

// The length has grown from `before`. The mark is reported when it is reached, and again only after the mailbox was half
// empty in between: a queue that swings about its mark makes one report.
inline void note_growth(Body& body, std::uint32_t before, std::uint32_t length) {
  if (length > body.queue_peak) body.queue_peak = length;
  const std::uint32_t mark = body.high_water_mark;
  if (body.above_mark && before < mark / 2) [[unlikely]]
    body.above_mark = false;
  if (!body.above_mark && before < mark && length >= mark) [[unlikely]]
    body.above_mark = body.mark_due = true;
}

// Appends `count` messages, linked from the oldest to the newest, to a queue without a capacity.
inline void append_chain(Process& process, Signal* oldest, Signal* newest, std::uint32_t count) {
  if (process.queue == nullptr) {
    newest->next = oldest;
  } else {
    newest->next = process.queue->next;
    process.queue->next = oldest;
  }
  process.queue = newest;
  const std::uint32_t before = process.queue_length.load(std::memory_order_relaxed);
  process.queue_length.store(before + count, std::memory_order_relaxed);
  note_growth(*process.body, before, before + count);
}

inline bool try_take_at_once(Process& process, Signal* message) {
  if (at_rest(process) || process.body->leaving != Leave::no) return false;
  ++process.body->reductions;
  append_chain(process, message, message, 1);
  return true;
}

// An ordinary message to a mailbox without a capacity. False if the receiver is gone.
inline bool push_ordinary(Core& core, Worker* here, Process& process, std::uint64_t number, Signal* message) {
  std::uint64_t word;
  if (!head::look(process, number, word)) return false;
  const std::uint64_t tag = head::tag_of(number);
  if (word == (tag | head::waiting)) {
    if (head::claim(process, word, tag)) {
      if (!try_take_at_once(process, message)) [[unlikely]] {
        head::push_own(process, message);
        if (at_rest(process)) prefetch_rest(core, process);
      }
      if (here != nullptr && process.stack == nullptr) {
        here->schedule_here(process);
      } else {
        core.schedule(process, here);
      }
      return true;
    }
  } else if (word == tag && here != nullptr && here->will_run_next(process) && try_take_at_once(process, message)) {
    return true;
  }
  return push_through_head(core, here, process, word, tag, message, true);
}

// What is not all messages: each signal in order, until one is fatal.
void act_on_chain(Process& process, Signal* oldest) {
  Body& body = *process.body;
  while (oldest != nullptr) {
    Signal* next = oldest->next;
    act(process, oldest);
    oldest = next;
    if (body.leaving != Leave::no) {
      body.unhandled = oldest;  // behind the fatal one
      break;
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
  std::uint64_t word;
  if (!head::look(process, pid.number, word)) return nullptr;
  const std::uint64_t tag = head::tag_of(pid.number);
  if (word != (tag | head::waiting) || is_bounded(process.flags.load(std::memory_order_relaxed))) return nullptr;
  return head::claim(process, word, tag) ? &process : nullptr;
}

void take_at_once(Process& process, Signal* message) {
  if (!try_take_at_once(process, message)) [[unlikely]]
    head::push_own(process, message);
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
  if (sight.pending.fetch_add(1, std::memory_order_relaxed) < static_cast<std::int32_t>(limit >> 8) || !refuses)
    return true;
  sight.pending.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

Pushed try_push_message(Core& core, const Pid& to, Signal* message) {
  if (!core.is_local(to)) return Pushed::dead;
  Process& process = core.table().line(to);
  const bool counted = (process.flags.load(std::memory_order_relaxed) & flag::bounded) != 0 &&
                       process.serial.load(std::memory_order_acquire) == to.number && takes_room(message);
  if (counted && !take_room(core, process)) return Pushed::full;
  const bool ordinary =
      message->table->kind == SignalKind::message && !is_bounded(process.flags.load(std::memory_order_relaxed));
  const bool pushed = ordinary ? push_ordinary(core, worker_in(core), process, to.number, message)
                               : push_to_line(core, process, to.number, message, is_message(message));
  if (pushed) return Pushed::delivered;
  if (counted) core.table().sight(process).pending.fetch_sub(1, std::memory_order_relaxed);
  return Pushed::dead;
}

bool push_message(Core& core, const Pid& to, Signal* message) {
  return push_message(core, worker_in(core), to, message);
}

bool push_message(Core& core, Worker* here, const Pid& to, Signal* message) {
  if (core.is_local(to)) {
    Process& process = core.table().line(to);
    if (!is_bounded(process.flags.load(std::memory_order_relaxed))) [[likely]] {
      if (push_ordinary(core, here, process, to.number, message)) [[likely]]
        return true;
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
  report_mark_if_due(process);
  const std::uint64_t word = process.head.load(std::memory_order_relaxed);
  if ((word & head::pointer_bits) == 0) return false;
  Signal* const newest = head::take<Signal>(process, word & head::tag_bits);
  Signal* oldest = nullptr;
  std::uint32_t count = 0;
  bool only_messages = !is_bounded(process.flags.load(std::memory_order_relaxed));
  for (Signal* at = newest; at != nullptr; ++count) {
    only_messages = only_messages && at->table->kind == SignalKind::message;
    Signal* next = std::exchange(at->next, oldest);
    oldest = std::exchange(at, next);
  }
  if (only_messages) [[likely]] {
    body.reductions += count;
    append_chain(process, oldest, newest, count);
    report_mark_if_due(process);
    return true;
  }
  act_on_chain(process, oldest);
  return true;
}

void append(Process& process, Signal* message) {
  append_chain(process, message, message, 1);
  if (is_bounded(process.flags.load(std::memory_order_relaxed)) && takes_room(message)) ++process.body->room_taken;
}

void give_room(Process& process, const Signal* message) {
  if (!takes_room(message)) return;
  --process.body->room_taken;
  process.body->core->table().sight(process).pending.fetch_sub(1, std::memory_order_relaxed);
}

std::uint32_t high_water_mark_of(const Body& body) noexcept {
  const Rarities* rarities = body.rarities_if_any();
  const std::size_t mark = rarities != nullptr && rarities->high_water_mark != 0 ? rarities->high_water_mark
                                                                                 : body.core->options().high_water_mark;
  return static_cast<std::uint32_t>(std::min<std::size_t>(mark, ~std::uint32_t{0}));
}

void report_mark(Process& process) {
  process.body->mark_due = false;
  process.body->core->report_high_water_mark(process, process.body->high_water_mark);
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
