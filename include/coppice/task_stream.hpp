// SPDX-License-Identifier: Apache-2.0
//
// async_stream: a function over a range, one task for each element, a bounded number of them at a time. Included by
// task.hpp, whose Task::async_stream makes one.
//
//   for (TaskResult<Page> page : Task::async_stream(urls, fetch, {.max_concurrency = 8, .timeout = 2s})) {
//     if (page) keep(*std::move(page));
//   }
//
// Lazy: nothing runs until the first result is asked for; the process that asks is the consumer (TK-054). Elements are
// taken from the range when there is a free place, by the consumer; nothing is started while the consumer is busy with
// a result (TK-062). Results come in the order of the elements, or as they are done.
//
// Failure. The tasks are linked to a helper process, and that to the consumer: a crash of one ends the others and the
// consumer with its reason; a consumer that traps exits gets a result without value instead, and the stream goes on
// (TK-067). A task whose time is over ends the stream: Exit with `{:timeout, {Task.Supervised, :stream, [timeout]}}`;
// or, with kill_task, is a result with reason timeout (TK-064, TK-065). Leaving the loop early, or by an exception,
// kills the tasks that run and waits for their ends (TK-069): so the destructor may wait.
//
// An ordered stream runs ahead of an element that takes long, but not without end (a difference we choose; OTP buffers
// without bound): at most `buffer_max` finished results wait for an earlier one; `unbounded` asks for OTP's way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <coppice/message.hpp>
#include <coppice/process.hpp>
#include <coppice/task_result.hpp>

namespace coppice {
inline namespace v1 {

// What happens to a stream when the time of one task is over.
enum class OnTimeout : std::uint8_t { exit, kill_task };

inline constexpr std::size_t unbounded = static_cast<std::size_t>(-1);

// Wrong values fail with `{badarg, text}` when the stream is made (TK-057).
struct AsyncStreamOptions {
  std::size_t max_concurrency = 0;  // tasks at a time; 0: one for each scheduler of the runtime
  bool ordered = true;
  WaitTime timeout = std::chrono::seconds(5);  // of each task, from its start (TK-063)
  OnTimeout on_timeout = OnTimeout::exit;
  bool zip_input_on_exit = false;  // the reason of a result without value is `{element, reason}` (TK-065, TK-066)
  std::size_t buffer_max = 1'000;  // of an ordered stream; see above
};

namespace detail {

// -- how a function travels into its task -----------------------------------------------------------------------------

enum class TaskBond : std::uint8_t { none, link, owner };

// One static object for each type of function.
struct TaskFunction {
  std::size_t size;
  std::size_t alignment;
  void (*move)(void* to, void* from);
  Signal* (*run)(void* function, const Reference& task);  // returns the message with the result, or null
  void (*destroy)(void* function) noexcept;               // null: there is nothing to destroy
  const std::type_info* type;                             // of the user's function
};

template <class F, class... Args>
struct TaskCall {
  using Function = F;
  F function;
  std::tuple<Args...> arguments;
  decltype(auto) operator()() {
    return std::apply([this](Args&... args) -> decltype(auto) { return std::move(function)(std::move(args)...); },
                      arguments);
  }
};

// T: the type of the value, void if nobody wants it.
template <class Call, class T>
Signal* run_task(void* function, const Reference& task) {
  auto& call = *static_cast<Call*>(function);
  if constexpr (std::is_void_v<T>) {
    static_cast<void>(call());
    return nullptr;
  } else if constexpr (std::is_void_v<decltype(call())>) {
    call();
    return make_message(TaskResult<T>(task, Ok{}));
  } else {
    return make_message(TaskResult<T>(task, call()));
  }
}
template <class Call>
void move_task(void* to, void* from) {
  ::new (to) Call(std::move(*static_cast<Call*>(from)));
}
template <class Call>
void destroy_task(void* function) noexcept {
  static_cast<Call*>(function)->~Call();
}
template <class Call>
consteval auto task_destroyer() -> void (*)(void*) noexcept {
  return std::is_trivially_destructible_v<Call> ? nullptr : &destroy_task<Call>;
}
template <class Call, class T>
struct TaskFunctionOf {
  static_assert(alignof(Call) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__,
                "a task's function is over-aligned: put what it captures behind a std::unique_ptr");
  static const TaskFunction table;
};
template <class Call, class T>
const TaskFunction TaskFunctionOf<Call, T>::table{sizeof(Call),           alignof(Call),
                                                  &move_task<Call>,       &run_task<Call, T>,
                                                  task_destroyer<Call>(), &typeid(typename Call::Function)};
template <class Call, class T>
inline constexpr const TaskFunction& task_function = TaskFunctionOf<Call, T>::table;

// -- the untyped half of a stream -------------------------------------------------------------------------------------

// One element and, once it has run, its value. Shared by the consumer and the task.
struct COPPICE_API StreamJob {
  virtual ~StreamJob();
  virtual void run() = 0;
};

struct StreamEnd {
  std::shared_ptr<StreamJob> job;
  ExitReason reason;
};

// How a stream starts its tasks: by the helper itself, or under a supervisor (task_supervisor.hpp).
struct StreamStarter;

class COPPICE_API StreamCore {
 public:
  StreamCore(const AsyncStreamOptions& options, const std::type_info& function,
             std::shared_ptr<const StreamStarter> starter);
  ~StreamCore();
  StreamCore(const StreamCore&) = delete;
  StreamCore& operator=(const StreamCore&) = delete;

  void begin();  // the first time: the caller becomes the consumer
  [[nodiscard]] bool may_start() const;
  void start(std::shared_ptr<StreamJob> job);
  [[nodiscard]] std::optional<StreamEnd> ready();  // what may be delivered now
  [[nodiscard]] bool idle() const;                 // nothing runs and nothing waits for delivery
  void wait();                                     // for the end of one task
  void close();                                    // kills what runs and waits for it; harmless when nothing does

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace detail

// Made by Task::async_stream. Holds the range: a reference to an lvalue, which must outlive it, or an rvalue itself.
// Move-only; not to be moved once it has begun. For processes.
template <class Range, class F>
class AsyncStream {
  using Iterator = decltype(std::begin(std::declval<std::remove_reference_t<Range>&>()));
  using Sentinel = decltype(std::end(std::declval<std::remove_reference_t<Range>&>()));
  using Element = std::remove_cvref_t<decltype(*std::declval<Iterator&>())>;

 public:
  using Value = detail::TaskValue<std::invoke_result_t<F&, Element>>;

  AsyncStream(Range&& range, F function, const AsyncStreamOptions& options,
              std::shared_ptr<const detail::StreamStarter> starter = nullptr)
      : range_(std::forward<Range>(range)),
        function_(std::move(function)),
        zip_(options.zip_input_on_exit),
        core_(std::make_unique<detail::StreamCore>(options, typeid(F), std::move(starter))) {
    static_assert(std::is_copy_constructible_v<F>, "each task runs its own copy of the function");
    static_assert(detail::safe_message<Value>, "the value of a task may not be a bare pointer, string_view or span");
  }
  AsyncStream(AsyncStream&&) noexcept = default;
  AsyncStream& operator=(AsyncStream&&) = delete;
  // Waits until its tasks have ended; a signal that ends the process takes effect there. In a process that is not the
  // consumer it does nothing.
  ~AsyncStream() noexcept(false) {
    if (core_ != nullptr) core_->close();
  }

  // The next result; nullopt at the end. So two streams may be read in turns (TK-073). What the range throws comes out
  // here, when the tasks have been ended (TK-072).
  [[nodiscard]] std::optional<TaskResult<Value>> next() {
    if (finished_) return std::nullopt;
    core_->begin();
    for (;;) {
      if (std::optional<detail::StreamEnd> end = core_->ready()) return result_of(*end);
      pull();
      if (core_->idle()) break;
      core_->wait();
    }
    finished_ = true;
    core_->close();
    return std::nullopt;
  }

  // An input iterator: each step waits for the next result.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = TaskResult<Value>;
    using difference_type = std::ptrdiff_t;

    explicit iterator(AsyncStream& stream) : stream_(&stream) { ++*this; }
    TaskResult<Value>&& operator*() const { return std::move(*stream_->current_); }
    iterator& operator++() {
      stream_->current_.reset();
      if (auto next = stream_->next()) stream_->current_.emplace(*std::move(next));
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !stream_->current_; }

   private:
    AsyncStream* stream_;
  };
  [[nodiscard]] iterator begin() { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  struct Job final : detail::StreamJob {
    F function;
    Element element;
    Term shown;  // of the element, for zip_input_on_exit
    std::optional<Value> value;
    Job(const F& f, Element&& e, bool zip) : function(f), element(std::move(e)) {
      if (zip) shown = detail::describe_payload<Element>(&element);
    }
    void run() override {
      if constexpr (std::is_void_v<std::invoke_result_t<F&, Element>>) {
        function(std::move(element));
        value.emplace();
      } else {
        value.emplace(function(std::move(element)));
      }
    }
  };

  void pull() {
    while (!exhausted_ && core_->may_start()) {
      std::shared_ptr<Job> job;
      try {
        if (!at_) {
          at_.emplace(std::begin(range_));
        } else {
          ++*at_;
        }
        exhausted_ = *at_ == std::end(range_);
        if (!exhausted_) job = std::make_shared<Job>(function_, Element(**at_), zip_);
      } catch (...) {
        finished_ = true;
        core_->close();
        throw;
      }
      if (job != nullptr) core_->start(std::move(job));
    }
  }
  TaskResult<Value> result_of(detail::StreamEnd& end) {
    Job& job = static_cast<Job&>(*end.job);
    if (job.value && end.reason.is_normal()) return TaskResult<Value>({}, *std::move(job.value));
    if (zip_) return TaskResult<Value>::exit({}, ExitReason(Term(tuple(job.shown, end.reason))));
    return TaskResult<Value>::exit({}, end.reason);
  }

  Range range_;
  F function_;
  bool zip_;
  bool exhausted_ = false;
  bool finished_ = false;
  std::optional<Iterator> at_;
  std::optional<TaskResult<Value>> current_;
  std::unique_ptr<detail::StreamCore> core_;  // last: its tasks end before the range does
};

}  // namespace v1
}  // namespace coppice
