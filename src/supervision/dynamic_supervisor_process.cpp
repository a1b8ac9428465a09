// SPDX-License-Identifier: Apache-2.0
#include "supervision/dynamic_supervisor_process.hpp"

#include <algorithm>
#include <utility>

#include <coppice/timer.hpp>

#include "runtime/core.hpp"

namespace coppice::otp {
namespace {

using Kind = StartOutcome::Kind;

runtime::Process& this_process() { return *runtime::current_process(); }

std::int64_t now_s() { return std::chrono::floor<std::chrono::seconds>(monotonic_time()).count(); }

std::optional<Term> check_options(const DynamicSupervisorOptions& options) {
  if (auto error = check_flags({.max_restarts = options.max_restarts, .max_seconds = options.max_seconds})) return error;
  if (options.max_children && *options.max_children < 0) {
    return Term(tuple("invalid_max_children"_atom, *options.max_children));
  }
  return std::nullopt;
}

}  // namespace

DynamicSupervisor::DynamicSupervisor(DynamicSupervisorOptions options)
    : options_(std::move(options)), window_(options_.max_restarts, options_.max_seconds) {}

DynamicSupervisor::Init DynamicSupervisor::init() {
  if (auto error = check_options(options_)) return stop(ExitReason(tuple("supervisor_data"_atom, *error)));
  return ok();
}

Term DynamicSupervisor::format_status() const { return map({{"children"_atom, children_.size()}}); }

// -- the children -----------------------------------------------------------------------------------------------------------

void DynamicSupervisor::keep(const Pid& pid, Child child) {
  child.attempt = 0;
  if (child.delays != nullptr) child.delays->started = monotonic_time();
  children_.insert_or_assign(pid, std::move(child));
}

void DynamicSupervisor::forget(Children::iterator child) {
  const auto& delays = child->second.delays;
  if (delays != nullptr && delays->timer) static_cast<void>(cancel_timer(delays->timer));
  children_.erase(child);
}

// -- requests ---------------------------------------------------------------------------------------------------------------

std::vector<request::Described> DynamicSupervisor::handle_call(request::DescribeChildren) const {
  std::vector<request::Described> list;
  list.reserve(children_.size());
  for (const auto& [pid, child] : children_) {
    const ChildStatus status = child.attempt == 0 ? ChildStatus::running : ChildStatus::restarting;
    list.push_back({describe_child(child.spec, "undefined"_atom, status, pid), child.spec.restart()});
  }
  return list;
}

std::vector<ChildInfo> DynamicSupervisor::handle_call(request::WhichChildren) const {
  std::vector<ChildInfo> list;
  list.reserve(children_.size());
  for (const auto& [pid, child] : children_) {
    const ChildStatus status = child.attempt == 0 ? ChildStatus::running : ChildStatus::restarting;
    list.push_back(describe_child(child.spec, "undefined"_atom, status, pid));
  }
  return list;
}

ChildCounts DynamicSupervisor::handle_call(request::CountChildren) const {
  ChildCounts counts;
  counts.specs = children_.size();
  for (const auto& [pid, child] : children_) {
    ++(child.spec.type() == ChildType::supervisor ? counts.supervisors : counts.workers);
    if (child.attempt == 0) ++counts.active;
  }
  return counts;
}

StartChildResult DynamicSupervisor::handle_call(StartChild m) {
  if (options_.max_children && children_.size() >= static_cast<std::size_t>(*options_.max_children)) {
    return error("max_children");
  }
  StartAttempt attempt = run_start(this_process(), *m.spec.start_function());
  const StartOutcome& outcome = attempt.outcome.outcome;
  switch (outcome.kind) {
    case Kind::error: return error(outcome.reason);
    case Kind::ignore: return {std::move(attempt.outcome), StartChildResult::Kind::ignore};
    case Kind::ok: break;
  }
  Child child{std::move(m.spec), 0, nullptr};
  if (child.spec.restart() == Restart::temporary) child.spec.forget_arguments();  // DS-017
  if (child.spec.backoff()) child.delays = std::make_unique<Delays>();
  keep(outcome.pid, std::move(child));
  return {std::move(attempt.outcome), StartChildResult::Kind::ok};
}

Result<> DynamicSupervisor::handle_call(const TerminateChild& m) {
  const auto found = children_.find(m.pid);
  if (found == children_.end()) return error("not_found");
  const ChildSpec& spec = found->second.spec;
  if (found->second.attempt == 0) {
    EndReader reader(this_process());
    const ExitReason reason = end_child(this_process(), reader, m.pid, spec.shutdown());
    if (!is_expected_dynamic_end(spec.shutdown(), spec.restart(), reason)) {
      report("shutdown_error"_atom, spec, reason, m.pid);
    }
  }
  forget(found);
  return {};
}

// -- ends and restarts --------------------------------------------------------------------------------------------------------

DynamicSupervisor::Action DynamicSupervisor::handle_info(const ExitMessage& message) {
  const auto found = children_.find(message.pid);
  if (found == children_.end() || found->second.attempt != 0) return noreply();
  const ChildSpec& spec = found->second.spec;
  const EndVerdict verdict = judge_end(spec.restart(), message.reason);
  if (verdict.report) report("child_terminated"_atom, spec, message.reason, message.pid);
  if (verdict.fate != EndVerdict::Fate::restart) {
    forget(found);
    return noreply();
  }
  if (!spec.backoff()) return restart(found);
  try_later(found);
  return noreply();
}

DynamicSupervisor::Action DynamicSupervisor::handle_info(const TryAgain& message) {
  const auto found = children_.find(message.pid);
  if (found == children_.end() || found->second.attempt != message.attempt) return noreply();
  return restart(found);
}

DynamicSupervisor::Action DynamicSupervisor::restart(Children::iterator child) {
  const ChildSpec& spec = child->second.spec;
  if (!window_.admit(now_s())) {  // DS-026
    report("shutdown"_atom, spec, ExitReason("reached_max_restart_intensity"_atom), child->first);
    forget(child);
    return stop(ExitReason::shutdown());
  }
  const StartAttempt attempt = run_start(this_process(), *spec.start_function());
  const StartOutcome& outcome = attempt.outcome.outcome;
  switch (outcome.kind) {
    case Kind::error:
      report("start_error"_atom, spec, outcome.reason, tuple("restarting"_atom, child->first));
      try_later(child);
      return noreply();
    case Kind::ignore: forget(child); return noreply();  // DS-021
    case Kind::ok: break;
  }
  Child again = std::move(child->second);
  children_.erase(child);
  keep(outcome.pid, std::move(again));
  return noreply();
}

void DynamicSupervisor::try_later(Children::iterator position) {
  Child& child = position->second;
  child.attempt = ++attempts_;
  const TryAgain again{position->first, child.attempt};
  if (child.delays == nullptr) return self().send(again);
  Delays& delays = *child.delays;
  const double chance = static_cast<double>(runtime::core_of(this_process()).world().random() >> 11) * 0x1p-53;
  const auto ran = delays.started.count() == 0 ? delays.started : monotonic_time() - delays.started;
  const Delay delay = next_delay(*child.spec.backoff(), delays.delay, ran, chance);
  delays.started = {};
  delays.delay = delay.base;
  delays.timer = send_after(self(), again, delay.actual);
}

// -- the end --------------------------------------------------------------------------------------------------------------------

// DS-029 to DS-033: all at once. Deadlines run side by side: when one has passed, those that have it are killed.
void DynamicSupervisor::terminate(const ExitReason&) {
  runtime::Process& process = this_process();
  EndReader reader(process);
  std::vector<std::pair<platform::Nanoseconds, Pid>> deadlines;
  std::size_t left = 0;
  for (const auto& [pid, child] : children_) {
    if (child.attempt != 0) continue;
    reader.watch(pid);
    ++left;
  }
  for (const auto& [pid, child] : children_) {
    if (child.attempt != 0) continue;
    const Shutdown shutdown = child.spec.shutdown();
    exit(pid, stop_signal(shutdown));
    const platform::Nanoseconds deadline = stop_deadline(process, shutdown);
    if (deadline != platform::never) deadlines.emplace_back(deadline, pid);
  }
  std::sort(deadlines.begin(), deadlines.end());
  auto due = deadlines.begin();
  while (left > 0) {
    const std::optional<EndReader::End> end = reader.next(due == deadlines.end() ? platform::never : due->first);
    if (!end) {
      if (due == deadlines.end()) return;
      exit((due++)->second, ExitReason::kill());  // nothing happens if it is gone
      continue;
    }
    --left;
    const auto found = children_.find(end->pid);
    const ChildSpec& spec = found->second.spec;
    if (!is_expected_dynamic_end(spec.shutdown(), spec.restart(), end->reason)) {
      report("shutdown_error"_atom, spec, end->reason, end->pid);
    }
  }
}

void DynamicSupervisor::handle_info(const Term& message) {
  const ServerName& name = options_.name;
  logging::unexpected_message_report("DynamicSupervisor",
                                     name.empty() ? to_string(coppice::self()) : to_string(name.term()), message);
}

void DynamicSupervisor::report(Atom context, const ChildSpec& spec, const ExitReason& reason, const Term& pid) {
  if (!logging::wants_supervisor_reports(logger::Level::error)) return;
  logging::supervisor_report(context, shown_supervisor(options_.name, Atom("Elixir.DynamicSupervisor")), reason,
                             offender(spec, pid, false));
}

}  // namespace coppice::otp
