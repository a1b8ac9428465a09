// SPDX-License-Identifier: Apache-2.0
//
// What the tour shows when nobody gives it commands: each of the five systems at work, and one of them crashing.
#pragma once

namespace tour {

// Plays the script, in a few seconds. `watching`: a FileWatcher follows a file of the user's already; then that one is
// shown, for some seconds longer, in place of a file of our own. Called by a process.
void play_script(bool watching);

}  // namespace tour
