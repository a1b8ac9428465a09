// SPDX-License-Identifier: Apache-2.0
//
// Aliases: rules PR-079 to PR-089.
#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {

struct Note {
  int number = 0;
};
struct Done {};

// Sends notes 1 to `count` through `alias` from another process, and returns when they are all sent.
void notes_from_another(const Reference& alias, int count) {
  const Pid me = self();
  (void)spawn([me, alias, count] {
    for (int i = 1; i <= count; ++i) send(alias, Note{i});
    send(me, Done{});
  });
  receive<Done>();
}

Down end_and_hear(const Pid& pid, const Reference& monitor_reference) {
  send(pid, Stop{});
  Down down = receive<Down>();
  EXPECT_EQ(down.reference, monitor_reference);
  return down;
}

bool note_is_here() { return receive<Note>(0ms).has_value(); }

}  // namespace

BEHAVIOUR_TEST(Aliases, PR_079_an_active_alias_is_as_good_as_the_pid) {
  const Reference mine = alias();
  notes_from_another(mine, 3);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(receive<Note>(0ms)->number, i);
}

BEHAVIOUR_TEST(Aliases, PR_079_messages_to_pid_and_alias_keep_the_order_of_their_sender) {
  const Reference mine = alias();
  const Pid me = self();
  (void)spawn([me, mine] {
    send(me, Note{1});
    send(mine, Note{2});
    send(me, Note{3});
    send(mine, Note{4});
  });
  for (int i = 1; i <= 4; ++i) EXPECT_EQ(receive<Note>().number, i);
}

BEHAVIOUR_TEST(Aliases, PR_080_nobody_but_the_owner_can_deactivate_an_alias) {
  const Reference mine = alias();
  const Pid me = self();
  (void)spawn([me, mine] {
    EXPECT_FALSE(unalias(mine));
    EXPECT_TRUE(demonitor(mine));
    send(me, Done{});
  });
  receive<Done>();
  notes_from_another(mine, 1);
  EXPECT_TRUE(note_is_here());
}

BEHAVIOUR_TEST(Aliases, PR_080_an_alias_belongs_to_the_process_that_made_it) {
  const Pid me = self();
  const Pid owner = spawn([me] {
    send(me, alias());
    EXPECT_EQ(receive<Note>().number, 1);
    send(me, Done{});
  });
  const Reference theirs = receive<Reference>();
  send(theirs, Note{1});
  receive<Done>();
  EXPECT_FALSE(note_is_here());
  EXPECT_NE(owner, me);
}

BEHAVIOUR_TEST(Aliases, PR_079_an_alias_of_another_node_or_a_reference_that_is_none_takes_no_message) {
  const auto token = std::make_shared<int>(1);
  Reference elsewhere = alias();
  ++elsewhere.creation;
  send(elsewhere, token);
  send(monitor(self()), token);
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(receive<std::shared_ptr<int>>(2ms).has_value());
}

BEHAVIOUR_TEST(Aliases, PR_081_whether_it_is_active_is_judged_when_the_message_is_received) {
  // Sent while the alias was active, received after its end: dropped. The owner takes nothing in between the two.
  const Reference mine = alias();
  send(mine, Note{1});
  unalias(mine);
  EXPECT_FALSE(note_is_here());
  EXPECT_FALSE(receive<Note>(5ms).has_value());
}

BEHAVIOUR_TEST(Aliases, PR_082_a_plain_alias_stays_active_until_unalias) {
  const Reference mine = alias();
  for (int round = 0; round < 3; ++round) {
    notes_from_another(mine, 2);
    EXPECT_TRUE(note_is_here());
    EXPECT_TRUE(note_is_here());
  }
  unalias(mine);
  notes_from_another(mine, 2);
  EXPECT_FALSE(note_is_here());
}

BEHAVIOUR_TEST(Aliases, PR_083_a_reply_alias_takes_one_message) {
  const Reference mine = alias({.reply = true});
  notes_from_another(mine, 2);
  EXPECT_EQ(receive<Note>().number, 1);
  EXPECT_FALSE(receive<Note>(5ms).has_value());
  EXPECT_FALSE(unalias(mine));
}

BEHAVIOUR_TEST(Aliases, PR_083_a_reply_alias_that_got_nothing_can_be_given_up) {
  const Reference mine = alias({.reply = true});
  EXPECT_TRUE(unalias(mine));
  notes_from_another(mine, 1);
  EXPECT_FALSE(note_is_here());
}

BEHAVIOUR_TEST(Aliases, PR_084_unalias_tells_whether_it_was_an_active_alias_of_the_caller) {
  const Reference mine = alias();
  EXPECT_TRUE(unalias(mine));
  EXPECT_FALSE(unalias(mine));
  EXPECT_FALSE(unalias(Reference{}));
  const Pid target = until_stopped();
  const Reference watch = monitor(target);
  EXPECT_FALSE(unalias(watch));
  end_and_hear(target, watch);
}

BEHAVIOUR_TEST(Aliases, PR_085_what_was_taken_in_stays_what_was_in_transit_is_dropped) {
  const Reference mine = alias();
  notes_from_another(mine, 1);
  EXPECT_EQ(process_info(self())->message_queue_len, 1u);  // the wait for Done took it in
  send(mine, Note{2});                                     // in transit although it comes from the owner
  EXPECT_TRUE(unalias(mine));
  EXPECT_EQ(receive<Note>().number, 1);
  EXPECT_FALSE(receive<Note>(5ms).has_value());
}

BEHAVIOUR_TEST(Aliases, PR_086_alias_demonitor_ends_when_the_monitor_has_fired) {
  const Pid target = until_stopped();
  const Reference reference = monitor(target, {.alias = AliasMode::demonitor});
  notes_from_another(reference, 2);
  EXPECT_TRUE(note_is_here());
  EXPECT_TRUE(note_is_here());  // several messages, unlike reply_demonitor
  end_and_hear(target, reference);
  notes_from_another(reference, 1);
  EXPECT_FALSE(note_is_here());
  EXPECT_FALSE(unalias(reference));
}

BEHAVIOUR_TEST(Aliases, PR_086_alias_demonitor_of_the_dead_ends_with_its_noproc) {
  const Pid target = until_stopped();
  const Reference watch = monitor(target);
  end_and_hear(target, watch);
  const Reference reference = monitor(target, {.alias = AliasMode::demonitor});
  EXPECT_EQ(receive<Down>().reason, ExitReason::noproc());
  notes_from_another(reference, 1);
  EXPECT_FALSE(note_is_here());
}

BEHAVIOUR_TEST(Aliases, PR_087_a_message_through_reply_demonitor_removes_the_monitor) {
  const Pid target = until_stopped();
  const Reference reference = monitor(target, {.alias = AliasMode::reply_demonitor});
  notes_from_another(reference, 2);
  EXPECT_EQ(receive<Note>().number, 1);
  EXPECT_FALSE(note_is_here());
  EXPECT_TRUE(process_info(target)->monitored_by.empty());
  const Reference other = monitor(target);
  end_and_hear(target, other);
  EXPECT_FALSE(receive<Down>(5ms).has_value());
}

BEHAVIOUR_TEST(Aliases, PR_087_without_a_message_reply_demonitor_is_a_monitor) {
  const Pid target = until_stopped();
  const Reference reference = monitor(target, {.alias = AliasMode::reply_demonitor});
  end_and_hear(target, reference);
  notes_from_another(reference, 1);
  EXPECT_FALSE(note_is_here());
}

BEHAVIOUR_TEST(Aliases, PR_087_of_a_reply_and_an_end_that_race_one_comes) {
  const Pid me = self();
  const Pid target = spawn([me] {
    const Reference to = receive<Reference>();
    send(to, Note{1});
    (void)me;
  });
  const Reference reference = monitor(target, {.alias = AliasMode::reply_demonitor});
  send(target, reference);
  int notes = 0;
  int downs = 0;
  const auto count = [&](WaitTime timeout) {
    return receive([&](const Note&) { return ++notes, true; }, [&](const Down&) { return ++downs, true; },
                   after(timeout, [] { return false; }));
  };
  EXPECT_TRUE(count(infinity));
  EXPECT_FALSE(count(5ms));
  EXPECT_EQ(notes, 1);  // the reply was sent before the end: it is there first
  EXPECT_EQ(downs, 0);
}

BEHAVIOUR_TEST(Aliases, PR_088_explicit_unalias_survives_down_and_demonitor) {
  const Pid target = until_stopped();
  const Reference fires = monitor(target, {.alias = AliasMode::explicit_unalias});
  const Reference removed = monitor(target, {.alias = AliasMode::explicit_unalias});
  demonitor(removed);
  end_and_hear(target, fires);
  for (const Reference& reference : {fires, removed}) {
    notes_from_another(reference, 2);
    EXPECT_TRUE(note_is_here());
    EXPECT_TRUE(note_is_here());
    EXPECT_TRUE(unalias(reference));
    notes_from_another(reference, 1);
    EXPECT_FALSE(note_is_here());
  }
}

BEHAVIOUR_TEST(Aliases, PR_089_demonitor_makes_late_replies_vanish) {
  const Pid target = until_stopped();
  for (const AliasMode mode : {AliasMode::demonitor, AliasMode::reply_demonitor}) {
    const Reference reference = monitor(target, {.alias = mode});
    demonitor(reference);
    notes_from_another(reference, 1);
    EXPECT_FALSE(note_is_here());
    EXPECT_FALSE(unalias(reference));
  }
  send(target, Stop{});
}

BEHAVIOUR_TEST(Aliases, PR_089_unalias_leaves_the_monitor) {
  const Pid target = until_stopped();
  const Reference reference = monitor(target, {.alias = AliasMode::demonitor});
  EXPECT_TRUE(unalias(reference));
  end_and_hear(target, reference);
}
