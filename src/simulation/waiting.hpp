// SPDX-License-Identifier: Apache-2.0
//
// Who waits where, when a simulated program has come to a stop.
#pragma once

#include <string>

namespace coppice::runtime {
class Core;
}

namespace coppice::simulation {

// Two lines and more for each process that stands in the middle of something, with its trace, then one for each that is idle.
// While no worker of the runtime runs: it looks into processes that it does not own.
[[nodiscard]] std::string who_waits(runtime::Core& core);

}  // namespace coppice::simulation
