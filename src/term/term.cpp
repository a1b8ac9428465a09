// SPDX-License-Identifier: Apache-2.0
//
// Making terms of each kind, and reading them. Comparing is in compare.cpp, printing in inspect.cpp.
#include <coppice/term.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <utility>

#include <coppice/exit_reason.hpp>

#include "term/big_integer.hpp"
#include "term/node.hpp"
#include "term/preset_atoms.hpp"

namespace coppice {
inline namespace v1 {

using detail::TermAccess;

namespace {

// The Term of an integer: inline where it fits.
Term integer_of(bool negative, term::LimbsView limbs) {
  if (const std::optional<std::uint64_t> small = term::to_uint64(limbs)) {
    constexpr std::uint64_t limit = std::uint64_t{1} << 63;
    if (negative && *small <= limit) return Term(static_cast<std::int64_t>(0 - *small));
    if (!negative && *small < limit) return Term(static_cast<std::int64_t>(*small));
  }
  return TermAccess::adopt(TermKind::integer, detail::make_integer_node(negative, limbs));
}

term::LimbsView limbs_view(const detail::TermNode* node) noexcept {
  return {detail::limbs_of(node), detail::sized(node)->size};
}

Term terms_container(TermKind kind, std::uint8_t flags, std::vector<Term>& terms) {
  if (terms.empty()) return TermAccess::adopt(kind, nullptr);
  return TermAccess::adopt(kind, detail::make_terms_node(kind, flags, terms));
}

bool key_is_less(const TermEntry& left, const TermEntry& right) noexcept {
  return TermAccess::compare_keys(left.key, right.key) < 0;
}

}  // namespace

// -- making --

Term Term::from(bool value) noexcept { return from(term::preset(value ? term::Preset::true_ : term::Preset::false_)); }

Term Term::from(double value) noexcept {
  if (std::isnan(value)) return from(term::preset(term::Preset::nan));
  if (std::isinf(value)) return from(term::preset(value > 0 ? term::Preset::infinity : term::Preset::neg_infinity));
  Term term;
  term.kind_ = TermKind::floating;
  term.float_ = value;
  return term;
}

Term Term::from_unsigned(std::uint64_t value) {
  if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return from_signed(static_cast<std::int64_t>(value));
  }
  const std::uint32_t limbs[] = {static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32)};
  return Term(TermKind::integer, detail::make_integer_node(false, limbs));
}

Term Term::from(const Pid& value) { return Term(TermKind::pid, new detail::PidNode{{1, TermKind::pid, 0}, value}); }

Term Term::from(const Reference& value) {
  return Term(TermKind::reference, new detail::ReferenceNode{{1, TermKind::reference, 0}, value});
}

Term Term::from(const ExitReason& value) { return value.term(); }

Term Term::binary(std::string_view bytes) {
  return Term(TermKind::bitstring, detail::make_bytes_node(TermKind::bitstring, bytes, bytes.size() * 8));
}

Term Term::bitstring(std::string_view bytes, std::size_t bits) {
  if (bits > bytes.size() * 8) throw std::invalid_argument("a bitstring has more bits than its bytes hold");
  return Term(TermKind::bitstring, detail::make_bytes_node(TermKind::bitstring, bytes, bits));
}

std::optional<Term> Term::integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const std::optional<term::Limbs> limbs = term::limbs_from_decimal(text);
  if (!limbs) return std::nullopt;
  return integer_of(negative, *limbs);
}

Term Term::integer(bool negative, std::span<const std::uint8_t> magnitude) {
  return integer_of(negative, term::limbs_from_bytes(magnitude));
}

Term Term::tuple_of(std::vector<Term> elements) { return terms_container(TermKind::tuple, 0, elements); }

Term Term::list_of(std::vector<Term> elements) { return terms_container(TermKind::list, 0, elements); }

Term Term::list_of(std::vector<Term> elements, Term tail) {
  if (elements.empty()) return tail;
  std::uint8_t flags = 0;
  if (tail.is_list()) {
    const std::span<const Term> rest = tail.elements();
    elements.insert(elements.end(), rest.begin(), rest.end());
    if (const Term* end = tail.tail()) {
      elements.push_back(*end);
      flags = detail::flag_improper;
    }
  } else {
    elements.push_back(std::move(tail));
    flags = detail::flag_improper;
  }
  return terms_container(TermKind::list, flags, elements);
}

Term Term::map_of(std::vector<TermEntry> entries) {
  std::stable_sort(entries.begin(), entries.end(), key_is_less);
  std::vector<Term> terms;
  terms.reserve(entries.size() * 2);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const bool replaced = i + 1 < entries.size() && entries[i].key == entries[i + 1].key;
    if (replaced) continue;
    terms.push_back(std::move(entries[i].key));
    terms.push_back(std::move(entries[i].value));
  }
  return terms_container(TermKind::map, 0, terms);
}

Term Term::fun(std::string_view bytes) {
  return Term(TermKind::fun, detail::make_bytes_node(TermKind::fun, bytes, bytes.size() * 8));
}

Term map(std::initializer_list<TermEntry> entries) { return Term::map_of(std::vector<TermEntry>(entries)); }

Term keyword(std::initializer_list<KeywordEntry> entries) {
  std::vector<Term> pairs;
  pairs.reserve(entries.size());
  for (const KeywordEntry& entry : entries) pairs.push_back(tuple(entry.key, entry.value));
  return Term::list_of(std::move(pairs));
}

const Term* keyword_find(const Term& list, Atom key) noexcept {
  if (!list.is_list()) return nullptr;
  for (const Term& pair : list.elements()) {
    if (pair.is_tuple(2) && pair.elements()[0].is_atom(key)) return &pair.elements()[1];
  }
  return nullptr;
}

// -- reading --

std::optional<Atom> Term::as_atom() const noexcept {
  if (!is_atom()) return std::nullopt;
  return Atom(atom_);
}

std::optional<bool> Term::as_bool() const noexcept {
  if (!is_atom()) return std::nullopt;
  if (is_atom(term::preset(term::Preset::true_))) return true;
  if (is_atom(term::preset(term::Preset::false_))) return false;
  return std::nullopt;
}

std::optional<std::int64_t> Term::as_int64() const noexcept {
  if (!is_integer() || counted_) return std::nullopt;
  return integer_;
}

std::optional<std::uint64_t> Term::as_uint64() const noexcept {
  if (!is_integer() || is_negative()) return std::nullopt;
  if (counted_) return term::to_uint64(limbs_view(node_));
  return static_cast<std::uint64_t>(integer_);
}

std::optional<double> Term::as_double() const noexcept {
  if (!is_float()) return std::nullopt;
  return float_;
}

std::optional<std::string_view> Term::as_text() const noexcept {
  if (!is_binary()) return std::nullopt;
  return bytes();
}

std::optional<Pid> Term::as_pid() const noexcept {
  if (!is_pid()) return std::nullopt;
  return static_cast<const detail::PidNode*>(node_)->pid;
}

std::optional<Reference> Term::as_reference() const noexcept {
  if (!is_reference()) return std::nullopt;
  return static_cast<const detail::ReferenceNode*>(node_)->reference;
}

std::optional<std::string_view> Term::as_fun() const noexcept {
  if (!is_fun()) return std::nullopt;
  return std::string_view(detail::bytes_of(node_), detail::sized(node_)->size / 8);
}

bool Term::is_negative() const noexcept {
  if (is_float()) return float_ < 0;
  if (!is_integer()) return false;
  return counted_ ? (node_->flags & detail::flag_negative) != 0 : integer_ < 0;
}

std::vector<std::uint8_t> Term::magnitude() const {
  std::vector<std::uint8_t> bytes;
  if (!is_integer()) return bytes;
  const auto append = [&](std::uint64_t value, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> (i * 8)));
  };
  if (counted_) {
    for (std::uint32_t limb : limbs_view(node_)) append(limb, 4);
  } else {
    const auto value = static_cast<std::uint64_t>(integer_);
    append(integer_ < 0 ? 0 - value : value, 8);
  }
  while (!bytes.empty() && bytes.back() == 0) bytes.pop_back();
  return bytes;
}

std::string_view Term::bytes() const noexcept {
  if (!is_bitstring()) return {};
  return {detail::bytes_of(node_), size()};
}

std::size_t Term::bit_size() const noexcept { return is_bitstring() ? detail::sized(node_)->size : 0; }

// -- containers --

std::size_t Term::size() const noexcept {
  if (!counted_) return 0;
  const std::size_t size = kind_ == TermKind::pid || kind_ == TermKind::reference ? 0 : detail::sized(node_)->size;
  switch (kind_) {
    case TermKind::tuple: return size;
    case TermKind::list: return size - ((node_->flags & detail::flag_improper) != 0 ? 1 : 0);
    case TermKind::map: return size / 2;
    case TermKind::bitstring: return size / 8 + (size % 8 != 0 ? 1 : 0);
    default: return 0;
  }
}

std::span<const Term> Term::elements() const noexcept {
  if (!counted_ || !detail::holds_terms(node_)) return {};
  return {detail::terms_of(node_), is_map() ? size() * 2 : size()};
}

const Term& Term::operator[](std::size_t index) const {
  if ((!is_tuple() && !is_list()) || index >= size()) {
    throw std::out_of_range("no element " + std::to_string(index) + " in " + inspect(*this));
  }
  return elements()[index];
}

const Term* Term::tail() const noexcept {
  if (!is_list() || !detail::is_improper(*this)) return nullptr;
  return detail::terms_of(node_) + size();
}

const Term* Term::find(const Term& key) const noexcept {
  if (!is_map()) return nullptr;
  const std::span<const Term> terms = elements();
  std::size_t first = 0;
  std::size_t last = size();
  while (first < last) {
    const std::size_t middle = first + (last - first) / 2;
    const std::strong_ordering order = TermAccess::compare_keys(terms[middle * 2], key);
    if (order == 0) return &terms[middle * 2 + 1];
    if (order < 0) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return nullptr;
}

Term Term::with(Term key, Term value) const {
  if (!is_map()) throw std::invalid_argument("only a map has entries, not " + inspect(*this));
  const std::span<const Term> old = elements();
  std::vector<Term> terms;
  terms.reserve(old.size() + 2);
  std::size_t i = 0;
  while (i < old.size() && TermAccess::compare_keys(old[i], key) < 0) i += 2;
  terms.insert(terms.end(), old.begin(), old.begin() + static_cast<std::ptrdiff_t>(i));
  if (i < old.size() && old[i] == key) i += 2;
  terms.push_back(std::move(key));
  terms.push_back(std::move(value));
  terms.insert(terms.end(), old.begin() + static_cast<std::ptrdiff_t>(i), old.end());
  return terms_container(TermKind::map, 0, terms);
}

Term Term::without(const Term& key) const {
  if (!is_map()) throw std::invalid_argument("only a map has entries, not " + inspect(*this));
  const Term* found = find(key);
  if (found == nullptr) return *this;
  const std::span<const Term> old = elements();
  std::vector<Term> terms(old.begin(), old.end());
  const auto entry = terms.begin() + (found - old.data()) - 1;
  terms.erase(entry, entry + 2);
  return terms_container(TermKind::map, 0, terms);
}

}  // namespace v1
}  // namespace coppice
