// SPDX-License-Identifier: Apache-2.0
#include <coppice/foreign_wait.hpp>

#include <thread>

#include "runtime/call_wait.hpp"
#include "runtime/core.hpp"
#include "runtime/foreign_wait.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/wait.hpp"
#include "runtime/worker.hpp"

namespace coppice {
inline namespace v1 {
namespace detail {
namespace {

constexpr SignalTable wake_table{SignalKind::reply,       0,       nullptr, nullptr,
                                 &destroy_node<CallNode>, nullptr, nullptr, nullptr};

}  // namespace

ForeignWaitState::ForeignWaitState(runtime::Process& waiting)
    : core(runtime::core_of(waiting).shared_from_this()), process(waiting), pid(waiting.body->pid) {
  runtime::Body& body = *waiting.body;
  wake = make_node<CallNode>();
  wake->table = wake->reply_table = &wake_table;
  wake->caller = pid;
  if (++body.call_id == 0) body.call_id = 1;
  body.awaited_call = wake->call_id = body.call_id;
  body.call_failed = false;
}

ForeignWaitState::~ForeignWaitState() {
  if (wake != nullptr) wake->table->destroy(wake);
}

void ForeignWaitState::forget() noexcept {
  runtime::Body& body = *process.body;
  body.awaited_call = 0;
  if (body.reply != nullptr) core->dispose_of_reply(std::exchange(body.reply, nullptr));
}

bool ForeignWaitState::park() noexcept {
  std::uint8_t expected = pending;
  return phase.compare_exchange_strong(expected, parked, std::memory_order_acq_rel, std::memory_order_acquire);
}

void ForeignWaitState::complete() noexcept {
  // The node is taken before the phase changes: afterwards the process may be gone.
  CallNode* node = std::exchange(wake, nullptr);
  if (phase.exchange(done, std::memory_order_acq_rel) == parked) {
    node->table->destroy(node);
    core->schedule(process);
  } else if (!runtime::push(*core, pid, node)) {
    node->table->destroy(node);
  }
}

void ForeignWait::Completion::complete() noexcept {
  if (const auto state = std::exchange(state_, nullptr)) state->complete();
}

ForeignWait::ForeignWait(const char* function, WaitTime timeout) {
  runtime::Process& process = runtime::require_process(function);
  if (runtime::core_of(process).world().simulated()) {
    throw_badarg("a simulation has no threads beside its own: nobody would complete what this process waits for");
  }
  deadline_ = runtime::deadline_of(process, timeout);
  runtime::end_if_it_must_go_on(process);
  may_wait_ = !runtime::must_not_wait(process);
  if (!may_wait_) return;
  runtime::take_in(process);
  state_ = std::make_shared<ForeignWaitState>(process);
}

ForeignWait::~ForeignWait() {
  if (state_ != nullptr) state_->forget();
}

bool ForeignWait::may_wait() const noexcept { return may_wait_; }

ForeignWait::Completion ForeignWait::completion() { return Completion(state_); }

bool ForeignWait::wait() noexcept {
  const auto completed = [this] { return state_->phase.load(std::memory_order_acquire) == ForeignWaitState::done; };
  try {
    while (!completed()) {
      if (runtime::wait_once(state_->process, runtime::WaitFor::signals, deadline_)) continue;
      timed_out_ = !runtime::must_not_wait(state_->process) && !completed();
      break;
    }
  } catch (const runtime::LeaveStack&) {  // thrown anew by leave_if_due, when the other side is done
  }
  return completed();
}

void ForeignWait::wait_for_end() noexcept {
  while (state_->phase.load(std::memory_order_acquire) != ForeignWaitState::done) {
    // Without a stack to go on with, the worker itself has to wait: the frame must not be left.
    if (!runtime::Worker::switch_away(runtime::Leaving::foreign, state_.get())) std::this_thread::yield();
  }
}

void ForeignWait::leave_if_due() {
  runtime::Process& process = state_->process;
  if (!runtime::must_not_wait(process)) runtime::take_in(process);
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
