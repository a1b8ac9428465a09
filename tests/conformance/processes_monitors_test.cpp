// SPDX-License-Identifier: Apache-2.0
//
// Monitors: rules PR-064 to PR-078. "Now" in these tests is an order of signals, never a duration.
#include <algorithm>
#include <set>

#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {

struct Ready {};

// Says true once `condition` holds: for what has no order with anything the caller can wait for.
bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) return true;
    sleep_for(1ms);
  }
  return false;
}

bool no_down_is_here() { return !receive<Down>(0ms).has_value(); }

}  // namespace

BEHAVIOUR_TEST(Monitors, PR_064_each_monitor_has_its_own_reference_and_gives_exactly_one_down) {
  const Pid target = until_stopped();
  std::set<Reference> references;
  for (int i = 0; i < 3; ++i) references.insert(monitor(target));
  EXPECT_EQ(references.size(), 3u);
  send(target, Stop{});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(references.erase(receive<Down>().reference), 1u);
  EXPECT_TRUE(references.empty());
  EXPECT_FALSE(receive<Down>(10ms).has_value());
}

BEHAVIOUR_TEST(Monitors, PR_064_a_monitor_is_one_directional) {
  const Pid me = self();
  const Pid watcher = spawn([me] {
    (void)monitor(me);
    send(me, Ready{});
    receive<Stop>();
  });
  receive<Ready>();
  const auto info = process_info(self());
  EXPECT_TRUE(info->monitors.empty());
  EXPECT_EQ(info->monitored_by, std::vector<Pid>{watcher});
  finish(watcher);
  EXPECT_TRUE(no_down_is_here());
}

BEHAVIOUR_TEST(Monitors, PR_065_down_of_a_pid_names_the_pid) {
  const Pid target = until_stopped();
  register_name(target, "watched by pid");
  const Reference reference = monitor(target);
  send(target, Stop{});
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, reference);
  EXPECT_EQ(down.pid, target);
  EXPECT_EQ(down.name, "");
  EXPECT_TRUE(down.tag.is_nil());
}

BEHAVIOUR_TEST(Monitors, PR_065_down_of_a_name_names_the_name) {
  const Pid target = until_stopped();
  register_name(target, "watched");
  const Reference reference = monitor("watched");
  send(target, Stop{});
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, reference);
  EXPECT_EQ(down.name, "watched");
}

BEHAVIOUR_TEST(Monitors, PR_066_down_carries_the_reason_of_the_end) {
  const ExitReason reasons[] = {ExitReason::normal(), ExitReason::shutdown(), ExitReason(tuple("failed"_atom, 3)),
                                ExitReason::kill()};
  for (const ExitReason& reason : reasons) {
    const Pid target = until_stopped(reason);
    (void)monitor(target);
    send(target, Stop{});
    EXPECT_EQ(receive<Down>().reason, reason);
  }
  const Pid killed = until_stopped();
  (void)monitor(killed);
  exit(killed, ExitReason::kill());
  EXPECT_EQ(receive<Down>().reason, ExitReason::killed());
}

BEHAVIOUR_TEST(Monitors, PR_066_PR_067_a_monitor_of_the_dead_gives_noproc) {
  const Pid gone = until_stopped();
  finish(gone);
  const Reference by_pid = monitor(gone);
  Down down = receive<Down>();
  EXPECT_EQ(down.reference, by_pid);
  EXPECT_EQ(down.pid, gone);
  EXPECT_EQ(down.reason, ExitReason::noproc());

  const Reference by_name = monitor("nobody has this name");
  down = receive<Down>();
  EXPECT_EQ(down.reference, by_name);
  EXPECT_EQ(down.name, "nobody has this name");
  EXPECT_EQ(down.reason, ExitReason::noproc());

  const Reference of_none = monitor(Pid{});
  down = receive<Down>();
  EXPECT_EQ(down.reference, of_none);
  EXPECT_EQ(down.reason, ExitReason::noproc());
}

BEHAVIOUR_TEST(Monitors, PR_067_the_down_of_the_dead_is_there_at_once) {
  const Pid gone = until_stopped();
  finish(gone);
  (void)monitor(gone);
  EXPECT_TRUE(receive<Down>(0ms).has_value());
}

BEHAVIOUR_TEST(Monitors, PR_066_a_monitor_that_races_with_the_end_tells_the_reason_or_noproc) {
  const Pid target = spawn([] { exit(ExitReason("done"_atom)); });
  (void)monitor(target);
  const Down down = receive<Down>();
  EXPECT_TRUE(down.reason == "done"_atom || down.reason == ExitReason::noproc()) << to_string(down.reason);
  EXPECT_FALSE(receive<Down>(5ms).has_value());
}

BEHAVIOUR_TEST(Monitors, PR_068_a_name_is_resolved_when_the_monitor_is_set) {
  const Pid first = until_stopped("first"_atom);
  const Pid second = until_stopped("second"_atom);
  register_name(first, "contested");
  (void)monitor("contested");
  unregister_name("contested");
  register_name(second, "contested");
  finish(second);
  EXPECT_FALSE(receive<Down>(5ms).has_value());
  send(first, Stop{});
  const Down down = receive<Down>();
  EXPECT_EQ(down.reason, "first"_atom);
  EXPECT_EQ(down.name, "contested");
}

BEHAVIOUR_TEST(Monitors, PR_069_a_monitor_of_oneself_never_fires) {
  const Pid me = self();
  const Pid child = spawn([me] {
    const Reference reference = monitor(self());
    EXPECT_TRUE(static_cast<bool>(reference));
    const auto watchers = process_info(self())->monitored_by;
    EXPECT_EQ(std::count(watchers.begin(), watchers.end(), self()), 0);
    EXPECT_FALSE(receive<Down>(5ms).has_value());
    EXPECT_TRUE(demonitor(reference, {.info = true}));
    EXPECT_FALSE(demonitor(reference, {.info = true}));
    (void)monitor(self());  // one that is still there when the process ends
    send(me, Ready{});
  });
  (void)monitor(child);
  receive<Ready>();
  EXPECT_TRUE(receive<Down>().reason.is_normal());
}

BEHAVIOUR_TEST(Monitors, PR_070_a_normal_end_is_heard) {
  const auto [pid, reference] = spawn_monitor([] {});
  const Down down = receive<Down>();
  EXPECT_EQ(down.pid, pid);
  EXPECT_EQ(down.reference, reference);
  EXPECT_TRUE(down.reason.is_normal());
}

BEHAVIOUR_TEST(Monitors, PR_071_the_end_of_the_watcher_does_nothing_to_the_watched) {
  const Pid target = until_stopped();
  const Pid me = self();
  const auto [watcher, reference] = spawn_monitor([me, target] {
    (void)monitor(target);
    (void)monitor(target);
    send(me, Ready{});
    receive<Stop>();
  });
  receive<Ready>();
  EXPECT_EQ(process_info(target)->monitored_by, (std::vector<Pid>{watcher, watcher}));
  exit(watcher, ExitReason("crash"_atom));
  EXPECT_EQ(receive<Down>().reference, reference);
  EXPECT_TRUE(alive(target));
  EXPECT_TRUE(eventually([target] { return process_info(target)->monitored_by.empty(); }));
  finish(target);
}

BEHAVIOUR_TEST(Monitors, PR_072_no_down_arrives_after_demonitor) {
  const Pid target = spawn([] {});  // ends some time around the demonitor
  const Reference reference = monitor(target);
  demonitor(reference);
  while (receive<Down>(0ms)) {
  }                                         // one that was queued before may stay
  const Reference other = monitor(target);  // hears of the end: the first one would have, too
  EXPECT_EQ(receive<Down>().reference, other);
  EXPECT_FALSE(receive<Down>(5ms).has_value());
}

BEHAVIOUR_TEST(Monitors, PR_072_a_down_that_is_queued_already_stays) {
  const auto [pid, reference] = spawn_monitor([] {});
  EXPECT_TRUE(eventually([] { return process_info(self())->message_queue_len == 1; }));
  demonitor(reference);
  const auto down = receive<Down>(0ms);
  ASSERT_TRUE(down.has_value());
  EXPECT_EQ(down->pid, pid);
}

BEHAVIOUR_TEST(Monitors, PR_072_the_target_forgets_a_monitor_that_was_removed) {
  const Pid target = until_stopped();
  const Reference first = monitor(target);
  const Reference second = monitor(target);
  demonitor(first);
  EXPECT_EQ(process_info(target)->monitored_by, std::vector<Pid>{self()});
  EXPECT_EQ(process_info(self())->monitors, std::vector<Pid>{target});
  demonitor(second);
  EXPECT_TRUE(process_info(target)->monitored_by.empty());
  EXPECT_TRUE(process_info(self())->monitors.empty());
  finish(target);
  EXPECT_TRUE(no_down_is_here());
}

BEHAVIOUR_TEST(Monitors, PR_073_flush_removes_the_down_that_is_queued_and_no_other) {
  const auto [first, flushed] = spawn_monitor([] {});
  const auto [second, kept] = spawn_monitor([] {});
  EXPECT_TRUE(eventually([] { return process_info(self())->message_queue_len == 2; }));
  EXPECT_TRUE(demonitor(flushed, {.flush = true}));
  const auto down = receive<Down>(0ms);
  ASSERT_TRUE(down.has_value());
  EXPECT_EQ(down->reference, kept);
  EXPECT_TRUE(no_down_is_here());
  EXPECT_NE(first, second);
}

BEHAVIOUR_TEST(Monitors, PR_073_flush_lets_no_down_through_however_the_race_ends) {
  const Pid target = spawn([] {});
  const Reference reference = monitor(target);
  EXPECT_TRUE(demonitor(reference, {.flush = true}));
  finish(target);
  EXPECT_FALSE(receive<Down>(5ms).has_value());
}

BEHAVIOUR_TEST(Monitors, PR_074_info_tells_whether_an_active_monitor_was_removed) {
  const Pid target = until_stopped();
  const Reference active = monitor(target);
  const Reference fires = monitor(target);
  EXPECT_TRUE(demonitor(active, {.info = true}));
  EXPECT_FALSE(demonitor(active, {.info = true}));
  send(target, Stop{});
  EXPECT_EQ(receive<Down>().reference, fires);
  EXPECT_FALSE(demonitor(fires, {.info = true}));
  EXPECT_TRUE(demonitor(fires));  // without info it is always true
}

BEHAVIOUR_TEST(Monitors, PR_075_flush_and_info_is_false_if_it_had_to_flush_or_found_none) {
  const Pid target = until_stopped();
  EXPECT_TRUE(demonitor(monitor(target), {.flush = true, .info = true}));
  const Reference fires = monitor(target);
  send(target, Stop{});
  EXPECT_TRUE(eventually([] { return process_info(self())->message_queue_len == 1; }));
  EXPECT_FALSE(demonitor(fires, {.flush = true, .info = true}));
  EXPECT_TRUE(no_down_is_here());
  EXPECT_FALSE(demonitor(fires, {.flush = true, .info = true}));
}

BEHAVIOUR_TEST(Monitors, PR_076_demonitor_of_what_is_no_monitor_of_the_caller_has_no_effect) {
  const Pid target = until_stopped();
  const Reference mine = monitor(target);
  const Pid other = spawn([mine] {
    EXPECT_TRUE(demonitor(mine));
    EXPECT_FALSE(demonitor(mine, {.flush = true, .info = true}));
  });
  (void)monitor(other);
  EXPECT_EQ(receive<Down>().pid, other);
  EXPECT_TRUE(demonitor(Reference{}));
  EXPECT_TRUE(demonitor(alias()));
  EXPECT_TRUE(demonitor(send_after(Pid{}, Stop{}, 1s)));
  send(target, Stop{});
  EXPECT_EQ(receive<Down>().reference, mine);
}

BEHAVIOUR_TEST(Monitors, PR_077_a_tag_comes_with_the_down) {
  const Pid target = until_stopped();
  const Term tag = tuple("connection"_atom, 7);
  const Reference tagged = monitor(target, {.tag = tag});
  const Reference plain = monitor(target);
  send(target, Stop{});
  for (int i = 0; i < 2; ++i) {
    const Down down = receive<Down>();
    EXPECT_EQ(down.tag, down.reference == tagged ? tag : Term{});
    EXPECT_TRUE(down.reference == tagged || down.reference == plain);
  }
  (void)monitor(target, {.tag = tag});
  EXPECT_EQ(receive<Down>().tag, tag);  // of the dead as well
}

BEHAVIOUR_TEST(Monitors, PR_078_the_reference_of_a_monitor_may_be_an_alias) {
  for (const AliasMode mode : {AliasMode::explicit_unalias, AliasMode::demonitor, AliasMode::reply_demonitor}) {
    const Pid target = until_stopped();
    const Reference reference = monitor(target, {.alias = mode});
    const Pid sender = spawn([reference] { send(reference, Ready{}); });
    receive<Ready>();
    send(target, Stop{});
    if (mode != AliasMode::reply_demonitor) {
      EXPECT_EQ(receive<Down>().reference, reference);
    }
    EXPECT_FALSE(receive<Down>(5ms).has_value());
    EXPECT_NE(sender, target);
  }
  const Pid target = until_stopped();
  const Reference reference = monitor(target);  // no alias was asked for
  send(reference, Ready{});
  EXPECT_FALSE(receive<Ready>(5ms).has_value());
  finish(target);
}
