// SPDX-License-Identifier: Apache-2.0
//
// Several applications: rules AP-030 to AP-033, AP-039 and AP-047.
#include "conformance/application_support.hpp"

namespace {

using namespace conformance;
using application::ensure_all_started;

using Names = std::vector<Atom>;

BEHAVIOUR_TEST(ApplicationDependencies, AP_030_dependencies_are_started_first_and_only_what_was_missing_is_told) {
  be_the_test();
  EXPECT_TRUE(application::start<Base>());
  EXPECT_EQ(ensure_all_started<Top>().value(), (Names{"middle"_atom, "other"_atom, "top"_atom}));
  EXPECT_EQ(notes(), "start base, start middle, start other, start top");
  EXPECT_EQ(ensure_all_started<Top>().value(), Names{});
  EXPECT_EQ(ensure_all_started({app<Library>(), app<Top>()}).value(), Names{"library"_atom});
}

BEHAVIOUR_TEST(ApplicationDependencies, AP_031_on_a_failure_what_was_started_is_stopped_again_in_reverse) {
  be_the_test();
  application::put_env("top", "fails", true);
  EXPECT_TRUE(application::start<Base>());
  const ExitReason reason = ensure_all_started<Top>().reason();
  EXPECT_EQ(reason.term()[0], "top"_atom);
  EXPECT_EQ(reason.term()[1][0], "nope"_atom);
  EXPECT_EQ(notes(), "start base, start middle, start other, start top, stop other, stop middle");
  EXPECT_TRUE(runs("base"));
}

BEHAVIOUR_TEST(ApplicationDependencies, AP_031_an_unknown_dependency_is_the_failure) {
  EXPECT_TRUE(application::load({.name = "needy", .applications = {app<Library>(), "nobody"}}));
  const ExitReason reason = ensure_all_started({"needy"}).reason();
  EXPECT_EQ(inspect(reason.term()), "{:nobody, {'no such file or directory', 'nobody.app'}}");
  EXPECT_FALSE(runs("library"));
}

BEHAVIOUR_TEST(ApplicationDependencies, AP_031_a_circle_is_told) {
  EXPECT_TRUE(application::load({.name = "a", .applications = {"b"}}));
  EXPECT_TRUE(application::load({.name = "b", .applications = {"c"}}));
  EXPECT_TRUE(application::load({.name = "c", .applications = {"b"}}));
  EXPECT_EQ(inspect(ensure_all_started({"a"}).reason().term()), "{:b, {:circular_dependency, [:b, :c, :b]}}");
}

BEHAVIOUR_TEST(ApplicationDependencies, AP_032_optional_ones_that_nobody_knows_are_left_out) {
  EXPECT_TRUE(application::load({.name = "wishes", .optional_applications = {"nobody", app<Library>()}}));
  EXPECT_EQ(ensure_all_started({"wishes"}).value(), (Names{"library"_atom, "wishes"_atom}));
}

// Each waits in its start until the other one is there.
template <class App>
class Meeting : public Application<App> {
 public:
  StartResult<Supervisor> start() {
    register_name(self(), to_string(Application<App>::name()));
    while (!whereis("left") || !whereis("right")) yield();
    StartResult<Supervisor> tree = Supervisor::start_link({});
    note("met");
    receive<Go>();
    return tree;
  }
};
class Left : public Meeting<Left> {};
class Right : public Meeting<Right> {};

BEHAVIOUR_TEST(ApplicationDependencies, AP_032_independent_ones_may_be_started_at_the_same_time) {
  be_the_test();
  EXPECT_TRUE(application::load({.name = "both", .applications = {app<Left>(), app<Right>()}}));
  const auto starter = spawn_monitor([] {
    EXPECT_EQ(ensure_all_started({"both"}, {.mode = application::StartMode::concurrent}).value(),
              (Names{"left"_atom, "right"_atom, "both"_atom}));
  });
  EXPECT_EQ(next_note(), "met");
  EXPECT_EQ(next_note(), "met");
  send("left", Go{});
  send("right", Go{});
  EXPECT_TRUE(await_reason(starter.second).is_normal());
}

BEHAVIOUR_TEST(ApplicationDependencies, AP_033_started_applications_are_told_the_last_one_first) {
  EXPECT_TRUE(application::start<Probe>());
  EXPECT_TRUE(application::start<Library>());
  const std::vector<application::ApplicationInfo> expected{{"library"_atom, "", ""},
                                                           {"probe"_atom, "a probe", "1.2.3"}};
  EXPECT_EQ(application::started_applications(), expected);
  EXPECT_EQ(application::which_applications(), expected);
  EXPECT_EQ(application::loaded_applications(), expected);
}

BEHAVIOUR_TEST(ApplicationDependencies, AP_039_those_that_depend_on_an_ended_one_go_on) {
  EXPECT_TRUE(application::start<Probe>());
  EXPECT_TRUE(application::load({.name = "user", .applications = {"probe"}}));
  EXPECT_TRUE(application::start("user"));
  end_probe(ExitReason(boom));
  await_stopped("probe");
  EXPECT_TRUE(runs("user"));
}

// The whole system: a runtime that is stopped while applications run. Notes go nowhere by then: they are counted here.
std::vector<std::string> stopped;
template <class App, class... D>
class Counted : public Application<App> {
 public:
  static ApplicationSpec spec() { return {.applications = {app<D>()...}, .shutdown_timeout = App::patience}; }
  static constexpr std::chrono::milliseconds patience{60'000};
  StartResult<Supervisor> start() { return Supervisor::start_link({}); }
  void stop() {
    stopped.push_back(to_string(Application<App>::name()));
    if (App::patience == 1ms) sleep_for(infinity);
  }
};
class First : public Counted<First> {};
class Second : public Counted<Second, First> {
 public:
  static constexpr std::chrono::milliseconds patience{1};
};
class Third : public Counted<Third, Second> {};

void start_three() { EXPECT_TRUE(ensure_all_started<Third>()); }

TEST(ApplicationDependencies, AP_047_at_the_end_of_the_system_they_are_stopped_in_reverse_on_threads) {
  stopped.clear();
  behaviour::on_threads(start_three);
  EXPECT_EQ(stopped, (std::vector<std::string>{"third", "second", "first"}));
}
TEST(ApplicationDependencies, AP_047_at_the_end_of_the_system_they_are_stopped_in_reverse_in_simulation) {
  coppice::testing::for_each_seed(behaviour::seeds(), [](coppice::testing::Simulation& simulation) {
    stopped.clear();
    simulation.run(start_three);
    EXPECT_TRUE(simulation.stop_report().clean);
    EXPECT_EQ(stopped, (std::vector<std::string>{"third", "second", "first"}));
  });
}

}  // namespace
