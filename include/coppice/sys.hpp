// SPDX-License-Identifier: Apache-2.0
//
// sys: look into a running server, hold it, follow it. Every server answers these requests between two callbacks, also
// while it is suspended (GS-113).
//
//   Counter copy = sys::get_state<Counter>(Counter::name);
//   sys::replace_state<Counter>(Counter::name, [](Counter& counter) { counter = Counter(7); });
//   sys::suspend(Counter::name.pid());
//
// Any thread; a foreign one blocks. A failure throws Exit with `{cause, {:sys, function, [server]}}`: noproc, timeout,
// calling_self, or what ended the server. Requests are served in mailbox order, but by a suspended server at once. OTP:
// the module sys; rules GS-113..GS-124.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/gen_server.hpp>

namespace coppice {
inline namespace v1 {
namespace sys {

inline constexpr std::chrono::seconds default_timeout{5};

// Something that a server did: OTP's debug events.
struct Event {
  enum class Kind : std::uint8_t { in, out, noreply } kind = Kind::in;
  Term message;  // in: the message; out: the reply; what does not convert is shown by its type's name
  Pid to;        // out: the caller
  Term state;    // out, noreply: as format_status shows it

  [[nodiscard]] Term term() const { return to_term(); }
  // {:in, message}, {:out, reply, to, state}, {:noreply, state}.
  [[nodiscard]] COPPICE_API Term to_term() const;
};

struct Statistics {
  std::chrono::system_clock::time_point start_time;
  std::chrono::system_clock::time_point current_time;
  std::uint64_t reductions = 0;
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;
};

enum class Status : std::uint8_t { running, suspended };

// OTP: `{:status, pid, {:module, module}, [dictionary, status, parent, debug, misc]}` (GS-115).
struct ServerStatus {
  Pid pid;
  std::string module;
  std::vector<std::pair<Term, Term>> dictionary;
  Status status = Status::running;
  Pid parent;
  std::vector<Event> log;
  Term state;  // through format_status if the class has it
};

// Called in the server for each event; false removes it, and so does throwing (GS-121).
using DebugFunction = std::function<bool(const Event& event)>;

}  // namespace sys

namespace detail {

// A question that is answered in the server's process. `answer` throws to fail the request.
struct SystemQuestion {
  virtual ~SystemQuestion() = default;
  virtual void answer(ServerBody& server) = 0;
};
COPPICE_API void ask_system(const CallTarget& target, std::shared_ptr<SystemQuestion> question, WaitTime timeout);
COPPICE_API CallTarget system_target(const ServerName& name, std::string_view function);
COPPICE_API CallTarget system_target(const Pid& pid, std::string_view function);
[[noreturn]] COPPICE_API void throw_wrong_server(std::string_view wanted, std::string_view got);

template <class S, class F>
struct StateQuestion final : SystemQuestion {
  F function;
  explicit StateQuestion(F f) : function(std::move(f)) {}
  void answer(ServerBody& server) override {
    if (server.table != server_table<S>()) throw_wrong_server(type_name_of<S>(), server.table->name);
    function(*static_cast<S*>(server.state));
  }
};

}  // namespace detail

namespace sys {

// A copy of the server's object, made in the server (GS-114). The process must run an S, else the request fails with
// `{badarg, text}`.
template <class S, class Address>
[[nodiscard]] S get_state(const Address& server, WaitTime timeout = default_timeout) {
  static_assert(std::is_copy_constructible_v<S>, "get_state copies the server's object: it must be copyable");
  auto copy = std::make_shared<std::optional<S>>();
  const auto read = [copy](const S& state) { copy->emplace(state); };
  detail::ask_system(detail::system_target(server, "get_state"),
                     std::make_shared<detail::StateQuestion<S, decltype(read)>>(read), timeout);
  return **std::move(copy);
}

// Applies `function` to the server's object, in the server. If it throws, the request fails with
// `{:callback_failed, ...}`, the server lives, and its state is as the function left it (OTP: as before; a C++ object is
// changed in place). GS-114.
template <class S, class Address, class F>
void replace_state(const Address& server, F function, WaitTime timeout = default_timeout) {
  const auto change = [function = std::move(function)](S& state) mutable { function(state); };
  detail::ask_system(detail::system_target(server, "replace_state"),
                     std::make_shared<detail::StateQuestion<S, std::decay_t<decltype(change)>>>(change), timeout);
}

// The state as reports show it, without knowing its class.
[[nodiscard]] COPPICE_API Term get_state_term(const ServerName& server, WaitTime timeout = default_timeout);
[[nodiscard]] COPPICE_API Term get_state_term(const Pid& server, WaitTime timeout = default_timeout);
[[nodiscard]] COPPICE_API ServerStatus get_status(const ServerName& server, WaitTime timeout = default_timeout);
[[nodiscard]] COPPICE_API ServerStatus get_status(const Pid& server, WaitTime timeout = default_timeout);

// From suspend to resume only system messages and the parent's exit are handled; others pile up (GS-116). Twice is
// harmless (GS-117).
COPPICE_API void suspend(const ServerName& server, WaitTime timeout = default_timeout);
COPPICE_API void suspend(const Pid& server, WaitTime timeout = default_timeout);
COPPICE_API void resume(const ServerName& server, WaitTime timeout = default_timeout);
COPPICE_API void resume(const Pid& server, WaitTime timeout = default_timeout);

// Counting of messages: on (from zero), off, read (GS-119). nullopt while it is off.
COPPICE_API void statistics(const Pid& server, bool on, WaitTime timeout = default_timeout);
[[nodiscard]] COPPICE_API std::optional<Statistics> get_statistics(const Pid& server,
                                                                   WaitTime timeout = default_timeout);

// Prints each event on standard output (GS-120).
COPPICE_API void trace(const Pid& server, bool on, WaitTime timeout = default_timeout);

// Keeps the last `size` events; 0 switches it off and forgets them.
COPPICE_API void log(const Pid& server, std::size_t size = 10, WaitTime timeout = default_timeout);
[[nodiscard]] COPPICE_API std::vector<Event> get_log(const Pid& server, WaitTime timeout = default_timeout);

// Adds, removes, or removes all debug functions and switches (GS-121).
COPPICE_API void install(const Pid& server, const Term& id, DebugFunction function, WaitTime timeout = default_timeout);
COPPICE_API void remove(const Pid& server, const Term& id, WaitTime timeout = default_timeout);
COPPICE_API void no_debug(const Pid& server, WaitTime timeout = default_timeout);

// Makes the server end with `reason` after terminate; returns when it has accepted (GS-122).
COPPICE_API void terminate(const Pid& server, const ExitReason& reason, WaitTime timeout = default_timeout);

}  // namespace sys
}  // namespace v1
}  // namespace coppice
