// SPDX-License-Identifier: Apache-2.0
//
// Agent: a process that holds one value and applies functions to it, one at a time.
//
//   inline constexpr Agent<int>::Name counter{"Counter"};
//
//   Agent<int>::start_link({.name = counter}, [] { return 0; }).value();
//   counter.update([](int& n) { ++n; });
//   int n = counter.get([](int n) { return n; });
//   int before = counter.get_and_update([](int& n) { return std::exchange(n, 0); });
//   counter.cast([](int& n) { n += 5; });                    // does not wait
//
// The functions run in the agent (AG-018): self(), the dictionary and links are the agent's, and everybody else waits
// while one runs; compute in the client what can be computed there. A function is moved to the agent with all that it
// has captured: capture by value. A reference to a local variable is only sound while the caller surely waits, and a
// caller whose time is over does not (AG-013).
//
// A function that throws, or exits, ends the agent with that reason, and its caller fails with it (AG-011, AG-012): the
// value is gone. To report an error, return it.
//
// An agent is a GenServer; its addresses (Agent<T>::Name, Agent<T>::Ref, a via) may be used by any process and by
// foreign threads, which block. A foreign thread cannot start_link. Unknown messages are logged and ignored (AG-015). It
// is stopped as any server is: `counter.stop()`.
//
// When not to use one: as soon as the value wants functions of its own, write a GenServer class.
// Elixir: Agent; rules AG-*.
#pragma once

#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <coppice/gen_server.hpp>

namespace coppice {
inline namespace v1 {

template <class T>
class Agent;

namespace detail {

// A function type as people read it.
[[nodiscard]] COPPICE_API std::string function_name(const std::type_info& type);

template <class F>
struct AgentStart {
  F function;
};

// Gives typed deliveries access to the value.
struct AgentAccess {
  template <class T>
  static T& value(ServerBody& body) noexcept {
    return server_of<Agent<T>>(body).value_;
  }
};

// What a function returns, as a value that may travel.
template <class R>
using AgentReply = std::conditional_t<std::is_void_v<R>, Ok, std::remove_cvref_t<R>>;

template <class F, class... Args>
auto agent_apply(F& function, Args&&... args) -> AgentReply<decltype(function(std::forward<Args>(args)...))> {
  if constexpr (std::is_void_v<decltype(function(std::forward<Args>(args)...))>) {
    function(std::forward<Args>(args)...);
    return Ok{};
  } else {
    return function(std::forward<Args>(args)...);
  }
}

// The three requests. Their names are how a request shows in an exit reason and in reports.
struct Get {
  template <class F, class T>
  static auto apply(F& function, T& value) {
    return agent_apply(function, std::as_const(value));
  }
};
struct Update {
  template <class F, class T>
  static Ok apply(F& function, T& value) {
    if constexpr (std::is_invocable_v<F&, T&>) {
      if constexpr (std::is_convertible_v<std::invoke_result_t<F&, T&>, T>) {
        value = function(value);
      } else {
        static_assert(std::is_void_v<std::invoke_result_t<F&, T&>>,
                      "an update takes the value by reference and returns nothing, or returns the new value");
        function(value);
      }
    } else {
      value = function(std::move(value));
    }
    return {};
  }
};
struct GetAndUpdate {
  template <class F, class T>
  static auto apply(F& function, T& value) {
    return agent_apply(function, value);
  }
};
template <class Kind>
Term describe_agent_request(const void*) {
  return Term(type_tag_of<Kind>());
}

template <class T, class F, class R, class Kind>
void deliver_to_agent(ServerBody& body, Signal* signal) {
  auto* node = static_cast<Envelope<F, R>*>(signal);
  body.unanswered = node;
  node->reply.emplace(Kind::apply(node->request_value, AgentAccess::value<T>(body)));
  note_reply<R>(body, node);
  body.unanswered = nullptr;
  send_reply(node);
}

template <class T, class F, class R, class Kind>
inline constexpr SignalTable agent_call_table{SignalKind::message,
                                              envelope_offset<F, R>(),
                                              &type_identity<Kind>,
                                              server_table<Agent<T>>(),
                                              &destroy_node<Envelope<F, R>>,
                                              &deliver_to_agent<T, F, R, Kind>,
                                              &bounce_call,
                                              &describe_agent_request<Kind>};

// What an agent's addresses can do beside what those of every server can.
template <class Address, class T>
class AddedOperations<Address, Agent<T>> {
  static constexpr std::chrono::seconds agent_timeout{5};

 public:
  // Returns function(value); the value is const for it (AG-005). Waits at most `timeout`, 5 s by default. Throws Exit with
  // `{cause, {GenServer, :call, [agent, :get, timeout]}}` if the agent is not there, ends, or takes longer; in the last
  // case the function still runs (AG-013), as it does when the caller ends meanwhile. A function that returns nothing gives
  // Ok.
  template <class F>
  auto get(F function, WaitTime timeout = agent_timeout) const {
    return ask<Get, decltype(Get::apply(function, std::declval<T&>()))>(std::move(function), timeout);
  }
  // Changes the value: function(T&) in place, or the value becomes what function(T) returns. Returns when that is done
  // (AG-006); fails as get.
  template <class F>
  void update(F function, WaitTime timeout = agent_timeout) const {
    ask<Update, Ok>(std::move(function), timeout);
  }
  // function(T&) changes the value in place and returns what the caller gets (AG-007); fails as get.
  template <class F>
  auto get_and_update(F function, WaitTime timeout = agent_timeout) const {
    return ask<GetAndUpdate, decltype(GetAndUpdate::apply(function, std::declval<T&>()))>(std::move(function), timeout);
  }
  // The same three; a failure is a value, the bare cause. (Elixir has no such thing.)
  template <class F>
  auto try_get(F function, WaitTime timeout = agent_timeout) const {
    return try_ask<Get, decltype(Get::apply(function, std::declval<T&>()))>(std::move(function), timeout);
  }
  template <class F>
  Result<> try_update(F function, WaitTime timeout = agent_timeout) const {
    return try_ask<Update, Ok>(std::move(function), timeout);
  }
  template <class F>
  auto try_get_and_update(F function, WaitTime timeout = agent_timeout) const {
    return try_ask<GetAndUpdate, decltype(GetAndUpdate::apply(function, std::declval<T&>()))>(std::move(function),
                                                                                              timeout);
  }

 private:
  template <class Kind, class R, class F>
  static CallNode* make_request(F&& function) {
    using Function = std::remove_cvref_t<F>;
    static_assert(safe_message<R>, "a function may not return a pointer, string_view or span into the agent");
    auto* node = make_node<Envelope<Function, R>>(std::forward<F>(function));
    node->table = &agent_call_table<T, Function, R, Kind>;
    node->reply_table = &reply_table<Function, R>;
    return node;
  }
  template <class R>
  static R take(CallNode* node) {
    MessageOwner owner{node};
    return *std::move(static_cast<ReplyNode<R>*>(node)->reply);
  }
  template <class Kind, class R, class F>
  R ask(F function, WaitTime timeout) const {
    const CallTarget target = static_cast<const Address&>(*this).target();
    CallNode* request = make_request<Kind, R>(std::move(function));
    CallOutcome outcome = perform_call(target, request, type_identity<Kind>, timeout);
    if (outcome.node == nullptr) throw_made(make_call_exit(target, Term(type_tag_of<Kind>()), timeout, outcome));
    return take<R>(outcome.node);
  }
  template <class Kind, class R, class F>
  Result<R> try_ask(F function, WaitTime timeout) const {
    CallOutcome outcome = perform_call(static_cast<const Address&>(*this).target(),
                                       make_request<Kind, R>(std::move(function)), type_identity<Kind>, timeout);
    if (outcome.node == nullptr) return Result<R>(Error{std::move(outcome.cause)});
    return Result<R>(take<R>(outcome.node));
  }
};

}  // namespace detail

template <class T>
class Agent : public GenServer<Agent<T>> {
 public:
  using Value = T;
  using Options = StartOptions;          // child<Agent<int>>({.name = counter}, f), with child_spec.hpp (AG-017)
  using Name = coppice::Name<Agent<T>>;  // constexpr: `inline constexpr Agent<int>::Name counter{"Counter"}`
  using Ref = ServerRef<Agent<T>>;       // what start_link's value() is

  // Starts an agent linked to the caller; returns when `function()` has run in it. What it returns is the value,
  // whatever it is (AG-002). Errors: `{:already_started, pid}`, `:timeout` (StartOptions::timeout), the exception or
  // exit of the function. By a process (AG-001).
  template <class F>
  static StartResult<Agent> start_link(const StartOptions& options, F function) {
    return GenServer<Agent>::start_link_as(options, detail::AgentStart<F>{std::move(function)});
  }
  template <class F>
  static StartResult<Agent> start_link(F function) {
    return start_link(StartOptions{}, std::move(function));
  }
  // The same without a link; also by a foreign thread.
  template <class F>
  static StartResult<Agent> start(const StartOptions& options, F function) {
    return GenServer<Agent>::start_as(options, detail::AgentStart<F>{std::move(function)});
  }
  template <class F>
  static StartResult<Agent> start(F function) {
    return start(StartOptions{}, std::move(function));
  }

  // For the server machinery: `address.cast(function)` is update that returns at once, also if there is no such agent
  // (AG-009).
  template <class F>
  void handle_cast(F&& function) {
    detail::Update::apply(function, value_);
  }
  template <class F>
  explicit Agent(detail::AgentStart<F> start) : value_(start.function()), function_(&typeid(F)) {}
  [[nodiscard]] Term format_status() const { return detail::describe_payload<T>(&value_); }
  [[nodiscard]] std::string initial_call() const { return detail::function_name(*function_); }  // AG-003

 private:
  friend struct detail::AgentAccess;
  T value_;
  const std::type_info* function_;
};

}  // namespace v1
}  // namespace coppice
