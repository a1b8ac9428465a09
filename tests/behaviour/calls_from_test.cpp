// SPDX-License-Identifier: Apache-2.0
//
// What becomes of a call whose server answers later: its From is dropped, kept, handed on, or dies with its holder.
#include <functional>
#include <vector>

#include "behaviour/calls_support.hpp"

using namespace calls;

BEHAVIOUR_TEST(Calls, a_dropped_from_is_no_reply) {
  const auto server = Keeper::start().value();
  EXPECT_EQ(server.try_call(Keeper::Drop{}, infinity).reason(), Atom("no_reply"));
  EXPECT_EQ(server.call(Keeper::Ask{}), 0);  // the server lives on
  server.stop();
}

BEHAVIOUR_TEST(Calls, a_from_that_the_server_forgets_later_is_no_reply) {
  const auto server = Keeper::start().value();
  for (int i = 0; i < 3; ++i) call_aside(server, Keeper::Keep{self()});
  for (int i = 0; i < 3; ++i) receive<Ready>();
  EXPECT_FALSE(receive<Told>(1ms).has_value());
  server.cast(Keeper::Forget{});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(receive<Told>().reason, Atom("no_reply"));
  server.stop();
}

BEHAVIOUR_TEST(Calls, a_from_that_dies_with_another_process_is_no_reply) {
  const auto server = Keeper::start().value();
  const Pid holder = spawn([me = self()] {
    auto handed = receive<Handed>();
    send(me, Ready{self()});
    sleep_for(infinity);
  });
  call_aside(server, Keeper::HandTo{holder});
  receive<Ready>();
  exit(holder, ExitReason::kill());
  EXPECT_EQ(receive<Told>().reason, Atom("no_reply"));
  server.stop();
}

BEHAVIOUR_TEST(Calls, a_from_in_the_mailbox_of_a_dead_process_is_no_reply) {
  const auto server = Keeper::start().value();
  const Pid deaf = spawn([] { sleep_for(infinity); });
  call_aside(server, Keeper::HandTo{deaf});
  while (process_info(deaf)->message_queue_len == 0) yield();
  kill_and_wait(deaf);
  EXPECT_EQ(receive<Told>().reason, Atom("no_reply"));
  call_aside(server, Keeper::HandTo{deaf});  // sent to the dead: dropped on the way
  EXPECT_EQ(receive<Told>().reason, Atom("no_reply"));
  server.stop();
}

BEHAVIOUR_TEST(Calls, a_from_in_the_state_of_a_dying_server_gives_its_reason) {
  const auto die = [](const std::function<void(const ServerRef<Keeper>&)>& how) {
    const auto server = Keeper::start().value();
    for (int i = 0; i < 2; ++i) call_aside(server, Keeper::Keep{self()});
    for (int i = 0; i < 2; ++i) receive<Ready>();
    const Reference down = monitor(server);
    how(server);
    const ExitReason reason = await_reason(down);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(receive<Told>().reason, reason);
    return reason;
  };
  EXPECT_EQ(die([](const auto& server) { server.cast(Keeper::Stop{boom}); }), boom);
  EXPECT_TRUE(die([](const auto& server) { server.cast(Keeper::Stop{ExitReason::normal()}); }).is_normal());
  EXPECT_TRUE(is_exception(die([](const auto& server) { server.cast(Keeper::Fail{}); }), "failed later"));
  EXPECT_EQ(die([](const auto& server) { exit(server, ExitReason::kill()); }), ExitReason::killed());
  EXPECT_EQ(die([](const auto& server) { exit(server, ExitReason::shutdown()); }), ExitReason::shutdown());
}

BEHAVIOUR_TEST(Calls, a_from_kept_elsewhere_gives_the_reason_of_the_server_that_dies) {
  const auto server = Keeper::start().value();
  call_aside(server, Keeper::HandTo{self()});
  auto handed = receive<Handed>();
  server.cast(Keeper::Stop{boom});
  EXPECT_EQ(receive<Told>().reason, boom);
  handed.from.reply(1);  // too late, and harmless
  EXPECT_TRUE(handed.from.answered());
  await_end(server);
  EXPECT_EQ(mailbox_length(), 0u);
}

BEHAVIOUR_TEST(Calls, a_from_dropped_by_a_handler_that_fails_gives_the_reason_of_the_server) {
  using How = Keeper::DropThenFail::How;
  for (const How how : {How::raise, How::stop, How::exit}) {
    const auto server = Keeper::start().value();
    const Reference down = monitor(server);
    const ExitReason seen = server.try_call(Keeper::DropThenFail{how}, infinity).reason();
    const ExitReason reason = await_reason(down);
    EXPECT_EQ(seen, reason);
    EXPECT_TRUE(how == How::raise ? is_exception(reason, "after the drop") : reason == boom) << reason;
  }
}

BEHAVIOUR_TEST(Calls, a_reply_that_was_given_stands_whatever_the_handler_does_then) {
  const auto server = Keeper::start().value();
  const Reference down = monitor(server);
  EXPECT_EQ(server.call(Keeper::ReplyThenFail{}, infinity), 5);
  EXPECT_TRUE(is_exception(await_reason(down), "after the reply"));
}

namespace {
class Clearing : public GenServer<Clearing> {
 public:
  struct Keep {
    using Reply = int;
    Pid test;
  };
  void handle_call(Keep message, From<int> from) {
    kept_.push_back(std::move(from));
    send(message.test, Ready{coppice::self()});
  }
  void terminate(const ExitReason&) { kept_.clear(); }

 private:
  std::vector<From<int>> kept_;
};
}  // namespace

BEHAVIOUR_TEST(Calls, a_from_that_terminate_drops_gives_the_reason_of_the_server) {
  const auto server = Clearing::start().value();
  spawn([server, me = self()] { send(me, Told{0, server.try_call(Clearing::Keep{me}, infinity).reason()}); });
  receive<Ready>();
  server.stop(boom);
  EXPECT_EQ(receive<Told>().reason, boom);
}

BEHAVIOUR_TEST(Calls, assigning_over_a_from_fails_the_call_that_it_held) {
  const auto server = Keeper::start().value();
  call_aside(server, Keeper::HandTo{self()});
  auto first = receive<Handed>();
  call_aside(server, Keeper::HandTo{self()});
  auto second = receive<Handed>();
  first.from = std::move(second.from);
  EXPECT_EQ(receive<Told>().reason, Atom("no_reply"));
  first.from.reply(3);
  EXPECT_TRUE(receive<Told>().reason.is_normal());
  server.stop();
}
