// SPDX-License-Identifier: Apache-2.0
//
// Calls under strain: circles of waiting servers, death in a call, addresses that resolve to something else, foreign
// threads, replies that come too late. What becomes of a From is in calls_from_test.cpp.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "behaviour/calls_support.hpp"

using namespace calls;

namespace {

// -- circles --------------------------------------------------------------------------------------------------------

// Waits in its handler for Go, then calls the next one, whose handler may do the same.
class Link : public GenServer<Link> {
 public:
  struct Ask {
    using Reply = int;
  };
  struct Call {
    using Reply = ExitReason;
    Pid next;
    Pid test;
  };
  struct CallWhileFree {  // lets its own caller go, then calls
    using Reply = int;
    Pid next;
    Pid test;
  };
  int handle_call(Ask) const { return 1; }
  ExitReason handle_call(Call message) {
    send(message.test, Ready{coppice::self()});
    receive<Go>();
    return ServerRef<Link>(message.next).try_call(Ask{}, infinity).reason();
  }
  void handle_call(CallWhileFree message, From<int> from) {
    from.reply(2);
    send(message.test, Told{0, ServerRef<Link>(message.next).try_call(Ask{}, infinity).reason()});
  }
};

// Makes every server of `links` call the next one, round and round, all at the same time.
std::vector<ExitReason> close_circle(const std::vector<ServerRef<Link>>& links) {
  const Pid me = self();
  for (std::size_t i = 0; i < links.size(); ++i) {
    const Pid next = links[(i + 1) % links.size()];
    spawn([link = links[i], next, me, i] {
      send(me, Told{static_cast<int>(i), link.call(Link::Call{next, me}, infinity)});
    });
  }
  for (std::size_t i = 0; i < links.size(); ++i) receive<Ready>();
  for (const auto& link : links) send(link.pid(), Go{});
  std::vector<ExitReason> reasons(links.size());
  for (std::size_t i = 0; i < links.size(); ++i) {
    const Told told = receive<Told>();
    reasons[static_cast<std::size_t>(told.index)] = told.reason;
  }
  return reasons;
}

void check_circle(std::size_t size) {
  std::vector<ServerRef<Link>> links;
  for (std::size_t i = 0; i < size; ++i) links.push_back(Link::start().value());
  const std::vector<ExitReason> reasons = close_circle(links);
  int failed = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (reasons[i].is_normal()) continue;
    ++failed;
    std::vector<Term> path;
    for (std::size_t k = 0; k <= size; ++k) path.emplace_back(links[(i + k) % size].pid());
    EXPECT_EQ(reasons[i], Term(tuple(Atom("deadlock"), path)));
  }
  EXPECT_EQ(failed, 1);
  for (const auto& link : links) link.stop();
}

}  // namespace

BEHAVIOUR_TEST(Calls, of_two_that_call_each_other_exactly_one_fails_with_the_path) { check_circle(2); }
BEHAVIOUR_TEST(Calls, of_three_that_call_in_a_circle_exactly_one_fails_with_the_path) { check_circle(3); }
BEHAVIOUR_TEST(Calls, of_seven_that_call_in_a_circle_exactly_one_fails_with_the_path) { check_circle(7); }

BEHAVIOUR_TEST(Calls, a_call_to_oneself_is_calling_self_and_no_deadlock) {
  EXPECT_EQ(ServerRef<Link>(self()).try_call(Link::Ask{}).reason(), Atom("calling_self"));
}

// The same circle without detection ends by the timeouts alone.
namespace {
class Impatient : public GenServer<Impatient> {
 public:
  struct Ask {
    using Reply = int;
  };
  struct Call {
    using Reply = ExitReason;
    Pid next;
  };
  int handle_call(Ask) const { return 1; }
  ExitReason handle_call(Call message) { return ServerRef<Impatient>(message.next).try_call(Ask{}, 2ms).reason(); }
};
}  // namespace

BEHAVIOUR_TEST_WITH(Calls, detection_can_be_switched_off, {.detect_deadlocks = false}) {
  const auto first = Impatient::start().value();
  const auto second = Impatient::start().value();
  const Pid me = self();
  spawn([=] { send(me, Told{0, first.call(Impatient::Call{second}, infinity)}); });
  spawn([=] { send(me, Told{1, second.call(Impatient::Call{first}, infinity)}); });
  for (int i = 0; i < 2; ++i) {
    const Told told = receive<Told>();
    EXPECT_TRUE(told.reason.is_normal() || told.reason == ExitReason::timeout()) << told.reason;
  }
  first.stop();
  second.stop();
}

// A server that has answered its caller is not waited for any more, so calling that caller back closes no circle.
BEHAVIOUR_TEST(Calls, replies_that_cross_are_no_deadlock) {
  const auto first = Link::start().value();
  const auto second = Link::start().value();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(first.call(Link::CallWhileFree{second, self()}, infinity), 2);
    EXPECT_EQ(second.call(Link::CallWhileFree{first, self()}, infinity), 2);
    for (int k = 0; k < 2; ++k) {
      const ExitReason reason = receive<Told>().reason;
      // Both may call each other at the same time, and that is a real one: but then one of them only.
      if (!reason.is_normal()) {
        EXPECT_TRUE(reason.term().is_tuple(2) && reason.term()[0] == Term(Atom("deadlock"))) << reason;
      }
    }
  }
  first.stop();
  second.stop();
}

namespace {

// Answers, then calls back whom it has answered, when that one is free again.
class CallsBack : public GenServer<CallsBack> {
 public:
  struct Hello {
    using Reply = int;
    Pid caller;
  };
  struct Answer {
    using Reply = int;
  };
  struct Greet {
    using Reply = int;
    Pid whom;
    Pid test;
  };
  int handle_call(Answer) const { return 7; }
  void handle_call(Hello message, From<int> from) {
    from.reply(1);
    const auto back = ServerRef<CallsBack>(message.caller).try_call(Answer{}, infinity);
    EXPECT_TRUE(back) << back.reason();
    send(test_, Told{0, back.reason()});
  }
  int handle_call(Greet message) {
    // Greets, is answered at once, and is back in its loop when the other calls.
    return ServerRef<CallsBack>(message.whom).call(Hello{coppice::self()}, infinity);
  }
  explicit CallsBack(const Pid& test) : test_(test) {}

 private:
  Pid test_;
};

}  // namespace

BEHAVIOUR_TEST(Calls, calling_back_whom_one_has_answered_is_no_deadlock) {
  const auto first = CallsBack::start(self()).value();
  const auto second = CallsBack::start(self()).value();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(first.call(CallsBack::Greet{second, self()}, infinity), 1);
    EXPECT_TRUE(receive<Told>().reason.is_normal());
  }
  first.stop();
  second.stop();
}

// A call that timed out leaves no edge behind.
BEHAVIOUR_TEST(Calls, a_call_that_has_ended_closes_no_circle) {
  class Holding : public GenServer<Holding> {
   public:
    struct Ask {
      using Reply = int;
    };
    struct CallShortly {
      using Reply = ExitReason;
      Pid next;
    };
    void handle_call(Ask, From<int> from) { kept_.push_back(std::move(from)); }
    ExitReason handle_call(CallShortly message) {
      return ServerRef<Holding>(message.next).try_call(Ask{}, 1ms).reason();
    }

   private:
    std::vector<From<int>> kept_;
  };
  const auto first = Holding::start().value();
  const auto second = Holding::start().value();
  EXPECT_EQ(first.call(Holding::CallShortly{second}, infinity), ExitReason::timeout());
  EXPECT_EQ(second.call(Holding::CallShortly{first}, infinity), ExitReason::timeout());
  EXPECT_EQ(first.call(Holding::CallShortly{second}, infinity), ExitReason::timeout());
  first.stop();
  second.stop();
}

// -- death in a call ------------------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Calls, a_process_can_be_killed_while_it_waits_in_a_call) {
  const auto server = Keeper::start().value();
  auto guarded = std::make_shared<int>(1);
  const auto [caller, down] = spawn_monitor([server, guarded, me = self()] {
    const auto held = guarded;
    server.call(Keeper::Keep{me}, infinity);
    ADD_FAILURE() << "the call returned";
  });
  receive<Ready>();
  exit(caller, ExitReason::kill());
  EXPECT_EQ(await_reason(down), ExitReason::killed());
  EXPECT_EQ(guarded.use_count(), 1);
  EXPECT_EQ(server.call(Keeper::Ask{}), 1);
  server.cast(Keeper::Forget{});  // the From of a caller that is gone
  EXPECT_EQ(server.call(Keeper::Ask{}), 0);
  server.stop();
}

BEHAVIOUR_TEST(Calls, a_linked_exit_ends_a_process_that_waits_in_a_call) {
  const auto server = Keeper::start().value();
  const auto [caller, down] = spawn_monitor([server, me = self()] {
    link(me);
    server.call(Keeper::Keep{me}, infinity);
  });
  receive<Ready>();
  trap_exit(true);
  exit(caller, boom);
  EXPECT_EQ(await_reason(down), boom);
  EXPECT_EQ(receive<ExitMessage>().reason, boom);
  server.stop();
}

// Its mailbox keeps what arrives during the call, in order, and the call does not look at it.
BEHAVIOUR_TEST(Calls, messages_that_come_during_a_call_stay_in_order) {
  struct Number {
    int value;
  };
  const auto server = Keeper::start().value();
  const Pid helper = spawn([caller = self()] {
    auto handed = receive<Handed>();
    for (int i = 0; i < 5; ++i) send(caller, Number{i});
    handed.from.reply(4);
  });
  EXPECT_EQ(server.call(Keeper::HandTo{helper}, infinity), 4);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(receive<Number>(0ms)->value, i);
  server.stop();
}

namespace {

class Throwing : public GenServer<Throwing> {
 public:
  enum class What { number, text, exit, exception, nested };
  struct Ask {
    using Reply = int;
    What what;
  };
  struct Cast {
    What what;
  };
  explicit Throwing(const Pid& owner) : owner_(owner) {}
  int handle_call(Ask message) { return fail(message.what); }
  void handle_cast(Cast message) { fail(message.what); }
  void terminate(const ExitReason& reason) { send(owner_, Terminated{reason}); }

 private:
  static int fail(What what) {
    switch (what) {
      case What::number: throw 7;
      case What::text: throw std::string("text");
      case What::exit: throw Exit(boom);
      case What::exception: throw std::logic_error("a logic error");
      case What::nested: try { throw std::runtime_error("inner");
        } catch (const std::exception&) {
          throw std::runtime_error("outer");
        }
    }
    return 0;
  }
  Pid owner_;
};

bool is_no_catch(const ExitReason& reason) {
  const Term term = reason.term();
  return term.is_tuple(2) && term[0].is_tuple(2) && term[0][0] == Term(Atom("nocatch"));
}

}  // namespace

BEHAVIOUR_TEST(Calls, whatever_a_handler_throws_ends_server_and_caller_with_one_reason) {
  using What = Throwing::What;
  const auto ended = [](What what, bool by_call) {
    const auto server = Throwing::start(self()).value();
    const Reference down = monitor(server);
    ExitReason seen;
    if (by_call) {
      seen = server.try_call(Throwing::Ask{what}, infinity).reason();
    } else {
      server.cast(Throwing::Cast{what});
    }
    const ExitReason reason = await_reason(down);
    EXPECT_TRUE(!by_call || seen == reason) << seen;
    EXPECT_EQ(receive<Terminated>().reason, reason);
    return reason;
  };
  for (const bool by_call : {true, false}) {
    EXPECT_TRUE(is_no_catch(ended(What::number, by_call)));
    EXPECT_TRUE(is_no_catch(ended(What::text, by_call)));
    EXPECT_EQ(ended(What::exit, by_call), boom);
    EXPECT_TRUE(is_exception(ended(What::exception, by_call), "a logic error"));
    EXPECT_TRUE(is_exception(ended(What::nested, by_call), "outer"));
  }
}

// A failed call that nobody catches ends its caller with the whole reason; caught, it is what it was.
BEHAVIOUR_TEST(Calls, an_exit_of_a_call_passes_std_exception_handlers) {
  const auto [caller, down] = spawn_monitor([] {
    try {
      ServerRef<Link>().call(Link::Ask{});
    } catch (const std::exception&) {
      ADD_FAILURE() << "an Exit is no std::exception";
    }
  });
  const ExitReason reason = await_reason(down);
  ASSERT_TRUE(reason.term().is_tuple(2)) << reason;
  EXPECT_EQ(reason.term()[0], Term(Atom("noproc")));
}

// -- addresses that resolve to something else -----------------------------------------------------------------------

namespace {

class Other : public GenServer<Other> {
 public:
  explicit Other(const Pid& owner) : owner_(owner) {}
  void terminate(const ExitReason& reason) { send(owner_, Terminated{reason}); }

 private:
  Pid owner_;
};

}  // namespace

BEHAVIOUR_TEST(Calls, a_call_to_another_class_is_an_unknown_request_that_ends_that_server) {
  const auto other = Other::start_as({.name = "calls_test_other"}, self()).value();
  const Reference down = monitor(other);
  const auto result = Name<Keeper>("calls_test_other").try_call(Keeper::Ask{}, infinity);
  const ExitReason reason = await_reason(down);
  EXPECT_EQ(result.reason(), reason);
  ASSERT_TRUE(reason.is_exception()) << reason;
  EXPECT_EQ(reason.exception_message(),
            "attempted to call GenServer calls_test_other but Other has no handle_call for Ask");
  EXPECT_EQ(receive<Terminated>().reason, reason);
}

BEHAVIOUR_TEST(Calls, a_cast_to_another_class_ends_that_server) {
  const auto other = Other::start(self()).value();
  const Reference down = monitor(other);
  ServerRef<Keeper>(other.pid()).cast(Keeper::Forget{});
  const ExitReason reason = await_reason(down);
  EXPECT_TRUE(reason.is_exception()) << reason;
  EXPECT_EQ(receive<Terminated>().reason, reason);
}

BEHAVIOUR_TEST(Calls, a_message_for_another_class_is_logged_and_the_server_goes_on) {
  class Informed : public GenServer<Informed> {
   public:
    struct Info {};
    void handle_info(Info) { ADD_FAILURE() << "the wrong server's handler"; }
  };
  const auto other = Other::start(self()).value();
  ServerRef<Informed>(other.pid()).send(Informed::Info{});
  EXPECT_EQ(sys::get_status(other.pid()).pid, other.pid());
  EXPECT_TRUE(alive(other));
  other.stop();
}

// A typed request to a process that is no server stays in its mailbox, and its death bounces it.
BEHAVIOUR_TEST(Calls, a_call_to_a_bare_process_ends_with_that_process) {
  const Pid bare = spawn([] { sleep_for(infinity); });
  const Pid killer = spawn([bare] {
    while (process_info(bare)->message_queue_len == 0) yield();
    exit(bare, ExitReason::kill());
  });
  EXPECT_EQ(ServerRef<Keeper>(bare).try_call(Keeper::Ask{}, infinity).reason(), ExitReason::killed());
  await_end(killer);
}

// -- replies that come too late -------------------------------------------------------------------------------------

BEHAVIOUR_TEST(Calls, late_replies_leave_the_mailbox_empty) {
  const auto server = Keeper::start().value();
  std::vector<From<int>> late;
  const Pid collector = spawn([] {
    std::vector<From<int>> kept;
    for (int i = 0; i < 10; ++i) kept.push_back(receive<Handed>().from);
    receive<Take>();
    for (auto& from : kept) from.reply(1);
  });
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(server.try_call(Keeper::HandTo{collector}, 1ms).reason(), ExitReason::timeout());
  }
  send(collector, Take{});
  await_end(collector);
  EXPECT_EQ(mailbox_length(), 0u);
  EXPECT_EQ(server.call(Keeper::Ask{}), 0);
  server.stop();
}

// -- foreign threads ------------------------------------------------------------------------------------------------

namespace {

class Adder : public GenServer<Adder> {
 public:
  struct Add {
    using Reply = int;
    int number;
  };
  struct Push {
    int number;
  };
  struct Never {
    using Reply = int;
  };
  static constexpr Name<Adder> name{"calls_test_adder"};
  int handle_call(Add message) { return sum_ += message.number; }
  void handle_cast(Push message) { sum_ += message.number; }
  void handle_call(Never, From<int> from) { kept_.push_back(std::move(from)); }

 private:
  int sum_ = 0;
  std::vector<From<int>> kept_;
};

}  // namespace

TEST(Calls, foreign_threads_start_call_and_stop_servers) {
  Runtime runtime({.schedulers = 2});
  const Runtime::Scope scope(runtime);
  const auto server = Adder::start().value();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const Runtime::Scope inner(runtime);
      for (int k = 0; k < 100; ++k) {
        EXPECT_GT(server.call(Adder::Add{1}, infinity), 0);
        server.cast(Adder::Push{1});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Adder::name.call(Adder::Add{0}, infinity), 800);
  EXPECT_EQ(server.try_call(Adder::Never{}, 1ms).reason(), ExitReason::timeout());
  server.stop();
  EXPECT_EQ(server.try_call(Adder::Add{1}).reason(), ExitReason::noproc());
  try {
    server.call(Adder::Add{1});
    ADD_FAILURE() << "the call returned";
  } catch (const Exit& exit) {
    EXPECT_EQ(exit.cause(), ExitReason::noproc());
  }
  EXPECT_TRUE(runtime.stop().clean);
}

BEHAVIOUR_TEST(Calls, a_failed_call_tells_what_the_server_was_doing) {
  const auto server = Adder::start().value();
  try {
    Adder::name.call(Adder::Never{}, 5ms);
    ADD_FAILURE() << "the call returned";
  } catch (const Exit& exit) {
    EXPECT_THAT(exit.message(), ::testing::HasSubstr("server: :calls_test_adder #PID<0."));
    EXPECT_THAT(exit.message(), ::testing::ContainsRegex("request: Never, waited [0-9]+ ms"));
    EXPECT_THAT(exit.message(), ::testing::HasSubstr("it was idle or gone"));
  }
  try {
    server.call(Adder::Never{}, 5ms);
    ADD_FAILURE() << "the call returned";
  } catch (const Exit& exit) {
    EXPECT_THAT(exit.message(), ::testing::HasSubstr("server: " + inspect(server.pid()) + "\n"));  // once
  }
  // An exit that is no call's has its reason to say, and nothing else.
  EXPECT_EQ(Exit(Atom("no_disk")).message(), ":no_disk");
  EXPECT_EQ(Exit(Atom("no_disk")).cause(), Atom("no_disk"));
  server.stop();
}

// A call of a foreign thread that is under way when the runtime stops ends, and so does one that is made afterwards.
TEST(Calls, calls_of_foreign_threads_end_when_the_runtime_stops) {
  for (int round = 0; round < 10; ++round) {
    Runtime runtime({.schedulers = 2});
    const Runtime::Scope scope(runtime);
    const auto server = Adder::start().value();
    std::atomic<int> under_way{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        const Runtime::Scope inner(runtime);
        ++under_way;
        if (i == 0) {
          EXPECT_FALSE(server.try_call(Adder::Never{}, infinity));
        }
        while (server.try_call(Adder::Add{1}, infinity)) {
        }
        const ExitReason after = server.try_call(Adder::Add{1}, infinity).reason();
        EXPECT_TRUE(after == ExitReason::noproc() || after == ExitReason::shutdown() || after == ExitReason::killed())
            << after;
      });
    }
    while (under_way.load() < 3) std::this_thread::yield();
    EXPECT_TRUE(runtime.stop().clean);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(runtime.process_count(), 0u);
  }
}
