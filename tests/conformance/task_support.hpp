// SPDX-License-Identifier: Apache-2.0
//
// What the tests of tasks share: functions that a test can hold back, and what a failed await throws.
#pragma once

#include <coppice/task.hpp>

#include "conformance/processes_support.hpp"

namespace conformance {
inline namespace tasks {  // others have helpers of the same names, in the same program

using IntTask = TaskHandle<int>;

struct Release {};

// A function that returns `value` once its process gets a Release.
inline auto held(int value) {
  return [value] {
    receive<Release>();
    return value;
  };
}
// The same, in a process that heeds no `shutdown`.
inline auto stubborn() {
  return [] {
    trap_exit(true);
    receive<Release>();
    return 1;
  };
}
inline int crash() { throw Exit(boom); }

// The Exit that `function` throws; `normal` if it throws none.
template <class F>
ExitReason exit_of(F function) {
  try {
    function();
  } catch (const Exit& exit) {
    return exit.reason();
  }
  return {};
}

// {reason, {Task, function, [task, timeout]}}
template <class T>
ExitReason failed(const ExitReason& reason, const char* function, const TaskHandle<T>& task, const Term& timeout) {
  return ExitReason(tuple(reason, tuple(Atom("Elixir.Task"), Atom(function), list(task.to_term(), timeout))));
}

// Waits until the task has ended and everything that it sent is in the mailbox.
template <class T>
void await_end_of(const TaskHandle<T>& task) {
  await_end(task.pid());
}

inline std::size_t messages() { return process_info(self())->message_queue_len; }

// The exit message of this process, if it is there.
inline std::optional<ExitReason> exit_message_of(const Pid& pid) {
  return receive(when([pid](const ExitMessage& exit) { return exit.pid == pid; },
                      [](const ExitMessage& exit) { return std::optional(exit.reason); }),
                 after(0s, [] { return std::optional<ExitReason>(); }));
}

}  // namespace tasks
}  // namespace conformance
