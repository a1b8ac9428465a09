// SPDX-License-Identifier: Apache-2.0
//
// Environments and configuration: rules AP-007 to AP-014.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "conformance/application_support.hpp"

namespace {

using namespace conformance;
using application::get_env;
using application::load_config;
using application::put_env;

std::string wrong(const Result<>& result) { return result ? "fine" : application::format_error(result.reason()); }

std::string sentence_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing";
}

BEHAVIOUR_TEST(ApplicationEnv, AP_007_later_sources_win) {
  EXPECT_TRUE(load_config("[probe]\nport = 1\nname = \"file\"\n[probe.http]\nport = 80\ntls = false\n", "first"));
  EXPECT_TRUE(load_config("[probe]\nname = \"second\"\n[probe.http]\ntls = true\n", "second"));
  EXPECT_TRUE(application::load<Probe>());
  EXPECT_EQ(get_env<int>("probe", "port"), 1);
  EXPECT_EQ(get_env<std::string>("probe", "host"), "localhost");
  EXPECT_EQ(get_env<std::string>("probe", "name"), "second");
  EXPECT_TRUE(application::set_config("probe.name=line"));
  EXPECT_TRUE(application::set_config("probe.http.port=81"));
  EXPECT_EQ(get_env<std::string>("probe", "name"), "line");
  EXPECT_EQ(inspect(*get_env("probe", "http")), "%{port: 81, tls: true}");
}

BEHAVIOUR_TEST(ApplicationEnv, AP_007_values_of_toml_are_terms) {
  EXPECT_TRUE(application::load({.name = "a"}));
  EXPECT_TRUE(
      load_config("[a]\ni = -7\nf = 1.5\nb = true\ns = \"x\\n\"\nl = [1, [2]]\nd = 2026-11-24\nt = {x = 1}", "name"));
  EXPECT_EQ(get_env<int>("a", "i"), -7);
  EXPECT_EQ(get_env<double>("a", "f"), 1.5);
  EXPECT_EQ(get_env<double>("a", "i"), -7.0);
  EXPECT_EQ(get_env<bool>("a", "b"), true);
  EXPECT_EQ(get_env<std::string>("a", "s"), "x\n");
  EXPECT_EQ(inspect(*get_env("a", "l")), "[1, [2]]");
  EXPECT_EQ(get_env<std::string>("a", "d"), "2026-11-24");
  EXPECT_EQ((get_env<std::map<std::string, int>>("a", "t")->at("x")), 1);
}

BEHAVIOUR_TEST(ApplicationEnv, AP_007_what_is_wrong_with_a_file_is_told_with_its_place_and_nothing_is_applied) {
  EXPECT_TRUE(application::load<Probe>());
  const Result<> result = load_config("[probe]\nport = 1\nhost = \n", "app.toml");
  const Term place = result.reason().term()[1];
  EXPECT_EQ(*place.find("file"_atom), Term("app.toml"));
  EXPECT_EQ(*place.find("line"_atom), Term(3));
  EXPECT_EQ(wrong(result).substr(0, 13), "app.toml:3:8:") << wrong(result);
  EXPECT_EQ(wrong(load_config("port = 1\n[probe]\nport = 2\n", "app.toml")),
            "app.toml:1:1: \"port\" stands outside of any table: the values of an application stand below [its_name]");
  EXPECT_EQ(wrong(load_config("[probe]\n\"\" = 2\n", "app.toml")), "app.toml:2:1: a key must not be empty");
  EXPECT_EQ(wrong(load_config(std::string(application::config_file_bytes_max + 1, '#'), "app.toml")),
            "app.toml: a configuration has at most 1048576 bytes, this one has 1048577");
  EXPECT_EQ(wrong(load_config("[probe]\nx = " + std::string(1000, '['), "app.toml")).substr(0, 9), "app.toml:");
  std::string deep = "a";
  for (int i = 0; i < 100'000; ++i) deep += ".a";
  EXPECT_EQ(wrong(load_config("[probe]\nx = \"1.2.3\" # .....\n[probe." + deep + "]\nx = 1\n", "app.toml")),
            "app.toml:3:1: a key has more parts than tables may be nested");
  EXPECT_EQ(wrong(load_config("[probe]\nx = {" + deep + " = 1}", "app.toml")),
            "app.toml:2:1: a key has more parts than tables may be nested");
  EXPECT_EQ(wrong(application::set_config("probe." + deep + "=1")),
            "--set probe: a key has more parts than tables may be nested");
  EXPECT_EQ(wrong(application::load_config_file("/nowhere/app.toml")),
            "/nowhere/app.toml: the file cannot be read: No such file or directory");
  EXPECT_EQ(wrong(application::load_config_file("/")), "/: this is a directory and no file");
  EXPECT_EQ(wrong(application::set_config("probe")), "--set probe: an assignment is APP.KEY=VALUE");
  EXPECT_EQ(wrong(application::set_config("probe=1")),
            "--set probe=1: an assignment names an application and a key: APP.KEY=VALUE");
  EXPECT_EQ(get_env<int>("probe", "port"), 4000);
}

TEST(ApplicationEnv, AP_007_a_file_is_read) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "coppice_ap_007.toml";
  std::ofstream(path) << "[probe]\nport = 5\n";
  behaviour::on_threads([&] {
    EXPECT_TRUE(application::load_config_file(path));
    EXPECT_TRUE(application::load<Probe>());
    EXPECT_EQ(get_env<int>("probe", "port"), 5);
  });
  std::filesystem::remove(path);
}

TEST(ApplicationEnv, AP_007_variables_come_after_files) {
  ::setenv("PROBE__PORT", "5", 1);
  ::setenv("PROBE__HTTP__HOST", "example.org", 1);
  ::setenv("PROBE__TEXT", "1\nport = 6", 1);
  behaviour::on_threads([] {
    EXPECT_TRUE(load_config("[probe]\nport = 1\n[probe.http]\ntls = true", "file"));
    application::load_config_variables("probe");
    EXPECT_TRUE(application::load<Probe>());
    EXPECT_EQ(get_env<int>("probe", "port"), 5);
    EXPECT_EQ(inspect(*get_env("probe", "http")), "%{host: \"example.org\", tls: true}");
    EXPECT_EQ(get_env<std::string>("probe", "text"), "1\nport = 6");
  });
  for (const char* name : {"PROBE__PORT", "PROBE__HTTP__HOST", "PROBE__TEXT"}) ::unsetenv(name);
}

BEHAVIOUR_TEST(ApplicationEnv, AP_008_reading) {
  EXPECT_EQ(get_env<int>("probe", "port", 7), 7);
  EXPECT_EQ(sentence_of([] { static_cast<void>(application::require_env<int>("probe", "port")); }),
            "could not fetch application environment :port for application :probe because the application was not "
            "loaded nor configured");
  EXPECT_TRUE(application::load<Probe>());
  EXPECT_EQ(get_env<int>("probe", "port", 7), 4000);
  EXPECT_EQ(Probe::get_env<int>("port"), 4000);
  EXPECT_FALSE(Probe::get_env("nothing"));
  EXPECT_EQ(Probe::fetch_env<int>("port").value(), 4000);
  EXPECT_EQ(Probe::fetch_env<int>("nothing").reason(), "undefined"_atom);
  EXPECT_EQ(sentence_of([] { static_cast<void>(Probe::require_env<int>("nothing")); }),
            "could not fetch application environment :nothing for application :probe because configuration at :nothing "
            "was not set");
  const std::vector<EnvEntry> all = application::get_all_env("probe");
  EXPECT_EQ(all, (std::vector<EnvEntry>{{"host", "localhost"}, {"port", 4000}}));
}

BEHAVIOUR_TEST(ApplicationEnv, AP_008_a_value_of_another_type_is_an_error_that_names_both) {
  put_env("a", "port", "http");
  put_env("a", "big", 300);
  put_env("a", "list", list(1, "two"));
  EXPECT_EQ(sentence_of([] { static_cast<void>(get_env<int>("a", "port", 1)); }),
            "application a: the value of port is the string \"http\", but an integer of 32 bits was asked for");
  EXPECT_EQ(sentence_of([] { static_cast<void>(get_env<std::uint8_t>("a", "big")); }),
            "application a: the value of big is the integer 300, but an integer of 8 bits without sign was asked for");
  EXPECT_EQ(sentence_of([] { static_cast<void>(get_env<std::vector<int>>("a", "list")); }),
            "application a: the value of list is the list [1, \"two\"], but a list, each element an integer of 32 bits "
            "was asked for");
  EXPECT_EQ(application::fetch_env<bool>("a", "big").reason(),
            ExitReason::badarg("application a: the value of big is the integer 300, but a boolean was asked for"));
  EXPECT_EQ(get_env<std::chrono::seconds>("a", "big"), 0s);
  EXPECT_EQ(get_env<Atom>("a", "port"), "http"_atom);
}

BEHAVIOUR_TEST(ApplicationEnv, AP_009_put_is_seen_by_all_at_once_and_delete_removes) {
  put_env("unknown", "k", 1);
  EXPECT_TRUE(reason_of([] { EXPECT_EQ(get_env<int>("unknown", "k"), 1); }).is_normal());
  application::delete_env("unknown", "k");
  EXPECT_FALSE(get_env("unknown", "k"));
}

BEHAVIOUR_TEST(ApplicationEnv, AP_010_a_key_of_the_specification_overwrites_what_was_put_before_the_load) {
  put_env("probe", "port", 1);
  put_env("probe", "mine", 2);
  EXPECT_TRUE(application::load<Probe>());
  EXPECT_EQ(get_env<int>("probe", "port"), 4000);
  EXPECT_EQ(get_env<int>("probe", "mine"), 2);
}

BEHAVIOUR_TEST(ApplicationEnv, AP_011_what_is_persistent_wins_over_the_specification_and_survives_unload) {
  put_env("probe", "port", 1, {.persistent = true});
  put_env("probe", "mine", 2);
  EXPECT_TRUE(application::load<Probe>());
  EXPECT_EQ(get_env<int>("probe", "port"), 1);
  EXPECT_TRUE(application::unload("probe"));
  EXPECT_TRUE(application::load<Probe>());
  EXPECT_EQ(get_env<int>("probe", "port"), 1);
  EXPECT_FALSE(get_env("probe", "mine"));
}

BEHAVIOUR_TEST(ApplicationEnv, AP_012_put_all_env_sets_all_or_nothing) {
  EXPECT_TRUE(application::put_all_env({{"a", {{"k", 1}}}, {"b", {{"k", 2}, {"l", 3}}}}));
  EXPECT_EQ(get_env<int>("b", "l"), 3);
  EXPECT_EQ(application::put_all_env({{"a", {{"k", 5}, {"k", 6}}}}).reason(),
            ExitReason::badarg("application: a; duplicate parameter: k"));
  EXPECT_EQ(application::put_all_env({{"a", {{"k", 5}}}, {"a", {}}}).reason(),
            ExitReason::badarg("duplicate application config: a"));
  EXPECT_EQ(get_env<int>("a", "k"), 1);
}

// Reads `port` of whatever application it runs in.
class Own : public Application<Own> {
 public:
  static ApplicationSpec spec() { return {.env = {{"port", 17}}}; }
  StartResult<Supervisor> start() {
    note(std::to_string(application::own_env<int>("port", 0)));
    return Supervisor::start_link({});
  }
};

BEHAVIOUR_TEST(ApplicationEnv, AP_013_without_a_name_the_callers_application_is_meant) {
  be_the_test();
  EXPECT_TRUE(application::start<Own>());
  EXPECT_EQ(next_note(), "17");
  EXPECT_FALSE(application::own_env("port"));
}

BEHAVIOUR_TEST(ApplicationEnv, AP_014_writes_do_not_get_lost_and_reads_ask_nobody) {
  std::vector<Reference> writers;
  for (int i = 0; i < 8; ++i) {
    writers.push_back(spawn_monitor([i] {
                        for (int k = 0; k < 20; ++k) put_env("a", "k" + std::to_string(i * 20 + k), k);
                      }).second);
  }
  for (const Reference& writer : writers) await_reason(writer);
  EXPECT_EQ(application::get_all_env("a").size(), 160u);
  EXPECT_FALSE(whereis("application_controller"));
}

}  // namespace
