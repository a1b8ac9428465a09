// SPDX-License-Identifier: Apache-2.0
//
// The reports of supervisors, in OTP's layout and Elixir's words (SV-086). Made in the supervisor's process.
#pragma once

#include <coppice/logger.hpp>

namespace coppice::logging {

// Whether a report of a supervisor at this level could pass at all; asked before one is made.
[[nodiscard]] bool wants_supervisor_reports(logger::Level level);

// Level error, domain [:otp, :sasl], label {:supervisor, context}. The context is child_terminated, start_error,
// shutdown_error or shutdown; `supervisor` as OTP names one: {:local, name}, {pid, module}. `offender` begins with pid.
void supervisor_report(Atom context, const Term& supervisor, const ExitReason& reason,
                       const logger::Metadata& offender);

// Level info, domain [:otp, :sasl], label {:supervisor, :progress}: a child was started.
void progress_report(const Term& supervisor, const logger::Metadata& started);

// A message that a supervisor does not know (LR-033). Level error, domain [:otp]; `kind` is Supervisor or
// DynamicSupervisor, `name` its name or pid.
void unexpected_message_report(std::string_view kind, const std::string& name, const Term& message);

}  // namespace coppice::logging
