// SPDX-License-Identifier: Apache-2.0
//
// Printing terms as Elixir's inspect/2 does on one line. The names of the rules follow Elixir's Inspect protocol.
// Nesting is followed by recursion, which the limit (and `levels_max`) bounds.
#include <coppice/term.hpp>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ostream>

#include "term/big_integer.hpp"
#include "term/node.hpp"
#include "term/text.hpp"
#include "term/unicode.hpp"

namespace coppice::term {
namespace {

constexpr std::size_t levels_max = 500;
constexpr char hex_digits[] = "0123456789ABCDEF";

void append_hex(std::string& out, std::uint32_t value, std::size_t digits) {
  for (std::size_t i = digits; i-- > 0;) out.push_back(hex_digits[(value >> (i * 4)) & 0xf]);
}

// Elixir's escape_map: the letter after the backslash, or 0.
char escape_letter(std::uint32_t c) noexcept {
  switch (c) {
    case 0x07: return 'a';
    case 0x08: return 'b';
    case 0x7f: return 'd';
    case 0x1b: return 'e';
    case 0x0c: return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    case 0x0b: return 'v';
    case '\\': return '\\';
    case 0: return '0';
    default: return 0;
  }
}

void append_escaped_code_point(std::string& out, std::uint32_t c) {
  if (const char letter = escape_letter(c); letter != 0) {
    out.push_back('\\');
    out.push_back(letter);
  } else if (c == 0xfeff) {
    out.append("\\uFEFF");
  } else if (c < 0x20 || (c >= 0x80 && c < 0xa0)) {
    out.append("\\x");
    append_hex(out, c, 2);
  } else if (c == 0xfffe || c == 0xffff) {
    out.append("\\x{");
    append_hex(out, c, 4);
    out.push_back('}');
  } else {
    append_utf8(out, c);
  }
}

void append_scientific(std::string& out, std::string_view digits, std::string_view exponent) {
  out.append(digits.substr(0, 1)).append(".");
  out.append(digits.size() == 1 ? std::string_view("0") : digits.substr(1)).append("e").append(exponent);
}

// The digits d1d2... of 0.d1d2... * 10^place as OTP's float_to_list(_, [short]) writes them: beyond 2^53 always with an
// exponent, else whichever is shorter, and without an exponent on a tie.
void append_digits(std::string& out, std::string_view digits, int place, bool beyond_53_bits) {
  const int count = static_cast<int>(digits.size());
  const std::string exponent = std::to_string(place - 1);
  const int exponent_cost = static_cast<int>(exponent.size()) + (count == 1 ? 3 : 2);
  const auto zeros = [](int n) { return std::string(static_cast<std::size_t>(n), '0'); };
  if (beyond_53_bits) {
    append_scientific(out, digits, exponent);
  } else if (place == 0) {
    out.append("0.").append(digits);
  } else if (place > 0 && place < count) {
    out.append(digits.substr(0, static_cast<std::size_t>(place))).append(".");
    out.append(digits.substr(static_cast<std::size_t>(place)));
  } else if (place < 0 && 2 - place <= exponent_cost) {
    out.append("0.").append(zeros(-place)).append(digits);
  } else if (place > 0 && place - count + 2 <= exponent_cost) {
    out.append(digits).append(zeros(place - count)).append(".0");
  } else {
    append_scientific(out, digits, exponent);
  }
}

void append_float(std::string& out, double value) {
  if (std::signbit(value)) out.push_back('-');
  const double magnitude = std::abs(value);
  if (magnitude == 0) {
    out.append("0.0");
    return;
  }
  if (magnitude >= 1 && magnitude < 1e16 && std::trunc(magnitude) == magnitude) {
    out.append(std::to_string(static_cast<std::int64_t>(magnitude))).append(".0");
    return;
  }
  char buffer[40];
  const std::to_chars_result end =
      std::to_chars(buffer, buffer + sizeof(buffer), magnitude, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(end.ptr - buffer));
  const std::size_t e = text.find('e');
  std::string digits;
  for (char c : text.substr(0, e)) {
    if (c != '.') digits.push_back(c);
  }
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  append_digits(out, digits, exponent + 1, magnitude >= 9007199254740992.0);
}

void append_integer(std::string& out, const Term& integer) {
  if (const std::optional<std::int64_t> small = integer.as_int64()) {
    out.append(std::to_string(*small));
    return;
  }
  const detail::TermNode* node = detail::TermAccess::node(integer);
  if (integer.is_negative()) out.push_back('-');
  out.append(to_decimal({detail::limbs_of(node), detail::sized(node)->size}));
}

// Elixir's List.ascii_printable?/2.
bool is_charlist(const Term& list, std::size_t limit) noexcept {
  if (!list.is_proper_list()) return false;
  std::size_t count = 0;
  for (const Term& element : list.elements()) {
    if (count++ == limit) return true;
    const std::optional<std::int64_t> c = element.as_int64();
    if (!c || !((*c >= 32 && *c <= 126) || (*c >= 7 && *c <= 13) || *c == 27)) return false;
  }
  return true;
}

bool is_plain_key(const Term& key) noexcept {
  const std::optional<Atom> atom = key.as_atom();
  return atom && !atom->text().starts_with("Elixir.");
}

// A proper list of pairs whose first elements are atoms that name no module.
bool is_keyword(const Term& list) noexcept {
  if (!list.is_proper_list()) return false;
  for (const Term& pair : list.elements()) {
    if (!pair.is_tuple(2) || !is_plain_key(pair.elements()[0])) return false;
  }
  return true;
}

bool has_plain_keys(const Term& map) noexcept {
  for (std::size_t i = 0; i < map.size(); ++i) {
    if (!is_plain_key(map.elements()[i * 2])) return false;
  }
  return true;
}

class Inspector {
 public:
  explicit Inspector(std::size_t printable_limit) : printable_limit_(printable_limit) {}

  // `limit` elements may still be shown on the path to this value.
  void append(const Term& term, std::size_t limit) {
    switch (term.kind()) {
      case TermKind::integer: return append_integer(out_, term);
      case TermKind::floating: return append_float(out_, *term.as_double());
      case TermKind::atom: return append_atom(out_, *term.as_atom());
      case TermKind::reference: out_.append(to_string(*term.as_reference())); return;
      case TermKind::fun: out_.append("#Function<opaque>"); return;
      case TermKind::pid: out_.append("#PID").append(to_string(*term.as_pid())); return;
      case TermKind::bitstring: return append_bitstring(term, limit);
      default: break;
    }
    if (levels_ == levels_max) {
      out_.append("...");
      return;
    }
    ++levels_;
    if (term.is_tuple()) {
      append_tuple(term, limit);
    } else if (term.is_list()) {
      append_list(term, limit);
    } else {
      append_map(term, limit);
    }
    --levels_;
  }

  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  static std::size_t decrement(std::size_t limit) noexcept {
    return limit == InspectOptions::infinity ? limit : limit - 1;
  }

  // Elixir's container_each: `print(index, limit)` for each of `count` elements until the limit is used up.
  template <class Print>
  void append_each(std::size_t count, std::size_t limit, const Print& print) {
    for (std::size_t i = 0; i < count; ++i) {
      if (i != 0) out_.append(", ");
      if (limit == 0) {
        out_.append("...");
        return;
      }
      limit = decrement(limit);
      print(i, limit);
    }
  }

  void append_tuple(const Term& tuple, std::size_t limit) {
    out_.push_back('{');
    append_each(tuple.size(), limit, [&](std::size_t i, std::size_t rest) { append(tuple.elements()[i], rest); });
    out_.push_back('}');
  }

  void append_list(const Term& list, std::size_t limit) {
    if (!list.empty() && is_charlist(list, printable_limit_)) return append_charlist(list);
    const std::span<const Term> elements = list.elements();
    const bool keyword = !list.empty() && is_keyword(list);
    // The last element of an improper list is printed together with the tail.
    const bool improper = list.tail() != nullptr;
    out_.push_back('[');
    append_each(elements.size(), limit, [&](std::size_t i, std::size_t rest) {
      if (keyword) {
        append_entry(elements[i].elements()[0], elements[i].elements()[1], rest, true);
        return;
      }
      append(elements[i], rest);
      if (improper && i + 1 == elements.size()) {
        out_.append(" | ");
        append(*list.tail(), rest);
      }
    });
    out_.push_back(']');
  }

  void append_charlist(const Term& list) {
    std::string text;
    for (const Term& element : list.elements()) append_utf8(text, static_cast<std::uint32_t>(*element.as_uint64()));
    out_.push_back('\'');
    const bool whole = append_escaped(out_, text, '\'', printable_limit_);
    out_.append(whole ? "'" : "' ++ ...");
  }

  void append_entry(const Term& key, const Term& value, std::size_t limit, bool plain) {
    if (plain) {
      append_key(out_, *key.as_atom());
      out_.push_back(' ');
    } else {
      append(key, limit);
      out_.append(" => ");
    }
    append(value, limit);
  }

  void append_map(const Term& map, std::size_t limit) {
    const bool plain = has_plain_keys(map);
    const Term* module = plain ? map.find("__struct__"_atom) : nullptr;
    const bool is_struct = module != nullptr && module->is_atom() && is_alias(module->as_atom()->text());
    std::vector<std::size_t> shown;
    for (std::size_t i = 0; i < map.size(); ++i) {
      const Term& key = map.elements()[i * 2];
      if (is_struct && (key.is_atom("__struct__"_atom) || key.is_atom("__exception__"_atom))) continue;
      shown.push_back(i * 2);
    }
    out_.push_back('%');
    if (is_struct) append_atom(out_, *module->as_atom());
    out_.push_back('{');
    append_each(shown.size(), limit, [&](std::size_t i, std::size_t rest) {
      append_entry(map.elements()[shown[i]], map.elements()[shown[i] + 1], rest, plain);
    });
    out_.push_back('}');
  }

  void append_bitstring(const Term& bits, std::size_t limit) {
    const std::string_view bytes = bits.bytes();
    if (bits.is_binary() && is_printable(bytes, printable_limit_)) {
      out_.push_back('"');
      const bool whole = append_escaped(out_, bytes, '"', printable_limit_);
      out_.append(whole ? "\"" : "\" <> ...");
      return;
    }
    out_.append("<<");
    const std::size_t odd = bits.bit_size() % 8;
    append_each(bytes.size(), limit, [&](std::size_t i, std::size_t) {
      const unsigned byte = static_cast<unsigned char>(bytes[i]);
      if (odd != 0 && i + 1 == bytes.size()) {
        out_.append(std::to_string(byte >> (8 - odd))).append("::size(").append(std::to_string(odd)).append(")");
      } else {
        out_.append(std::to_string(byte));
      }
    });
    out_.append(">>");
  }

  std::string out_;
  std::size_t printable_limit_;
  std::size_t levels_ = 0;
};

}  // namespace

bool append_escaped(std::string& out, std::string_view text, char quote, std::size_t limit) {
  for (std::size_t count = 0; !text.empty(); ++count) {
    if (count == limit) return false;
    if (text[0] == quote) {
      out.push_back('\\');
      out.push_back(quote);
      text.remove_prefix(1);
      continue;
    }
    if (text.starts_with("#{")) {
      out.append("\\#{");
      text.remove_prefix(2);
      continue;
    }
    const CodePoint next = decode_utf8(text);
    if (next.bytes == 0) {
      out.append("\\x");
      append_hex(out, static_cast<unsigned char>(text[0]), 2);
      text.remove_prefix(1);
    } else {
      append_escaped_code_point(out, next.value);
      text.remove_prefix(next.bytes);
    }
  }
  return true;
}

}  // namespace coppice::term

namespace coppice {
inline namespace v1 {

std::string inspect(const Term& term, const InspectOptions& options) {
  term::Inspector inspector(options.printable_limit);
  inspector.append(term, options.limit);
  return inspector.take();
}

std::string to_string(const Term& term) {
  if (const std::optional<Atom> atom = term.as_atom()) return atom->text() == "nil" ? "" : to_string(*atom);
  if (const std::optional<std::string_view> text = term.as_text()) return std::string(*text);
  return inspect(term);
}

std::ostream& operator<<(std::ostream& out, const Term& term) { return out << inspect(term); }

}  // namespace v1
}  // namespace coppice
