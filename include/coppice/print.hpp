// SPDX-License-Identifier: Apache-2.0
//
// print: formatted text on standard output. For programs that talk to people; what is to be kept goes to the logger.
//
//   print("{} users\n", count);
//   println("{} users", count);
//
// The text of one call comes out whole: what other processes and threads print does not get between. It is flushed at
// once if standard output is a terminal, else when its buffer is full and when the program exits. A failing standard
// output (a closed pipe) is ignored. Any thread. See format.hpp for format strings. Elixir: IO.write/1 and IO.puts/1.
#pragma once

#include <coppice/config.hpp>
#include <coppice/format.hpp>

namespace coppice {
inline namespace v1 {

namespace detail {

COPPICE_API void print(std::string_view text, FormatArguments arguments, bool with_newline);

template <bool WithNewline>
struct Print {
  template <class... Args>
  void operator()(FormatString<Args...> text, const Args&... args) const {
    const FormatArgument list[] = {format_argument(args)..., FormatArgument()};
    detail::print(text.text(), {list, sizeof...(Args)}, WithNewline);
  }
  void operator()() const
    requires WithNewline
  {
    detail::print({}, {}, true);
  }
};

}  // namespace detail

// Objects and not function templates, for the same reason as format.
inline constexpr detail::Print<false> print{};
// The same with a line's end; `println()` prints an empty line.
inline constexpr detail::Print<true> println{};

}  // namespace v1
}  // namespace coppice
