// SPDX-License-Identifier: Apache-2.0
//
// What the term layer knows of Unicode: decoding UTF-8, what Elixir calls printable, and which code points may stand in
// an atom that is written without quotes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coppice::term {

// The code point at the start of `text` and how many bytes it takes; 0 bytes if the text is empty or does not start
// with valid UTF-8 (overlong forms and surrogates are invalid).
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;
};
[[nodiscard]] CodePoint decode_utf8(std::string_view text) noexcept;

// Nothing if the text is not valid UTF-8.
[[nodiscard]] std::optional<std::size_t> count_code_points(std::string_view text) noexcept;

void append_utf8(std::string& out, std::uint32_t code_point);

// Elixir's String.printable?/2: valid UTF-8, and the first `limit` code points are printable or common escapes.
[[nodiscard]] bool is_printable(std::string_view text, std::size_t limit) noexcept;

// Whether a code point above 127 may begin, or continue, an identifier (Elixir's tokenizer, Unicode 14).
[[nodiscard]] bool is_identifier_start(std::uint32_t code_point) noexcept;
[[nodiscard]] bool is_identifier_continue(std::uint32_t code_point) noexcept;

}  // namespace coppice::term
