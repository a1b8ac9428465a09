// SPDX-License-Identifier: Apache-2.0
//
// Equality, Erlang's term order, and hashing. All three walk nested values with a list of open runs instead of the
// stack, because values may be nested a million deep; the list needs memory only beyond 32 open containers.
#include <coppice/term.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <new>

#include "term/big_integer.hpp"
#include "term/node.hpp"

namespace coppice {
inline namespace v1 {

using detail::TermAccess;

namespace {

constexpr std::size_t open_inline = 32;

// A stack of open runs: the first ones in place, further ones in a vector.
template <class Run>
class OpenRuns {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  void push(const Run& run) {
    if (size_ < open_inline) {
      first_[size_] = run;
    } else {
      rest_.push_back(run);
    }
    ++size_;
  }
  [[nodiscard]] Run& top() noexcept { return size_ <= open_inline ? first_[size_ - 1] : rest_.back(); }
  void pop() noexcept {
    if (size_ > open_inline) rest_.pop_back();
    --size_;
  }

 private:
  Run first_[open_inline];
  std::vector<Run> rest_;
  std::size_t size_ = 0;
};

int rank_of(TermKind kind) noexcept { return kind == TermKind::integer ? 1 : static_cast<int>(kind); }

term::LimbsView limbs_view(const Term& integer) noexcept {
  const detail::TermNode* node = TermAccess::node(integer);
  return {detail::limbs_of(node), detail::sized(node)->size};
}

std::strong_ordering compare_integers(const Term& left, const Term& right) noexcept {
  if (!TermAccess::counted(left) && !TermAccess::counted(right)) {
    return TermAccess::integer(left) <=> TermAccess::integer(right);
  }
  // A counted one is beyond 64 bits: its sign decides against a small one and against the other sign.
  const bool negative = left.is_negative();
  if (!TermAccess::counted(left))
    return right.is_negative() ? std::strong_ordering::greater : std::strong_ordering::less;
  if (!TermAccess::counted(right) || negative != right.is_negative()) {
    return negative ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  const std::strong_ordering order = term::compare_magnitudes(limbs_view(left), limbs_view(right));
  return negative ? 0 <=> order : order;
}

std::strong_ordering compare_floats(double left, double right) noexcept {
  // Both are finite, so exactly one of these holds.
  if (left < right) return std::strong_ordering::less;
  return left > right ? std::strong_ordering::greater : std::strong_ordering::equal;
}

// How an integer stands to a float: `total` has the integer first where both have one value, `by_value` has them equal,
// and among the keys of a map every integer comes first.
enum class Mixed : unsigned char { total, by_value, as_keys };

std::strong_ordering compare_integer_with_float(const Term& integer, double floating, Mixed mixed) noexcept {
  if (mixed == Mixed::as_keys) return std::strong_ordering::less;
  const std::strong_ordering order =
      TermAccess::counted(integer) ? term::compare_with_double(integer.is_negative(), limbs_view(integer), floating)
                                   : term::compare_with_double(TermAccess::integer(integer), floating);
  return order == 0 && mixed == Mixed::total ? std::strong_ordering::less : order;
}

std::strong_ordering compare_numbers(const Term& left, const Term& right, Mixed mixed) noexcept {
  if (left.is_integer() && right.is_integer()) return compare_integers(left, right);
  if (left.is_float() && right.is_float())
    return compare_floats(TermAccess::floating(left), TermAccess::floating(right));
  if (left.is_integer()) return compare_integer_with_float(left, TermAccess::floating(right), mixed);
  return 0 <=> compare_integer_with_float(right, TermAccess::floating(left), mixed);
}

std::strong_ordering compare_bytes(std::string_view left, std::size_t left_bits, std::string_view right,
                                   std::size_t right_bits) noexcept {
  // Unused bits are zero, so a common prefix of whole bytes decides as the bits would, but for a last byte that one of
  // them only begins: then the bits both have decide, and after them the length.
  const std::size_t whole = std::min(left_bits, right_bits) / 8;
  if (whole != 0) {
    if (const int order = std::memcmp(left.data(), right.data(), whole); order != 0) return order <=> 0;
  }
  if (const std::size_t begun = std::min(left_bits, right_bits) % 8; begun != 0) {
    const auto mask = static_cast<unsigned>(0xffU << (8 - begun)) & 0xffU;
    const unsigned left_byte = static_cast<unsigned char>(left[whole]) & mask;
    const unsigned right_byte = static_cast<unsigned char>(right[whole]) & mask;
    if (left_byte != right_byte) return left_byte <=> right_byte;
  }
  return left_bits <=> right_bits;
}

// Two values that hold no terms, of kinds of equal rank.
std::strong_ordering compare_leaves(const Term& left, const Term& right, Mixed mixed) noexcept {
  switch (left.kind()) {
    case TermKind::integer:
    case TermKind::floating: return compare_numbers(left, right, mixed);
    case TermKind::atom: return TermAccess::atom(left) <=> TermAccess::atom(right);
    case TermKind::reference: return *left.as_reference() <=> *right.as_reference();
    case TermKind::pid: return *left.as_pid() <=> *right.as_pid();
    case TermKind::fun: {
      const std::string_view left_bytes = *left.as_fun();
      const std::string_view right_bytes = *right.as_fun();
      return compare_bytes(left_bytes, left_bytes.size() * 8, right_bytes, right_bytes.size() * 8);
    }
    default: return compare_bytes(left.bytes(), left.bit_size(), right.bytes(), right.bit_size());
  }
}

// Pairs of terms still to compare, `stride` apart; once all are equal, `verdict` holds for what lies around them.
struct PairRun {
  const Term* left = nullptr;
  const Term* right = nullptr;
  std::size_t count = 0;
  std::size_t stride = 1;
  Mixed mixed = Mixed::total;
  std::strong_ordering verdict = std::strong_ordering::equal;
};

PairRun list_run(const Term& left, const Term& right, Mixed mixed) noexcept {
  PairRun run{left.elements().data(), right.elements().data(), std::min(left.size(), right.size()), 1, mixed};
  const Term* left_tail = left.size() <= right.size() ? left.tail() : nullptr;
  const Term* right_tail = right.size() <= left.size() ? right.tail() : nullptr;
  const int list_rank = rank_of(TermKind::list);
  if (left.size() == right.size() && left_tail != nullptr && right_tail != nullptr) {
    ++run.count;  // both tails follow the elements
  } else if (left_tail != nullptr) {
    run.verdict = rank_of(left_tail->kind()) <=> list_rank;  // a tail against a list
  } else if (right_tail != nullptr) {
    run.verdict = list_rank <=> rank_of(right_tail->kind());
  } else {
    run.verdict = left.size() <=> right.size();  // [] against a list that goes on
  }
  return run;
}

class Comparison {
 public:
  std::strong_ordering run(const Term& left, const Term& right, Mixed mixed) {
    if (const auto order = step(left, right, mixed); order != 0) return order;
    while (!open_.empty()) {
      PairRun& run = open_.top();
      if (run.count == 0) {
        if (run.verdict != 0) return run.verdict;
        open_.pop();
        continue;
      }
      const Term* left_term = run.left;
      const Term* right_term = run.right;
      const Mixed mixed_here = run.mixed;
      run.left += run.stride;
      run.right += run.stride;
      --run.count;
      if (const auto order = step(*left_term, *right_term, mixed_here); order != 0) return order;
    }
    return std::strong_ordering::equal;
  }

 private:
  // Decides two terms at once, or opens what they hold.
  std::strong_ordering step(const Term& left, const Term& right, Mixed mixed) {
    if (const auto order = rank_of(left.kind()) <=> rank_of(right.kind()); order != 0) return order;
    if (left.is_list()) {
      if (!is_same_node(left, right)) open_.push(list_run(left, right, mixed));
      return std::strong_ordering::equal;
    }
    if (!left.is_tuple() && !left.is_map()) return compare_leaves(left, right, mixed);
    if (const auto order = left.size() <=> right.size(); order != 0) return order;
    if (is_same_node(left, right)) return std::strong_ordering::equal;
    const Term* left_terms = left.elements().data();
    const Term* right_terms = right.elements().data();
    if (left.is_tuple()) {
      open_.push({left_terms, right_terms, left.size(), 1, mixed});
    } else {
      open_.push({left_terms + 1, right_terms + 1, left.size(), 2, mixed});  // values, after the keys
      open_.push({left_terms, right_terms, left.size(), 2, Mixed::as_keys});
    }
    return std::strong_ordering::equal;
  }

  static bool is_same_node(const Term& left, const Term& right) noexcept {
    return TermAccess::node(left) == TermAccess::node(right);
  }

  OpenRuns<PairRun> open_;
};

bool is_container(const Term& term) noexcept { return term.is_tuple() || term.is_list() || term.is_map(); }

std::size_t mix(std::size_t hash, std::size_t value) noexcept {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 29);
}

std::size_t hash_leaf(const Term& term) noexcept {
  switch (term.kind()) {
    case TermKind::integer: {
      if (!TermAccess::counted(term)) return static_cast<std::size_t>(TermAccess::integer(term));
      std::size_t hash = term.is_negative() ? 1 : 2;
      for (std::uint32_t limb : limbs_view(term)) hash = mix(hash, limb);
      return hash;
    }
    case TermKind::floating: {
      const double value = TermAccess::floating(term);
      return std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value);
    }
    case TermKind::atom: return TermAccess::atom(term).hash();
    case TermKind::reference: return std::hash<Reference>()(*term.as_reference());
    case TermKind::pid: return std::hash<Pid>()(*term.as_pid());
    case TermKind::fun: return std::hash<std::string_view>()(*term.as_fun());
    default: return mix(std::hash<std::string_view>()(term.bytes()), term.bit_size());
  }
}

struct HashRun {
  const Term* next = nullptr;
  std::size_t count = 0;
};

}  // namespace

bool Term::equal(const Term& left, const Term& right) noexcept {
  if (left.kind_ != right.kind_) return false;
  if (left.counted_ == right.counted_ && left.integer_ == right.integer_) return true;
  if (!left.counted_ || !right.counted_) return left.is_float() && left.float_ == right.float_;
  if (left.size() != right.size()) return false;
  return compare(left, right) == 0;
}

namespace {

std::strong_ordering compare_terms(const Term& left, const Term& right, Mixed mixed) noexcept {
  if (left.kind() == right.kind() && !is_container(left)) return compare_leaves(left, right, mixed);
  return Comparison().run(left, right, mixed);
}

}  // namespace

std::strong_ordering Term::compare(const Term& left, const Term& right) noexcept {
  return compare_terms(left, right, Mixed::total);
}

std::weak_ordering compare_values(const Term& left, const Term& right) noexcept {
  return compare_terms(left, right, Mixed::by_value);
}

std::strong_ordering detail::TermAccess::compare_keys(const Term& left, const Term& right) noexcept {
  return compare_terms(left, right, Mixed::as_keys);
}

std::size_t Term::hash() const noexcept {
  if (!is_container(*this)) return mix(static_cast<std::size_t>(kind_), hash_leaf(*this));
  OpenRuns<HashRun> open;
  open.push({this, 1});
  std::size_t hash = 0;
  while (!open.empty()) {
    HashRun& run = open.top();
    if (run.count == 0) {
      open.pop();
      continue;
    }
    const Term& term = *run.next++;
    --run.count;
    hash = mix(hash, static_cast<std::size_t>(term.kind_));
    if (is_container(term)) {
      const std::size_t count = term.elements().size() + (term.tail() != nullptr ? 1 : 0);
      hash = mix(hash, count);
      open.push({term.elements().data(), count});
    } else {
      hash = mix(hash, hash_leaf(term));
    }
  }
  return hash;
}

}  // namespace v1
}  // namespace coppice
