// SPDX-License-Identifier: Apache-2.0
#include "logger/reports.hpp"

#include <coppice/logger.hpp>
#include <coppice/process.hpp>

#include <memory>
#include <optional>

#include "logger/dispatch.hpp"
#include "platform/trace.hpp"
#include "runtime/core.hpp"
#include "runtime/inspection.hpp"
#include "runtime/process.hpp"

namespace coppice::logging {
namespace {

using logger::Report;

constexpr std::string_view frame_indent = "\n    ";

// How long a report waits for what another process tells about itself.
constexpr std::chrono::milliseconds patience{100};

// Runs what makes a report: whatever it throws (a process that is told to leave while it waits, no memory) stays here.
template <class Function>
void make_report(Function function) noexcept {
  try {
    function();
  } catch (...) {
    // The report is lost, the process goes on ending.
  }
}

// Frames of ours tell the reader nothing about his program.
bool is_ours(const std::string& frame) {
  for (const char* layer :
       {"coppice::runtime::", "coppice::platform::", "coppice::otp::", "coppice::logging::", "coppice::v1::detail::"}) {
    if (frame.find(layer) != std::string::npos) return true;
  }
  return false;
}

std::string with_frames(std::string text, const std::vector<std::uintptr_t>& stack) {
  if (stack.empty()) return text;
  std::vector<std::string> frames = platform::symbolise(stack, "coppice::runtime::PlainBody::run");
  std::erase_if(frames, is_ours);
  for (const std::string& frame : frames) text.append(frame_indent).append(frame);
  return text;
}

const Term& field(const Report& report, Atom key) {
  const Term* found = logger::find(report.fields, key);
  static const Term nothing;
  return found == nullptr ? nothing : *found;
}

// -- terminate ----------------------------------------------------------------------------------------------------------

std::string format_terminate(const Report& report, const InspectOptions& options) {
  const char* behaviour = report.label[0] == Term("gen_statem"_atom) ? "StateMachine " : "GenServer ";
  std::string text = behaviour + to_string(field(report, "name"_atom)) + " terminating\n";
  text += describe_reason(ExitReason(field(report, "reason"_atom)), "stop");
  text += "\nLast message";
  const Term* client = logger::find(report.fields, "client_info"_atom);
  if (client != nullptr) text += " (from " + inspect((*client)[0]) + ")";
  text += ": " + inspect(field(report, "last_message"_atom), options);
  text += "\nState: " + inspect(field(report, "state"_atom), options);
  const Term& log = field(report, "log"_atom);
  if (!log.empty()) text += "\nLog: " + inspect(log, options);
  if (client == nullptr) return text;
  text += "\nClient " + inspect((*client)[0]) + " is " + to_string((*client)[1]);
  std::vector<std::uintptr_t> stack;
  for (const Term& address : (*client)[2].elements()) {
    stack.push_back(static_cast<std::uintptr_t>(address.as_int64().value_or(0)));
  }
  return with_frames(std::move(text), stack);
}

// {pid, alive | dead | remote | busy, stack}: its name in place of the pid if it has one; the stack as addresses, which
// are symbolised when somebody reads the report.
Term client_info(const Pid& client) {
  const auto core = runtime::current_core();
  if (core == nullptr || !core->is_local(client)) return tuple(client, "remote"_atom, Term::list_of({}));
  struct Answer {
    std::string name;
    std::vector<std::uintptr_t> stack;
  };
  auto answer = std::make_shared<Answer>();
  const auto look = [](runtime::Process& process, void* argument) {
    auto& seen = *static_cast<Answer*>(argument);
    if (process.body->extension_ != nullptr) seen.name = process.body->extension_->name;
    if (process.body->in_wait || process.body->in_turn) seen.stack = platform::capture_trace(0);
  };
  if (!runtime::inspect_in(client, look, answer, patience)) {
    const runtime::Process& line = core->table().line(client);
    const bool gone = line.serial.load(std::memory_order_acquire) != client.number;
    return tuple(client, Atom(gone ? "dead" : "busy"), Term::list_of({}));
  }
  const Term shown = answer->name.empty() ? Term(client) : Term(Atom(answer->name));
  return tuple(shown, "alive"_atom, answer->stack);
}

// -- no handle_info -----------------------------------------------------------------------------------------------------

std::string format_no_handle_info(const Report& report, const InspectOptions& options) {
  return to_string(field(report, "module"_atom)) + " " + to_string(field(report, "name"_atom)) +
         " received unexpected message in handle_info/2: " + inspect(field(report, "message"_atom), options);
}

// -- tasks --------------------------------------------------------------------------------------------------------------

std::string format_task(const Report& report, const InspectOptions& options) {
  const Term& label = field(report, "process_label"_atom);
  std::string text = "Task " + inspect(field(report, "name"_atom)) + " started from " +
                     inspect(field(report, "starter"_atom)) + " terminating\n";
  text += describe_reason(ExitReason(field(report, "reason"_atom)), "stop");
  text += "\nFunction: " + to_string(field(report, "function"_atom));
  text += "\n    Args: " + inspect(field(report, "args"_atom), options);
  if (!label.is_nil()) text += "\nProcess Label: " + inspect(label, options);
  return text;
}

// -- what the runtime tells -------------------------------------------------------------------------------------------

std::string format_process_crashed(const Report& report, const InspectOptions&) {
  return "Process " + to_string(field(report, "process"_atom)) + " raised an exception\n" +
         describe_reason(ExitReason(field(report, "reason"_atom)), "exit");
}

std::string shown_name(const runtime::Process& process) {
  const runtime::Body& body = *process.body;
  return body.extension_ != nullptr && !body.extension_->name.empty() ? std::string(body.extension_->name)
                                                                      : inspect(body.pid);
}

// The emulator's own error event (LR-030, PR-011): no domain, so that nothing switches it off.
void process_crashed(runtime::Process& process, const ExitReason& reason) {
  make_report([&] {
    Report report;
    report.label = tuple("emulator"_atom, "error"_atom);
    report.fields = {{"process"_atom, shown_name(process)},
                     {"pid"_atom, process.body->pid},
                     {"initial_call"_atom, process.body->initial_call()},
                     {"reason"_atom, reason.term()}};
    report.format = format_process_crashed;
    logger::report(Level::error, std::move(report),
                   {{"error_logger"_atom, map({{"emulator"_atom, true}, {"tag"_atom, "error"_atom}})},
                    {"crash_reason"_atom, reason.term()}});
  });
}

void high_water_mark(runtime::Process& process, std::size_t length) {
  make_report([&] {
    Report report;
    report.label = tuple("runtime"_atom, "high_water_mark"_atom);
    report.fields = {
        {"pid"_atom, process.body->pid}, {"name"_atom, shown_name(process)}, {"message_queue_len"_atom, length}};
    report.format = [](const Report& shown, const InspectOptions&) {
      return "The mailbox of process " + to_string(field(shown, "name"_atom)) + " holds " +
             to_string(field(shown, "message_queue_len"_atom)) + " messages";
    };
    logger::report(Level::warning, std::move(report), {{"domain"_atom, list("otp"_atom)}});
  });
}

void warning(const std::string& text) {
  make_report([&] { logger::text(Level::warning, text, {{"domain"_atom, list("otp"_atom)}}); });
}

}  // namespace

std::string describe_reason(const ExitReason& reason, std::string_view word) {
  constexpr std::string_view raised = "an exception was raised:\n    ";
  if (!reason.is_exception()) {
    const std::string text = format_exit(reason);
    return text.starts_with(raised) ? text.substr(raised.size()) : "** (" + std::string(word) + ") " + text;
  }
  // Without its stack: the frames are symbolised here, where ours are left out.
  const Term error = reason.term()[0];
  const ExitReason bare = ExitReason::exception(error, reason.exception_type(), reason.exception_message());
  return with_frames(format_exit(bare).substr(raised.size()), reason.stack());
}

}  // namespace coppice::logging

namespace coppice::runtime {

void install_reports() noexcept {
  set_reporter({logging::process_crashed, logging::crash_report, logging::high_water_mark, logging::warning});
}

}  // namespace coppice::runtime

namespace coppice {
inline namespace v1 {
namespace logger {

void terminate_report(const TerminateReport& made) {
  if (!enabled(Level::error)) return;
  logging::make_report([&] {
    Report report;
    report.label = tuple(made.is_machine ? "gen_statem"_atom : "gen_server"_atom, "terminate"_atom);
    report.fields = {
        {"name"_atom, made.name},   {"module"_atom, made.module},          {"last_message"_atom, made.last_message},
        {"state"_atom, made.state}, {"log"_atom, Term::list_of(made.log)}, {"reason"_atom, made.reason.term()}};
    if (made.client) report.fields.emplace_back("client_info"_atom, logging::client_info(made.client));
    report.format = logging::format_terminate;
    logger::report(
        Level::error, std::move(report),
        {{"domain"_atom, list("otp"_atom)}, {"module"_atom, made.module}, {"crash_reason"_atom, made.reason.term()}});
  });
}

void task_report(const TaskReport& made) {
  if (!enabled(Level::error)) return;
  logging::make_report([&] {
    Report report;
    report.label = tuple(Atom("Elixir.Task.Supervisor"), "terminating"_atom);
    report.fields = {
        {"name"_atom, made.task},         {"starter"_atom, made.starter},      {"function"_atom, made.function},
        {"args"_atom, Term::list_of({})}, {"reason"_atom, made.reason.term()}, {"process_label"_atom, made.label}};
    report.format = logging::format_task;
    logger::report(Level::error, std::move(report),
                   {{"domain"_atom, list("otp"_atom, "elixir"_atom)},
                    {"callers"_atom, made.callers},
                    {"crash_reason"_atom, made.reason.term()}});
  });
}

void no_handle_info_report(const std::string& module, const Term& message, const std::string& name) {
  if (!enabled(Level::error)) return;
  logging::make_report([&] {
    Report report;
    report.label = tuple(Atom("Elixir.GenServer"), "no_handle_info"_atom);
    report.fields = {{"module"_atom, module}, {"message"_atom, message}, {"name"_atom, name}};
    report.format = logging::format_no_handle_info;
    logger::report(Level::error, std::move(report),
                   {{"domain"_atom, list("otp"_atom, "elixir"_atom)}, {"module"_atom, module}});
  });
}

}  // namespace logger
}  // namespace v1
}  // namespace coppice
