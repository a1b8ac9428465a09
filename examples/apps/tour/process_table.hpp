// SPDX-License-Identifier: Apache-2.0
//
// The table of all processes, as `ps` shows it.
#pragma once

#include <string>

namespace tour {

// A line of titles and a line for each process, without the last newline; at most 80 columns wide.
[[nodiscard]] std::string process_table();

}  // namespace tour
