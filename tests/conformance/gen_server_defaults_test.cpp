// SPDX-License-Identifier: Apache-2.0
//
// What a server does with what its class does not handle: GS-107 to GS-109, GS-111. The compiler refuses a call, cast or
// continuation that the class lacks; an address of the wrong type gets one there all the same.
#include "conformance/gen_server_probe.hpp"
#include "conformance/logger_support.hpp"

using namespace conformance;

namespace {

class Other : public GenServer<Other> {
 public:
  struct Question {
    using Reply = int;
  };
  struct Order {};
  int handle_call(Question) { return 1; }
  void handle_cast(Order) {}
};

// An Other by address, a Probe by nature.
ServerRef<Other> mistaken(const ProbeRef& probe) { return ServerRef<Other>(probe.pid()); }

// No callback at all.
class Silent : public GenServer<Silent> {};

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_107_a_call_that_the_class_does_not_handle_ends_server_and_caller) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  const auto caller = spawn_monitor([probe] { mistaken(probe).call(Other::Question{}); });
  const ExitReason reason = await_reason(gone);
  EXPECT_TRUE(reason.is_exception());
  EXPECT_NE(reason.exception_message().find("Probe has no handle_call for Question"), std::string::npos)
      << reason.exception_message();
  const ExitReason failed = await_reason(caller.second);
  EXPECT_EQ(ExitReason(failed.term()[0]), reason);
  EXPECT_EQ(failed.term()[1][1], Term("call"_atom));
  const Texts all = all_heard();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].rfind("terminate attempted to call", 0), 0u);
}

BEHAVIOUR_TEST(GenServer, GS_108_a_cast_that_the_class_does_not_handle_ends_the_server) {
  const ProbeRef probe = start_probe();
  const Reference gone = monitor(probe);
  mistaken(probe).cast(Other::Order{});
  const ExitReason reason = await_reason(gone);
  EXPECT_TRUE(reason.is_exception());
  EXPECT_NE(reason.exception_message().find("Probe has no handle_cast for Order"), std::string::npos)
      << reason.exception_message();
  const Texts all = all_heard();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].rfind("terminate attempted to cast", 0), 0u);
}

BEHAVIOUR_TEST(GenServer, GS_109_a_message_that_the_class_does_not_handle_is_logged_and_the_server_goes_on) {
  const Capture capture;
  const ProbeRef probe = start_probe();
  send(probe.pid(), tuple("surprise"_atom, 1));
  EXPECT_EQ(probe.call(get_value()), Term(0));
  const std::vector<Event> events = capture.labelled(tuple(Atom("Elixir.GenServer"), "no_handle_info"_atom));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].level, Level::error);
  EXPECT_EQ(field(events[0], "message"_atom), tuple("surprise"_atom, 1));
  probe.stop();
}

BEHAVIOUR_TEST(GenServer, GS_111_without_terminate_a_server_ends_with_its_reason) {
  const auto silent = Silent::start_monitor();
  silent.value().stop(ExitReason::shutdown());
  EXPECT_EQ(await_reason(silent.monitor()), ExitReason::shutdown());
}

namespace {

class AnythingGoes : public coppice::GenServer<AnythingGoes> {
 public:
  struct Seen {
    using Reply = int;
  };
  struct Unlisted {
    int value;
  };
  void handle_info(std::any message) {
    if (const auto* unlisted = std::any_cast<Unlisted>(&message)) seen_ += unlisted->value;
  }
  int handle_call(Seen) const { return seen_; }

 private:
  int seen_ = 0;
};

}  // namespace

BEHAVIOUR_TEST(GenServer, a_catch_all_for_any_gets_the_message_itself) {
  const auto server = AnythingGoes::start_link().value();
  coppice::send(server.pid(), AnythingGoes::Unlisted{41});
  EXPECT_EQ(server.call(AnythingGoes::Seen{}), 41);
}
