// SPDX-License-Identifier: Apache-2.0
//
// The reports that the behaviours make, in OTP's layout. Called by the process that the report is about (LR-006), while it
// is still whole; none of these functions throws.
//
// Installation. The runtime lies below the logger and must not include it, yet its processes must be able to report. It
// declares install_reports() (runtime/core.hpp), which is defined here, and calls it once before the first Runtime starts.
// That is an ordinary strong reference: it makes the linker take this object file out of a static library, which neither
// a static initialiser nor a weak symbol would do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <coppice/exit_reason.hpp>
#include <coppice/pid.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {
namespace logger {

// A generic server ends for a reason that is not normal, shutdown or {shutdown, _} (LR-021 to LR-023). Level error, domain
// [:otp], label {:gen_server, :terminate}, or {:gen_statem, :terminate} for a state machine (LR-024). Made after terminate
// has run.
struct TerminateReport {
  std::string name;    // registered name, else the pid as text
  std::string module;  // class of the server
  Term last_message;
  Term state;                 // as format_status shows it (LR-035)
  ExitReason reason;          // bare, or an exception with its stack (LR-022)
  bool is_exception = false;  // it left the handler as an exception that is no exit
  std::vector<Term> log;      // recent events, if the server keeps them
  Pid client = {};            // the caller, if the last message was a call
  bool is_machine = false;
};
void terminate_report(const TerminateReport& report);

// A task ends for a reason that is not normal, shutdown or {shutdown, _} (LR-031, TK-017). Level error, domain
// [:otp, :elixir], label {Task.Supervisor, :terminating}; the callers are metadata.
struct TaskReport {
  Pid task;
  Pid starter;
  std::string function;
  ExitReason reason;
  Term label;  // of the process
  std::vector<Pid> callers;
};
void task_report(const TaskReport& report);

// A message that the class has no handle_info for (LR-032). Level error, domain [:otp, :elixir], label
// {GenServer, :no_handle_info}.
void no_handle_info_report(const std::string& module, const Term& message, const std::string& name);

}  // namespace logger
}  // namespace v1
}  // namespace coppice

namespace coppice::logging {

// A reason for people: "** (RuntimeError) boom" and the frames of the user's code below it, or "** (stop) :reason".
// `word` stands in the parentheses of a reason that is no exception.
[[nodiscard]] std::string describe_reason(const ExitReason& reason, std::string_view word);

}  // namespace coppice::logging

namespace coppice::runtime {
struct Process;
}

namespace coppice::logging {

// A generically started process ends by an uncaught exception or an abnormal stop (LR-025, LR-026). Level error, domain
// [:otp, :sasl], label {:proc_lib, :crash}. The caller has decided that there is something to report.
void crash_report(runtime::Process& process, const ExitReason& reason);

}  // namespace coppice::logging
