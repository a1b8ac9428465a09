// SPDX-License-Identifier: Apache-2.0
//
// Casts, other messages, continue: GS-066 to GS-070.
#include "conformance/gen_server_probe.hpp"

using namespace conformance;

namespace {

// A registry in which nobody has a name.
struct EmptyRegistry final : ViaModule {
  bool register_name(const Term&, const Pid&) override { return false; }
  void unregister_name(const Term&) override {}
  Pid whereis_name(const Term&) override { return {}; }
};

constexpr Name<Probe> nobody{"gs_066_nobody"};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_066_a_cast_succeeds_whatever_the_destination) {
  EmptyRegistry registry;
  EXPECT_NO_THROW(nobody.cast(note("x")));
  EXPECT_NO_THROW(ProbeRef(dead_pid()).cast(note("x")));
  EXPECT_NO_THROW(ProbeRef().cast(note("x")));
  EXPECT_NO_THROW(ProbeRef(remote_pid()).cast(note("x")));
  EXPECT_NO_THROW(Via<Probe>(registry, "x"_atom).cast(note("x")));
}

BEHAVIOUR_TEST(GenServer, GS_066_a_cast_does_not_wait_for_the_server) {
  const ProbeRef probe = start_probe();
  probe.cast(hold());
  receive<Held>();
  probe.cast(note("later"));  // returns although the server is busy
  EXPECT_TRUE(all_heard().empty());
  send(probe.pid(), Release{});
  EXPECT_EQ(heard(), "later");
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_067_what_handle_cast_may_return) {
  const ProbeRef probe = start_probe();
  probe.cast(Probe::Do{[](Probe&) { return Probe::noreply(); }});
  EXPECT_EQ(probe.call(get_value()), Term(0));
  probe.cast(Probe::Do{[](Probe&) { return Probe::noreply().timeout(0s); }});
  EXPECT_EQ(heard(), "timeout");
  probe.cast(Probe::Do{[](Probe&) { return Probe::noreply().hibernate(); }});
  EXPECT_EQ(probe.call(get_value()), Term(0));
  probe.cast(Probe::Do{
      [](Probe&) { return Probe::noreply().then(Probe::Continue{plain([](Probe& p) { p.tell("continued"); })}); }});
  EXPECT_EQ(heard(), "continued");
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{[](Probe&) { return Probe::stop("enough"_atom); }});
  EXPECT_EQ(await_reason(gone), "enough"_atom);
}

BEHAVIOUR_TEST(GenServer, GS_068_casts_and_calls_of_one_client_are_handled_in_the_order_sent) {
  const ProbeRef probe = start_probe();
  for (int i = 1; i <= 50; ++i) {
    probe.cast(Probe::Do{plain([i](Probe& p) { p.value = p.value == i - 1 ? i : -1; })});
    if (i % 10 == 0) {
      EXPECT_EQ(probe.call(get_value()), Term(i));
    }
  }
  EXPECT_EQ(probe.call(get_value()), Term(50));
  probe.stop();
}

namespace {

class Ear : public GenServer<Ear> {
 public:
  struct Hear {
    std::function<void()> work;
  };
  struct Never {
    using Reply = int;
  };
  struct Custom {
    int value;
  };
  using Messages = coppice::Messages<Custom, TimerTimeout<int>>;

  explicit Ear(Pid watcher) : watcher_(watcher) { trap_exit(true); }
  void handle_cast(Hear m) { m.work(); }
  Action handle_cast(int wanted) { return wanted == 0 ? noreply().timeout(0s) : noreply(); }
  void handle_call(Never, From<int> from) { held_.push_back(std::move(from)); }
  void handle_info(Custom m) { tell("custom " + std::to_string(m.value)); }
  void handle_info(Down m) { tell("down " + to_string(m.reason)); }
  void handle_info(ExitMessage m) { tell("exit " + to_string(m.reason)); }
  void handle_info(TimerTimeout<int> m) { tell("timer " + std::to_string(m.message)); }
  void handle_info(Response m) { tell("response " + to_string(m.failure())); }
  void handle_info(Timeout) { tell("timeout"); }
  void handle_info(TimerCancelled m) { tell(m.left ? "cancelled" : "not cancelled"); }
  void handle_info(Term m) { tell("any " + inspect(m)); }

 private:
  void tell(std::string text) { send(watcher_, Heard{std::move(text)}); }
  Pid watcher_;
  std::vector<From<int>> held_;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_069_handle_info_gets_every_message_that_is_no_call_cast_or_system_message) {
  const ServerRef<Ear> ear = Ear::start(self()).value();
  const auto check = [&](std::function<void()> work, const std::string& expected) {
    ear.cast(Ear::Hear{std::move(work)});
    EXPECT_EQ(heard(), expected);
  };
  send(ear.pid(), Ear::Custom{7});
  EXPECT_EQ(heard(), "custom 7");
  send(ear.pid(), 42);
  EXPECT_EQ(heard(), "any 42");
  const Pid idle = spawn_idle();
  check([idle] { static_cast<void>(monitor(idle)), exit(idle, ExitReason::kill()); }, "down :killed");
  check([] { spawn_link([] { exit("boom"_atom); }); }, "exit :boom");
  check([] { start_timer(1ms, self(), 5); }, "timer 5");
  const Pid dead = dead_pid();
  check([dead] { static_cast<void>(ServerRef<Ear>(dead).send_request(Ear::Never{})); }, "response :noproc");
  check([] { cancel_timer(send_after(self(), 1, 10min), {.async = true}); }, "cancelled");
  ear.cast(0);
  EXPECT_EQ(heard(), "timeout");
  ear.stop();
}

BEHAVIOUR_TEST(GenServer, GS_070_a_continuation_runs_before_every_message_also_a_system_message) {
  const ProbeRef probe = start_probe();
  probe.cast(Probe::Do{[me = self()](Probe&) {
    send(me, Held{coppice::self()});
    receive<Release>();
    return Probe::noreply().then(Probe::Continue{[](Probe& p) {
      p.tell("first");
      return Probe::noreply().then(Probe::Continue{plain([](Probe& q) {
        q.tell("second");
        q.value = 2;
      })});
    }});
  }});
  receive<Held>();
  const auto [asker, asked] =
      spawn_monitor([probe, me = self()] { send(me, Heard{"state " + inspect(sys::get_state_term(probe))}); });
  await_queue(probe, 1);
  probe.cast(note("cast"));
  send(probe.pid(), Release{});
  await_reason(asked);
  probe.stop();
  const Texts all = all_heard();
  const Texts expected{"first", "second", "state 2", "cast", "terminate :normal", "destroyed"};
  EXPECT_EQ(std::vector(all.begin(), all.begin() + 2), std::vector(expected.begin(), expected.begin() + 2));
  EXPECT_TRUE(std::is_permutation(all.begin(), all.end(), expected.begin(), expected.end()));
}

BEHAVIOUR_TEST(GenServer, GS_070_a_continuation_may_stop_the_server) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  probe.cast(Probe::Do{[](Probe&) {
    return Probe::noreply().then(Probe::Continue{[](Probe&) { return Probe::stop("from_continue"_atom); }});
  }});
  EXPECT_EQ(await_reason(gone), "from_continue"_atom);
  EXPECT_EQ(all_heard(), (Texts{"terminate :from_continue", "destroyed"}));
}

BEHAVIOUR_TEST(GenServer, GS_070_init_may_continue_before_the_first_message) {
  const ProbeRef probe = start_probe(
      {.init = [](Probe&) { return Probe::ok().then(Probe::Continue{plain([](Probe& p) { p.value = 5; })}); }});
  EXPECT_EQ(probe.call(get_value()), Term(5));
  probe.stop();
}
