// SPDX-License-Identifier: Apache-2.0
#include "against_otp/scenario.hpp"

#include <cctype>
#include <charconv>
#include <utility>

#include <coppice/process.hpp>

namespace against_otp {

using namespace coppice;

namespace {

// Reads the expressions of one line.
class Reader {
 public:
  Reader(std::string_view text, int line) : text_(text), line_(line) {}

  std::vector<Expression> arguments() {
    std::vector<Expression> all = sequence('\0');
    if (at_ != text_.size()) fail("something is left over");
    return all;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw ParseError("line " + std::to_string(line_) + ": " + what + " at `" + std::string(text_.substr(at_)) + "`");
  }
  void blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char wanted) {
    blanks();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  std::string_view word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_'))
      ++at_;
    if (begin == at_) fail("a name is missing");
    return text_.substr(begin, at_ - begin);
  }
  std::string quoted() {
    const std::size_t end = text_.find('"', ++at_);
    if (end == std::string_view::npos) fail("a text has no end");
    std::string text(text_.substr(at_, end - at_));
    at_ = end + 1;
    return text;
  }

  std::vector<Expression> sequence(char closing) {
    std::vector<Expression> all;
    blanks();
    if (closing == '\0' ? at_ == text_.size() : take(closing)) return all;
    do {
      all.push_back(element());
    } while (take(','));
    if (closing != '\0' && !take(closing)) fail(std::string("missing ") + closing);
    return all;
  }

  // An expression, or `key: expression`, which is {:key, expression}.
  Expression element() {
    blanks();
    const std::size_t begin = at_;
    if (at_ < text_.size() && std::islower(static_cast<unsigned char>(text_[at_])) != 0) {
      const std::string_view key = word();
      if (at_ + 1 < text_.size() && text_[at_] == ':' && text_[at_ + 1] == ' ') {
        ++at_;
        Expression pair{.kind = Expression::Kind::tuple};
        pair.elements = {Expression{.literal = Atom(key)}, expression()};
        return pair;
      }
      at_ = begin;
    }
    return expression();
  }

  Expression expression() {
    blanks();
    if (at_ == text_.size()) fail("an expression is missing");
    const char first = text_[at_];
    if (first == ':') {
      ++at_;
      if (at_ < text_.size() && text_[at_] == '"') return {.literal = Atom(quoted())};
      return {.literal = Atom(word())};
    }
    if (first == '"') return {.literal = Term(quoted())};
    if (first == '{' || first == '[') {
      ++at_;
      Expression whole{.kind = first == '{' ? Expression::Kind::tuple : Expression::Kind::list};
      whole.elements = sequence(first == '{' ? '}' : ']');
      return whole;
    }
    if (first == '-' || std::isdigit(static_cast<unsigned char>(first)) != 0) return number();
    return named(word());
  }

  Expression number() {
    std::int64_t value = 0;
    const char* const begin = text_.data() + at_;
    const char* const last = text_.data() + text_.size();
    const auto [end, error] = std::from_chars(begin, last, value);
    if (error != std::errc{}) fail("not a number");
    if (end != last && *end == '.') {
      double real = 0;
      at_ = static_cast<std::size_t>(std::from_chars(begin, last, real).ptr - text_.data());
      return {.literal = Term(real)};
    }
    at_ = static_cast<std::size_t>(end - text_.data());
    return {.literal = Term(value)};
  }

  static Expression named(std::string_view name) {
    if (name == "true" || name == "false" || name == "nil") return {.literal = Atom(name)};
    return {.kind = Expression::Kind::variable, .name = std::string(name)};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_;
};

struct Raw {
  std::string_view text;
  std::size_t depth;
  int number;
};

std::vector<Raw> raw_lines(std::string_view text) {
  std::vector<Raw> lines;
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
    const std::size_t indent = line.find_first_not_of(' ');
    if (indent == std::string_view::npos || line[indent] == '#') continue;
    lines.push_back({line.substr(indent), indent / 2, number});
  }
  return lines;
}

std::vector<Line> block(const std::vector<Raw>& lines, std::size_t& at, std::size_t depth) {
  std::vector<Line> all;
  while (at < lines.size() && lines[at].depth >= depth) {
    const Raw& raw = lines[at++];
    if (raw.depth > depth) throw ParseError("line " + std::to_string(raw.number) + ": it is indented too far");
    const std::size_t space = std::min(raw.text.find(' '), raw.text.size());
    Line line{.word = std::string(raw.text.substr(0, space)), .number = raw.number};
    const std::string_view rest = raw.text.substr(std::min(space + 1, raw.text.size()));
    if (line.word == "scenario") {
      line.text = rest;
    } else {
      line.arguments = Reader(rest, raw.number).arguments();
    }
    line.body = block(lines, at, depth + 1);
    all.push_back(std::move(line));
  }
  return all;
}

bool match_all(const std::vector<Expression>& patterns, std::span<const Term> terms, Environment& environment,
               const Processes& processes) {
  if (patterns.size() != terms.size()) return false;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    if (!match(patterns[i], terms[i], environment, processes)) return false;
  }
  return true;
}

bool match_variable(const std::string& name, const Term& term, Environment& environment, const Processes& processes) {
  if (name == "_") return true;
  if (name == "self") return term == Term(self());
  if (const auto bound = environment.find(name); bound != environment.end()) return bound->second == term;
  if (const auto process = processes.find(name); process != processes.end()) return term == Term(process->second);
  environment.emplace(name, term);
  return true;
}

}  // namespace

const Expression* Line::option(std::string_view key) const {
  for (const Expression& argument : arguments) {
    if (argument.kind == Expression::Kind::tuple && argument.elements.size() == 2 &&
        argument.elements[0].literal == Term(Atom(key))) {
      return &argument.elements[1];
    }
  }
  return nullptr;
}

std::vector<Line> parse(std::string_view text) {
  const std::vector<Raw> lines = raw_lines(text);
  std::size_t at = 0;
  return block(lines, at, 0);
}

Term value(const Expression& expression, const Environment& environment, const Processes& processes) {
  switch (expression.kind) {
    case Expression::Kind::literal: return expression.literal;
    case Expression::Kind::variable: {
      if (expression.name == "self") return self();
      if (const auto bound = environment.find(expression.name); bound != environment.end()) return bound->second;
      const auto process = processes.find(expression.name);
      if (process == processes.end()) throw std::out_of_range("nobody is called " + expression.name);
      return process->second;
    }
    case Expression::Kind::tuple:
    case Expression::Kind::list: break;
  }
  std::vector<Term> elements;
  for (const Expression& element : expression.elements) elements.push_back(value(element, environment, processes));
  return expression.kind == Expression::Kind::tuple ? Term::tuple_of(std::move(elements))
                                                    : Term::list_of(std::move(elements));
}

bool match(const Expression& pattern, const Term& term, Environment& environment, const Processes& processes) {
  switch (pattern.kind) {
    case Expression::Kind::literal: return pattern.literal == term;
    case Expression::Kind::variable: return match_variable(pattern.name, term, environment, processes);
    case Expression::Kind::tuple:
      return term.is_tuple() && match_all(pattern.elements, term.elements(), environment, processes);
    case Expression::Kind::list:
      return term.is_proper_list() && match_all(pattern.elements, term.elements(), environment, processes);
  }
  return false;
}

}  // namespace against_otp
