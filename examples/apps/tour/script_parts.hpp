// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the script share. Called by the guide.
#pragma once

#include <chrono>
#include <string_view>

namespace tour {

inline constexpr auto breath = std::chrono::milliseconds(150);  // between what is shown, for the reader

// A title, and what there is to see.
void begin_part(std::string_view title, std::string_view text);

// Shows a command as if it had been typed, and carries it out.
void command(std::string_view line);

// The three parts about crashes: one that reports itself, kills at each level, and too many of them.
void show_crashes();

}  // namespace tour
