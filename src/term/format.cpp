// SPDX-License-Identifier: Apache-2.0
//
// The run-time half of format.hpp, over fmt. The format string has been checked by the compiler: what is looked for here
// is there.
#include <coppice/format.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace coppice {
inline namespace v1 {
namespace detail {
namespace {

template <class T>
void append(fmt::memory_buffer& out, std::string_view spec, const T& value) {
  if (spec.empty()) {
    fmt::format_to(std::back_inserter(out), "{}", value);
    return;
  }
  std::string pattern = "{:";
  pattern.append(spec).append("}");
  fmt::vformat_to(std::back_inserter(out), fmt::string_view(pattern), fmt::make_format_args(value));
}

void append_text(fmt::memory_buffer& out, std::string_view spec, std::string_view text) {
  if (spec.empty()) {
    out.append(text.data(), text.data() + text.size());
  } else {
    append(out, spec, text);
  }
}

void append_argument(fmt::memory_buffer& out, std::string_view spec, const FormatArgument& argument) {
  const bool inspected = spec.ends_with('?');
  if (inspected) spec.remove_suffix(1);
  switch (argument.kind) {
    case FormatKind::boolean: return append(out, spec, argument.boolean);
    case FormatKind::character: return append(out, spec, argument.character);
    case FormatKind::signed_integer: return append(out, spec, argument.signed_integer);
    case FormatKind::unsigned_integer: return append(out, spec, argument.unsigned_integer);
    case FormatKind::floating: return append(out, spec, argument.floating);
    case FormatKind::pointer: return append(out, spec, argument.pointer);
    case FormatKind::text: {
      const std::string_view text(argument.text, argument.size);
      return inspected ? append_text(out, spec, inspect(Term(text))) : append_text(out, spec, text);
    }
    case FormatKind::custom: return append_text(out, spec, argument.render(argument.pointer, inspected));
    case FormatKind::refused: return;
  }
}

}  // namespace

std::string format(std::string_view text, FormatArguments arguments) {
  fmt::memory_buffer out;
  std::size_t next = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t brace = std::min(text.find_first_of("{}", at), text.size());
    out.append(text.data() + at, text.data() + brace);
    if (brace == text.size()) break;
    if (text[brace + 1] == text[brace]) {
      out.push_back(text[brace]);
      at = brace + 2;
      continue;
    }
    const std::size_t end = text.find('}', brace);
    const std::string_view spec = end > brace + 1 ? text.substr(brace + 2, end - brace - 2) : std::string_view();
    if (next < arguments.count) append_argument(out, spec, arguments.first[next++]);
    at = end + 1;
  }
  return {out.data(), out.size()};
}

std::string duration_text(double count, bool is_integer, std::int64_t num, std::int64_t den) {
  struct Unit {
    std::int64_t num;
    std::int64_t den;
    std::string_view suffix;
  };
  static constexpr std::array units{
      Unit{1, 1'000'000'000, "ns"}, Unit{1, 1'000'000, "us"}, Unit{1, 1'000, "ms"}, Unit{1, 1, "s"},
      Unit{60, 1, "min"},           Unit{3'600, 1, "h"},      Unit{86'400, 1, "d"}};
  for (const Unit& unit : units) {
    if (unit.num != num || unit.den != den) continue;
    return is_integer ? fmt::format("{}{}", static_cast<std::int64_t>(count), unit.suffix)
                      : fmt::format("{}{}", count, unit.suffix);
  }
  return fmt::format("{}s", count * static_cast<double>(num) / static_cast<double>(den));
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
