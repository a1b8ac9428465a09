// SPDX-License-Identifier: Apache-2.0
#include "runtime/death.hpp"

#include <cxxabi.h>

#include <cstdlib>

#include "platform/trace.hpp"
#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/relations.hpp"
#include "runtime/signals.hpp"
#include "runtime/wait.hpp"

namespace coppice::runtime {
namespace {

constexpr SignalTable wake_table{SignalKind::wake,        0,       nullptr, nullptr,
                                 [](Signal*) noexcept {}, nullptr, nullptr, nullptr};

// Step 3: relations take effect, exits do not end what is ending.
void settle(Process& process) {
  Body& body = *process.body;
  if (body.leaving == Leave::by_signal) return;
  body.leaving = Leave::no;
  if ((process.head.load(std::memory_order_acquire) & head::pointer_bits) == 0 && !body.mark_due) return;
  const ExitReason reason = body.reason;
  intake(process);
  if (body.leaving != Leave::no) {  // a fatal signal came too late to be the reason
    body.leaving = Leave::no;
    Signal* rest = std::exchange(body.unhandled, nullptr);
    while (rest != nullptr) {
      Signal* next = rest->next;
      answer_for_the_dead(*body.core, body.pid, rest, reason);
      rest = next;
    }
  }
  body.reason = reason;
}

void free_name(Process& process) {
  const Extension* extension = process.body->extension_.get();
  if (extension != nullptr && !extension->name.empty())
    process.body->core->names().unbind(extension->name, process.body->pid);
}

// What belongs to the process in an annex is freed with its name: before the death is announced.
void leave_annexes(Process& process, std::uint32_t flags_before) noexcept {
  if ((flags_before & flag::owns) == 0) return;
  for (std::size_t kind = annex_kinds; kind-- > 0;) {
    Annex* annex = process.body->core->annex_if_any(static_cast<AnnexKind>(kind));
    if (annex != nullptr) annex->process_ends(process);
  }
}

void disarm_own_timer(Process& process) {
  const Body& body = *process.body;
  if (body.extension_ != nullptr && body.extension_->timer != nullptr) TimerShard::disarm(*body.extension_->timer);
}

// PR-096. After `head` says dead: who starts a timer sets the flag, starts it and then looks at `head` (all seq_cst), so
// either it sees that we are dead and cancels its timer, or we see the flag and find the timer.
void cancel_timers_to(Process& process) {
  const Body& body = *process.body;
  if ((process.flags.load(std::memory_order_seq_cst) & flag::timer_target) != 0) {
    for (std::uint32_t i = 0; i < body.core->shard_count(); ++i) {
      body.core->timer_shard(i).cancel_all_to(body.pid.number);
    }
  }
}

void answer_chain(Core& core, const Pid& pid, Signal* oldest, const ExitReason& reason) {
  while (oldest != nullptr) {
    Signal* next = oldest->next;
    answer_for_the_dead(core, pid, oldest, reason);
    oldest = next;
  }
}

// Step 6.
void empty_mailbox(Process& process, Signal* last, const ExitReason& reason) {
  Body& body = *process.body;
  Core& core = *body.core;
  while (Signal* message = take_first(process)) discard(message, reason);
  if (body.unhandled != nullptr || last != nullptr) {
    const ExitReason noproc = ExitReason::noproc();
    answer_chain(core, body.pid, std::exchange(body.unhandled, nullptr), noproc);
    answer_chain(core, body.pid, oldest_first(last), noproc);
  }
  if (body.reply != nullptr) core.dispose_of_reply(std::exchange(body.reply, nullptr));
}

void die_as(Process& process, const ExitReason& reason, bool abandoned) noexcept {
  Body& body = *process.body;
  Core& core = *body.core;
  const Pid pid = body.pid;
  body.reason = reason;
  settle(process);
  body.dying = true;
  // Both at once if nothing of the user's can run in between that might still be given something.
  const bool at_once = body.state_is_trivial;
  std::uint32_t flags = process.flags.fetch_or(at_once ? flag::doomed | flag::closed : flag::doomed);
  if (!abandoned) body.destroy_state();
  free_name(process);
  if (!at_once) flags = process.flags.fetch_or(flag::closed, std::memory_order_seq_cst);
  leave_annexes(process, flags);
  disarm_own_timer(process);
  Signal* const last = head::end<Signal>(process, head::tag_of(pid.number));
  cancel_timers_to(process);
  Sight& sight = core.table().sight(process);
  if (sight.callee.load(std::memory_order_relaxed) != 0) sight.callee.store(0, std::memory_order_release);
  empty_mailbox(process, last, reason);
  announce_death(process, reason);
  while (body.orphans != nullptr) {
    auto* node = static_cast<detail::CallNode*>(body.orphans);
    body.orphans = node->next;
    detail::send_failure(node, reason);
  }
  body.announce_end(reason);
  process.body = nullptr;
  process.stack = nullptr;
  if (!abandoned) delete &body;
  const std::uint32_t worker = core.worker_number();
  core.table().free(process, worker);
  core.process_ended(worker);
}

}  // namespace

void die(Process& process, ExitReason reason) noexcept { die_as(process, reason, false); }

void die_and_abandon(Process& process) {
  this_worker()->settle_hand_offs();  // now, while the process can take its call over
  const ExitReason reason = process.body->reason;
  const Pid pid = process.body->pid;
  die_as(process, reason, true);
  if (Process* caller = this_worker()->buried()) {
    caller->body->leaving = Leave::by_signal;
    die_as(*caller, ExitReason(tuple(Atom("buried"), pid)), true);
  }
  Worker::abandon_stack();
}

std::unique_ptr<WakeTimer> make_wake_timer(Process& process) {
  auto timer = std::make_unique<WakeTimer>();
  timer->signal.table = &wake_table;
  timer->process = &process;
  timer->number = process.body->pid.number;
  return timer;
}

namespace {

std::vector<std::uintptr_t> stack_of(const std::exception_ptr& exception) {
  auto stack = platform::trace_of_exception(*reinterpret_cast<void* const*>(&exception));
  return stack.empty() ? platform::capture_trace(2) : stack;
}

}  // namespace

ExitReason reason_of_current_exception() {
  const std::exception_ptr exception = std::current_exception();
  try {
    throw;
  } catch (const Exit& exit) {
    return exit.reason();
  } catch (const std::exception& error) {
    return ExitReason::exception(platform::demangled(typeid(error).name()), error.what(), stack_of(exception),
                                 exception);
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    const std::string name = type != nullptr ? platform::demangled(type->name()) : "an unknown type";
    const Term value = tuple(Term(Atom("nocatch")), Term(name));
    return ExitReason::exception(value, name, "a value of type " + name + " was thrown", stack_of(exception),
                                 exception);
  }
}

}  // namespace coppice::runtime
