// SPDX-License-Identifier: Apache-2.0
//
// Task: a process that runs one function and hands back its value.
//
//   auto users = Task::async(fetch_users);
//   auto posts = Task::async(fetch_posts, "ann");
//   auto [u, p] = await_many(5s, users, posts);           // as long as the slower one
//
//   auto page = Task::async(fetch, url);
//   if (auto result = page.yield(1s)) use(*result);        // std::optional<TaskResult<Page>>
//   else page.shutdown();
//
//   for (TaskResult<Page> page : Task::async_stream(urls, fetch, {.max_concurrency = 8})) ...   // task_stream.hpp
//
// The process that calls async owns the task: it alone may await it, and it must: a result that nobody awaits stays in
// its mailbox. Owner and task are linked: a crash of one ends the other. Where the failure of a task is to be a value,
// run it under a TaskSupervisor (async_nolink). A task that crashes logs one error (TK-017).
//
// Messages. The owner gets a TaskResult<T>, then a Down with reason normal (TK-010). await, yield and their kin take
// both out of the mailbox. A server that does not want to wait takes them in handle_info(TaskResult<T>) and
// handle_info(Down); in the first one it may call demonitor(result.reference(), {.flush = true}) to be spared the
// second. After a failed await, shutdown or ignore a late result is dropped (TK-013).
//
// The function is moved to the task with its arguments; capture by value. For processes only, but for Task::start.
// A timeout of await does not stop the task: shutdown does. Elixir: Task; rules TK-*.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <coppice/child_spec.hpp>
#include <coppice/message.hpp>
#include <coppice/process.hpp>
#include <coppice/task_result.hpp>
#include <coppice/task_stream.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

class Task;

// What becomes of tasks that have not answered when yield_many's time is over: they run on and may be asked again; they
// run on and are forgotten, as by ignore; or they are killed, as by shutdown(brutal_kill) (TK-038).
enum class OnYieldTimeout : std::uint8_t { nothing, ignore, kill_task };

struct YieldManyOptions {
  WaitTime timeout = std::chrono::seconds(5);
  std::size_t limit = static_cast<std::size_t>(-1);  // return once so many have answered or died (TK-038, TK-039)
  OnYieldTimeout on_timeout = OnYieldTimeout::nothing;
};

namespace detail {

// The untyped part of a handle.
struct TaskData {
  Pid pid;              // none for a completed task
  Reference reference;  // monitor and alias
  Pid owner;
  const std::type_info* function = nullptr;
};

// What is known when somebody has asked: a reply (a message that holds a TaskResult), a death, or nothing yet.
struct TaskAnswer {
  Signal* reply = nullptr;  // owned by whoever takes it
  std::optional<ExitReason> exit = {};
};
struct TaskSlot {
  const TaskData* task;
  const TypeIdentity* result;
  TaskAnswer answer = {};
};

[[nodiscard]] COPPICE_API TaskData start_task(const TaskFunction& what, void* function, TaskBond bond);
[[nodiscard]] COPPICE_API TaskData completed_task(const std::type_info& type);
COPPICE_API void send_to_self(Signal* message);
[[nodiscard]] COPPICE_API Signal* await_task(const TaskData& task, const TypeIdentity& result, WaitTime timeout);
[[nodiscard]] COPPICE_API TaskAnswer yield_task(const TaskData& task, const TypeIdentity& result, WaitTime timeout);
[[nodiscard]] COPPICE_API TaskAnswer shutdown_task(const TaskData& task, const TypeIdentity& result,
                                                   const Shutdown& how);
[[nodiscard]] COPPICE_API TaskAnswer ignore_task(const TaskData& task, const TypeIdentity& result);
// The slots' replies are destroyed if it throws.
COPPICE_API void await_tasks(TaskSlot* slots, std::size_t count, WaitTime timeout);
COPPICE_API void yield_tasks(TaskSlot* slots, std::size_t count, const YieldManyOptions& options);
[[nodiscard]] COPPICE_API std::string function_name(const std::type_info& type);
[[nodiscard]] COPPICE_API Term task_term(const TaskData& task);

template <class T>
T take_task_value(Signal* reply) {
  MessageOwner owner{reply};
  return *std::move(*static_cast<TaskResult<T>*>(payload_of(reply)));
}
template <class T>
std::optional<TaskResult<T>> task_result(const TaskData& task, const TaskAnswer& answer) {
  if (answer.reply != nullptr) {
    MessageOwner owner{answer.reply};
    return std::move(*static_cast<TaskResult<T>*>(payload_of(answer.reply)));
  }
  if (answer.exit) return TaskResult<T>::exit(task.reference, *answer.exit);
  return std::nullopt;
}

}  // namespace detail

// A task and the right to its value. A plain value; what may be done with it only its owner may do: in another process
// each function fails with `{badarg, text}`, before anything else (TK-024). T is Ok if the function returns nothing.
template <class T>
class TaskHandle {
 public:
  static constexpr std::chrono::seconds default_timeout{5};
  using Value = T;

  // The value (TK-020). If the task died without one: throws Exit with `{reason, {Task, :await, [task, timeout]}}`,
  // also for `normal` (TK-021); after the timeout, by default 5 s, with `{:timeout, {...}}`; the task runs on, and its
  // value will be dropped (TK-022). A value that has arrived is returned even with timeout 0. Works once: a second await
  // waits out its timeout (TK-025). In a destructor while the process leaves it throws what unwinds the stack: use yield
  // there.
  T await(WaitTime timeout = default_timeout) const {
    return detail::take_task_value<T>(detail::await_task(data_, identity(), timeout));
  }
  // The result, or nullopt if there is none in time; ask again then (TK-033, TK-034).
  std::optional<TaskResult<T>> yield(WaitTime timeout = default_timeout) const {
    return detail::task_result<T>(data_, detail::yield_task(data_, identity(), timeout));
  }
  // Unlinks and ends the task, and waits until it is gone: by `shutdown` and, after the time, a kill; or by
  // `brutal_kill`. Gives its value if it had sent one, the reason if it ended otherwise, nullopt if this call ended it
  // (TK-042..TK-051). A task that traps exits and outlives its time gives the reason `killed`.
  std::optional<TaskResult<T>> shutdown(Shutdown how = default_timeout) const {
    return detail::task_result<T>(data_, detail::shutdown_task(data_, identity(), how));
  }
  // Gives up: unlinks the task, which runs on; its value or death will not be seen. What is there already is returned
  // (TK-053).
  std::optional<TaskResult<T>> ignore() const {
    return detail::task_result<T>(data_, detail::ignore_task(data_, identity()));
  }

  [[nodiscard]] const Pid& pid() const noexcept { return data_.pid; }  // none for a completed task
  [[nodiscard]] const Reference& reference() const noexcept { return data_.reference; }
  [[nodiscard]] const Pid& owner() const noexcept { return data_.owner; }
  // What it runs: the type of its function (TK-004; there is no module, function and arity to name).
  [[nodiscard]] std::string function() const { return detail::function_name(*data_.function); }
  // %Task{mfa: {:erlang, :apply, 2}, owner: pid, pid: pid, ref: reference}
  [[nodiscard]] Term to_term() const { return detail::task_term(data_); }

  // For the functions of this header.
  explicit TaskHandle(const detail::TaskData& data) noexcept : data_(data) {}
  [[nodiscard]] const detail::TaskData& data() const noexcept { return data_; }
  [[nodiscard]] static const detail::TypeIdentity& identity() noexcept { return detail::type_identity<TaskResult<T>>; }

 private:
  detail::TaskData data_;
};

class Task {
 public:
  static constexpr ChildDefaults child_defaults{.restart = Restart::temporary};  // child<Task>(f, args...) (TK-005)

  // Runs function(args...) in a new process that is linked to the caller and monitored by it (TK-003). The link stands
  // before the function runs (TK-008). Throws Exit(:system_limit) if the runtime has no process left.
  template <class F, class... Args>
  [[nodiscard]] static auto async(F&& function, Args&&... args) {
    using Call = detail::TaskCall<std::decay_t<F>, detail::Kept<Args>...>;
    using T = detail::TaskValue<decltype(std::declval<Call&>()())>;
    static_assert(detail::safe_message<T>, "the value of a task may not be a bare pointer, string_view or span");
    Call call{std::forward<F>(function), {std::forward<Args>(args)...}};
    return TaskHandle<T>(detail::start_task(detail::task_function<Call, T>, &call, detail::TaskBond::owner));
  }
  // Runs it, and nobody hears of its value: without a link (TK-001; also by a foreign thread), or linked to the caller
  // (TK-002), which is what a supervisor starts.
  template <class F, class... Args>
  static Pid start(F&& function, Args&&... args) {
    return start_bound(detail::TaskBond::none, std::forward<F>(function), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  static Pid start_link(F&& function, Args&&... args) {
    return start_bound(detail::TaskBond::link, std::forward<F>(function), std::forward<Args>(args)...);
  }
  // A task that is done: no process; its result is in the caller's mailbox (TK-014).
  template <class V>
  [[nodiscard]] static TaskHandle<std::decay_t<V>> completed(V&& value) {
    using T = std::decay_t<V>;
    const detail::TaskData data = detail::completed_task(typeid(T));
    detail::send_to_self(detail::make_message(TaskResult<T>(data.reference, std::forward<V>(value))));
    return TaskHandle<T>(data);
  }

  // Runs function(element) for each element of a range, several at a time: see task_stream.hpp.
  template <class Range, class F>
  [[nodiscard]] static auto async_stream(Range&& range, F function, const AsyncStreamOptions& options = {}) {
    return AsyncStream<Range, F>(std::forward<Range>(range), std::move(function), options);
  }

 private:
  template <class F, class... Args>
  static Pid start_bound(detail::TaskBond bond, F&& function, Args&&... args) {
    using Call = detail::TaskCall<std::decay_t<F>, detail::Kept<Args>...>;
    Call call{std::forward<F>(function), {std::forward<Args>(args)...}};
    return detail::start_task(detail::task_function<Call, void>, &call, bond).pid;
  }
};

// -- several tasks --------------------------------------------------------------------------------------------------

// The values of all, in the order given, within one common time (TK-029). The first death among them, or the timeout,
// throws Exit with `{reason, {Task, :await_many, [tasks, timeout]}}`; the other tasks are given up (TK-030).
template <class... Ts>
[[nodiscard]] std::tuple<Ts...> await_many(WaitTime timeout, const TaskHandle<Ts>&... tasks) {
  detail::TaskSlot slots[] = {{&tasks.data(), &tasks.identity()}..., {nullptr, nullptr}};
  detail::await_tasks(slots, sizeof...(Ts), timeout);
  [[maybe_unused]] detail::TaskSlot* slot = slots;
  const auto next = [&]<class T>(const TaskHandle<T>&) {
    return detail::take_task_value<T>(std::exchange((slot++)->answer.reply, nullptr));
  };
  return std::tuple<Ts...>{next(tasks)...};
}
template <class T>
[[nodiscard]] std::vector<T> await_many(const std::vector<TaskHandle<T>>& tasks,
                                        WaitTime timeout = TaskHandle<T>::default_timeout) {
  std::vector<detail::TaskSlot> slots;
  slots.reserve(tasks.size());
  for (const TaskHandle<T>& task : tasks) slots.push_back({&task.data(), &task.identity()});
  detail::await_tasks(slots.data(), slots.size(), timeout);
  std::vector<T> values;
  values.reserve(tasks.size());
  for (const detail::TaskSlot& slot : slots) values.push_back(detail::take_task_value<T>(slot.answer.reply));
  return values;
}

// For each task its result, or nullopt if it has none in time, in the order given (TK-037..TK-041).
template <class... Ts>
[[nodiscard]] std::tuple<std::optional<TaskResult<Ts>>...> yield_many(const YieldManyOptions& options,
                                                                      const TaskHandle<Ts>&... tasks) {
  detail::TaskSlot slots[] = {{&tasks.data(), &tasks.identity()}..., {nullptr, nullptr}};
  detail::yield_tasks(slots, sizeof...(Ts), options);
  [[maybe_unused]] detail::TaskSlot* slot = slots;
  const auto next = [&]<class T>(const TaskHandle<T>& task) {
    return detail::task_result<T>(task.data(), (slot++)->answer);
  };
  return std::tuple<std::optional<TaskResult<Ts>>...>{next(tasks)...};
}
template <class T>
[[nodiscard]] std::vector<std::optional<TaskResult<T>>> yield_many(const std::vector<TaskHandle<T>>& tasks,
                                                                   const YieldManyOptions& options = {}) {
  std::vector<detail::TaskSlot> slots;
  slots.reserve(tasks.size());
  for (const TaskHandle<T>& task : tasks) slots.push_back({&task.data(), &task.identity()});
  detail::yield_tasks(slots.data(), slots.size(), options);
  std::vector<std::optional<TaskResult<T>>> results;
  results.reserve(tasks.size());
  for (const detail::TaskSlot& slot : slots) results.push_back(detail::task_result<T>(*slot.task, slot.answer));
  return results;
}

}  // namespace v1
}  // namespace coppice
