// SPDX-License-Identifier: Apache-2.0
//
// TaskResult: how a task ended: with a value, or with the reason why there is none. It is what Task::async sends to its
// owner (so a server gets it in `void handle_info(TaskResult<T>)`), what yield gives, and what async_stream delivers.
// OTP: `{ref, value}`, `{:ok, value}`, `{:exit, reason}`; rules TK-010, TK-033, TK-056.
#pragma once

#include <type_traits>
#include <utility>

#include <coppice/exit_reason.hpp>
#include <coppice/message.hpp>
#include <coppice/pid.hpp>
#include <coppice/result.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

// The part that does not depend on the type of the value; always the first base.
struct TaskEnd {
  Reference reference;
  ExitReason reason;
};
[[noreturn]] COPPICE_API void throw_bad_task_match(const ExitReason& reason);  // OTP: `{:badmatch, {:exit, reason}}`

// The value of a function that returns nothing is Ok; one that returns a reference gives a copy.
template <class R>
using TaskValue = std::conditional_t<std::is_void_v<R>, Ok, std::remove_cvref_t<R>>;

}  // namespace detail

// Contextually true when there is a value. It is read like a Result; value() without one throws Exit with `{:badmatch,
// {:exit, reason}}`.
template <class T>
class [[nodiscard]] TaskResult : private detail::TaskEnd, public detail::Maybe<TaskResult<T>, T> {
 public:
  TaskResult(const Reference& task, T value) : TaskEnd{task, {}}, detail::Maybe<TaskResult<T>, T>(std::move(value)) {}
  // A task that ended without a value.
  [[nodiscard]] static TaskResult exit(const Reference& task, ExitReason reason) {
    TaskResult result;
    result.TaskEnd::reference = task;
    result.TaskEnd::reason = std::move(reason);
    return result;
  }

  [[nodiscard]] bool is_ok() const noexcept { return this->has_value(); }
  // Of which task: TaskHandle::reference(). Names nothing for a result of async_stream.
  [[nodiscard]] const Reference& reference() const noexcept { return TaskEnd::reference; }
  // Why there is no value; `normal` when there is one, and also when the task ended so without one.
  [[nodiscard]] const ExitReason& reason() const noexcept { return TaskEnd::reason; }

 private:
  TaskResult() = default;
  friend class detail::Maybe<TaskResult<T>, T>;
  [[noreturn]] void no_value() const { detail::throw_bad_task_match(TaskEnd::reason); }
};

}  // namespace v1
}  // namespace coppice
