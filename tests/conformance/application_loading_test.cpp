// SPDX-License-Identifier: Apache-2.0
//
// Specifications, loading and unloading: rules AP-001 to AP-006 and AP-040.
#include "conformance/application_support.hpp"

namespace {

using namespace conformance;
using application::load;
using application::unload;

ExitReason about(const char* what, const char* app) { return ExitReason(tuple(Atom(what), Atom(app))); }

std::string loaded() {
  std::string all;
  for (const auto& one : application::loaded_applications()) all += to_string(one.name) + " ";
  return all;
}

// B is included in A.
class Included : public Application<Included> {};
class Including : public Application<Including> {
 public:
  static ApplicationSpec spec() { return {.included_applications = {app<Included>()}}; }
};
class HTTPServer2 : public Application<HTTPServer2> {};

BEHAVIOUR_TEST(ApplicationLoading, AP_001_a_specification_has_all_keys) {
  EXPECT_TRUE(load({.name = "all",
                    .description = "text",
                    .vsn = "2",
                    .applications = {"a", "b"},
                    .optional_applications = {"c"},
                    .included_applications = {},
                    .modules = {application::module<Idle>()},
                    .registered = {"x"},
                    .env = {{"k", 1}},
                    .start_phases = {{"one"}, {"two", 2}},
                    .shutdown_timeout = 3s,
                    .max_time = 4s}));
  EXPECT_EQ(inspect(application::spec("all")->to_term()),
            "%{applications: [:a, :b], description: \"text\", included_applications: [], max_time: 4000, "
            "modules: [Idle], name: :all, optional_applications: [:c], registered: [:x], shutdown_timeout: 3000, "
            "start_phases: [one: [], two: 2], vsn: \"2\"}");
  EXPECT_EQ(Probe::name(), "probe"_atom);
  EXPECT_EQ(HTTPServer2::name(), "http_server2"_atom);
}

BEHAVIOUR_TEST(ApplicationLoading, AP_002_a_library_is_only_noted_as_started) {
  EXPECT_TRUE(application::start<Library>());
  EXPECT_TRUE(runs("library"));
  EXPECT_TRUE(load({.name = "made_by_hand"}));
  EXPECT_TRUE(application::start("made_by_hand"));
  EXPECT_TRUE(application::stop<Library>());
  EXPECT_FALSE(runs("library"));
}

BEHAVIOUR_TEST(ApplicationLoading, AP_003_load_makes_it_known_once_and_with_it_what_it_includes) {
  EXPECT_TRUE(load<Probe>());
  EXPECT_EQ(load<Probe>().reason(), about("already_loaded", "probe"));
  EXPECT_TRUE(load<Including>());
  EXPECT_EQ(loaded(), "included including probe ");
  EXPECT_EQ(application::format_error(load("nobody").reason()), "could not find application file: nobody.app");
  EXPECT_EQ(inspect(load("nobody").reason().term()), "{'no such file or directory', 'nobody.app'}");
  EXPECT_TRUE(load({.name = "given", .env = {{"k", 1}}}));
  EXPECT_EQ(application::get_env<int>("given", "k"), 1);
}

BEHAVIOUR_TEST(ApplicationLoading, AP_004_loading_starts_nothing) {
  be_the_test();
  const std::size_t before = processes().size();
  EXPECT_TRUE(load<Probe>());
  EXPECT_EQ(processes().size(), before);
  EXPECT_EQ(notes(), "");
}

BEHAVIOUR_TEST(ApplicationLoading, AP_005_unload_forgets_it_unless_it_runs) {
  EXPECT_EQ(unload("probe").reason(), about("not_loaded", "probe"));
  EXPECT_TRUE(application::start<Probe>());
  EXPECT_EQ(unload("probe").reason(), about("running", "probe"));
  EXPECT_TRUE(application::stop<Probe>());
  EXPECT_TRUE(unload("probe"));
  EXPECT_FALSE(Probe::get_env("port").has_value());
  EXPECT_TRUE(load<Including>());
  EXPECT_TRUE(unload("including"));
  EXPECT_EQ(loaded(), "");
}

BEHAVIOUR_TEST(ApplicationLoading, AP_006_spec_gives_all_but_the_environment) {
  EXPECT_FALSE(application::spec("probe"));
  EXPECT_FALSE(application::spec("probe", "vsn"));
  EXPECT_TRUE(load<Probe>());
  EXPECT_EQ(application::spec("probe")->description, "a probe");
  EXPECT_TRUE(application::spec("probe")->env.empty());
  EXPECT_EQ(application::spec("probe", "vsn"), Term("1.2.3"));
  EXPECT_FALSE(application::spec("probe", "env"));
}

BEHAVIOUR_TEST(ApplicationLoading, AP_040_a_module_leads_to_the_application_that_lists_it) {
  EXPECT_FALSE(application::get_application(application::module<Idle>()));
  EXPECT_TRUE(load<Probe>());
  EXPECT_EQ(application::get_application(application::module<Idle>()), "probe"_atom);
  EXPECT_FALSE(application::get_application("Elixir.Nobody"_atom));
}

}  // namespace
