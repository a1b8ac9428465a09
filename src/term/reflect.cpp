// SPDX-License-Identifier: Apache-2.0
#include <coppice/reflect.hpp>

namespace coppice {
inline namespace v1 {

namespace {

bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
char lower(char c) noexcept { return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string snake_case(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (i > 0 && is_upper(c)) {
      const char before = name[i - 1];
      const char after = i + 1 < name.size() ? name[i + 1] : '_';
      // A capital begins a word if the word before has ended, or if what follows shows that no abbreviation goes on.
      const bool ends_abbreviation = !is_upper(after) && !is_digit(after) && after != '.' && after != '_';
      if (ends_abbreviation || (!is_upper(before) && before != '_')) out.push_back('_');
    }
    out.push_back(lower(c));
  }
  return out;
}

}  // namespace v1
}  // namespace coppice
