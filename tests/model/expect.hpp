// SPDX-License-Identifier: Apache-2.0
//
// What a test of the model checker says of a program: it is sound, or something is wrong with it that must be found. Each
// prints a line `model NAME executions N accepted` (or `rejected: why`), and if the environment has COPPICE_MODEL_FIGURES,
// appends it to that file, words first: executions, verdict, whether all were explored, name.
#pragma once

#include "model/explorer.hpp"

namespace model {

// No execution fails; all within the bounds are explored, unless executions_max says how many are enough.
void expect_sound(const char* name, const Options& options, const std::function<void(Execution&)>& program);
// Some execution fails, and the explorer finds it.
void expect_rejected(const char* name, const Options& options, const std::function<void(Execution&)>& program);
// As expect_sound; for programs that are not ours.
Outcome explore_and_tell(const char* name, const Options& options, const std::function<void(Execution&)>& program);

}  // namespace model
