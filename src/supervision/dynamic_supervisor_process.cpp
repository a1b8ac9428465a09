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
  if (auto error = check_flags({.max_restarts = options.max_restarts, .max_seconds = options.max_seconds}))
    return error;
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

DynamicSupervisor::~DynamicSupervisor() {
  children_.for_each([this](const Child& child) { let_go(child.spec); });
}

// Children are mostly started one after the other by copies of one specification: then they share what is kept of it.
SharedSpec* DynamicSupervisor::share(ChildSpec&& spec) {
  const Atom module = spec.start_function()->module;
  const Atom function = spec.start_function()->function;
  if (spec.restart() == Restart::temporary) spec.forget_arguments();  // DS-017
  if (newest_ != nullptr) {
    const ChildSpec& kept = newest_->spec;
    const bool same_call =
        kept.start_function() == spec.start_function() && newest_->module == module && newest_->function == function;
    if (same_call && kept == spec) {
      ++newest_->children;
      return newest_;
    }
  }
  newest_ = new SharedSpec{std::move(spec), module, function, 1};
  return newest_;
}

void DynamicSupervisor::let_go(SharedSpec* spec) noexcept {
  if (--spec->children != 0) return;
  if (newest_ == spec) newest_ = nullptr;
  delete spec;
}

void DynamicSupervisor::forget(Child* child) {
  if (!troubled_.empty()) {
    const auto trouble = troubled_.find(child->number);
    if (trouble != troubled_.end()) {
      if (trouble->second.timer) static_cast<void>(cancel_timer(trouble->second.timer));
      troubled_.erase(trouble);
    }
  }
  SharedSpec* spec = child->spec;
  children_.erase(child);
  let_go(spec);
}

std::uint64_t DynamicSupervisor::attempt_of(const Child& child) const {
  if (troubled_.empty()) return 0;
  const auto trouble = troubled_.find(child.number);
  return trouble == troubled_.end() ? 0 : trouble->second.attempt;
}

// The number alone names a process of this runtime only.
DynamicSupervisor::Child* DynamicSupervisor::child_of(const Pid& pid) {
  return runtime::core_of(this_process()).is_local(pid) ? children_.find(pid.number) : nullptr;
}

Pid DynamicSupervisor::pid_of(const Child& child) const {
  return runtime::core_of(this_process()).pid_of(child.number);
}

// -- requests ---------------------------------------------------------------------------------------------------------------

std::vector<request::Described> DynamicSupervisor::handle_call(request::DescribeChildren) const {
  std::vector<request::Described> list;
  list.reserve(children_.size());
  children_.for_each([&](const Child& child) {
    const ChildStatus status = attempt_of(child) == 0 ? ChildStatus::running : ChildStatus::restarting;
    const ChildSpec& spec = child.spec->spec;
    list.push_back({describe_child(spec, "undefined"_atom, status, pid_of(child)), spec.restart()});
  });
  return list;
}

std::vector<ChildInfo> DynamicSupervisor::handle_call(request::WhichChildren) const {
  std::vector<ChildInfo> list;
  list.reserve(children_.size());
  children_.for_each([&](const Child& child) {
    const ChildStatus status = attempt_of(child) == 0 ? ChildStatus::running : ChildStatus::restarting;
    list.push_back(describe_child(child.spec->spec, "undefined"_atom, status, pid_of(child)));
  });
  return list;
}

ChildCounts DynamicSupervisor::handle_call(request::CountChildren) const {
  ChildCounts counts;
  counts.specs = children_.size();
  children_.for_each([&](const Child& child) {
    ++(child.spec->spec.type() == ChildType::supervisor ? counts.supervisors : counts.workers);
    if (attempt_of(child) == 0) ++counts.active;
  });
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
  SharedSpec* spec = share(std::move(m.spec));
  if (spec->spec.backoff()) troubled_[outcome.pid.number].started = monotonic_time();
  children_.insert(outcome.pid.number, spec);
  return {std::move(attempt.outcome), StartChildResult::Kind::ok};
}

Result<> DynamicSupervisor::handle_call(const TerminateChild& m) {
  Child* found = child_of(m.pid);
  if (found == nullptr) return error("not_found");
  const ChildSpec& spec = found->spec->spec;
  if (attempt_of(*found) == 0) {
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
  Child* found = child_of(message.pid);
  if (found == nullptr || attempt_of(*found) != 0) return noreply();
  const ChildSpec& spec = found->spec->spec;
  const EndVerdict verdict = judge_end(spec.restart(), message.reason);
  if (verdict.report) report("child_terminated"_atom, spec, message.reason, message.pid);
  if (verdict.fate != EndVerdict::Fate::restart) {
    forget(found);
    return noreply();
  }
  if (!spec.backoff()) return restart(found);
  try_later(*found);
  return noreply();
}

DynamicSupervisor::Action DynamicSupervisor::handle_info(const TryAgain& message) {
  Child* found = child_of(message.pid);
  if (found == nullptr || attempt_of(*found) != message.attempt) return noreply();
  return restart(found);
}

DynamicSupervisor::Action DynamicSupervisor::restart(Child* child) {
  const ChildSpec& spec = child->spec->spec;
  const Pid pid = pid_of(*child);
  if (!window_.admit(now_s())) {  // DS-026
    report("shutdown"_atom, spec, ExitReason("reached_max_restart_intensity"_atom), pid);
    forget(child);
    return stop(ExitReason::shutdown());
  }
  const StartAttempt attempt = run_start(this_process(), *spec.start_function());
  const StartOutcome& outcome = attempt.outcome.outcome;
  switch (outcome.kind) {
    case Kind::error:
      report("start_error"_atom, spec, outcome.reason, tuple("restarting"_atom, pid));
      try_later(*child);
      return noreply();
    case Kind::ignore: forget(child); return noreply();  // DS-021
    case Kind::ok: break;
  }
  SharedSpec* kept = child->spec;
  auto trouble = troubled_.extract(child->number);
  if (!trouble.empty() && spec.backoff()) {
    trouble.key() = outcome.pid.number;
    trouble.mapped().attempt = 0;
    trouble.mapped().started = monotonic_time();
    troubled_.insert(std::move(trouble));
  }
  children_.erase(child);
  children_.insert(outcome.pid.number, kept);
  return noreply();
}

void DynamicSupervisor::try_later(const Child& child) {
  const std::optional<Backoff>& backoff = child.spec->spec.backoff();
  Trouble& delays = troubled_[child.number];
  delays.attempt = ++attempts_;
  const TryAgain again{pid_of(child), delays.attempt};
  if (!backoff) return self().send(again);
  const double chance = static_cast<double>(runtime::core_of(this_process()).world().random() >> 11) * 0x1p-53;
  const auto ran = delays.started.count() == 0 ? delays.started : monotonic_time() - delays.started;
  const Delay delay = next_delay(*backoff, delays.delay, ran, chance);
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
  children_.for_each([&](const Child& child) {
    if (attempt_of(child) != 0) return;
    reader.watch(pid_of(child));
    ++left;
  });
  children_.for_each([&](const Child& child) {
    if (attempt_of(child) != 0) return;
    const Pid pid = pid_of(child);
    const Shutdown shutdown = child.spec->spec.shutdown();
    exit(pid, stop_signal(shutdown));
    const platform::Nanoseconds deadline = stop_deadline(process, shutdown);
    if (deadline != platform::never) deadlines.emplace_back(deadline, pid);
  });
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
    const ChildSpec& spec = child_of(end->pid)->spec->spec;
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
