// SPDX-License-Identifier: Apache-2.0
//
// Configuration as text: TOML, read with toml++, which no other file of coppice includes.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include <coppice/application_env.hpp>

#include "application/environment.hpp"

namespace coppice::otp {

// Where something is wrong, and what. Lines and columns from 1; 0: not in a text.
[[nodiscard]] Error bad_config(const std::string& file, std::size_t line, std::size_t column,
                               const std::string& sentence);

// A table for each application.
using Configuration = std::map<Atom, Values>;
[[nodiscard]] Result<Configuration> parse_config(std::string_view text, const std::string& name);

// Reads a regular file of limited size.
[[nodiscard]] Result<std::string> read_config_file(const std::string& path);

// "4000", "true", "[1, 2]" as TOML has them; anything else is a string as it stands.
[[nodiscard]] Term parse_config_value(std::string_view text);

// "my_app.http.port=4000".
struct Assignment {
  Atom app;
  Values values;
};
[[nodiscard]] Result<Assignment> parse_assignment(std::string_view text);

}  // namespace coppice::otp
