// SPDX-License-Identifier: Apache-2.0
//
// The guide: a process beside the tree, which talks to the user. It carries out commands, or plays the script, and then
// has the program stopped. What happens in the tree does not touch it.
#pragma once

namespace tour {

void start_guide();
// Ends it and returns when it has gone. Harmless if it has.
void stop_guide();

}  // namespace tour
