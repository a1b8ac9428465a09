// SPDX-License-Identifier: Apache-2.0
//
// Timers: a message later. OTP: Process.send_after/3, :erlang.start_timer/3, cancel_timer, read_timer; rules
// PR-090..PR-105. At the end: the timer service, OTP's module timer; rule PR-106.
//
// A timer belongs to nobody: it fires also when the process that started it is gone, and any process may cancel or read
// it by its reference. A timer to a pid is cancelled when that process dies. Timers are never early; lateness depends on
// load. All functions may be called by any thread, unless a declaration says otherwise.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <coppice/message.hpp>
#include <coppice/process.hpp>
#include <coppice/result.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {
COPPICE_API Reference new_timer_reference();
COPPICE_API void start_timer(const Reference& timer, const Pid& to, std::string_view name, Signal* message,
                             WaitTime delay, bool absolute);
}  // namespace detail

struct TimerOptions {
  // The delay is a time of monotonic_time() instead; a past one fires at once, one before the start of the runtime is
  // `{badarg, text}` (PR-095).
  bool absolute = false;
};

// Sends `message` to `to`, once, at least `delay` later. 0 still goes through the timer: a message that the caller
// sends itself right afterwards arrives first (PR-092). Negative: `{badarg, text}` (PR-094). `infinity`: never, unless it is
// cancelled. To a dead pid nothing is started, but a reference is returned (PR-096); one of another node is
// `{badarg, text}`.
template <class T>
Reference send_after(const Pid& to, T&& message, WaitTime delay, const TimerOptions& options = {}) {
  const Reference timer = detail::new_timer_reference();
  detail::start_timer(timer, to, {}, detail::make_message(std::forward<T>(message)), delay, options.absolute);
  return timer;
}
// To a name, looked up when the timer fires; nobody of that name: nothing happens (PR-093).
template <class T>
Reference send_after(std::string_view name, T&& message, WaitTime delay, const TimerOptions& options = {}) {
  const Reference timer = detail::new_timer_reference();
  detail::start_timer(timer, {}, name, detail::make_message(std::forward<T>(message)), delay, options.absolute);
  return timer;
}

// The same; what arrives is `TimerTimeout<T>{timer, message}` (PR-091).
template <class T>
Reference start_timer(WaitTime delay, const Pid& to, T message, const TimerOptions& options = {}) {
  const Reference timer = detail::new_timer_reference();
  detail::start_timer(timer, to, {}, detail::make_message(TimerTimeout<T>{timer, std::move(message)}), delay,
                      options.absolute);
  return timer;
}
template <class T>
Reference start_timer(WaitTime delay, std::string_view name, T message, const TimerOptions& options = {}) {
  const Reference timer = detail::new_timer_reference();
  detail::start_timer(timer, {}, name, detail::make_message(TimerTimeout<T>{timer, std::move(message)}), delay,
                      options.absolute);
  return timer;
}

struct CancelOptions {
  bool async = false;  // answer with nullopt; the result comes as a TimerCancelled message (PR-101). By a process
  bool info = true;    // false: nobody wants the result (PR-102)
};

// Time that was left, or nullopt if the timer has fired, was cancelled or never existed. After a result that is not
// nullopt the message will not be sent (PR-099); nullopt says nothing about where the message is (PR-100).
COPPICE_API std::optional<std::chrono::milliseconds> cancel_timer(const Reference& timer,
                                                                  const CancelOptions& options = {});
// Time that is left, or nullopt (PR-098).
[[nodiscard]] COPPICE_API std::optional<std::chrono::milliseconds> read_timer(const Reference& timer);

// The runtime's monotonic clock: the one that timers and deadlines go by; virtual in a simulation.
[[nodiscard]] COPPICE_API std::chrono::nanoseconds monotonic_time();
// The wall clock of the runtime's world; virtual in a simulation.
[[nodiscard]] COPPICE_API std::chrono::system_clock::time_point system_time();

// -- the timer service --------------------------------------------------------------------------------------------------

// Functions, intervals and exits later: OTP's module timer (PR-106). Each timer is a small process that holds a stack
// while it waits; where a message will do, send_after costs less. A time that is negative or infinite, and a period that
// is not positive, is `{:error, :badarg}`, as is a runtime that has no process left. (OTP allows a period of 0.)
namespace timer {

class TimerHandle;

}  // namespace timer

namespace detail {
// Runs `expiry` after `delay`, then, if `period` is not 0, again at every multiple of it until `watched` has ended.
COPPICE_API Result<timer::TimerHandle> start_timer_process(WaitTime delay, bool periodic, const Pid& watched,
                                                           std::unique_ptr<Closure> expiry, const char* label);
template <class F>
[[nodiscard]] std::unique_ptr<Closure> expiry_of(F function) {
  return std::make_unique<ClosureOf<F>>(std::move(function));
}
}  // namespace detail

namespace timer {

// Names a timer of the service. Made by the functions below; a default-constructed one names none. Any thread.
class COPPICE_API TimerHandle {
 public:
  TimerHandle() = default;
  friend bool operator==(const TimerHandle&, const TimerHandle&) noexcept = default;

 private:
  explicit TimerHandle(const Pid& process) noexcept : process_(process) {}
  friend Result<TimerHandle> detail::start_timer_process(WaitTime, bool, const Pid&, std::unique_ptr<detail::Closure>,
                                                         const char*);
  friend COPPICE_API Result<> cancel(const TimerHandle&);
  Pid process_;
};

// Runs `function()` once, in a process of its own, at least `delay` later, whatever has become of the caller. Any thread.
template <class F>
[[nodiscard]] Result<TimerHandle> apply_after(WaitTime delay, F function) {
  return detail::start_timer_process(
      delay, false, {}, detail::expiry_of([f = std::move(function)]() mutable { spawn(std::move(f)); }), "apply_after");
}

// Runs a copy of `function` in a process of its own every `period`, the first time after one period, until it is
// cancelled or the caller has ended. A run that takes longer than the period does not hold up the next one. Not for
// foreign threads.
template <class F>
[[nodiscard]] Result<TimerHandle> apply_interval(WaitTime period, F function) {
  return detail::start_timer_process(period, true, self(),
                                     detail::expiry_of([f = std::move(function)] { spawn(F(f)); }), "apply_interval");
}

// Sends a copy of `message` to `to` every `period`, until it is cancelled or that process has ended. Any thread.
template <class T>
[[nodiscard]] Result<TimerHandle> send_interval(WaitTime period, const Pid& to, T message) {
  return detail::start_timer_process(
      period, true, to, detail::expiry_of([to, m = std::move(message)] { send(to, T(m)); }), "send_interval");
}
// To whoever has that name now; `{:error, :badarg}` if nobody has it. Any thread.
template <class T>
[[nodiscard]] Result<TimerHandle> send_interval(WaitTime period, std::string_view name, T message) {
  const Pid to = whereis(name);
  if (!to) return error("badarg");
  return send_interval(period, to, std::move(message));
}

// Sends `pid` an exit signal, at least `delay` later (PR-048). Any thread.
[[nodiscard]] COPPICE_API Result<TimerHandle> exit_after(WaitTime delay, const Pid& pid, const ExitReason& reason);
// The same to the caller. Not for foreign threads.
[[nodiscard]] inline Result<TimerHandle> exit_after(WaitTime delay, const ExitReason& reason) {
  return exit_after(delay, self(), reason);
}
// exit_after with `kill`. Any thread; without a pid: not for foreign threads.
[[nodiscard]] COPPICE_API Result<TimerHandle> kill_after(WaitTime delay, const Pid& pid);
[[nodiscard]] inline Result<TimerHandle> kill_after(WaitTime delay) { return kill_after(delay, self()); }

// Ends a timer: once this has returned it does nothing more. A process that it started before goes on. Ok also for a
// timer that has ended; `{:error, :badarg}` for a handle that names none. Any thread.
COPPICE_API Result<> cancel(const TimerHandle& timer);

}  // namespace timer
}  // namespace v1
}  // namespace coppice
