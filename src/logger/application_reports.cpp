// SPDX-License-Identifier: Apache-2.0
#include "logger/application_reports.hpp"

#include <coppice/exit_reason.hpp>

namespace coppice::logging {
namespace {

using logger::Report;

const Term& field(const Report& report, Atom key) {
  const Term* found = logger::find(report.fields, key);
  static const Term nothing;
  return found == nullptr ? nothing : *found;
}

std::string format_started(const Report& report, const InspectOptions&) {
  return "Application " + to_string(field(report, "application"_atom)) + " started at " +
         inspect(field(report, "started_at"_atom));
}

std::string format_exited(const Report& report, const InspectOptions&) {
  return "Application " + to_string(field(report, "application"_atom)) +
         " exited: " + format_application_error(ExitReason(field(report, "exited"_atom)));
}

std::string format_prep_stop(const Report& report, const InspectOptions&) {
  return inspect(field(report, "module"_atom)) +
         ".prep_stop failed: " + format_exit(ExitReason(field(report, "error_info"_atom)));
}

std::string text_of(const Term& term) { return to_string(term); }

// Erlang's charlist as a text.
std::string text_of_charlist(const Term& list) {
  std::string text;
  for (const Term& element : list.elements()) text += static_cast<char>(element.as_int64().value_or('?'));
  return text;
}

// MyApp.start(:normal, [])
std::string shown_call(const Term& call) {
  std::string text = inspect(call[0]) + "." + text_of(call[1]) + "(";
  for (std::size_t i = 0; i < call[2].size(); ++i) text += (i == 0 ? "" : ", ") + inspect(call[2][i]);
  return text + ")";
}

bool is_call(const Term& term, Atom function) {
  return term.is_tuple(3) && term[0].is_atom() && term[1].is_atom(function) && term[2].is_list();
}

bool is_exit(const Term& term) { return term.is_tuple(2) && term[0].is_atom("EXIT"_atom); }

std::string format_start(const Term& value, const Term& call, const char* otherwise) {
  if (is_exit(value)) return format_exit(ExitReason(tuple(value[1], call)));
  return shown_call(call) + otherwise + inspect(value);
}

std::string format_place(const Term& place) {
  const auto part = [&](Atom key) {
    const Term* found = place.find(key);
    return found == nullptr ? std::string() : text_of(*found);
  };
  std::string text = part("file"_atom) + ":";
  if (part("line"_atom) != "0") text += part("line"_atom) + ":" + part("column"_atom) + ":";
  return text + " " + part("message"_atom);
}

}  // namespace

std::string format_application_error(const ExitReason& reason) {
  const Term term = reason.term();
  if (reason.is_exception() || !term.is_tuple(2)) return format_exit(reason);
  const Term& what = term[0];
  const Term& about = term[1];
  if (what.is_atom("already_loaded"_atom)) return "already loaded application " + text_of(about);
  if (what.is_atom("not_loaded"_atom)) return "not loaded application " + text_of(about);
  if (what.is_atom("already_started"_atom) && about.is_atom()) return "already started application " + text_of(about);
  if (what.is_atom("not_started"_atom)) return "not started application " + text_of(about);
  if (what.is_atom("invalid_restart_type"_atom)) return "invalid application restart type: " + inspect(about);
  if (what.is_atom("bad_config"_atom) && about.is_map()) return format_place(about);
  if (what.is_atom("bad_return"_atom) && about.is_tuple(2) && is_call(about[0], "start"_atom)) {
    return format_start(about[1], about[0], " returned a bad value: ");
  }
  if (is_call(about, "start"_atom)) return format_start(what, about, " returned an error: ");
  if (what.is_list() && !what.empty() && about.is_list()) {
    return "could not find application file: " + text_of_charlist(about);
  }
  return format_exit(reason);
}

void application_started_report(Atom app) {
  if (!logger::enabled(logger::Level::info)) return;
  Report report;
  report.label = tuple("application_controller"_atom, "progress"_atom);
  report.fields = {{"application"_atom, app}, {"started_at"_atom, "nonode@nohost"_atom}};
  report.format = format_started;
  logger::report(logger::Level::info, std::move(report), {{"domain"_atom, list("otp"_atom, "sasl"_atom)}});
}

void application_exited_report(Atom app, const ExitReason& reason, Atom type) {
  if (!logger::enabled(logger::Level::notice)) return;
  Report report;
  report.label = tuple("application_controller"_atom, "exit"_atom);
  report.fields = {{"application"_atom, app}, {"exited"_atom, reason.term()}, {"type"_atom, type}};
  report.format = format_exited;
  logger::report(logger::Level::notice, std::move(report), {{"domain"_atom, list("otp"_atom)}});
}

void prep_stop_failed_report(Atom module, const ExitReason& reason) {
  if (!logger::enabled(logger::Level::error)) return;
  Report report;
  report.label = tuple("application_master"_atom, "shutdown_error"_atom);
  report.fields = {{"module"_atom, module}, {"error_info"_atom, reason.term()}};
  report.format = format_prep_stop;
  logger::report(logger::Level::error, std::move(report), {{"domain"_atom, list("otp"_atom)}});
}

}  // namespace coppice::logging
