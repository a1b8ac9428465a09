// SPDX-License-Identifier: Apache-2.0
//
// format: text from a format string that the compiler checks.
//
//   format("{} of {} is {:.2f}", 3, "total", 1.5)          "3 of total is 1.50"
//   format("{:>8}|{:#x}|{:?}", "right", 255, "quoted\n")   "   right|0xff|\"quoted\\n\""
//
// A placeholder is `{}` or `{:spec}`; `{{` and `}}` are braces. Placeholders take the arguments in order: indices, names
// and nested placeholders are refused. The specification is std::format's [[fill]align][sign][#][0][width][.precision]
// [type], and `?`, which shows the value as Elixir's inspect does. Placeholders without arguments, arguments without
// placeholders, stray braces and specifications that do not fit the argument's type do not compile, so formatting
// itself cannot fail.
//
// What can be formatted, and how `{}` shows it:
//   numbers, bool, char                     as std::format does
//   std::string, string_view, const char*   the text; a null pointer as (null); std::filesystem::path likewise
//   void pointers, nullptr                  0x7f..., 0x0
//   std::exception                          what()
//   std::chrono durations                   150ms, 2s, 1.5h
//   Pid, Reference, ExitReason, Atom, Term  as their to_string: <0.12.0>, {:shutdown, 3}, enoent
//   std::optional                           nil or the value
//   whatever has a to_string found by ADL   that text
//   whatever makes a Term, and aggregates   as inspect shows it: [1, 2], {:user, "7", 42}
//
// Any thread. Elixir: string interpolation and inspect/1.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>

#include <coppice/config.hpp>
#include <coppice/exit_reason.hpp>
#include <coppice/reflect.hpp>
#include <coppice/term.hpp>

namespace coppice {
inline namespace v1 {

namespace detail {

enum class FormatKind : std::uint8_t {
  refused,
  boolean,
  character,
  signed_integer,
  unsigned_integer,
  floating,
  text,
  pointer,
  custom
};

// One argument, its type forgotten. Refers to the value, which must live until the text is made.
struct FormatArgument {
  FormatKind kind = FormatKind::refused;
  std::size_t size = 0;  // of a text
  union {
    bool boolean;
    char character;
    std::int64_t signed_integer = 0;
    std::uint64_t unsigned_integer;
    double floating;
    const char* text;
    const void* pointer;
  };
  std::string (*render)(const void* value, bool inspected) = nullptr;  // of a custom one
};

struct FormatArguments {
  const FormatArgument* first = nullptr;
  std::size_t count = 0;
};

// "150ms" of a duration with the period num/den.
[[nodiscard]] COPPICE_API std::string duration_text(double count, bool is_integer, std::int64_t num, std::int64_t den);

// -- which types, and how -----------------------------------------------------------------------------------------------

template <class T>
concept FormatText = std::is_convertible_v<const T&, std::string_view>;

template <class T>
concept FormatPath = requires(const T& value) {
  { value.string() } -> std::same_as<std::string>;
  value.native();
};

template <class T>
concept FormatToString = requires(const T& value) {
  { to_string(value) } -> std::convertible_to<std::string>;
};

template <class T>
concept FormatTerm = reflects_to_term<T>();

template <class T>
consteval FormatKind format_kind() {
  if constexpr (std::is_same_v<T, bool>) {
    return FormatKind::boolean;
  } else if constexpr (std::is_same_v<T, char>) {
    return FormatKind::character;
  } else if constexpr (std::is_integral_v<T>) {
    if constexpr (sizeof(T) > 8) return FormatKind::refused;
    return std::is_signed_v<T> ? FormatKind::signed_integer : FormatKind::unsigned_integer;
  } else if constexpr (std::is_floating_point_v<T>) {
    return FormatKind::floating;
  } else if constexpr (std::is_null_pointer_v<T>) {
    return FormatKind::pointer;
  } else if constexpr (FormatText<T>) {
    return FormatKind::text;
  } else if constexpr (std::is_pointer_v<T>) {
    return std::is_void_v<std::remove_pointer_t<T>> ? FormatKind::pointer : FormatKind::refused;
  } else if constexpr (TermOptional<T>) {
    return format_kind<std::remove_cvref_t<typename T::value_type>>() == FormatKind::refused ? FormatKind::refused
                                                                                             : FormatKind::custom;
  } else if constexpr (TermDuration<T> || FormatPath<T> || std::is_base_of_v<std::exception, T> || FormatToString<T> ||
                       FormatTerm<T>) {
    return FormatKind::custom;
  } else {
    return FormatKind::refused;
  }
}

// -- the check ------------------------------------------------------------------------------------------------------------

// Calling one of these in a constant expression is the error that the user reads.
void format_string_has_an_opening_brace_that_is_not_closed();
void format_string_has_a_closing_brace_that_is_not_opened();
void format_string_has_more_placeholders_than_arguments();
void format_string_has_fewer_placeholders_than_arguments();
void format_string_uses_an_index_or_a_name_where_only_a_specification_may_stand();
void format_specification_does_not_fit_the_argument();

constexpr bool is_format_align(char c) noexcept { return c == '<' || c == '>' || c == '^'; }
constexpr bool is_format_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Where the alignment of a specification stands; it may have a fill of up to four bytes before it. npos: there is none.
constexpr std::size_t format_align_at(std::string_view spec) noexcept {
  for (std::size_t i = 1; i <= 4 && i < spec.size(); ++i) {
    if (is_format_align(spec[i])) return i;
    if ((static_cast<unsigned char>(spec[i]) & 0xc0) != 0x80) break;  // no longer the same code point
  }
  return !spec.empty() && is_format_align(spec[0]) ? 0 : std::string_view::npos;
}

constexpr std::string_view format_types(FormatKind kind) noexcept {
  switch (kind) {
    case FormatKind::boolean: return "s";
    case FormatKind::character: return "c";
    case FormatKind::signed_integer:
    case FormatKind::unsigned_integer: return "bBdoxX";
    case FormatKind::floating: return "aAeEfFgG";
    case FormatKind::pointer: return "p";
    default: return "s?";
  }
}

constexpr bool is_format_specification(std::string_view spec, FormatKind kind) noexcept {
  const bool is_integer = kind == FormatKind::signed_integer || kind == FormatKind::unsigned_integer;
  const bool is_number = is_integer || kind == FormatKind::floating;
  const bool is_text = kind == FormatKind::text || kind == FormatKind::custom;
  std::size_t at = 0;
  if (const std::size_t align = format_align_at(spec); align != std::string_view::npos) at = align + 1;
  const auto next = [&] { return at < spec.size() ? spec[at] : '\0'; };
  if (is_number && (next() == '+' || next() == '-' || next() == ' ')) ++at;
  if (is_number && next() == '#') ++at;
  if (is_number && next() == '0') ++at;
  if (next() == '0') return false;
  std::size_t digits = 0;
  for (; is_format_digit(next()); ++at) ++digits;
  if (digits > 4) return false;
  if ((is_text || kind == FormatKind::floating) && next() == '.') {
    ++at;
    for (digits = 0; is_format_digit(next()); ++at) ++digits;
    if (digits == 0 || digits > 4) return false;
  }
  if (at < spec.size() && format_types(kind).find(spec[at]) != std::string_view::npos) ++at;
  return at == spec.size();
}

template <std::size_t Count>
consteval void check_format(std::string_view text, const FormatKind (&kinds)[Count]) {
  std::size_t used = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '}') {
      if (at + 1 == text.size() || text[at + 1] != '}') format_string_has_a_closing_brace_that_is_not_opened();
      ++at;
    } else if (text[at] == '{') {
      if (at + 1 < text.size() && text[at + 1] == '{') {
        ++at;
        continue;
      }
      const std::size_t end = text.find('}', at);
      if (end == std::string_view::npos) format_string_has_an_opening_brace_that_is_not_closed();
      const std::string_view inside = text.substr(at + 1, end - at - 1);
      if (inside.find('{') != std::string_view::npos) format_string_has_an_opening_brace_that_is_not_closed();
      if (!inside.empty() && inside[0] != ':') {
        format_string_uses_an_index_or_a_name_where_only_a_specification_may_stand();
      }
      if (used + 1 == Count) format_string_has_more_placeholders_than_arguments();  // the last kind is a stopper
      if (!inside.empty() && !is_format_specification(inside.substr(1), kinds[used])) {
        format_specification_does_not_fit_the_argument();
      }
      ++used;
      at = end;
    }
  }
  if (used + 1 < Count) format_string_has_fewer_placeholders_than_arguments();
}

}  // namespace detail

// What `{}` takes.
template <class T>
concept Formattable = detail::format_kind<std::remove_cvref_t<T>>() != detail::FormatKind::refused;

namespace detail {

[[nodiscard]] COPPICE_API std::string format(std::string_view text, FormatArguments arguments);

template <class T>
FormatArgument format_argument(const T& value);

// The text of one value, by the rules above.
template <class T>
std::string format_value(const T& value, bool inspected) {
  const FormatArgument argument = format_argument(value);
  return detail::format(inspected && (argument.kind == FormatKind::text || argument.kind == FormatKind::custom)
                            ? std::string_view("{:?}")
                            : std::string_view("{}"),
                        {&argument, 1});
}

template <class T>
std::string render_custom(const void* pointer, bool inspected) {
  const T& value = *static_cast<const T*>(pointer);
  if constexpr (TermOptional<T>) {
    return value.has_value() ? format_value(*value, inspected) : std::string("nil");
  } else if constexpr (TermDuration<T>) {
    return duration_text(static_cast<double>(value.count()), std::is_integral_v<typename T::rep>, T::period::num,
                         T::period::den);
  } else if constexpr (FormatPath<T>) {
    return inspected ? inspect(Term(value.string())) : value.string();
  } else if constexpr (std::is_base_of_v<std::exception, T>) {
    return value.what();
  } else if constexpr (std::is_same_v<T, Term> || std::is_same_v<T, Atom>) {
    return inspected ? inspect(value) : to_string(value);
  } else if constexpr (FormatToString<T>) {
    return to_string(value);
  } else {
    return inspect(coppice::v1::to_term(value));
  }
}

template <class T>
FormatArgument format_argument(const T& value) {
  static_assert(Formattable<T>,
                "this type cannot be formatted: give it a function `std::string to_string(const T&)` in its namespace, "
                "or convert it (a pointer to `const void*`, an enumeration to its number)");
  FormatArgument argument;
  constexpr FormatKind kind = format_kind<T>();
  argument.kind = kind;
  if constexpr (kind == FormatKind::boolean) {
    argument.boolean = value;
  } else if constexpr (kind == FormatKind::character) {
    argument.character = value;
  } else if constexpr (kind == FormatKind::signed_integer) {
    argument.signed_integer = value;
  } else if constexpr (kind == FormatKind::unsigned_integer) {
    argument.unsigned_integer = value;
  } else if constexpr (kind == FormatKind::floating) {
    argument.floating = static_cast<double>(value);
  } else if constexpr (kind == FormatKind::text) {
    if constexpr (std::is_pointer_v<T>) {
      const std::string_view text = value == nullptr ? std::string_view("(null)") : std::string_view(value);
      argument.text = text.data();
      argument.size = text.size();
    } else {
      const std::string_view text(value);
      argument.text = text.data();
      argument.size = text.size();
    }
  } else if constexpr (kind == FormatKind::pointer) {
    argument.pointer = value;
  } else if constexpr (kind == FormatKind::custom) {
    argument.pointer = __builtin_addressof(value);
    argument.render = &render_custom<T>;
  }
  return argument;
}

}  // namespace detail

// A string literal whose placeholders fit arguments of the types Args. Made from anything that is a string at compile
// time; the text must live as long as the program, as literals do.
template <class... Args>
class BasicFormatString {
 public:
  template <class T>
    requires std::is_convertible_v<const T&, std::string_view>
  consteval BasicFormatString(const T& text) : text_(text) {  // NOLINT: implicit on purpose
    constexpr detail::FormatKind kinds[] = {detail::format_kind<std::remove_cvref_t<Args>>()...,
                                            detail::FormatKind::refused};
    detail::check_format(text_, kinds);
  }
  [[nodiscard]] constexpr std::string_view text() const noexcept { return text_; }

 private:
  std::string_view text_;
};
template <class... Args>
using FormatString = BasicFormatString<std::type_identity_t<Args>...>;

namespace detail {
struct Format {
  template <class... Args>
  [[nodiscard]] std::string operator()(FormatString<Args...> text, const Args&... args) const {
    const FormatArgument list[] = {format_argument(args)..., FormatArgument()};
    return detail::format(text.text(), {list, sizeof...(Args)});
  }
};
}  // namespace detail

// `format("...", arguments...)` returns the text. An object and not a function template, so that an argument from
// namespace std does not make it ambiguous with std::format.
inline constexpr detail::Format format{};

}  // namespace v1
}  // namespace coppice
