// SPDX-License-Identifier: Apache-2.0
#include "supervision/supervisor_process.hpp"

#include <utility>

#include <coppice/timer.hpp>

#include "runtime/core.hpp"

namespace coppice::otp {
namespace {

using Kind = StartOutcome::Kind;

runtime::Process& this_process() { return *runtime::current_process(); }

std::int64_t now_s() { return std::chrono::floor<std::chrono::seconds>(monotonic_time()).count(); }

// A child of no process is shown as undefined, one whose restart has failed as {:restarting, the process that ended}; of a
// group no process is remembered once it is stopped (LR-017).
Term shown_pid(const Pid& pid, ChildStatus status) {
  const Term shown = pid ? Term(pid) : Term("undefined"_atom);
  return status == ChildStatus::restarting ? tuple("restarting"_atom, shown) : shown;
}

// OTP's record, as start_child hands it out with a failed start (SV-076).
Term child_record(const ChildSpec& spec) {
  const Term map = spec.to_term();
  return tuple("child"_atom, "undefined"_atom, spec.id(), spec.start(), *map.find("restart"_atom),
               spec.is_significant(), spec.shutdown(), *map.find("type"_atom), spec.modules());
}

}  // namespace

Supervisor::Supervisor(Atom module, ServerName name, std::unique_ptr<detail::SupervisorModule> init)
    : module_(module), name_(std::move(name)), init_(std::move(init)) {}

// -- start and end ------------------------------------------------------------------------------------------------------

Supervisor::Init Supervisor::init() {
  SupervisorInit wanted = init_->init();
  if (wanted.is_ignore()) return ignore();
  flags_ = wanted.flags();
  if (auto error = check_flags(flags_)) return stop(ExitReason(tuple("supervisor_data"_atom, *error)));
  if (auto error = check_children(wanted.children(), flags_.auto_shutdown)) {
    return stop(ExitReason(tuple("start_spec"_atom, *error)));
  }
  window_ = RestartWindow(flags_.max_restarts, flags_.max_seconds);
  if (auto failure = start_all(std::move(wanted.children()))) return stop(*failure);
  return ok();
}

// SV-024, SV-025. Why it failed, all that had been started being stopped again.
std::optional<ExitReason> Supervisor::start_all(std::vector<ChildSpec> specs) {
  for (ChildSpec& spec : specs) {
    const StartAttempt attempt = attempt_start(spec);
    const StartOutcome& outcome = attempt.outcome.outcome;
    if (outcome.kind == Kind::error) {
      report("start_error"_atom, spec, outcome.reason, "undefined"_atom);
      stop_all();
      return ExitReason::shutdown(tuple("failed_to_start_child"_atom, spec.id(), outcome.reason));
    }
    if (outcome.kind == Kind::ignore && spec.restart() == Restart::temporary) continue;  // SV-014
    const Position child = add(std::move(spec));
    if (outcome.kind == Kind::ok) set_running(child, outcome.pid);
  }
  return std::nullopt;
}

// SV-061: whatever it is that ends the supervisor.
void Supervisor::terminate(const ExitReason&) { stop_all(); }

void Supervisor::stop_all() {
  EndReader reader(this_process());
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) stop_child(reader, std::prev(child.base()));
}

Term Supervisor::format_status() const {
  return map({{"module"_atom, module_}, {"children"_atom, children_.size()}, {"significant"_atom, significant_}});
}

// -- the list of children ---------------------------------------------------------------------------------------------

Supervisor::Position Supervisor::add(ChildSpec spec) {
  const Position child = children_.insert(children_.end(), Child{});
  child->spec = std::move(spec);
  by_id_.emplace(child->spec.id(), child);
  return child;
}

void Supervisor::remove(Position child) {
  set_idle(child, ChildStatus::undefined);
  by_id_.erase(child->spec.id());
  children_.erase(child);
}

void Supervisor::set_running(Position child, const Pid& pid) {
  set_idle(child, ChildStatus::undefined);
  child->status = ChildStatus::running;
  child->pid = pid;
  by_pid_.insert_or_assign(pid, child);
  if (child->spec.is_significant()) ++significant_;
  if (child->spec.backoff()) child->started = monotonic_time();
  if (child->spec.restart() == Restart::temporary) child->spec.forget_arguments();
}

// Undefined or restarting: no process, and no try is awaited.
void Supervisor::set_idle(Position child, ChildStatus status) {
  if (child->status == ChildStatus::running) by_pid_.erase(child->pid);
  if (child->timer) static_cast<void>(cancel_timer(std::exchange(child->timer, {})));
  if (child->spec.is_significant()) {
    significant_ -= child->status == ChildStatus::undefined ? 0 : 1;
    significant_ += status == ChildStatus::undefined ? 0 : 1;
  }
  child->attempt = 0;
  child->status = status;
}

// SV-012: what the start function threw stands in an EXIT tuple; a thrown value counts as if it had been returned.
StartAttempt Supervisor::attempt_start(const ChildSpec& spec) {
  StartAttempt attempt = run_start(this_process(), *spec.start_function());
  StartOutcome& outcome = attempt.outcome.outcome;
  if (attempt.thrown == Thrown::value) {
    outcome.reason = ExitReason(outcome.reason.term()[0][1]);
  } else if (attempt.thrown != Thrown::nothing) {
    outcome.reason = ExitReason(tuple("EXIT"_atom, outcome.reason));
  }
  if (outcome.kind == Kind::ok) report_start(spec, outcome.pid);
  return attempt;
}

void Supervisor::stop_child(EndReader& reader, Position child) {
  if (child->status == ChildStatus::running) {
    const Shutdown shutdown = child->spec.shutdown();
    const ExitReason reason = end_child(this_process(), reader, child->pid, shutdown);
    if (!is_expected_end(shutdown, child->spec.restart(), reason)) {
      report("shutdown_error"_atom, child->spec, reason, child->pid);
    }
  }
  set_idle(child, ChildStatus::undefined);
}

// -- requests -------------------------------------------------------------------------------------------------------------

std::vector<ChildInfo> Supervisor::handle_call(request::WhichChildren) const {
  std::vector<ChildInfo> list;
  list.reserve(children_.size());
  for (auto child = children_.rbegin(); child != children_.rend(); ++child) {
    list.push_back(describe_child(child->spec, child->spec.id(), child->status, child->pid));
  }
  return list;
}

std::vector<request::Described> Supervisor::handle_call(request::DescribeChildren) const {
  std::vector<request::Described> list;
  list.reserve(children_.size());
  for (const Child& child : children_) {
    list.push_back({describe_child(child.spec, child.spec.id(), child.status, child.pid), child.spec.restart()});
  }
  return list;
}

ChildCounts Supervisor::handle_call(request::CountChildren) const {
  ChildCounts counts;
  for (const Child& child : children_) {
    ++counts.specs;
    ++(child.spec.type() == ChildType::supervisor ? counts.supervisors : counts.workers);
    if (child.status == ChildStatus::running && alive(child.pid)) ++counts.active;
  }
  return counts;
}

StartChildResult Supervisor::handle_call(StartChild m) {
  if (auto wrong = check_child(m.spec, flags_.auto_shutdown)) return error(ExitReason(*wrong));
  if (const auto found = by_id_.find(m.spec.id()); found != by_id_.end()) {  // SV-074
    const Child& child = *found->second;
    if (child.status != ChildStatus::running) return error("already_present");
    return error(ExitReason(tuple("already_started"_atom, child.pid)));
  }
  StartAttempt attempt = attempt_start(m.spec);
  const StartOutcome& outcome = attempt.outcome.outcome;
  if (outcome.kind == Kind::error) return error(ExitReason(tuple(outcome.reason, child_record(m.spec))));
  if (outcome.kind == Kind::ignore) {
    if (m.spec.restart() != Restart::temporary) add(std::move(m.spec));
    return {std::move(attempt.outcome), StartChildResult::Kind::undefined};
  }
  set_running(add(std::move(m.spec)), outcome.pid);
  return {std::move(attempt.outcome), StartChildResult::Kind::ok};
}

Result<> Supervisor::handle_call(const TerminateChild& m) {
  const auto found = by_id_.find(m.id);
  if (found == by_id_.end()) return error("not_found");
  const Position child = found->second;
  {
    EndReader reader(this_process());
    stop_child(reader, child);
  }
  if (child->spec.restart() == Restart::temporary) remove(child);
  return {};
}

StartChildResult Supervisor::handle_call(const RestartChild& m) {
  const auto found = by_id_.find(m.id);
  if (found == by_id_.end()) return error("not_found");
  const Position child = found->second;
  if (child->status == ChildStatus::running) return error("running");
  if (child->status == ChildStatus::restarting) return error("restarting");
  StartAttempt attempt = attempt_start(child->spec);
  const StartOutcome& outcome = attempt.outcome.outcome;
  if (outcome.kind == Kind::error) return error(outcome.reason);
  if (outcome.kind == Kind::ignore) return {std::move(attempt.outcome), StartChildResult::Kind::undefined};
  set_running(child, outcome.pid);
  return {std::move(attempt.outcome), StartChildResult::Kind::ok};
}

Result<> Supervisor::handle_call(const DeleteChild& m) {
  const auto found = by_id_.find(m.id);
  if (found == by_id_.end()) return error("not_found");
  if (found->second->status == ChildStatus::running) return error("running");
  if (found->second->status == ChildStatus::restarting) return error("restarting");
  remove(found->second);
  return {};
}

Result<ChildSpec> Supervisor::handle_call(const GetChildspec& m) const {
  const auto found = by_id_.find(m.id);
  if (found == by_id_.end()) return error("not_found");
  return found->second->spec;
}

// -- ends and restarts ------------------------------------------------------------------------------------------------------

Supervisor::Action Supervisor::handle_info(const ExitMessage& message) {
  const auto found = by_pid_.find(message.pid);
  if (found == by_pid_.end()) return noreply();  // SV-034, SV-063
  const Position child = found->second;
  const EndVerdict verdict = judge_end(child->spec.restart(), message.reason);
  if (verdict.report) report("child_terminated"_atom, child->spec, message.reason, child->pid);
  set_idle(child, ChildStatus::undefined);
  if (verdict.fate == EndVerdict::Fate::restart) {
    if (!child->spec.backoff()) return restart(child);
    try_later(child);
    return noreply();
  }
  const bool over = ends_supervisor(flags_.auto_shutdown, child->spec.is_significant(), significant_);
  if (verdict.fate == EndVerdict::Fate::forget) remove(child);
  return over ? stop(ExitReason::shutdown()) : noreply();
}

Supervisor::Action Supervisor::handle_info(const TryAgain& message) {
  const auto found = by_id_.find(message.id);
  if (found == by_id_.end() || found->second->attempt != message.attempt) return noreply();
  found->second->timer = {};
  return restart(found->second);
}

Supervisor::Action Supervisor::restart(Position child) {
  if (!window_.admit(now_s())) {  // SV-043
    report("shutdown"_atom, child->spec, ExitReason("reached_max_restart_intensity"_atom),
           shown_pid(child->pid, child->status));
    set_idle(child, ChildStatus::undefined);
    return stop(ExitReason::shutdown());
  }
  switch (flags_.strategy) {
    case Strategy::one_for_one: static_cast<void>(start_again(child)); break;
    case Strategy::rest_for_one: restart_group(child); break;
    case Strategy::one_for_all: restart_group(children_.begin()); break;
  }
  return noreply();
}

// The group is all from `first` on. Those that have not been started again when one fails stay stopped until its next try,
// which begins there or, with one_for_all, at the first (SV-049, SV-050).
void Supervisor::restart_group(Position first) {
  std::vector<Position> group;
  std::vector<Sibling> siblings;
  for (Position child = first; child != children_.end(); ++child) {
    group.push_back(child);
    siblings.push_back({child->status == ChildStatus::running, child->spec.restart() == Restart::temporary});
  }
  const GroupPlan plan = plan_group(siblings);
  {
    EndReader reader(this_process());
    for (const std::size_t index : plan.stop) stop_child(reader, group[index]);
  }
  for (const Position child : group) {
    set_idle(child, ChildStatus::undefined);
    child->pid = {};
  }
  for (const std::size_t index : plan.forget) remove(group[index]);
  for (const std::size_t index : plan.start) {
    if (!start_again(group[index])) return;
  }
}

// False if it has failed and will be tried again.
bool Supervisor::start_again(Position child) {
  const StartAttempt attempt = attempt_start(child->spec);
  const StartOutcome& outcome = attempt.outcome.outcome;
  switch (outcome.kind) {
    case Kind::ok: set_running(child, outcome.pid); return true;
    case Kind::ignore: set_idle(child, ChildStatus::undefined); return true;  // SV-051
    case Kind::error: break;
  }
  report("start_error"_atom, child->spec, outcome.reason, shown_pid(child->pid, child->status));
  try_later(child);
  return false;
}

void Supervisor::try_later(Position child) {
  set_idle(child, ChildStatus::restarting);
  child->attempt = ++attempts_;
  TryAgain again{child->spec.id(), child->attempt};
  if (const std::optional<Backoff>& backoff = child->spec.backoff()) {
    const double chance = static_cast<double>(runtime::core_of(this_process()).world().random() >> 11) * 0x1p-53;
    const std::chrono::nanoseconds ran =
        child->started.count() == 0 ? child->started : monotonic_time() - child->started;
    const Delay delay = next_delay(*backoff, child->delay, ran, chance);
    child->started = {};
    child->delay = delay.base;
    child->timer = send_after(self(), std::move(again), delay.actual);
  } else {
    self().send(std::move(again));
  }
}

void Supervisor::handle_info(const Term& message) {
  logging::unexpected_message_report("Supervisor", name_.empty() ? to_string(coppice::self()) : to_string(name_.term()),
                                     message);
}

// -- reports --------------------------------------------------------------------------------------------------------------

void Supervisor::report(Atom context, const ChildSpec& spec, const ExitReason& reason, const Term& pid) {
  if (!logging::wants_supervisor_reports(logger::Level::error)) return;
  logging::supervisor_report(context, shown_supervisor(name_, module_), reason, offender(spec, pid, true));
}

void Supervisor::report_start(const ChildSpec& spec, const Pid& pid) {
  if (!logging::wants_supervisor_reports(logger::Level::info)) return;
  logging::progress_report(shown_supervisor(name_, module_), offender(spec, pid, true));
}

}  // namespace coppice::otp
