// SPDX-License-Identifier: Apache-2.0
//
// A whole program: see `run` in application.hpp.
#pragma once

namespace coppice::otp {

// To the program's own process: it is to end, with this status.
struct StopProgram {
  int status;
};

}  // namespace coppice::otp
