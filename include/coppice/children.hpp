// SPDX-License-Identifier: Apache-2.0
//
// What all supervisors have in common: how they are addressed, and what they tell about their children.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <coppice/call.hpp>
#include <coppice/child_spec.hpp>
#include <coppice/server_name.hpp>
#include <coppice/server_ref.hpp>

namespace coppice {
inline namespace v1 {

// The address of a supervisor, of whatever kind it is: its Pid, a ServerRef, its name as a text, a Name, a Via, a
// ServerName. A name is looked up at each use.
class ServerAddress {
 public:
  ServerAddress(const Pid& pid) : pid_(pid) {}  // NOLINT: implicit on purpose, as all the others
  template <class Name>
    requires std::convertible_to<const Name&, ServerName>
  ServerAddress(const Name& name) : name_(name) {}  // NOLINT
  template <class S>
  ServerAddress(const ServerRef<S>& server) : pid_(server.pid()) {}  // NOLINT

  // Who has the address now; no pid if nobody. Any thread.
  [[nodiscard]] Pid pid() const { return name_.empty() ? pid_ : name_.whereis(); }
  [[nodiscard]] Term term() const { return name_.empty() ? Term(pid_) : name_.term(); }
  [[nodiscard]] detail::CallTarget target() const { return target_at(pid()); }
  [[nodiscard]] detail::CallTarget target_at(const Pid& pid) const {
    if (name_.empty()) return {.pid = pid};
    return {pid, name_.term()};
  }

 private:
  Pid pid_;
  ServerName name_;
};

// Where a child stands (SV-081).
enum class ChildStatus : std::uint8_t {
  running,    // has a pid; whether that process still lives is not known
  undefined,  // has ended and is not to be restarted, was stopped, or has answered ignore
  restarting  // its restart has failed and will be tried again
};

// OTP: {id, child, type, modules}; child is a pid, :undefined or :restarting.
struct ChildInfo {
  Term id;
  ChildStatus status = ChildStatus::running;
  Pid pid;  // of a running one
  ChildType type = ChildType::worker;
  Term modules;
  [[nodiscard]] COPPICE_API Term to_term() const;
  friend bool operator==(const ChildInfo&, const ChildInfo&) = default;
};

// OTP: [specs: _, active: _, supervisors: _, workers: _] (SV-082).
struct ChildCounts {
  std::size_t specs = 0;
  std::size_t active = 0;       // alive now
  std::size_t supervisors = 0;  // by type, alive or not
  std::size_t workers = 0;
  [[nodiscard]] COPPICE_API Term to_term() const;
  friend bool operator==(const ChildCounts&, const ChildCounts&) = default;
};

// What start_child and restart_child give. OTP: {:ok, pid}, {:ok, pid, info}, {:ok, :undefined} or :ignore, {:error, reason}.
class [[nodiscard]] StartChildResult {
 public:
  enum class Kind : std::uint8_t { ok, undefined, ignore, error };

  StartChildResult(ChildOutcome outcome, Kind kind) : outcome_(std::move(outcome)), kind_(kind) {}
  COPPICE_API StartChildResult(Error error);  // NOLINT: implicit on purpose

  // A child was started, or its start function answered ignore.
  [[nodiscard]] explicit operator bool() const noexcept { return kind_ != Kind::error; }
  [[nodiscard]] bool is_ok() const noexcept { return kind_ == Kind::ok; }
  [[nodiscard]] bool is_ignore() const noexcept { return kind_ == Kind::undefined || kind_ == Kind::ignore; }
  [[nodiscard]] bool is_error() const noexcept { return kind_ == Kind::error; }

  // The child; no pid for {:ok, :undefined}. Otherwise it fails as Elixir's `{:ok, pid} = start_child(...)` would: throws
  // Exit with {:badmatch, :ignore} or {:badmatch, {:error, reason}}.
  [[nodiscard]] COPPICE_API Pid value() const;
  // Why there is none; `normal` when there is one.
  [[nodiscard]] const ExitReason& reason() const noexcept { return outcome_.outcome.reason; }
  // What the start function told beside the pid (SV-013).
  [[nodiscard]] const std::optional<Term>& info() const noexcept { return outcome_.info; }
  [[nodiscard]] COPPICE_API Term to_term() const;

 private:
  ChildOutcome outcome_;
  Kind kind_;
};

namespace detail {

// The requests that all kinds of supervisors answer. They go by the class that the process runs. Any thread.
[[nodiscard]] COPPICE_API std::vector<ChildInfo> which_children(const ServerAddress& supervisor);
[[nodiscard]] COPPICE_API ChildCounts count_children(const ServerAddress& supervisor);

}  // namespace detail

}  // namespace v1
}  // namespace coppice
