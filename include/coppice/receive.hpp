// SPDX-License-Identifier: Apache-2.0
//
// Selective receive: take the oldest message that one of several handlers accepts, leave all others queued in order.
//
//   receive([](const Ping& ping) { send(ping.from, Pong{}); },
//           when([](const Down& down) { return down.reason != ExitReason::normal(); },
//                [](const Down& down) { logger::warning("{} is gone", down.pid); }),
//           after(30s, [] { exit(ExitReason::normal()); }));
//   std::optional<Pong> pong = receive<Pong>(1s);
//
// Messages are examined oldest first and, for each, the handlers in source order (PR-030). A handler takes its message
// by value, by const reference or by rvalue reference; a handler for Term is a catch-all. Waiting blocks the process,
// never a thread; a fatal signal that arrives meanwhile ends the process there (PR-032, PR-033). Not for foreign
// threads. OTP: receive/1; rules PR-030..PR-037.
#pragma once

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <coppice/message.hpp>
#include <coppice/process.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

// One handler, type-erased: which type it takes (null: any), and whether it accepts a payload.
struct Pattern {
  const TypeIdentity* type;
  bool (*accepts)(const void* handler, const void* payload);  // null: always
  const void* handler;
};

struct Match {
  Signal* message = nullptr;  // null: the time is over
  std::size_t pattern = 0;
};

// Takes the first matching message out of the mailbox, waiting for it until the timeout. In pattern.cpp.
COPPICE_API Match receive_match(const Pattern* patterns, std::size_t count, WaitTime timeout);
COPPICE_API Term term_of_message(const Signal* message);
// The process leaves, so that a receive without deadline ended without a message: throws what unwinds it again.
[[noreturn]] COPPICE_API void leave_endless_receive();

template <class F>
struct argument_of : argument_of<decltype(&F::operator())> {};
template <class C, class R, class A>
struct argument_of<R (C::*)(A)> {
  using type = A;
  using result = R;
};
template <class C, class R, class A>
struct argument_of<R (C::*)(A) const> {
  using type = A;
  using result = R;
};
template <class C, class R, class A>
struct argument_of<R (C::*)(A) noexcept> {
  using type = A;
  using result = R;
};
template <class C, class R, class A>
struct argument_of<R (C::*)(A) const noexcept> {
  using type = A;
  using result = R;
};
template <class R, class A>
struct argument_of<R (*)(A)> {
  using type = A;
  using result = R;
};

}  // namespace detail

// A handler with a condition: made by when().
template <class P, class F>
struct When {
  P condition;
  F handler;
};
// What to do when no message has matched in time: made by after().
template <class F>
struct After {
  WaitTime timeout;
  F handler;
};

// Accepts a message only if `condition(message)` is true. The condition sees the message while it is still queued, must
// take it by const reference or value and must neither wait nor receive. OTP: `when`.
template <class P, class F>
[[nodiscard]] When<P, F> when(P condition, F handler) {
  return {std::move(condition), std::move(handler)};
}

// The last argument of receive: runs if nothing has matched for `timeout`; 0 looks once at every message that is
// already there (PR-031). OTP: `after`.
template <class F>
[[nodiscard]] After<F> after(WaitTime timeout, F handler) {
  return {timeout, std::move(handler)};
}

namespace detail {

template <class H>
struct HandlerTraits {
  using Argument = std::remove_cvref_t<typename argument_of<std::decay_t<H>>::type>;
  using Result = typename argument_of<std::decay_t<H>>::result;
  static constexpr bool conditional = false;
  static constexpr bool timed = false;
};
template <class P, class F>
struct HandlerTraits<When<P, F>> : HandlerTraits<F> {
  static constexpr bool conditional = true;
};
template <class F>
struct HandlerTraits<After<F>> {
  using Argument = void;
  using Result = std::invoke_result_t<F>;
  static constexpr bool conditional = false;
  static constexpr bool timed = true;
};

template <class H>
struct is_handler : std::bool_constant<std::is_function_v<std::remove_pointer_t<H>>> {};
template <class H>
  requires requires { &H::operator(); }
struct is_handler<H> : std::true_type {};
template <class P, class F>
struct is_handler<When<P, F>> : std::true_type {};
template <class F>
struct is_handler<After<F>> : std::true_type {};

// What receive(...) takes: a callable with one parameter and no template, when(...), or after(...).
template <class H>
concept Handler = is_handler<std::decay_t<H>>::value;

template <class H>
Pattern make_pattern(const H& handler) {
  using T = HandlerTraits<H>;
  if constexpr (T::timed) {
    return {nullptr, [](const void*, const void*) { return false; }, nullptr};
  } else {
    using M = typename T::Argument;
    Pattern pattern{std::is_same_v<M, Term> ? nullptr : &type_identity<M>, nullptr, &handler};
    if constexpr (T::conditional) {
      static_assert(!std::is_same_v<M, Term>, "a catch-all for Term takes no condition: test it in the handler");
      pattern.accepts = [](const void* h, const void* payload) {
        return static_cast<bool>(static_cast<const H*>(h)->condition(*static_cast<const M*>(payload)));
      };
    }
    return pattern;
  }
}

template <class R, class H>
R run_handler(H& handler, Signal* message) {
  using T = HandlerTraits<std::remove_cvref_t<H>>;
  if constexpr (T::timed) {
    return handler.handler();
  } else {
    using M = typename T::Argument;
    auto& function = [&]() -> auto& {
      if constexpr (T::conditional) {
        return handler.handler;
      } else {
        return handler;
      }
    }();
    if constexpr (std::is_same_v<M, Term>) {
      return function(term_of_message(message));
    } else {
      return function(std::move(*static_cast<M*>(payload_of(message))));
    }
  }
}

template <class R, class... Hs, std::size_t... Is>
R dispatch(std::size_t index, Signal* message, std::index_sequence<Is...>, Hs&... handlers) {
  if constexpr (std::is_void_v<R>) {
    (void)((index == Is ? (run_handler<R>(handlers, message), true) : false) || ...);
  } else {
    std::optional<R> result;
    (void)((index == Is ? (result.emplace(run_handler<R>(handlers, message)), true) : false) || ...);
    return *std::move(result);
  }
}

template <class... Hs>
struct common_result {
  using type = std::common_type_t<typename HandlerTraits<Hs>::Result...>;
};

}  // namespace detail

// Waits for a message that one of the handlers accepts, runs that handler with it and returns what it returns. Handlers
// are callables with one parameter, when(...), and last, at most one, after(...). All return types must have a common
// one. A handler that throws has consumed its message. In a destructor while the process leaves it returns at once: after
// after(...), if there is one, else without having run a handler; one that has to return a value throws, as below.
template <class... Handlers>
  requires(sizeof...(Handlers) > 0 && (detail::Handler<Handlers> && ...))
auto receive(Handlers&&... handlers) {
  using R = typename detail::common_result<std::decay_t<Handlers>...>::type;
  constexpr std::size_t timed = (std::size_t{0} + ... + detail::HandlerTraits<std::decay_t<Handlers>>::timed);
  static_assert(timed <= 1, "receive takes one after(...), as its last argument");
  const detail::Pattern patterns[] = {detail::make_pattern<std::decay_t<Handlers>>(handlers)...};
  constexpr std::size_t messages = sizeof...(Handlers) - timed;
  WaitTime timeout = infinity;
  [[maybe_unused]] const auto note_timeout = [&]<class H>(const H& handler) {
    if constexpr (detail::HandlerTraits<H>::timed) timeout = handler.timeout;
  };
  (note_timeout(handlers), ...);
  detail::Match match = detail::receive_match(patterns, messages, timeout);
  if (timed == 0 && match.message == nullptr) {
    if constexpr (std::is_void_v<R>) {
      return;
    } else {
      detail::leave_endless_receive();
    }
  }
  detail::MessageOwner owner{match.message};
  const std::size_t index = match.message ? match.pattern : sizeof...(Handlers) - 1;
  return detail::dispatch<R>(index, match.message, std::index_sequence_for<Handlers...>{}, handlers...);
}

// Waits for a T and returns it; other messages stay queued, in order. With several types: a std::variant of them. In a
// destructor while the process leaves there is nothing to return: it throws what unwinds the stack, which a destructor
// must not let out. Use a receive with a deadline there.
template <class T, class... Ts>
auto receive() {
  const detail::Pattern patterns[] = {{&detail::type_identity<T>, nullptr, nullptr},
                                      {&detail::type_identity<Ts>, nullptr, nullptr}...};
  detail::Match match = detail::receive_match(patterns, 1 + sizeof...(Ts), infinity);
  if (match.message == nullptr) detail::leave_endless_receive();
  detail::MessageOwner owner{match.message};
  if constexpr (sizeof...(Ts) == 0) {
    return T(std::move(*static_cast<T*>(detail::payload_of(match.message))));
  } else {
    std::optional<std::variant<T, Ts...>> result;
    std::size_t i = 0;
    const auto take = [&]<class M>(std::in_place_type_t<M> which) {
      if (match.pattern == i++) result.emplace(which, std::move(*static_cast<M*>(detail::payload_of(match.message))));
    };
    take(std::in_place_type<T>);
    (take(std::in_place_type<Ts>), ...);
    return *std::move(result);
  }
}

// The same with a deadline: nullopt if no T has come in time; 0 looks once at every queued message (PR-031).
template <class T>
[[nodiscard]] std::optional<T> receive(WaitTime timeout) {
  const detail::Pattern pattern{&detail::type_identity<T>, nullptr, nullptr};
  detail::Match match = detail::receive_match(&pattern, 1, timeout);
  if (!match.message) return std::nullopt;
  detail::MessageOwner owner{match.message};
  return std::optional<T>(std::move(*static_cast<T*>(detail::payload_of(match.message))));
}

}  // namespace v1
}  // namespace coppice
