// SPDX-License-Identifier: Apache-2.0
//
// The tour as an application: its tree, and how it starts and stops.
#pragma once

#include <coppice/application.hpp>
#include <coppice/supervisor.hpp>

namespace tour {

class TourApp : public coppice::Application<TourApp> {
 public:
  static coppice::ApplicationSpec spec();
  // Starts the tree, and the guide, who talks to the user.
  coppice::StartResult<coppice::Supervisor> start(coppice::StartType);
  void prep_stop();
  void stop();
};

}  // namespace tour
