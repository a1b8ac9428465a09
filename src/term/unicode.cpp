// SPDX-License-Identifier: Apache-2.0
#include "term/unicode.hpp"

#include <algorithm>
#include <iterator>

#include "term/identifier_ranges.hpp"

namespace coppice::term {
namespace {

bool in_ranges(std::span<const CodePointRange> ranges, std::uint32_t code_point) noexcept {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), code_point,
                       [](std::uint32_t value, const CodePointRange& range) { return value < range.first; });
  return after != ranges.begin() && code_point <= std::prev(after)->last;
}

bool is_printable(std::uint32_t c) noexcept {
  return (c >= 0x20 && c <= 0x7e) || (c >= 0x07 && c <= 0x0d) || c == 0x1b || c == 0x7f || (c >= 0xa0 && c <= 0xd7ff) ||
         (c >= 0xe000 && c <= 0xfffd) || (c >= 0x10000 && c <= 0x10ffff);
}

}  // namespace

CodePoint decode_utf8(std::string_view text) noexcept {
  if (text.empty()) return {};
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return {};
  std::uint32_t value = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3fU);
  }
  const std::uint32_t least = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
  if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length};
}

std::optional<std::size_t> count_code_points(std::string_view text) noexcept {
  std::size_t count = 0;
  while (!text.empty()) {
    const CodePoint next = decode_utf8(text);
    if (next.bytes == 0) return std::nullopt;
    text.remove_prefix(next.bytes);
    ++count;
  }
  return count;
}

void append_utf8(std::string& out, std::uint32_t c) {
  const auto append = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    append(c);
  } else if (c < 0x800) {
    append(0xc0 | (c >> 6));
    append(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    append(0xe0 | (c >> 12));
    append(0x80 | ((c >> 6) & 0x3f));
    append(0x80 | (c & 0x3f));
  } else {
    append(0xf0 | (c >> 18));
    append(0x80 | ((c >> 12) & 0x3f));
    append(0x80 | ((c >> 6) & 0x3f));
    append(0x80 | (c & 0x3f));
  }
}

bool is_printable(std::string_view text, std::size_t limit) noexcept {
  for (std::size_t count = 0; !text.empty() && count < limit; ++count) {
    const CodePoint next = decode_utf8(text);
    if (next.bytes == 0 || !is_printable(next.value)) return false;
    text.remove_prefix(next.bytes);
  }
  return true;
}

bool is_identifier_start(std::uint32_t code_point) noexcept { return in_ranges(identifier_start_ranges, code_point); }

bool is_identifier_continue(std::uint32_t code_point) noexcept {
  return in_ranges(identifier_start_ranges, code_point) || in_ranges(identifier_continue_ranges, code_point);
}

}  // namespace coppice::term
