// SPDX-License-Identifier: Apache-2.0
//
// The crash report of proc_lib (LR-026): what a process was when it ended, and short reports on its neighbours.
//
// A neighbour is a linked process that does not trap exits, so that it will end too. It is asked as process_info asks: by
// a signal, for at most a tenth of a second in all, because a dying process must not wait for one that is busy. Whoever
// has not answered by then is left out. Nothing is collected while crash reports are switched off.
#include <coppice/logger.hpp>
#include <coppice/process.hpp>
#include <coppice/receive.hpp>

#include <memory>

#include "logger/dispatch.hpp"
#include "logger/reports.hpp"
#include "runtime/core.hpp"
#include "runtime/inspection.hpp"
#include "runtime/process.hpp"
#include "runtime/tie.hpp"
#include "runtime/wait.hpp"

namespace coppice::logging {
namespace {

using logger::Report;
using Fields = std::vector<std::pair<Atom, Term>>;

constexpr std::size_t messages_max = 100;  // as process_info shows
constexpr std::size_t neighbours_max = 10;
constexpr platform::Nanoseconds patience = 100'000'000;

Term keyword_of(const Fields& fields) {
  std::vector<Term> pairs;
  for (const auto& [key, value] : fields) pairs.push_back(tuple(key, value));
  return Term::list_of(std::move(pairs));
}

Term name_of(const runtime::Body& body) {
  const bool has_name = body.extension_ != nullptr && !body.extension_->name.empty();
  return has_name ? Term(Atom(body.extension_->name)) : Term::list_of({});  // OTP shows [] for none
}

std::vector<Pid> links_of(const runtime::Body& body) {
  std::vector<Pid> links;
  if (body.extension_ != nullptr) {
    body.extension_->links.for_each([&](const runtime::LinkNode& node) {
      if (node.linked) links.push_back(node.peer);
    });
  }
  if (runtime::tied_to(body, body.parent)) links.push_back(body.parent);
  return links;
}

std::vector<Term> messages_of(const runtime::Process& process) {
  std::vector<Term> messages;
  if (process.queue == nullptr) return messages;
  const runtime::Signal* message = process.queue->next;
  while (messages.size() < messages_max) {
    messages.push_back(detail::term_of_message(message));
    if (message == process.queue) break;
    message = message->next;
  }
  return messages;
}

// Keys that begin with a dollar are the library's own.
Term dictionary_of(const runtime::Body& body) {
  std::vector<Term> pairs;
  if (const runtime::Rarities* rarities = body.rarities_if_any()) {
    for (const auto& [key, value] : rarities->dictionary) {
      const std::optional<Atom> name = key.as_atom();
      if (!name || !name->text().starts_with('$')) pairs.push_back(tuple(key, value));
    }
  }
  return Term::list_of(std::move(pairs));
}

Term error_class(const ExitReason& reason) {
  if (!reason.is_exception()) return "exit"_atom;
  const Term term = reason.term();
  return term[0].is_tuple(2) && term[0][0].is_atom("nocatch"_atom) ? "throw"_atom : "error"_atom;
}

// -- neighbours -----------------------------------------------------------------------------------------------------------

struct Neighbour {
  bool traps = false;
  Fields fields;
};

void describe_neighbour(runtime::Process& process, void* argument) {
  auto& seen = *static_cast<Neighbour*>(argument);
  const runtime::Body& body = *process.body;
  seen.traps = body.trap_exit;
  if (seen.traps) return;
  seen.fields = {{"pid"_atom, body.pid},
                 {"registered_name"_atom, name_of(body)},
                 {"initial_call"_atom, body.initial_call()},
                 {"ancestors"_atom, body.lineage.ancestors()},
                 {"message_queue_len"_atom, process.queue_length.load(std::memory_order_relaxed)},
                 {"links"_atom, links_of(body)},
                 {"trap_exit"_atom, false},
                 {"status"_atom, Atom(body.in_turn && !body.in_wait ? "running" : "waiting")},
                 {"reductions"_atom, body.reductions}};
}

Term neighbours_of(const runtime::Body& body) {
  runtime::Core& core = *body.core;
  const platform::Nanoseconds deadline = core.world().now() + patience;
  std::vector<Term> neighbours;
  for (const Pid& pid : links_of(body)) {
    const platform::Nanoseconds now = core.world().now();
    if (neighbours.size() == neighbours_max || now >= deadline) break;
    if (!core.is_local(pid)) continue;
    auto seen = std::make_shared<Neighbour>();
    const std::chrono::nanoseconds left(deadline - now);
    if (!runtime::inspect_in(pid, describe_neighbour, seen, left) || seen->traps) continue;
    neighbours.push_back(keyword_of(seen->fields));
  }
  return Term::list_of(std::move(neighbours));
}

// -- the text -------------------------------------------------------------------------------------------------------------

void append_indented(std::string& text, std::string_view lines, std::string_view indent) {
  for (const char c : lines) {
    text.push_back(c);
    if (c == '\n') text.append(indent);
  }
}

std::string format_crash(const Report& report, const InspectOptions& options) {
  const Term* name = logger::find(report.fields, "registered_name"_atom);
  const Term* pid = logger::find(report.fields, "pid"_atom);
  std::string text = "Process " + inspect(name->is_atom() ? *name : *pid) + " terminating\n  crasher:";
  for (const auto& [key, value] : report.fields) {
    if (key == "neighbours"_atom) continue;
    text += "\n    ";
    if (key == "error_info"_atom) {
      text += "exception " + to_string(value[0]) + ": ";
      append_indented(text, describe_reason(ExitReason(value[1]), "exit"), "    ");
    } else if (key == "initial_call"_atom) {
      text += "initial call: " + to_string(value);
    } else {
      text.append(key.text()).append(": ").append(inspect(value, options));
    }
  }
  const Term* neighbours = logger::find(report.fields, "neighbours"_atom);
  if (neighbours == nullptr || neighbours->empty()) return text;
  text += "\n  neighbours:";
  for (const Term& neighbour : neighbours->elements()) {
    text += "\n    neighbour:";
    for (const Term& pair : neighbour.elements()) {
      text += "\n      " + to_string(pair[0]) + ": " + inspect(pair[1], options);
    }
  }
  return text;
}

bool are_switched_off() {
  return !logger::enabled(Level::error) || !configuration()->sasl_reports || !configuration()->otp_reports;
}

Report make_crash_report(const runtime::Process& process, const ExitReason& reason) {
  const runtime::Body& body = *process.body;
  Report report;
  report.label = tuple("proc_lib"_atom, "crash"_atom);
  const std::size_t stack_size = runtime::this_worker()->stack()->size;
  report.fields = {{"initial_call"_atom, body.initial_call()},
                   {"pid"_atom, body.pid},
                   {"registered_name"_atom, name_of(body)},
                   {"error_info"_atom, tuple(error_class(reason), reason.term())},
                   {"ancestors"_atom, body.lineage.ancestors()},
                   {"message_queue_len"_atom, process.queue_length.load(std::memory_order_relaxed)},
                   {"messages"_atom, messages_of(process)},
                   {"links"_atom, links_of(body)},
                   {"dictionary"_atom, dictionary_of(body)},
                   {"trap_exit"_atom, body.trap_exit},
                   {"status"_atom, "running"_atom},
                   {"stack_size"_atom, stack_size},
                   {"reductions"_atom, body.reductions}};
  report.fields.emplace_back("neighbours"_atom, neighbours_of(body));
  report.format = format_crash;
  return report;
}

}  // namespace

void crash_report(runtime::Process& process, const ExitReason& reason) {
  try {
    if (are_switched_off()) return;
    logger::report(Level::error, make_crash_report(process, reason),
                   {{"domain"_atom, list("otp"_atom, "sasl"_atom)}, {"crash_reason"_atom, reason.term()}});
  } catch (...) {
    // Told to leave while it waited, or no memory: the report is lost, the process goes on ending.
  }
}

}  // namespace coppice::logging
