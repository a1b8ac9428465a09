// SPDX-License-Identifier: Apache-2.0
//
// GenServer: a process that owns a state and handles one message at a time.
//
//   class Counter : public GenServer<Counter> {
//    public:
//     struct Increment {};
//     struct GetValue { using Reply = int; };
//     static constexpr Name<Counter> name{"Counter"};
//
//     explicit Counter(int initial = 0) : value_(initial) {}
//     void handle_cast(Increment) { ++value_; }
//     int handle_call(GetValue) const { return value_; }
//
//    private:
//     int value_;
//   };
//   Counter::start_link(0).value();
//   Counter::name.cast(Counter::Increment{});
//   int n = Counter::name.call(Counter::GetValue{});
//
// Client and server. Everything a class declares runs in its own process, but for what goes through an address
// (server_ref.hpp). Messages are handled in mailbox order, one at a time; a handler is never re-entered (GS-056).
//
// Starting. The constructor is `init`: it runs in the new process, which is registered by then, while the starter waits.
// If it throws, start_link returns that as its error and the starter gets the exit signal (GS-023). A class that needs
// more adds `Init init()`, called after the constructor: ok(), with .timeout(d), .hibernate() or .then(message);
// ignore(); stop(reason); error(reason).
//
// Handlers are found by overload: `handle_call(M)` for a message M that names its Reply, `handle_cast(M)`,
// `handle_info(M)`, `handle_continue(M)`. They take the message by value, const& or &&.
//   handle_call      returns the reply, an Answer<R> (reply(v), noreply(), stop(reason, v)), or, with a second parameter
//                    `From<R>`, void or Action: the reply is given later, by anybody.
//   all others       return void or Action: noreply(), stop(reason).
// Action and Answer take .timeout(d), .hibernate() and .then(message) for handle_continue.
//
// To move a message or a reply must never wait, as to copy a number does not: where it would matter that ends the server,
// with `{never_waits, message}`.
//
// handle_info gets what is no call and no cast. From a bare Pid, or from another node, arrive only the types listed in
// `using Messages = coppice::Messages<A, B>`; Down, ExitMessage, Timeout, Response, one TaskResult<T> (several are listed),
// and a catch-all `Term` or `std::any` need no listing. What nobody handles is logged as an error and the server goes on (GS-109).
//
// Never waiting. A message with `static constexpr bool never_waits = true;` beside its Reply promises for its handle_call
// that it does not wait: no receive, no call, no start, no await, no sleep, no blocking. If the server is idle it runs on its
// caller's stack, like a function, in a sixth less time; everything else is as ever. (One that returns an Answer or takes a
// From runs as others do.) A handler that breaks the promise ends its server with `{never_waits, message}`, whichever
// way it was called; yield() and checkpoint() do not let others run in it. It has 64 KiB of stack at least. For short
// handlers: a getter, a counter, a look into a map. OTP has no such thing.
//
// Ending. A handler ends its server by stop(reason), by throwing, or by exit(reason). `void terminate(const ExitReason&)`
// runs then, and at the parent's exit if `static constexpr bool trap_exit = true`; never after a kill (GS-092, GS-093).
// Destructors always run. After a throw, terminate sees the state as the handler left it.
//
// A class may also declare: `Term format_status() const` (what reports and sys::get_status show, GS-125),
// `std::string initial_call() const` (shown by process_info in place of the class), `static constexpr std::size_t
// stack_size`, `static constexpr bool migratable`.
//
// When not to use one: to run code that needs no state of its own. A server serialises its callers.
// OTP: gen_server, GenServer; rules GS-*. Timeouts: GS-079..GS-086.
#pragma once

#include <any>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <coppice/call.hpp>
#include <coppice/gen_server_dispatch.hpp>
#include <coppice/message.hpp>
#include <coppice/placed_call.hpp>
#include <coppice/print.hpp>
#include <coppice/process.hpp>
#include <coppice/runtime.hpp>
#include <coppice/server_name.hpp>
#include <coppice/server_ref.hpp>
#include <coppice/start_result.hpp>

namespace coppice {
inline namespace v1 {

class ChildSpec;
namespace detail {
template <class T, class... Args>
ChildSpec default_child_spec(Args&&... args);
}

// The base of a server class: class Counter : public GenServer<Counter>.
template <class S>
class GenServer {
 protected:
  class Action;

 public:
  // -- starting: by a process; `start` also by a foreign thread, which blocks ------------------------------------------

  // Starts a server linked to the caller, under S::name if the class declares one, and returns when its constructor and
  // init are done (GS-001). A failed start with an abnormal reason also sends the caller the exit signal.
  template <class... Args>
  static StartResult<S> start_link(Args&&... args) {
    return start_link_as(detail::default_options<S>(), std::forward<Args>(args)...);
  }
  // The same without a link: the server has no parent (GS-003).
  template <class... Args>
  static StartResult<S> start(Args&&... args) {
    return start_as(detail::default_options<S>(), std::forward<Args>(args)...);
  }
  // The same with a monitor, set with the process; StartResult::monitor() is its reference (GS-004).
  template <class... Args>
  static StartResult<S> start_monitor(Args&&... args) {
    return start_monitor_as(detail::default_options<S>(), std::forward<Args>(args)...);
  }
  // With options: another name or none, a timeout, spawn options.
  template <class... Args>
  static StartResult<S> start_link_as(const StartOptions& options, Args&&... args) {
    return StartResult<S>(detail::start_typed<S>(options, detail::Bond::link, std::forward<Args>(args)...));
  }
  template <class... Args>
  static StartResult<S> start_as(const StartOptions& options, Args&&... args) {
    return StartResult<S>(detail::start_typed<S>(options, detail::Bond::none, std::forward<Args>(args)...));
  }
  template <class... Args>
  static StartResult<S> start_monitor_as(const StartOptions& options, Args&&... args) {
    return StartResult<S>(detail::start_typed<S>(options, detail::Bond::monitor, std::forward<Args>(args)...));
  }

  // How a supervisor runs this server: id S, S::start_link with copies of the arguments, S::child_defaults. A class may
  // declare its own and begin with this one (SV-002). Needs child_spec.hpp.
  template <class... Args, class Spec = ChildSpec>
  [[nodiscard]] static Spec child_spec(Args&&... args) {
    return detail::default_child_spec<S>(std::forward<Args>(args)...);
  }

  // Turns the calling process, which was started through proc_lib, into a server with the state `server`; never returns
  // (GS-133). A given name must be registered to it already (GS-134). `first` is what a callback would return: noreply()
  // with a timeout, hibernation or a continuation.
  [[noreturn]] static void enter_loop(S& server, const ServerName& name = {}, Action first = {}) {
    detail::enter_server_loop(*detail::server_table<S>(), &server, name, std::move(first));
  }

 protected:
  GenServer() = default;
  ~GenServer() = default;
  GenServer(const GenServer&) = default;
  GenServer& operator=(const GenServer&) = default;

  // -- what callbacks return -----------------------------------------------------------------------------------------

  // noreply() or stop(reason).
  class [[nodiscard]] Action : public detail::Wish {
   public:
    Action() = default;
    // handle_info(Timeout) runs if no message has come for that long; 0: if none is there now (GS-079..GS-082).
    Action&& timeout(WaitTime d) && { return detail::wish_timeout(*this, d), std::move(*this); }
    // Nothing to do until the next message (GS-085).
    Action&& hibernate() && { return this->pause = detail::Pause::hibernate, std::move(*this); }
    // handle_continue(message) runs before any other message (GS-070).
    template <class M>
    Action&& then(M message) && {
      return set_continuation(*this, std::move(message)), std::move(*this);
    }
  };

  // The result of a handle_call with reply R.
  template <class R>
  class [[nodiscard]] Answer : public detail::Wish {
   public:
    Answer(R reply) : value(std::move(reply)) {}                // NOLINT: a bare reply is an answer
    Answer(Action action) : detail::Wish(std::move(action)) {}  // NOLINT: noreply(), stop(reason)
    template <class V>
      requires(!std::is_same_v<V, R> && std::is_convertible_v<V, R>)
    Answer(Answer<V> other) : detail::Wish(static_cast<detail::Wish&&>(other)) {  // NOLINT
      if (other.value) value.emplace(*std::move(other.value));
    }
    Answer&& timeout(WaitTime d) && { return detail::wish_timeout(*this, d), std::move(*this); }
    Answer&& hibernate() && { return this->pause = detail::Pause::hibernate, std::move(*this); }
    template <class M>
    Answer&& then(M message) && {
      return set_continuation(*this, std::move(message)), std::move(*this);
    }

    std::optional<R> value;
  };

  // The result of init: ok(), ignore(), stop(reason), or error(reason).
  class [[nodiscard]] Init : public detail::Wish {
   public:
    Init() = default;
    Init(Action action) : detail::Wish(std::move(action)) {}  // NOLINT: stop(reason)
    Init(Error error) {                                       // NOLINT: error(reason)
      this->verdict = detail::Verdict::error;
      this->reason = std::move(error.reason);
    }
    Init&& timeout(WaitTime d) && { return detail::wish_timeout(*this, d), std::move(*this); }
    Init&& hibernate() && { return this->pause = detail::Pause::hibernate, std::move(*this); }
    template <class M>
    Init&& then(M message) && {
      return set_continuation(*this, std::move(message)), std::move(*this);
    }
  };

  [[nodiscard]] static Init ok() { return {}; }
  [[nodiscard]] static Init ignore() {
    Init init;
    init.verdict = detail::Verdict::ignore;
    return init;
  }
  [[nodiscard]] static Action noreply() { return {}; }
  template <class V>
  [[nodiscard]] static Answer<std::decay_t<V>> reply(V&& value) {
    return Answer<std::decay_t<V>>(std::forward<V>(value));
  }
  // Ends the server with `reason` after terminate.
  [[nodiscard]] static Action stop(ExitReason reason) {
    Action action;
    action.verdict = detail::Verdict::stop;
    action.reason = std::move(reason);
    return action;
  }
  // The same; the caller gets `value` once terminate has run (GS-060).
  template <class V>
  [[nodiscard]] static Answer<std::decay_t<V>> stop(ExitReason reason, V&& value) {
    Answer<std::decay_t<V>> answer(std::forward<V>(value));
    answer.verdict = detail::Verdict::stop;
    answer.reason = std::move(reason);
    return answer;
  }

  // The server's own address, typed. Also in the constructor.
  [[nodiscard]] static ServerRef<S> self() { return ServerRef<S>(coppice::self()); }

 private:
  template <class M>
  static void set_continuation(detail::Wish& wish, M message) {
    if constexpr (!detail::HandlesContinue<S, M>) {
      static_assert(detail::HandlesContinue<S, M>, "then(message) needs a handle_continue for that message");
    } else {
      if (wish.continuation) wish.continuation->table->destroy(wish.continuation);
      wish.pause = detail::Pause::go_on;
      wish.continuation = detail::make_typed<S>(detail::continue_table<S, M>, std::move(message));
    }
  }
};

// -- asynchronous requests: the answers ---------------------------------------------------------------------------------

// A time of the runtime's monotonic clock until which to wait: `wait_response(request, Until{monotonic_time() + 2s})`
// (GS-078). One that is over: look once.
struct Until {
  std::chrono::nanoseconds time;
};

namespace detail {
COPPICE_API std::optional<Response> take_response(const Reference& request, WaitTime timeout);

[[nodiscard]] inline WaitTime time_left(const Until& deadline) {
  const std::chrono::nanoseconds left = deadline.time - monotonic_time();
  return left > std::chrono::nanoseconds(0) ? left : std::chrono::nanoseconds(0);
}

template <class R>
Result<R> read_response(const Response& response) {
  if (response.failed()) return Result<R>(Error{response.failure()});
  return Result<R>(*std::move(static_cast<ReplyNode<R>*>(response.node())->reply));
}
}  // namespace detail

// Waits for the answer; nullopt after the timeout, and the request goes on: ask again (GS-075). An error carries the bare
// cause: noproc, or the reason for which the server died.
template <class R>
[[nodiscard]] std::optional<Result<R>> wait_response(const Request<R>& request, WaitTime timeout) {
  std::optional<Response> response = detail::take_response(request.reference(), timeout);
  if (!response) return std::nullopt;
  return detail::read_response<R>(*response);
}
// The same, but a timeout gives the request up: its answer will be dropped.
template <class R>
[[nodiscard]] std::optional<Result<R>> receive_response(const Request<R>& request, WaitTime timeout) {
  std::optional<Result<R>> result = wait_response(request, timeout);
  if (!result) {
    if (!detail::abandon_request(request.reference())) return wait_response(request, std::chrono::seconds(0));
  }
  return result;
}
// The same two with a deadline.
template <class R>
[[nodiscard]] std::optional<Result<R>> wait_response(const Request<R>& request, const Until& deadline) {
  return wait_response(request, detail::time_left(deadline));
}
template <class R>
[[nodiscard]] std::optional<Result<R>> receive_response(const Request<R>& request, const Until& deadline) {
  return receive_response(request, detail::time_left(deadline));
}
// Is this message the answer to that request? nullopt if it is not (OTP: :no_reply).
template <class R>
[[nodiscard]] std::optional<Result<R>> check_response(const Response& response, const Request<R>& request) {
  if (response.request() != request.reference()) return std::nullopt;
  return detail::read_response<R>(response);
}

}  // namespace v1
}  // namespace coppice
