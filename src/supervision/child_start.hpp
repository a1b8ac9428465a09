// SPDX-License-Identifier: Apache-2.0
//
// Starting, stopping and reporting a child: what the kinds of supervisors share. All of it runs in the supervisor's process.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/server_name.hpp>

#include "logger/supervisor_reports.hpp"
#include "runtime/process.hpp"
#include "supervision/end_reader.hpp"

namespace coppice::otp {

// How a start function left: by return, or by throwing one of these.
enum class Thrown : std::uint8_t { nothing, exit, exception, value };

struct StartAttempt {
  ChildOutcome outcome;
  Thrown thrown = Thrown::nothing;
};

// Runs the start function of a child. What it throws, or exits with, is the bare reason of the outcome. Only a fatal signal
// to the supervisor is thrown on.
[[nodiscard]] StartAttempt run_start(runtime::Process& process, const detail::StartFunction& start);

// The time until which a child that was told to stop now may take.
[[nodiscard]] platform::Nanoseconds stop_deadline(runtime::Process& process, const Shutdown& shutdown);
// Kill or shutdown: the signal that tells a child to stop.
[[nodiscard]] ExitReason stop_signal(const Shutdown& shutdown);

// Stops a child and waits until it is gone: shutdown, then kill when its time is over (SV-053..SV-057). Why it ended.
[[nodiscard]] ExitReason end_child(runtime::Process& process, EndReader& reader, const Pid& pid,
                                   const Shutdown& shutdown);

// -- reports

// {:local, name}, {:via, name}, or {pid, module} for one without a name.
[[nodiscard]] Term shown_supervisor(const ServerName& name, Atom module);

// The child as it stands in a report: pid, id, start call, and so on. Without an id for dynamic supervisors.
[[nodiscard]] logger::Metadata offender(const ChildSpec& spec, const Term& pid, bool with_id);

}  // namespace coppice::otp
