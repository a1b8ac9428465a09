// SPDX-License-Identifier: Apache-2.0
//
// How a server is addressed: GS-033 to GS-037.
#include "conformance/gen_server_start_support.hpp"

using namespace conformance;

namespace {

class Echo : public GenServer<Echo> {
 public:
  struct Who {
    using Reply = Pid;
  };
  struct Note {
    Pid from;
  };
  static constexpr Name<Echo> name{"address_test_echo"};
  Pid handle_call(Who) { return coppice::self(); }
  void handle_cast(Note note) { send(note.from, note); }
  void handle_info(Note note) { send(note.from, note); }
};

// Takes its owner's Go, then ends.
class Registering : public GenServer<Registering> {
 public:
  Registering(Directory& directory, const Pid& owner) {
    EXPECT_EQ(directory.whereis_name(Atom("gs_036")), coppice::self());  // registered by now
    send(owner, Born{coppice::self()});
  }
};

const Term key = tuple(Atom("room"), 33);

void await_forgotten(Directory& directory, const Term& name) {
  while (directory.whereis_name(name)) yield();
}

template <class Address>
void check_address(const Address& address, const Pid& server) {
  EXPECT_EQ(address.call(Echo::Who{}), server);
  EXPECT_EQ(*address.try_call(Echo::Who{}), server);
  address.cast(Echo::Note{self()});
  receive<Echo::Note>();
  address.send(Echo::Note{self()});
  receive<Echo::Note>();
  EXPECT_EQ(address.pid(), server);
  const auto request = address.send_request(Echo::Who{});
  EXPECT_EQ(wait_response(request, infinity)->value(), server);
}

}  // namespace

BEHAVIOUR_TEST(GenServer, GS_033_a_server_is_addressed_by_pid_local_name_or_via_name) {
  Directory directory;
  const auto named = Echo::start().value();
  check_address(named, named);
  check_address(Echo::name, named);
  check_address(Name<Echo>("address_test_echo"), named);
  const auto registered = Echo::start_as({.name = ServerName(directory, key)}).value();
  check_address(registered, registered);
  check_address(Via<Echo>(directory, key), registered);
  Via<Echo>(directory, key).stop();
  Echo::name.stop();
  EXPECT_FALSE(alive(named));
  EXPECT_FALSE(alive(registered));
  await_forgotten(directory, key);
}

BEHAVIOUR_TEST(GenServer, GS_034_whereis_gives_the_pid_or_nothing) {
  Directory directory;
  EXPECT_FALSE(Echo::name.whereis());
  EXPECT_FALSE(Via<Echo>(directory, key).whereis());
  EXPECT_FALSE(ServerName("address_test_echo").whereis());
  EXPECT_FALSE(ServerName().whereis());
  const auto named = Echo::start().value();
  const auto registered = Echo::start_as({.name = ServerName(directory, key)}).value();
  EXPECT_EQ(Echo::name.whereis(), named);
  EXPECT_EQ(ServerName("address_test_echo").whereis(), named.pid());
  EXPECT_EQ((Via<Echo>(directory, key).whereis()), registered);
  EXPECT_EQ(ServerName(directory, key).whereis(), registered.pid());
  named.stop();
  registered.stop();
  EXPECT_FALSE(Echo::name.whereis());
  await_forgotten(directory, key);
}

BEHAVIOUR_TEST(GenServer, GS_035_a_via_module_registers_forgets_and_finds) {
  Directory directory;
  ViaModule& via = directory;
  EXPECT_FALSE(via.whereis_name(key));
  const Pid first = spawn_idle();
  EXPECT_TRUE(via.register_name(key, first));
  EXPECT_FALSE(via.register_name(key, self()));
  EXPECT_EQ(via.whereis_name(key), first);
  // A server class can be addressed there and nowhere else.
  EXPECT_EQ(Echo::start_as({.name = ServerName(via, key)}).reason(), Term(tuple(Atom("already_started"), Term(first))));
  via.unregister_name(key);
  EXPECT_FALSE(via.whereis_name(key));
  finish(first);
}

BEHAVIOUR_TEST(GenServer, GS_036_a_via_name_is_registered_inside_the_new_process_before_init) {
  Directory directory;
  const auto server =
      Registering::start_as({.name = ServerName(directory, Atom("gs_036"))}, std::ref(directory), self()).value();
  EXPECT_EQ(receive<Born>().pid, server.pid());
  EXPECT_EQ(directory.registrars, (std::vector<Pid>{server.pid()}));
  server.stop();
  await_forgotten(directory, Atom("gs_036"));
}

namespace {
// Says no to everybody, and names whom it likes.
struct Refusing final : ViaModule {
  bool register_name(const Term&, const Pid& pid) override {
    asked = pid;
    return false;
  }
  void unregister_name(const Term&) override { ADD_FAILURE() << "nothing was registered"; }
  Pid whereis_name(const Term&) override { return asked ? holder : Pid(); }
  Pid asked;
  Pid holder;
};
}  // namespace

BEHAVIOUR_TEST(GenServer, GS_036_the_answer_no_becomes_already_started) {
  Refusing refusing;
  refusing.holder = self();
  const auto script = []() -> Scripted::Init {
    ADD_FAILURE() << "init was run";
    return Scripted::ok();
  };
  trap_exit(true);
  const auto result = Scripted::start_link_as({.name = ServerName(refusing, key)}, self(), Scripted::Script(script));
  EXPECT_EQ(result.reason(), Term(tuple(Atom("already_started"), Term(self()))));
  EXPECT_TRUE(refusing.asked);
  EXPECT_FALSE(alive(refusing.asked));
  EXPECT_EQ(mailbox_length(), 0u);
}

BEHAVIOUR_TEST(GenServer, GS_037_names_vanish_because_the_registries_watch_the_server) {
  Directory directory;
  const auto named = Echo::start().value();
  const auto first = Echo::start_as({.name = ServerName(directory, key)}).value();
  first.stop();
  await_forgotten(directory, key);
  const auto second = Echo::start_as({.name = ServerName(directory, key)}).value();
  finish(second);
  await_forgotten(directory, key);
  EXPECT_EQ(directory.unregistered, 0);  // nobody unregistered them
  finish(named);
  EXPECT_FALSE(whereis("address_test_echo"));
}

BEHAVIOUR_TEST(GenServer, GS_037_a_failed_init_unregisters) {
  Directory directory;
  const auto script = []() -> Scripted::Init { return Scripted::stop(boom); };
  EXPECT_EQ(Scripted::start_as({.name = ServerName(directory, key)}, self(), Scripted::Script(script)).reason(), boom);
  EXPECT_EQ(directory.unregistered, 1);
  EXPECT_FALSE(directory.whereis_name(key));
}
