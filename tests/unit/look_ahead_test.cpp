// SPDX-License-Identifier: Apache-2.0
#include "base/look_ahead.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <set>
#include <vector>

#include "base/random.hpp"

namespace coppice::base {
namespace {

struct Item {
  explicit Item(int value) : number(value) {}
  int number;
  Item* next = nullptr;
};

constexpr std::uint32_t distance = 4;

// A queue as it is used, and which items were shown.
class Queue {
 public:
  ~Queue() {
    while (first_ != nullptr) delete take();
  }
  void push(int number) {
    auto* item = new Item(number);
    (last_ == nullptr ? first_ : last_->next) = item;
    last_ = item;
    ahead_.pushed(item);
  }
  Item* take() {
    Item* item = first_;
    ahead_.taken(item);
    first_ = item->next;
    if (first_ == nullptr) last_ = nullptr;
    return item;
  }
  int pop() {
    Item* item = take();
    const int number = item->number;
    delete item;
    return number;
  }
  void advance() {
    ahead_.advance([this](const Item& item) { shown.push_back(item.number); });
  }
  std::vector<int> shown;

 private:
  Item* first_ = nullptr;
  Item* last_ = nullptr;
  LookAhead<Item, &Item::next, distance> ahead_;
};

TEST(LookAhead, nothing_is_shown_of_an_empty_queue) {
  Queue queue;
  queue.advance();
  EXPECT_TRUE(queue.shown.empty());
  queue.push(1);
  EXPECT_EQ(queue.pop(), 1);
  queue.advance();
  EXPECT_TRUE(queue.shown.empty());
}

TEST(LookAhead, the_first_are_shown_at_once_and_one_more_with_each_that_is_taken) {
  Queue queue;
  for (int i = 0; i < 7; ++i) queue.push(i);
  queue.advance();
  EXPECT_EQ(queue.shown, (std::vector{0, 1, 2, 3}));
  queue.advance();
  EXPECT_EQ(queue.shown.size(), 4u);
  queue.pop();
  queue.advance();
  EXPECT_EQ(queue.shown, (std::vector{0, 1, 2, 3, 4}));
  queue.pop();
  queue.pop();
  queue.advance();
  EXPECT_EQ(queue.shown, (std::vector{0, 1, 2, 3, 4, 5, 6}));
}

TEST(LookAhead, what_comes_when_all_were_shown_is_shown_next) {
  Queue queue;
  queue.push(1);
  queue.advance();
  queue.push(2);
  queue.push(3);
  queue.advance();
  EXPECT_EQ(queue.shown, (std::vector{1, 2, 3}));
}

TEST(LookAhead, what_is_taken_before_it_was_shown_never_is) {
  Queue queue;
  for (int i = 0; i < 3; ++i) queue.push(i);
  queue.pop();
  queue.pop();
  queue.advance();
  EXPECT_EQ(queue.shown, (std::vector{2}));
}

// Against the definition: after advance() all among the first `distance` were shown, each once, and nothing else was
// beyond what once stood there.
TEST(LookAhead, by_any_order_of_steps_each_item_is_shown_once_when_it_is_near_the_front) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Xoshiro256 random(seed);
    Queue queue;
    std::deque<int> model;
    std::vector<int> expected;
    std::set<int> was_shown;
    int next = 0;
    for (int step = 0; step < 400; ++step) {
      switch (random.below(3)) {
        case 0:
          model.push_back(next);
          queue.push(next++);
          break;
        case 1:
          if (model.empty()) break;
          ASSERT_EQ(queue.pop(), model.front());
          model.pop_front();
          break;
        default:
          queue.advance();
          for (std::size_t i = 0; i < model.size() && i < distance; ++i) {
            if (was_shown.insert(model[i]).second) expected.push_back(model[i]);
          }
          ASSERT_EQ(queue.shown, expected) << "seed " << seed << ", step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace coppice::base
