// SPDX-License-Identifier: Apache-2.0
#include "base/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace coppice::base {
namespace {

constexpr std::uint64_t tick = std::uint64_t{1} << 16;
constexpr std::uint64_t second = 1'000'000'000;
constexpr std::uint64_t year = 365 * 24 * 3600 * second;

struct Timer : TimerNode {
  std::size_t id = 0;
  std::multimap<std::uint64_t, Timer*>::iterator in_model;
};

std::vector<std::uint64_t> deadlines_of(const TimerNode* chain) {
  std::vector<std::uint64_t> deadlines;
  for (; chain != nullptr; chain = chain->next) deadlines.push_back(chain->deadline);
  return deadlines;
}

std::vector<std::size_t> ids_of(const TimerNode* chain) {
  std::vector<std::size_t> ids;
  for (; chain != nullptr; chain = chain->next) ids.push_back(static_cast<const Timer*>(chain)->id);
  return ids;
}

enum class Mix {
  all_ranges,  // deadlines and steps from a nanosecond to centuries
  far_crowds,  // deadlines a minute away, many in a slot: timeouts that are mostly cancelled
};

// A wheel beside a std::multimap that says what the wheel ought to do.
class Model {
 public:
  Model(std::uint64_t seed, std::size_t timers, Mix mix) : random_(seed), mix_(mix) {
    wheel_.emplace(now_);
    for (std::size_t id = 0; id < timers; ++id) {
      timers_.emplace_back();
      timers_.back().id = id;
    }
  }

  void step() {
    if (now_ > (std::uint64_t{1} << 62)) begin_again();
    const std::uint64_t choice = below(100);
    if (choice < 45) {
      insert(timers_[below(timers_.size())], some_deadline());
    } else if (choice < 70) {
      cancel(timers_[below(timers_.size())]);
    } else if (choice < 75 && !model_.empty()) {
      cancel(*model_.begin()->second);
    } else if (choice < 90) {
      check_next_deadline();
    } else {
      advance(some_time());
    }
    ASSERT_EQ(wheel_->size(), model_.size());
  }

  void drain() {
    while (!model_.empty() && !::testing::Test::HasFatalFailure()) advance(model_.begin()->first);
    EXPECT_TRUE(wheel_->empty());
    EXPECT_EQ(wheel_->next_deadline(), TimerWheel::never);
  }

  std::uint64_t expired() const { return expired_; }
  std::uint64_t wakeups_in_vain() const { return wakeups_in_vain_; }

 private:
  // The scale of time is nearly used up: goes on with a new wheel at some earlier time.
  void begin_again() {
    drain();
    now_ = some_span() >> 2;
    wheel_.emplace(now_);
  }

  std::uint64_t below(std::uint64_t limit) { return random_.next() % limit; }

  // A span whose order of magnitude, from one nanosecond to centuries, is drawn first.
  std::uint64_t some_span() { return random_.next() >> (1 + below(63)); }

  std::uint64_t some_deadline() {
    if (mix_ == Mix::far_crowds) return saturated(now_, 60 * second + below(30 * second));
    const std::uint64_t choice = below(16);
    if (choice == 0) return now_ - std::min(now_, some_span());  // overdue
    if (choice == 1) return TimerWheel::never - below(3);
    if (choice == 2 && !model_.empty()) return model_.begin()->first;  // an equal of the earliest
    if (choice == 3) return saturated((now_ | (tick - 1)), below(3));  // the edges of a tick
    if (choice < 8) return saturated(now_, below(4 * tick));
    return saturated(now_, some_span());
  }

  std::uint64_t some_time() {
    if (below(8) == 0) return now_ - std::min(now_, some_span() >> 8);  // a clock that steps back
    if (mix_ == Mix::far_crowds) return saturated(now_, below(second / 4));
    const std::uint64_t choice = below(8);
    if (!model_.empty() && model_.begin()->first > now_) {
      const std::uint64_t earliest = model_.begin()->first;
      if (choice < 2) return earliest;
      if (choice == 2) return earliest - 1;
    }
    if (choice < 5) return saturated(now_, below(2 * tick));
    return saturated(now_, some_span());
  }

  static std::uint64_t saturated(std::uint64_t base, std::uint64_t span) {
    return span > TimerWheel::never - base ? TimerWheel::never : base + span;
  }

  void insert(Timer& timer, std::uint64_t deadline) {
    if (timer.armed()) model_.erase(timer.in_model);
    timer.in_model = model_.emplace(deadline, &timer);
    wheel_->insert(timer, deadline);
  }

  void cancel(Timer& timer) {
    const bool was_armed = timer.armed();
    if (was_armed) model_.erase(timer.in_model);
    ASSERT_EQ(wheel_->cancel(timer), was_armed);
    ASSERT_FALSE(timer.armed());
  }

  void check_next_deadline() {
    const std::uint64_t earliest = model_.empty() ? TimerWheel::never : model_.begin()->first;
    ASSERT_LE(wheel_->next_deadline(), earliest);
    if (below(4) != 0) return;
    // Sleep until told. At most one wake-up a level may be in vain; then the answer is exact.
    for (int in_vain = 0; wheel_->next_deadline() != earliest; ++in_vain) {
      ASSERT_LT(in_vain, 8);
      const std::uint64_t woken_at = wheel_->next_deadline();
      ASSERT_LT(woken_at, earliest);
      ASSERT_GE(woken_at, now_);
      ++wakeups_in_vain_;
      advance(woken_at);
    }
  }

  void advance(std::uint64_t now) {
    now_ = std::max(now_, now);
    const TimerNode* chain = wheel_->expire(now);
    while (!model_.empty() && model_.begin()->first <= now) {
      ASSERT_NE(chain, nullptr) << "due at " << model_.begin()->first << ", now " << now;
      ASSERT_EQ(static_cast<const Timer*>(chain)->id, model_.begin()->second->id);
      ASSERT_EQ(chain->deadline, model_.begin()->first);
      ASSERT_FALSE(chain->armed());
      chain = chain->next;
      model_.erase(model_.begin());
      ++expired_;
    }
    ASSERT_EQ(chain, nullptr) << "fired early: due at " << chain->deadline << ", now " << now;
  }

  Xoshiro256 random_;
  Mix mix_;
  std::uint64_t now_ = 0;
  std::optional<TimerWheel> wheel_;
  std::deque<Timer> timers_;
  std::multimap<std::uint64_t, Timer*> model_;
  std::uint64_t expired_ = 0;
  std::uint64_t wakeups_in_vain_ = 0;
};

void run_model(std::uint64_t seed, std::size_t timers, int operations, Mix mix = Mix::all_ranges) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Model model(seed, timers, mix);
  for (int i = 0; i < operations && !::testing::Test::HasFatalFailure(); ++i) model.step();
  if (::testing::Test::HasFatalFailure()) return;
  model.drain();
  EXPECT_GT(model.expired(), static_cast<std::uint64_t>(operations) / 50);
  if (mix == Mix::far_crowds) {
    EXPECT_GT(model.wakeups_in_vain(), 0u) << "the crowded slots went untested";
  }
}

TEST(TimerWheel, agrees_with_a_multimap_over_random_operations) {
  run_model(1, 1000, 250'000);
  run_model(2, 20, 250'000);
  run_model(3, 3, 100'000);
  run_model(4, 5000, 300'000);
  run_model(5, 200, 250'000);
  run_model(6, 5000, 200'000, Mix::far_crowds);
}

TEST(TimerWheel, an_empty_wheel_has_no_deadline_and_expires_nothing) {
  TimerWheel wheel(5);
  EXPECT_TRUE(wheel.empty());
  EXPECT_EQ(wheel.next_deadline(), TimerWheel::never);
  EXPECT_EQ(wheel.expire(TimerWheel::never), nullptr);
}

TEST(TimerWheel, a_node_is_due_at_its_nanosecond_and_not_before) {
  for (unsigned bit = 0; bit < 64; ++bit) {
    for (std::uint64_t offset = 0; offset < 3; ++offset) {
      const std::uint64_t deadline = (std::uint64_t{1} << bit) + offset - 1;
      if (deadline == 0) continue;
      TimerWheel wheel(0);
      TimerNode node;
      wheel.insert(node, deadline);
      EXPECT_EQ(wheel.next_deadline(), deadline);
      EXPECT_EQ(wheel.expire(deadline - 1), nullptr);
      EXPECT_TRUE(node.armed());
      EXPECT_EQ(wheel.next_deadline(), deadline);
      EXPECT_EQ(wheel.expire(deadline), &node);
      EXPECT_FALSE(node.armed());
      EXPECT_EQ(node.next, nullptr);
    }
  }
}

TEST(TimerWheel, the_last_deadlines_of_the_scale_are_kept) {
  TimerWheel wheel(0);
  TimerNode last_but_one;
  TimerNode last;
  wheel.insert(last, TimerWheel::never);
  wheel.insert(last_but_one, TimerWheel::never - 1);
  EXPECT_EQ(wheel.next_deadline(), TimerWheel::never - 1);
  EXPECT_EQ(wheel.expire(TimerWheel::never - 2), nullptr);
  EXPECT_EQ(wheel.expire(TimerWheel::never - 1), &last_but_one);
  EXPECT_EQ(wheel.size(), 1u);
  EXPECT_EQ(wheel.expire(TimerWheel::never), &last);
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheel, overdue_nodes_are_returned_in_the_order_of_their_deadlines) {
  TimerWheel wheel(10 * second);
  TimerNode nodes[4];
  wheel.insert(nodes[0], 9 * second);
  wheel.insert(nodes[1], 0);
  wheel.insert(nodes[2], 10 * second);
  wheel.insert(nodes[3], 3 * second);
  EXPECT_EQ(wheel.next_deadline(), 0u);
  EXPECT_EQ(deadlines_of(wheel.expire(10 * second)),
            (std::vector<std::uint64_t>{0, 3 * second, 9 * second, 10 * second}));
}

TEST(TimerWheel, nodes_of_one_tick_are_returned_in_the_order_of_their_deadlines) {
  TimerWheel wheel(0);
  std::vector<TimerNode> nodes(1000);
  std::vector<std::uint64_t> expected;
  Xoshiro256 random(11);
  for (TimerNode& node : nodes) {
    expected.push_back(100 * tick + random.next() % tick);
    wheel.insert(node, expected.back());
  }
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(wheel.next_deadline(), expected.front());
  EXPECT_EQ(deadlines_of(wheel.expire(101 * tick)), expected);
}

TEST(TimerWheel, equal_deadlines_keep_the_order_of_insertion_through_every_level) {
  TimerWheel wheel(0);
  std::deque<Timer> timers(10);
  const std::uint64_t deadline = 3 * year + 12'345;
  std::uint64_t distance = 2 * year;
  std::vector<std::size_t> expected;
  for (std::size_t i = 0; i < timers.size(); ++i) {
    timers[i].id = i;
    wheel.insert(timers[i], deadline);
    expected.push_back(i);
    EXPECT_EQ(wheel.expire(deadline - distance), nullptr);
    distance /= 64;
  }
  EXPECT_EQ(ids_of(wheel.expire(deadline)), expected);
}

TEST(TimerWheel, a_node_inserted_again_is_moved_and_counts_as_the_latest) {
  TimerWheel wheel(0);
  std::deque<Timer> timers(2);
  timers[1].id = 1;
  wheel.insert(timers[0], second);
  wheel.insert(timers[1], second);
  wheel.insert(timers[0], second);
  EXPECT_EQ(wheel.size(), 2u);
  EXPECT_EQ(ids_of(wheel.expire(second)), (std::vector<std::size_t>{1, 0}));
}

TEST(TimerWheel, a_node_of_the_returned_chain_may_be_inserted_again_but_not_cancelled) {
  TimerWheel wheel(0);
  TimerNode nodes[2];
  wheel.insert(nodes[0], 1);
  wheel.insert(nodes[1], 2);
  TimerNode* due = wheel.expire(2);
  ASSERT_EQ(due, &nodes[0]);
  due = due->next;
  wheel.insert(nodes[0], second);
  ASSERT_EQ(due, &nodes[1]);
  EXPECT_FALSE(wheel.cancel(nodes[1]));
  EXPECT_EQ(wheel.size(), 1u);
  EXPECT_EQ(wheel.next_deadline(), second);
}

TEST(TimerWheel, nodes_are_cancelled_on_every_level_before_and_after_they_are_dealt_out) {
  TimerWheel wheel(0);
  std::vector<TimerNode> nodes(600);
  const std::uint64_t base = std::uint64_t{1} << 40;
  for (std::size_t i = 0; i < nodes.size(); ++i) wheel.insert(nodes[i], base + i * i * i * 1000);
  for (std::size_t i = 0; i < nodes.size(); i += 3) EXPECT_TRUE(wheel.cancel(nodes[i]));
  EXPECT_EQ(wheel.expire(base), nullptr);
  for (std::size_t i = 1; i < nodes.size(); i += 3) EXPECT_TRUE(wheel.cancel(nodes[i]));
  EXPECT_EQ(wheel.next_deadline(), nodes[2].deadline);
  std::vector<std::uint64_t> expected;
  for (std::size_t i = 2; i < nodes.size(); i += 3) expected.push_back(nodes[i].deadline);
  EXPECT_EQ(wheel.size(), expected.size());
  EXPECT_EQ(deadlines_of(wheel.expire(TimerWheel::never)), expected);
}

TEST(TimerWheel, a_sleeper_wakes_once_for_a_far_deadline) {
  TimerWheel wheel(7 * second);
  std::vector<TimerNode> nodes(100'000);
  for (std::size_t i = 0; i < nodes.size(); ++i) wheel.insert(nodes[i], 67 * second + i);
  EXPECT_EQ(wheel.next_deadline(), 67 * second);
  EXPECT_EQ(wheel.expire(67 * second), &nodes[0]);
  EXPECT_EQ(wheel.next_deadline(), 67 * second + 1);
}

TEST(TimerWheel, a_cancelled_earliest_node_of_a_small_slot_wakes_nobody) {
  TimerWheel wheel(0);
  TimerNode nodes[3];
  for (std::uint64_t i = 0; i < 3; ++i) wheel.insert(nodes[i], 60 * second + i);
  wheel.cancel(nodes[0]);
  EXPECT_EQ(wheel.next_deadline(), 60 * second + 1);
}

TEST(TimerWheel, a_cancelled_earliest_node_of_a_crowded_slot_wakes_the_sleeper_once) {
  TimerWheel wheel(0);
  std::vector<TimerNode> nodes(1000);
  for (std::size_t i = 0; i < nodes.size(); ++i) wheel.insert(nodes[i], 60 * second + i * tick);
  for (std::size_t i = 0; i < 500; ++i) wheel.cancel(nodes[i]);
  const std::uint64_t told = wheel.next_deadline();
  EXPECT_EQ(told, 60 * second);
  EXPECT_EQ(wheel.expire(told), nullptr);
  EXPECT_EQ(wheel.next_deadline(), nodes[500].deadline);
}

TEST(TimerWheel, a_clock_that_steps_back_neither_turns_the_wheel_nor_hides_what_is_due) {
  TimerWheel wheel(0);
  TimerNode nodes[3];
  EXPECT_EQ(wheel.expire(100 * second), nullptr);
  wheel.insert(nodes[0], 50 * second);
  wheel.insert(nodes[1], 70 * second);
  wheel.insert(nodes[2], 101 * second);
  EXPECT_EQ(deadlines_of(wheel.expire(60 * second)), (std::vector<std::uint64_t>{50 * second}));
  EXPECT_EQ(deadlines_of(wheel.expire(101 * second)), (std::vector<std::uint64_t>{70 * second, 101 * second}));
}

}  // namespace
}  // namespace coppice::base
