// SPDX-License-Identifier: Apache-2.0
//
// Locks of registries (RG-048 to RG-053).
#include "conformance/gen_server_probe.hpp"
#include "conformance/registry_support.hpp"

namespace conformance::registries {
namespace {

const Term key("key");

BEHAVIOUR_TEST(Registry, RG_048_one_at_a_time_holds_a_lock_and_gets_what_the_function_returns) {
  for (const Keys keys : {Keys::unique, Keys::duplicate}) {
    const Running registry({.name = users, .keys = keys, .partitions = 2});
    EXPECT_EQ(users.lock(key, [] { return 7; }), 7);
    const auto inside = std::make_shared<std::atomic<int>>(0);
    std::vector<Reference> ends;
    for (int i = 0; i < 4; ++i) {
      ends.push_back(spawn_monitor([inside] {
                       users.lock(key, [&] {
                         EXPECT_EQ(inside->fetch_add(1), 0);
                         yield();
                         inside->fetch_sub(1);
                       });
                     }).second);
    }
    for (const Reference& end : ends) EXPECT_TRUE(await_reason(end).is_normal());
  }
}

struct Locked {
  int number;
};
struct Unlock {};
// A process that takes the lock, says its number, and holds it until it is told.
Pid spawn_locker(int number) {
  return spawn([number, test = self()] {
    users.lock(key, [&] {
      send(test, Locked{number});
      receive<Unlock>();
    });
  });
}

BEHAVIOUR_TEST(Registry, RG_049_waiters_are_served_in_order_and_the_dead_are_skipped) {
  const Running registry({.name = users});
  const Pid partition = Supervisor::which_children("Users").front().pid;
  std::vector<Pid> lockers;
  for (int i = 0; i < 4; ++i) {
    lockers.push_back(spawn_locker(i));
    while (!process_info(lockers.back()) || !has_acted(partition) ||
           process_info(partition)->monitors.size() < lockers.size()) {
      yield();
    }
  }
  EXPECT_EQ(receive<Locked>().number, 0);
  finish(lockers[1]);
  for (const int next : {2, 3}) {
    send(lockers[static_cast<std::size_t>(next == 2 ? 0 : 2)], Unlock{});
    EXPECT_EQ(receive<Locked>().number, next);
  }
  send(lockers[3], Unlock{});
  await_end(lockers[3]);
}

BEHAVIOUR_TEST(Registry, RG_050_a_lock_is_free_after_a_throw_and_after_its_holders_death) {
  const Running registry({.name = users});
  EXPECT_THROW(users.lock(key, [] { throw std::runtime_error("no"); }), std::runtime_error);
  const Pid holder = spawn_locker(1);
  EXPECT_EQ(receive<Locked>().number, 1);
  exit(holder, ExitReason::kill());
  EXPECT_EQ(users.lock(key, [] { return 2; }), 2);
}

BEHAVIOUR_TEST_IN_SIMULATION(Registry, RG_051_RG_052_who_waits_too_long_gives_up_his_place) {
  const Running registry({.name = users});
  const Pid holder = spawn_locker(1);
  EXPECT_EQ(receive<Locked>().number, 1);
  EXPECT_EQ(users.lock(Term("other"), [] { return 1; }), 1);  // another key is not blocked
  try {
    users.lock(key, [] { ADD_FAILURE(); });
  } catch (const Exit& exit) {
    EXPECT_EQ(exit.cause(), ExitReason::timeout());
  }
  const Pid next = spawn_locker(2);
  send(holder, Unlock{});
  EXPECT_EQ(receive<Locked>().number, 2);
  send(next, Unlock{});
  await_end(next);
}

BEHAVIOUR_TEST_IN_SIMULATION(Registry, RG_053_a_lock_is_not_re_entrant) {
  const Running registry({.name = users});
  const ExitReason reason = reason_of([] { users.lock(key, [] { users.lock(key, [] {}); }); });
  EXPECT_EQ(reason.term()[0], Term(Atom("timeout")));
}

}  // namespace
}  // namespace conformance::registries
