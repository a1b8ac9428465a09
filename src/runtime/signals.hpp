// SPDX-License-Identifier: Apache-2.0
//
// What a process does with each signal it takes in, and what is answered in the place of one that is dead. The relations that
// signals make and end stand in relations.hpp. All functions are for the owner of the process.
#pragma once

#include "runtime/process.hpp"

namespace coppice::runtime {

// Acts on one signal; consumes it.
void act(Process& process, Signal* signal);
// -- parts of that, for tie.cpp
void take_message(Process& process, Signal* message);
void take_message_to_alias(Process& process, Signal* message);  // the alias stands
void become_fatal(Process& process, const ExitReason& reason);
[[nodiscard]] ExitNode* new_exit_message(const ExitMessage& exit);
// Does an exit that a link has caused count? Then the link is gone.
[[nodiscard]] bool link_still_stands(Process& process, const Pid& from);

// A signal that a dead or dying process will not act on: answers it as the dead do.
void answer_for_the_dead(Core& core, const Pid& dead, Signal* signal, const ExitReason& reason) noexcept;

}  // namespace coppice::runtime
