// SPDX-License-Identifier: Apache-2.0
//
// Atom: a name that is compared by identity.
//
//   Atom a = "enoent"_atom;         // interned once for each literal
//   Atom b{user_supplied_text};     // interned now: never do this with unbounded foreign input
//   a == b                          // one comparison of pointers
//
// The table of atoms only grows: AN ATOM IS NEVER FREED, exactly as in Erlang. Text that comes from outside should be
// looked up with Atom::existing, which creates nothing. Atoms may be made, read and compared by any thread at any time,
// also before main; neither making nor reading one ever waits for a lock. OTP: atom().
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include <coppice/config.hpp>

namespace coppice {
inline namespace v1 {

namespace detail {

// One entry of the table of atoms. Immutable from the moment another thread can see it, and never freed.
struct AtomData {
  const char* text;
  std::uint32_t size;
  std::uint32_t hash;
};

extern COPPICE_API const AtomData nil_atom;

// The text of an atom literal, as a template argument.
template <std::size_t Size>
struct AtomLiteral {
  char text[Size]{};
  consteval AtomLiteral(const char (&literal)[Size]) {  // NOLINT: implicit on purpose
    for (std::size_t i = 0; i < Size; ++i) text[i] = literal[i];
  }
};

}  // namespace detail

// A value of the size of a pointer. A default-constructed Atom is `nil`.
class Atom {
 public:
  static constexpr std::size_t code_points_max = 255;

  Atom() noexcept : data_(&detail::nil_atom) {}

  // The atom with this text, created if there is none yet. Throws std::invalid_argument if the text is not valid UTF-8
  // or has more than 255 code points, std::bad_alloc if there is no memory. OTP: binary_to_atom/1.
  COPPICE_API explicit Atom(std::string_view text);

  // The atom with this text if some part of the program has made it, else nothing. Creates nothing and throws nothing.
  // OTP: binary_to_existing_atom/1.
  [[nodiscard]] COPPICE_API static std::optional<Atom> existing(std::string_view text) noexcept;

  // The text, without a colon and unquoted; valid for the rest of the program and followed by a NUL character.
  [[nodiscard]] std::string_view text() const noexcept { return {data_->text, data_->size}; }

  // Equality is identity. The order is that of the texts, byte by byte, which for UTF-8 is that of the code points.
  friend bool operator==(Atom left, Atom right) noexcept { return left.data_ == right.data_; }
  friend std::strong_ordering operator<=>(Atom left, Atom right) noexcept {
    if (left.data_ == right.data_) return std::strong_ordering::equal;
    return left.text() <=> right.text();
  }

  // A hash of the text: the same in every run.
  [[nodiscard]] std::size_t hash() const noexcept { return data_->hash * std::size_t{0x9e3779b97f4a7c15ULL}; }

  // For the term layer only: the entry in the table.
  [[nodiscard]] const detail::AtomData* data() const noexcept { return data_; }
  explicit Atom(const detail::AtomData* data) noexcept : data_(data) {}

 private:
  const detail::AtomData* data_;
};

// The text itself, as Elixir's to_string/1: `enoent`. See inspect (term.hpp) for `:enoent`.
[[nodiscard]] inline std::string to_string(Atom atom) { return std::string(atom.text()); }

// Prints as inspect does: `:enoent`, `:"foo bar"`, `nil`, `Foo.Bar`.
COPPICE_API std::ostream& operator<<(std::ostream& out, Atom atom);

inline namespace literals {

// `"enoent"_atom`. Each literal is interned once; later uses cost a load.
template <detail::AtomLiteral Literal>
[[nodiscard]] Atom operator""_atom() {
  static const Atom atom{std::string_view(Literal.text, sizeof(Literal.text) - 1)};
  return atom;
}

}  // namespace literals
}  // namespace v1
}  // namespace coppice

template <>
struct std::hash<coppice::Atom> {
  std::size_t operator()(coppice::Atom atom) const noexcept { return atom.hash(); }
};
