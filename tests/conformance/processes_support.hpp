// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the process rules share: waiting for the end of a process, and pids that are dead or remote.
#pragma once

#include "behaviour/behaviour.hpp"
#include "behaviour/misuse.hpp"

namespace conformance {
inline namespace of_processes {  // others have helpers of the same names, in the same program

using namespace coppice;
using namespace std::chrono_literals;
using behaviour::is_badarg;

inline const Atom boom{"boom"};

// Waits for the Down of this monitor and no other.
inline Down await_down(const Reference& reference) {
  return receive(when([reference](const Down& down) { return down.reference == reference; },
                      [](const Down& down) { return down; }));
}

inline ExitReason await_reason(const Reference& reference) { return await_down(reference).reason; }

// The reason with which a process ends that runs `function`.
template <class F>
ExitReason reason_of(F function) {
  return await_reason(spawn_monitor(std::move(function)).second);
}

// Waits until `pid` is gone and everything that it announces has been sent.
inline void await_end(const Pid& pid) { await_down(monitor(pid)); }

// A process that waits for ever.
inline Pid spawn_idle() {
  return spawn([] { sleep_for(infinity); });
}

// A process that ends with `reason` when it is sent Stop.
struct Stop {};
inline Pid until_stopped(ExitReason reason = {}) {
  return spawn([reason = std::move(reason)] {
    receive<Stop>();
    exit(reason);
  });
}

// Ends a process of a test and waits for its end.
inline void finish(const Pid& pid) {
  exit(pid, ExitReason::kill());
  await_end(pid);
}

// The pid of a process that has ended.
inline Pid dead_pid() {
  const auto [pid, reference] = spawn_monitor([] {});
  await_down(reference);
  return pid;
}

// A pid as another runtime of the program would give it.
inline Pid remote_pid() {
  Pid pid = self();
  pid.creation += 1'000'000;
  return pid;
}

// Returns once `pid` has acted on every signal that the caller has sent it; false if that was its end.
inline bool has_acted(const Pid& pid) { return process_info(pid).has_value(); }

}  // namespace of_processes
}  // namespace conformance
