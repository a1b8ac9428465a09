// SPDX-License-Identifier: Apache-2.0
//
// Servers that go to rest while they are idle, and wake: what they keep, what they cost.
#include "behaviour.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/process.hpp>
#include <coppice/sys.hpp>

#include "otp/server.hpp"
#include "runtime/core.hpp"

namespace {

using namespace coppice;
using namespace std::chrono_literals;

class Store : public GenServer<Store> {
 public:
  struct Add {
    long value;
  };
  struct Sum {
    using Reply = long;
  };
  struct Own {
    using Reply = std::pair<std::uintptr_t, Pid>;
  };
  struct Pause {};
  explicit Store(long value = 0) : value_(value) {}
  void handle_cast(Add add) { value_ += add.value; }
  Action handle_cast(Pause) { return noreply().timeout(1h); }
  void handle_info(Timeout) {}
  long handle_call(Sum) const { return value_; }
  std::pair<std::uintptr_t, Pid> handle_call(Own) const {
    return {reinterpret_cast<std::uintptr_t>(this), coppice::self()};
  }

 private:
  long value_;
};

bool rests(const Pid& pid) {
  runtime::Core& core = runtime::this_worker()->core();
  return runtime::at_rest(core.table().line(pid));
}

// So many servers become idle, more than once, that those before them go to rest. A simulated worker remembers a few only.
std::vector<ServerRef<Store>> crowd() {
  const bool simulated = runtime::this_worker()->core().world().simulated();
  std::vector<ServerRef<Store>> servers;
  for (std::size_t i = 0; i <= (simulated ? 8 : runtime::RestList::places); ++i) {
    servers.push_back(Store::start(0L).value());
    servers.back().call(Store::Sum{});
  }
  return servers;
}
void end(const std::vector<ServerRef<Store>>& servers) {
  for (const auto& server : servers) server.stop();
}

}  // namespace

// The goal that the bench row bytes_idle_server has, without the bench.
TEST(Rest, an_idle_server_with_one_integer_keeps_160_bytes) {
  constexpr std::size_t granule = 32;  // of the memory of nodes
  const std::size_t block = (sizeof(otp::ServerRest) + sizeof(long) + granule - 1) / granule * granule;
  EXPECT_LE(sizeof(runtime::Process) + sizeof(runtime::Badge) + block, 160u);
}

BEHAVIOUR_TEST_WITH(Rest, a_server_that_is_idle_while_others_run_goes_to_rest, {.schedulers = 1}) {
  const auto first = Store::start(7L).value();
  EXPECT_EQ(first.call(Store::Sum{}), 7);
  EXPECT_FALSE(rests(first));
  const auto others = crowd();
  EXPECT_TRUE(rests(first));
  EXPECT_EQ(first.call(Store::Sum{}), 7);
  EXPECT_FALSE(rests(first));
  end(others);
  first.stop();
}

// Simulated, where time costs nothing and one server stays awake.
TEST(Rest, servers_go_to_rest_when_their_worker_has_nothing_to_do_for_a_while) {
  behaviour::in_simulation(
      [] {
        const auto first = Store::start(1L).value();
        const auto last = Store::start(2L).value();
        EXPECT_EQ(first.call(Store::Sum{}), 1);
        EXPECT_EQ(last.call(Store::Sum{}), 2);
        EXPECT_FALSE(rests(first));
        sleep_for(1s);
        EXPECT_TRUE(rests(first));
        EXPECT_FALSE(rests(last));
        EXPECT_EQ(first.call(Store::Sum{}), 1);
        first.stop();
        last.stop();
      },
      {.schedulers = 1});
}

BEHAVIOUR_TEST_WITH(Rest, a_server_with_something_to_come_stays_awake, {.schedulers = 1}) {
  const auto paused = Store::start(1L).value();
  const auto suspended = Store::start(2L).value();
  paused.cast(Store::Pause{});
  EXPECT_EQ(suspended.call(Store::Sum{}), 2);
  sys::suspend(suspended);
  const auto others = crowd();
  EXPECT_FALSE(rests(paused));
  EXPECT_FALSE(rests(suspended));
  sys::resume(suspended);
  EXPECT_EQ(suspended.call(Store::Sum{}), 2);
  end(others);
  paused.stop();
  suspended.stop();
}

// OTP keeps them however long the server is idle.
BEHAVIOUR_TEST_WITH(Rest, what_sys_has_switched_on_outlasts_idleness, {.schedulers = 1}) {
  const auto server = Store::start(1L).value();
  sys::statistics(server, true);
  sys::log(server);
  server.cast(Store::Add{2});
  EXPECT_EQ(server.call(Store::Sum{}), 3);
  const auto others = crowd();
  EXPECT_FALSE(rests(server));
  ASSERT_TRUE(sys::get_statistics(server).has_value());
  EXPECT_EQ(sys::get_statistics(server)->messages_in, 2u);
  EXPECT_EQ(sys::get_log(server).size(), 4u);
  end(others);
  server.stop();
}

BEHAVIOUR_TEST(Rest, what_a_process_is_outlasts_its_rests) {
  trap_exit(true);
  const auto server = Store::start_link(3L).value();
  register_name(server, "rested");
  const auto own = server.call(Store::Own{});
  const std::optional<ProcessInfo> before = process_info(server);
  const auto others = crowd();
  const auto again = server.call(Store::Own{});
  const std::optional<ProcessInfo> after = process_info(server);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(own, again);
  EXPECT_EQ(after->parent, self());
  EXPECT_EQ(after->group_leader, before->group_leader);
  EXPECT_EQ(after->ancestors, before->ancestors);
  EXPECT_EQ(after->links, std::vector<Pid>{self()});
  EXPECT_EQ(after->registered_name, "rested");
  EXPECT_EQ(after->initial_call, before->initial_call);
  EXPECT_GT(after->reductions, before->reductions);
  EXPECT_GE(after->message_queue_peak, before->message_queue_peak);
  end(others);
  unlink(server);
  server.stop();
}

BEHAVIOUR_TEST(Rest, a_server_dies_at_rest_as_awake) {
  const auto killed = Store::start(1L).value();
  const auto stopped = Store::start(2L).value();
  const Reference of_killed = monitor(killed);
  const auto others = crowd();
  exit(killed, ExitReason::kill());
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, of_killed);
  EXPECT_EQ(down.reason, ExitReason::killed());
  EXPECT_FALSE(alive(killed));
  EXPECT_TRUE(alive(stopped));
  stopped.stop();
  end(others);
}

// Whoever puts servers to rest takes them for a moment: what comes meanwhile is not lost and stays in its order.
BEHAVIOUR_TEST(Rest, nothing_is_lost_that_meets_a_server_on_its_way_to_rest) {
  const auto servers = crowd();
  for (long round = 1; round <= 3; ++round) {
    for (const auto& server : servers) server.cast(Store::Add{round});
  }
  for (const auto& server : servers) EXPECT_EQ(server.call(Store::Sum{}), 6);
  end(servers);
}
