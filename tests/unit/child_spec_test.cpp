// SPDX-License-Identifier: Apache-2.0
#include <coppice/child_spec.hpp>

#include <functional>
#include <sstream>

#include <gtest/gtest.h>

#include <coppice/gen_server.hpp>

namespace {

using namespace coppice;

struct Counter : GenServer<Counter> {
  explicit Counter(int, std::string = {}) {}
};
struct Careful : GenServer<Careful> {
  static constexpr ChildDefaults child_defaults{
      .restart = Restart::transient, .shutdown = brutal_kill, .significant = true};
};
struct Changing : GenServer<Changing> {
  explicit Changing(int) {}
  static ChildSpec child_spec(int n) { return GenServer<Changing>::child_spec(n).id(tuple("changing"_atom, n)); }
};
struct Pool {
  struct Options {
    int size = 1;
  };
  static Pid start_link(Options) { return {}; }
};

TEST(ChildSpec, SV_001_the_defaults_are_those_of_a_worker) {
  const ChildSpec spec = child<Counter>(7, "x");
  EXPECT_EQ(to_string(spec),
            "%{id: Counter, modules: [Counter], restart: :permanent, shutdown: 5000, significant: false, "
            "start: {Counter, :start_link, [7, \"x\"]}, type: :worker}");
}

TEST(ChildSpec, SV_001_a_supervisor_has_no_limit_for_its_shutdown_unless_it_is_set) {
  EXPECT_EQ(child<Counter>(1).type(ChildType::supervisor).shutdown(), Shutdown(infinity));
  EXPECT_EQ(child<Counter>(1).type(ChildType::supervisor).shutdown(std::chrono::seconds(2)).shutdown().to_term(),
            Term(2000));
}

TEST(ChildSpec, SV_009_a_shutdown_is_a_time_or_infinity_or_brutal_kill) {
  EXPECT_EQ(Shutdown(brutal_kill).to_term(), Term("brutal_kill"_atom));
  EXPECT_EQ(Shutdown(infinity).to_term(), Term("infinity"_atom));
  EXPECT_EQ(Shutdown(std::chrono::milliseconds(0)).to_term(), Term(0));
  EXPECT_FALSE(Shutdown(brutal_kill) == Shutdown(infinity));
}

TEST(ChildSpec, SV_002_a_class_sets_defaults_or_makes_its_own_specification) {
  const ChildSpec careful = child<Careful>();
  EXPECT_EQ(careful.restart(), Restart::transient);
  EXPECT_EQ(careful.shutdown(), Shutdown(brutal_kill));
  EXPECT_TRUE(careful.is_significant());
  EXPECT_EQ(child<Changing>(3).id(), tuple("changing"_atom, 3));
}

TEST(ChildSpec, SV_004_fields_are_replaced_and_the_rest_stays) {
  ChildSpec spec = child<Counter>(1);
  spec.restart(Restart::temporary).modules("dynamic"_atom);
  const ChildSpec other = spec;
  EXPECT_EQ(other.restart(), Restart::temporary);
  EXPECT_EQ(other.modules(), Term("dynamic"_atom));
  EXPECT_EQ(other.start(), child<Counter>(1).start());
  EXPECT_EQ(to_string(ChildSpec().id(4)),
            "%{id: 4, modules: [], restart: :permanent, shutdown: 5000, significant: false, "
            "type: :worker}");
}

TEST(ChildSpec, options_are_given_in_braces) {
  const ChildSpec spec = child<Pool>({.size = 3});
  EXPECT_EQ(spec.start()[2].size(), 1u);
  EXPECT_EQ(spec, child<Pool>(Pool::Options{3}));
}

TEST(ChildSpec, compares_by_value_and_by_the_shown_call) {
  EXPECT_EQ(child<Counter>(1), child<Counter>(1));
  EXPECT_FALSE(child<Counter>(1) == child<Counter>(2));
  EXPECT_FALSE(child<Counter>(1) == child<Counter>(1).backoff({}));
}

TEST(ChildSpec, text_is_copied_into_it) {
  std::string text = "before";
  const ChildSpec spec = child<Counter>(1, std::string_view(text));
  text = "after!";
  EXPECT_EQ(spec.start()[2], list(1, "before"));
}

TEST(ChildSpec, SV_012_what_a_start_function_returns_is_an_outcome) {
  using Kind = StartOutcome::Kind;
  const Pid pid{5, 0, 1};
  EXPECT_EQ(ChildOutcome(pid).outcome.pid, pid);
  EXPECT_EQ(ChildOutcome(Pid{}).outcome.reason, ExitReason::noproc());
  EXPECT_EQ(ChildOutcome(Term("ignore"_atom)).outcome.kind, Kind::ignore);
  EXPECT_EQ(ChildOutcome(tuple("ok"_atom, pid)).outcome.kind, Kind::ok);
  EXPECT_EQ(ChildOutcome(tuple("ok"_atom, pid, "fact")).info, Term("fact"));
  EXPECT_EQ(ChildOutcome(tuple("error"_atom, "why"_atom)).outcome.reason, "why"_atom);
  EXPECT_EQ(ChildOutcome(Term(17)).outcome.reason, Term(17));
  EXPECT_EQ(ChildOutcome(Result<Pid>(error("enoent"))).outcome.reason, "enoent"_atom);
}

TEST(ChildSpec, SV_016_arguments_can_be_forgotten) {
  ChildSpec spec = child<Counter>(1);
  spec.forget_arguments();
  EXPECT_EQ(spec.start(), tuple(Atom("Elixir.Counter"), "start_link"_atom, "undefined"_atom));
  EXPECT_EQ(spec.modules(), list(Atom("Elixir.Counter")));
}

TEST(ChildSpec, a_function_starts_a_child_written_by_hand) {
  const ChildSpec spec = child("pump", [] { return Pid{9, 0, 1}; });
  EXPECT_EQ(spec.id(), Term("pump"));
  EXPECT_EQ(spec.modules(), Term("dynamic"_atom));
  EXPECT_EQ(spec.start_function()->run().outcome.pid, (Pid{9, 0, 1}));
  EXPECT_FALSE(spec.start_function()->is_empty());
  EXPECT_TRUE(child(1, std::function<Pid()>()).start_function()->is_empty());
  std::ostringstream out;
  out << spec;
  EXPECT_EQ(out.str(), to_string(spec));
}

}  // namespace
