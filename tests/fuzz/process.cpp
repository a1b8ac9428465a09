// SPDX-License-Identifier: Apache-2.0
#include <coppice/print.hpp>
#include <coppice/runtime.hpp>

#include "fuzz/fuzz.hpp"

namespace fuzz {

void in_process(const std::function<void()>& function) {
  static coppice::Runtime runtime({.schedulers = 1, .long_schedule = std::chrono::milliseconds(0)});
  const coppice::Runtime::Scope scope(runtime);
  const coppice::ExitReason reason = runtime.run(function);
  must(reason.is_normal(), ("the process ended with " + coppice::format_exit(reason)).c_str());
}

}  // namespace fuzz
