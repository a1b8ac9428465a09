// SPDX-License-Identifier: Apache-2.0
//
// Calls whose handler runs on a stack of its own while its caller stands by, without an envelope; and what becomes of them
// when the handler waits after all, so that the caller may be gone before it has replied. Each test sees the same with that
// forced on, forced off, and left to the seed.
#include <algorithm>
#include <cfenv>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "behaviour/hand_off_support.hpp"

using namespace calls;

#define APART_TEST(name) CALL_TEST_IN_ALL_WAYS(HandOffApart, name)

namespace {

struct Note {
  std::string text;
};

void wait_for_go(const Pid& test) {
  send(test, Ready{coppice::self()});
  receive<Go>();
}

// A message and a reply that wait when they are moved, as none may.
struct Sticky {
  bool waits = false;
  explicit Sticky(bool when_moved) : waits(when_moved) {}
  Sticky(Sticky&& other) : waits(other.waits) {
    if (waits) sleep_for(1ms);
  }
};

class Clerk : public GenServer<Clerk> {
 public:
  struct Plain {
    using Reply = int;
  };
  struct Letter {  // taken by reference: it must outlive whoever has sent it
    using Reply = std::string;
    std::string text;
    Pid test;
  };
  struct Raise {
    using Reply = std::string;
    std::string text;
    Pid test;
  };
  struct Round {
    using Reply = int;
    int mode;
    Pid test;
  };
  struct Uncaught {
    using Reply = int;
    Pid test;
  };
  struct SwallowForEver {
    using Reply = int;
    std::optional<Pid> test;  // who ends it; else it does so itself, before it has ever waited
  };
  struct Kill {
    using Reply = int;
    Pid whom;
  };
  struct YieldOften {
    using Reply = int;
    int times;
  };
  struct GetSticky {
    using Reply = Sticky;
    bool waits;
  };
  struct TakeSticky {
    using Reply = int;
    Sticky request;
  };
  struct Through {  // by others, each in the handler of the one before it
    using Reply = std::string;
    std::vector<Pid> rest;
    Pid test;
  };

  explicit Clerk(Pid test = {}) : test_(test) {}

  int handle_call(Plain) { return ++calls_; }
  std::string handle_call(const Letter& letter) {
    wait_for_go(letter.test);
    send(letter.test, Note{letter.text});
    return letter.text + "!";
  }
  std::string handle_call(const Raise& message) {
    if (message.test) wait_for_go(message.test);
    throw std::runtime_error(message.text);
  }
  int handle_call(Round message) {
    std::fesetround(message.mode);
    wait_for_go(message.test);
    const int mode = std::fegetround();
    std::fesetround(FE_TONEAREST);
    return mode == message.mode ? 1 : 0;
  }
  int handle_call(Uncaught message) {
    const auto under_way = [] { return std::uncaught_exceptions() + (std::current_exception() == nullptr ? 0 : 100); };
    const int before = under_way();
    try {
      throw std::runtime_error("the handler's");
    } catch (const std::runtime_error& error) {
      if (message.test) wait_for_go(message.test);
      if (std::string(error.what()) != "the handler's") return -1;
    }
    return before + under_way();
  }
  int handle_call(SwallowForEver message) {
    if (message.test) send(*message.test, Ready{coppice::self()});
    for (;;) {
      try {
        if (!message.test) coppice::exit(coppice::self(), ExitReason::kill());
        receive<Go>();
      } catch (...) {
      }
    }
  }
  int handle_call(Kill message) {
    coppice::exit(message.whom, ExitReason::kill());
    return 1;
  }
  int handle_call(YieldOften message) {
    for (int i = 0; i < message.times; ++i) yield();
    return message.times;
  }
  Sticky handle_call(GetSticky message) { return Sticky(message.waits); }
  int handle_call(TakeSticky) { return 1; }
  std::string handle_call(Through message) {
    if (message.rest.empty()) {
      wait_for_go(message.test);
      return "end";
    }
    const ServerRef<Clerk> next(message.rest.back());
    message.rest.pop_back();
    return "through " + next.call(Through{std::move(message.rest), message.test}, infinity);
  }
  void terminate(const ExitReason& reason) {
    if (test_) send(test_, Terminated{reason});
  }

 private:
  int calls_ = 0;
  Pid test_;
};

// A caller that does not wait for the handler, and has ended by the time that it goes on.
struct Pending {
  Pid caller;
  Reference end;
};
template <class M>
Pending call_and_give_up(const ServerRef<Clerk>& server, M message) {
  const auto [caller, end] = spawn_monitor([=] {
    EXPECT_EQ(server.try_call(message, 5ms).reason(), ExitReason::timeout());
    std::vector<char> elsewhere(4096, 'x');  // the frame of the call is overwritten
    EXPECT_EQ(std::count(elsewhere.begin(), elsewhere.end(), 'x'), 4096);
  });
  return {caller, end};
}

APART_TEST(a_message_outlives_its_caller) {
  const auto server = Clerk::start().value();
  const std::string text(100, 't');
  const Pending call = call_and_give_up(server, Clerk::Letter{text, self()});
  EXPECT_EQ(receive<Ready>().pid, server.pid());
  EXPECT_TRUE(await_reason(call.end).is_normal());
  send(server.pid(), Go{});
  EXPECT_EQ(receive<Note>().text, text);
  EXPECT_EQ(server.call(Clerk::Plain{}), 1);
  server.stop();
}

APART_TEST(a_handler_that_waits_replies_to_a_caller_that_has_waited) {
  const auto server = Clerk::start().value();
  const Pid me = self();
  spawn([=] { send(me, Note{server.call(Clerk::Letter{"dear", me}, infinity)}); });
  receive<Ready>();
  send(server.pid(), Go{});
  EXPECT_EQ(receive<Note>().text, "dear");
  EXPECT_EQ(receive<Note>().text, "dear!");
  server.stop();
}

APART_TEST(a_handler_may_throw_before_it_waits_and_after) {
  for (const bool waits : {false, true}) {
    const auto server = Clerk::start(self()).value();
    const Pid me = self();
    spawn([=] { send(me, Told{1, server.try_call(Clerk::Raise{"thrown", waits ? me : Pid{}}, infinity).reason()}); });
    if (waits) {
      receive<Ready>();
      send(server.pid(), Go{});
    }
    EXPECT_TRUE(is_exception(receive<Terminated>().reason, "thrown"));
    EXPECT_TRUE(is_exception(receive<Told>().reason, "thrown"));
  }
  EXPECT_EQ(mailbox_length(), 0u);
}

APART_TEST(a_handler_may_throw_after_its_caller_has_gone) {
  const auto server = Clerk::start(self()).value();
  const Pending call = call_and_give_up(server, Clerk::Raise{"thrown", self()});
  receive<Ready>();
  EXPECT_TRUE(await_reason(call.end).is_normal());
  send(server.pid(), Go{});
  EXPECT_TRUE(is_exception(receive<Terminated>().reason, "thrown"));
}

APART_TEST(a_kill_that_the_server_sends_before_its_reply_ends_the_caller) {
  const auto server = Clerk::start().value();
  const Pid me = self();
  const auto [caller, end] = spawn_monitor([=] {
    (void)server.call(Clerk::Kill{coppice::self()}, infinity);
    send(me, Note{"lives"});
  });
  EXPECT_EQ(await_reason(end), ExitReason::killed());
  EXPECT_EQ(mailbox_length(), 0u);
  server.stop();
}

APART_TEST(the_rounding_mode_is_each_ones_own) {
  const auto server = Clerk::start().value();
  const Pid me = self();
  const auto [caller, end] = spawn_monitor([=] {
    std::fesetround(FE_UPWARD);
    EXPECT_EQ(server.try_call(Clerk::Round{FE_DOWNWARD, me}, 5ms).reason(), ExitReason::timeout());
    EXPECT_EQ(std::fegetround(), FE_UPWARD);
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(server.call(Clerk::Round{FE_TOWARDZERO, me}, infinity), 1);
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  });
  for (int i = 0; i < 2; ++i) {
    receive<Ready>();
    if (i == 0) sleep_for(10ms);
    send(server.pid(), Go{});
  }
  EXPECT_TRUE(await_reason(end).is_normal());
  server.stop();
}

APART_TEST(the_exceptions_of_a_handler_and_of_its_caller_are_their_own) {
  const auto server = Clerk::start().value();
  const Pid me = self();
  const auto [caller, end] = spawn_monitor([=] {
    try {
      throw std::runtime_error("the caller's");
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(server.call(Clerk::Uncaught{}), 0);
      EXPECT_EQ(server.call(Clerk::Uncaught{me}, infinity), 0);
      EXPECT_STREQ(error.what(), "the caller's");
      EXPECT_NE(std::current_exception(), nullptr);
    }
  });
  receive<Ready>();
  send(server.pid(), Go{});
  EXPECT_TRUE(await_reason(end).is_normal());
  server.stop();
}

// Three calls are under way, each inside the one before it, when the innermost waits.
APART_TEST(calls_inside_calls_are_each_a_wait_of_their_own) {
  std::vector<Pid> chain;
  for (int i = 0; i < 3; ++i) chain.push_back(Clerk::start().value());
  const ServerRef<Clerk> first(chain.back());
  const std::vector<Pid> rest(chain.begin(), chain.end() - 1);
  const Pending call = call_and_give_up(first, Clerk::Through{rest, self()});
  EXPECT_EQ(receive<Ready>().pid, chain.front());
  EXPECT_TRUE(await_reason(call.end).is_normal());
  EXPECT_EQ(process_info(first.pid())->status, ProcessStatus::waiting);
  send(chain.front(), Go{});
  EXPECT_EQ(first.call(Clerk::Plain{}), 1);  // behind the other
  const Pid me = self();
  spawn([=] { send(me, Note{first.call(Clerk::Through{rest, me}, infinity)}); });
  receive<Ready>();
  send(chain.front(), Go{});
  EXPECT_EQ(receive<Note>().text, "through through end");
  for (const Pid& pid : chain) ServerRef<Clerk>(pid).stop();
}

APART_TEST(a_server_amid_calls_inside_calls_can_be_killed) {
  std::vector<Pid> chain;
  for (int i = 0; i < 3; ++i) chain.push_back(Clerk::start().value());
  const ServerRef<Clerk> first(chain.back());
  const std::vector<Pid> rest(chain.begin(), chain.end() - 1);
  const Pid me = self();
  spawn([=] { send(me, Told{1, first.try_call(Clerk::Through{rest, me}, infinity).reason()}); });
  receive<Ready>();
  kill_and_wait(chain[1]);
  await_end(first.pid());  // the exit of its call was not caught
  const ExitReason told = receive<Told>().reason;
  EXPECT_NE(inspect(told.term()).find("killed"), std::string::npos) << told;
  send(chain.front(), Go{});
  EXPECT_EQ(ServerRef<Clerk>(chain.front()).call(Clerk::Plain{}), 1);
  ServerRef<Clerk>(chain.front()).stop();
}

// Its caller is told, and lives: whether it waits for an envelope already, or stands by.
APART_TEST(a_server_that_is_abandoned_on_a_stack_of_its_own_takes_nobody_with_it) {
  const Pid me = self();
  for (const std::optional<Pid>& test : {std::optional<Pid>{}, std::optional<Pid>{me}}) {
    const auto server = Clerk::start().value();
    const auto [caller, end] = spawn_monitor([=] {
      send(me, Told{1, server.try_call(Clerk::SwallowForEver{test}, infinity).reason()});
    });
    if (test) {
      receive<Ready>();
      exit(server.pid(), ExitReason::kill());
    }
    EXPECT_EQ(receive<Told>().reason, ExitReason::killed());
    EXPECT_TRUE(await_reason(end).is_normal());
  }
}

// A stack on which a call was settled is made anew before the next one: else it would become shorter each time.
APART_TEST(stacks_do_not_wear_out) {
  const auto server = Clerk::start().value();
  for (int i = 0; i < 2'000; ++i) EXPECT_EQ(server.call(Clerk::YieldOften{i % 3}, infinity), i % 3);
  server.stop();
}

// What none may do: see GenServer. Where it would matter it ends the server.
TEST(HandOffApart, what_waits_when_it_is_moved_ends_the_server) {
  behaviour::on_threads(
      [] {
        const auto server = Clerk::start(self()).value();
        EXPECT_FALSE(server.call(Clerk::GetSticky{false}).waits);
        EXPECT_EQ(server.call(Clerk::TakeSticky{Sticky(false)}), 1);
        const ExitReason wanted(tuple(Atom("never_waits"), Atom("get_sticky")));
        EXPECT_EQ(server.try_call(Clerk::GetSticky{true}).reason(), wanted);
        EXPECT_EQ(receive<Terminated>().reason, wanted);
      },
      {.schedulers = 1, .hand_off = HandOff::always});
}

}  // namespace
