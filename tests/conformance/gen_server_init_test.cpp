// SPDX-License-Identifier: Apache-2.0
//
// What init may do and return: GS-015 to GS-032.
#include <atomic>
#include <memory>
#include <stdexcept>

#include <gmock/gmock.h>

#include "conformance/gen_server_start_support.hpp"

using namespace conformance;

namespace {

struct Seen {
  std::string what;
};

std::string next_seen() { return receive<Seen>().what; }

// Tells its owner which callbacks ran; init returns what `choice` says.
class Eager : public GenServer<Eager> {
 public:
  enum class Choice { ok, timeout, hibernate, go_on, go_on_and_fail };
  struct Continue {
    bool fail = false;
  };
  struct Cast {};
  struct Info {};
  struct Call {
    using Reply = int;
  };
  static constexpr Name<Eager> name{"init_test_eager"};

  Eager(const Pid& owner, Choice choice) : owner_(owner), choice_(choice) {}
  Init init() {
    self().send(Info{});
    self().cast(Cast{});
    switch (choice_) {
      case Choice::ok: return ok();
      case Choice::timeout: return ok().timeout(3ms);
      case Choice::hibernate: return ok().hibernate();
      case Choice::go_on: return ok().then(Continue{});
      case Choice::go_on_and_fail: return ok().then(Continue{true});
    }
    return ok();
  }
  void handle_continue(Continue message) {
    receive<Go>();
    tell("continue");
    if (message.fail) throw std::runtime_error("continue failed");
  }
  void handle_info(Info) { tell("info"); }
  Action handle_cast(Cast) {
    tell("cast");
    return choice_ == Choice::timeout ? noreply().timeout(3ms) : noreply();
  }
  void handle_info(Timeout) { tell("timeout"); }
  int handle_call(Call) {
    tell("call");
    return 1;
  }

 private:
  void tell(const char* what) { send(owner_, Seen{what}); }
  Pid owner_;
  Choice choice_;
};

// init returns ok().timeout(3ms) and nothing else happens to it.
class Sleeper : public GenServer<Sleeper> {
 public:
  explicit Sleeper(const Pid& owner) : owner_(owner) {}
  Init init() { return ok().timeout(3ms); }
  void handle_info(Timeout) { send(owner_, Seen{"timeout"}); }

 private:
  Pid owner_;
};

// Starts a Scripted by `script` under a name, and looks at everything that a failed start must leave behind.
void check_failed_start(Scripted::Script script, const StartOutcome::Kind kind, const ExitReason& error,
                        const ExitReason& exit_reason) {
  trap_exit(true);
  const Witness witness;
  auto pid = std::make_shared<Pid>();
  const auto watched = [pid, at = witness.pid(), script] {
    *pid = self();
    Witness::report_to(at);
    return script();
  };
  const auto result = Scripted::start_link_as({.name = "failing_start"}, self(), Scripted::Script(watched));
  EXPECT_EQ(result.outcome().kind, kind);
  EXPECT_EQ(result.reason(), error);
  EXPECT_FALSE(process_info(*pid).has_value());  // GS-028
  EXPECT_FALSE(whereis("failing_start"));
  EXPECT_FALSE(receive<Terminated>(0ms).has_value());
  EXPECT_FALSE(receive<ExitMessage>(0ms).has_value());  // GS-027
  EXPECT_EQ(Witness::reason(), exit_reason);
  EXPECT_TRUE(process_info(self())->links.empty());
  EXPECT_EQ(mailbox_length(), 0u);
  trap_exit(false);
}

// With which reason a process ends that links itself to a start by `script` and does not trap exits.
ExitReason end_of_linked_starter(Scripted::Script script) {
  return reason_of([script] {
    (void)Scripted::start_link(self(), script);
    checkpoint();
  });
}

using Kind = StartOutcome::Kind;

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_015_ok_starts_the_loop) {
  const auto server = Eager::start_link(self(), Eager::Choice::ok).value();
  EXPECT_EQ(Eager::name.whereis(), server);
  EXPECT_EQ(next_seen(), "info");
  EXPECT_EQ(next_seen(), "cast");
  EXPECT_EQ(server.call(Eager::Call{}), 1);
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_016_ok_with_a_timeout_arms_it) {
  const auto server = Sleeper::start_link(self()).value();
  EXPECT_EQ(next_seen(), "timeout");
  EXPECT_FALSE(receive<Seen>(10ms).has_value());  // once
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_017_ok_with_hibernate_waits_for_the_first_message) {
  const auto server = Eager::start_link(self(), Eager::Choice::hibernate).value();
  EXPECT_EQ(next_seen(), "info");
  EXPECT_EQ(next_seen(), "cast");
  EXPECT_EQ(server.call(Eager::Call{}), 1);
  EXPECT_EQ(next_seen(), "call");
  EXPECT_FALSE(receive<Seen>(10ms).has_value());
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_018_continue_runs_after_the_start_has_returned_and_before_any_message) {
  const auto server = Eager::start_link(self(), Eager::Choice::go_on).value();
  const Pid client = spawn([server] { server.call(Eager::Call{}); });
  EXPECT_FALSE(receive<Seen>(2ms).has_value());
  send(server.pid(), Go{});  // handle_continue waits for it: start has returned
  EXPECT_EQ(next_seen(), "continue");
  EXPECT_EQ(next_seen(), "info");
  EXPECT_EQ(next_seen(), "cast");
  EXPECT_EQ(next_seen(), "call");
  await_end(client);
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_019_a_crash_in_the_continue_step_is_learnt_by_link_or_monitor) {
  trap_exit(true);
  const auto started = Eager::start_link(self(), Eager::Choice::go_on_and_fail);
  ASSERT_TRUE(started.is_ok());
  const Reference reference = monitor(started.value());
  send(started.value().pid(), Go{});
  const auto exit = receive<ExitMessage>();
  EXPECT_EQ(exit.pid, started.value().pid());
  EXPECT_TRUE(is_exception(exit.reason, "continue failed")) << exit.reason;
  EXPECT_EQ(await_reason(reference), exit.reason);
  EXPECT_EQ(next_seen(), "continue");
  EXPECT_FALSE(receive<Seen>(0ms).has_value());  // the messages that init queued were not handled
}

BEHAVIOUR_TEST(GenServer, GS_020_ignore_ends_the_process_normally_without_terminate) {
  const auto ignore = [] { return Scripted::ignore(); };
  check_failed_start(ignore, Kind::ignore, ExitReason::normal(), ExitReason::normal());
  EXPECT_TRUE(end_of_linked_starter(ignore).is_normal());
}

BEHAVIOUR_TEST(GenServer, GS_021_stop_fails_the_start_and_exits_with_the_reason) {
  const auto stop = []() -> Scripted::Init { return Scripted::stop(boom); };
  check_failed_start(stop, Kind::error, boom, boom);
  EXPECT_EQ(end_of_linked_starter(stop), boom);
}

BEHAVIOUR_TEST(GenServer, GS_021_stop_with_normal_leaves_a_linked_starter_alive) {
  const auto stop = []() -> Scripted::Init { return Scripted::stop(ExitReason::normal()); };
  check_failed_start(stop, Kind::error, ExitReason::normal(), ExitReason::normal());
  EXPECT_TRUE(end_of_linked_starter(stop).is_normal());
}

BEHAVIOUR_TEST(GenServer, GS_022_error_fails_the_start_but_exits_normally) {
  const auto fail = []() -> Scripted::Init { return error(boom); };
  check_failed_start(fail, Kind::error, boom, ExitReason::normal());
  EXPECT_TRUE(end_of_linked_starter(fail).is_normal());
}

BEHAVIOUR_TEST(GenServer, GS_023_an_exception_in_init_is_the_error_and_the_exit_reason) {
  const ExitReason expected = ExitReason::exception("std::runtime_error", "init failed");
  const auto fail = []() -> Scripted::Init { throw std::runtime_error("init failed"); };
  check_failed_start(fail, Kind::error, expected, expected);
  const ExitReason starter = end_of_linked_starter(fail);
  EXPECT_TRUE(is_exception(starter, "init failed")) << starter;
}

namespace {
struct ThrowsInConstructor : GenServer<ThrowsInConstructor> {
  explicit ThrowsInConstructor(std::shared_ptr<int> guarded) : guarded_(std::move(guarded)) {
    throw std::invalid_argument("no such thing");
  }
  void terminate(const ExitReason&) { ADD_FAILURE() << "terminate after a failed init"; }
  std::shared_ptr<int> guarded_;
};
}  // namespace

BEHAVIOUR_TEST(GenServer, GS_023_an_exception_in_the_constructor_is_the_error_and_frees_what_was_made) {
  const auto guarded = std::make_shared<int>(1);
  const auto result = ThrowsInConstructor::start_as({.name = "gs_023"}, guarded);
  EXPECT_TRUE(is_exception(result.reason(), "no such thing")) << result.reason();
  EXPECT_EQ(result.reason().exception_type(), "std::invalid_argument");
  EXPECT_EQ(guarded.use_count(), 1);
  EXPECT_FALSE(whereis("gs_023"));
}

BEHAVIOUR_TEST(GenServer, GS_024_an_exit_in_init_is_the_error_and_the_exit_reason) {
  const auto thrown = []() -> Scripted::Init { throw Exit(boom); };
  check_failed_start(thrown, Kind::error, boom, boom);
  EXPECT_EQ(end_of_linked_starter(thrown), boom);
  const auto called = []() -> Scripted::Init { exit(boom); };
  check_failed_start(called, Kind::error, boom, boom);
  EXPECT_EQ(end_of_linked_starter(called), boom);
  const auto swallowed = []() -> Scripted::Init {
    try {
      exit(boom);
    } catch (...) {  // looks on, stops nothing
    }
    return Scripted::ok();
  };
  check_failed_start(swallowed, Kind::error, boom, boom);
}

// The compiler refuses every other value but one with a malformed timeout.
BEHAVIOUR_TEST(GenServer, GS_026_a_bad_value_of_init_is_a_bad_return_value) {
  const ExitReason expected(tuple(Atom("bad_return_value"), tuple(Atom("timeout"), -5)));
  check_failed_start([] { return Scripted::ok().timeout(-5ms); }, Kind::error, expected, expected);
}

// check_failed_start looks for the exit message in every case of GS-020 to GS-026; here without a second process.
BEHAVIOUR_TEST(GenServer, GS_027_a_failed_start_link_leaves_no_exit_message_with_a_trapping_caller) {
  trap_exit(true);
  EXPECT_TRUE(Scripted::start_link(self(), Scripted::Script([] { return Scripted::ignore(); })).is_ignore());
  EXPECT_EQ(mailbox_length(), 0u);
  const auto stop = []() -> Scripted::Init { return Scripted::stop(boom); };
  EXPECT_EQ(Scripted::start_link(self(), Scripted::Script(stop)).reason(), boom);
  EXPECT_EQ(mailbox_length(), 0u);
}

BEHAVIOUR_TEST(GenServer, GS_028_a_failed_start_returns_when_the_process_is_gone) {
  struct Resource {
    explicit Resource(std::shared_ptr<std::atomic<int>> count) : holders(std::move(count)) {
      EXPECT_EQ(holders->fetch_add(1), 0) << "the last try still holds it";
    }
    ~Resource() { holders->fetch_sub(1); }
    std::shared_ptr<std::atomic<int>> holders;
  };
  auto holders = std::make_shared<std::atomic<int>>(0);
  for (int i = 0; i < 20; ++i) {
    auto resource = std::make_shared<std::unique_ptr<Resource>>();
    const auto script = [holders, resource]() -> Scripted::Init {
      *resource = std::make_unique<Resource>(holders);
      return Scripted::stop(boom);
    };
    resource.reset();
    EXPECT_EQ(Scripted::start_as({.name = "gs_028"}, self(), Scripted::Script(script)).reason(), boom);
    EXPECT_FALSE(whereis("gs_028"));
  }
}

BEHAVIOUR_TEST(GenServer, GS_029_a_process_that_is_killed_in_init_gives_that_reason) {
  const Pid me = self();
  for (const ExitReason& sent : {ExitReason::kill(), ExitReason::shutdown(), ExitReason(boom)}) {
    const Pid killer = spawn([sent] { exit(receive<Born>().pid, sent); });
    const auto script = [killer]() -> Scripted::Init {
      send(killer, Born{self()});
      sleep_for(infinity);
      return Scripted::ok();
    };
    const auto result = Scripted::start(me, Scripted::Script(script));
    EXPECT_TRUE(result.is_error());
    EXPECT_EQ(result.reason(), sent == ExitReason::kill() ? ExitReason::killed() : sent);
  }
  EXPECT_EQ(mailbox_length(), 0u);
}

namespace {

class SlowTrapping : public GenServer<SlowTrapping> {
 public:
  static constexpr bool trap_exit = true;
  struct Cast {};
  explicit SlowTrapping(const Pid& owner) : owner_(owner) {
    send(owner_, Born{coppice::self()});
    receive<Go>();
    send(owner_, Seen{"init"});
  }
  void handle_cast(Cast) { send(owner_, Seen{"cast"}); }
  void handle_info(ExitMessage) { send(owner_, Seen{"exit message"}); }
  void terminate(const ExitReason& reason) { send(owner_, Terminated{reason}); }

 private:
  Pid owner_;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_030_a_parent_that_dies_during_init_is_noticed_after_it) {
  const auto [parent, parent_down] = spawn_monitor([me = self()] { (void)SlowTrapping::start_link(me); });
  const Pid server = receive<Born>().pid;
  const Reference server_down = monitor(server);
  exit(parent, boom);
  EXPECT_EQ(await_reason(parent_down), boom);
  ServerRef<SlowTrapping>(server).cast(SlowTrapping::Cast{});  // behind the parent's exit
  send(server, Go{});
  EXPECT_EQ(next_seen(), "init");
  EXPECT_EQ(receive<Terminated>().reason, boom);
  EXPECT_EQ(await_reason(server_down), boom);
  EXPECT_FALSE(receive<Seen>(0ms).has_value());
}

namespace {

class Settled : public GenServer<Settled> {
 public:
  struct Look {
    using Reply = std::vector<std::string>;
  };
  struct Tick {};
  Settled(const Pid& partner, const Pid& owner) : owner_(owner), me_(coppice::self()) {
    coppice::trap_exit(true);
    dictionary::put(Atom("key"), 7);
    reference_ = monitor(partner);
    send_after(self(), Tick{}, 1ms);
    link(partner);
  }
  std::vector<std::string> handle_call(Look) {
    if (me_ == coppice::self()) seen_.push_back("self");
    if (dictionary::get(Atom("key")) == Term(7)) seen_.push_back("dictionary");
    return seen_;
  }
  void handle_info(Tick) { note("tick"); }
  void handle_info(const Down& down) { note(down.reference == reference_ ? "down" : "another down"); }
  void handle_info(const ExitMessage&) { note("exit"); }

 private:
  void note(const char* what) {
    seen_.push_back(what);
    send(owner_, Seen{what});
  }
  Pid owner_;
  Pid me_;
  Reference reference_;
  std::vector<std::string> seen_;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_032_what_init_sets_up_belongs_to_the_server) {
  const Pid partner = spawn_idle();
  const auto server = Settled::start(partner, self()).value();
  EXPECT_NE(server.pid(), self());
  exit(partner, boom);
  for (int i = 0; i < 3; ++i) next_seen();
  const std::vector<std::string> seen = server.call(Settled::Look{});
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre("tick", "down", "exit", "self", "dictionary"));
  EXPECT_EQ(dictionary::get(Atom("key")), Term());
  server.stop();
}
