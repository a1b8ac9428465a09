// SPDX-License-Identifier: Apache-2.0
#include "supervision/supervisor_decision.hpp"

#include <functional>

#include <gtest/gtest.h>

namespace {

using namespace coppice;
using namespace coppice::otp;
using namespace std::chrono_literals;
using Fate = EndVerdict::Fate;

ChildSpec good(int id = 1) {
  return child(id, [] { return Pid{1, 0, 1}; });
}

TEST(SupervisorDecision, SV_029_to_SV_033_which_ends_cause_a_restart) {
  const ExitReason boom("boom"_atom);
  struct Row {
    Restart restart;
    ExitReason reason;
    EndVerdict verdict;
  };
  const Row rows[] = {
      {Restart::permanent, ExitReason::normal(), {Fate::restart, true}},
      {Restart::permanent, ExitReason::shutdown(), {Fate::restart, true}},
      {Restart::permanent, boom, {Fate::restart, true}},
      {Restart::transient, ExitReason::normal(), {Fate::keep_stopped, false}},
      {Restart::transient, ExitReason::shutdown(), {Fate::keep_stopped, false}},
      {Restart::transient, ExitReason::shutdown(3), {Fate::keep_stopped, false}},
      {Restart::transient, ExitReason::killed(), {Fate::restart, true}},
      {Restart::transient, boom, {Fate::restart, true}},
      {Restart::temporary, ExitReason::normal(), {Fate::forget, false}},
      {Restart::temporary, ExitReason::shutdown(3), {Fate::forget, false}},
      {Restart::temporary, boom, {Fate::forget, true}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(judge_end(row.restart, row.reason), row.verdict) << static_cast<int>(row.restart) << " " << row.reason;
  }
}

TEST(SupervisorDecision, SV_058_and_DS_032_which_ends_of_a_stopped_child_are_reported) {
  const Shutdown gentle(5s);
  const Shutdown brutal(brutal_kill);
  struct Row {
    Shutdown shutdown;
    Restart restart;
    ExitReason reason;
    bool plain;
    bool dynamic;
  };
  const Row rows[] = {
      {gentle, Restart::permanent, ExitReason::shutdown(), true, true},
      {gentle, Restart::permanent, ExitReason::shutdown(1), false, true},
      {gentle, Restart::permanent, ExitReason::normal(), false, false},
      {gentle, Restart::permanent, ExitReason::killed(), false, false},
      {gentle, Restart::transient, ExitReason::normal(), true, true},
      {gentle, Restart::transient, ExitReason::shutdown(1), true, true},
      {gentle, Restart::temporary, ExitReason("boom"_atom), false, false},
      {brutal, Restart::permanent, ExitReason::killed(), true, true},
      {brutal, Restart::permanent, ExitReason::shutdown(), false, false},
      {brutal, Restart::temporary, ExitReason::shutdown(), true, false},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(is_expected_end(row.shutdown, row.restart, row.reason), row.plain) << row.reason;
    EXPECT_EQ(is_expected_dynamic_end(row.shutdown, row.restart, row.reason), row.dynamic) << row.reason;
  }
}

TEST(SupervisorDecision, SV_067_to_SV_069_which_ends_end_the_supervisor) {
  EXPECT_FALSE(ends_supervisor(AutoShutdown::never, true, 0));
  EXPECT_TRUE(ends_supervisor(AutoShutdown::any_significant, true, 4));
  EXPECT_FALSE(ends_supervisor(AutoShutdown::any_significant, false, 0));
  EXPECT_FALSE(ends_supervisor(AutoShutdown::all_significant, true, 1));
  EXPECT_TRUE(ends_supervisor(AutoShutdown::all_significant, true, 0));
}

TEST(SupervisorDecision, SV_036_to_SV_039_a_group_is_stopped_backwards_and_started_forwards) {
  const Sibling group[] = {{true, false}, {false, false}, {true, true}, {true, false}};
  const GroupPlan plan = plan_group(group);
  EXPECT_EQ(plan.stop, (std::vector<std::size_t>{3, 2, 0}));
  EXPECT_EQ(plan.forget, (std::vector<std::size_t>{2}));
  EXPECT_EQ(plan.start, (std::vector<std::size_t>{0, 1, 3}));
}

TEST(SupervisorDecision, SV_041_a_restart_that_is_exactly_as_old_as_the_window_still_counts) {
  RestartWindow window(1, 5);
  EXPECT_TRUE(window.admit(100));
  EXPECT_FALSE(window.admit(105));
  RestartWindow later(1, 5);
  EXPECT_TRUE(later.admit(100));
  EXPECT_TRUE(later.admit(106));
}

TEST(SupervisorDecision, SV_042_with_n_allowed_the_next_one_is_too_many) {
  RestartWindow none(0, 5);
  EXPECT_FALSE(none.admit(0));
  RestartWindow three(3, 5);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(three.admit(7)) << i;
  EXPECT_FALSE(three.admit(8));
}

TEST(SupervisorDecision, SV_046_restarts_outside_the_window_are_forgotten) {
  RestartWindow window(2, 10);
  for (std::int64_t second = -50; second < 1000; second += 6) EXPECT_TRUE(window.admit(second)) << second;
}

TEST(SupervisorDecision, a_back_off_grows_to_its_limit_and_begins_anew_after_a_long_run) {
  const Backoff backoff{100ms, 3, 1s, 0};
  EXPECT_EQ(next_delay(backoff, 0ns, 0ns, 0).base, 100ms);
  EXPECT_EQ(next_delay(backoff, 100ms, 0ns, 0).base, 300ms);
  EXPECT_EQ(next_delay(backoff, 900ms, 999ms, 0).base, 1s);
  EXPECT_EQ(next_delay(backoff, 1s, 1s, 0).base, 100ms);
  EXPECT_EQ(next_delay({100ms, 0.5, 1s, 0}, 100ms, 0ns, 0).base, 100ms);
  const Delay delay = next_delay({100ms, 2, 1s, 0.5}, 0ns, 0ns, 1);
  EXPECT_EQ(delay.base, 100ms);
  EXPECT_EQ(delay.actual, 50ms);
}

TEST(SupervisorDecision, SV_020_flags_are_checked_in_order) {
  EXPECT_EQ(check_flags({}), std::nullopt);
  EXPECT_EQ(check_flags({.strategy = static_cast<Strategy>(9), .max_restarts = -1}), tuple("invalid_strategy"_atom, 9));
  EXPECT_EQ(check_flags({.max_restarts = -1, .max_seconds = 0}), tuple("invalid_intensity"_atom, -1));
  EXPECT_EQ(check_flags({.max_restarts = 0, .max_seconds = 0}), tuple("invalid_period"_atom, 0));
  EXPECT_EQ(check_flags({.auto_shutdown = static_cast<AutoShutdown>(4)}), tuple("invalid_auto_shutdown"_atom, 4));
}

TEST(SupervisorDecision, SV_005_fields_are_checked_in_order) {
  const auto mode = AutoShutdown::never;
  EXPECT_EQ(check_child(good(), mode), std::nullopt);
  EXPECT_EQ(check_child(ChildSpec(), mode), Term("missing_id"_atom));
  EXPECT_EQ(check_child(ChildSpec().id(1).restart(static_cast<Restart>(7)), mode), Term("missing_start"_atom));
  const ChildSpec empty = child(1, std::function<Pid()>()).restart(static_cast<Restart>(7));
  EXPECT_EQ(check_child(empty, mode), tuple("invalid_mfa"_atom, empty.start()));
  EXPECT_EQ(check_child(good().restart(static_cast<Restart>(7)).significant(), mode),
            tuple("invalid_restart_type"_atom, 7));
  EXPECT_EQ(check_child(good().type(static_cast<ChildType>(7)).shutdown(-1s), mode),
            tuple("invalid_child_type"_atom, 7));
  EXPECT_EQ(check_child(good().shutdown(-1s).modules(3), mode), tuple("invalid_shutdown"_atom, -1000));
  EXPECT_EQ(check_child(good().modules(3), mode), tuple("invalid_modules"_atom, 3));
  EXPECT_EQ(check_child(good().modules(list("a"_atom, "b")), mode), tuple("invalid_module"_atom, "b"));
}

TEST(SupervisorDecision, SV_008_significance_must_fit) {
  EXPECT_EQ(inspect(*check_child(good().significant(), AutoShutdown::never)),
            "{:bad_combination, [auto_shutdown: :never, significant: true]}");
  EXPECT_EQ(inspect(*check_child(good().significant(), AutoShutdown::any_significant)),
            "{:bad_combination, [restart: :permanent, significant: true]}");
  EXPECT_EQ(check_child(good().significant().restart(Restart::transient), AutoShutdown::any_significant), std::nullopt);
  EXPECT_EQ(check_child(good().significant().restart(Restart::transient), std::nullopt), std::nullopt);
}

TEST(SupervisorDecision, SV_007_an_id_stands_once_in_a_list) {
  const ChildSpec twice[] = {good(1), good(2), good(1)};
  EXPECT_EQ(check_children(twice, AutoShutdown::never), tuple("duplicate_child_name"_atom, 1));
}

}  // namespace
