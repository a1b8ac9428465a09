// SPDX-License-Identifier: Apache-2.0
//
// Configuration texts that are wrong in ways that the parser beneath did not foresee.
#include <gtest/gtest.h>

#include <string>

#include "application/config_file.hpp"

namespace {

using namespace coppice;

TEST(ConfigFile, a_table_header_that_begins_no_key_is_refused_with_its_line) {
  for (const std::string header : {"[/x]", "[[/x]]", "[ =]", "[.x]", "[#]"}) {
    const auto parsed = otp::parse_config("[app]\n" + header + "\n", "test.toml");
    ASSERT_FALSE(parsed) << header;
    const Term facts = parsed.reason().term()[1];
    EXPECT_EQ(*facts.find("line"_atom), Term(2)) << header;
    EXPECT_FALSE(facts.find("message"_atom)->as_text()->empty()) << header;
  }
}

TEST(ConfigFile, a_letter_beyond_ascii_outside_of_a_string_is_refused_with_its_line) {
  for (const std::string line :
       {"x = \u0260", "x =\u0260 1", "\u00e9 = 1", "x = \"\"\"a\\\u0260\"\"\"", "x = [\u0141]"}) {
    const auto parsed = otp::parse_config("[app]\n" + line + "\n", "test.toml");
    ASSERT_FALSE(parsed) << line;
    EXPECT_EQ(*parsed.reason().term()[1].find("line"_atom), Term(2)) << line;
  }
  EXPECT_TRUE(otp::parse_config("[app]\nx = \"\u0260\"  # \u00e9\n", "test.toml"));
}

}  // namespace
