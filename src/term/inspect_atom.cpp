// SPDX-License-Identifier: Apache-2.0
//
// How an atom is written: Elixir's Macro.inspect_atom/2.
#include "term/text.hpp"

#include <algorithm>
#include <array>

#include "term/unicode.hpp"

namespace coppice::term {
namespace {

// What Macro.classify_atom/1 tells apart.
enum class AtomClass { alias, identifier, quoted_operator, unquoted_operator, not_callable, other };

constexpr std::array not_callable{std::string_view("%"),    std::string_view("%{}"),  std::string_view("{}"),
                                  std::string_view("<<>>"), std::string_view("..."),  std::string_view(".."),
                                  std::string_view("."),    std::string_view("..//"), std::string_view("->")};

constexpr std::string_view unquoted_operators[] = {
    "+",   "-",   "*",   "/",   "^",   "!",   "<",   ">",   "=",   "&",   "|",   "@",  "++", "--",
    "**",  "!=",  "~>",  "<-",  "<~",  "<>",  "<=",  ">=",  "=~",  "==",  "&&",  "|>", "||", "\\\\",
    "+++", "---", "!==", "~>>", "<~>", "<<~", "<<<", ">>>", "===", "&&&", "|||", "~~>"};

constexpr std::string_view quoted_operators[] = {"::", "^^^", "~~~", "<|>"};

template <class List>
bool contains(const List& list, std::string_view text) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

bool is_letter(std::uint32_t c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(std::uint32_t c) noexcept { return c >= '0' && c <= '9'; }

AtomClass classify_identifier(std::string_view text) noexcept {
  bool first = true;
  bool has_at = false;
  while (!text.empty()) {
    const CodePoint next = decode_utf8(text);
    const std::uint32_t c = next.value;
    text.remove_prefix(next.bytes);
    const bool starts = is_letter(c) || c == '_' || (c >= 128 && is_identifier_start(c));
    const bool continues = starts || is_digit(c) || c == '@' || (c >= 128 && is_identifier_continue(c));
    const bool ends = (c == '?' || c == '!') && text.empty();
    if (first ? !starts : !(continues || ends)) return AtomClass::other;
    has_at = has_at || c == '@';
    first = false;
  }
  if (first) return AtomClass::other;
  return has_at ? AtomClass::not_callable : AtomClass::identifier;
}

AtomClass classify(std::string_view text) noexcept {
  if (contains(not_callable, text)) return AtomClass::not_callable;
  if (contains(quoted_operators, text)) return AtomClass::quoted_operator;
  if (contains(unquoted_operators, text)) return AtomClass::unquoted_operator;
  if (is_alias(text)) return AtomClass::alias;
  return classify_identifier(text);
}

bool needs_quotes(AtomClass kind) noexcept { return kind == AtomClass::other || kind == AtomClass::quoted_operator; }

void append_quoted(std::string& out, std::string_view text) {
  out.push_back('"');
  append_escaped(out, text, '"', std::string_view::npos);
  out.push_back('"');
}

}  // namespace

bool is_alias(std::string_view text) noexcept {
  if (!text.starts_with("Elixir")) return false;
  text.remove_prefix(6);
  while (!text.empty()) {
    if (text.size() < 2 || text[0] != '.' || text[1] < 'A' || text[1] > 'Z') return false;
    std::size_t i = 2;
    while (i < text.size()) {
      const auto c = static_cast<unsigned char>(text[i]);
      if (!is_letter(c) && !is_digit(c) && c != '_') break;
      ++i;
    }
    text.remove_prefix(i);
  }
  return true;
}

void append_atom(std::string& out, Atom atom) {
  const std::string_view text = atom.text();
  if (text == "nil" || text == "true" || text == "false") {
    out.append(text);
    return;
  }
  if (text.starts_with('#') && text.ends_with("<opaque>")) {  // stands for a C++ object, as #Function<...> does
    out.append(text);
    return;
  }
  const AtomClass kind = classify(text);
  if (kind == AtomClass::alias) {
    constexpr std::string_view prefix = "Elixir.";
    const bool whole = text == "Elixir" || text == "Elixir.Elixir" || text.starts_with("Elixir.Elixir.");
    out.append(whole ? text : text.substr(prefix.size()));
    return;
  }
  out.push_back(':');
  if (needs_quotes(kind)) {
    append_quoted(out, text);
  } else {
    out.append(text);
  }
}

void append_key(std::string& out, Atom atom) {
  const AtomClass kind = classify(atom.text());
  if (kind == AtomClass::alias || needs_quotes(kind)) {
    append_quoted(out, atom.text());
  } else {
    out.append(atom.text());
  }
  out.push_back(':');
}

void append_call(std::string& out, Atom atom) {
  const AtomClass kind = classify(atom.text());
  if (kind == AtomClass::identifier || kind == AtomClass::quoted_operator || kind == AtomClass::unquoted_operator) {
    out.append(atom.text());
  } else {
    append_quoted(out, atom.text());
  }
}

}  // namespace coppice::term
