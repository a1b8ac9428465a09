// SPDX-License-Identifier: Apache-2.0
#include "runtime/in_place.hpp"

#include <coppice/call.hpp>

#include <utility>

#include "runtime/call_wait.hpp"
#include "runtime/core.hpp"
#include "runtime/hand_off.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/wait.hpp"

namespace coppice::runtime {
namespace {

// A handler has at least so much of its caller's stack, of the 256 KiB that a stack has by default.
constexpr std::ptrdiff_t room_min = 64 * 1024;

[[gnu::always_inline]] inline bool has_room(const platform::Stack& stack) {
  return static_cast<std::byte*>(__builtin_frame_address(0)) - stack.low >= room_min;
}

// What is misuse, or ends or interrupts the caller, is told by the way through the mailbox. A timeout of nothing is a
// timeout, though the server be idle.
bool may_call(Core& core, const Process& caller, const Pid& callee, WaitTime timeout) {
  const Body& body = *caller.body;
  return !body.must_go_on && !body.dying && body.leaving == Leave::no && timeout.nanoseconds() > 0 &&
         core.is_local(callee) && callee.number != body.pid.number &&
         (caller.head.load(std::memory_order_relaxed) & head::pointer_bits) == 0;
}

// A server that asked for a stack of its own size needs that; one that waits in a handler is not idle.
bool may_be_called(const Process& server) {
  const Body& body = *server.body;
  return server.stack == nullptr && server.queue == nullptr && body.size_class == 0 && body.leaving == Leave::no &&
         body.high_water_mark > 1;
}

}  // namespace

// Whose turn it is, on the stack on which we stand.
[[gnu::always_inline]] inline void Worker::take_the_stack(Process& process) noexcept {
  count(turns);
  current_ = &process;
  stack_->owner = &process;
  say_who_runs(process);
}

// As at the end of any turn; or the beginning of one of its own. One that was refused may hold a stack: then it belongs to
// the worker of that.
[[gnu::always_inline]] inline void Worker::end_in_place(Process& server, InPlace what) {
  if (what != InPlace::goes_on) [[likely]] {
    if (what == InPlace::done) [[likely]]
      note_idle(server);
    if (head::wait_if_empty(server, head::waiting)) [[likely]]
      return;
  }
  core_.schedule(server, this);
}

bool Worker::call_in_place(const Pid& callee, detail::PlacedCall& call, WaitTime timeout) {
  Process& caller = *current_;
  if (!may_call(core_, caller, callee, timeout) || !has_room(*stack_) || !may_run_in_place() ||
      !is_wanted(core_, platform::Choice::in_place)) {
    return false;
  }
  if (!timeout.is_infinite()) prepare_wake_timer(caller);  // should the handler not reply
  Process* server = claim_waiting(core_, callee);
  if (server == nullptr) return false;
  if (at_rest(*server)) wake_from_rest(*server);
  InPlace what = InPlace::refused;
  if (may_be_called(*server)) [[likely]] {
    const platform::ExceptionState of_caller = std::exchange(*exceptions_, {});
    buried_ = &caller;
    take_the_stack(*server);
    what = server->body->run_in_place(*server, call);
    take_the_stack(caller);
    buried_ = nullptr;
    *exceptions_ = of_caller;
  }
  if (what != InPlace::refused && !call.answered) [[unlikely]] {
    call.outcome = await_after_in_place(*this, *server, call, timeout);
    return true;
  }
  end_in_place(*server, what);
  if (what == InPlace::refused) [[unlikely]]
    return false;
  intake(caller);
  caller.body->reductions += 2;  // a wait, and its answer
  leave_if_due(caller);
  return true;
}

}  // namespace coppice::runtime
