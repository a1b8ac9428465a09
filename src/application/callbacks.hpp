// SPDX-License-Identifier: Apache-2.0
//
// The process that holds the object of an application: start, phases, then waiting for the end, prep_stop, stop.
#pragma once

#include "application/master.hpp"

namespace coppice::otp {

// What it tells the master.
struct Begun {
  Pid child;  // the top of the tree
};
struct Failed {
  ExitReason reason;  // nothing of the tree is left
};

// {module, :start, [type, []]}
[[nodiscard]] Term start_call(Atom module, const StartType& type);
// Why a start has failed whose callback threw, or ended its process with, `reason` (AP-021).
[[nodiscard]] ExitReason crashed_start(const Term& call, const ExitReason& reason);

// The body of the process; spawn_link'ed by the master.
void run_callbacks(const MasterJob& job, const Pid& master);

}  // namespace coppice::otp
