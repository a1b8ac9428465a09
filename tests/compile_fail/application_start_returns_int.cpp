// SPDX-License-Identifier: Apache-2.0
//
// An application whose start does not give a supervisor (AP-018).
//
// expect: an application's start is public, takes a StartType or nothing, and returns StartResult<Supervisor>
// also-compiles-with: -DGOOD
#include <coppice/application.hpp>

using namespace coppice;

class MyApp : public Application<MyApp> {
 public:
#ifdef GOOD
  StartResult<Supervisor> start(StartType) { return Supervisor::start_link({}); }
#else
  int start(StartType) { return 0; }
#endif
};

int main(int argc, char** argv) { return coppice::run<MyApp>(argc, argv); }
