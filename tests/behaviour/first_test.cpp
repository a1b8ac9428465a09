// SPDX-License-Identifier: Apache-2.0
#include "behaviour.hpp"

using namespace coppice;

namespace {
struct Ping {
  Pid from;
};
struct Pong {};
}  // namespace

BEHAVIOUR_TEST(First, a_process_answers) {
  const Pid echo = spawn_link([] {
    for (;;) receive([](const Ping& ping) { send(ping.from, Pong{}); });
  });
  for (int i = 0; i < 20; ++i) {
    send(echo, Ping{self()});
    receive<Pong>();
  }
  EXPECT_TRUE(alive(echo));
  const Reference monitor_reference = monitor(echo);
  unlink(echo);
  exit(echo, ExitReason::kill());
  EXPECT_FALSE(alive(echo));
  const Down down = receive<Down>();
  EXPECT_EQ(down.reference, monitor_reference);
  EXPECT_EQ(down.reason, ExitReason::killed());
  EXPECT_FALSE(receive<Pong>(std::chrono::milliseconds(5)).has_value());
}
