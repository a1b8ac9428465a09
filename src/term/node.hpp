// SPDX-License-Identifier: Apache-2.0
//
// The shared nodes behind terms. A node is immutable once the Term that owns its first count can be seen by others; its
// count says how many Terms and ExitReasons hold it. All nodes come from operator new and start with TermNode.
//
//   integer     limbs of 32 bits, lowest first, without leading zeros; never a value that fits into 64 bits
//   bitstring   bits, then bytes; bits of the last byte that do not belong are zero
//   fun         as a bitstring
//   pid, reference
//   tuple       elements; an exception's tuple carries its type, stack and pointer behind them; an exit reason's box is
//               a tuple of one that no Term ever shows
//   list        elements, then the tail if the list is improper
//   map         keys and values in turn, in the order of the keys
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {

inline constexpr std::uint8_t flag_negative = 1;   // of an integer
inline constexpr std::uint8_t flag_improper = 2;   // of a list: the last Term is the tail
inline constexpr std::uint8_t flag_exception = 4;  // of a tuple: an ExceptionNode
inline constexpr std::uint8_t flag_box = 8;        // of a tuple: the box of an exit reason

// A node with a trailing array of `size` items: limbs, bits or Terms, which start right behind this.
struct SizedNode : TermNode {
  std::size_t size;
};
static_assert(sizeof(SizedNode) == 16 && alignof(Term) <= 16);

struct PidNode : TermNode {
  Pid pid;
};

struct ReferenceNode : TermNode {
  Reference reference;
};

// What an exception's reason keeps beside its term.
struct ExceptionInfo {
  std::string type;
  std::string message;
  std::vector<std::uintptr_t> stack;
  std::exception_ptr pointer;
};

// A tuple of two whose elements stand where those of every tuple stand.
struct ExceptionNode : SizedNode {
  alignas(Term) unsigned char elements[2 * sizeof(Term)];
  ExceptionInfo info;
};

// The doors into Term for the files of this folder.
struct TermAccess {
  static Term adopt(TermKind kind, const TermNode* node) noexcept { return Term(kind, node); }
  static bool counted(const Term& term) noexcept { return term.counted_; }
  static const TermNode* node(const Term& term) noexcept { return term.counted_ ? term.node_ : nullptr; }
  static std::int64_t integer(const Term& term) noexcept { return term.integer_; }
  static double floating(const Term& term) noexcept { return term.float_; }
  static Atom atom(const Term& term) noexcept { return Atom(term.atom_); }

  // Takes the node, with its count, out of a Term.
  static const TermNode* release(Term&& term) noexcept {
    const TermNode* node = TermAccess::node(term);
    term.forget();
    return node;
  }
  // Gives the Term's count back without ending the node; returns the node if that was the last count.
  static const TermNode* drop(Term& term) noexcept {
    const TermNode* node = release(std::move(term));
    if (node == nullptr || __atomic_fetch_sub(&node->references, 1, __ATOMIC_ACQ_REL) != 1) return nullptr;
    return node;
  }
  static std::strong_ordering compare_keys(const Term& left, const Term& right) noexcept;
};

inline const SizedNode* sized(const TermNode* node) noexcept { return static_cast<const SizedNode*>(node); }

inline const Term* terms_of(const TermNode* node) noexcept {
  return reinterpret_cast<const Term*>(reinterpret_cast<const unsigned char*>(node) + sizeof(SizedNode));
}

inline const std::uint32_t* limbs_of(const TermNode* node) noexcept {
  return reinterpret_cast<const std::uint32_t*>(reinterpret_cast<const unsigned char*>(node) + sizeof(SizedNode));
}

inline const char* bytes_of(const TermNode* node) noexcept {
  return reinterpret_cast<const char*>(node) + sizeof(SizedNode);
}

inline bool holds_terms(const TermNode* node) noexcept {
  return node->kind == TermKind::tuple || node->kind == TermKind::list || node->kind == TermKind::map;
}

inline bool is_improper(const Term& list) noexcept {
  const TermNode* node = TermAccess::node(list);
  return node != nullptr && (node->flags & flag_improper) != 0;
}

// Nodes with one count, for the caller. The terms are moved from; there must be at least one.
const TermNode* make_terms_node(TermKind kind, std::uint8_t flags, std::span<Term> terms);
const TermNode* make_bytes_node(TermKind kind, std::string_view bytes, std::size_t bits);
const TermNode* make_integer_node(bool negative, std::span<const std::uint32_t> limbs);
const TermNode* make_exception_node(Term error, ExceptionInfo info);

// What an exception keeps beside its term; null for every other node.
inline const ExceptionInfo* exception_info(const TermNode* node) noexcept {
  if (node == nullptr || (node->flags & flag_exception) == 0) return nullptr;
  return &static_cast<const ExceptionNode*>(node)->info;
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
