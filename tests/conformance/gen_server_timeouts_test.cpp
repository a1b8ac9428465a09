// SPDX-License-Identifier: Apache-2.0
//
// The inactivity timeout: GS-079 to GS-086.
#include "conformance/gen_server_probe.hpp"

using namespace conformance;

namespace {

Probe::Do ask_timeout(WaitTime timeout) {
  return {[timeout](Probe&) { return Probe::noreply().timeout(timeout); }};
}

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_079_a_timeout_fires_when_no_message_has_come_for_that_long) {
  const ProbeRef probe = start_probe();
  const auto before = monotonic_time();
  probe.cast(ask_timeout(20ms));
  EXPECT_EQ(heard(), "timeout");
  EXPECT_GE(monotonic_time() - before, 20ms);
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_079_every_callback_may_ask_for_a_timeout) {
  const ProbeRef probe = start_probe({.init = [](Probe&) { return Probe::ok().timeout(1ms); }});
  EXPECT_EQ(heard(), "timeout");
  probe.call(Probe::Ask{[](Probe&) { return Probe::Answer<Term>(Term(1)).timeout(1ms); }});
  EXPECT_EQ(heard(), "timeout");
  probe.send(Probe::Inform{[](Probe&) { return Probe::noreply().timeout(1ms); }});
  EXPECT_EQ(heard(), "timeout");
  probe.cast(Probe::Do{[](Probe&) {
    return Probe::noreply().then(Probe::Continue{[](Probe&) { return Probe::noreply().timeout(1ms); }});
  }});
  EXPECT_EQ(heard(), "timeout");
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_079_a_timeout_fires_at_its_time) {
  const ProbeRef probe = start_probe();
  const auto before = monotonic_time();
  probe.cast(ask_timeout(24h));
  EXPECT_EQ(receive<Heard>(infinity)->text, "timeout");
  EXPECT_GE(monotonic_time() - before, 24h);
  EXPECT_LT(monotonic_time() - before, 24h + 1s);
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_080_a_timeout_fires_once) {
  const ProbeRef probe = start_probe();
  probe.cast(ask_timeout(1s));
  sleep_for(1h);
  EXPECT_EQ(all_heard(), Texts{"timeout"});
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_080_a_timeout_that_is_returned_again_fires_again) {
  const ProbeRef probe = start_probe(
      {.timeout = [](Probe& p) { return ++p.value < 3 ? Probe::noreply().timeout(1ms) : Probe::stop("three"_atom); }});
  const Reference gone = monitor(probe);
  probe.cast(ask_timeout(1ms));
  EXPECT_EQ(await_reason(gone), "three"_atom);
  EXPECT_EQ(all_heard(), (Texts{"timeout", "timeout", "timeout", "terminate :three", "destroyed"}));
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_081_any_message_cancels_a_timeout) {
  const ProbeRef probe = start_probe();
  const std::function<void()> messages[] = {
      [&] { probe.cast(note("cast")); },
      [&] { probe.call(get_value()); },
      [&] { send(probe.pid(), Probe::Note{"info"}); },
      [&] { send(probe.pid(), std::string("unknown")); },
  };
  for (const auto& message : messages) {
    probe.cast(ask_timeout(10s));
    sleep_for(9s);
    message();
    sleep_for(1h);
  }
  EXPECT_EQ(all_heard(), (Texts{"cast", "note info"}));
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_081_the_callback_of_the_message_decides_on_a_new_timeout) {
  const ProbeRef probe = start_probe();
  const auto begin = monotonic_time();
  for (int i = 0; i < 5; ++i) {
    probe.cast(ask_timeout(10s));
    sleep_for(9s);
  }
  EXPECT_EQ(heard(), "timeout");
  EXPECT_GE(monotonic_time() - begin, 46s);
  EXPECT_LT(monotonic_time() - begin, 47s);
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_082_a_message_that_is_waiting_wins_over_timeout_0) {
  const ProbeRef probe = start_probe();
  probe.cast(Probe::Do{[](Probe&) {
    Probe::self().cast(note("waiting"));
    return Probe::noreply().timeout(0s);
  }});
  EXPECT_EQ(heard(), "waiting");
  probe.call(get_value());
  EXPECT_TRUE(all_heard().empty());
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_083_a_system_message_restarts_the_timeout) {
  const ProbeRef probe = start_probe();
  probe.cast(ask_timeout(10s));
  for (int i = 0; i < 10; ++i) {
    sleep_for(6s);
    static_cast<void>(sys::get_state_term(probe));
    EXPECT_TRUE(all_heard().empty());
  }
  const auto last = monotonic_time();
  EXPECT_EQ(heard(), "timeout");
  EXPECT_GE(monotonic_time() - last, 9900ms);
  EXPECT_LT(monotonic_time() - last, 10100ms);
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_084_a_timeout_message_that_somebody_sends_is_a_timeout) {
  const ProbeRef probe = start_probe();
  send(probe.pid(), Timeout{});
  EXPECT_EQ(heard(), "timeout");
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_085_a_hibernating_server_waits_for_a_message_without_timeout) {
  const ProbeRef probe = start_probe();
  probe.cast(ask_timeout(10s));
  sleep_for(1s);
  probe.cast(Probe::Do{[](Probe&) { return Probe::noreply().hibernate(); }});
  sleep_for(24h);
  EXPECT_TRUE(all_heard().empty());
  EXPECT_EQ(process_info(probe)->stack_size, 0u);
  probe.cast(note("awake"));
  EXPECT_EQ(heard(), "awake");
  probe.stop();
}

BEHAVIOUR_TEST_IN_SIMULATION(GenServer, GS_086_infinity_means_no_timeout) {
  const ProbeRef probe = start_probe();
  probe.cast(ask_timeout(infinity));
  sleep_for(std::chrono::hours(24 * 365));
  EXPECT_TRUE(all_heard().empty());
  probe.stop();
}
