// SPDX-License-Identifier: Apache-2.0
//
// What applications decide: order of starts, ends by type, command lines, variables, merging.
#include "application/decision.hpp"
#include "application/environment.hpp"

#include <gtest/gtest.h>

namespace {

using namespace coppice;
using namespace coppice::otp;

TEST(ApplicationDecision, an_end_ends_the_node_by_type) {
  EXPECT_FALSE(end_ends_node(RestartType::temporary, ExitReason("boom"_atom)));
  EXPECT_FALSE(end_ends_node(RestartType::transient, ExitReason::normal()));
  EXPECT_TRUE(end_ends_node(RestartType::transient, ExitReason::shutdown()));
  EXPECT_TRUE(end_ends_node(RestartType::permanent, ExitReason::normal()));
  const ExitReason normal_exit{tuple(tuple("EXIT"_atom, "normal"_atom), "call"_atom)};
  EXPECT_FALSE(failed_start_ends_node(RestartType::transient, normal_exit));
  EXPECT_TRUE(failed_start_ends_node(RestartType::permanent, normal_exit));
  EXPECT_FALSE(failed_start_ends_node(RestartType::temporary, ExitReason("boom"_atom)));
}

TEST(ApplicationDecision, dependencies_come_first_and_circles_are_found) {
  const std::map<Atom, Dependencies> graph{{"a"_atom, {{"b"_atom, "c"_atom}, {"nobody"_atom}}},
                                           {"b"_atom, {{"c"_atom}, {}}},
                                           {"c"_atom, {{}, {}}},
                                           {"x"_atom, {{"y"_atom}, {}}},
                                           {"y"_atom, {{"x"_atom}, {}}}};
  const auto known = [&](Atom app) {
    const auto found = graph.find(app);
    return found == graph.end() ? nullptr : &found->second;
  };
  const auto none = [](Atom) { return false; };
  EXPECT_EQ(start_order({"a"_atom}, known, none).order, (std::vector<Atom>{"c"_atom, "b"_atom, "a"_atom}));
  EXPECT_EQ(start_order({"a"_atom}, known, [](Atom app) { return app == "b"_atom; }).order,
            (std::vector<Atom>{"c"_atom, "a"_atom}));
  EXPECT_EQ(start_order({"x"_atom}, known, none).circle, (std::vector<Atom>{"x"_atom, "y"_atom, "x"_atom}));
}

TEST(ApplicationDecision, command_lines_are_split) {
  const RunArguments parsed = parse_arguments({"a", "--config", "f", "--set=x.y=1", "-b", "--", "--set"});
  EXPECT_EQ(parsed.config_files, std::vector<std::string>{"f"});
  EXPECT_EQ(parsed.assignments, std::vector<std::string>{"x.y=1"});
  EXPECT_EQ(parsed.rest, (std::vector<std::string>{"a", "-b", "--set"}));
  EXPECT_FALSE(parse_arguments({"--set"}).error.empty());
}

TEST(ApplicationDecision, variables_lead_to_keys) {
  EXPECT_EQ(variable_path("my_app", "MY_APP__PORT"), std::vector<std::string>{"port"});
  EXPECT_EQ(variable_path("my_app", "MY_APP__HTTP__PORT"), (std::vector<std::string>{"http", "port"}));
  for (const char* other : {"MY_APP_PORT", "MY_APP__", "MY_APP____X", "OTHER__PORT"}) {
    EXPECT_TRUE(variable_path("my_app", other).empty()) << other;
  }
}

TEST(ApplicationDecision, tables_are_merged_at_every_depth) {
  const Term base = map({{"a"_atom, map({{"x"_atom, 1}, {"y"_atom, 2}})}, {"b"_atom, 3}});
  const Term over = map({{"a"_atom, map({{"y"_atom, 5}})}, {"b"_atom, map({{"z"_atom, 1}})}});
  EXPECT_EQ(inspect(merged(base, over)), "%{a: %{x: 1, y: 5}, b: %{z: 1}}");
}

}  // namespace
