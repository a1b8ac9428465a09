// SPDX-License-Identifier: Apache-2.0
#include "runtime/wait.hpp"

#include <exception>

#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/worker.hpp"

namespace coppice::runtime {
namespace {

// Will the process's own timer wake it by `deadline` without being touched? See timers.hpp.
bool timer_is_set(const Process& process, platform::Nanoseconds deadline) {
  const Extension* extension = process.body->extension_.get();
  return extension != nullptr && extension->timer != nullptr && TimerShard::is_set(*extension->timer, deadline) &&
         extension->timer->shard == &this_worker()->timers();
}

}  // namespace

void arm_wake_timer(Process& process, platform::Nanoseconds deadline) {
  if (timer_is_set(process, deadline)) return;
  prepare_wake_timer(process);
  this_worker()->timers().arm(*process.body->extension_->timer, deadline);
}

void make_extension_and_timer(Process& process) {
  Extension& extension = process.body->extension();
  if (extension.timer == nullptr) extension.timer = make_wake_timer(process);
}

bool must_not_wait_as_it_leaves(const Process& process) {
  const Body& body = *process.body;
  return body.dying || (body.leaving != Leave::no && std::uncaught_exceptions() > 0);
}

void leave_now(Process& process) {
  Body& body = *process.body;
  if (must_not_wait(process)) return;
  if (++body.swallows > swallows_max) {
    body.core->warn("process " + body.core->describe(body.pid) + " swallowed its exit " + std::to_string(swallows_max) +
                    " times: its stack is abandoned");
    die_and_abandon(process);
  }
  throw LeaveStack{};
}

void leave(Process& process, const ExitReason& reason, Leave how) {
  Body& body = *process.body;
  if (body.leaving == Leave::no) {
    body.leaving = how;
    body.reason = reason;
  }
  leave_if_due(process);
  throw LeaveStack{};  // while the stack is being unwound: from a destructor, which may catch it
}

void end_for_waiting(Process& process) {
  Body& body = *process.body;
  if (body.leaving == Leave::no) {
    const detail::TypeIdentity* type = process.handling.load(std::memory_order_relaxed);
    body.leaving = Leave::by_exit;
    body.reason = ExitReason(tuple(Atom("never_waits"), Atom(snake_case(type->name))));
  }
  leave_if_due(process);
}

bool wait_once(Process& process, WaitFor what, platform::Nanoseconds deadline) {
  if (deadline != passed) end_if_it_must_go_on(process);
  if (must_not_wait(process)) return false;
  leave_if_due(process);
  // While the timer is set the clock need not be read: if the deadline has passed, the timer is due.
  if (deadline != platform::never && (deadline == passed || !timer_is_set(process, deadline))) {
    if (deadline == passed || core_of(process).world().now() >= deadline) return false;
    arm_wake_timer(process, deadline);
  }
  ++process.body->reductions;
  process.body->in_wait = true;
  const bool waited = Worker::switch_away(what == WaitFor::messages ? Leaving::waiting : Leaving::call_wait);
  if (waited) intake(process);
  process.body->in_wait = false;
  if (!waited) leave(process, ExitReason(Atom("system_limit")), Leave::by_signal);
  leave_if_due(process);
  return true;
}

platform::Nanoseconds finite_deadline_of(Process& process, WaitTime timeout) {
  if (timeout.is_negative()) detail::throw_badarg("a timeout must not be negative");
  if (timeout.nanoseconds() == 0) return passed;
  const platform::Nanoseconds now = core_of(process).world().now();
  return now +
         static_cast<platform::Nanoseconds>(timeout.nanoseconds());  // 63 bits and a clock that began at 0: it fits
}

}  // namespace coppice::runtime
