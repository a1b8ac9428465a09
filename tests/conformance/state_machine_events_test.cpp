// SPDX-License-Identifier: Apache-2.0
//
// State machines: starting, events, results, actions, the order of effects, postponing: SM-001 to SM-038.
#include <gmock/gmock.h>

#include "conformance/state_machine_support.hpp"

using namespace conformance;

namespace {

using M = Machine;

class Door : public StateMachine<Door, std::variant<std::monostate, int>> {
 public:
  using State = std::variant<std::monostate, int>;
  struct Push {};
  struct Pull {};
  struct Show {
    using Reply = std::string;
  };
  static constexpr Name<Door> name{"sm_door"};
  static constexpr std::monostate initial_state{};
  Transition handle_cast(std::monostate&, Push) { return next_state(5); }
  void handle_cast(int& count, Push) { ++count; }
  void handle_cast(Pull) { ++pulls_; }
  std::string handle_call(std::monostate&, Show) { return "shut " + std::to_string(pulls_); }
  std::string handle_call(int& count, Show) { return "open " + std::to_string(count) + " " + std::to_string(pulls_); }

 private:
  int pulls_ = 0;
};

enum class Lamp { off, on };
class Switch : public StateMachine<Switch, Lamp> {
 public:
  struct Press {};
  struct Break {};
  struct Inner {};
  struct IsOn {
    using Reply = bool;
  };
  static constexpr Lamp initial_state = Lamp::off;
  Transition handle_cast(In<Lamp::off>, Press) { return next_state(Lamp::on); }
  Transition handle_cast(In<Lamp::on>, Press) { return next_state(Lamp::off); }
  void handle_cast(In<Lamp::on>, Break) {}
  void handle_internal(Inner) {}
  bool handle_call(Lamp now, IsOn) { return now == Lamp::on; }
};

template <class T>
concept CanPostpone = requires(T t) { std::move(t).postpone(); };
template <class T>
concept CanInsert = requires(T t) { std::move(t).next_event(Machine::Do{}); };

}  // namespace

BEHAVIOUR_TEST(StateMachine, SM_001_starts_and_is_named_as_a_generic_server) {
  const auto door = Door::start_link().value();
  EXPECT_EQ(Door::name.pid(), door.pid());
  const auto second = Door::start();
  EXPECT_EQ(second.reason(), ExitReason(tuple("already_started"_atom, door.pid())));
  Door::name.stop();
  EXPECT_EQ(Door::name.pid(), Pid());
}

BEHAVIOUR_TEST(StateMachine, SM_002_SM_010_the_handler_of_the_current_state_is_called) {
  const auto lamp = Switch::start().value();
  EXPECT_FALSE(lamp.call(Switch::IsOn{}));
  lamp.cast(Switch::Press{});
  EXPECT_TRUE(lamp.call(Switch::IsOn{}));
  lamp.cast(Switch::Press{});
  EXPECT_FALSE(lamp.call(Switch::IsOn{}));
  lamp.stop();
  const auto door = Door::start().value();  // the same with a variant, whose alternatives carry data
  door.cast(Door::Pull{});
  EXPECT_EQ(door.call(Door::Show{}), "shut 1");
  door.cast(Door::Push{});
  door.cast(Door::Push{});
  EXPECT_EQ(door.call(Door::Show{}), "open 6 1");
  door.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_022_an_event_without_a_handler_in_this_state_ends_the_machine) {
  const auto lamp = Switch::start().value();
  const Reference gone = monitor(lamp.pid());
  lamp.cast(Switch::Break{});
  const ExitReason reason = await_reason(gone);
  ASSERT_TRUE(reason.is_exception());
  EXPECT_EQ(reason.exception_message(), "no handle_cast of Switch for :break in state :off");
}

BEHAVIOUR_TEST(StateMachine, SM_004_init_may_ignore_stop_or_give_an_error) {
  trap_exit(true);
  EXPECT_TRUE(M::start_link(M::Plan{.init = [](M&) { return M::ignore(); }}).is_ignore());
  const auto stopped = M::start_link(M::Plan{.init = [](M&) { return M::Init(M::stop("why"_atom)); }});
  EXPECT_EQ(stopped.reason(), ExitReason("why"_atom));
  const auto failed = M::start_link(M::Plan{.init = [](M&) { return M::Init(error("quiet")); }});
  EXPECT_EQ(failed.reason(), ExitReason("quiet"_atom));
}

BEHAVIOUR_TEST(StateMachine, SM_005_start_returns_before_the_first_enter_call_and_the_actions_of_init) {
  const auto machine = start_machine<Entering>(
      {.init = [](Entering&) { return Entering::ok(St::a).next_event(plain_event<Entering>("inserted")); },
       .enter =
           [](Entering&, St, St) {
             receive<Release>();  // start has returned, or nobody could send this
             return Entering::entered();
           }});
  send(machine.pid(), Release{});
  EXPECT_EQ(machine.call(Entering::Get{}), "a");
  EXPECT_EQ(ended(machine), (Texts{"enter a from a", "internal inserted a"}));
}

BEHAVIOUR_TEST(StateMachine, SM_007_an_exception_in_init_is_the_error_of_the_start) {
  const auto failed = M::start(M::Plan{.init = [](M&) -> M::Init { throw std::runtime_error("no device"); }});
  ASSERT_TRUE(failed.is_error());
  ASSERT_TRUE(failed.reason().is_exception());
  EXPECT_EQ(failed.reason().exception_message(), "no device");
}

BEHAVIOUR_TEST(StateMachine, SM_008_actions_of_init_insert_events_and_arm_timeouts) {
  const auto machine = start_machine<M>({.init = [](M&) {
    return M::ok(St::b)
        .next_event(plain_event<M>("one"))
        .next_event(plain_event<M>("two"))
        .state_timeout(5ms, plain_event<M>("late"));
  }});
  EXPECT_EQ(heard(), "internal one b");
  EXPECT_EQ(heard(), "internal two b");
  EXPECT_EQ(heard(), "state_timeout late b");
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_009_SM_042_each_type_of_event_has_its_handler) {
  const auto machine = start_machine<M>();
  machine.cast(plain_event<M>("one"));
  machine.send(plain_event<M>("two"));
  send(machine.pid(), M::Note{"three"});
  machine.call(M::Ask{"four", [](M&, From<std::string>& from) { return M::keep_state().reply(from, "done"); }});
  machine.cast(does<M>("five", [] {
    return M::keep_state()
        .next_event(plain_event<M>("six"))
        .state_timeout(1ms, plain_event<M>("seven"))
        .named_timeout("n"_atom, 2ms,
                       does<M>("eight", [] { return M::keep_state().timeout(1ms, plain_event<M>("nine")); }));
  }));
  Texts all;
  while (all.size() < 9) all.push_back(heard());
  EXPECT_EQ(all, (Texts{"cast one a", "info two a", "info three a", "call four a", "cast five a", "internal six a",
                        "state_timeout seven a", "named_timeout eight a", "timeout nine a"}));
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine,
               SM_011_SM_026_SM_032_inserted_events_come_before_replayed_ones_and_those_before_the_mailbox) {
  const auto machine = start_machine<M>();
  machine.cast(postpones<M>("put aside 1"));
  machine.cast(postpones<M>("put aside 2"));
  machine.cast(M::Do{"switch", [](M&) {
                       receive<Release>();
                       return M::next_state(St::b)
                           .next_event(does<M>("x", [] { return M::keep_state().next_event(plain_event<M>("x1")); }))
                           .next_event(plain_event<M>("y"));
                     }});
  machine.cast(plain_event<M>("new"));
  send(machine.pid(), Release{});
  EXPECT_EQ(machine.call(M::Get{}), "b");
  EXPECT_EQ(ended(machine),
            (Texts{"cast put aside 1 a", "cast put aside 2 a", "cast switch a", "internal x b", "internal x1 b",
                   "internal y b", "cast put aside 1 b", "cast put aside 2 b", "cast new b"}));
}

TEST(StateMachine, SM_012_an_internal_event_cannot_come_from_outside) {
  EXPECT_FALSE((coppice::detail::HandlesCast<Switch, Switch::Inner>));
  EXPECT_FALSE((coppice::detail::HandlesInfo<Switch, Switch::Inner>));
  EXPECT_TRUE((Switch::handles_event<coppice::detail::OnInternal, Switch::Inner>()));
}

BEHAVIOUR_TEST(StateMachine, SM_013_the_parents_exit_ends_a_trapping_machine_and_other_exits_are_events) {
  trap_exit(true);
  const Pid me = self();
  const auto parent = spawn_monitor([me] {
    const auto machine = M::start_link(M::Plan{.watcher = me,
                                               .init =
                                                   [](M&) {
                                                     trap_exit(true);
                                                     return M::ok(St::a);
                                                   }})
                             .value();
    send(me, Held{machine.pid()});
    receive<Release>();
    exit("parent"_atom);
  });
  const Pid machine = receive<Held>().pid;
  const Reference gone = monitor(machine);
  exit(machine, "stranger"_atom);
  EXPECT_EQ(heard(), "exit :stranger a");
  send(parent.first, Release{});
  EXPECT_EQ(await_reason(gone), ExitReason("parent"_atom));
  EXPECT_EQ(heard(), "terminate :parent a");
  await_reason(parent.second);
}

BEHAVIOUR_TEST(StateMachine, SM_014_sys_reads_and_replaces_state_and_data) {
  const auto door = Door::start().value();
  EXPECT_EQ(sys::get_state<Door>(door).state().index(), 0u);
  sys::replace_state<Door>(door, [](Door& machine) { machine.replace(7); });
  EXPECT_EQ(door.call(Door::Show{}), "open 7 0");
  EXPECT_EQ(sys::get_status(door.pid()).state, Term(tuple(7, coppice::detail::opaque_term("Door"))));
  door.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_015_SM_034_next_state_to_the_same_state_changes_nothing) {
  const auto machine = start_machine<Entering>();
  machine.cast(
      does<Entering>("timed", [] { return Entering::keep_state().state_timeout(5ms, plain_event<Entering>("late")); }));
  machine.cast(postpones<Entering>("waits"));
  machine.cast(goes_to<Entering>("same", St::a));
  EXPECT_EQ(machine.call(Entering::Get{}), "a");
  Texts all;
  while (all.size() < 5) all.push_back(heard());
  EXPECT_EQ(all, (Texts{"enter a from a", "cast timed a", "cast waits a", "cast same a", "state_timeout late a"}));
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_016_SM_017_SM_018_repeat_state_only_enters_again) {
  const auto machine = start_machine<Entering>();
  machine.cast(
      does<Entering>("timed", [] { return Entering::keep_state().state_timeout(5ms, plain_event<Entering>("late")); }));
  machine.cast(postpones<Entering>("waits"));
  machine.cast(does<Entering>("keep", [] { return Entering::keep_state(); }));
  machine.cast(does<Entering>("repeat", [] { return Entering::repeat_state(); }));
  Texts all;
  while (all.size() < 7) all.push_back(heard());
  EXPECT_EQ(all, (Texts{"enter a from a", "cast timed a", "cast waits a", "cast keep a", "cast repeat a",
                        "enter a from a", "state_timeout late a"}));
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_019_stop_ends_with_normal_or_the_given_reason) {
  for (const ExitReason& reason : {ExitReason::normal(), ExitReason::shutdown(Term(1))}) {
    const auto machine = start_machine<M>();
    const Reference gone = monitor(machine.pid());
    machine.cast(does<M>("stop", [reason] { return reason.is_normal() ? M::stop() : M::stop(reason); }));
    EXPECT_EQ(await_reason(gone), reason);
    EXPECT_EQ(all_heard(), (Texts{"cast stop a", "terminate " + to_string(reason) + " a"}));
  }
}

BEHAVIOUR_TEST(StateMachine, SM_020_replies_of_a_stop_are_sent_before_terminate) {
  const Pid me = self();
  const auto machine = start_machine<M>({.terminate = [](M&) { receive<Release>(); }});
  const auto caller = spawn_monitor([machine, me] {
    const std::string answer = machine.call(
        M::Ask{"end", [](M&, From<std::string>& from) { return M::stop(ExitReason::shutdown()).reply(from, "bye"); }});
    send(me, Heard{"answer " + answer});
  });
  Texts all;
  while (all.size() < 3) all.push_back(heard());  // terminate still runs: it waits for us
  EXPECT_THAT(all, ::testing::UnorderedElementsAre("call end a", "terminate :shutdown a", "answer bye"));
  send(machine.pid(), Release{});
  await_reason(caller.second);
  await_reason(monitor(machine.pid()));
}

BEHAVIOUR_TEST(StateMachine, SM_023_later_actions_override_earlier_ones) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>("both", [] {
    return M::keep_state()
        .postpone()
        .postpone(false)
        .state_timeout(50ms, plain_event<M>("first"))
        .state_timeout(1ms, plain_event<M>("second"));
  }));
  machine.cast(goes_to<M>("b", St::b));
  EXPECT_EQ(heard(), "cast both a");
  EXPECT_EQ(heard(), "cast b a");
  machine.cast(does<M>("timed", [] { return M::keep_state().state_timeout(1ms, plain_event<M>("third")); }));
  EXPECT_EQ(heard(), "cast timed b");
  EXPECT_EQ(heard(), "state_timeout third b");
  EXPECT_EQ(ended(machine), Texts{});
}

BEHAVIOUR_TEST(StateMachine, SM_024_SM_059_a_reply_may_be_given_in_the_result_later_or_elsewhere) {
  const auto machine = start_machine<M>();
  const auto reply = [](M&, From<std::string>& from) { return M::keep_state().reply(from, "at once"); };
  EXPECT_EQ(machine.call(M::Ask{"one", reply}), "at once");
  const auto later = [](M&, From<std::string>& from) {
    auto kept = std::make_shared<From<std::string>>(std::move(from));
    spawn([kept] { kept->reply("from elsewhere"); });
    return M::keep_state();
  };
  EXPECT_EQ(machine.call(M::Ask{"two", later}), "from elsewhere");
  machine.stop();
}

BEHAVIOUR_TEST(StateMachine, SM_025_SM_035_SM_037_postponed_events_come_back_in_order_and_may_be_postponed_again) {
  const auto machine = start_machine<M>();
  const auto until_c = [](std::string name) {
    return M::Do{std::move(name), [](M& m) { return M::keep_state().postpone(m.state() != St::c); }};
  };
  machine.cast(until_c("one"));
  machine.cast(postpones<M>("two"));
  machine.cast(until_c("three"));
  machine.cast(goes_to<M>("b", St::b));
  machine.cast(goes_to<M>("c", St::c));
  EXPECT_EQ(machine.call(M::Get{}), "c");
  EXPECT_EQ(ended(machine), (Texts{"cast one a", "cast two a", "cast three a", "cast b a", "cast one b", "cast two b",
                                   "cast three b", "cast c b", "cast one c", "cast three c"}));
}

BEHAVIOUR_TEST(StateMachine, SM_027_hibernation_is_accepted_and_changes_nothing) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>("sleeps", [] { return M::next_state(St::b).hibernate(); }));
  EXPECT_EQ(machine.call(M::Get{}), "b");
  machine.stop();
}

TEST(StateMachine, SM_030_SM_053_an_enter_call_can_neither_postpone_nor_insert_nor_change_the_state) {
  EXPECT_TRUE(CanPostpone<Machine::Transition>);
  EXPECT_TRUE(CanInsert<Machine::Transition>);
  EXPECT_FALSE(CanPostpone<Machine::Entered>);
  EXPECT_FALSE(CanInsert<Machine::Entered>);
  EXPECT_FALSE((std::is_convertible_v<Machine::Transition, Machine::Entered>));
}

BEHAVIOUR_TEST(StateMachine, SM_031_SM_033_the_enter_call_comes_before_inserted_and_replayed_events) {
  const auto machine = start_machine<Entering>();
  machine.cast(postpones<Entering>("waits"));
  machine.cast(
      does<Entering>("switch", [] { return Entering::next_state(St::b).next_event(plain_event<Entering>("in")); }));
  EXPECT_EQ(machine.call(Entering::Get{}), "b");
  EXPECT_EQ(ended(machine), (Texts{"enter a from a", "cast waits a", "cast switch a", "enter b from a", "internal in b",
                                   "cast waits b"}));
}

BEHAVIOUR_TEST(StateMachine,
               SM_031_SM_035_an_event_that_is_postponed_into_another_state_comes_back_behind_the_enter_call) {
  const auto machine = start_machine<Entering>();
  machine.cast(Entering::Do{"x", [](Entering& m) {
                              return m.state() == St::a ? Entering::next_state(St::b).postpone()
                                                        : Entering::keep_state();
                            }});
  EXPECT_EQ(machine.call(Entering::Get{}), "b");
  EXPECT_EQ(ended(machine), (Texts{"enter a from a", "cast x a", "enter b from a", "cast x b"}));
}

BEHAVIOUR_TEST(StateMachine, SM_036_a_postponed_call_is_answered_when_it_is_handled) {
  const Pid me = self();
  const auto machine = start_machine<M>();
  const auto caller = spawn_monitor([machine, me] {
    const std::string answer = machine.call(M::Ask{"ask", [](M& m, From<std::string>& from) {
                                                     if (m.state() == St::a) return M::keep_state().postpone();
                                                     return M::keep_state().reply(from, "in " + name_of(m.state()));
                                                   }});
    send(me, Heard{answer});
  });
  EXPECT_EQ(heard(), "call ask a");
  EXPECT_EQ(machine.try_call(M::Ask{"never", [](M&, From<std::string>&) { return M::keep_state().postpone(); }}, 5ms)
                .reason(),
            ExitReason::timeout());
  EXPECT_EQ(heard(), "call never a");
  machine.cast(goes_to<M>("b", St::b));
  await_reason(caller.second);
  EXPECT_THAT(ended(machine), ::testing::UnorderedElementsAre("cast b a", "call ask b", "in b", "call never b"));
}

BEHAVIOUR_TEST(StateMachine, SM_038_a_timeout_can_be_postponed) {
  const auto machine = start_machine<M>();
  machine.cast(does<M>("timed", [] { return M::keep_state().named_timeout("n"_atom, 1ms, postpones<M>("late")); }));
  EXPECT_EQ(heard(), "cast timed a");
  EXPECT_EQ(heard(), "named_timeout late a");
  machine.cast(goes_to<M>("b", St::b));
  EXPECT_EQ(machine.call(M::Get{}), "b");
  EXPECT_EQ(ended(machine), (Texts{"cast b a", "named_timeout late b"}));
}
