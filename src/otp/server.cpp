// SPDX-License-Identifier: Apache-2.0
#include "otp/server.hpp"

#include <utility>

#include <coppice/receive.hpp>

#include "logger/reports.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/wait.hpp"

namespace coppice::otp {

const char system_behaviour = 0;

ServerLoop::ServerLoop(runtime::Body& body, const detail::ServerTable& server_table) : body_(body) {
  table = &server_table;
}

ServerLoop::~ServerLoop() {
  if (continuation_ != nullptr) continuation_->table->destroy(continuation_);
}

std::string ServerLoop::display_name() const {
  const auto& extension = body_.extension_;
  return extension != nullptr && !extension->name.empty() ? std::string(extension->name) : inspect(body_.pid);
}

Debug& ServerLoop::debug() {
  if (debug_ == nullptr) debug_ = std::make_unique<Debug>();
  debugging = true;
  return *debug_;
}

void ServerLoop::suspend(bool on) {
  suspended_ = on;
  if (on) {
    body_.line->flags.fetch_or(runtime::flag::suspended, std::memory_order_relaxed);
  } else {
    body_.line->flags.fetch_and(~runtime::flag::suspended, std::memory_order_relaxed);
  }
}

void ServerLoop::ask_to_terminate(const ExitReason& reason) { asked_to_end_ = reason; }

// What a handler asked for beyond its turn, a debugger, or a report in the making keeps the loop as it is.
bool ServerLoop::can_rest() const noexcept {
  return continuation_ == nullptr && timeout_ < 0 && wake_at_ == platform::never && !suspended_ && !ended_ &&
         !asked_to_end_ && debug_ == nullptr && held_reply == nullptr && unanswered == nullptr &&
         last_message_ == nullptr && last_message_term_.is_nil() && !last_caller_;
}

// -- which message is next -----------------------------------------------------------------------------------------------

namespace {
inline bool is_exit_message(const detail::SignalTable& how) {
  return how.type != nullptr && detail::same_type(how.type, &detail::type_identity<ExitMessage>);
}
}  // namespace

// The parent is recognised by the message's shape alone (GS-103). A server started without a link has none (GS-003).
bool ServerLoop::is_parent_exit(const Signal* message) const {
  if (!is_exit_message(*message->table)) return false;
  const Pid& from = static_cast<const ExitMessage*>(detail::payload_of(const_cast<Signal*>(message)))->pid;
  if (!from) return body_.core->stopping();  // from the runtime itself: there is no parent that could stop it
  return body_.linked_parent && from == body_.linked_parent;
}

// A suspended server takes only system messages and its parent's exit, skipping what came before them (GS-102, GS-116).
Signal* ServerLoop::next_while_suspended(Process& process) {
  if (process.queue == nullptr) return nullptr;
  Signal* before = process.queue;
  do {
    Signal* message = before->next;
    if (message->table->behaviour == &system_behaviour || is_parent_exit(message)) {
      runtime::unlink(process, before, message);
      return message;
    }
    before = message;
  } while (before != process.queue);
  return nullptr;
}

ServerLoop::Step ServerLoop::step_otherwise(Process& process) {
  if (body_.leaving != runtime::Leave::no) {  // a fatal signal: no terminate, no report (GS-093, LR-028)
    end_reason_ = body_.reason;
    ended_ = true;
    return Step::ended;
  }
  if (continuation_ != nullptr) {
    Signal* message = std::exchange(continuation_, nullptr);
    guard(process, [&] { message->table->deliver(*this, message); });
    message->table->destroy(message);
    if (debug_ != nullptr && !ended_) tell_outcome({});
  } else if (Signal* message = suspended_ ? next_while_suspended(process) : runtime::take_first(process)) {
    handle(process, message);
  } else {
    return step_without_message(process);
  }
  return ended_ ? Step::ended : Step::handled;
}

ServerLoop::Step ServerLoop::step_without_message(Process& process) {
  if (timeout_ < 0 || suspended_ || runtime::core_of(process).world().now() < wake_at_) return Step::idle;
  fire_timeout(process);
  return ended_ ? Step::ended : Step::handled;
}

// -- handling -------------------------------------------------------------------------------------------------------------

// Runs a callback. It leaves by return, by an exception, or because the process is leaving.
template <class F>
[[gnu::always_inline]] inline ServerLoop::Cause ServerLoop::run_callback(Process& process, F&& callback) {
  if (!wish.is_empty()) [[unlikely]]
    wish = {};
  Cause left = Cause::none;
  body_.in_turn = true;
  try {
    callback();
    runtime::leave_if_due(process);
  } catch (const runtime::LeaveStack&) {
    left = Cause::exit;
    failure_ = body_.reason;
  } catch (const Exit& exit) {
    left = Cause::exit;
    failure_ = exit.reason();
  } catch (...) {
    left = Cause::exception;
    failure_ = runtime::reason_of_current_exception();
  }
  body_.in_turn = false;
  body_.must_go_on = false;
  body_.handled_call = nullptr;
  return left;
}

// Is there nothing to act on?
[[gnu::always_inline]] inline bool ServerLoop::is_over(Cause left) const noexcept {
  return left == Cause::none && body_.leaving == runtime::Leave::no && wish.is_empty() && !asked_to_end_ &&
         body_.orphans == nullptr;
}

void ServerLoop::act_on(Process& process, Cause left) {
  if (body_.leaving != runtime::Leave::no) return after_leaving(process);
  if (left != Cause::none) return after_failure(process, left);
  after_wish(process);
}

template <class F>
[[gnu::always_inline]] inline void ServerLoop::guard(Process& process, F&& callback) {
  const Cause left = run_callback(process, std::forward<F>(callback));
  if (!is_over(left)) [[unlikely]]
    act_on(process, left);
}

[[gnu::always_inline]] inline void ServerLoop::handle_typed_or_bare(Process& process, Signal* message) {
  const detail::SignalTable& how = *message->table;
  detail::Deliver deliver = how.deliver;
  if (how.behaviour != nullptr) {
    if (how.behaviour != table) return handle_unknown(process, message);
  } else {
    deliver = table->find_info(how.type);
    if (deliver == nullptr) deliver = table->handle_any;
    if (deliver == nullptr) return handle_unknown(process, message);
  }
  const bool is_call = how.bounce != nullptr;
  process.handling.store(how.type, std::memory_order_relaxed);
  last_type_ = how.type;
  if (is_call) {
    unanswered = static_cast<detail::CallNode*>(message);
    last_caller_ = unanswered->caller;
    body_.must_go_on = how.never_waits;
  } else {
    last_message_ = message;
  }
  guard(process, [&] {
    if (debug_ != nullptr) [[unlikely]]
      tell_arrival(process, message);
    deliver(*this, message);
  });
  process.handling.store(nullptr, std::memory_order_relaxed);
  if (!is_call) {
    last_message_ = nullptr;
    message->table->destroy(message);
  }
  if (debug_ != nullptr && !ended_) [[unlikely]]
    tell_outcome(last_caller_);
  if (is_call) last_caller_ = {};
}

// What the handler leaves to be done beyond its reply is done by the next step; or here, if its caller does not stand by any
// more. Then the call, which is in that one's frame, may be gone.
runtime::InPlace ServerLoop::handle_in_place(Process& process, detail::PlacedCall& call) noexcept {
  if (call.behaviour != table || ended_ || left_over_ || continuation_ != nullptr || suspended_ || debug_ != nullptr) {
    return runtime::InPlace::refused;
  }
  ++body_.reductions;
  if (body_.queue_peak == 0) body_.queue_peak = 1;
  timeout_ = -1;
  wake_at_ = platform::never;
  process.handling.store(call.type, std::memory_order_relaxed);
  last_type_ = call.type;
  body_.must_go_on = call.never_waits;
  left_ = run_callback(process, [&] { call.run(*this, call); });
  if (is_settled_) [[unlikely]] {
    is_settled_ = false;
    act_on_left_over(process);
    return runtime::InPlace::settled;
  }
  if (call.answered && is_over(left_)) [[likely]] {
    process.handling.store(nullptr, std::memory_order_relaxed);
    return runtime::InPlace::done;
  }
  left_over_ = true;
  last_caller_ = runtime::this_worker()->caller_in_place().body->pid;
  return runtime::InPlace::goes_on;
}

void ServerLoop::keep_call(detail::CallNode* node) noexcept {
  unanswered = node;
  if (left_over_) return;  // it has been handled
  is_settled_ = true;
  if (node != nullptr) last_caller_ = node->caller;
}

void ServerLoop::act_on_left_over(Process& process) {
  if (!is_over(left_)) act_on(process, left_);
  process.handling.store(nullptr, std::memory_order_relaxed);
  last_caller_ = {};
}

// Before anything is taken in: whatever has come meanwhile comes after the handler.
ServerLoop::Step ServerLoop::step_from_before(Process& process) {
  if (std::exchange(left_over_, false)) act_on_left_over(process);
  return ended_ ? Step::ended : Step::handled;
}

void ServerLoop::handle(Process& process, Signal* message) {
  const detail::SignalTable& how = *message->table;
  if (how.behaviour == &system_behaviour) [[unlikely]]
    return handle_system(process, message);
  if (how.bounce == nullptr && is_exit_message(how) && is_parent_exit(message)) [[unlikely]] {  // a call is none
    return handle_parent_exit(process, message);
  }
  timeout_ = -1;  // any message cancels it (GS-081)
  wake_at_ = platform::never;
  handle_typed_or_bare(process, message);
}

void ServerLoop::handle_parent_exit(Process& process, Signal* message) {
  const ExitReason reason = static_cast<ExitMessage*>(detail::payload_of(message))->reason;
  const bool halting = !static_cast<ExitMessage*>(detail::payload_of(message))->pid;
  last_message_term_ = detail::term_of_message(message);
  last_type_ = nullptr;
  message->table->destroy(message);
  if (halting) {  // the whole system halts: no terminate (GS-093)
    end_reason_ = reason;
    ended_ = true;
    return;
  }
  end(process, reason, Cause::stop);
}

// A system message restarts a pending timeout (GS-083).
void ServerLoop::handle_system(Process& process, Signal* message) {
  guard(process, [&] { message->table->deliver(*this, message); });
  if (!ended_ && timeout_ >= 0)
    wake_at_ = runtime::core_of(process).world().now() + static_cast<platform::Nanoseconds>(timeout_);
}

void ServerLoop::tell_arrival(Process& process, const Signal* message) {
  debug_->event(display_name(), {sys::Event::Kind::in, detail::term_of_message(message), {}, {}});
  runtime::leave_if_due(process);  // a debug function may have waited, and a kill may have come
}

// A reply that the handler returned, or none: one that goes through a From is no event, as in OTP.
void ServerLoop::tell_outcome(const Pid& caller) {
  if (shown_reply) {
    debug_->event(display_name(), {sys::Event::Kind::out, *std::exchange(shown_reply, std::nullopt), caller,
                                   table->format_state(state)});
  } else {
    debug_->event(display_name(), {sys::Event::Kind::noreply, {}, {}, table->format_state(state)});
  }
}

// A typed request for another class: as a missing clause in OTP it ends the server (GS-107, GS-108); a message that
// handle_info does not know is logged (GS-109).
void ServerLoop::handle_unknown(Process& process, Signal* message) {
  const detail::SignalTable& how = *message->table;
  const bool is_call = how.bounce != nullptr;
  last_message_term_ = detail::term_of_message(message);
  last_type_ = nullptr;
  if (is_call || how.is_cast) {
    const std::string text = "attempted to " + std::string(is_call ? "call" : "cast") + " GenServer " + display_name() +
                             " but " + std::string(table->name) + " has no " +
                             (is_call ? "handle_call" : "handle_cast") + " for " + std::string(how.type->name);
    if (is_call) {
      unanswered = static_cast<detail::CallNode*>(message);
    } else {
      how.destroy(message);
    }
    return end(process, ExitReason::exception("std::runtime_error", text), Cause::exception);
  }
  report_unknown(message);
  how.destroy(message);
}

void ServerLoop::report_unknown(const Signal* message) {
  logger::no_handle_info_report(std::string(table->name), detail::term_of_message(message), display_name());
}

void ServerLoop::after_failure(Process& process, Cause cause) { end(process, std::exchange(failure_, {}), cause); }

void ServerLoop::after_leaving(Process& process) {
  if (body_.leaving == runtime::Leave::by_signal) {
    end_reason_ = body_.reason;
    ended_ = true;
    return;
  }
  body_.leaving = runtime::Leave::no;  // by exit: terminate runs next, as a process that is not leaving
  body_.swallows = 0;
  failure_ = body_.reason;
  after_failure(process, Cause::exit);
}

void ServerLoop::after_wish(Process& process) {
  if (!wish.is_empty()) obey(std::move(wish));
  if (asked_to_end_) return end(process, *std::exchange(asked_to_end_, std::nullopt), Cause::stop);
  if (body_.orphans != nullptr) fail_orphans(ExitReason(Atom("no_reply")));
}

void ServerLoop::begin(detail::Wish wanted) { obey(std::move(wanted)); }

void ServerLoop::obey(detail::Wish wanted) {
  if (wanted.verdict == Verdict::stop || wanted.verdict == Verdict::bad_return) {
    asked_to_end_ = wanted.reason;
    return;
  }
  switch (wanted.pause) {
    case detail::Pause::none:
    case detail::Pause::hibernate: return;
    case detail::Pause::timeout:
      timeout_ = wanted.timeout;
      wake_at_ = body_.core->world().now() + static_cast<platform::Nanoseconds>(wanted.timeout);
      return;
    case detail::Pause::go_on: continuation_ = std::exchange(wanted.continuation, nullptr); return;
  }
}

void ServerLoop::fire_timeout(Process& process) {
  timeout_ = -1;
  wake_at_ = platform::never;
  handle_typed_or_bare(process, detail::make_message(Timeout{}));
}

// -- ending ----------------------------------------------------------------------------------------------------------------

// What the report will show: the message, if it is still whole after its handler had it; else the tag of its type.
void ServerLoop::note_last_message() {
  const detail::TypeIdentity* type = std::exchange(last_type_, nullptr);
  if (type == nullptr) return;
  const Signal* message = last_message_ != nullptr ? last_message_ : unanswered;
  const bool whole = message != nullptr && type->trivial;
  last_message_term_ = whole ? detail::term_of_message(message) : Term(Atom(snake_case(type->name)));
}

// terminate, then the reply that was held for it, then the reports; the host ends the process.
void ServerLoop::end(Process& process, ExitReason reason, Cause cause) {
  const ExitReason original = reason;
  body_.reason = reason;
  body_.ending = true;
  note_last_message();
  if (table->terminate != nullptr) {
    try {
      body_.in_turn = true;
      table->terminate(state, original);
      runtime::leave_if_due(process);
    } catch (const runtime::LeaveStack&) {
      reason = body_.reason;
      cause = Cause::exit;
    } catch (const Exit& exit) {
      reason = exit.reason();
      cause = Cause::exit;
    } catch (...) {
      reason = runtime::reason_of_current_exception();
      cause = Cause::exception;
    }
    body_.in_turn = false;
  }
  const bool killed = body_.leaving == runtime::Leave::by_signal;
  if (held_reply != nullptr && !killed) detail::send_reply(std::exchange(held_reply, nullptr));
  if (killed) {
    reason = body_.reason;
  } else {
    body_.leaving = runtime::Leave::no;
  }
  end_reason_ = reason;
  ended_ = true;
  if (!killed && !reason.is_shutdown_kind()) report_end(process, reason, cause);
}

void ServerLoop::report_end(Process& process, const ExitReason& reason, Cause cause) {
  logger::TerminateReport report;
  report.name = display_name();
  report.module = table->name;
  report.is_machine = table->is_machine;
  report.last_message = last_message_term_;
  report.state = table->format_state(state);
  report.reason = reason;
  report.is_exception = cause == Cause::exception;
  report.client = last_caller_;
  if (debug_ != nullptr) {
    for (const sys::Event& event : debug_->log) report.log.push_back(event.term());
  }
  logger::terminate_report(report);
  runtime::reporter().crash_report(process, reason);
}

void ServerLoop::fail_orphans(const ExitReason& reason) noexcept {
  while (body_.orphans != nullptr) {
    auto* node = static_cast<detail::CallNode*>(body_.orphans);
    body_.orphans = node->next;
    detail::send_failure(node, reason);
  }
}

void ServerLoop::fail_open_calls(const ExitReason& reason) noexcept {
  if (unanswered != nullptr) detail::send_failure(std::exchange(unanswered, nullptr), reason);
  if (held_reply != nullptr) detail::send_failure(std::exchange(held_reply, nullptr), reason);
}

}  // namespace coppice::otp

namespace coppice {
inline namespace v1 {
namespace detail {

void wish_timeout(Wish& wish, WaitTime timeout) {
  if (timeout.is_infinite()) {
    wish.pause = Pause::none;
  } else if (timeout.is_negative()) {
    wish.verdict = Verdict::bad_return;
    wish.reason =
        ExitReason(tuple(Atom("bad_return_value"), tuple(Atom("timeout"), timeout.nanoseconds() / 1'000'000)));
  } else {
    wish.pause = Pause::timeout;
    wish.timeout = timeout.nanoseconds();
  }
}

void MustGoOn::set(ServerBody& body, bool on) noexcept { static_cast<otp::ServerLoop&>(body).body().must_go_on = on; }

void report_unknown(ServerBody& body, const Signal* signal) {
  static_cast<otp::ServerLoop&>(body).report_unknown(signal);
}

Term message_term(const Signal* message) { return term_of_message(message); }

std::any message_any(Signal* message) {
  if (message->table->to_any == nullptr) return std::any(term_of_message(message));
  return message->table->to_any(payload_of(message));
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
