// SPDX-License-Identifier: Apache-2.0
//
// Names: rules PR-107 to PR-114.
#include <algorithm>

#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {

struct Note {
  int number = 0;
};
struct Done {};

bool is_registered(const std::string& name) {
  const auto names = registered();
  return std::count(names.begin(), names.end(), name) == 1;
}

}  // namespace

BEHAVIOUR_TEST(Names, PR_107_register_binds_a_name_to_a_live_process) {
  const Pid target = until_stopped();
  EXPECT_TRUE(register_name(target, "target"));
  EXPECT_EQ(whereis("target"), target);
  EXPECT_TRUE(register_name(self(), "myself"));
  EXPECT_EQ(whereis("myself"), self());
  send("myself", Note{1});
  EXPECT_EQ(receive<Note>().number, 1);
  finish(target);
}

BEHAVIOUR_TEST(Names, PR_108_a_dead_pid_is_refused) {
  const Pid target = until_stopped();
  finish(target);
  EXPECT_TRUE(is_badarg([target] { register_name(target, "dead"); }));
  EXPECT_TRUE(is_badarg([] { register_name(Pid{}, "nobody"); }));
  EXPECT_FALSE(whereis("dead"));
}

BEHAVIOUR_TEST(Names, PR_108_a_pid_of_another_node_is_refused) {
  Pid remote = self();
  remote.node = 1;
  EXPECT_TRUE(is_badarg([remote] { register_name(remote, "remote"); }));
  remote = self();
  remote.creation += 1000;
  EXPECT_TRUE(is_badarg([remote] { register_name(remote, "remote"); }));
  EXPECT_FALSE(whereis("remote"));
}

BEHAVIOUR_TEST(Names, PR_108_a_taken_name_is_refused) {
  const Pid target = until_stopped();
  register_name(target, "taken");
  EXPECT_TRUE(is_badarg([] { register_name(self(), "taken"); }));
  EXPECT_TRUE(is_badarg([target] { register_name(target, "taken"); }));  // also for the one who has it
  EXPECT_EQ(whereis("taken"), target);
  finish(target);
}

// Ours: a process may be given its name at spawn, before its function runs.
BEHAVIOUR_TEST(Names, PR_108_a_process_spawned_under_a_taken_or_reserved_name_ends_with_badarg) {
  const Pid holder = spawn([] { sleep_for(infinity); }, {.name = "taken_at_spawn"});
  EXPECT_EQ(whereis("taken_at_spawn"), holder);
  for (const char* name : {"taken_at_spawn", "nil"}) {
    const auto ran = std::make_shared<std::atomic<bool>>(false);
    const auto [pid, watch] = spawn_monitor([ran] { *ran = true; }, {.name = name});
    const ExitReason reason = await_reason(watch);
    EXPECT_EQ(reason, ExitReason::badarg("the name asked for at spawn is taken or reserved")) << reason;
    EXPECT_FALSE(*ran);
  }
  EXPECT_EQ(whereis("taken_at_spawn"), holder);
  exit(holder, ExitReason::kill());
  await_reason(monitor(holder));
}

BEHAVIOUR_TEST(Names, PR_108_a_second_name_is_refused) {
  const Pid target = until_stopped();
  register_name(target, "first");
  EXPECT_TRUE(is_badarg([target] { register_name(target, "second"); }));
  EXPECT_FALSE(whereis("second"));
  unregister_name("first");
  EXPECT_TRUE(register_name(target, "second"));  // one at a time, not one for ever
  EXPECT_EQ(whereis("second"), target);
  finish(target);
}

BEHAVIOUR_TEST(Names, PR_108_of_two_that_want_a_name_at_once_one_gets_it) {
  const Pid me = self();
  for (int i = 0; i < 2; ++i) {
    (void)spawn([me] {
      send(me, is_badarg([] { register_name(self(), "wanted"); }) ? Note{0} : Note{1});
      receive<Stop>();
    });
  }
  const int winners = receive<Note>().number + receive<Note>().number;
  EXPECT_EQ(winners, 1);
  EXPECT_TRUE(static_cast<bool>(whereis("wanted")));
}

BEHAVIOUR_TEST(Names, PR_109_reserved_names_are_refused) {
  for (const char* name : {"undefined", "nil", "true", "false", ""}) {
    EXPECT_TRUE(is_badarg([name] { register_name(self(), name); })) << name;
    EXPECT_FALSE(whereis(name)) << name;
  }
  EXPECT_TRUE(is_badarg([] { register_name(self(), std::string(256, 'x')); }));
  EXPECT_TRUE(register_name(self(), std::string(255, 'x')));
}

BEHAVIOUR_TEST(Names, PR_110_unregister_frees_a_name_or_is_badarg) {
  register_name(self(), "mine");
  EXPECT_TRUE(unregister_name("mine"));
  EXPECT_FALSE(whereis("mine"));
  EXPECT_TRUE(is_badarg([] { unregister_name("mine"); }));
  EXPECT_TRUE(is_badarg([] { unregister_name("was never there"); }));
  EXPECT_EQ(process_info(self())->registered_name, "");
}

BEHAVIOUR_TEST(Names, PR_110_anybody_may_unregister_a_name) {
  const Pid target = until_stopped();
  register_name(target, "theirs");
  EXPECT_TRUE(unregister_name("theirs"));
  EXPECT_TRUE(alive(target));
  EXPECT_TRUE(register_name(self(), "theirs"));
  finish(target);
  EXPECT_EQ(whereis("theirs"), self());  // the end of the former holder frees nothing
}

BEHAVIOUR_TEST(Names, PR_111_whereis_gives_the_pid_or_none) {
  EXPECT_EQ(whereis("nobody"), Pid{});
  register_name(self(), "somebody");
  EXPECT_EQ(whereis("somebody"), self());
  EXPECT_EQ(whereis("someb"), Pid{});
  EXPECT_EQ(whereis("somebody else"), Pid{});
}

BEHAVIOUR_TEST(Names, PR_112_a_name_is_free_when_the_death_is_heard) {
  for (const bool killed : {true, false}) {
    const auto [target, watch] = spawn_monitor([] { receive<Stop>(); }, {.name = "mortal"});
    EXPECT_EQ(whereis("mortal"), target);
    if (killed) {
      exit(target, ExitReason::kill());
    } else {
      send("mortal", Stop{});
    }
    EXPECT_EQ(receive<Down>().reference, watch);
    EXPECT_FALSE(whereis("mortal"));
    EXPECT_TRUE(register_name(self(), "mortal"));
    unregister_name("mortal");
  }
}

BEHAVIOUR_TEST(Names, PR_112_a_name_is_free_when_a_link_hears_of_the_death) {
  trap_exit(true);
  const Pid target = spawn_link([] {}, {.name = "linked"});
  EXPECT_EQ(receive<ExitMessage>().pid, target);
  EXPECT_FALSE(whereis("linked"));
}

BEHAVIOUR_TEST(Names, PR_113_messages_sent_before_unregistering_still_arrive) {
  const Pid me = self();
  const Pid target = spawn([me] {
    for (int i = 1; i <= 3; ++i) EXPECT_EQ(receive<Note>().number, i);
    send(me, Done{});
  });
  register_name(target, "box");
  for (int i = 1; i <= 3; ++i) send("box", Note{i});
  unregister_name("box");
  receive<Done>();
}

BEHAVIOUR_TEST(Names, PR_114_registered_lists_the_names) {
  const Pid target = until_stopped();
  register_name(target, "one");
  register_name(self(), "two");
  EXPECT_TRUE(is_registered("one"));
  EXPECT_TRUE(is_registered("two"));
  finish(target);
  EXPECT_FALSE(is_registered("one"));
  unregister_name("two");
  EXPECT_FALSE(is_registered("two"));
}

BEHAVIOUR_TEST(Names, PR_114_many_names_are_all_found) {
  std::vector<Pid> pids;
  for (int i = 0; i < 200; ++i) pids.push_back(spawn([] { receive<Stop>(); }, {.name = "many" + std::to_string(i)}));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(whereis("many" + std::to_string(i)), pids[static_cast<std::size_t>(i)]);
  EXPECT_EQ(registered().size(), 200u);
  for (const Pid& pid : pids) finish(pid);
  EXPECT_TRUE(registered().empty());
}
