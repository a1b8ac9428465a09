// SPDX-License-Identifier: Apache-2.0
//
// Typed addresses of servers: ServerRef<S> (a pid that runs S) and Name<S> (a registered name). Both take the same
// calls:
//
//   static constexpr Name<Counter> name{"Counter"};
//   name.cast(Increment{});
//   int n = name.call(GetValue{});                     // 5 s; throws Exit
//   Result<int> r = name.try_call(GetValue{}, 1s);
//
// A message that the server does not handle is refused at compile time: the first line of the error names
// `does_not_handle_call<Counter, std::string>` and the like. An address that resolves to a process which runs something
// else is an unknown request there, never memory corruption. Any thread may use an address; a foreign thread that calls
// blocks. OTP: GenServer.call/3, cast/2, whereis/1, stop/3; rules GS-033..GS-056, GS-066..GS-068, GS-087..GS-091.
#pragma once

#include <chrono>
#include <string_view>
#include <type_traits>
#include <utility>

#include <coppice/call.hpp>
#include <coppice/process.hpp>
#include <coppice/result.hpp>
#include <coppice/server_name.hpp>
#include <coppice/timer.hpp>

namespace coppice {
inline namespace v1 {

// Never defined: their names are the compiler's message when a server has no handler for a message.
template <class Server, class Message>
struct does_not_handle_call;
template <class Server, class Message>
struct does_not_handle_cast;
template <class Server, class Message>
struct does_not_handle_info;

namespace detail {

// Converts to an M and to nothing else, so that overload resolution finds a handler for exactly this type.
template <class M>
struct exactly {
  exactly(const exactly&) = delete;
  template <class T>
    requires std::is_same_v<T, M>
  operator T() const;
};

template <class M>
concept Callable = requires { typename M::Reply; };

// A state machine answers for itself which events it has handlers for (state_machine_dispatch.hpp).
struct OnCall;
struct OnCast;
struct OnInfo;
template <class S, class Kind, class M>
concept MachineHandles = requires { requires S::template handles_event<Kind, M>(); };

template <class S, class M>
concept HandlesPlainCall =
    Callable<M> && requires(S& server, const exactly<M>& message) { server.handle_call(message); };
template <class S, class M>
concept HandlesFromCall = Callable<M> && requires(S& server, const exactly<M>& message, From<typename M::Reply> from) {
  server.handle_call(message, std::move(from));
};
template <class S, class M>
concept HandlesCall = HandlesPlainCall<S, M> || HandlesFromCall<S, M> || (Callable<M> && MachineHandles<S, OnCall, M>);
template <class S, class M>
concept HandlesCast =
    requires(S& server, const exactly<M>& message) { server.handle_cast(message); } || MachineHandles<S, OnCast, M>;
template <class S, class M>
concept HandlesInfo =
    requires(S& server, const exactly<M>& message) { server.handle_info(message); } || MachineHandles<S, OnInfo, M>;
template <class S, class M>
concept HandlesContinue = requires(S& server, const exactly<M>& message) { server.handle_continue(message); };

// Defined in gen_server.hpp: the tables of typed messages.
template <class S, class M>
[[nodiscard]] Signal* make_cast(M&& message);
template <class S, class M>
[[nodiscard]] Signal* make_info(M&& message);
template <class S, class M>
[[nodiscard]] CallNode* make_call(M&& message);
template <class M>
[[nodiscard]] Term request_term();
// Is its reply what its handler returns?
template <class S, class M>
consteval bool needs_no_envelope();
template <class S, class M>
struct PlacedRequest;

// A class may say as what its calls show in exit reasons, and how long they wait by default.
template <class S>
[[nodiscard]] WaitTime default_call_timeout() {
  if constexpr (requires { S::default_call_timeout; }) {
    return S::default_call_timeout;
  } else {
    return std::chrono::seconds(5);
  }
}
template <class S>
[[nodiscard]] CallTarget target_of(CallTarget target) {
  if constexpr (requires { S::call_module; }) target.module = S::call_module;
  return target;
}

[[nodiscard]] COPPICE_API Pid resolve(const ServerName& name);
COPPICE_API void stop_server(const CallTarget& target, const ExitReason& reason, WaitTime timeout);
}  // namespace detail

// A request under way: made by send_request. Move it, keep it, ask for its answer; dropping it does not withdraw the
// request. OTP: a request id (GS-075).
template <class R>
class Request {
 public:
  Request(const Reference& reference, Term server) : reference_(reference), server_(std::move(server)) {}
  [[nodiscard]] const Reference& reference() const noexcept { return reference_; }
  [[nodiscard]] const Term& server() const noexcept { return server_; }

 private:
  Reference reference_;
  Term server_;
};

namespace detail {
// What the addresses of one family of classes can do beside the rest: specialised by agent.hpp. `Address` is an Addressed.
template <class Address, class S>
class AddedOperations {};
}  // namespace detail

// What can be done with an address. `Address` has `pid()`, and `target_at(pid)` for what that has found.
template <class Address, class S>
class Addressed : public detail::AddedOperations<Address, S> {
 public:
  // Sends the request and waits for the reply: for 5 s if nothing else is said, and for ever if the server is a state
  // machine (SM-057). Blocks the calling process, never a thread; may be used anywhere in any function. Throws Exit with
  // `{cause, {GenServer, :call, [server, request, timeout]}}`, cause being noproc, timeout, calling_self,
  // {deadlock, pids}, no_reply, or the reason for which the server died before it replied. A request whose caller has timed
  // out is handled all the same (GS-044). Uncaught, the Exit ends the caller.
  template <class M>
  auto call(M&& message, WaitTime timeout = detail::default_call_timeout<S>()) const {
    using Message_ = std::remove_cvref_t<M>;
    if constexpr (!detail::HandlesCall<S, Message_>) {
      return typename does_not_handle_call<S, Message_>::see_the_handlers_of_the_server{};
    } else if constexpr (detail::needs_no_envelope<S, Message_>()) {
      return call_placed(Message_(std::forward<M>(message)), timeout);
    } else {
      using R = typename Message_::Reply;
      detail::CallNode* node = nullptr;
      void* failed = nullptr;
      {
        const detail::CallTarget target = detail::target_of<S>(this->target());
        const detail::CallOutcome outcome = detail::perform_call(target, detail::make_call<S>(std::forward<M>(message)),
                                                                 detail::type_identity<Message_>, timeout);
        node = outcome.node;
        if (node == nullptr) {
          failed = detail::make_call_exit(target, detail::request_term<Message_>(), timeout, outcome);
        }
      }
      if (node == nullptr) detail::throw_made(failed);
      return take_reply<R>(node);
    }
  }

  // The same; a failure is a value: the bare cause.
  template <class M>
  auto try_call(M&& message, WaitTime timeout = detail::default_call_timeout<S>()) const {
    using Message_ = std::remove_cvref_t<M>;
    if constexpr (!detail::HandlesCall<S, Message_>) {
      return typename does_not_handle_call<S, Message_>::see_the_handlers_of_the_server{};
    } else if constexpr (detail::needs_no_envelope<S, Message_>()) {
      return try_call_placed(Message_(std::forward<M>(message)), timeout);
    } else {
      using R = typename Message_::Reply;
      detail::CallOutcome outcome = detail::perform_call(target(), detail::make_call<S>(std::forward<M>(message)),
                                                         detail::type_identity<Message_>, timeout);
      if (outcome.node == nullptr) return Result<R>(Error{std::move(outcome.cause)});
      return Result<R>(take_reply<R>(outcome.node));
    }
  }

  // Sends a message that nobody answers. Succeeds whatever is at the address (GS-066).
  template <class M>
  void cast(M&& message) const {
    using Message_ = std::remove_cvref_t<M>;
    if constexpr (!detail::HandlesCast<S, Message_>) {
      (void)typename does_not_handle_cast<S, Message_>::see_the_handlers_of_the_server{};
    } else {
      detail::send(address().pid(), detail::make_cast<S>(std::forward<M>(message)));
    }
  }

  // Sends a message to handle_info.
  template <class M>
  void send(M&& message) const {
    using Message_ = std::remove_cvref_t<M>;
    if constexpr (!detail::HandlesInfo<S, Message_>) {
      (void)typename does_not_handle_info<S, Message_>::see_the_handlers_of_the_server{};
    } else {
      detail::send(address().pid(), detail::make_info<S>(std::forward<M>(message)));
    }
  }

  // Sends the request and goes on; the answer is fetched by wait_response, receive_response or check_response
  // (gen_server.hpp). Never fails: that there is no such server is told by the answer (GS-076). Not for foreign threads.
  template <class M>
  [[nodiscard]] auto send_request(M&& message) const {
    using Message_ = std::remove_cvref_t<M>;
    if constexpr (!detail::HandlesCall<S, Message_>) {
      return typename does_not_handle_call<S, Message_>::see_the_handlers_of_the_server{};
    } else {
      const detail::CallTarget target = this->target();
      const Reference reference = detail::start_request(target.pid, detail::make_call<S>(std::forward<M>(message)));
      return Request<typename Message_::Reply>(reference, target.shown());
    }
  }

  // Asks the server to end with `reason`, behind the messages it has already, and waits until it is gone: its name is
  // free then. Throws Exit with `{reason2, {GenServer, :stop, [...]}}` if it ended otherwise, is not there (noproc), is
  // the caller (calling_self), or takes longer (timeout).
  void stop(const ExitReason& reason = ExitReason::normal(), WaitTime timeout = infinity) const {
    detail::stop_server(target(), reason, timeout);
  }

  // As a call needs it.
  [[nodiscard]] detail::CallTarget target() const { return address().target_at(address().pid()); }
  // Finds the server, and calls it without an envelope if that may be.
  [[nodiscard]] bool call_at(Pid& pid, detail::PlacedCall& call, WaitTime timeout) const {
    pid = address().pid();
    return detail::call_without_envelope(pid, call, timeout);
  }

 private:
  [[nodiscard]] const Address& address() const noexcept { return static_cast<const Address&>(*this); }

  // Of a handler whose reply is what it returns: by the way through the mailbox if it cannot do without an envelope.
  template <class M>
  typename M::Reply call_placed(M message, WaitTime timeout) const {
    void* failed = nullptr;
    {
      detail::PlacedRequest<S, M> call(std::move(message));
      Pid pid;
      if (!address().call_at(pid, call, timeout)) {
        call.outcome =
            detail::perform_call(detail::target_of<S>(address().target_at(pid)),
                                 detail::make_call<S>(std::move(call.request)), detail::type_identity<M>, timeout);
      }
      if (call.answered) [[likely]]
        return *std::move(call.reply);
      if (call.outcome->node != nullptr) return take_reply<typename M::Reply>(call.outcome->node);
      failed = detail::make_call_exit(detail::target_of<S>(address().target_at(pid)), detail::request_term<M>(),
                                      timeout, *call.outcome);
    }
    detail::throw_made(failed);
  }
  template <class M>
  Result<typename M::Reply> try_call_placed(M message, WaitTime timeout) const {
    using R = typename M::Reply;
    detail::PlacedRequest<S, M> call(std::move(message));
    Pid pid;
    if (!address().call_at(pid, call, timeout)) {
      call.outcome = detail::perform_call(address().target_at(pid), detail::make_call<S>(std::move(call.request)),
                                          detail::type_identity<M>, timeout);
    }
    if (call.answered) [[likely]]
      return Result<R>(*std::move(call.reply));
    if (call.outcome->node != nullptr) return Result<R>(take_reply<R>(call.outcome->node));
    return Result<R>(Error{std::move(call.outcome->cause)});
  }
  template <class R>
  static R take_reply(detail::CallNode* node) {
    detail::MessageOwner owner{node};
    return *std::move(static_cast<detail::ReplyNode<R>*>(node)->reply);
  }
};

// A process that runs S. A value like a Pid, and converts to one; made by start_link, self() and whereis.
template <class S>
class ServerRef : public Addressed<ServerRef<S>, S> {
 public:
  ServerRef() = default;
  explicit ServerRef(const Pid& pid) noexcept : pid_(pid) {}
  [[nodiscard]] const Pid& pid() const noexcept { return pid_; }
  operator const Pid&() const noexcept { return pid_; }  // NOLINT: a typed address is an address
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(pid_); }
  [[nodiscard]] detail::CallTarget target_at(const Pid& pid) const { return {.pid = pid}; }
  friend bool operator==(const ServerRef& left, const ServerRef& right) noexcept { return left.pid_ == right.pid_; }

 private:
  Pid pid_;
};

// The local name under which a server of class S is registered. constexpr: costs nothing until it is used; each use looks
// the name up, by a hash that is a constant too.
template <class S>
class Name : public Addressed<Name<S>, S> {
 public:
  constexpr explicit Name(const char* text) noexcept : text_(text), hash_(detail::hash_text(text_)) {}
  [[nodiscard]] constexpr std::string_view text() const noexcept { return text_; }
  operator ServerName() const { return ServerName(text_); }  // NOLINT: goes where a name is asked for
  // The process that has the name now; none if nobody.
  [[nodiscard]] Pid pid() const { return detail::whereis(text_, hash_); }
  [[nodiscard]] ServerRef<S> whereis() const { return ServerRef<S>(pid()); }
  [[nodiscard]] detail::CallTarget target_at(const Pid& pid) const { return {.pid = pid, .name = text_}; }
  [[nodiscard]] bool call_at(Pid& pid, detail::PlacedCall& call, WaitTime timeout) const {
    return detail::call_without_envelope(text_, hash_, pid, call, timeout);
  }

 private:
  std::string_view text_;
  std::uint64_t hash_;
};

// A name in a via module, typed.
template <class S>
class Via : public Addressed<Via<S>, S> {
 public:
  Via(ViaModule& module, Term name) : name_(module, std::move(name)) {}
  explicit Via(ServerName name) : name_(std::move(name)) {}
  operator ServerName() const { return name_; }  // NOLINT
  [[nodiscard]] Pid pid() const { return name_.whereis(); }
  [[nodiscard]] ServerRef<S> whereis() const { return ServerRef<S>(pid()); }
  [[nodiscard]] detail::CallTarget target_at(const Pid& pid) const { return {pid, name_.term()}; }

 private:
  ServerName name_;
};

// send to a typed address: handle_info of the server.
template <class S, class M>
void send(const ServerRef<S>& to, M&& message) {
  to.send(std::forward<M>(message));
}
template <class S, class M>
void send(const Name<S>& to, M&& message) {
  to.send(std::forward<M>(message));
}

// send_after to a typed address: see timer.hpp.
template <class S, class M>
Reference send_after(const ServerRef<S>& to, M&& message, WaitTime delay, const TimerOptions& options = {}) {
  using Message_ = std::remove_cvref_t<M>;
  if constexpr (!detail::HandlesInfo<S, Message_>) {
    (void)typename does_not_handle_info<S, Message_>::see_the_handlers_of_the_server{};
    return {};
  } else {
    const Reference timer = detail::new_timer_reference();
    detail::start_timer(timer, to.pid(), {}, detail::make_info<S>(std::forward<M>(message)), delay, options.absolute);
    return timer;
  }
}
template <class S, class M>
Reference send_after(const Name<S>& to, M&& message, WaitTime delay, const TimerOptions& options = {}) {
  using Message_ = std::remove_cvref_t<M>;
  if constexpr (!detail::HandlesInfo<S, Message_>) {
    (void)typename does_not_handle_info<S, Message_>::see_the_handlers_of_the_server{};
    return {};
  } else {
    const Reference timer = detail::new_timer_reference();
    detail::start_timer(timer, {}, to.text(), detail::make_info<S>(std::forward<M>(message)), delay, options.absolute);
    return timer;
  }
}

}  // namespace v1
}  // namespace coppice
