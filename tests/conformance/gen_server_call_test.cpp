// SPDX-License-Identifier: Apache-2.0
//
// Calls: GS-038 to GS-056. Deadlocks, and From in all its fates, are in tests/behaviour/calls_test.cpp.
#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>

#include "conformance/gen_server_start_support.hpp"

using namespace conformance;

namespace {

struct Note {
  int number = 0;
  friend bool operator==(const Note&, const Note&) = default;
};

// Does to its callers what they ask for.
class Servant : public GenServer<Servant> {
 public:
  struct Get {
    using Reply = int;
  };
  struct Add {
    using Reply = int;
    int number = 1;
  };
  struct Push {
    int number = 0;
  };
  struct Pushed {
    using Reply = std::vector<int>;
  };
  struct Never {  // never answered while the server lives; `told` gets a Born when it is being handled
    using Reply = int;
    Pid told = {};
  };
  struct Later {  // answered after the delay, in a handler that sleeps
    using Reply = int;
    std::chrono::nanoseconds delay;
    int number;
  };
  struct NoteFirst {
    using Reply = int;
    Pid to;
  };
  struct Die {
    using Reply = int;
    enum class How { stop, stop_normally, raise, exit, throw_exit, wait } how;
    Pid told = {};
  };
  static constexpr Name<Servant> name{"call_test_servant"};

  int handle_call(Get) const { return value_; }
  int handle_call(Add message) { return value_ += message.number; }
  void handle_cast(Push message) { pushed_.push_back(message.number); }
  std::vector<int> handle_call(Pushed) { return pushed_; }
  void handle_call(Never message, From<int> from) {
    kept_.push_back(std::move(from));
    if (message.told) send(message.told, Born{coppice::self()});
  }
  int handle_call(Later message) {
    sleep_for(message.delay);
    pushed_.push_back(message.number);
    return message.number;
  }
  int handle_call(NoteFirst message) {
    for (int i = 0; i < 3; ++i) send(message.to, Note{i});
    return 1;
  }
  Answer<int> handle_call(Die message) {
    switch (message.how) {
      case Die::How::stop: return stop(boom);
      case Die::How::stop_normally: return stop(ExitReason::normal());
      case Die::How::raise: throw std::runtime_error("handler failed");
      case Die::How::exit: coppice::exit(boom);
      case Die::How::throw_exit: throw Exit(boom);
      case Die::How::wait: send(message.told, Born{coppice::self()}); sleep_for(infinity);
    }
    return 0;
  }

 private:
  int value_ = 0;
  std::vector<int> pushed_;
  std::vector<From<int>> kept_;
};

// A server that is gone.
Pid dead_server() {
  const auto server = Servant::start_as({}).value();
  server.stop();
  return server;
}

// In a process of its own that reports how its call went; it is not caught there.
template <class Function>
ExitReason end_of_caller(Function function) {
  return reason_of([function] { function(); });
}

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_038_a_call_returns_the_reply) {
  const auto server = Servant::start_link().value();
  EXPECT_EQ(server.call(Servant::Add{5}), 5);
  EXPECT_EQ(Servant::name.call(Servant::Add{2}, 1h), 7);
  EXPECT_EQ(server.call(Servant::Get{}, infinity), 7);
  EXPECT_EQ(server.try_call(Servant::Get{}).value(), 7);
  server.stop();
}

// Only in virtual time: it would take five seconds.
TEST(GenServer, GS_038_a_call_waits_5000_ms_by_default_in_simulation) {
  behaviour::in_simulation([] {
    const auto server = Servant::start_link().value();
    const auto begin = monotonic_time();
    const Exit exit = exit_of([&] { server.call(Servant::Never{}); });
    const auto took = monotonic_time() - begin;
    EXPECT_TRUE(took >= 5s && took < 5s + 1ms) << took.count();  // each step of the simulation takes some nanoseconds
    EXPECT_EQ(exit.reason(), call_failure(ExitReason::timeout(), server.pid(), Atom("never"), 5000));
    EXPECT_EQ(exit.cause(), ExitReason::timeout());
    EXPECT_TRUE(exit.call().waited >= 5s && exit.call().waited <= took) << exit.call().waited.count();
    EXPECT_EQ(exit.call().pid, server.pid());
    EXPECT_EQ(exit.call().request, "Never");
    server.stop();
  });
}

BEHAVIOUR_TEST(GenServer, GS_038_a_negative_timeout_is_refused_in_the_caller) {
  const auto server = Servant::start_link().value();
  EXPECT_TRUE(is_badarg(exit_of([&] { server.call(Servant::Add{}, -1ms); }).reason()));
  EXPECT_TRUE(is_badarg(exit_of([&] { (void)server.try_call(Servant::Add{}, -1ms); }).reason()));
  EXPECT_EQ(server.call(Servant::Get{}), 0);  // the server has not seen them
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_039_a_call_leaves_nothing_behind_in_the_caller_or_the_server) {
  const auto server = Servant::start().value();
  for (int i = 0; i < 3; ++i) server.call(Servant::Add{});
  EXPECT_FALSE(server.try_call(Servant::Never{}, 1ms));
  const auto mine = process_info(self());
  EXPECT_TRUE(mine->monitors.empty());
  EXPECT_EQ(mine->message_queue_len, 0u);
  EXPECT_TRUE(process_info(server)->monitored_by.empty());
  EXPECT_EQ(process_info(server)->message_queue_len, 0u);
  server.stop();
  EXPECT_EQ(mailbox_length(), 0u);
}

namespace {

// Hands its From to whom it is told to.
class Delegating : public GenServer<Delegating> {
 public:
  struct Ask {
    using Reply = int;
    Pid delegate;
  };
  struct Task {
    From<int> from;
  };
  void handle_call(Ask message, From<int> from) {
    const Pid delegate = message.delegate ? message.delegate : from.pid();
    send(delegate, Task{std::move(from)});
  }
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_040_from_names_the_caller_and_is_handed_on) {
  const auto server = Delegating::start().value();
  const Pid delegate = spawn([caller = self()] {
    auto task = receive<Delegating::Task>();
    EXPECT_EQ(task.from.pid(), caller);
    EXPECT_FALSE(task.from.answered());
    task.from.reply(40);
    EXPECT_TRUE(task.from.answered());
  });
  EXPECT_EQ(server.call(Delegating::Ask{delegate}), 40);
  server.stop();
}

namespace {

// Holds the From of a Delegating's call until Go, then replies and says so.
Pid spawn_delegate(int reply) {
  return spawn([reply, owner = self()] {
    auto task = receive<Delegating::Task>();
    receive<Go>();
    task.from.reply(reply);
    send(owner, Note{reply});
  });
}

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_041_a_late_reply_never_enters_the_mailbox) {
  const auto server = Delegating::start().value();
  const Pid delegate = spawn_delegate(1);
  EXPECT_EQ(server.try_call(Delegating::Ask{delegate}, 1ms).reason(), ExitReason::timeout());
  send(delegate, Go{});
  receive<Note>();  // behind the late reply
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

// The late reply comes while its caller waits in the next call.
BEHAVIOUR_TEST(GenServer, GS_041_a_late_reply_is_not_taken_for_the_next_call) {
  const auto server = Delegating::start().value();
  const Pid late = spawn_delegate(1);
  EXPECT_EQ(server.try_call(Delegating::Ask{late}, 1ms).reason(), ExitReason::timeout());
  const Pid next = spawn([late] {
    auto task = receive<Delegating::Task>();
    send(late, Go{});
    await_end(late);
    task.from.reply(2);
  });
  EXPECT_EQ(server.call(Delegating::Ask{next}, infinity), 2);
  EXPECT_EQ(receive<Note>(), Note{1});
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_042_an_infinite_call_ends_with_the_reply_or_the_death_of_the_server) {
  const auto server = Servant::start().value();
  EXPECT_EQ(server.call(Servant::Later{5ms, 9}, infinity), 9);
  const Pid killer = spawn([] { exit(receive<Born>().pid, ExitReason::kill()); });
  EXPECT_EQ(exit_of([&] { server.call(Servant::Never{killer}, infinity); }).reason(),
            call_failure(ExitReason::killed(), server.pid(), Atom("never"), Atom("infinity")));
  EXPECT_EQ(mailbox_length(), 0u);
}

// The reply comes at the very moment of the deadline: it is returned, or it is gone for good.
BEHAVIOUR_TEST(GenServer, GS_043_at_the_deadline_a_reply_is_returned_or_never_seen) {
  const auto server = Servant::start().value();
  for (int i = 0; i < 5; ++i) {
    const auto result = server.try_call(Servant::Later{1ms, i}, 1ms);
    if (result) {
      EXPECT_EQ(*result, i);
    } else {
      EXPECT_EQ(result.reason(), ExitReason::timeout());
    }
    EXPECT_EQ(server.call(Servant::Get{}, infinity), 0);
  }
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_043_a_call_that_expires_exits_the_caller) {
  const auto server = Servant::start().value();
  EXPECT_EQ(end_of_caller([server] { server.call(Servant::Never{}, 3ms); }),
            call_failure(ExitReason::timeout(), server.pid(), Atom("never"), 3));
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_044_a_request_that_timed_out_is_still_served) {
  const auto server = Servant::start().value();
  sys::suspend(server.pid());
  EXPECT_EQ(server.try_call(Servant::Add{4}, 1ms).reason(), ExitReason::timeout());
  EXPECT_EQ(server.try_call(Servant::Add{5}, 0ms).reason(), ExitReason::timeout());
  sys::resume(server.pid());
  EXPECT_EQ(server.call(Servant::Get{}), 9);
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_045_a_server_that_does_not_exist_is_noproc) {
  Directory directory;
  const ExitReason noproc = ExitReason::noproc();
  const ServerRef<Servant> dead(dead_server());
  EXPECT_EQ(exit_of([&] { dead.call(Servant::Get{}); }).reason(), call_failure(noproc, dead.pid(), Atom("get"), 5000));
  EXPECT_EQ(exit_of([&] { Servant::name.call(Servant::Get{}, 7ms); }).reason(),
            call_failure(noproc, Atom("call_test_servant"), Atom("get"), 7));
  EXPECT_EQ(exit_of([&] { Via<Servant>(directory, Atom("room")).call(Servant::Get{}, infinity); }).cause(), noproc);
  EXPECT_EQ(exit_of([&] { ServerRef<Servant>().call(Servant::Get{}); }).cause(), noproc);
  EXPECT_EQ(dead.try_call(Servant::Get{}).reason(), noproc);
  EXPECT_EQ(end_of_caller([] { Servant::name.call(Servant::Get{}); }),
            call_failure(noproc, Atom("call_test_servant"), Atom("get"), 5000));
}

// With few slots the dead server's is soon another's.
BEHAVIOUR_TEST_WITH(GenServer, GS_045_a_stale_pid_never_reaches_the_next_tenant, {.processes_max = 4}) {
  const ServerRef<Servant> stale(dead_server());
  for (int i = 0; i < 10; ++i) {
    const auto tenant = Servant::start_as({}).value();
    EXPECT_EQ(stale.try_call(Servant::Add{}).reason(), ExitReason::noproc());
    stale.cast(Servant::Push{1});
    EXPECT_EQ(tenant.call(Servant::Get{}), 0);
    EXPECT_TRUE(tenant.call(Servant::Pushed{}).empty());
    tenant.stop();
  }
}

BEHAVIOUR_TEST(GenServer, GS_046_a_server_that_dies_before_replying_exits_the_caller_with_its_reason) {
  using How = Servant::Die::How;
  const auto cause_of = [](How how) {
    const auto server = Servant::start_as({}).value();
    const Reference down = monitor(server);
    const Exit exit = exit_of([&] { server.call(Servant::Die{how}); });
    EXPECT_EQ(exit.cause(), await_reason(down));
    EXPECT_EQ(mailbox_length(), 0u);
    return exit.cause();
  };
  EXPECT_EQ(cause_of(How::stop), boom);
  EXPECT_TRUE(cause_of(How::stop_normally).is_normal());
  EXPECT_TRUE(is_exception(cause_of(How::raise), "handler failed"));
  EXPECT_EQ(cause_of(How::exit), boom);
  EXPECT_EQ(cause_of(How::throw_exit), boom);
}

BEHAVIOUR_TEST(GenServer, GS_046_a_server_that_is_killed_before_replying_is_killed_for_the_caller) {
  const auto server = Servant::start().value();
  for (int in_handler = 0; in_handler < 2; ++in_handler) {
    const auto victim = Servant::start_as({}).value();
    const Pid killer = spawn([] { exit(receive<Born>().pid, ExitReason::kill()); });
    const Exit exit = exit_of([&] {
      if (in_handler == 1) {
        victim.call(Servant::Die{Servant::Die::How::wait, killer});
      } else {
        victim.call(Servant::Never{killer});
      }
    });
    EXPECT_EQ(exit.cause(), ExitReason::killed());
  }
  // Those that wait in its queue learn of it too.
  sys::suspend(server.pid());
  struct Told {
    ExitReason reason;
  };
  for (int i = 0; i < 3; ++i) {
    spawn([server, me = self()] { send(me, Told{server.try_call(Servant::Get{}, infinity).reason()}); });
  }
  while (process_info(server)->message_queue_len < 3) yield();
  exit(server, ExitReason::kill());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive<Told>().reason, ExitReason::killed());
}

BEHAVIOUR_TEST(GenServer, GS_047_the_exit_names_the_server_as_the_caller_did) {
  Directory directory;
  const Term room = tuple(Atom("room"), 47);
  const auto server = Servant::start().value();
  const auto registered = Servant::start_as({.name = ServerName(directory, room)}).value();
  const auto fail = [](const auto& address) { return exit_of([&] { address.call(Servant::Never{}, 1ms); }).reason(); };
  const ExitReason timeout = ExitReason::timeout();
  EXPECT_EQ(fail(server), call_failure(timeout, server.pid(), Atom("never"), 1));
  EXPECT_EQ(fail(Servant::name), call_failure(timeout, Atom("call_test_servant"), Atom("never"), 1));
  const Via<Servant> via(directory, room);
  EXPECT_EQ(fail(via), call_failure(timeout, ServerName(directory, room).term(), Atom("never"), 1));
  server.stop();
  registered.stop();
  while (directory.whereis_name(room)) yield();
}

// Whenever the server dies, the call ends: by its reply, by the reason of the death, or by noproc.
BEHAVIOUR_TEST(GenServer, GS_048_the_death_of_the_server_is_noticed_whenever_it_comes) {
  for (int i = 0; i < 10; ++i) {
    const auto server = Servant::start_as({}).value();
    spawn([server] { exit(server, ExitReason::kill()); });
    const auto result =
        i % 2 == 0 ? server.try_call(Servant::Add{1}, infinity) : server.try_call(Servant::Never{}, infinity);
    if (result) {
      EXPECT_EQ(*result, 1);
    } else {
      const ExitReason& reason = result.reason();
      EXPECT_TRUE(reason == ExitReason::killed() || reason == ExitReason::noproc()) << reason;
    }
    await_end(server);
  }
  EXPECT_EQ(mailbox_length(), 0u);
}

namespace {

class SelfCaller : public GenServer<SelfCaller> {
 public:
  struct Ask {
    using Reply = int;
  };
  struct Try {
    using Reply = std::vector<ExitReason>;
  };
  static constexpr Name<SelfCaller> name{"call_test_self"};
  explicit SelfCaller(Directory& directory) : directory_(&directory) {
    directory_->register_name(Atom("me"), coppice::self());
  }
  int handle_call(Ask) { return 1; }
  std::vector<ExitReason> handle_call(Try) {
    const auto fail = [](const auto& address) { return exit_of([&] { address.call(Ask{}); }).reason(); };
    return {fail(self()), fail(name), fail(Via<SelfCaller>(*directory_, Atom("me")))};
  }

 private:
  Directory* directory_;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_049_calling_oneself_fails_at_once_by_pid_and_by_every_name) {
  Directory directory;
  const auto server = SelfCaller::start(std::ref(directory)).value();
  const ExitReason calling_self{Atom("calling_self")};
  const auto reasons = server.call(SelfCaller::Try{});
  ASSERT_EQ(reasons.size(), 3u);
  EXPECT_EQ(reasons[0], call_failure(calling_self, server.pid(), Atom("ask"), 5000));
  EXPECT_EQ(reasons[1], call_failure(calling_self, Atom("call_test_self"), Atom("ask"), 5000));
  EXPECT_EQ(reasons[2], call_failure(calling_self, ServerName(directory, Atom("me")).term(), Atom("ask"), 5000));
  EXPECT_EQ(ServerRef<SelfCaller>(self()).try_call(SelfCaller::Ask{}).reason(), calling_self);  // a bare process too
  server.stop();
  while (directory.whereis_name(Atom("me"))) yield();
}

namespace {

class Mutual : public GenServer<Mutual> {
 public:
  struct Forward {
    using Reply = ExitReason;
    Pid to;
    Pid ready;
  };
  struct Ask {
    using Reply = int;
  };
  int handle_call(Ask) { return 1; }
  // Calls `to` when both servers are in their handlers.
  ExitReason handle_call(Forward message) {
    send(message.ready, Born{coppice::self()});
    receive<Go>();
    return ServerRef<Mutual>(message.to).try_call(Ask{}, 10ms).reason();
  }
};

// Lets two servers call each other; with which reasons that failed.
std::vector<ExitReason> mutual_calls() {
  const auto first = Mutual::start().value();
  const auto second = Mutual::start().value();
  struct Told {
    ExitReason reason;
  };
  const Pid me = self();
  spawn([first, second, me] { send(me, Told{first.call(Mutual::Forward{second, me}, infinity)}); });
  spawn([first, second, me] { send(me, Told{second.call(Mutual::Forward{first, me}, infinity)}); });
  const Pid one = receive<Born>().pid;
  const Pid other = receive<Born>().pid;
  send(one, Go{});
  send(other, Go{});
  std::vector<ExitReason> reasons{receive<Told>().reason, receive<Told>().reason};
  first.stop();
  second.stop();
  return reasons;
}

}  // namespace

BEHAVIOUR_TEST_WITH(GenServer, GS_051_servers_that_call_each_other_wait_for_a_timeout, {.detect_deadlocks = false}) {
  const auto reasons = mutual_calls();
  EXPECT_TRUE(reasons[0] == ExitReason::timeout() || reasons[1] == ExitReason::timeout());
  for (const ExitReason& reason : reasons) {
    EXPECT_TRUE(reason == ExitReason::timeout() || reason.is_normal()) << reason;
  }
}

// A difference we choose: exactly one of the calls fails at once, and the other is served then.
BEHAVIOUR_TEST(GenServer, GS_051_the_call_that_closes_the_circle_fails_at_once) {
  const auto reasons = mutual_calls();
  int failed = 0;
  for (const ExitReason& reason : reasons) {
    if (reason.is_normal()) continue;
    ++failed;
    ASSERT_TRUE(reason.term().is_tuple(2)) << reason;
    EXPECT_EQ(reason.term()[0], Term(Atom("deadlock")));
  }
  EXPECT_EQ(failed, 1);
}

namespace {

class Twice : public GenServer<Twice> {
 public:
  struct Ask {
    using Reply = int;
  };
  void handle_call(Ask, From<int> from) {
    from.reply(1);
    from.reply(2);
    from.reply(3);
  }
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_052_a_second_reply_is_dropped) {
  const auto server = Twice::start().value();
  EXPECT_EQ(server.call(Twice::Ask{}), 1);
  EXPECT_EQ(server.call(Twice::Ask{}, infinity), 1);
  server.stop();
  EXPECT_EQ(mailbox_length(), 0u);
}

BEHAVIOUR_TEST(GenServer, GS_053_what_the_server_sent_before_its_reply_is_there) {
  const auto server = Servant::start().value();
  EXPECT_EQ(server.call(Servant::NoteFirst{self()}), 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive<Note>(0ms), Note{i});
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_054_reply_works_from_any_process_and_when_the_caller_is_gone) {
  const auto server = Delegating::start().value();
  const Pid caller = spawn([server, me = self()] { server.call(Delegating::Ask{me}, infinity); });
  auto task = receive<Delegating::Task>();
  EXPECT_EQ(task.from.pid(), caller);
  finish(caller);
  task.from.reply(1);
  EXPECT_TRUE(task.from.answered());
  task.from.reply(2);
  // And when the server is gone: what remains of the call is its caller's affair.
  const auto [second, down] = spawn_monitor([server, me = self()] {
    EXPECT_EQ(server.try_call(Delegating::Ask{me}, infinity).reason(), ExitReason::killed());
  });
  auto orphan = receive<Delegating::Task>();
  finish(server);
  orphan.from.reply(3);
  EXPECT_TRUE(await_reason(down).is_normal());
}

BEHAVIOUR_TEST(GenServer, GS_055_calls_of_one_client_arrive_in_order) {
  const auto server = Servant::start().value();
  std::vector<Request<int>> requests;
  for (int i = 0; i < 10; ++i) {
    requests.push_back(server.send_request(Servant::Later{0ms, i}));
    server.cast(Servant::Push{100 + i});
  }
  const std::vector<int> pushed = server.call(Servant::Pushed{}, infinity);
  ASSERT_EQ(pushed.size(), 20u);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(pushed[2 * i], static_cast<int>(i));
    EXPECT_EQ(pushed[2 * i + 1], static_cast<int>(100 + i));
    EXPECT_EQ(wait_response(requests[i], infinity)->value(), static_cast<int>(i));
  }
  server.stop();
}

namespace {

class Exclusive : public GenServer<Exclusive> {
 public:
  struct Enter {
    using Reply = int;
  };
  struct Cast {};
  struct Info {};
  struct Most {
    using Reply = int;
  };
  int handle_call(Enter) { return pass(); }
  void handle_cast(Cast) { pass(); }
  void handle_info(Info) { pass(); }
  int handle_call(Most) const { return most_; }

 private:
  int pass() {
    most_ = std::max(most_, ++inside_);
    yield();
    sleep_for(100us);
    yield();
    return --inside_;
  }
  int inside_ = 0;
  int most_ = 0;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_056_a_server_is_never_re_entered) {
  const auto server = Exclusive::start().value();
  std::vector<Reference> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(spawn_monitor([server] {
                        for (int k = 0; k < 3; ++k) {
                          server.cast(Exclusive::Cast{});
                          server.send(Exclusive::Info{});
                          EXPECT_EQ(server.call(Exclusive::Enter{}, infinity), 0);
                        }
                      }).second);
  }
  for (const Reference& client : clients) EXPECT_TRUE(await_reason(client).is_normal());
  EXPECT_EQ(server.call(Exclusive::Most{}, infinity), 1);
  server.stop();
}
