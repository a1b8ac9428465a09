// SPDX-License-Identifier: Apache-2.0
//
// What handle_call may return: GS-057 to GS-065.
#include <stdexcept>

#include "conformance/gen_server_start_support.hpp"

using namespace conformance;

namespace {

struct Seen {
  std::string what;
};

// Answers as it is asked to, and tells its owner what else it does.
class Answering : public GenServer<Answering> {
 public:
  struct Plain {
    using Reply = int;
    int number = 0;
  };
  struct Explicit {  // reply(v)
    using Reply = std::string;
  };
  struct WithTimeout {
    using Reply = int;
  };
  struct WithHibernate {
    using Reply = int;
  };
  struct WithContinue {
    using Reply = int;
  };
  struct Park {  // noreply(), with an extra
    using Reply = int;
    enum class Extra { none, timeout, go_on } extra = Extra::none;
  };
  struct Release {
    int number = 0;
  };
  struct StopWith {  // stop(reason, value)
    using Reply = int;
    ExitReason reason;
    bool terminate_fails = false;
  };
  struct StopWithout {  // stop(reason)
    using Reply = int;
    ExitReason reason;
  };
  struct StopWithFrom {  // stop(reason), with the From still in the handler's hands
    using Reply = int;
    ExitReason reason;
  };
  struct Bad {  // reply(v) with a negative timeout
    using Reply = int;
  };
  struct BadNoreply {
    using Reply = int;
  };
  struct BadInfo {};
  struct Step {};

  explicit Answering(const Pid& owner) : owner_(owner) {}

  int handle_call(Plain message) { return value_ += message.number; }
  Answer<std::string> handle_call(Explicit) { return reply("explicit"); }
  Answer<int> handle_call(WithTimeout) { return reply(1).timeout(1ms); }
  Answer<int> handle_call(WithHibernate) { return reply(2).hibernate(); }
  Answer<int> handle_call(WithContinue) { return reply(3).then(Step{}); }
  Action handle_call(Park message, From<int> from) {
    parked_.push_back(std::move(from));
    switch (message.extra) {
      case Park::Extra::none: break;
      case Park::Extra::timeout: return noreply().timeout(1ms);
      case Park::Extra::go_on: return noreply().then(Step{});
    }
    return noreply();
  }
  void handle_cast(Release message) {
    for (auto& from : parked_) from.reply(message.number);
    parked_.clear();
  }
  Answer<int> handle_call(StopWith message) {
    terminate_fails_ = message.terminate_fails;
    return stop(message.reason, 60);
  }
  Answer<int> handle_call(StopWithout message) { return stop(message.reason); }
  Action handle_call(StopWithFrom message, From<int>) { return stop(message.reason); }
  Answer<int> handle_call(Bad) {
    value_ = 63;
    return reply(1).timeout(-7ms);
  }
  Action handle_call(BadNoreply, From<int> from) {
    parked_.push_back(std::move(from));
    return noreply().timeout(-8ms);
  }
  Action handle_info(BadInfo) { return noreply().timeout(-9ms); }
  void handle_info(Timeout) { send(owner_, Seen{"timeout"}); }
  void handle_continue(Step) {
    receive<Go>();  // comes from the caller once it has been released
    send(owner_, Seen{"continue"});
  }
  void terminate(const ExitReason& reason) {
    send(owner_, Terminated{reason});
    if (terminate_fails_) throw std::runtime_error("terminate failed");
  }

 private:
  Pid owner_;
  int value_ = 0;
  bool terminate_fails_ = false;
  std::vector<From<int>> parked_;
};

ServerRef<Answering> start() { return Answering::start(self()).value(); }

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_057_reply_sends_the_reply_and_goes_on) {
  const auto server = start();
  EXPECT_EQ(server.call(Answering::Plain{5}), 5);
  EXPECT_EQ(server.call(Answering::Explicit{}), "explicit");
  EXPECT_EQ(server.call(Answering::Plain{1}), 6);
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_058_the_extra_takes_effect_after_the_reply) {
  const auto server = start();
  EXPECT_EQ(server.call(Answering::WithTimeout{}), 1);
  EXPECT_EQ(receive<Seen>().what, "timeout");
  EXPECT_EQ(server.call(Answering::WithHibernate{}), 2);
  EXPECT_FALSE(receive<Seen>(5ms).has_value());
  EXPECT_EQ(server.call(Answering::WithContinue{}), 3);
  send(server.pid(), Go{});  // handle_continue needs it: the caller was released before
  EXPECT_EQ(receive<Seen>().what, "continue");
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_059_after_noreply_the_caller_waits_until_somebody_replies) {
  using Extra = Answering::Park::Extra;
  const auto server = start();
  struct Got {
    int number;
  };
  for (const Extra extra : {Extra::none, Extra::timeout, Extra::go_on}) {
    spawn([server, me = self(), extra] { send(me, Got{server.call(Answering::Park{extra}, infinity)}); });
    EXPECT_FALSE(receive<Got>(3ms).has_value());
    if (extra == Extra::timeout) {
      EXPECT_EQ(receive<Seen>().what, "timeout");
    }
    if (extra == Extra::go_on) {
      send(server.pid(), Go{});
      EXPECT_EQ(receive<Seen>().what, "continue");
    }
    // On real threads the caller may not have called yet: release until it was parked.
    std::optional<Got> got;
    do {
      server.cast(Answering::Release{59});
      got = receive<Got>(1ms);
    } while (!got);
    EXPECT_EQ(got->number, 59);
  }
  server.stop();
}

BEHAVIOUR_TEST(GenServer, GS_060_stop_with_a_reply_terminates_then_replies_then_exits) {
  for (const ExitReason& reason : {ExitReason::normal(), ExitReason(boom)}) {
    const auto server = start();
    const Reference down = monitor(server);
    EXPECT_EQ(server.call(Answering::StopWith{reason}), 60);
    const auto terminated = receive<Terminated>(0ms);  // before the reply
    ASSERT_TRUE(terminated.has_value());
    EXPECT_EQ(terminated->reason, reason);
    EXPECT_EQ(await_reason(down), reason);
  }
}

BEHAVIOUR_TEST(GenServer, GS_060_the_reply_is_sent_even_if_terminate_throws) {
  const auto server = start();
  const Reference down = monitor(server);
  EXPECT_EQ(server.call(Answering::StopWith{ExitReason::normal(), true}), 60);
  EXPECT_TRUE(receive<Terminated>(0ms).has_value());
  EXPECT_TRUE(is_exception(await_reason(down), "terminate failed"));
}

BEHAVIOUR_TEST(GenServer, GS_061_stop_without_a_reply_exits_the_caller_with_the_reason) {
  for (const ExitReason& reason : {ExitReason::normal(), ExitReason(boom), ExitReason::shutdown()}) {
    const auto server = start();
    const Reference down = monitor(server);
    EXPECT_EQ(exit_of([&] { server.call(Answering::StopWithout{reason}); }).cause(), reason);
    EXPECT_EQ(receive<Terminated>().reason, reason);
    EXPECT_EQ(await_reason(down), reason);
  }
}

BEHAVIOUR_TEST(GenServer, GS_061_so_does_a_stop_of_a_handler_that_had_the_from) {
  for (const ExitReason& reason : {ExitReason::normal(), ExitReason(boom)}) {
    const auto server = start();
    const Reference down = monitor(server);
    EXPECT_EQ(exit_of([&] { server.call(Answering::StopWithFrom{reason}); }).cause(), reason);
    EXPECT_EQ(receive<Terminated>().reason, reason);
    EXPECT_EQ(await_reason(down), reason);
  }
}

// The compiler refuses every value that is not one of the results, but for a malformed timeout.
BEHAVIOUR_TEST(GenServer, GS_063_a_bad_value_stops_the_server_and_terminate_sees_it) {
  const ExitReason bad(tuple(Atom("bad_return_value"), tuple(Atom("timeout"), -7)));
  const auto server = start();
  const Reference down = monitor(server);
  EXPECT_EQ(exit_of([&] { server.call(Answering::Bad{}); }).cause(), bad);  // the reply in the bad value is not sent
  EXPECT_EQ(receive<Terminated>().reason, bad);
  EXPECT_EQ(await_reason(down), bad);
}

BEHAVIOUR_TEST(GenServer, GS_064_a_negative_timeout_makes_every_result_a_bad_return) {
  const ExitReason bad_noreply(tuple(Atom("bad_return_value"), tuple(Atom("timeout"), -8)));
  const ExitReason bad_info(tuple(Atom("bad_return_value"), tuple(Atom("timeout"), -9)));
  const auto first = start();
  EXPECT_EQ(exit_of([&] { first.call(Answering::BadNoreply{}); }).cause(), bad_noreply);
  EXPECT_EQ(receive<Terminated>().reason, bad_noreply);
  const auto second = start();
  const Reference down = monitor(second);
  second.send(Answering::BadInfo{});
  EXPECT_EQ(receive<Terminated>().reason, bad_info);
  EXPECT_EQ(await_reason(down), bad_info);
}
