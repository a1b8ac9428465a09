// SPDX-License-Identifier: Apache-2.0
//
// Result: an expected outcome that is a value. OTP: `{:ok, value} | {:error, reason}`.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include <coppice/config.hpp>
#include <coppice/exit_reason.hpp>

namespace coppice {
inline namespace v1 {

// The reply that carries no information: OTP's `:ok`.
struct Ok {
  friend constexpr bool operator==(Ok, Ok) noexcept { return true; }
};

// `{:error, reason}` on its way into a Result.
struct Error {
  ExitReason reason;
};

// Makes the error of a Result from whatever a reason can be made of: `return error("not_found")`.
[[nodiscard]] inline Error error(ExitReason reason) { return {std::move(reason)}; }
[[nodiscard]] COPPICE_API Error error(const char* atom);

namespace detail {
[[noreturn]] COPPICE_API void throw_bad_match(const ExitReason& reason);  // OTP: `{:badmatch, {:error, reason}}`
}

namespace detail {

// How the value of a Result and its kin is read. Self::no_value() throws what reading a value that is not there throws.
template <class Self, class T>
class Maybe {
 public:
  [[nodiscard]] explicit operator bool() const noexcept { return value_.has_value(); }
  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }

  // The value. Without one it fails as Elixir's `{:ok, value} = result` would: throws Exit with `{:badmatch, result}`.
  [[nodiscard]] T& value() & { return check(), *value_; }
  [[nodiscard]] const T& value() const& { return check(), *value_; }
  [[nodiscard]] T&& value() && { return check(), *std::move(value_); }
  [[nodiscard]] T value_or(T other) const& { return value_ ? *value_ : std::move(other); }

  // Unchecked access, as for std::optional.
  [[nodiscard]] T& operator*() & noexcept { return *value_; }
  [[nodiscard]] const T& operator*() const& noexcept { return *value_; }
  [[nodiscard]] T&& operator*() && noexcept { return *std::move(value_); }
  [[nodiscard]] T* operator->() noexcept { return &*value_; }
  [[nodiscard]] const T* operator->() const noexcept { return &*value_; }

 protected:
  Maybe() = default;
  explicit Maybe(T value) : value_(std::move(value)) {}

 private:
  void check() const {
    if (!value_) static_cast<const Self&>(*this).no_value();
  }
  std::optional<T> value_;
};

}  // namespace detail

// Either a value or the reason why there is none. Contextually true when there is a value. value() without one throws
// Exit with `{:badmatch, {:error, reason}}`.
template <class T = Ok>
class [[nodiscard]] Result : public detail::Maybe<Result<T>, T> {
 public:
  Result()
    requires std::is_default_constructible_v<T>
      : detail::Maybe<Result<T>, T>(T{}) {}
  Result(T value) : detail::Maybe<Result<T>, T>(std::move(value)) {}
  Result(Error error) : reason_(std::move(error.reason)) {}

  // Why there is no value; `normal` when there is one.
  [[nodiscard]] const ExitReason& reason() const noexcept { return reason_; }

 private:
  friend class detail::Maybe<Result<T>, T>;
  [[noreturn]] void no_value() const { detail::throw_bad_match(reason_); }

  ExitReason reason_;
};

}  // namespace v1
}  // namespace coppice
