// SPDX-License-Identifier: Apache-2.0
#include "logger/supervisor_reports.hpp"

#include "logger/dispatch.hpp"

namespace coppice::logging {
namespace {

using logger::Metadata;
using logger::Report;

Term pairs(const Metadata& facts) {
  std::vector<Term> list;
  for (const auto& [key, value] : facts) list.push_back(tuple(key, value));
  return Term::list_of(std::move(list));
}

Term fact(const Term& facts, Atom key) {
  const Term* found = keyword_find(facts, key);
  return found == nullptr ? Term() : *found;
}

const Term& field(const Report& report, Atom key) {
  const Term* found = logger::find(report.fields, key);
  static const Term nothing;
  return found == nullptr ? nothing : *found;
}

// My, or #PID<0.1.0> (Storage).
std::string shown_name(const Term& supervisor) {
  if (supervisor.is_tuple(2) && supervisor[0].is_pid()) {
    return inspect(supervisor[0]) + " (" + inspect(supervisor[1]) + ")";
  }
  if (supervisor.is_tuple(2)) return to_string(supervisor[1]);
  return inspect(supervisor);
}

// Counter.start_link(0), or Counter.start_link/? when the arguments are forgotten.
std::string shown_call(const Term& call, const InspectOptions& options) {
  if (!call.is_tuple(3)) return inspect(call, options);
  std::string text = inspect(call[0]) + "." + to_string(call[1]);
  if (!call[2].is_list()) return text + "/?";
  text += "(";
  for (std::size_t i = 0; i < call[2].size(); ++i) text += (i == 0 ? "" : ", ") + inspect(call[2][i], options);
  return text + ")";
}

std::string shown_child(const Report& report, Atom key) {
  const Term& child = field(report, key);
  const Term id = fact(child, "id"_atom);
  std::string text = "Child ";
  if (keyword_find(child, "id"_atom) != nullptr) text += inspect(id) + " ";
  return text + "of Supervisor " + shown_name(field(report, "supervisor"_atom));
}

std::string shown_facts(const Term& child, const InspectOptions& options) {
  return "\nPid: " + inspect(fact(child, "pid"_atom)) +
         "\nStart Call: " + shown_call(fact(child, "mfargs"_atom), options) +
         "\nRestart: " + inspect(fact(child, "restart_type"_atom)) +
         "\nShutdown: " + inspect(fact(child, "shutdown"_atom)) + "\nType: " + inspect(fact(child, "child_type"_atom));
}

std::string_view what_happened(const Term& context) {
  if (context.is_atom("start_error"_atom)) return " failed to start";
  if (context.is_atom("child_terminated"_atom)) return " terminated";
  if (context.is_atom("shutdown"_atom)) return " caused shutdown";
  return " shut down abnormally";
}

std::string format_supervisor(const Report& report, const InspectOptions& options) {
  std::string text = shown_child(report, "offender"_atom);
  text += what_happened(field(report, "errorContext"_atom));
  text += "\n** (exit) " + format_exit(ExitReason(field(report, "reason"_atom)));
  return text + shown_facts(field(report, "offender"_atom), options);
}

std::string format_progress(const Report& report, const InspectOptions& options) {
  return shown_child(report, "started"_atom) + " started" + shown_facts(field(report, "started"_atom), options);
}

}  // namespace

bool wants_supervisor_reports(logger::Level level) {
  if (!logger::enabled(level)) return false;
  const std::shared_ptr<const Configuration> now = configuration();
  return now->sasl_reports && now->otp_reports;
}

void supervisor_report(Atom context, const Term& supervisor, const ExitReason& reason, const Metadata& offender) {
  Report report;
  report.label = tuple("supervisor"_atom, context);
  report.fields = {{"supervisor"_atom, supervisor},
                   {"errorContext"_atom, context},
                   {"reason"_atom, reason.term()},
                   {"offender"_atom, pairs(offender)}};
  report.format = format_supervisor;
  logger::report(logger::Level::error, std::move(report), {{"domain"_atom, list("otp"_atom, "sasl"_atom)}});
}

void progress_report(const Term& supervisor, const Metadata& started) {
  Report report;
  report.label = tuple("supervisor"_atom, "progress"_atom);
  report.fields = {{"supervisor"_atom, supervisor}, {"started"_atom, pairs(started)}};
  report.format = format_progress;
  logger::report(logger::Level::info, std::move(report), {{"domain"_atom, list("otp"_atom, "sasl"_atom)}});
}

void unexpected_message_report(std::string_view kind, const std::string& name, const Term& message) {
  if (!logger::enabled(logger::Level::error)) return;
  Report report;
  report.label = tuple(Atom("Elixir." + std::string(kind)), "unexpected_msg"_atom);
  report.fields = {{"kind"_atom, std::string(kind)}, {"name"_atom, name}, {"message"_atom, message}};
  report.format = [](const Report& shown, const InspectOptions& options) {
    return to_string(field(shown, "kind"_atom)) + " " + to_string(field(shown, "name"_atom)) +
           " received unexpected message: " + inspect(field(shown, "message"_atom), options);
  };
  logger::report(logger::Level::error, std::move(report), {{"domain"_atom, list("otp"_atom)}});
}

}  // namespace coppice::logging
