// SPDX-License-Identifier: Apache-2.0
//
// The two processes of a running application.
//
//   controller ── master ── callbacks ── top supervisor ── ...
//
// The master is the group leader of everything below it. It answers the controller at any time, and kills what is left
// of the group at the end. The callbacks' process holds the object of the application and runs what the user wrote; it
// is the parent of the top supervisor. Each is linked to its neighbours and traps exits.
//
// Messages. Controller to master: StopRequest, KillRequest. Callbacks to master: Begun, Failed. Master to callbacks:
// StopRequest. Master to controller: Controller::Outcome once, after Begun, or after Failed when the group is gone; and
// its own end, whose reason is that of the application: `normal` if it was asked to stop or its time was over.
//
// The master ends only when nobody of its group is left.
#pragma once

#include <vector>

#include <coppice/application.hpp>

#include "application/applications.hpp"

namespace coppice::otp {

struct MasterJob {
  Atom app;
  Applications::Loaded loaded;
  std::vector<Applications::Loaded> included;
  StartType type;
  Pid controller;
};

struct StopRequest {};
struct KillRequest {};

// The body of the master process; spawn_link'ed by the controller.
void run_master(const MasterJob& job);

}  // namespace coppice::otp
