// SPDX-License-Identifier: Apache-2.0
//
// TaskSupervisor: a supervisor for tasks. It is a DynamicSupervisor that knows how to start them.
//
//   child<TaskSupervisor>({.name = "MyApp.Tasks"})                                   // in a tree
//
//   auto task = TaskSupervisor::async("MyApp.Tasks", expensive_operation);            // linked to the caller
//   auto result = task.await();
//   auto loose = TaskSupervisor::async_nolink("MyApp.Tasks", risky);                  // its crash is a value:
//   if (auto outcome = loose.yield(1s); outcome && !*outcome) log(outcome->reason());
//   TaskSupervisor::start_child("MyApp.Tasks", send_mail);                            // nobody waits for it
//
// Why: a task that is started here belongs to a tree, is told to stop when the tree stops, and need not be linked to
// whoever asked for it. Failure that should be a value: async_nolink. A server that uses it gets TaskResult<T>, or
// Down, in handle_info; it must take the Down of every task that it does not await.
//
// The supervisor starts the process; the caller monitors it, links to it unless told otherwise, and then sends the
// function, so no value and no death is missed. A task that gets no function within 5 s ends with `timeout`, one whose
// caller dies before with `{shutdown, reason}` (TS-016).
//
// Any address of a supervisor will do (children.hpp). If there is none, each function throws Exit with
// `{noproc, {GenServer, :call, ...}}`; if it has its max_children, async and async_nolink throw std::runtime_error
// (TS-007). Starting tasks is for processes; children, terminate_child and stop may be called by any thread. Elixir:
// Task.Supervisor; rules TS-*.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/children.hpp>
#include <coppice/dynamic_supervisor.hpp>
#include <coppice/task.hpp>

namespace coppice {
inline namespace v1 {

// Of a task that nobody awaits (TS-008).
struct TaskChildOptions {
  Restart restart = Restart::temporary;         // a restarted one runs a copy of the same function (TS-009)
  Shutdown shutdown = std::chrono::seconds(5);  // matters only for a task that traps exits (TS-006)
};

namespace detail {

[[nodiscard]] COPPICE_API TaskData start_supervised_task(const ServerAddress& supervisor, const TaskFunction& what,
                                                         void* function, bool link, const Shutdown& shutdown);
// `copy` makes a copy of the function for each start and hands it to `use`.
[[nodiscard]] COPPICE_API StartChildResult
start_task_child(const ServerAddress& supervisor, const TaskFunction& what, std::shared_ptr<const void> function,
                 void (*copy)(const void* function, void (*use)(void* copied, void* context), void* context),
                 const TaskChildOptions& options);
[[nodiscard]] COPPICE_API std::shared_ptr<const StreamStarter> supervised_starter(const ServerAddress& supervisor,
                                                                                  bool link, const Shutdown& shutdown);

}  // namespace detail

class COPPICE_API TaskSupervisor {
 public:
  using Options = DynamicSupervisorOptions;  // name, max_restarts, max_seconds, max_children (TS-001)
  static constexpr std::chrono::seconds default_shutdown{5};

  // Starts one, linked to the caller. Errors as DynamicSupervisor's. By a process.
  static StartResult<TaskSupervisor> start_link(Options options = {});
  // Type supervisor; id is its name, or TaskSupervisor if it has none (TS-002).
  [[nodiscard]] static ChildSpec child_spec(Options options = {});

  // Runs function(args...) under the supervisor; linked to the caller and monitored by it. The handle is that of
  // Task::async (TS-004).
  template <class F, class... Args>
  [[nodiscard]] static auto async(const ServerAddress& supervisor, F&& function, Args&&... args) {
    return start_task(supervisor, true, default_shutdown, std::forward<F>(function), std::forward<Args>(args)...);
  }
  // The same without the link (TS-005).
  template <class F, class... Args>
  [[nodiscard]] static auto async_nolink(const ServerAddress& supervisor, F&& function, Args&&... args) {
    return start_task(supervisor, false, default_shutdown, std::forward<F>(function), std::forward<Args>(args)...);
  }
  // The same two; when the supervisor ends, the task is told so: `shutdown` (TS-006).
  template <class F, class... Args>
  [[nodiscard]] static auto async_with(Shutdown shutdown, const ServerAddress& supervisor, F&& function,
                                       Args&&... args) {
    return start_task(supervisor, true, shutdown, std::forward<F>(function), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  [[nodiscard]] static auto async_nolink_with(Shutdown shutdown, const ServerAddress& supervisor, F&& function,
                                              Args&&... args) {
    return start_task(supervisor, false, shutdown, std::forward<F>(function), std::forward<Args>(args)...);
  }

  // Runs a function of which nobody hears; linked to the supervisor only. Error: :max_children (TS-008).
  template <class F>
  static StartChildResult start_child(const ServerAddress& supervisor, F function,
                                      const TaskChildOptions& options = {}) {
    static_assert(std::is_copy_constructible_v<F>, "a restarted task runs a copy of its function");
    using Call = detail::TaskCall<F>;
    const auto copy = [](const void* kept, void (*use)(void*, void*), void* context) {
      Call call{*static_cast<const F*>(kept), {}};
      use(&call, context);
    };
    return detail::start_task_child(supervisor, detail::task_function<Call, void>,
                                    std::make_shared<const F>(std::move(function)), copy, options);
  }

  // Runs function(element) for each element of a range: task_stream.hpp. Without a link a crash is a result, also for a
  // consumer that does not trap exits (TS-020). When the supervisor has no place left the stream is cleaned up and a
  // std::runtime_error thrown (TS-021). A negative shutdown is `{badarg, text}` (TS-019).
  template <class Range, class F>
  [[nodiscard]] static auto async_stream(const ServerAddress& supervisor, Range&& range, F function,
                                         const AsyncStreamOptions& options = {}, Shutdown shutdown = default_shutdown) {
    return AsyncStream<Range, F>(std::forward<Range>(range), std::move(function), options,
                                 detail::supervised_starter(supervisor, true, shutdown));
  }
  template <class Range, class F>
  [[nodiscard]] static auto async_stream_nolink(const ServerAddress& supervisor, Range&& range, F function,
                                                const AsyncStreamOptions& options = {},
                                                Shutdown shutdown = default_shutdown) {
    return AsyncStream<Range, F>(std::forward<Range>(range), std::move(function), options,
                                 detail::supervised_starter(supervisor, false, shutdown));
  }

  // All tasks but those that wait for a restart (TS-017).
  [[nodiscard]] static std::vector<Pid> children(const ServerAddress& supervisor);
  // Stops a task and forgets it. Error: :not_found (TS-018).
  static Result<> terminate_child(const ServerAddress& supervisor, const Pid& pid) {
    return DynamicSupervisor::terminate_child(supervisor, pid);
  }
  // As GenServer's stop.
  static void stop(const ServerAddress& supervisor, const ExitReason& reason = ExitReason::normal(),
                   WaitTime timeout = infinity) {
    DynamicSupervisor::stop(supervisor, reason, timeout);
  }

 private:
  template <class F, class... Args>
  [[nodiscard]] static auto start_task(const ServerAddress& supervisor, bool link, const Shutdown& shutdown,
                                       F&& function, Args&&... args) {
    using Call = detail::TaskCall<std::decay_t<F>, detail::Kept<Args>...>;
    using T = detail::TaskValue<decltype(std::declval<Call&>()())>;
    static_assert(detail::safe_message<T>, "the value of a task may not be a bare pointer, string_view or span");
    Call call{std::forward<F>(function), {std::forward<Args>(args)...}};
    return TaskHandle<T>(
        detail::start_supervised_task(supervisor, detail::task_function<Call, T>, &call, link, shutdown));
  }
};

}  // namespace v1
}  // namespace coppice
