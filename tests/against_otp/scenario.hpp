// SPDX-License-Identifier: Apache-2.0
//
// Scenarios: small programs that coppice and the original both run. README.md beside this file explains the language.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <coppice/term.hpp>

namespace against_otp {

using coppice::Term;

// An expression or a pattern.
struct Expression {
  enum class Kind : unsigned char { literal, variable, tuple, list } kind = Kind::literal;
  Term literal = {};
  std::string name = {};  // of a variable; `_` matches anything
  std::vector<Expression> elements = {};
};

// A line: a word, expressions, and the lines indented below it.
struct Line {
  std::string word;
  std::vector<Expression> arguments = {};
  std::string text = {};  // of a scenario: its title
  std::vector<Line> body = {};
  int number = 0;

  // The name that a block, or a step about a block, begins with.
  [[nodiscard]] const std::string& name() const { return arguments.at(0).name; }
  // A keyword's value among the arguments, or null.
  [[nodiscard]] const Expression* option(std::string_view key) const;
};

struct ParseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The scenarios of a text. Throws ParseError with the number of the line.
[[nodiscard]] std::vector<Line> parse(std::string_view text);

using Environment = std::map<std::string, Term>;

// Looks up what a variable means that the environment does not know: a process.
using Processes = std::map<std::string, coppice::Pid>;

// The value of an expression. Throws std::out_of_range for a name that nobody has.
[[nodiscard]] Term value(const Expression& expression, const Environment& environment, const Processes& processes);
// Whether the term matches; what the pattern binds is added to the environment if so.
[[nodiscard]] bool match(const Expression& pattern, const Term& term, Environment& environment,
                         const Processes& processes);

}  // namespace against_otp
