// SPDX-License-Identifier: Apache-2.0
//
// The commands of the tour. One line is one command; each is answered, in order, before the next one is looked at.
#pragma once

#include <cstdint>
#include <string_view>

namespace tour {

enum class Outcome : std::uint8_t { go_on, quit };

// Carries out a command and shows the answer, or what is wrong with it. Whatever goes wrong, nothing is lost: the
// systems live in processes of their own. An empty line is no command. Called by a process.
Outcome carry_out(std::string_view line);

void show_help();

}  // namespace tour
