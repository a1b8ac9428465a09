// SPDX-License-Identifier: Apache-2.0
#include <coppice/job_args.hpp>

#include <charconv>
#include <cmath>

namespace coppice {
inline namespace v1 {
namespace detail {

void write_json_text(std::string& out, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void write_json_integer(std::string& out, std::int64_t value) { out += std::to_string(value); }

void write_json_double(std::string& out, double value) {
  if (!std::isfinite(value)) throw std::invalid_argument("a double of a job is not a number");
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out.append(buffer, end);
}

char JsonReader::next() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
    ++at_;
  }
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonReader::take(char c) {
  if (next() != c) return false;
  ++at_;
  return true;
}

bool JsonReader::take_word(std::string_view word) {
  (void)next();
  if (text_.substr(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

void JsonReader::expect(char c) {
  if (!take(c)) fail(std::string_view(&c, 1));
}

void JsonReader::enter() {
  if (++depth_ > 100) fail("less nesting");
}

std::string JsonReader::text() {
  expect('"');
  std::string out;
  for (;;) {
    if (at_ >= text_.size()) fail("the end of a text");
    const char c = text_[at_++];
    if (c == '"') return out;
    if (c == '\\') {
      append_escape(out);
    } else {
      out += c;
    }
  }
}

void JsonReader::append_escape(std::string& out) {
  if (at_ >= text_.size()) fail("an escape");
  switch (const char c = text_[at_++]) {
    case '"':
    case '\\':
    case '/': out += c; return;
    case 'b': out += '\b'; return;
    case 'f': out += '\f'; return;
    case 'n': out += '\n'; return;
    case 'r': out += '\r'; return;
    case 't': out += '\t'; return;
    case 'u': break;
    default: fail("an escape");
  }
  std::uint32_t code = hex4();
  if (code >= 0xD800 && code < 0xDC00) {
    if (text_.substr(at_, 2) != "\\u") fail("the second half of a surrogate pair");
    at_ += 2;
    const unsigned low = hex4();
    if (low < 0xDC00 || low > 0xDFFF) fail("the second half of a surrogate pair");
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  }
  const auto byte = [&](std::uint32_t value) { out += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | (code >> 6)), byte(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    byte(0xE0 | (code >> 12)), byte(0x80 | ((code >> 6) & 0x3F)), byte(0x80 | (code & 0x3F));
  } else {
    byte(0xF0 | (code >> 18)), byte(0x80 | ((code >> 12) & 0x3F)), byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  }
}

unsigned JsonReader::hex4() {
  unsigned value = 0;
  const std::string_view digits = text_.substr(at_, 4);
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (digits.size() != 4 || read.ptr != digits.data() + 4) fail("four hexadecimal digits");
  at_ += 4;
  return value;
}

std::string_view JsonReader::number_text() {
  (void)next();
  const std::size_t end = std::min(text_.find_first_not_of("+-.0123456789eE", at_), text_.size());
  return text_.substr(at_, end - at_);
}

std::int64_t JsonReader::integer() {
  const std::string_view digits = number_text();
  std::int64_t value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || read.ec != std::errc() || read.ptr != digits.data() + digits.size()) fail("an integer");
  at_ += digits.size();
  return value;
}

double JsonReader::number() {
  const std::string_view digits = number_text();
  double value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || read.ec != std::errc() || read.ptr != digits.data() + digits.size()) fail("a number");
  at_ += digits.size();
  return value;
}

void JsonReader::skip() {
  switch (next()) {
    case '"': (void)text(); return;
    case '[':
      ++at_;
      read_json_elements(*this, ']', [&] { skip(); });
      return;
    case '{':
      ++at_;
      read_json_elements(*this, '}', [&] {
        (void)text();
        expect(':');
        skip();
      });
      return;
    default:
      if (!take_word("null") && !take_word("true") && !take_word("false")) (void)number();
  }
}

void JsonReader::end() {
  if (next() != '\0' || at_ < text_.size()) fail("the end");
}

void JsonReader::fail(std::string_view wanted) const {
  throw std::invalid_argument("the arguments of a job: at byte " + std::to_string(at_) + " expected is " +
                              std::string(wanted) + ": " + std::string(text_.substr(0, 100)));
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
