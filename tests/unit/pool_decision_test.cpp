// SPDX-License-Identifier: Apache-2.0
//
// What a pool decides, without a process.
#include <gtest/gtest.h>

#include "pool/pool_decision.hpp"

using namespace coppice;
using namespace coppice::pool;

namespace {

Ticket ticket(std::uint64_t number) { return Reference::from_id(number, 1); }

// A pool whose resources are all made.
Decision full_pool(const Limits& limits) {
  Decision pool(limits);
  const Steps begin = pool.begin();
  Steps steps;
  for (const Slot slot : begin.make) pool.made(slot, 0, steps);
  return pool;
}

}  // namespace

TEST(PoolDecision, an_eager_pool_makes_all_at_the_start_and_a_lazy_one_none) {
  EXPECT_EQ(Decision({.size = 3}).begin().make, (std::vector<Slot>{0, 1, 2}));
  EXPECT_TRUE(Decision({.size = 3, .lazy = true}).begin().make.empty());
}

TEST(PoolDecision, whoever_asks_first_is_served_first) {
  Decision pool = full_pool({.size = 1, .queue_max = 9});
  Steps steps;
  EXPECT_EQ(pool.ask(ticket(1), steps), Arrival::accepted);
  EXPECT_EQ(steps.grant, (std::vector<Grant>{{ticket(1), 0, false}}));
  steps = {};
  EXPECT_EQ(pool.ask(ticket(2), steps), Arrival::accepted);
  EXPECT_EQ(pool.ask(ticket(3), steps), Arrival::accepted);
  EXPECT_EQ(steps, Steps{});
  EXPECT_EQ(pool.waiting(), 2u);
  pool.give_back(ticket(1), true, 5, steps);
  EXPECT_EQ(steps.grant, (std::vector<Grant>{{ticket(2), 0, true}}));
  steps = {};
  pool.give_back(ticket(2), true, 6, steps);
  EXPECT_EQ(steps.grant, (std::vector<Grant>{{ticket(3), 0, true}}));
}

TEST(PoolDecision, one_more_than_the_queue_holds_is_rejected) {
  Decision pool = full_pool({.size = 1, .queue_max = 2});
  Steps steps;
  (void)pool.ask(ticket(1), steps);
  EXPECT_EQ(pool.ask(ticket(2), steps), Arrival::accepted);
  EXPECT_EQ(pool.ask(ticket(3), steps), Arrival::accepted);
  EXPECT_EQ(pool.ask(ticket(4), steps), Arrival::rejected);
  pool.give_back(ticket(1), true, 0, steps);
  EXPECT_EQ(pool.ask(ticket(5), steps), Arrival::accepted);
}

TEST(PoolDecision, without_a_queue_callers_wait_only_for_what_is_being_made) {
  Decision pool({.size = 1, .queue_max = 0, .lazy = true});
  Steps steps;
  EXPECT_EQ(pool.ask(ticket(1), steps), Arrival::accepted);
  EXPECT_EQ(steps.make, (std::vector<Slot>{0}));
  EXPECT_EQ(pool.ask(ticket(2), steps), Arrival::rejected);
}

TEST(PoolDecision, a_lazy_pool_makes_one_for_each_caller_that_waits_and_not_more_than_its_size) {
  Decision pool({.size = 2, .queue_max = 9, .lazy = true});
  Steps steps;
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(pool.ask(ticket(i), steps), Arrival::accepted);
  EXPECT_EQ(steps.make, (std::vector<Slot>{0, 1}));
  steps = {};
  pool.made(1, 0, steps);
  EXPECT_EQ(steps.grant, (std::vector<Grant>{{ticket(1), 1, false}}));
}

TEST(PoolDecision, what_is_not_kept_is_destroyed_and_made_anew_for_the_next) {
  Decision pool = full_pool({.size = 1, .queue_max = 9});
  Steps steps;
  (void)pool.ask(ticket(1), steps);
  (void)pool.ask(ticket(2), steps);
  steps = {};
  pool.give_back(ticket(1), false, 0, steps);
  EXPECT_EQ(steps, (Steps{.destroy = {0}, .make = {0}, .retry = {}, .grant = {}}));
  EXPECT_EQ(pool.discarded(), 1u);
  steps = {};
  pool.made(0, 0, steps);
  EXPECT_EQ(steps.grant, (std::vector<Grant>{{ticket(2), 0, false}}));
}

TEST(PoolDecision, after_max_uses_a_resource_is_replaced) {
  Decision pool = full_pool({.size = 1, .queue_max = 9, .max_uses = 2});
  Steps steps;
  (void)pool.ask(ticket(1), steps);
  pool.give_back(ticket(1), true, 0, steps);
  EXPECT_TRUE(steps.destroy.empty());
  (void)pool.ask(ticket(2), steps);
  pool.give_back(ticket(2), true, 0, steps);
  EXPECT_EQ(steps.destroy, (std::vector<Slot>{0}));
}

TEST(PoolDecision, a_grant_that_crossed_with_a_timeout_counts_as_no_use) {
  Decision pool = full_pool({.size = 1, .queue_max = 9, .max_uses = 1});
  Steps steps;
  (void)pool.ask(ticket(1), steps);
  EXPECT_FALSE(pool.give_up(ticket(1), true, 0, steps));
  EXPECT_TRUE(steps.destroy.empty());
  EXPECT_EQ(pool.idle(), 1u);
}

TEST(PoolDecision, whoever_gives_up_leaves_the_queue_and_nobody_else_does) {
  Decision pool = full_pool({.size = 1, .queue_max = 9});
  Steps steps;
  for (std::uint64_t i = 1; i <= 4; ++i) (void)pool.ask(ticket(i), steps);
  EXPECT_TRUE(pool.give_up(ticket(2), true, 0, steps));
  EXPECT_FALSE(pool.give_up(ticket(2), true, 0, steps));
  steps = {};
  pool.give_back(ticket(1), true, 0, steps);
  EXPECT_EQ(steps.grant, (std::vector<Grant>{{ticket(3), 0, true}}));
}

TEST(PoolDecision, a_borrower_that_dies_loses_its_resource) {
  Decision pool = full_pool({.size = 2, .queue_max = 9});
  Steps steps;
  (void)pool.ask(ticket(1), steps);
  const Slot slot = steps.grant[0].slot;
  steps = {};
  EXPECT_FALSE(pool.give_up(ticket(1), false, 0, steps));
  EXPECT_EQ(steps, (Steps{.destroy = {slot}, .make = {slot}, .retry = {}, .grant = {}}));
}

TEST(PoolDecision, a_borrower_with_a_dead_resource_gets_an_idle_one_or_goes_to_the_front) {
  Decision pool = full_pool({.size = 2, .queue_max = 9});
  Steps steps;
  (void)pool.ask(ticket(1), steps);
  const Slot first = steps.grant[0].slot;
  steps = {};
  pool.ask_again(ticket(1), steps);
  EXPECT_EQ(steps.destroy, (std::vector<Slot>{first}));
  ASSERT_EQ(steps.grant.size(), 1u);
  const Slot second = steps.grant[0].slot;
  EXPECT_NE(second, first);
  (void)pool.ask(ticket(2), steps);
  steps = {};
  pool.ask_again(ticket(1), steps);
  EXPECT_TRUE(steps.grant.empty());
  pool.made(first, 0, steps);
  ASSERT_EQ(steps.grant.size(), 1u);
  EXPECT_EQ(steps.grant[0].ticket, ticket(1));
}

TEST(PoolDecision, a_factory_that_fails_is_tried_again_while_somebody_needs_it) {
  Decision eager({.size = 1, .queue_max = 9});
  (void)eager.begin();
  Steps steps;
  eager.failed(0, steps);
  EXPECT_EQ(steps.retry, (std::vector<Slot>{0}));
  steps = {};
  eager.retry(0, steps);
  EXPECT_EQ(steps.make, (std::vector<Slot>{0}));

  Decision lazy({.size = 1, .queue_max = 9, .lazy = true});
  steps = {};
  (void)lazy.ask(ticket(1), steps);
  lazy.failed(0, steps);
  EXPECT_EQ(steps.retry, (std::vector<Slot>{0}));
  lazy.give_up(ticket(1), true, 0, steps);
  steps = {};
  lazy.retry(0, steps);
  EXPECT_EQ(steps, Steps{});
  EXPECT_EQ(lazy.making(), 0u);
  (void)lazy.ask(ticket(2), steps);
  EXPECT_EQ(steps.make, (std::vector<Slot>{0}));
}

TEST(PoolDecision, the_one_used_last_is_lent_first_and_the_others_expire) {
  Decision pool = full_pool({.size = 2, .queue_max = 9, .lazy = false});
  EXPECT_EQ(pool.idle_since(), 0);
  Steps steps;
  (void)pool.ask(ticket(1), steps);
  const Slot used = steps.grant[0].slot;
  pool.give_back(ticket(1), true, 10, steps);
  steps = {};
  pool.expire(5, steps);
  ASSERT_EQ(steps.destroy.size(), 1u);
  EXPECT_NE(steps.destroy[0], used);
  EXPECT_EQ(steps.make, steps.destroy);  // an eager pool stays full
  EXPECT_EQ(pool.idle_since(), 10);

  Decision lazy({.size = 1, .queue_max = 9, .lazy = true});
  steps = {};
  (void)lazy.ask(ticket(1), steps);
  lazy.made(0, 0, steps);
  lazy.give_back(ticket(1), true, 1, steps);
  steps = {};
  lazy.expire(1, steps);
  EXPECT_EQ(steps, (Steps{.destroy = {0}, .make = {}, .retry = {}, .grant = {}}));
  EXPECT_EQ(lazy.idle_since(), std::nullopt);
}

TEST(PoolDecision, tickets_that_nobody_has_are_nothing) {
  Decision pool = full_pool({.size = 1, .queue_max = 9});
  Steps steps;
  pool.give_back(ticket(7), true, 0, steps);
  pool.ask_again(ticket(7), steps);
  EXPECT_FALSE(pool.give_up(ticket(7), false, 0, steps));
  EXPECT_EQ(steps, Steps{});
  EXPECT_EQ(pool.idle(), 1u);
}
