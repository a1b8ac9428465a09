// SPDX-License-Identifier: Apache-2.0
//
// Agents: AG-001 to AG-018.
#include <coppice/agent.hpp>
#include <coppice/child_spec.hpp>
#include <coppice/logger.hpp>
#include <coppice/sys.hpp>

#include "conformance/gen_server_probe.hpp"
#include "conformance/logger_support.hpp"

using namespace conformance;

namespace {

using Numbers = Agent<std::vector<int>>;
using Counter = Agent<int>;
constexpr Counter::Name counter{"ag_counter"};

Counter::Ref start_counter(int value = 0) {
  return Counter::start([value] { return value; }).value();
}
int value_of(const Counter::Ref& agent) {
  return agent.get([](int n) { return n; });
}
// {cause, {GenServer, :call, [agent, request, 5000]}}
ExitReason failed_call(const ExitReason& cause, const Pid& agent, const char* request) {
  return ExitReason(tuple(cause, tuple(Atom("Elixir.GenServer"), "call"_atom, list(agent, Atom(request), 5000))));
}

}  // namespace

BEHAVIOUR_TEST(Agent, AG_001_start_runs_the_function_in_the_new_process_and_returns_when_it_has_finished) {
  const Agent<Pid>::Ref agent = Agent<Pid>::start_link([] {
                                  sleep_for(1ms);
                                  return self();
                                }).value();
  EXPECT_EQ(agent.get([](Pid pid) { return pid; }), agent.pid());
  EXPECT_EQ(process_info(agent)->links, std::vector<Pid>{self()});
  agent.stop();
  EXPECT_EQ(receive<int>(0s), std::nullopt);
}

BEHAVIOUR_TEST(Agent, AG_001_the_options_are_those_of_servers) {
  const auto agent = Counter::start({.name = counter, .spawn = {.label = "tally"}}, [] { return 1; }).value();
  EXPECT_EQ(counter.pid(), agent.pid());
  EXPECT_EQ(get_label(agent), Term("tally"));
  counter.stop();
  const auto slow = Counter::start({.timeout = 1ms}, [] { return sleep_for(infinity), 0; });
  EXPECT_EQ(slow.reason(), ExitReason::timeout());
}

BEHAVIOUR_TEST(Agent, AG_002_what_start_returns) {
  const auto first = Counter::start({.name = counter}, [] { return 0; });
  EXPECT_TRUE(first.is_ok());
  const auto second = Counter::start({.name = counter}, [] { return 0; });
  EXPECT_EQ(second.reason(), ExitReason(tuple("already_started"_atom, first.value().pid())));
  EXPECT_EQ(Counter::start([]() -> int { throw Exit("no_value"_atom); }).reason(), "no_value"_atom);
  const auto raised = Counter::start([]() -> int { throw std::runtime_error("bad start"); });
  EXPECT_EQ(raised.reason().exception_message(), "bad start");
  counter.stop();
  const auto atom = Agent<Term>::start([] { return Term("ignore"_atom); });  // a value like any other
  EXPECT_TRUE(atom.is_ok());
  atom.value().stop();
}

BEHAVIOUR_TEST(Agent, AG_003_the_initial_call_is_the_given_function) {
  const auto agent = start_counter();
  const std::string shown = process_info(agent)->initial_call;
  EXPECT_TRUE(contains(shown, "start_counter")) << shown;
  agent.stop();
}

namespace {
struct Adder {
  int amount;
  void operator()(int& n) const { n += amount; }
};
}  // namespace

BEHAVIOUR_TEST(Agent, AG_004_a_named_function_object_with_its_arguments_serves_as_well) {
  const auto agent = start_counter(1);
  agent.update(Adder{41});
  EXPECT_EQ(value_of(agent), 42);
  agent.stop();
}

BEHAVIOUR_TEST(Agent, AG_005_get_returns_what_the_function_returns_and_changes_nothing) {
  const auto agent = start_counter(20);
  EXPECT_EQ(agent.get([](int n) { return std::to_string(++n); }), "21");
  static_assert(!std::is_invocable_v<decltype([](int&) {}), const int&>, "the value is const for get");
  EXPECT_EQ(value_of(agent), 20);
  EXPECT_EQ(agent.get([](int) {}), Ok{});
  agent.stop();
}

BEHAVIOUR_TEST(Agent, AG_006_update_returns_when_the_value_has_been_changed) {
  const auto agent = Numbers::start([] { return std::vector<int>{}; }).value();
  agent.update([](std::vector<int>& all) { all.push_back(1); });
  agent.update([](std::vector<int>&& all) { return all.push_back(2), std::move(all); });
  agent.update([](const std::vector<int>& all) { return std::vector<int>(all.rbegin(), all.rend()); });
  EXPECT_EQ(agent.get([](const auto& all) { return all; }), (std::vector<int>{2, 1}));
  agent.stop();
}

BEHAVIOUR_TEST(Agent, AG_007_get_and_update_returns_one_value_and_sets_another) {
  const auto agent = start_counter(7);
  EXPECT_EQ(agent.get_and_update([](int& n) { return std::exchange(n, 8); }), 7);
  EXPECT_EQ(value_of(agent), 8);
  agent.stop();
}

BEHAVIOUR_TEST(Agent, AG_009_a_cast_succeeds_whatever_the_destination_and_is_applied_in_order) {
  EXPECT_NO_THROW(counter.cast([](int& n) { ++n; }));
  EXPECT_NO_THROW(Counter::Ref(dead_pid()).cast([](int& n) { ++n; }));
  const auto agent = start_counter(1);
  agent.cast([](int& n) { n += 2; });
  agent.cast([](int n) { return n * 10; });
  EXPECT_EQ(value_of(agent), 30);
  agent.stop();
}

BEHAVIOUR_TEST(Agent, AG_009_a_cast_does_not_wait) {
  const auto agent = start_counter();
  agent.cast([](int&) { receive<Release>(); });
  agent.cast([](int& n) { ++n; });  // returns although the agent is busy
  send(agent.pid(), Release{});
  EXPECT_EQ(value_of(agent), 1);
  agent.stop();
}

BEHAVIOUR_TEST(Agent, AG_010_the_operations_of_one_client_are_applied_in_order_and_one_at_a_time) {
  const auto agent = start_counter();
  std::vector<Reference> done;
  for (int client = 0; client < 3; ++client) {
    done.push_back(spawn_monitor([agent] {
                     for (int i = 0; i < 10; ++i) {
                       agent.cast([](int& n) {
                         const int before = n;
                         yield();  // nobody else gets in between
                         n = before + 1;
                       });
                       agent.update([](int& n) { ++n; });
                     }
                   }).second);
  }
  for (const Reference& one : done) EXPECT_TRUE(await_reason(one).is_normal());
  EXPECT_EQ(value_of(agent), 60);
  agent.stop();
}

BEHAVIOUR_TEST(Agent, AG_011_a_function_that_raises_or_exits_ends_the_agent_and_fails_its_caller) {
  const auto agent = start_counter();
  EXPECT_EQ(exit_reason_of([&] { agent.get([](int) -> int { throw Exit(boom); }); }), failed_call(boom, agent, "get"));
  EXPECT_FALSE(alive(agent));
  const auto other = start_counter();
  const ExitReason reason = exit_reason_of([&] { other.update([](int&) { throw std::runtime_error("x"); }); });
  EXPECT_EQ(ExitReason(reason.term()[0]).exception_message(), "x");
  EXPECT_EQ(reason.term()[1][2][1], "update"_atom);
  const auto third = start_counter();
  EXPECT_EQ(exit_reason_of([&] { third.get_and_update([](int&) { return coppice::exit(boom), 1; }); }),
            failed_call(boom, third, "get_and_update"));
}

BEHAVIOUR_TEST(Agent, AG_011_a_failing_cast_ends_the_agent_and_the_caster_sees_nothing) {
  const auto agent = start_counter();
  const Reference gone = monitor(agent);
  agent.cast([](int&) { throw Exit(boom); });
  EXPECT_EQ(await_reason(gone), boom);
  EXPECT_EQ(process_info(self())->message_queue_len, 0u);
}

BEHAVIOUR_TEST(Agent, AG_012_a_thrown_value_ends_the_agent) {
  const auto agent = start_counter();
  const ExitReason cause = agent.try_get([](int n) -> int { throw n; }).reason();
  EXPECT_EQ(cause.term()[0], Term(tuple("nocatch"_atom, "int")));
  EXPECT_FALSE(alive(agent));
}

BEHAVIOUR_TEST(Agent, AG_013_after_a_timeout_the_function_still_runs_and_takes_effect) {
  const auto agent = start_counter();
  agent.cast([](int&) { receive<Release>(); });
  const ExitReason reason = exit_reason_of([&] { agent.update([](int& n) { n = 9; }, 1ms); });
  EXPECT_EQ(reason, ExitReason(tuple("timeout"_atom, tuple(Atom("Elixir.GenServer"), "call"_atom,
                                                           list(agent.pid(), "update"_atom, 1)))));
  send(agent.pid(), Release{});
  EXPECT_EQ(value_of(agent), 9);
  agent.stop();
}

BEHAVIOUR_TEST(Agent, AG_014_calling_an_agent_from_within_itself_ends_it) {
  const auto agent = start_counter();
  const ExitReason cause = agent.try_update([agent](int& n) { n = value_of(agent); }).reason();
  EXPECT_EQ(cause, failed_call("calling_self"_atom, agent, "get"));
  EXPECT_FALSE(alive(agent));
}

TEST(Agent, AG_015_unknown_messages_are_logged_and_ignored) {
  Capture capture;
  behaviour::on_threads([&] {
    const auto agent = start_counter(5);
    send(agent.pid(), 42);
    EXPECT_EQ(value_of(agent), 5);
    agent.stop();
  });
  EXPECT_EQ(capture.labelled(tuple(Atom("Elixir.GenServer"), "no_handle_info"_atom)).size(), 1u);
}

BEHAVIOUR_TEST(Agent, AG_016_stop_is_that_of_servers) {
  const auto agent = start_counter();
  const Reference gone = monitor(agent);
  agent.stop("enough"_atom, 1s);
  EXPECT_EQ(await_reason(gone), "enough"_atom);
  EXPECT_EQ(exit_reason_of([&] { agent.stop(); }).term()[0], "noproc"_atom);
  EXPECT_EQ(exit_reason_of([] { counter.stop(); }).term()[0], "noproc"_atom);
}

BEHAVIOUR_TEST(Agent, AG_016_an_abnormal_end_reaches_the_linked_starter) {
  trap_exit(true);
  const auto agent = Counter::start_link([] { return 0; }).value();
  agent.cast([](int&) { throw Exit(boom); });
  EXPECT_EQ(receive<ExitMessage>().reason, boom);
}

BEHAVIOUR_TEST(Agent, AG_017_the_default_child_specification) {
  const ChildSpec spec = child<Counter>({.name = counter}, [] { return 5; });
  EXPECT_EQ(spec.id(), detail::module_atom_of<Counter>());
  EXPECT_EQ(spec.restart(), Restart::permanent);
  EXPECT_EQ(spec.shutdown(), Shutdown(5s));
  const ChildOutcome started = spec.start_function()->run();
  EXPECT_EQ(started.outcome.kind, StartOutcome::Kind::ok);
  EXPECT_EQ(counter.get([](int n) { return n; }), 5);
  counter.stop();
}

BEHAVIOUR_TEST(Agent, AG_018_functions_see_the_self_dictionary_and_links_of_the_agent) {
  const auto agent = Counter::start_link([] {
                       dictionary::put("kept"_atom, 1);
                       return 0;
                     }).value();
  EXPECT_EQ(agent.get([](int) { return self(); }), agent.pid());
  agent.update([](int&) { dictionary::put("kept"_atom, 2); });
  EXPECT_EQ(agent.get([](int) { return dictionary::get("kept"_atom); }), Term(2));
  const Pid helper = agent.get([](int) { return spawn_link([] { sleep_for(infinity); }); });
  EXPECT_EQ(process_info(helper)->links, std::vector<Pid>{agent.pid()});
  const Reference gone = monitor(helper);
  unlink(agent);
  agent.stop(ExitReason::shutdown());
  EXPECT_EQ(await_reason(gone), ExitReason::shutdown());
}

TEST(Agent, AG_010_foreign_threads_may_use_agents) {
  Runtime runtime({.schedulers = 2});
  const Runtime::Scope scope(runtime);
  const auto agent = start_counter(1);
  agent.update([](int& n) { n = 4; });
  EXPECT_EQ(value_of(agent), 4);
  agent.stop();
  EXPECT_EQ(agent.try_get([](int n) { return n; }).reason(), ExitReason::noproc());
}

BEHAVIOUR_TEST(Agent, AG_005_the_value_of_an_agent_shows_in_sys_as_itself) {
  const auto agent = start_counter(3);
  EXPECT_EQ(sys::get_state_term(agent), Term(3));
  agent.stop();
}
