// SPDX-License-Identifier: Apache-2.0
#include "task/task_decision.hpp"

#include <gtest/gtest.h>

using namespace coppice;
using otp::StreamLimits;
using otp::StreamProgress;
using otp::TaskEnding;

TEST(TaskDecision, which_reasons_come_from_the_one_who_ended_the_task) {
  struct Row {
    TaskEnding how;
    ExitReason reason;
    bool ours;
  };
  const Row rows[] = {
      {TaskEnding::asked, ExitReason::shutdown(), true}, {TaskEnding::asked, ExitReason::killed(), false},
      {TaskEnding::asked, ExitReason::normal(), false},  {TaskEnding::asked, ExitReason::shutdown(Term(1)), false},
      {TaskEnding::killed, ExitReason::killed(), true},  {TaskEnding::killed, ExitReason::shutdown(), false},
      {TaskEnding::killed, ExitReason::noproc(), false},
  };
  for (const Row& row : rows) EXPECT_EQ(otp::ended_by_us(row.how, row.reason), row.ours) << to_string(row.reason);
}

TEST(TaskDecision, a_limit_is_clipped_to_the_number_of_tasks) {
  EXPECT_EQ(otp::answers_wanted(3, static_cast<std::size_t>(-1)), 3u);
  EXPECT_EQ(otp::answers_wanted(3, 2), 2u);
  EXPECT_EQ(otp::answers_wanted(0, 5), 0u);
}

TEST(TaskDecision, when_a_stream_may_start_another_element) {
  constexpr std::size_t endless = static_cast<std::size_t>(-1);
  struct Row {
    StreamLimits limits;
    StreamProgress progress;
    bool may;
  };
  const Row rows[] = {
      {{2, true, 3}, {0, 0, 0}, true},          {{2, true, 3}, {2, 2, 0}, false},  // no free place
      {{2, true, 3}, {4, 1, 0}, true},   // three wait, one runs: room for one more
      {{2, true, 3}, {5, 1, 0}, false},  // four would wait if both that run ended
      {{2, true, 3}, {5, 1, 1}, true},   // one was delivered
      {{2, true, 0}, {2, 1, 0}, false},  // no buffer at all
      {{2, true, 0}, {2, 1, 1}, true},          {{2, true, endless}, {1'000'000, 1, 0}, true},
      {{2, false, 0}, {1'000'000, 1, 0}, true},  // an unordered stream buffers nothing
      {{2, false, 0}, {9, 2, 7}, false},
  };
  for (const Row& row : rows) EXPECT_EQ(otp::may_start(row.limits, row.progress), row.may) << &row - rows;
}
