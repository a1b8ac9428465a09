// SPDX-License-Identifier: Apache-2.0
//
// proc_lib: the start machinery of generic processes without a behaviour. The starter waits until the new process
// acknowledges with a value of its choice, fails, dies, or the time is over.
//
//   Term started = proc_lib::start_link([] {
//     open_the_device();
//     proc_lib::init_ack(tuple("ok"_atom, self()));
//     for (;;) receive(...);
//   });
//
// Such a process records its ancestors and makes a crash report if it ends by an uncaught exception. For processes only.
// OTP: proc_lib; rules GS-127..GS-132.
#pragma once

#include <memory>
#include <utility>

#include <coppice/process.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {
COPPICE_API Term proc_lib_start(std::unique_ptr<Closure> closure, const std::type_info& type,
                                const SpawnOptions& options, Bond bond, WaitTime timeout);
}

namespace proc_lib {

// Starts `function` in a new process and returns what it acknowledges with (GS-128); `{:error, reason}` if it dies before
// that, also `{:error, :normal}` (GS-130); `{:error, :timeout}` if the time is over: the process is killed then (GS-131).
template <class F>
[[nodiscard]] Term start(F function, WaitTime timeout = infinity, const SpawnOptions& options = {}) {
  return detail::proc_lib_start(std::make_unique<detail::ClosureOf<F>>(std::move(function)), typeid(F), options,
                                detail::Bond::none, timeout);
}
// The same, linked to the caller.
template <class F>
[[nodiscard]] Term start_link(F function, WaitTime timeout = infinity, const SpawnOptions& options = {}) {
  return detail::proc_lib_start(std::make_unique<detail::ClosureOf<F>>(std::move(function)), typeid(F), options,
                                detail::Bond::link, timeout);
}

// In the new process: lets the starter go on with `value`. A second time, or in another process, it does nothing.
COPPICE_API void init_ack(Term value);
// In the new process: ends it with `reason`, then lets the starter go on with `value` (GS-129).
[[noreturn]] COPPICE_API void init_fail(Term value, const ExitReason& reason);

}  // namespace proc_lib
}  // namespace v1
}  // namespace coppice
