// SPDX-License-Identifier: Apache-2.0
//
// Calls that are answered from elsewhere: by a thread that is no process, in another runtime, after the caller's runtime
// has gone; calls that cannot be made there; and callers that are on their way out.
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "behaviour/calls_support.hpp"

using namespace calls;

namespace {

struct Given {
  std::shared_ptr<int> value;
};

// Hands its callers' Froms to whom they name.
class Giver : public GenServer<Giver> {
 public:
  struct Handed {
    From<std::shared_ptr<int>> from;
  };
  struct Take {
    using Reply = std::shared_ptr<int>;
    Pid whom;
  };
  void handle_call(Take message, From<std::shared_ptr<int>> from) { send(message.whom, Handed{std::move(from)}); }
};

// Waits for something that never comes: in init, or when it is told to.
class Waiting : public GenServer<Waiting> {
 public:
  struct Work {};
  struct Ask {
    using Reply = int;
  };
  explicit Waiting(Pid test, bool starts = false) : test_(test), starts_(starts) {}
  Init init() {
    if (!starts_) wait();
    return ok();
  }
  void handle_cast(Work) { wait(); }
  int handle_call(Ask) { return 1; }

 private:
  void wait() {
    send(test_, Ready{coppice::self()});
    receive<Go>();
  }
  Pid test_;
  bool starts_;
};

// Somebody calls; the From comes to the caller of this function, and the answer as Given, a failure as Told.
From<std::shared_ptr<int>> taken_from_a_caller(const ServerRef<Giver>& giver) {
  spawn([giver, me = self()] {
    auto result = giver.try_call(Giver::Take{me}, infinity);
    if (result) {
      send(me, Given{std::move(result.value())});
    } else {
      send(me, Told{0, result.reason()});
    }
  });
  return receive<Giver::Handed>().from;
}

template <class F>
void in_a_thread(F function) {
  std::thread(std::move(function)).join();
}
template <class F>
void in_another_runtime(F function) {
  in_a_thread([&function] {
    Runtime other({.schedulers = 1});
    EXPECT_TRUE(other.run([&function] { function(); }).is_normal());
    EXPECT_TRUE(other.stop().clean);
  });
}

}  // namespace

TEST(CallsAcross, a_thread_that_is_no_process_may_answer_and_may_drop_what_it_should_have_answered) {
  behaviour::on_threads([] {
    const auto giver = Giver::start().value();
    in_a_thread([from = taken_from_a_caller(giver)]() mutable { from.reply(std::make_shared<int>(7)); });
    EXPECT_EQ(*receive<Given>().value, 7);
    in_a_thread([from = taken_from_a_caller(giver)] {});
    EXPECT_EQ(receive<Told>().reason, Atom("no_reply"));
    giver.stop();
  });
}

TEST(CallsAcross, a_process_of_another_runtime_may_answer_and_may_drop_what_it_should_have_answered) {
  behaviour::on_threads([] {
    const auto giver = Giver::start().value();
    in_another_runtime([from = taken_from_a_caller(giver)]() mutable { from.reply(std::make_shared<int>(7)); });
    EXPECT_EQ(*receive<Given>().value, 7);
    in_another_runtime([from = taken_from_a_caller(giver)]() mutable { const auto dropped = std::move(from); });
    EXPECT_EQ(receive<Told>().reason, Atom("no_reply"));
    giver.stop();
  });
}

TEST(CallsAcross, an_answer_to_a_caller_whose_runtime_has_gone_goes_nowhere) {
  std::optional<From<std::shared_ptr<int>>> answered;
  std::optional<From<std::shared_ptr<int>>> dropped;
  {
    Runtime runtime({.schedulers = 1});
    EXPECT_TRUE(runtime
                    .run([&] {
                      const auto giver = Giver::start().value();
                      answered.emplace(taken_from_a_caller(giver));
                      dropped.emplace(taken_from_a_caller(giver));
                    })
                    .is_normal());
    EXPECT_TRUE(runtime.stop().clean);
  }
  const auto value = std::make_shared<int>(7);
  answered->reply(value);
  EXPECT_TRUE(answered->answered());
  dropped.reset();
  answered.reset();
  EXPECT_EQ(value.use_count(), 1);
}

TEST(CallsAcross, a_call_to_a_server_of_another_runtime_finds_nobody) {
  Runtime other({.schedulers = 1});
  ServerRef<Giver> there;
  {
    const Runtime::Scope scope(other);
    there = Giver::start().value();
  }
  behaviour::on_threads([there] {
    const auto result = there.try_call(Giver::Take{self()}, infinity);
    EXPECT_FALSE(result.has_value());
    EXPECT_EQ(result.reason(), ExitReason::noproc());
  });
  EXPECT_TRUE(other.stop().clean);
}

TEST(CallsAcross, a_thread_that_is_no_process_is_told_when_there_is_no_place_for_its_call) {
  Runtime runtime({.schedulers = 1, .processes_max = 5});
  const Runtime::Scope scope(runtime);
  const auto giver = Giver::start().value();
  Pid other;
  try {
    for (;;) other = spawn([] { sleep_for(infinity); });
  } catch (const Exit& full) {
    EXPECT_EQ(full.reason(), Atom("system_limit"));
  }
  EXPECT_EQ(giver.try_call(Giver::Take{other}, infinity).reason(), Atom("system_limit"));
  EXPECT_TRUE(runtime.stop().clean);
}

TEST(CallsAcrossDeathTest, a_thread_that_is_no_process_must_not_call_with_a_negative_timeout) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const Runtime runtime({.schedulers = 1});
        const auto keeper = Keeper::start().value();
        (void)keeper.try_call(Keeper::Ask{}, -1s);
      },
      "a call was made with a negative timeout");
}

TEST(CallsAcrossDeathTest, a_thread_that_is_no_process_must_not_start_what_is_bound_to_a_process) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const Runtime runtime({.schedulers = 1});
        (void)Keeper::start_link();
      },
      "start_link and start_monitor need a process to bind the server to");
}

TEST(CallsAcross, in_the_child_of_a_fork_a_process_can_start_no_server) {
  behaviour::on_threads([] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(20);  // should it hang
      ::_exit(Keeper::start().reason() == ExitReason::shutdown() ? 17 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 17);
  });
}

// -- requests that fail at once ---------------------------------------------------------------------------------------

BEHAVIOUR_TEST(CallsAcross, a_request_to_a_full_mailbox_is_answered_with_full) {
  const auto keeper = Keeper::start_as({.spawn = {.mailbox_capacity = 1, .overflow = Overflow::reject}}).value();
  sys::suspend(keeper);
  const auto first = keeper.send_request(Keeper::Ask{});
  const auto second = keeper.send_request(Keeper::Ask{});
  EXPECT_EQ(wait_response(second, infinity)->reason(), Atom("full"));
  sys::resume(keeper);
  EXPECT_EQ(wait_response(first, infinity)->value(), 0);
  keeper.stop();
}

BEHAVIOUR_TEST(CallsAcross, a_request_whose_from_is_kept_elsewhere_fails_with_the_server) {
  const auto keeper = Keeper::start().value();
  const auto request = keeper.send_request(Keeper::HandTo{self()});
  auto handed = receive<Handed>();
  keeper.cast(Keeper::Stop{boom});
  EXPECT_EQ(wait_response(request, infinity)->reason(), boom);
  handed.from.reply(1);  // too late, and harmless
  await_end(keeper);
  EXPECT_EQ(mailbox_length(), 0u);
}

BEHAVIOUR_TEST(CallsAcross, a_server_without_an_address_is_nobody) {
  const ServerName nobody;
  EXPECT_TRUE(nobody.empty());
  EXPECT_FALSE(nobody.whereis());
  EXPECT_TRUE(nobody.term().is_nil());
}

BEHAVIOUR_TEST(CallsAcross, a_process_that_may_go_on_anywhere_calls_as_any_other) {
  const auto keeper = Keeper::start().value();
  const auto [caller, down] =
      spawn_monitor([keeper] { EXPECT_EQ(keeper.call(Keeper::Ask{}), 0); }, {.migratable = true});
  EXPECT_TRUE(await_reason(down).is_normal());
  EXPECT_NE(caller, self());
  keeper.stop();
}

// What a failed call tells its reader: who was called, and what it was at.
BEHAVIOUR_TEST(CallsAcross, a_failed_call_says_what_the_server_was_handling) {
  const auto keeper = Keeper::start().value();
  const auto busy = Waiting::start_as({}, self(), true).value();
  busy.cast(Waiting::Work{});
  receive<Ready>();
  std::string text;
  try {
    busy.call(Waiting::Ask{}, 1ms);
  } catch (const Exit& exit) {
    EXPECT_EQ(exit.cause(), ExitReason::timeout());
    text = exit.message();
  }
  EXPECT_NE(text.find(inspect(busy.pid())), std::string::npos) << text;
  EXPECT_NE(text.find("it was handling"), std::string::npos) << text;
  EXPECT_NE(text.find("Work"), std::string::npos) << text;
  const ServerRef<Keeper> nobody;
  try {
    nobody.call(Keeper::Ask{});
  } catch (const Exit& exit) {
    EXPECT_EQ(exit.cause(), ExitReason::noproc());
    text = exit.message();
  }
  EXPECT_NE(text.find("idle or gone"), std::string::npos) << text;
  kill_and_wait(busy.pid());
  keeper.stop();
}

// -- callers on their way out -----------------------------------------------------------------------------------------

namespace {

// Its destructor runs while an exception is on its way.
template <class F>
struct AtUnwinding {
  F function;
  ~AtUnwinding() { function(); }
};
template <class F>
AtUnwinding(F) -> AtUnwinding<F>;

}  // namespace

BEHAVIOUR_TEST(CallsAcross, a_kill_ends_a_call_that_is_made_while_an_exception_unwinds) {
  const auto keeper = Keeper::start().value();
  const auto [caller, down] = spawn_monitor([keeper, me = self()] {
    const AtUnwinding calls{[&] { send(me, Told{0, keeper.try_call(Keeper::Keep{me}, infinity).reason()}); }};
    throw std::runtime_error("unwinds");
  });
  receive<Ready>();
  exit(caller, ExitReason::kill());
  EXPECT_EQ(receive<Told>().reason, ExitReason::killed());
  EXPECT_EQ(await_reason(down), ExitReason::killed());
  keeper.stop();
}

BEHAVIOUR_TEST(CallsAcross, a_kill_ends_a_start_that_is_made_while_an_exception_unwinds) {
  const auto [starter, down] = spawn_monitor([me = self()] {
    const AtUnwinding starts{[&] { send(me, Told{0, Waiting::start(me).reason()}); }};
    throw std::runtime_error("unwinds");
  });
  const Pid child = receive<Ready>().pid;
  exit(starter, ExitReason::kill());
  EXPECT_EQ(receive<Told>().reason, ExitReason::killed());
  EXPECT_EQ(await_reason(down), ExitReason::killed());
  kill_and_wait(child);
}

BEHAVIOUR_TEST(CallsAcross, a_destructor_of_a_killed_process_starts_no_server) {
  const auto [starter, down] = spawn_monitor([me = self()] {
    const AtUnwinding starts{[&] { send(me, Told{0, Keeper::start().reason()}); }};
    send(me, Ready{self()});
    sleep_for(infinity);
  });
  receive<Ready>();
  exit(starter, ExitReason::kill());
  EXPECT_EQ(receive<Told>().reason, ExitReason::killed());
  EXPECT_EQ(await_reason(down), ExitReason::killed());
}

BEHAVIOUR_TEST(CallsAcross, a_from_dropped_by_an_exception_gives_the_reason_of_the_server) {
  class Careless : public GenServer<Careless> {
   public:
    struct Keep {
      using Reply = int;
      Pid test;
    };
    struct Lose {};
    void handle_call(Keep message, From<int> from) {
      kept_.push_back(std::move(from));
      send(message.test, Ready{coppice::self()});
    }
    void handle_cast(Lose) {
      const std::vector<From<int>> lost = std::move(kept_);
      throw std::runtime_error("lost");
    }

   private:
    std::vector<From<int>> kept_;
  };
  const auto server = Careless::start().value();
  spawn([server, me = self()] { send(me, Told{0, server.try_call(Careless::Keep{me}, infinity).reason()}); });
  receive<Ready>();
  server.cast(Careless::Lose{});
  EXPECT_TRUE(is_exception(receive<Told>().reason, "lost"));
  await_end(server);
}
