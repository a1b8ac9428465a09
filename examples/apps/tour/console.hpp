// SPDX-License-Identifier: Apache-2.0
//
// Commands from standard input: typed on a terminal, or piped.
#pragma once

#include <cstdint>

namespace tour {

enum class Talk : std::uint8_t { none, ended, quit };

// Reads and carries out commands until `quit` or the end of input; `none` if there was no command. Called by a process,
// which can be ended within a fraction of a second while it waits for input.
Talk converse();

}  // namespace tour
