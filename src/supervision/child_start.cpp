// SPDX-License-Identifier: Apache-2.0
#include "supervision/child_start.hpp"

#include <coppice/process.hpp>

#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/wait.hpp"

namespace coppice::otp {
namespace {

StartAttempt failed(ExitReason reason, Thrown thrown) {
  return {StartOutcome{StartOutcome::Kind::error, {}, std::move(reason), {}}, thrown};
}

// A thrown value that is no exception is {{:nocatch, value}, stack} (PR-010).
bool is_nocatch(const ExitReason& reason) {
  const Term term = reason.term();
  return term.is_tuple(2) && term[0].is_tuple(2) && term[0][0].is_atom("nocatch"_atom);
}

}  // namespace

StartAttempt run_start(runtime::Process& process, const detail::StartFunction& start) {
  const QuietMailbox quiet(
      process);  // a failed start looks for its child's exit message: not among a thousand requests
  runtime::Body& body = *process.body;
  try {
    StartAttempt attempt{start.run()};
    runtime::leave_if_due(process);
    return attempt;
  } catch (const runtime::LeaveStack&) {
    if (body.leaving != runtime::Leave::by_exit) throw;
    body.leaving = runtime::Leave::no;  // exit() of a start function is the end of the start, not of the supervisor
    body.swallows = 0;
    return failed(std::exchange(body.reason, ExitReason()), Thrown::exit);
  } catch (const Exit& exit) {
    runtime::leave_if_due(process);
    return failed(exit.reason(), Thrown::exit);
  } catch (...) {
    runtime::leave_if_due(process);
    ExitReason reason = runtime::reason_of_current_exception();
    const Thrown thrown = is_nocatch(reason) ? Thrown::value : Thrown::exception;
    return failed(std::move(reason), thrown);
  }
}

platform::Nanoseconds stop_deadline(runtime::Process& process, const Shutdown& shutdown) {
  return shutdown.is_brutal_kill() ? platform::never : runtime::deadline_of(process, shutdown.time());
}

ExitReason stop_signal(const Shutdown& shutdown) {
  return shutdown.is_brutal_kill() ? ExitReason::kill() : ExitReason::shutdown();
}

ExitReason end_child(runtime::Process& process, EndReader& reader, const Pid& pid, const Shutdown& shutdown) {
  reader.watch(pid);
  exit(pid, stop_signal(shutdown));
  std::optional<EndReader::End> end = reader.next(stop_deadline(process, shutdown));
  if (!end) {
    exit(pid, ExitReason::kill());
    end = reader.next(platform::never);
  }
  return end ? end->reason : ExitReason::noproc();
}

Term shown_supervisor(const ServerName& name, Atom module) {
  if (name.via() != nullptr) return name.term();
  if (!name.local().empty()) return tuple("local"_atom, Atom(name.local()));
  return tuple(self(), module);
}

logger::Metadata offender(const ChildSpec& spec, const Term& pid, bool with_id) {
  const Term map = spec.to_term();
  const auto field = [&](Atom key) { return *map.find(key); };
  logger::Metadata facts{{"pid"_atom, pid}};
  if (with_id) facts.emplace_back("id"_atom, spec.id());
  facts.emplace_back("mfargs"_atom, spec.start());
  facts.emplace_back("restart_type"_atom, field("restart"_atom));
  if (with_id) facts.emplace_back("significant"_atom, spec.is_significant());
  facts.emplace_back("shutdown"_atom, spec.shutdown());
  facts.emplace_back("child_type"_atom, field("type"_atom));
  return facts;
}

}  // namespace coppice::otp
