// SPDX-License-Identifier: Apache-2.0
#include "runtime/hand_off.hpp"

#include <utility>

#include "platform/switch_here.hpp"
#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/wait.hpp"

namespace coppice::runtime {
namespace {

// Whether anything stands against it, apart from the worker's own affairs.
//   - A server that waits in mid-handler holds a stack, and one that asked for a stack of its own size needs that.
//   - A caller that may go on on another worker might have to while its server still runs.
//   - What has arrived for the caller must be taken in before it waits: the queued path does.
//   - A timeout of nothing is a timeout, though the server be idle.
bool is_fit(const Process& caller, const Process& server, WaitTime timeout) {
  return server.stack == nullptr && server.body->size_class == 0 && !caller.body->migratable &&
         timeout.nanoseconds() != 0 && (caller.head.load(std::memory_order_relaxed) & head::pointer_bits) == 0;
}

}  // namespace

void hand_off_or_schedule(Worker& here, Process& caller, Process& server, const detail::CallNode* node,
                          CallTimes& times) {
  Core& core = core_of(caller);
  Body& body = *caller.body;
  if (is_fit(caller, server, times.timeout) && here.may_hand_off() && is_wanted(core, platform::Choice::hand_off)) {
    times.begin = core.world().last_tick();
    body.in_wait = true;
    const bool done = here.hand_off(server, node, times);
    if (done) intake(caller);
    body.in_wait = false;
    if (done) {
      ++body.reductions;
      leave_if_due(caller);
      return;
    }
  }
  confirm_edge(caller, node->callee.number);
  times.start(core);
  core.schedule(server);
}

// -- the worker's part

bool Worker::nobody_else_waits() {
  hand_off_streak_ = 0;
  if (timers_.next_deadline() != base::TimerWheel::never) timers_.fire(core_.world().now());
  if (!others_wait()) return true;
  run_next_streak_ = run_next_streak_max;
  return false;
}

bool Worker::hand_off(Process& server, const detail::CallNode* node, CallTimes& times) {
  platform::Stack* to = take_stack(0);
  if (to == nullptr) return false;
  // As if the server had been put into the run-next slot.
  if (Process* displaced = std::exchange(run_next_, nullptr)) schedule_last(*displaced);
  Process* process = current_;
  platform::Stack* from = stack_;
  from->exceptions = std::exchange(*exceptions_, {});
  from->home = id_;
  from->owner = process;
  process->stack = from;
  hand_off_ = {process, node, &times};
  next_ = &server;
  current_ = nullptr;
  stack_ = to;
  auto* me = static_cast<Worker*>(platform::switch_here(from->context, to->context, this));
  me->finish_switch();
  *me->exceptions_ = from->exceptions;
  return true;
}

// What take_reply does with an answer that is taken in. Nobody else writes to the edge: who could has the envelope.
bool Worker::answer_hand_off(detail::CallNode* node) noexcept {
  if (hand_off_.node != node) return false;
  hand_off_.node = nullptr;
  Process& caller = *hand_off_.caller;
  node->table = node->reply_table;
  ++caller.body->reductions;
  caller.body->reply = node;
  core_.table().sight(caller).callee.store(0, std::memory_order_release);
  return true;
}

// Step 3b; or, if it has been answered, the end of 3a for a server that goes on to wait.
void Worker::settle_hand_off() {
  const HandOffUnderWay done = std::exchange(hand_off_, {});
  if (done.node == nullptr) {
    schedule_here(*done.caller);
    return;
  }
  confirm_edge(*done.caller, done.node->callee.number);
  done.times->start_late(core_);
  if (done.times->deadline != platform::never) arm_wake_timer(*done.caller, done.times->deadline);
  commit_wait(*done.caller, head::waiting | head::call_wait);
}

// After the server's turn: whoever goes on next, if it is the caller.
Process* Worker::end_hand_off() {
  if (hand_off_.node != nullptr) {
    settle_hand_off();
    return nullptr;
  }
  return std::exchange(hand_off_, {}).caller;
}

}  // namespace coppice::runtime
