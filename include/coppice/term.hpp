// SPDX-License-Identifier: Apache-2.0
//
// Term: the dynamic value. Exit reasons, configuration, log events, what `sys` shows, and what goes over the wire.
//
//   Term t = tuple("user"_atom, 42, "Ann", list(1.5, 2));
//   t.is_tuple(), t.size(), t[1].as_int64(), t[2].as_text()
//   Term m = map({{"id"_atom, 1}, {"name"_atom, "Ann"}});
//   if (const Term* id = m.find("id"_atom)) ...
//   inspect(m)                                  // %{id: 1, name: "Ann"}, exactly as Elixir prints it
//
// A Term is a value of 16 bytes. Atoms, integers of 64 bits, floats and empty containers stand in it; everything else
// is an immutable node that copies share by an atomic count. Copying and destroying never throw, and destroying does
// not recurse, however deep a value is nested. Any thread may read and copy a Term that no thread assigns to at the time.
//
// Only types that convert make a Term (concept ToTerm): a `handle_info(Term)` cannot swallow arbitrary messages. In
// particular no aggregate of the user converts silently; reflect.hpp has `to_term(value)` for that.
// OTP: term(). Local messages are never converted to terms.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <coppice/atom.hpp>
#include <coppice/config.hpp>
#include <coppice/pid.hpp>

namespace coppice {
inline namespace v1 {

class Term;
class ExitReason;
struct TermEntry;

// What a Term is. A binary is a bitstring whose number of bits is a multiple of 8, a charlist is a list of integers, a
// string is a binary, a boolean and nil are atoms, as in Elixir.
enum class TermKind : std::uint8_t { integer, floating, atom, reference, fun, pid, tuple, map, list, bitstring };

namespace detail {

// What every shared node starts with. The rest is private to src/term.
struct TermNode {
  mutable std::uint32_t references;
  TermKind kind;
  std::uint8_t flags;
};

struct TermAccess;

// Ends a node whose count fell to zero, and everything that only it held; iteratively.
COPPICE_API void destroy_term_node(const TermNode* node) noexcept;

template <class T>
consteval bool converts_to_term();

}  // namespace detail

// The types that make a Term, with what they become:
//   Term itself, Atom, bool (true, false), ExitReason (its term)
//   integers of up to 64 bits, character types included (integer); float and double (float; an infinity or a NaN, which
//     no Erlang float can be, becomes the atom :infinity, :neg_infinity or :nan)
//   std::string, std::string_view, const char* and string literals (binary: Elixir's string; pointers must not be null)
//   Pid, Reference; std::nullopt_t (nil); std::optional (nil or the value)
//   std::chrono durations (integer: milliseconds, rounded towards zero)
//   std::vector, deque, list, set, array, initializer_list (list); std::pair and std::tuple (tuple)
//   std::map, unordered_map and the like (map)
//   any type with a member function `Term to_term() const`
// Not: pointers, enumerations, and aggregates (see to_term in reflect.hpp).
template <class T>
concept ToTerm = detail::converts_to_term<std::remove_cvref_t<T>>();

class COPPICE_API Term {
 public:
  // -- making --

  // nil.
  Term() noexcept : kind_(TermKind::atom), counted_(false), atom_(&detail::nil_atom) {}

  // From any type that converts; may throw std::bad_alloc if the value does not fit into 16 bytes.
  template <class T>
    requires(!std::same_as<std::remove_cvref_t<T>, Term> && ToTerm<T>)
  Term(T&& value);  // NOLINT: implicit on purpose

  // Bytes, printable or not. `bits` of a bitstring are counted from the highest bit of the first byte; it must not be
  // more than the bytes hold (else std::invalid_argument); unused low bits of the last byte are ignored.
  [[nodiscard]] static Term binary(std::string_view bytes);
  [[nodiscard]] static Term bitstring(std::string_view bytes, std::size_t bits);

  // An integer of any size: from decimal digits with an optional sign (nothing if `text` is anything else), or from its
  // sign and its magnitude as bytes, lowest first.
  [[nodiscard]] static std::optional<Term> integer(std::string_view text);
  [[nodiscard]] static Term integer(bool negative, std::span<const std::uint8_t> magnitude);

  // Containers from a number of terms that is known at run time only; see tuple(), list() and map() for the others.
  // A tail that is itself a list is appended; any other tail but [] makes the list improper (then it may not be empty:
  // an empty list with a tail is the tail). Of entries with equal keys the last one counts.
  [[nodiscard]] static Term tuple_of(std::vector<Term> elements);
  [[nodiscard]] static Term list_of(std::vector<Term> elements);
  [[nodiscard]] static Term list_of(std::vector<Term> elements, Term tail);
  [[nodiscard]] static Term map_of(std::vector<TermEntry> entries);

  // A function of another node, as opaque bytes that are only forwarded.
  [[nodiscard]] static Term fun(std::string_view bytes);

  Term(const Term& other) noexcept : kind_(other.kind_), counted_(other.counted_), integer_(other.integer_) {
    retain();
  }
  Term(Term&& other) noexcept : kind_(other.kind_), counted_(other.counted_), integer_(other.integer_) {
    other.forget();
  }
  Term& operator=(const Term& other) noexcept {
    Term copy(other);
    swap(copy);
    return *this;
  }
  Term& operator=(Term&& other) noexcept {
    Term taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~Term() { release(); }

  void swap(Term& other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(counted_, other.counted_);
    std::swap(integer_, other.integer_);
  }

  // -- what it is --

  [[nodiscard]] TermKind kind() const noexcept { return kind_; }
  [[nodiscard]] bool is_atom() const noexcept { return kind_ == TermKind::atom; }
  [[nodiscard]] bool is_atom(Atom atom) const noexcept { return is_atom() && atom_ == atom.data(); }
  [[nodiscard]] bool is_nil() const noexcept { return is_atom() && atom_ == &detail::nil_atom; }
  [[nodiscard]] bool is_boolean() const noexcept { return as_bool().has_value(); }
  [[nodiscard]] bool is_integer() const noexcept { return kind_ == TermKind::integer; }
  [[nodiscard]] bool is_float() const noexcept { return kind_ == TermKind::floating; }
  [[nodiscard]] bool is_number() const noexcept { return is_integer() || is_float(); }
  [[nodiscard]] bool is_bitstring() const noexcept { return kind_ == TermKind::bitstring; }
  [[nodiscard]] bool is_binary() const noexcept { return is_bitstring() && bit_size() % 8 == 0; }
  [[nodiscard]] bool is_list() const noexcept { return kind_ == TermKind::list; }
  [[nodiscard]] bool is_proper_list() const noexcept { return is_list() && tail() == nullptr; }
  [[nodiscard]] bool is_tuple() const noexcept { return kind_ == TermKind::tuple; }
  [[nodiscard]] bool is_tuple(std::size_t size) const noexcept { return is_tuple() && this->size() == size; }
  [[nodiscard]] bool is_map() const noexcept { return kind_ == TermKind::map; }
  [[nodiscard]] bool is_pid() const noexcept { return kind_ == TermKind::pid; }
  [[nodiscard]] bool is_reference() const noexcept { return kind_ == TermKind::reference; }
  [[nodiscard]] bool is_fun() const noexcept { return kind_ == TermKind::fun; }

  // -- the value, if it is of that kind --

  [[nodiscard]] std::optional<Atom> as_atom() const noexcept;
  [[nodiscard]] std::optional<bool> as_bool() const noexcept;
  // Nothing also if the integer does not fit.
  [[nodiscard]] std::optional<std::int64_t> as_int64() const noexcept;
  [[nodiscard]] std::optional<std::uint64_t> as_uint64() const noexcept;
  // Only of a float; no integer is converted.
  [[nodiscard]] std::optional<double> as_double() const noexcept;
  // The bytes of a binary, valid as long as this Term or a copy of it. Nothing for a bitstring of odd bits.
  [[nodiscard]] std::optional<std::string_view> as_text() const noexcept;
  [[nodiscard]] std::optional<Pid> as_pid() const noexcept;
  [[nodiscard]] std::optional<Reference> as_reference() const noexcept;
  // The bytes of a fun.
  [[nodiscard]] std::optional<std::string_view> as_fun() const noexcept;

  // The sign and the magnitude (lowest byte first, without leading zeros) of an integer; empty magnitude for 0 and for
  // what is no integer.
  [[nodiscard]] bool is_negative() const noexcept;
  [[nodiscard]] std::vector<std::uint8_t> magnitude() const;

  // The bytes of a bitstring, the last one filled up with zero bits; empty if it is none.
  [[nodiscard]] std::string_view bytes() const noexcept;
  [[nodiscard]] std::size_t bit_size() const noexcept;

  // -- containers --

  // Elements of a tuple, elements of a list (an improper tail is not one), entries of a map, bytes of a bitstring (one
  // that is begun counts); 0 for everything else.
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }

  // The elements of a tuple or list, the keys and values of a map in turn and in the order of the keys; empty for
  // everything else. Valid as long as this Term or a copy of it.
  [[nodiscard]] std::span<const Term> elements() const noexcept;
  // An element of a tuple or list. Throws std::out_of_range if there is none.
  [[nodiscard]] const Term& operator[](std::size_t index) const;
  // What follows the last element of an improper list, else null.
  [[nodiscard]] const Term* tail() const noexcept;

  // The value under a key of a map, compared exactly (1 is not 1.0); null if there is none or this is no map. O(log n).
  [[nodiscard]] const Term* find(const Term& key) const noexcept;
  [[nodiscard]] bool contains(const Term& key) const noexcept { return find(key) != nullptr; }
  // A map with the entry replaced or added, or without it. O(n). Throws std::invalid_argument if this is no map.
  [[nodiscard]] Term with(Term key, Term value) const;
  [[nodiscard]] Term without(const Term& key) const;

  // -- comparing --

  // Equal by value and kind, as `===`: 1 is not 1.0. (0.0 and -0.0 are equal, as before OTP 27.)
  friend bool operator==(const Term& left, const Term& right) noexcept { return equal(left, right); }
  // Erlang's term order: number < atom < reference < fun < pid < tuple < map < list < bitstring. Integers and floats
  // compare by value; of an integer and a float of one value the integer is less, so that the order is total. Tuples
  // compare by size, then element by element; maps by size, then keys, then values; lists element by element. Among the
  // keys of a map every integer is less than every float.
  friend std::strong_ordering operator<=>(const Term& left, const Term& right) noexcept { return compare(left, right); }
  [[nodiscard]] std::size_t hash() const noexcept;

 private:
  friend struct detail::TermAccess;

  // Takes over one count of the node; a null pointer is the empty container of this kind.
  Term(TermKind kind, const detail::TermNode* node) noexcept : kind_(kind), counted_(node != nullptr), node_(node) {}

  static bool equal(const Term& left, const Term& right) noexcept;
  static std::strong_ordering compare(const Term& left, const Term& right) noexcept;
  static Term from(bool value) noexcept;
  static Term from(double value) noexcept;
  static Term from_unsigned(std::uint64_t value);
  static Term from(const Pid& value);
  static Term from(const Reference& value);
  static Term from(const ExitReason& value);
  static Term from_signed(std::int64_t value) noexcept {
    Term term;
    term.kind_ = TermKind::integer;
    term.integer_ = value;
    return term;
  }
  static Term from(Atom value) noexcept {
    Term term;
    term.atom_ = value.data();
    return term;
  }
  template <class T>
  static Term convert(const T& value);

  // Relaxed: whoever copies a Term already has one, so the node cannot end meanwhile, and it is immutable.
  void retain() const noexcept {
    if (counted_) __atomic_fetch_add(&node_->references, 1, __ATOMIC_RELAXED);
  }
  // Release on the way down, acquire by the last: every other thread's reads of the node come before its end.
  void release() const noexcept {
    if (counted_ && __atomic_fetch_sub(&node_->references, 1, __ATOMIC_ACQ_REL) == 1) {
      detail::destroy_term_node(node_);
    }
  }
  void forget() noexcept {
    kind_ = TermKind::atom;
    counted_ = false;
    atom_ = &detail::nil_atom;
  }

  TermKind kind_;
  bool counted_;  // node_ is in use; an empty tuple, map or list has none
  // Copied and swapped through integer_, whichever is in use: both compilers define that for a union.
  union {
    std::int64_t integer_;
    double float_;
    const detail::AtomData* atom_;
    const detail::TermNode* node_;
  };
};
static_assert(sizeof(Term) == 16);

// One entry of a map.
struct TermEntry {
  Term key;
  Term value;
};

// One entry of a keyword list.
struct KeywordEntry {
  Atom key;
  Term value;
};

// -- making containers --

// `tuple("fetch"_atom, 42)` is {:fetch, 42}.
template <ToTerm... Ts>
[[nodiscard]] Term tuple(Ts&&... elements) {
  std::vector<Term> terms;
  terms.reserve(sizeof...(Ts));
  (terms.emplace_back(std::forward<Ts>(elements)), ...);
  return Term::tuple_of(std::move(terms));
}

// `list(1, 2.0, "three")` is [1, 2.0, "three"].
template <ToTerm... Ts>
[[nodiscard]] Term list(Ts&&... elements) {
  std::vector<Term> terms;
  terms.reserve(sizeof...(Ts));
  (terms.emplace_back(std::forward<Ts>(elements)), ...);
  return Term::list_of(std::move(terms));
}

// `map({{"id"_atom, 1}, {"x", 2}})` is %{:id => 1, "x" => 2}. Of equal keys the last one counts.
[[nodiscard]] COPPICE_API Term map(std::initializer_list<TermEntry> entries);

// `keyword({{"id"_atom, 1}})` is [id: 1], a list of pairs.
[[nodiscard]] COPPICE_API Term keyword(std::initializer_list<KeywordEntry> entries);

// The value of the first pair {key, value} in a list; null if there is none. OTP: proplists, Elixir: Keyword.get/2.
[[nodiscard]] COPPICE_API const Term* keyword_find(const Term& list, Atom key) noexcept;

// -- printing --

struct InspectOptions {
  static constexpr std::size_t infinity = ~std::size_t{0};

  std::size_t limit = 50;              // elements shown of all containers and raw binaries on one path; then `...`
  std::size_t printable_limit = 4096;  // code points shown of a string or charlist
};

// The text that Elixir 1.14's inspect/2 gives on one line. Differences: entries of a map are always in the order of
// their keys; every map whose :__struct__ is a module prints as %Module{...} with its fields in that order (Elixir asks
// the module); a fun prints as #Function<opaque>; levels of nesting beyond 500 print as `...` even without a limit.
[[nodiscard]] COPPICE_API std::string inspect(const Term& term, const InspectOptions& options = {});

// Elixir's to_string/1 for what has it (atoms: the text; binaries: the bytes; numbers), inspect for the rest.
[[nodiscard]] COPPICE_API std::string to_string(const Term& term);

// Prints as inspect does.
// The same order, but for an integer and a float of one value, which are equal here, also within tuples and lists: Erlang's
// `==` and `<`. So are the keys of an ordered_set of terms compared (ET-003).
[[nodiscard]] COPPICE_API std::weak_ordering compare_values(const Term& left, const Term& right) noexcept;

COPPICE_API std::ostream& operator<<(std::ostream& out, const Term& term);

// -- conversion, in detail --

namespace detail {

template <class T>
concept TermText = std::same_as<T, std::string> || std::same_as<T, std::string_view> || std::same_as<T, const char*> ||
                   std::same_as<T, char*> || (std::is_array_v<T> && std::same_as<std::remove_extent_t<T>, char>);

template <class T>
concept TermDuration = requires(const T& value) {
  typename T::rep;
  T::period::num;
  T::period::den;
  value.count();
} && std::is_arithmetic_v<typename T::rep>;

template <class T>
concept TermOptional = requires(T& value, const T& constant) {
  typename T::value_type;
  constant.has_value();
  *constant;
  value.reset();
};

template <class T>
concept TermTupleLike = requires { std::tuple_size<T>::value; };

// Containers of the standard library and their likes: an allocator or a fixed size tells them from, say,
// std::filesystem::path, which iterates over itself.
template <class T>
concept TermRange = requires(const T& value) {
  typename T::value_type;
  value.begin();
  value.end();
} && !std::same_as<typename T::value_type, T> && !requires { typename T::traits_type; } && (requires {
                      typename T::allocator_type;
                    } || TermTupleLike<T> || std::same_as<T, std::initializer_list<typename T::value_type>>);

template <class T>
concept TermMap = TermRange<T> && requires {
  typename T::key_type;
  typename T::mapped_type;
};

template <class T>
concept TermMember = requires(const T& value) {
  { value.to_term() } -> std::same_as<Term>;
};

template <class T, std::size_t... Indices>
consteval bool elements_convert_to_term(std::index_sequence<Indices...>) {
  return (converts_to_term<std::remove_cvref_t<std::tuple_element_t<Indices, T>>>() && ...);
}

template <class T>
consteval bool converts_to_term() {
  if constexpr (std::same_as<T, Term> || std::same_as<T, Atom> || std::same_as<T, ExitReason> || std::same_as<T, Pid> ||
                std::same_as<T, Reference> || std::same_as<T, std::nullopt_t> || TermText<T>) {
    return true;
  } else if constexpr (std::is_integral_v<T>) {
    return sizeof(T) <= 8;
  } else if constexpr (std::is_floating_point_v<T>) {
    return sizeof(T) <= 8;
  } else if constexpr (!std::is_class_v<T>) {
    return false;
  } else if constexpr (TermMember<T> || TermDuration<T>) {
    return true;
  } else if constexpr (TermOptional<T>) {
    return converts_to_term<std::remove_cvref_t<typename T::value_type>>();
  } else if constexpr (TermMap<T>) {
    return converts_to_term<std::remove_cvref_t<typename T::key_type>>() &&
           converts_to_term<std::remove_cvref_t<typename T::mapped_type>>();
  } else if constexpr (TermRange<T>) {
    return converts_to_term<std::remove_cvref_t<typename T::value_type>>();
  } else if constexpr (TermTupleLike<T>) {
    return elements_convert_to_term<T>(std::make_index_sequence<std::tuple_size<T>::value>{});
  } else {
    return false;
  }
}

// The elements of a pair or tuple; `get` is found through the argument.
template <class T, std::size_t... Indices>
Term term_of_tuple(const T& value, std::index_sequence<Indices...>) {
  return tuple(get<Indices>(value)...);
}

// Milliseconds, towards zero. Whole seconds and more multiply first, so that nothing is lost.
template <class T>
std::int64_t milliseconds_of(const T& value) {
  if constexpr (std::is_floating_point_v<typename T::rep>) {
    return static_cast<std::int64_t>(value.count() * 1000 * static_cast<double>(T::period::num) /
                                     static_cast<double>(T::period::den));
  } else if constexpr (T::period::den == 1) {
    return static_cast<std::int64_t>(value.count()) * T::period::num * 1000;
  } else if constexpr (T::period::num == 1 && T::period::den % 1000 == 0) {
    return static_cast<std::int64_t>(value.count()) / (T::period::den / 1000);
  } else {
    return static_cast<std::int64_t>(value.count()) * T::period::num * 1000 / T::period::den;
  }
}

}  // namespace detail

template <class T>
Term Term::convert(const T& value) {
  if constexpr (detail::TermText<T>) {
    return binary(std::string_view(value));
  } else if constexpr (std::same_as<T, bool> || std::same_as<T, Atom> || std::same_as<T, ExitReason> ||
                       std::same_as<T, Pid> || std::same_as<T, Reference>) {
    return from(value);
  } else if constexpr (std::is_floating_point_v<T>) {
    return from(static_cast<double>(value));
  } else if constexpr (std::is_integral_v<T>) {
    if constexpr (std::is_signed_v<T> || sizeof(T) < 8) {
      return from_signed(static_cast<std::int64_t>(value));
    } else {
      return from_unsigned(value);
    }
  } else if constexpr (std::same_as<T, std::nullopt_t>) {
    return {};
  } else if constexpr (detail::TermMember<T>) {
    return value.to_term();
  } else if constexpr (detail::TermDuration<T>) {
    return from_signed(detail::milliseconds_of(value));
  } else if constexpr (detail::TermOptional<T>) {
    return value.has_value() ? Term(*value) : Term();
  } else if constexpr (detail::TermMap<T>) {
    std::vector<TermEntry> entries;
    for (const auto& [key, mapped] : value) entries.push_back({Term(key), Term(mapped)});
    return map_of(std::move(entries));
  } else if constexpr (detail::TermRange<T>) {
    std::vector<Term> terms;
    for (auto&& element : value) terms.emplace_back(static_cast<const typename T::value_type&>(element));
    return list_of(std::move(terms));
  } else {
    return detail::term_of_tuple(value, std::make_index_sequence<std::tuple_size<T>::value>{});
  }
}

template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, Term> && ToTerm<T>)
Term::Term(T&& value) : Term(convert<std::remove_cvref_t<T>>(value)) {}

}  // namespace v1
}  // namespace coppice

template <>
struct std::hash<coppice::Term> {
  std::size_t operator()(const coppice::Term& term) const noexcept { return term.hash(); }
};
