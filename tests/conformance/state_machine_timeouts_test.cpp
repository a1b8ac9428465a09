// SPDX-License-Identifier: Apache-2.0
//
// State machines: timeouts, enter calls, clients, termination: SM-039 to SM-066.
#include <stdexcept>

#include "conformance/logger_support.hpp"
#include "conformance/state_machine_support.hpp"

using namespace conformance;

namespace {

using M = Machine;
using E = Entering;

M::Do timed(std::string name, std::chrono::milliseconds after, std::string content = "late") {
  return does<M>(std::move(name), [=] { return M::keep_state().state_timeout(after, plain_event<M>(content)); });
}

// A machine that waits in a handler until it is released, so that what stands in its mailbox is known.
M::Do held(std::string name, std::function<M::Transition()> then) {
  return {std::move(name), [me = self(), then = std::move(then)](M&) {
            send(me, Held{coppice::self()});
            receive<Release>();
            return then();
          }};
}

}  // namespace

BEHAVIOUR_TEST(StateMachine, SM_039_the_state_timeout_survives_events_and_dies_with_its_state) {
  const auto machine = start_machine<M>();
  machine.cast(timed("arm", 3ms));
  machine.cast(plain_event<M>("event"));
  EXPECT_EQ(heard(), "cast arm a");
  EXPECT_EQ(heard(), "cast event a");
  EXPECT_EQ(heard(), "state_timeout late a");
  machine.cast(timed("again", 3ms));
  machine.cast(goes_to<M>("b", St::b));
  sleep_for(10ms);
  EXPECT_EQ(ended(machine), (Texts{"cast again a", "cast b a"}));
}

BEHAVIOUR_TEST(StateMachine, SM_040_the_event_timeout_is_cancelled_by_any_event) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>("arm", [] { return M::keep_state().timeout(2ms, plain_event<M>("idle")); }));
  EXPECT_EQ(heard(), "cast arm a");
  EXPECT_EQ(heard(), "timeout idle a");
  machine.cast(does<M>("arm", [] {
    return M::keep_state().timeout(2ms, plain_event<M>("lost")).next_event(plain_event<M>("internal"));
  }));
  sleep_for(10ms);
  EXPECT_EQ(ended(machine), (Texts{"cast arm a", "internal internal a"}));
}

BEHAVIOUR_TEST(StateMachine, SM_041_named_timeouts_survive_changes_of_state_one_for_each_name) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>("arm", [] {
    return M::next_state(St::b)
        .named_timeout("one"_atom, 2ms, plain_event<M>("one"))
        .named_timeout("two"_atom, 4ms, plain_event<M>("two"))
        .named_timeout("three"_atom, 60s, plain_event<M>("replaced"))
        .named_timeout("three"_atom, 6ms, plain_event<M>("three"));
  }));
  machine.cast(goes_to<M>("c", St::c));
  EXPECT_EQ(heard(), "cast arm a");
  EXPECT_EQ(heard(), "cast c b");
  EXPECT_EQ(heard(), "named_timeout one c");
  EXPECT_EQ(heard(), "named_timeout two c");
  EXPECT_EQ(heard(), "named_timeout three c");
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_043_a_replaced_timeout_never_delivers_even_if_it_had_expired) {
  const auto machine = start_machine<M>();
  machine.cast(held("arm", [] { return M::keep_state().state_timeout(1ms, plain_event<M>("old")); }));
  const Pid pid = receive<Held>().pid;
  machine.cast(held("hold", [] { return M::keep_state().state_timeout(1ms, plain_event<M>("new")); }));
  send(pid, Release{});
  receive<Held>();
  await_queue(pid, 1);  // the old one has expired and stands in the mailbox
  send(pid, Release{});
  EXPECT_EQ(heard(), "cast arm a");
  EXPECT_EQ(heard(), "cast hold a");
  EXPECT_EQ(heard(), "state_timeout new a");
  EXPECT_EQ(ended(machine), Texts{});
}

BEHAVIOUR_TEST(StateMachine, SM_044_infinity_or_cancel_cancels_and_is_harmless_without_one) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>(
      "none", [] { return M::keep_state().cancel_state_timeout().cancel_timeout().cancel_named_timeout("n"_atom); }));
  machine.cast(timed("arm", 2ms));
  machine.cast(does<M>("infinity", [] { return M::keep_state().state_timeout(infinity, plain_event<M>("never")); }));
  machine.cast(does<M>("named", [] { return M::keep_state().named_timeout("n"_atom, 2ms, plain_event<M>("never")); }));
  machine.cast(does<M>("cancel", [] { return M::keep_state().cancel_named_timeout("n"_atom); }));
  sleep_for(10ms);
  EXPECT_EQ(ended(machine), (Texts{"cast none a", "cast arm a", "cast infinity a", "cast named a", "cast cancel a"}));
}

BEHAVIOUR_TEST(StateMachine, SM_045_an_update_changes_the_content_only_and_without_one_is_due_at_once) {
  const auto machine = start_machine<M>();
  machine.cast(timed("arm", 3ms, "old"));
  machine.cast(does<M>("update", [] { return M::keep_state().update_state_timeout(plain_event<M>("new")); }));
  EXPECT_EQ(heard(), "cast arm a");
  EXPECT_EQ(heard(), "cast update a");
  EXPECT_EQ(heard(), "state_timeout new a");
  machine.cast(
      does<M>("update", [] { return M::keep_state().update_named_timeout("n"_atom, plain_event<M>("at once")); }));
  EXPECT_EQ(heard(), "cast update a");
  EXPECT_EQ(heard(), "named_timeout at once a");
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_045_an_update_finds_its_timeout_among_others) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>("arm", [] {
    return M::keep_state()
        .named_timeout("x"_atom, 3ms, plain_event<M>("first"))
        .named_timeout("y"_atom, 9ms, plain_event<M>("old"))
        .state_timeout(6ms, plain_event<M>("second"));
  }));
  machine.cast(does<M>("update", [] { return M::keep_state().update_named_timeout("y"_atom, plain_event<M>("new")); }));
  EXPECT_EQ(heard(), "cast arm a");
  EXPECT_EQ(heard(), "cast update a");
  EXPECT_EQ(heard(), "named_timeout first a");
  EXPECT_EQ(heard(), "state_timeout second a");
  EXPECT_EQ(heard(), "named_timeout new a");
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_046_a_zero_timeout_comes_after_what_is_queued_and_before_the_mailbox) {
  const auto machine = start_machine<M>();
  machine.cast(postpones<M>("replayed"));
  machine.cast(held("switch", [] {
    return M::next_state(St::b).state_timeout(0s, plain_event<M>("zero")).next_event(plain_event<M>("inserted"));
  }));
  const Pid pid = receive<Held>().pid;
  machine.cast(plain_event<M>("waiting"));
  await_queue(pid, 1);
  send(pid, Release{});
  EXPECT_EQ(machine.call(M::Get{}), "b");
  EXPECT_EQ(ended(machine), (Texts{"cast replayed a", "cast switch a", "internal inserted b", "cast replayed b",
                                   "state_timeout zero b", "cast waiting b"}));
}

BEHAVIOUR_TEST(StateMachine, SM_046_a_machine_that_ends_before_its_zero_timeout_does_not_see_it) {
  const auto machine = start_machine<M>();
  const Reference gone = monitor(machine.pid());
  machine.cast(does<M>("arm", [] {
    return M::keep_state()
        .state_timeout(0s, plain_event<M>("zero"))
        .named_timeout("n"_atom, 1ms, plain_event<M>("later"))
        .next_event(does<M>("end", [] { return M::stop(); }));
  }));
  EXPECT_TRUE(await_reason(gone).is_normal());
  EXPECT_EQ(all_heard(), (Texts{"cast arm a", "internal end a", "terminate :normal a"}));
}

BEHAVIOUR_TEST(StateMachine, SM_047_zero_timeouts_keep_their_order_and_an_event_timeout_is_lost_behind_another) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>("order", [] {
    return M::keep_state()
        .named_timeout("x"_atom, 0s, plain_event<M>("one"))
        .state_timeout(0s, plain_event<M>("two"))
        .timeout(0s, plain_event<M>("lost"));
  }));
  machine.cast(does<M>("alone", [] { return M::keep_state().timeout(0s, plain_event<M>("kept")); }));
  EXPECT_EQ(machine.call(M::Get{}), "a");
  EXPECT_EQ(ended(machine),
            (Texts{"cast order a", "named_timeout one a", "state_timeout two a", "cast alone a", "timeout kept a"}));
}

BEHAVIOUR_TEST(StateMachine, SM_048_a_timeout_may_be_a_point_in_time) {
  const auto machine = start_machine<M>();
  const auto at = monotonic_time() + 3ms;
  machine.cast(
      does<M>("arm", [at] { return M::keep_state().state_timeout(at, plain_event<M>("late"), {.absolute = true}); }));
  EXPECT_EQ(heard(), "cast arm a");
  EXPECT_EQ(heard(), "state_timeout late a");
  EXPECT_GE(monotonic_time(), at);
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_048_a_point_in_time_that_has_passed_is_due_at_once) {
  const auto machine = start_machine<M>();
  sleep_for(2ms);
  const auto passed = monotonic_time() - 1ms;
  machine.cast(does<M>("arm", [passed] {
    return M::keep_state().named_timeout("n"_atom, passed, plain_event<M>("passed"), {.absolute = true});
  }));
  EXPECT_EQ(heard(), "cast arm a");
  EXPECT_EQ(heard(), "named_timeout passed a");
  // Zero, too, is a point in time: one before there was a runtime (PR-095).
  const Reference gone = monitor(machine.pid());
  machine.cast(
      does<M>("arm", [] { return M::keep_state().state_timeout(0s, plain_event<M>("never"), {.absolute = true}); }));
  EXPECT_EQ(await_reason(gone), ExitReason::badarg("send_after takes no time before the start of the runtime"));
  all_heard();
}

BEHAVIOUR_TEST(StateMachine, SM_049_a_negative_timeout_ends_the_machine) {
  const auto machine = start_machine<M>();
  const Reference gone = monitor(machine.pid());
  machine.cast(timed("bad", -1ms));
  EXPECT_EQ(await_reason(gone), ExitReason::badarg("a timeout may not be negative"));
  all_heard();
}

BEHAVIOUR_TEST(StateMachine, SM_050_timeouts_are_shown_in_the_status) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>("arm", [] { return M::keep_state().named_timeout("n"_atom, 60s, M::Do{"x"}); }));
  machine.cast(postpones<M>("aside"));
  EXPECT_EQ(machine.call(M::Get{}), "a");
  const std::string shown = inspect(sys::get_status(machine.pid()).state);
  EXPECT_NE(shown.find("timeouts: [named_timeout: "), std::string::npos) << shown;
  EXPECT_NE(shown.find("postponed: [cast: "), std::string::npos) << shown;
  machine.stop();
  all_heard();
}

BEHAVIOUR_TEST(StateMachine, SM_051_the_enter_call_is_made_in_the_first_state_and_at_each_change) {
  const auto machine = start_machine<E>();
  machine.cast(goes_to<E>("b", St::b));
  EXPECT_EQ(machine.call(E::Get{}), "b");
  EXPECT_EQ(ended(machine), (Texts{"enter a from a", "cast b a", "enter b from a"}));
}

BEHAVIOUR_TEST(StateMachine, SM_052_SM_054_an_enter_call_may_set_timeouts) {
  const auto machine = start_machine<E>({.enter = [](E&, St now, St) {
    return now == St::b ? E::entered().state_timeout(2ms, plain_event<E>("late")).hibernate() : E::entered();
  }});
  machine.cast(goes_to<E>("b", St::b));
  Texts all;
  while (all.size() < 4) all.push_back(heard());
  EXPECT_EQ(all.back(), "state_timeout late b");
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_052_an_enter_call_may_stop_the_machine) {
  const auto machine = start_machine<E>(
      {.enter = [](E&, St now, St) { return now == St::b ? E::stop_entering("closed"_atom) : E::entered(); }});
  const Reference gone = monitor(machine.pid());
  machine.cast(goes_to<E>("b", St::b));
  EXPECT_EQ(await_reason(gone), ExitReason("closed"_atom));
  EXPECT_EQ(all_heard().back(), "terminate :closed b");
}

BEHAVIOUR_TEST(StateMachine, SM_005_SM_052_the_first_enter_call_may_stop_the_machine_after_it_has_started) {
  const auto started =
      Entering::start(E::Plan{.watcher = self(), .enter = [](E&, St, St) { return E::stop_entering("closed"_atom); }});
  ASSERT_TRUE(started);
  const ExitReason reason = await_reason(monitor(started.value().pid()));
  EXPECT_TRUE(reason == ExitReason("closed"_atom) || reason == ExitReason::noproc()) << reason;
  EXPECT_EQ(heard(), "enter a from a");
  EXPECT_EQ(heard(), "terminate :closed a");
}

BEHAVIOUR_TEST(StateMachine, SM_055_an_enter_call_may_ask_for_another) {
  auto left = std::make_shared<int>(2);
  const auto machine =
      start_machine<E>({.enter = [left](E&, St, St) { return --*left >= 0 ? E::enter_again() : E::entered(); }});
  EXPECT_EQ(machine.call(E::Get{}), "a");
  EXPECT_EQ(ended(machine), (Texts{"enter a from a", "enter a from a", "enter a from a"}));
}

BEHAVIOUR_TEST(StateMachine, SM_056_a_crash_in_an_enter_call_terminates_with_the_new_state) {
  const auto machine = start_machine<E>({.enter = [](E&, St now, St) -> E::Entered {
    if (now == St::b) throw std::runtime_error("no way in");
    return E::entered();
  }});
  const Reference gone = monitor(machine.pid());
  machine.cast(goes_to<E>("b", St::b));
  EXPECT_EQ(await_reason(gone).exception_message(), "no way in");
  EXPECT_EQ(all_heard().back(), "terminate no way in b");
}

BEHAVIOUR_TEST(StateMachine, SM_057_SM_058_a_call_waits_for_ever_and_its_failures_name_gen_statem) {
  const auto machine = start_machine<M>();
  const Term server(machine.pid());
  machine.stop();
  all_heard();
  const auto shape = [&](Term timeout) {
    return ExitReason(tuple("noproc"_atom, tuple("gen_statem"_atom, "call"_atom,
                                                 Term::list_of({server, Term("get"_atom), std::move(timeout)}))));
  };
  EXPECT_EQ(exit_reason_of([&] { machine.call(M::Get{}); }), shape("infinity"_atom));
  EXPECT_EQ(exit_reason_of([&] { machine.call(M::Get{}, 7ms); }), shape(7));
}

BEHAVIOUR_TEST(StateMachine, SM_060_requests_may_be_sent_and_collected) {
  const auto machine = start_machine<M>();
  const auto request = machine.send_request(M::Get{});
  EXPECT_EQ(wait_response(request, 60s)->value(), "a");
  machine.stop();
  all_heard();
}

BEHAVIOUR_TEST(StateMachine, SM_061_stop_waits_until_the_machine_is_gone) {
  const auto machine = start_machine<M>();
  machine.stop(ExitReason::shutdown());
  EXPECT_FALSE(alive(machine.pid()));
  EXPECT_EQ(all_heard(), Texts{"terminate :shutdown a"});
}

BEHAVIOUR_TEST(StateMachine, SM_062_an_exit_in_terminate_replaces_the_reason) {
  const auto machine = start_machine<M>({.terminate = [](M&) { exit("other"_atom); }});
  const Reference gone = monitor(machine.pid());
  machine.cast(does<M>("stop", [] { return M::stop(); }));
  EXPECT_EQ(await_reason(gone), ExitReason("other"_atom));
  all_heard();
}

BEHAVIOUR_TEST(StateMachine, SM_064_SM_066_LR_024_a_crash_is_logged_with_state_queue_and_timeouts) {
  const Capture capture;
  const auto machine = start_machine<M>();
  const Reference gone = monitor(machine.pid());
  machine.cast(does<M>("arm", [] { return M::keep_state().named_timeout("n"_atom, 60s, M::Do{"x"}); }));
  machine.cast(does<M>("crash", []() -> M::Transition { throw std::runtime_error("broken"); }));
  await_reason(gone);
  all_heard();
  std::string text;
  for (const std::string& one : capture.texts()) text += one;
  EXPECT_NE(text.find("StateMachine " + inspect(machine.pid()) + " terminating"), std::string::npos) << text;
  EXPECT_NE(text.find("broken"), std::string::npos) << text;
  EXPECT_NE(text.find("{:a, "), std::string::npos) << text;
  EXPECT_NE(text.find("timeouts: [named_timeout: "), std::string::npos) << text;
}

BEHAVIOUR_TEST(StateMachine, SM_064_a_crash_is_logged_with_the_events_that_were_queued) {
  const Capture capture;
  const auto machine = start_machine<M>();
  const Reference gone = monitor(machine.pid());
  machine.cast(does<M>("insert", [] {
    return M::keep_state()
        .next_event(does<M>("crash", []() -> M::Transition { throw std::runtime_error("broken"); }))
        .next_event(plain_event<M>("waiting"));
  }));
  await_reason(gone);
  all_heard();
  std::string text;
  for (const std::string& one : capture.texts()) text += one;
  EXPECT_NE(text.find("queue: [internal: "), std::string::npos) << text;
}
