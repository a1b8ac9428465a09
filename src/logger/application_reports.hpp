// SPDX-License-Identifier: Apache-2.0
//
// The reports about applications, in OTP's layout and Elixir's words (LR-034). Made in the controller's process, but
// for the last, which the application's own process makes.
#pragma once

#include <string>

#include <coppice/logger.hpp>

namespace coppice::logging {

// Level info, domain [:otp, :sasl], label {:application_controller, :progress}.
void application_started_report(Atom app);

// Level notice, domain [:otp], label {:application_controller, :exit}. `reason` is :stopped for one that was asked to
// stop; `type` is the atom of its start type.
void application_exited_report(Atom app, const ExitReason& reason, Atom type);

// prep_stop threw. Level error, domain [:otp, :sasl], label {:application_master, :shutdown_error}.
void prep_stop_failed_report(Atom module, const ExitReason& reason);

// A reason for which an application did not start or has ended, as Elixir's Application.format_error says it.
[[nodiscard]] std::string format_application_error(const ExitReason& reason);

}  // namespace coppice::logging
