// SPDX-License-Identifier: Apache-2.0
//
// ExitReason: why a process ended, or is to end. It is data: `normal`, `shutdown`, an exception, or any Term.
//
//   stop("enoent"_atom)                          stop(ExitReason::shutdown(tuple("failed"_atom, 3)))
//   if (down.reason == ExitReason::noproc()) ... if (down.reason.is_exception()) log(down.reason.exception_message());
//
// A value of one word. Copying, comparing with the predefined reasons and destroying never throw, so a dying process
// needs no memory to tell why. Any thread may use it. OTP: exit_reason(); rules PR-007 to PR-010, PR-047 to PR-050.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <coppice/atom.hpp>
#include <coppice/config.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

class COPPICE_API ExitReason {
 public:
  // -- making --

  // normal.
  constexpr ExitReason() noexcept = default;

  // Any atom or term. A Term that came from an exception's reason is that exception again, also if it stood in a tuple.
  // Terms that are no node (numbers, empty containers) allocate a box, hence may throw std::bad_alloc; others do not.
  ExitReason(Atom atom) noexcept;  // NOLINT: implicit on purpose
  ExitReason(Term term);           // NOLINT: implicit on purpose

  // The predefined reasons. `kill` ends a process unconditionally if it is *sent*; its links see `killed` (PR-048).
  [[nodiscard]] static constexpr ExitReason normal() noexcept { return {}; }
  [[nodiscard]] static ExitReason shutdown() noexcept;
  [[nodiscard]] static ExitReason killed() noexcept;
  [[nodiscard]] static ExitReason kill() noexcept;
  [[nodiscard]] static ExitReason noproc() noexcept;
  [[nodiscard]] static ExitReason noconnection() noexcept;
  [[nodiscard]] static ExitReason timeout() noexcept;

  // {:shutdown, term}: an expected end that carries a fact.
  [[nodiscard]] static ExitReason shutdown(Term term);
  // {:badarg, text}: a process misused the library.
  [[nodiscard]] static ExitReason badarg(std::string_view text);
  // {%RuntimeError{message: what}, stack}: an uncaught exception. `stack` holds return addresses, innermost first.
  // Type, stack and pointer are for the reader: they take no part in comparing and do not go over the wire.
  [[nodiscard]] static ExitReason exception(std::string_view type_name, std::string_view what,
                                            std::vector<std::uintptr_t> stack = {},
                                            std::exception_ptr pointer = nullptr);
  // {error, stack} with an error of one's own instead of a RuntimeError, as {{:nocatch, value}, stack} (PR-010).
  // `type_name` and `what` are what exception_type and exception_message then give.
  [[nodiscard]] static ExitReason exception(Term error, std::string_view type_name, std::string_view what,
                                            std::vector<std::uintptr_t> stack = {},
                                            std::exception_ptr pointer = nullptr);

  ExitReason(const ExitReason& other) noexcept : word_(other.word_) { retain(); }
  ExitReason(ExitReason&& other) noexcept : word_(std::exchange(other.word_, 0)) {}
  ExitReason& operator=(const ExitReason& other) noexcept {
    ExitReason copy(other);
    std::swap(word_, copy.word_);
    return *this;
  }
  ExitReason& operator=(ExitReason&& other) noexcept {
    ExitReason taken(std::move(other));
    std::swap(word_, taken.word_);
    return *this;
  }
  constexpr ~ExitReason() { release(); }

  // -- reading --

  [[nodiscard]] constexpr bool is_normal() const noexcept { return word_ == 0; }
  // normal, :shutdown or {:shutdown, _}: an end that nobody logs, and that a transient child is not restarted for.
  [[nodiscard]] bool is_shutdown_kind() const noexcept;
  // Whether this is an exception that was caught in this program; what only looks like one ({%RuntimeError{}, []} from
  // another node) is not.
  [[nodiscard]] bool is_exception() const noexcept;

  // Of an exception: what(), the name of its type, the exception itself (to throw again), and where it was thrown.
  // Empty, null and empty for every other reason. The views live as long as this reason or a copy of it.
  [[nodiscard]] std::string_view exception_message() const noexcept;
  [[nodiscard]] std::string_view exception_type() const noexcept;
  [[nodiscard]] std::exception_ptr exception_pointer() const noexcept;
  [[nodiscard]] const std::vector<std::uintptr_t>& stack() const noexcept;

  // The reason as a Term, without allocation. An exception is {%RuntimeError{message: what}, []} and stays retrievable:
  // ExitReason(reason.term()) is the same exception, and so is ExitReason(tuple(reason, x).operator[](0)).
  [[nodiscard]] Term term() const noexcept;

  // -- comparing --

  // By value, as the terms; no comparison sees the stack, type or pointer of an exception.
  friend bool operator==(const ExitReason& left, const ExitReason& right) noexcept { return left.equals(right); }
  friend bool operator==(const ExitReason& left, const Term& right) noexcept { return left.term() == right; }
  friend bool operator==(const ExitReason& left, Atom right) noexcept { return left.equals(ExitReason(right)); }

  [[nodiscard]] std::size_t hash() const noexcept;

 private:
  [[nodiscard]] bool equals(const ExitReason& other) const noexcept;
  [[nodiscard]] constexpr bool is_node() const noexcept { return word_ != 0 && (word_ & 1) == 0; }
  [[nodiscard]] const detail::TermNode* node() const noexcept {
    return reinterpret_cast<const detail::TermNode*>(word_);
  }
  constexpr void retain() const noexcept {
    if (is_node()) __atomic_fetch_add(&node()->references, 1, __ATOMIC_RELAXED);
  }
  constexpr void release() const noexcept {
    if (is_node()) release_node();
  }
  void release_node() const noexcept;

  // 0: normal. Lowest bit set: the entry of an atom. Else: a counted node of a term, or a box around a small one.
  std::uintptr_t word_ = 0;
};
static_assert(sizeof(ExitReason) == sizeof(void*));

// As inspect prints the term: `:normal`, `{:shutdown, 3}`. Of an exception with a stack the second element reads
// `[stack]` instead of `[]`; format_exit shows it.
[[nodiscard]] COPPICE_API std::string to_string(const ExitReason& reason);

// The sentence that Elixir's Exception.format_exit/1 gives: "normal", "shutdown: 3", "no process: ...", "an exception
// was raised:\n    ** (RuntimeError) boom\n        function  file:line", "exited in: GenServer.call(...)\n    ** (EXIT)
// ...". An exception's own type name stands in place of RuntimeError if it has one.
[[nodiscard]] COPPICE_API std::string format_exit(const ExitReason& reason);

// Prints as to_string does.
COPPICE_API std::ostream& operator<<(std::ostream& out, const ExitReason& reason);

}  // namespace v1
}  // namespace coppice

template <>
struct std::hash<coppice::ExitReason> {
  std::size_t operator()(const coppice::ExitReason& reason) const noexcept { return reason.hash(); }
};
