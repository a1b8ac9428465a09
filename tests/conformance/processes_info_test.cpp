// SPDX-License-Identifier: Apache-2.0
//
// Dictionary, labels, ancestry, hibernation, process_info, group leader, references: rules PR-115 to PR-117, PR-120 and
// PR-122 to PR-128.
#include <algorithm>
#include <set>

#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {

struct Note {
  int number = 0;
};
struct Ready {};

std::vector<Term> sorted(std::vector<Term> terms) {
  std::sort(terms.begin(), terms.end(), [](const Term& a, const Term& b) { return a < b; });
  return terms;
}

}  // namespace

// -- dictionary ----------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Dictionary, PR_115_put_and_erase_return_what_was_there_or_nil) {
  EXPECT_TRUE(dictionary::put("key"_atom, 1).is_nil());
  EXPECT_EQ(dictionary::put("key"_atom, 2), Term(1));
  EXPECT_EQ(dictionary::get("key"_atom), Term(2));
  EXPECT_EQ(dictionary::erase("key"_atom), Term(2));
  EXPECT_TRUE(dictionary::erase("key"_atom).is_nil());
  EXPECT_TRUE(dictionary::get("key"_atom).is_nil());
}

BEHAVIOUR_TEST(Dictionary, PR_115_a_default_is_for_an_absent_key_only) {
  EXPECT_EQ(dictionary::get("key"_atom, 7), Term(7));
  dictionary::put("key"_atom, Term{});
  EXPECT_TRUE(dictionary::get("key"_atom, 7).is_nil());
  EXPECT_TRUE(dictionary::put("key"_atom, 3).is_nil());
}

BEHAVIOUR_TEST(Dictionary, PR_115_each_process_has_its_own) {
  dictionary::put("key"_atom, "mine");
  const Pid me = self();
  (void)spawn([me] {
    EXPECT_TRUE(dictionary::get("key"_atom).is_nil());
    dictionary::put("key"_atom, "theirs");
    send(me, Ready{});
  });
  receive<Ready>();
  EXPECT_EQ(dictionary::get("key"_atom), Term("mine"));
}

BEHAVIOUR_TEST(Dictionary, PR_116_keys_and_the_keys_of_a_value) {
  EXPECT_TRUE(dictionary::keys().empty());
  dictionary::put("a"_atom, 1);
  dictionary::put("b"_atom, 2);
  dictionary::put(tuple("c"_atom, 3), 1);
  EXPECT_EQ(sorted(dictionary::keys()), sorted({"a"_atom, "b"_atom, tuple("c"_atom, 3)}));
  EXPECT_EQ(sorted(dictionary::keys_of(1)), sorted({"a"_atom, tuple("c"_atom, 3)}));
  EXPECT_TRUE(dictionary::keys_of(9).empty());
}

BEHAVIOUR_TEST(Dictionary, PR_116_it_dies_with_its_process) {
  // Terms of a dictionary are given back (the leak checkers see to it), and the next tenant of the slot starts afresh.
  for (int i = 0; i < 5; ++i) {
    const auto [pid, watch] = spawn_monitor([] {
      EXPECT_TRUE(dictionary::keys().empty());
      dictionary::put("key"_atom, Term::list_of({1, 2, 3}));
    });
    EXPECT_EQ(receive<Down>().pid, pid);
    EXPECT_TRUE(static_cast<bool>(watch));
  }
}

// -- labels --------------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Labels, PR_117_a_label_is_set_by_its_process_and_read_by_anyone) {
  EXPECT_TRUE(get_label(self()).is_nil());
  set_label(tuple("worker"_atom, 3));
  EXPECT_EQ(get_label(self()), tuple("worker"_atom, 3));
  const Pid me = self();
  const Pid other = spawn([me] {
    EXPECT_EQ(get_label(me), tuple("worker"_atom, 3));
    set_label("first");
    set_label("second");
    send(me, Ready{});
    receive<Stop>();
  });
  receive<Ready>();
  EXPECT_EQ(get_label(other), Term("second"));
  EXPECT_EQ(process_info(other)->label, Term("second"));
  finish(other);
  EXPECT_TRUE(get_label(other).is_nil());
}

BEHAVIOUR_TEST(Labels, PR_117_a_label_may_be_given_at_spawn_and_need_not_be_unique) {
  const Pid first = spawn([] { receive<Stop>(); }, {.label = "reader"});
  const Pid second = spawn([] { receive<Stop>(); }, {.label = "reader"});
  EXPECT_EQ(get_label(first), Term("reader"));
  EXPECT_EQ(get_label(second), Term("reader"));
  finish(first);
  finish(second);
}

// -- ancestry ------------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Ancestry, PR_120_plain_spawn_records_neither_ancestors_nor_callers) {
  const Pid me = self();
  (void)spawn([me] {
    EXPECT_TRUE(ancestors().empty());
    EXPECT_TRUE(callers().empty());
    (void)spawn([me] {
      EXPECT_TRUE(ancestors().empty());
      EXPECT_TRUE(callers().empty());
      EXPECT_TRUE(process_info(self())->ancestors.empty());
      send(me, Ready{});
    });
  });
  receive<Ready>();
}

// -- hibernation ---------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Hibernation, PR_122_it_lasts_until_a_message_is_there) {
  const Pid me = self();
  const Pid sleeper = spawn([me] {
    send(me, Ready{});
    hibernate();
    EXPECT_EQ(receive<Note>(0ms)->number, 4);  // the message is in the mailbox, untouched
    send(me, Ready{});
  });
  receive<Ready>();
  EXPECT_FALSE(receive<Ready>(5ms).has_value());
  EXPECT_TRUE(process_info(sleeper).has_value());  // a signal does not end it
  EXPECT_FALSE(receive<Ready>(5ms).has_value());
  send(sleeper, Note{4});
  receive<Ready>();
}

BEHAVIOUR_TEST(Hibernation, PR_122_with_a_message_present_it_continues_at_once) {
  send(self(), Note{1});
  hibernate();
  EXPECT_FALSE(receive<Ready>(0ms).has_value());
  hibernate();  // one that was skipped by a receive counts as well
  EXPECT_EQ(receive<Note>(0ms)->number, 1);
}

BEHAVIOUR_TEST(Hibernation, PR_122_a_kill_ends_it) {
  const auto [sleeper, watch] = spawn_monitor([] { hibernate(); });
  exit(sleeper, ExitReason::kill());
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, watch);
  EXPECT_EQ(down.reason, ExitReason::killed());
}

// -- process_info --------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Info, PR_123_info_of_the_dead_is_nothing) {
  const Pid target = until_stopped();
  EXPECT_EQ(process_info(target)->pid, target);
  finish(target);
  EXPECT_FALSE(process_info(target).has_value());
  EXPECT_FALSE(process_info(Pid{}).has_value());
}

BEHAVIOUR_TEST(Info, PR_124_an_unnamed_process_has_an_empty_name) {
  const Pid target = until_stopped();
  EXPECT_EQ(process_info(target)->registered_name, "");
  register_name(target, "named");
  EXPECT_EQ(process_info(target)->registered_name, "named");
  unregister_name("named");
  EXPECT_EQ(process_info(target)->registered_name, "");
  finish(target);
}

BEHAVIOUR_TEST(Info, PR_125_links_and_monitors) {
  const Pid first = until_stopped();
  const Pid second = until_stopped();
  link(first);
  (void)monitor(second);
  const Reference twice = monitor(second);
  auto info = *process_info(self());
  EXPECT_EQ(info.links, std::vector<Pid>{first});
  EXPECT_EQ(info.monitors, (std::vector<Pid>{second, second}));
  EXPECT_TRUE(info.monitored_by.empty());
  EXPECT_EQ(process_info(first)->links, std::vector<Pid>{self()});
  EXPECT_EQ(process_info(second)->monitored_by, (std::vector<Pid>{self(), self()}));
  unlink(first);
  demonitor(twice);
  info = *process_info(self());
  EXPECT_TRUE(info.links.empty());
  EXPECT_EQ(info.monitors, std::vector<Pid>{second});
  EXPECT_TRUE(process_info(first)->links.empty());
  finish(first);
}

BEHAVIOUR_TEST(Info, PR_125_flag_queue_and_messages) {
  const Pid me = self();
  const Pid target = spawn([me] {
    trap_exit(true);
    send(me, Ready{});
    receive<Stop>();
  });
  receive<Ready>();
  for (int i = 1; i <= 3; ++i) send(target, Term(i));
  auto info = *process_info(target);
  EXPECT_TRUE(info.trap_exit);
  EXPECT_EQ(info.message_queue_len, 3u);
  EXPECT_EQ(info.messages, (std::vector<Term>{1, 2, 3}));
  EXPECT_EQ(info.status, ProcessStatus::waiting);
  EXPECT_EQ(info.parent, me);
  EXPECT_GT(info.reductions, 0u);
  info = *process_info(self());
  EXPECT_FALSE(info.trap_exit);
  EXPECT_EQ(info.message_queue_len, 0u);
  EXPECT_EQ(info.status, ProcessStatus::running);
  finish(target);
}

BEHAVIOUR_TEST(Info, PR_125_at_most_100_messages_are_shown) {
  const Pid target = until_stopped();
  for (int i = 0; i < 150; ++i) send(target, Term(i));
  const auto info = *process_info(target);
  EXPECT_EQ(info.message_queue_len, 150u);
  EXPECT_EQ(info.messages.size(), 100u);
  finish(target);
}

BEHAVIOUR_TEST(Info, PR_125_dictionary_label_and_initial_call) {
  struct Reader {
    void operator()() const {
      dictionary::put("key"_atom, 5);
      set_label("the reader");
      receive<Stop>();
    }
  };
  const Pid target = spawn(Reader{});
  const auto shown = [target] {
    for (;;) {
      auto info = *process_info(target);
      if (!info.label.is_nil()) return info;
    }
  };
  const ProcessInfo info = shown();
  EXPECT_EQ(info.label, Term("the reader"));
  ASSERT_EQ(info.dictionary.size(), 1u);
  EXPECT_EQ(info.dictionary[0].first, Term("key"_atom));
  EXPECT_EQ(info.dictionary[0].second, Term(5));
  EXPECT_NE(info.initial_call.find("Reader"), std::string::npos) << info.initial_call;
  finish(target);
}

BEHAVIOUR_TEST(Info, PR_126_the_question_comes_after_the_askers_earlier_signals) {
  const Pid target = spawn([] { sleep_for(infinity); });
  for (std::size_t i = 1; i <= 20; ++i) {
    send(target, Note{static_cast<int>(i)});
    EXPECT_EQ(process_info(target)->message_queue_len, i);
  }
  link(target);
  EXPECT_EQ(process_info(target)->links, std::vector<Pid>{self()});
  unlink(target);
  EXPECT_TRUE(process_info(target)->links.empty());
  const Reference watch = monitor(target);
  EXPECT_EQ(process_info(target)->monitored_by, std::vector<Pid>{self()});
  exit(target, ExitReason::shutdown());
  EXPECT_FALSE(process_info(target).has_value());
  EXPECT_EQ(receive<Down>().reference, watch);
}

BEHAVIOUR_TEST(Info, PR_126_two_that_ask_each_other_both_get_an_answer) {
  const Pid me = self();
  const auto ask = [me] {
    const Pid other = receive<Pid>();
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(process_info(other).has_value());
    send(me, Ready{});
    receive<Stop>();
  };
  const Pid first = spawn(ask);
  const Pid second = spawn(ask);
  send(first, second);
  send(second, first);
  receive<Ready>();
  receive<Ready>();
  finish(first);
  finish(second);
}

// -- group leader --------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(GroupLeader, PR_127_it_can_be_read_and_set) {
  const Pid leader = until_stopped();
  const Pid before = group_leader();
  const Pid target = until_stopped();
  EXPECT_EQ(process_info(target)->group_leader, before);
  group_leader(target, leader);
  EXPECT_EQ(process_info(target)->group_leader, leader);
  EXPECT_EQ(group_leader(), before);
  group_leader(self(), leader);
  EXPECT_EQ(group_leader(), leader);
  const Pid me = self();
  (void)spawn([me] { send(me, group_leader()); });
  EXPECT_EQ(receive<Pid>(), leader);
  finish(target);
  finish(leader);
}

BEHAVIOUR_TEST(GroupLeader, PR_127_it_may_be_of_another_node_and_the_dead_have_none) {
  Pid elsewhere = self();
  ++elsewhere.creation;
  const Pid target = until_stopped();
  group_leader(target, elsewhere);
  EXPECT_EQ(process_info(target)->group_leader, elsewhere);
  finish(target);
  EXPECT_TRUE(is_badarg([&] { group_leader(target, self()); }));
}

// -- references ----------------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(References, PR_128_they_are_unique_whoever_makes_them) {
  const Pid target = until_stopped();
  const Pid me = self();
  std::set<Reference> all;
  std::size_t made = 0;
  const auto keep = [&](const Reference& reference) {
    EXPECT_TRUE(static_cast<bool>(reference));
    all.insert(reference);
    ++made;
  };
  for (int i = 0; i < 3; ++i) {
    (void)spawn([me, target] {
      for (int j = 0; j < 5; ++j) {
        send(me, alias());
        send(me, monitor(target));
        const Reference timer = send_after(target, Note{}, 1h);
        send(me, timer);
        (void)cancel_timer(timer);
      }
    });
  }
  for (int i = 0; i < 5; ++i) keep(alias());
  for (int i = 0; i < 45; ++i) keep(receive<Reference>());
  EXPECT_EQ(all.size(), made);
  EXPECT_EQ(*all.begin(), Reference(*all.begin()));
  finish(target);
}
