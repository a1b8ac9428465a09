// SPDX-License-Identifier: Apache-2.0
//
// Configuration in all its forms: a file, an assignment, a value, a variable of the environment, a command line. What is
// refused comes with a sentence; what is accepted can be merged and printed.
#include <sstream>

#include <coppice/print.hpp>

#include "application/config_file.hpp"
#include "application/decision.hpp"
#include "application/environment.hpp"
#include "fuzz/fuzz.hpp"

namespace {

using namespace coppice;
using fuzz::must;

void file(std::string_view text) {
  const auto parsed = otp::parse_config(text, "fuzz.toml");
  if (!parsed) {
    must(format_exit(parsed.reason()).size() > 5, "a configuration is refused without a word");
    return;
  }
  otp::Environment environment;
  for (int i = 0; i < 2; ++i) {
    for (const auto& [app, values] : *parsed) environment.configure(app, values);
  }
  for (const auto& [app, values] : *parsed) {
    environment.load(app, {});
    const otp::Values* all = environment.all(app);
    must(all != nullptr && *all == values, "what is configured twice is not the same");
    for (const auto& [key, value] : values) must(!inspect(value).empty(), "a value prints as nothing");
  }
}

void assignment(std::string_view text) {
  const auto parsed = otp::parse_assignment(text);
  if (parsed) {
    must(!parsed->values.empty(), "an assignment assigns nothing");
  } else {
    must(format_exit(parsed.reason()).size() > 5, "an assignment is refused without a word");
  }
  (void)inspect(otp::parse_config_value(text));
}

void command_line(std::string_view text) {
  std::vector<std::string> arguments;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) arguments.push_back(line);
  const auto parsed = otp::parse_arguments(arguments);
  must(parsed.rest.size() + parsed.assignments.size() + parsed.config_files.size() <= arguments.size(),
       "a command line has become longer");
  for (const std::string& part : otp::variable_path("app", text)) must(!part.empty(), "a part of a path is empty");
}

}  // namespace

void fuzz::config(std::string_view input) {
  if (input.empty()) return;
  const std::string_view text = input.substr(1);
  switch (input.front()) {
    case '=': assignment(text); break;
    case '-': command_line(text); break;
    default: file(input); break;
  }
}
