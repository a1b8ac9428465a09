// SPDX-License-Identifier: Apache-2.0
//
// Starting a server: GS-001 to GS-014, and what a generic process records of its descent: PR-118, PR-119, PR-121.
#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>

#include "conformance/gen_server_start_support.hpp"

using namespace conformance;

namespace {

struct Note {
  int number = 0;
  friend bool operator==(const Note&, const Note&) = default;
};

// Registers under the name that it declares.
class Counter : public GenServer<Counter> {
 public:
  struct Increment {};
  struct GetValue {
    using Reply = int;
  };
  static constexpr Name<Counter> name{"start_test_counter"};
  explicit Counter(int initial = 0) : value_(initial) {}
  void handle_cast(Increment) { ++value_; }
  int handle_call(GetValue) const { return value_; }

 private:
  int value_;
};

// Traps exits and tells its owner what it gets.
class Trapping : public GenServer<Trapping> {
 public:
  static constexpr bool trap_exit = true;
  explicit Trapping(const Pid& owner) : owner_(owner) {}
  void handle_info(ExitMessage message) { send(owner_, std::move(message)); }
  void terminate(const ExitReason& reason) { send(owner_, Terminated{reason}); }

 private:
  Pid owner_;
};

bool is_linked(const Pid& pid, const Pid& other) {
  const auto info = process_info(pid);
  return info && std::count(info->links.begin(), info->links.end(), other) == 1;
}

// Starts a Scripted whose init waits for Go, in a process of its own; the flag says whether init was done on return.
struct Returned {
  Pid starter;
  bool init_was_done;
};
template <class Start>
void check_that_start_waits(Start start) {
  const Pid me = self();
  spawn([me, start] {
    auto done = std::make_shared<std::atomic<bool>>(false);
    const auto script = [me, done] {
      send(me, Born{self()});
      receive<Go>();
      done->store(true);
      return Scripted::ok();
    };
    EXPECT_TRUE(start(me, script).is_ok());
    send(me, Returned{self(), done->load()});
    sleep_for(infinity);
  });
  const Pid server = receive<Born>().pid;
  EXPECT_FALSE(receive<Returned>(2ms).has_value());
  send(server, Go{});
  const auto returned = receive<Returned>();
  EXPECT_TRUE(returned.init_was_done);
  finish(returned.starter);
  if (alive(server)) finish(server);
}

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_001_start_link_returns_when_init_has_run_in_the_new_process) {
  check_that_start_waits([](const Pid& owner, Scripted::Script script) { return Scripted::start_link(owner, script); });
  check_that_start_waits([](const Pid& owner, Scripted::Script script) { return Scripted::start(owner, script); });
}

BEHAVIOUR_TEST(GenServer, GS_001_start_link_links_and_start_does_not) {
  const auto linked = Counter::start_link_as({}, 1).value();
  EXPECT_NE(linked.pid(), self());
  EXPECT_TRUE(is_linked(linked, self()));
  const auto loose = Counter::start_as({}, 2).value();
  EXPECT_FALSE(is_linked(loose, self()));
  EXPECT_EQ(linked.call(Counter::GetValue{}), 1);
  EXPECT_EQ(loose.call(Counter::GetValue{}), 2);
  linked.stop();
  loose.stop();
}

BEHAVIOUR_TEST(GenServer, GS_002_a_start_gives_ok_ignore_or_an_error) {
  const auto ok = Scripted::start(self(), Scripted::Script([] { return Scripted::ok(); }));
  EXPECT_TRUE(ok && ok.is_ok() && !ok.is_ignore() && !ok.is_error());
  EXPECT_EQ(ok.value().call(Scripted::Who{}), ok.value().pid());
  EXPECT_TRUE(ok.reason().is_normal());
  ok.value().stop();

  const auto ignored = Scripted::start(self(), Scripted::Script([] { return Scripted::ignore(); }));
  EXPECT_TRUE(!ignored && !ignored.is_ok() && ignored.is_ignore() && !ignored.is_error());
  EXPECT_EQ(exit_of([&] { (void)ignored.value(); }).reason(), Term(tuple(Atom("badmatch"), Atom("ignore"))));

  const Scripted::Script stopping = []() -> Scripted::Init { return Scripted::stop(boom); };
  const auto failed = Scripted::start(self(), stopping);
  EXPECT_TRUE(!failed && !failed.is_ok() && !failed.is_ignore() && failed.is_error());
  EXPECT_EQ(failed.reason(), boom);
  EXPECT_EQ(exit_of([&] { (void)failed.value(); }).reason(), Term(tuple(Atom("badmatch"), tuple(Atom("error"), boom))));
}

BEHAVIOUR_TEST(GenServer, GS_003_the_caller_is_the_parent_of_a_linked_server) {
  const auto server = Trapping::start_link(self()).value();
  EXPECT_EQ(sys::get_status(server.pid()).parent, self());
  unlink(server);      // it stays the parent
  exit(server, boom);  // an exit message from the parent ends it without going to handle_info
  EXPECT_EQ(receive<Terminated>().reason, boom);
  await_end(server);
  EXPECT_FALSE(receive<ExitMessage>(0ms).has_value());
}

BEHAVIOUR_TEST(GenServer, GS_003_a_server_that_is_started_without_link_is_its_own_parent) {
  const auto server = Trapping::start(self()).value();
  EXPECT_EQ(sys::get_status(server.pid()).parent, server.pid());
  exit(server, boom);
  const auto message = receive<ExitMessage>();
  EXPECT_EQ(message.pid, self());
  EXPECT_EQ(message.reason, boom);
  EXPECT_TRUE(alive(server));
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_004_start_monitor_returns_pid_and_monitor) {
  const auto started = Counter::start_monitor_as({});
  const Pid pid = started.value().pid();
  EXPECT_FALSE(is_linked(pid, self()));
  finish(pid);
  const Down down = await_down(started.monitor());
  EXPECT_EQ(down.pid, pid);
  EXPECT_EQ(down.reason, ExitReason::killed());
}

BEHAVIOUR_TEST(GenServer, GS_004_a_start_with_monitor_that_fails_leaves_no_down) {
  const auto start = [](Scripted::Script script) { return Scripted::start_monitor(self(), std::move(script)); };
  EXPECT_EQ(start([]() -> Scripted::Init { return Scripted::stop(boom); }).reason(), boom);
  EXPECT_EQ(start([]() -> Scripted::Init { throw Exit(boom); }).reason(), boom);
  EXPECT_TRUE(start([] { return Scripted::ignore(); }).is_ignore());
  EXPECT_EQ(Scripted::start_monitor_as({.timeout = 1ms}, self(), Scripted::Script([]() -> Scripted::Init {
                                         sleep_for(infinity);
                                         return Scripted::ok();
                                       }))
                .reason(),
            ExitReason::timeout());
  EXPECT_TRUE(process_info(self())->monitors.empty());
  EXPECT_EQ(mailbox_length(), 0u);
}

BEHAVIOUR_TEST(GenServer, GS_005_what_init_sent_to_its_starter_is_there_when_start_returns) {
  const auto script = [me = self()] {
    for (int i = 0; i < 3; ++i) send(me, Note{i});
    return Scripted::ok();
  };
  const auto server = Scripted::start(self(), Scripted::Script(script)).value();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive<Note>(0ms), Note{i});
  server.stop();
  receive<Terminated>();
  const auto failing = [me = self()]() -> Scripted::Init {
    send(me, Note{7});
    throw Exit(boom);
  };
  EXPECT_TRUE(Scripted::start(self(), Scripted::Script(failing)).is_error());
  EXPECT_EQ(receive<Note>(0ms), Note{7});
}

BEHAVIOUR_TEST(GenServer, GS_006_a_name_is_nothing_a_local_name_or_a_via_name) {
  Directory directory;
  const auto unnamed = Counter::start_as({}, 1).value();
  const auto local = Counter::start_as({.name = "gs_006"}, 2).value();
  const auto via = Counter::start_as({.name = ServerName(directory, tuple(Atom("room"), 6))}, 3).value();
  EXPECT_EQ(process_info(unnamed)->registered_name, "");
  EXPECT_EQ(process_info(local)->registered_name, "gs_006");
  EXPECT_EQ(process_info(via)->registered_name, "");
  EXPECT_EQ(whereis("gs_006"), local.pid());
  EXPECT_EQ(directory.whereis_name(tuple(Atom("room"), 6)), via.pid());
  for (const auto& server : {unnamed, local, via}) server.stop();
  while (directory.whereis_name(tuple(Atom("room"), 6))) yield();
}

BEHAVIOUR_TEST(GenServer, GS_006_a_bad_name_is_refused_in_the_caller_before_anything_is_spawned) {
  auto ran = std::make_shared<std::atomic<bool>>(false);
  const Scripted::Script script = [ran] {
    ran->store(true);
    return Scripted::ok();
  };
  const std::size_t before = processes().size();
  const std::vector<std::string> names = {"undefined", "nil", "true", "false", std::string(256, 'x')};
  for (const std::string& name : names) {
    const Exit refused = exit_of([&] { (void)Scripted::start_link_as({.name = name}, self(), script); });
    EXPECT_TRUE(is_badarg(refused.reason())) << refused.reason();
  }
  EXPECT_FALSE(ran->load());
  EXPECT_EQ(processes().size(), before);
}

BEHAVIOUR_TEST(GenServer, GS_007_the_name_is_registered_before_init_runs) {
  const auto script = [] {
    EXPECT_EQ(whereis("gs_007"), self());
    receive<Go>();  // init is reached by its name
    return Scripted::ok();
  };
  const Pid me = self();
  spawn([] {
    while (!whereis("gs_007")) yield();
    send("gs_007", Go{});
  });
  const auto server = Scripted::start_link_as({.name = "gs_007"}, me, Scripted::Script(script)).value();
  EXPECT_EQ(whereis("gs_007"), server.pid());
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_008_a_taken_name_gives_already_started_without_a_signal) {
  const auto first = Counter::start_link(5).value();
  const ExitReason already(tuple(Atom("already_started"), Term(first.pid())));
  const auto script = []() -> Scripted::Init {
    ADD_FAILURE() << "init was run";
    return Scripted::ok();
  };
  EXPECT_EQ(Counter::start_link(6).reason(), already);
  EXPECT_EQ(Scripted::start_as({.name = Counter::name}, self(), Scripted::Script(script)).reason(), already);
  trap_exit(true);
  EXPECT_EQ(Scripted::start_link_as({.name = Counter::name}, self(), Scripted::Script(script)).reason(), already);
  EXPECT_EQ(mailbox_length(), 0u);
  EXPECT_EQ(Counter::name.call(Counter::GetValue{}), 5);
  unlink(first);
  first.stop();
}

// Both starters may have found the name free: the new processes settle it.
BEHAVIOUR_TEST(GenServer, GS_008_of_two_that_start_under_one_name_exactly_one_wins) {
  struct Outcome {
    StartOutcome outcome;
  };
  const Pid me = self();
  std::vector<Pid> starters;
  for (int i = 0; i < 3; ++i) {
    starters.push_back(spawn([me] {
      receive<Go>();
      send(me, Outcome{Counter::start_link().outcome()});
      sleep_for(infinity);  // also the losers live on: no exit signal reached them
    }));
  }
  for (const Pid& starter : starters) send(starter, Go{});
  std::vector<StartOutcome> outcomes;
  for (int i = 0; i < 3; ++i) outcomes.push_back(receive<Outcome>().outcome);
  const Pid winner = whereis(Counter::name.text());
  int started = 0;
  for (const StartOutcome& outcome : outcomes) {
    if (outcome.kind == StartOutcome::Kind::ok) {
      ++started;
      EXPECT_EQ(outcome.pid, winner);
    } else {
      EXPECT_EQ(outcome.reason, Term(tuple(Atom("already_started"), Term(winner))));
    }
  }
  EXPECT_EQ(started, 1);
  for (const Pid& starter : starters) {
    EXPECT_TRUE(alive(starter));
    EXPECT_EQ(process_info(starter)->message_queue_len, 0u);
  }
  const Reference gone = monitor(winner);
  for (const Pid& starter : starters) finish(starter);
  await_down(gone);
}

BEHAVIOUR_TEST(GenServer, GS_009_a_start_that_takes_too_long_is_killed) {
  trap_exit(true);
  const auto script = [me = self()]() -> Scripted::Init {
    send(me, Born{self()});
    sleep_for(infinity);
    return Scripted::ok();
  };
  const StartOptions options{.name = "gs_009", .timeout = 5ms};
  for (int i = 0; i < 2; ++i) {
    const auto result = i == 0 ? Scripted::start_link_as(options, self(), Scripted::Script(script))
                               : Scripted::start_as(options, self(), Scripted::Script(script));
    EXPECT_TRUE(result.is_error());
    EXPECT_EQ(result.reason(), ExitReason::timeout());
    EXPECT_FALSE(whereis("gs_009"));
    const auto born = receive<Born>(0ms);  // it may not even have got that far
    EXPECT_FALSE(born && process_info(born->pid).has_value());
    EXPECT_EQ(mailbox_length(), 0u);  // no exit message, no Terminated
    EXPECT_TRUE(process_info(self())->links.empty());
  }
}

BEHAVIOUR_TEST(GenServer, GS_009_a_negative_start_timeout_is_refused_in_the_caller) {
  EXPECT_TRUE(is_badarg(exit_of([] { (void)Counter::start_as({.timeout = -1ms}); }).reason()));
}

BEHAVIOUR_TEST(GenServer, GS_010_debug_options_are_on_from_the_start) {
  const auto plain = Counter::start_as({}).value();
  EXPECT_FALSE(sys::get_statistics(plain).has_value());
  EXPECT_TRUE(sys::get_log(plain).empty());
  const auto watched = Counter::start_as({.statistics = true, .log = 2}).value();
  watched.cast(Counter::Increment{});
  EXPECT_EQ(watched.call(Counter::GetValue{}), 1);
  const auto statistics = sys::get_statistics(watched);
  ASSERT_TRUE(statistics.has_value());
  EXPECT_EQ(statistics->messages_in, 2u);
  EXPECT_EQ(statistics->messages_out, 1u);
  EXPECT_EQ(sys::get_log(watched).size(), 2u);
  plain.stop();
  watched.stop();
}

BEHAVIOUR_TEST(GenServer, GS_010_trace_prints_each_event_from_the_start) {
  ::testing::internal::CaptureStdout();
  const auto traced = Counter::start_as({.trace = true}).value();
  EXPECT_EQ(traced.call(Counter::GetValue{}), 0);
  traced.stop();
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("*DBG* "), std::string::npos) << text;
  EXPECT_NE(text.find("get_value"), std::string::npos) << text;
}

BEHAVIOUR_TEST(GenServer, GS_011_spawn_options_are_passed_on) {
  const auto server =
      Counter::start_as({.spawn = {.label = "gs 011", .mailbox_capacity = 1, .overflow = Overflow::reject}}).value();
  EXPECT_EQ(get_label(server), Term("gs 011"));
  sys::suspend(server.pid());
  server.cast(Counter::Increment{});
  EXPECT_EQ(server.try_call(Counter::GetValue{}).reason(), Atom("full"));
  sys::resume(server.pid());
  server.stop();
}

// The bond is the name of the start function, so a monitor cannot be asked for here; a name can, and is refused.
BEHAVIOUR_TEST(GenServer, GS_011_a_name_among_the_spawn_options_is_refused) {
  EXPECT_TRUE(is_badarg(exit_of([] { (void)Counter::start_as({.spawn = {.name = "gs_011"}}); }).reason()));
  EXPECT_FALSE(whereis("gs_011"));
}

BEHAVIOUR_TEST(GenServer, GS_014_an_empty_name_means_unnamed) {
  const auto first = Counter::start_as({.name = ""}).value();
  const auto second = Counter::start_as({.name = ServerName()}).value();
  EXPECT_NE(first, second);
  EXPECT_EQ(process_info(first)->registered_name, "");
  EXPECT_EQ(process_info(second)->registered_name, "");
  first.stop();
  second.stop();
}

namespace {

struct Descent {
  std::vector<Term> ancestors;
  Pid pid;
};

// Tells the owner its ancestors, and starts children of its own.
class Elder : public GenServer<Elder> {
 public:
  struct StartChild {
    using Reply = Pid;
  };
  explicit Elder(const Pid& owner) : owner_(owner) { send(owner_, Descent{ancestors(), coppice::self()}); }
  Pid handle_call(StartChild) { return Elder::start_link(owner_).value().pid(); }

 private:
  Pid owner_;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, PR_118_ancestors_are_the_parent_and_its_ancestors) {
  const auto elder = Elder::start_link(self()).value();
  EXPECT_EQ(receive<Descent>().ancestors, (std::vector<Term>{Term(self())}));
  elder.call(Elder::StartChild{});
  const Descent child = receive<Descent>();
  EXPECT_EQ(child.ancestors, (std::vector<Term>{Term(elder.pid()), Term(self())}));
  ServerRef<Elder>(child.pid).call(Elder::StartChild{});
  const Descent grandchild = receive<Descent>();
  EXPECT_EQ(grandchild.ancestors, (std::vector<Term>{Term(child.pid), Term(elder.pid()), Term(self())}));
  EXPECT_EQ(process_info(grandchild.pid)->ancestors, grandchild.ancestors);
  const Reference gone = monitor(grandchild.pid);
  unlink(elder);
  exit(elder, ExitReason::shutdown());
  await_down(gone);
}

BEHAVIOUR_TEST(GenServer, PR_118_a_parent_is_recorded_by_the_name_that_it_has_then) {
  register_name(self(), "pr_118_parent");
  const auto first = Elder::start_link(self()).value();
  EXPECT_EQ(receive<Descent>().ancestors, (std::vector<Term>{Term(Atom("pr_118_parent"))}));
  unregister_name("pr_118_parent");
  const auto second = Elder::start_link(self()).value();
  EXPECT_EQ(receive<Descent>().ancestors, (std::vector<Term>{Term(self())}));
  register_name(self(), "pr_118_again");
  const auto third = Elder::start_link(self()).value();
  EXPECT_EQ(receive<Descent>().ancestors, (std::vector<Term>{Term(Atom("pr_118_again"))}));
  for (const auto& server : {first, second, third}) server.stop();
}

BEHAVIOUR_TEST(GenServer, PR_118_a_bare_process_has_no_ancestors) {
  const Pid me = self();
  spawn([me] { send(me, Descent{ancestors(), self()}); });
  EXPECT_TRUE(receive<Descent>().ancestors.empty());
}

BEHAVIOUR_TEST(GenServer, PR_119_a_server_shows_as_the_init_of_its_class) {
  const auto server = Counter::start().value();
  EXPECT_EQ(process_info(server)->initial_call, "Counter.init/1");
  server.stop();
}

BEHAVIOUR_TEST(GenServer, PR_121_the_parent_is_the_first_ancestor) {
  const auto server = Trapping::start_link(self()).value();
  const auto info = process_info(server);
  EXPECT_EQ(info->parent, self());
  EXPECT_EQ(info->ancestors.front(), Term(self()));
  const Pid other = spawn([server, me = self()] {
    exit(server, boom);  // not the parent: only a message
    sleep_for(infinity);
  });
  EXPECT_EQ(receive<ExitMessage>().pid, other);
  finish(other);
  unlink(server);
  exit(server, boom);
  EXPECT_EQ(receive<Terminated>().reason, boom);
  await_end(server);
}
