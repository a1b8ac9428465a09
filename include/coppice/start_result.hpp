// SPDX-License-Identifier: Apache-2.0
//
// StartResult: what starting a server gives. OTP: `{:ok, pid} | :ignore | {:error, reason}` (GS-002).
#pragma once

#include <utility>

#include <coppice/config.hpp>
#include <coppice/exit_reason.hpp>
#include <coppice/pid.hpp>
#include <coppice/result.hpp>

namespace coppice {
inline namespace v1 {

template <class S>
class ServerRef;

// How a start ended, without the type.
struct StartOutcome {
  enum class Kind : unsigned char { ok, ignore, error } kind = Kind::error;
  Pid pid;
  ExitReason reason;
  Reference monitor;  // of start_monitor

  friend bool operator==(const StartOutcome&, const StartOutcome&) = default;
};

namespace detail {
[[noreturn]] COPPICE_API void throw_bad_start(const StartOutcome& outcome);
}

// ok with an address of the server, ignore, or an error.
template <class S>
class [[nodiscard]] StartResult {
 public:
  explicit StartResult(StartOutcome outcome) : outcome_(std::move(outcome)) {}
  // A start that fails before there is a server: `return error("no_port")`.
  StartResult(Error error)  // NOLINT: implicit on purpose
      : outcome_{StartOutcome::Kind::error, {}, std::move(error.reason), {}} {}

  [[nodiscard]] explicit operator bool() const noexcept { return is_ok(); }
  [[nodiscard]] bool is_ok() const noexcept { return outcome_.kind == StartOutcome::Kind::ok; }
  [[nodiscard]] bool is_ignore() const noexcept { return outcome_.kind == StartOutcome::Kind::ignore; }
  [[nodiscard]] bool is_error() const noexcept { return outcome_.kind == StartOutcome::Kind::error; }

  // The server. Otherwise it fails as Elixir's `{:ok, pid} = start_link(...)` would: throws Exit with
  // `{:badmatch, :ignore}` or `{:badmatch, {:error, reason}}`.
  ServerRef<S> value() const {
    if (!is_ok()) detail::throw_bad_start(outcome_);
    return ServerRef<S>(outcome_.pid);
  }
  // Why there is no server; `normal` when there is one.
  [[nodiscard]] const ExitReason& reason() const noexcept { return outcome_.reason; }
  // The monitor that start_monitor set.
  [[nodiscard]] const Reference& monitor() const noexcept { return outcome_.monitor; }
  [[nodiscard]] const StartOutcome& outcome() const noexcept { return outcome_; }

 private:
  StartOutcome outcome_;
};

}  // namespace v1
}  // namespace coppice
