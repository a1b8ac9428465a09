// SPDX-License-Identifier: Apache-2.0
#include "runtime/hand_off.hpp"

#include <coppice/call.hpp>

#include <utility>

#include "platform/call_above.hpp"
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
  if (is_fit(caller, server, times.timeout) && here.may_hand_off() && is_wanted(core, platform::Choice::hand_off)) {
    const std::uint64_t callee = node->callee.number;
    CallUnderWay call{.caller = &caller, .server = &server, .placed = nullptr, .node = node, .times = &times};
    caller.body->in_wait = true;
    const bool done = here.hand_off(call);
    if (done) {
      if (!call.settled && !call.is_answered()) {
        here.settle_hand_offs();
        confirm_edge(caller, callee);
        times.start(core);
      }
      intake(caller);
      caller.body->in_wait = false;
      ++caller.body->reductions;
      leave_if_due(caller);
      return;
    }
    caller.body->in_wait = false;
  }
  here.settle_hand_offs();
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

// Steps 2 and 4. Once the call is settled the caller may go on on another worker.
[[gnu::always_inline]] inline bool Worker::hand_off(CallUnderWay& call) {
  platform::Stack* to = spare_;
  if (to != nullptr) [[likely]] {
    spare_ = to->next;
    --spare_count_;
  } else {
    to = take_stack(0);
  }
  if (to == nullptr) return false;
  platform::Stack* from = stack_;
  from->exceptions = std::exchange(*exceptions_, {});
  call.worker = this;
  call.stack = from;
  call.lent = to;
  call.outer = std::exchange(under_way_, &call);
  Worker* me = enter(call, *to);
  *me->exceptions_ = from->exceptions;
  if (call.settled) [[unlikely]]
    return true;
  me->under_way_ = call.outer;
  me->stack_ = from;
  me->go_on_with(*call.caller);
  return true;
}

// Runs the server on `to`; returns when the caller goes on, the worker on which it does.
[[gnu::always_inline]] inline Worker* Worker::enter(CallUnderWay& call, platform::Stack& to) {
  void* arrival = nullptr;
  if constexpr (platform::can_call_above) {
    void* const loop = to.context.machine;  // what stands below: overwritten by each call that the server hands off
    stack_ = &to;
    arrival = platform::call_above(call.stack->context, to.context, &Worker::serve_above, &call);
    if (arrival == nullptr) [[likely]] {
      to.context.machine = loop;
      to.owner = nullptr;
      to.next = std::exchange(spare_, &to);
      ++spare_count_;
      return this;
    }
  } else {
    entering_ = &call;
    current_ = nullptr;
    stack_ = &to;
    arrival = platform::switch_here(call.stack->context, to.context, this);
  }
  auto* me = static_cast<Worker*>(arrival);
  me->finish_switch();
  return me;
}

// On the lent stack. True: the caller waits for this to return. False: the call was settled, and the server's turn is over.
[[gnu::always_inline]] inline bool Worker::serve(CallUnderWay& call) {
  Process& server = *call.server;
  take_the_stack(server);
  if (call.placed != nullptr) [[likely]] {
    const InPlace what = server.body->run_in_place(server, *call.placed);
    if (what != InPlace::settled) [[likely]] {
      call.what = what;
      return true;
    }
  }
  server.body->run(server);
  // Whoever waits or goes on after a wait leaves no call under way; a call that the server has made itself is over.
  return this_worker()->under_way_ != nullptr;
}

// What stood on this stack is lost if the server has waited on it: then it becomes that of a loop here.
void Worker::serve_above(void* argument) noexcept {
  auto* call = static_cast<CallUnderWay*>(argument);
  if (call->worker->serve(*call)) [[likely]]
    return;
  Worker* me = this_worker();
  me->current_ = nullptr;
  me->running_number.store(0, std::memory_order_relaxed);
  run_loop();
  end_loop();
}

// The same by a loop that was switched to.
void Worker::serve_from_loop() {
  CallUnderWay* call = std::exchange(entering_, nullptr);
  const bool is_waited_for = serve(*call);
  Worker* me = this_worker();
  me->current_ = nullptr;
  me->running_number.store(0, std::memory_order_relaxed);
  if (!is_waited_for) return;
  platform::Stack* from = me->stack_;
  me->after_switch_ = {Leaving::idle_loop, nullptr, from, nullptr};
  me->stack_ = call->stack;
  me = static_cast<Worker*>(platform::switch_here(from->context, call->stack->context, me));
  me->finish_switch();
}

// What take_reply does with an answer that is taken in. Nobody else writes to the edge: who could has the envelope.
bool Worker::answer_hand_off(detail::CallNode* node) noexcept {
  if (under_way_ == nullptr || under_way_->node != node) return false;
  under_way_->node = nullptr;
  Process& caller = *under_way_->caller;
  node->table = node->reply_table;
  ++caller.body->reductions;
  caller.body->reply = node;
  core_.table().sight(caller).callee.store(0, std::memory_order_release);
  return true;
}

// Step 3b, the oldest call first.
void Worker::settle_all() {
  CallUnderWay* oldest = nullptr;
  while (under_way_ != nullptr) {
    CallUnderWay* call = std::exchange(under_way_, under_way_->outer);
    call->outer = std::exchange(oldest, call);
  }
  while (oldest != nullptr) {
    CallUnderWay* call = std::exchange(oldest, oldest->outer);
    settle(*call);  // and nobody may touch it afterwards
  }
}

// The caller must not be touched once its wait is committed.
void Worker::settle(CallUnderWay& call) {
  Process& caller = *call.caller;
  call.stack->home = id_;
  call.stack->owner = &caller;
  caller.stack = call.stack;
  call.settled = true;
  if constexpr (platform::can_call_above) call.lent->worn = true;
  const bool is_answered = call.is_answered();
  if (call.placed != nullptr) {
    call.server->body->keep_call(is_answered ? nullptr : make_awaited_envelope(caller, *call.server, *call.placed));
  }
  if (is_answered) {
    schedule_here(caller);
    return;
  }
  confirm_edge(caller, call.server->serial.load(std::memory_order_relaxed));
  call.times->start(core_);
  if (call.times->deadline != platform::never) arm_wake_timer(caller, call.times->deadline);
  commit_wait(caller, head::waiting | head::call_wait);
}

// -- without an envelope: in_place.hpp

namespace {

// A handler has at least so much of its caller's stack, of the 256 KiB that a stack has by default.
constexpr std::ptrdiff_t room_min = 64 * 1024;

[[gnu::always_inline]] inline bool has_room(const platform::Stack& stack) {
  return static_cast<std::byte*>(__builtin_frame_address(0)) - stack.low >= room_min;
}

// What is misuse, or ends or interrupts the caller, is told by the way through the mailbox. A timeout of nothing is a
// timeout, though the server be idle.
bool may_call(const Process& caller, WaitTime timeout) {
  const Body& body = *caller.body;
  return !body.must_go_on && !body.dying && body.leaving == Leave::no && timeout.nanoseconds() > 0 &&
         (caller.head.load(std::memory_order_relaxed) & head::pointer_bits) == 0;
}

// A server that asked for a stack of its own size needs that; one that waits in a handler is not idle.
bool may_be_called(const Process& server) {
  const Body& body = *server.body;
  return server.stack == nullptr && server.queue == nullptr && body.size_class == 0 && body.leaving == Leave::no &&
         body.high_water_mark > 1;
}

}  // namespace

const Process& Worker::caller_in_place() const noexcept { return buried_ != nullptr ? *buried_ : *under_way_->caller; }

// As at the end of any turn; or the beginning of one of its own. One that was refused may hold a stack: then it belongs to
// the worker of that.
[[gnu::always_inline]] inline void Worker::end_without_envelope(Process& server, InPlace what) {
  if (what != InPlace::goes_on) [[likely]] {
    if (what == InPlace::done) [[likely]]
      note_idle(server);
    if (head::wait_if_empty(server, head::waiting)) [[likely]]
      return;
  }
  core_.schedule(server, this);
}

// On the caller's own stack.
[[gnu::always_inline]] inline InPlace Worker::run_in_place(Process& server, detail::PlacedCall& call) {
  Process& caller = *current_;
  const platform::ExceptionState of_caller = std::exchange(*exceptions_, {});
  buried_ = &caller;
  take_the_stack(server);
  const InPlace what = server.body->run_in_place(server, call);
  stack_->owner = &caller;
  go_on_with(caller);
  buried_ = nullptr;
  *exceptions_ = of_caller;
  return what;
}

// The handler has not replied: the server has an envelope now, and goes on in a turn of its own.
detail::CallOutcome Worker::await_after_handler(Process& server, detail::PlacedCall& call, CallTimes& times) {
  Process& caller = *current_;
  settle_hand_offs();  // the caller gets an edge
  const Pid callee = server.body->pid;
  server.body->keep_call(make_awaited_envelope(caller, server, call));
  confirm_edge(caller, callee.number);
  times.start(core_);
  schedule_here(server);
  return await_envelope(caller, callee, call, times);
}

[[gnu::always_inline]] inline bool Worker::call_without_envelope(const Pid& callee, detail::PlacedCall& call,
                                                                 WaitTime timeout) {
  Process& caller = *current_;
  core_.world().interleave();
  if (!may_call(caller, timeout)) return false;
  Process* server = nullptr;
  std::uint64_t word = head::dead;
  const std::uint64_t tag = head::tag_of(callee.number);
  if (core_.is_local(callee)) [[likely]] {
    server = &core_.table().line(callee);
    if (!head::look(*server, callee.number, word)) word = head::dead;
  } else if (callee) {
    return false;
  }
  if (word != (tag | head::waiting)) {
    if ((word & head::dead) == 0) return false;
    call.outcome.emplace(detail::CallOutcome{.cause = ExitReason::noproc(), .request = call.type});
    return true;
  }
  const bool in_place = call.never_waits;
  if ((in_place ? !has_room(*stack_) : caller.body->migratable) ||
      (server->flags.load(std::memory_order_relaxed) & flag::bounded) != 0 || !may_do_without_envelope() ||
      !is_wanted(core_, in_place ? platform::Choice::in_place : platform::Choice::hand_off)) {
    return false;
  }
  if (!timeout.is_infinite()) prepare_wake_timer(caller);  // should the handler not reply
  if (!head::claim(*server, word, tag)) return false;
  if (at_rest(*server)) wake_from_rest(*server);
  CallTimes times{timeout};
  InPlace what = InPlace::refused;
  caller.body->in_wait = true;
  if (may_be_called(*server)) [[likely]] {
    if (in_place) {
      what = run_in_place(*server, call);
    } else {
      CallUnderWay under_way{.caller = &caller, .server = server, .placed = &call, .node = nullptr, .times = &times};
      const bool done = hand_off(under_way);
      if (under_way.settled) [[unlikely]] {
        intake(caller);
        caller.body->in_wait = false;
        ++caller.body->reductions;
        if (!call.answered) call.outcome = await_envelope(caller, callee, call, times);
        leave_if_due(caller);
        return true;
      }
      if (done) what = under_way.what;
    }
  }
  if (what != InPlace::refused && !call.answered) [[unlikely]] {
    caller.body->in_wait = false;
    call.outcome = await_after_handler(*server, call, times);
    return true;
  }
  core_.world().interleave();
  end_without_envelope(*server, what);
  if (what == InPlace::refused) [[unlikely]] {
    caller.body->in_wait = false;
    return false;
  }
  intake(caller);
  caller.body->in_wait = false;
  caller.body->reductions += 2;  // a wait, and its answer
  leave_if_due(caller);
  return true;
}

}  // namespace coppice::runtime

namespace coppice {
inline namespace v1 {
namespace detail {

bool call_without_envelope(const Pid& server, PlacedCall& call, WaitTime timeout) {
  runtime::Worker* here = runtime::this_worker();
  return here != nullptr && here->current() != nullptr && here->call_without_envelope(server, call, timeout);
}

bool call_without_envelope(std::string_view name, std::uint64_t hash, Pid& server, PlacedCall& call, WaitTime timeout) {
  runtime::Worker* here = runtime::this_worker();
  if (here == nullptr || here->current() == nullptr) {
    server = whereis(name, hash);
    return false;
  }
  server = here->core().names().whereis(name, hash);
  return here->call_without_envelope(server, call, timeout);
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
