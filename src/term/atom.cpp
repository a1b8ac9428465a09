// SPDX-License-Identifier: Apache-2.0
//
// The table of atoms: buckets of singly linked entries that are only ever added.
//
// Actors: any thread that makes an atom. State: an array of atomic heads, zero before any code runs, so that atoms may
// be made during static initialisation. To make one:
//   1. Load the bucket's head (acquire) and walk the chain. The acquire pairs with the release of step 3, so an entry
//      that is reached is complete; entries do not change afterwards, so walking further needs no ordering.
//   2. If the text is not there, allocate an entry, and point it at the head that was seen.
//   3. Publish it by compare-and-swap (release). If that fails another thread added an entry: walk only what was added
//      since, then try again. If the text is among it, the entry that lost is freed: nobody has seen it.
// nil and the presets stand outside the table, in read-only memory, and are looked through first.
// Entries are never removed, so there is no reclamation problem and no thread ever waits for another.
#include <coppice/atom.hpp>

#include <atomic>
#include <cstring>
#include <new>
#include <ostream>
#include <stdexcept>

#include <coppice/term.hpp>

#include "term/preset_atoms.hpp"
#include "term/unicode.hpp"

namespace coppice {
inline namespace v1 {
namespace {

// An entry as it lies in memory: the public part, the chain, then the text.
struct Entry {
  detail::AtomData data;
  const Entry* next;
};

constexpr std::size_t bucket_count = std::size_t{1} << 16;
constinit std::atomic<const Entry*> buckets[bucket_count];

constexpr std::uint32_t hash_text(std::string_view text) noexcept {
  std::uint32_t hash = 2166136261U;  // FNV-1a, finished by a mix of the high bits
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  hash ^= hash >> 15;
  hash *= 0x2c1b3c6dU;
  return hash ^ (hash >> 12);
}

constexpr detail::AtomData preset_data(std::string_view text) noexcept {
  return {text.data(), static_cast<std::uint32_t>(text.size()), hash_text(text)};
}

bool has_text(const detail::AtomData& data, std::string_view text, std::uint32_t hash) noexcept {
  return data.hash == hash && std::string_view(data.text, data.size) == text;
}

// The first entry with this text between `entry` and `end` (which is left out).
const Entry* find_in_chain(const Entry* entry, const Entry* end, std::string_view text, std::uint32_t hash) noexcept {
  for (; entry != end; entry = entry->next) {
    if (has_text(entry->data, text, hash)) return entry;
  }
  return nullptr;
}

Entry* make_entry(std::string_view text, std::uint32_t hash) {
  char* memory = static_cast<char*>(::operator new(sizeof(Entry) + text.size() + 1));
  char* characters = memory + sizeof(Entry);
  if (!text.empty()) std::memcpy(characters, text.data(), text.size());
  characters[text.size()] = '\0';
  return new (memory) Entry{{characters, static_cast<std::uint32_t>(text.size()), hash}, nullptr};
}

const detail::AtomData* intern(std::string_view text, std::uint32_t hash) {
  std::atomic<const Entry*>& bucket = buckets[hash % bucket_count];
  const Entry* head = bucket.load(std::memory_order_acquire);
  if (const Entry* found = find_in_chain(head, nullptr, text, hash)) return &found->data;
  Entry* made = make_entry(text, hash);
  const Entry* searched = head;
  for (;;) {
    made->next = head;
    if (bucket.compare_exchange_weak(head, made, std::memory_order_release, std::memory_order_acquire)) {
      return &made->data;
    }
    if (const Entry* found = find_in_chain(head, searched, text, hash)) {
      ::operator delete(made);
      return &found->data;
    }
    searched = head;
  }
}

}  // namespace

namespace detail {

constinit const AtomData nil_atom = preset_data("nil");

}  // namespace detail

}  // namespace v1

namespace term {

constinit const detail::AtomData preset_atoms[preset_count] = {
    preset_data("true"),         preset_data("false"),  preset_data("normal"), preset_data("shutdown"),
    preset_data("killed"),       preset_data("kill"),   preset_data("noproc"), preset_data("noconnection"),
    preset_data("timeout"),      preset_data("badarg"), preset_data("nan"),    preset_data("infinity"),
    preset_data("neg_infinity"),
};

}  // namespace term

inline namespace v1 {
namespace {

const detail::AtomData* find_preset(std::string_view text, std::uint32_t hash) noexcept {
  if (has_text(detail::nil_atom, text, hash)) return &detail::nil_atom;
  for (const detail::AtomData& data : term::preset_atoms) {
    if (has_text(data, text, hash)) return &data;
  }
  return nullptr;
}

}  // namespace

Atom::Atom(std::string_view text) : data_(&detail::nil_atom) {
  const std::optional<std::size_t> code_points = term::count_code_points(text);
  if (!code_points) throw std::invalid_argument("an atom's text must be valid UTF-8");
  if (*code_points > code_points_max) {
    throw std::invalid_argument("an atom has at most 255 code points, but this text has " +
                                std::to_string(*code_points));
  }
  const std::uint32_t hash = hash_text(text);
  const detail::AtomData* preset = find_preset(text, hash);
  data_ = preset != nullptr ? preset : intern(text, hash);
}

std::optional<Atom> Atom::existing(std::string_view text) noexcept {
  const std::uint32_t hash = hash_text(text);
  if (const detail::AtomData* preset = find_preset(text, hash)) return Atom(preset);
  const Entry* head = buckets[hash % bucket_count].load(std::memory_order_acquire);
  const Entry* found = find_in_chain(head, nullptr, text, hash);
  if (found == nullptr) return std::nullopt;
  return Atom(&found->data);
}

std::ostream& operator<<(std::ostream& out, Atom atom) { return out << inspect(atom); }

}  // namespace v1
}  // namespace coppice
