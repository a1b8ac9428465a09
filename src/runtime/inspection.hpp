// SPDX-License-Identifier: Apache-2.0
//
// Asking a process about itself: the question is a signal, answered when the process next takes signals in.
#pragma once

#include <memory>

#include "runtime/process.hpp"

namespace coppice::runtime {

// Runs `inspect(process, argument)` in the process `pid` and waits until it has run; false if there is no such process,
// or if it has not answered in time (then it may still do it later).
// `argument` is kept alive by whoever needs it last. Any thread.
bool inspect_in(const Pid& pid, void (*inspect)(Process&, void*), std::shared_ptr<void> argument,
                WaitTime timeout = infinity);

// A process's trace in words, without the frames of the machinery around and below those of the program.
[[nodiscard]] std::vector<std::string> frames_of_program(const std::vector<std::uintptr_t>& addresses);

// Binds a name to the process; by its owner, or before it runs. False if the name is taken or not acceptable, or the
// process has one already.
bool bind_name(Process& process, std::string_view name, Pid* holder = nullptr);

}  // namespace coppice::runtime
