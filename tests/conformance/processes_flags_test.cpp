// SPDX-License-Identifier: Apache-2.0
//
// Process flags: PR-058. PR-059 to PR-062 have no counterpart, and an unknown flag (PR-063) does not compile.
#include "conformance/processes_support.hpp"

using namespace conformance;

namespace {
struct Go {};
struct Ready {};
}  // namespace

BEHAVIOUR_TEST(Processes, PR_058_trap_exit_returns_the_previous_value_and_is_off_at_first) {
  EXPECT_FALSE(trap_exit(true));
  EXPECT_TRUE(trap_exit(true));
  EXPECT_TRUE(trap_exit(false));
  EXPECT_FALSE(trap_exit(false));
  EXPECT_FALSE(process_info(self())->trap_exit);
}

BEHAVIOUR_TEST(Processes, PR_058_trap_exit_acts_on_the_caller_alone) {
  const Pid me = self();
  const auto [pid, reference] = spawn_monitor([me] {
    send(me, Ready{});
    receive<Go>();
    sleep_for(infinity);
  });
  receive<Ready>();
  trap_exit(true);
  EXPECT_TRUE(process_info(me)->trap_exit);
  EXPECT_FALSE(process_info(pid)->trap_exit);
  send(pid, Go{});
  exit(pid, boom);
  EXPECT_EQ(await_reason(reference), boom);
  exit(me, boom);
  EXPECT_EQ(receive<ExitMessage>().reason, boom);
}
