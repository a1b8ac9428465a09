// SPDX-License-Identifier: Apache-2.0
//
// Boost.Asio for processes: any asynchronous operation as a plain blocking call of the calling process.
//
//   auto io = std::make_shared<asio::Context>();               // an io_context and the one thread that runs it
//   tcp::socket socket(io->executor());
//   socket.async_connect(endpoint, asio::use_process);         // throws boost::system::system_error
//   std::size_t n = socket.async_read_some(buffer, asio::use_process.timeout(5s));
//   boost::system::error_code error;
//   http::async_read(socket, memory, request, asio::use_process(error));
//
// The process waits, never a scheduler's thread. It gets what the completion handler is given: nothing, a value, or a
// tuple of several. An error is thrown, or stored in `error`; an exception that the operation hands over is thrown.
//
// Timeout. `use_process.timeout(d)` cancels the operation after `d` and gives boost::asio::error::timed_out; if the
// operation ends by itself just then, its own outcome counts. What a cancelled operation has moved meanwhile (bytes
// read) is in the result, if the error goes to `error`.
//
// A process that is told to die (killed, or by a link) while it waits has the operation cancelled, and leaves its stack
// when the completion handler has run, not before: buffers and sockets may lie on that stack. An operation that cannot
// be cancelled (async_resolve) therefore delays the death until it ends. While the stack of a dying process is being unwound,
// in a destructor, nothing is started: the error is operation_aborted. Use the form with `error` there.
//
// Threads. The operation is started, cancelled and completed on the thread of its executor, one after the other, so
// nothing of a socket is touched by two threads at once; the process only waits, and touches nothing meanwhile. In
// steps: (1) the process makes a ForeignWait and posts the start to the executor, by reference to its own frame; (2) the
// executor's thread starts the operation; (3) it runs the handler, which stores the result in the process's frame and
// completes the wait, its last step; (4) the process reads the result. Timeout and kill insert: the process posts an
// emission of the operation's cancellation signal, which handler and emission keep alive, then waits for (3) with nothing
// else to end that wait. Posts run in order, so a cancellation never comes before the start. What one
// thread wrote before posting, or completing, the other sees. If the executor's context is destroyed, posts and handlers
// are destroyed unrun: that, too, completes the wait, with operation_aborted.
//
// The executor must be run by exactly one thread, or be a strand; asio::Context sees to it. It is that of the I/O object.
// Where an operation does not show it, `use_process.on(executor)` names it. One process at a time may use an I/O object.
//
// Called by a foreign thread, use_process ends the program with a sentence. In a simulation there are no threads that
// could complete an operation: the process gets `{badarg, text}`.
#pragma once

#include <signal.h>

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <coppice/foreign_wait.hpp>
#include <coppice/gen_server.hpp>

namespace coppice {
inline namespace v1 {
namespace asio {

// -- the context ------------------------------------------------------------------------------------------------------

// An io_context and the one thread that runs it, from construction to destruction. Any thread may make it; share it as
// std::shared_ptr<asio::Context> with whoever makes I/O objects on it: they must not outlive it. Its destructor waits for
// the handler that is running, drops all others, and so ends the waits of processes with operation_aborted. It must not
// be run by a handler. The thread takes no signals.
class Context {
 public:
  Context() : work_(io_.get_executor()), thread_(start(io_)) {}
  ~Context() {
    io_.stop();
    thread_.join();
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  [[nodiscard]] boost::asio::io_context& io() noexcept { return io_; }
  [[nodiscard]] boost::asio::io_context::executor_type executor() noexcept { return io_.get_executor(); }

 private:
  static std::thread start(boost::asio::io_context& io) {
    ::sigset_t all;
    ::sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);  // the new thread inherits the mask
    std::thread thread([&io] { io.run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::thread thread_;
};

// A Context in a supervision tree: child<asio::ContextServer>(). Ask it with call(Get{}). If it is killed, those who
// hold its context go on with it; whoever asks its successor gets a new one.
class ContextServer : public GenServer<ContextServer> {
 public:
  struct Get {
    using Reply = std::shared_ptr<Context>;
  };
  std::shared_ptr<Context> handle_call(Get) const { return context_; }

 private:
  std::shared_ptr<Context> context_ = std::make_shared<Context>();
};

// -- the token --------------------------------------------------------------------------------------------------------

// Executor: void for that of the I/O object.
template <class Executor = void>
class UseProcess {
  struct Nothing {};
  using Held = std::conditional_t<std::is_void_v<Executor>, Nothing, Executor>;

 public:
  constexpr UseProcess() = default;
  constexpr UseProcess(WaitTime timeout, boost::system::error_code* error, Held executor)
      : timeout_(timeout), error_(error), executor_(std::move(executor)) {}

  // Errors go to `error`, which must live as long as the operation, in place of being thrown.
  [[nodiscard]] constexpr UseProcess operator()(boost::system::error_code& error) const {
    return {timeout_, &error, executor_};
  }
  // How long the operation may take; infinity by default. Negative: `{badarg, text}`.
  [[nodiscard]] constexpr UseProcess timeout(WaitTime timeout) const { return {timeout, error_, executor_}; }
  // Whose thread starts and completes the operation.
  template <class E>
  [[nodiscard]] constexpr UseProcess<E> on(E executor) const {
    return {timeout_, error_, std::move(executor)};
  }

  [[nodiscard]] constexpr WaitTime timeout() const noexcept { return timeout_; }
  [[nodiscard]] constexpr boost::system::error_code* error() const noexcept { return error_; }
  [[nodiscard]] constexpr const Held& executor() const noexcept { return executor_; }

 private:
  WaitTime timeout_ = infinity;
  boost::system::error_code* error_ = nullptr;
  [[no_unique_address]] Held executor_{};
};

inline constexpr UseProcess<> use_process{};

// -- how it is done: not for users ------------------------------------------------------------------------------------

namespace detail {

// Whose executor it is, of what the operation is made of.
template <class T>
concept ShowsExecutor = requires(T& t) { t.get_executor(); };
template <class T>
concept PointsToExecutor = std::is_pointer_v<std::remove_cvref_t<T>> && requires(T t) { t->get_executor(); };

template <class Token, class Initiation, class... Arguments>
auto executor_for(const Token& token, Initiation& initiation, Arguments&... arguments) {
  if constexpr (!std::is_same_v<Token, UseProcess<>>) {
    return token.executor();
  } else if constexpr (ShowsExecutor<Initiation>) {
    return initiation.get_executor();
  } else if constexpr (sizeof...(Arguments) > 0) {
    auto& first = std::get<0>(std::tie(arguments...));
    if constexpr (PointsToExecutor<decltype(first)>) {
      return first->get_executor();
    } else if constexpr (ShowsExecutor<std::remove_reference_t<decltype(first)>>) {
      return first.get_executor();
    }
  }
}

// What the handler is given, without error and exception.
template <class... Values>
struct Outcome {
  static constexpr bool has_value = sizeof...(Values) > 0;
  using Value = std::conditional_t<
      has_value,
      std::conditional_t<sizeof...(Values) == 1, std::tuple_element_t<0, std::tuple<Values..., void>>,
                         std::tuple<Values...>>,
      void>;

  boost::system::error_code error = boost::asio::error::operation_aborted;  // unless the handler runs
  std::exception_ptr exception;
  std::optional<std::tuple<Values...>> values;
};
template <class... Arguments>
struct Signature {
  using Outcome = detail::Outcome<Arguments...>;
  template <class... As>
  static void store(Outcome& outcome, As&&... values) {
    outcome.error = {};
    outcome.values.emplace(std::forward<As>(values)...);
  }
};
template <class... Arguments>
struct Signature<boost::system::error_code, Arguments...> {
  using Outcome = detail::Outcome<Arguments...>;
  template <class... As>
  static void store(Outcome& outcome, const boost::system::error_code& error, As&&... values) {
    outcome.error = error;
    outcome.values.emplace(std::forward<As>(values)...);
  }
};
template <class... Arguments>
struct Signature<std::exception_ptr, Arguments...> {
  using Outcome = detail::Outcome<Arguments...>;
  template <class... As>
  static void store(Outcome& outcome, std::exception_ptr exception, As&&... values) {
    outcome.error = {};
    outcome.exception = std::move(exception);
    outcome.values.emplace(std::forward<As>(values)...);
  }
};

// What handler, start and emission share, on the executor's thread. When the last of them drops it, the wait is over.
struct Operation {
  explicit Operation(v1::detail::ForeignWait::Completion c) : completion(std::move(c)) {}
  boost::asio::cancellation_signal cancellation;
  v1::detail::ForeignWait::Completion completion;
};

// The completion handler: stores, and completes.
template <class Signature>
class Handler {
 public:
  using cancellation_slot_type = boost::asio::cancellation_slot;

  Handler(typename Signature::Outcome& outcome, std::shared_ptr<Operation> operation)
      : outcome_(&outcome), operation_(std::move(operation)) {}

  [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept {
    return operation_->cancellation.slot();
  }

  template <class... Values>
  void operator()(Values&&... values) {
    try {
      Signature::store(*outcome_, std::forward<Values>(values)...);
    } catch (...) {
      outcome_->exception = std::current_exception();
    }
    operation_->completion.complete();
  }

 private:
  typename Signature::Outcome* outcome_;
  std::shared_ptr<Operation> operation_;
};

// The wait of the process, in one place. `start` gets the handler and starts the operation, on the executor's thread.
template <class Signature, class Executor, class Start>
void perform(typename Signature::Outcome& outcome, const Executor& executor, WaitTime timeout, Start& start) {
  v1::detail::ForeignWait wait("use_process", timeout);
  if (!wait.may_wait()) return;
  auto operation = std::make_shared<Operation>(wait.completion());
  const std::weak_ptr<Operation> watched = operation;  // the process itself must not keep it
  boost::asio::post(executor, [&outcome, &start, operation = std::move(operation)] {
    try {
      start(Handler<Signature>(outcome, operation));
    } catch (...) {  // not started: the handler is gone, and `operation` completes after this
      outcome.exception = std::current_exception();
    }
  });
  if (!wait.wait()) {
    boost::asio::post(executor, [watched] {
      if (const auto cancelled = watched.lock()) cancelled->cancellation.emit(boost::asio::cancellation_type::all);
    });
    wait.wait_for_end();
  }
  wait.leave_if_due();
  if (wait.timed_out() && outcome.error == boost::asio::error::operation_aborted) {
    outcome.error = boost::asio::error::timed_out;
  }
}

}  // namespace detail
}  // namespace asio
}  // namespace v1
}  // namespace coppice

template <class Executor, class R, class... Arguments>
class boost::asio::async_result<coppice::asio::UseProcess<Executor>, R(Arguments...)> {
  using Token = coppice::asio::UseProcess<Executor>;
  using Signature = coppice::asio::detail::Signature<std::decay_t<Arguments>...>;
  using Outcome = typename Signature::Outcome;

 public:
  template <class Initiation, class... InitArgs>
  static typename Outcome::Value initiate(Initiation&& initiation, Token token, InitArgs&&... arguments) {
    using E = decltype(coppice::asio::detail::executor_for(token, initiation, arguments...));
    static_assert(!std::is_void_v<E>,
                  "this operation does not show its executor: name it with use_process.on(executor)");
    const E executor = coppice::asio::detail::executor_for(token, initiation, arguments...);
    Outcome outcome;
    auto start = [&](auto handler) {
      std::forward<Initiation>(initiation)(std::move(handler), std::forward<InitArgs>(arguments)...);
    };
    coppice::asio::detail::perform<Signature>(outcome, executor, token.timeout(), start);
    if (outcome.exception) std::rethrow_exception(outcome.exception);
    if (token.error() != nullptr) {
      *token.error() = outcome.error;
    } else if (outcome.error) {
      throw boost::system::system_error(outcome.error);
    }
    if constexpr (Outcome::has_value) return value_of(outcome);
  }

 private:
  // An operation that was never run has no values: they are made of nothing, or the error is thrown all the same.
  static typename Outcome::Value value_of(Outcome& outcome) {
    using Values = typename decltype(outcome.values)::value_type;
    if (!outcome.values) {
      if constexpr (std::is_default_constructible_v<Values>) {
        outcome.values.emplace();
      } else {
        throw boost::system::system_error(outcome.error);
      }
    }
    if constexpr (std::tuple_size_v<Values> == 1) {
      return std::get<0>(*std::move(outcome.values));
    } else {
      return *std::move(outcome.values);
    }
  }
};
