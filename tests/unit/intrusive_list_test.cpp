// SPDX-License-Identifier: Apache-2.0
#include "base/intrusive_list.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <list>
#include <string>
#include <type_traits>
#include <vector>

#include "base/random.hpp"

namespace coppice::base {
namespace {

// Polymorphic and with the hooks behind a member of odd size, so that neither hook stands at offset nought.
struct Item {
  explicit Item(int value) : number(value) {}
  virtual ~Item() = default;

  int number;
  std::string text;
  ListHook first;
  char odd = 0;
  ListHook second;
};

using First = IntrusiveList<Item, &Item::first>;
using Second = IntrusiveList<Item, &Item::second>;

static_assert(std::bidirectional_iterator<First::iterator>);
static_assert(!std::is_copy_constructible_v<First> && !std::is_move_constructible_v<First>);
static_assert(!std::is_copy_constructible_v<ListHook>);

template <class List>
std::vector<int> numbers_of(List& list) {
  std::vector<int> forwards;
  for (const Item& item : list) forwards.push_back(item.number);
  std::vector<int> backwards;
  for (auto place = list.end(); place != list.begin();) backwards.push_back((--place)->number);
  std::reverse(backwards.begin(), backwards.end());
  EXPECT_EQ(forwards, backwards);
  return forwards;
}

TEST(IntrusiveList, a_new_list_is_empty) {
  First list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.begin(), list.end());
  EXPECT_EQ(list.pop_front(), nullptr);
}

TEST(IntrusiveList, elements_are_kept_in_the_order_in_which_they_are_added) {
  Item one(1), two(2), three(3), four(4);
  First list;
  list.push_back(two);
  list.push_back(four);
  list.push_front(one);
  First::insert_before(four, three);
  EXPECT_EQ(numbers_of(list), (std::vector<int>{1, 2, 3, 4}));
  EXPECT_EQ(&list.front(), &one);
  EXPECT_EQ(&list.back(), &four);
  EXPECT_EQ(list.pop_front(), &one);
  EXPECT_FALSE(First::linked(one));
  EXPECT_EQ(numbers_of(list), (std::vector<int>{2, 3, 4}));
}

TEST(IntrusiveList, an_element_is_removed_without_its_list) {
  Item one(1), two(2), three(3);
  First list;
  for (Item* item : {&one, &two, &three}) list.push_back(*item);
  EXPECT_TRUE(First::remove(two));
  EXPECT_EQ(numbers_of(list), (std::vector<int>{1, 3}));
  EXPECT_FALSE(First::remove(two));
  EXPECT_TRUE(First::remove(three));
  EXPECT_TRUE(First::remove(one));
  EXPECT_TRUE(list.empty());
}

TEST(IntrusiveList, an_element_stands_in_one_list_per_hook) {
  Item one(1), two(2);
  First first;
  Second second;
  first.push_back(one);
  first.push_back(two);
  second.push_back(two);
  second.push_back(one);
  EXPECT_EQ(numbers_of(first), (std::vector<int>{1, 2}));
  EXPECT_EQ(numbers_of(second), (std::vector<int>{2, 1}));
  First::remove(one);
  EXPECT_EQ(numbers_of(first), (std::vector<int>{2}));
  EXPECT_EQ(numbers_of(second), (std::vector<int>{2, 1}));
}

TEST(IntrusiveList, splicing_moves_all_elements_behind_those_of_the_other_list) {
  Item one(1), two(2), three(3), four(4);
  First list, other;
  list.splice_back(other);
  EXPECT_TRUE(list.empty());
  other.push_back(one);
  other.push_back(two);
  list.splice_back(other);
  EXPECT_TRUE(other.empty());
  other.push_back(three);
  other.push_back(four);
  list.splice_back(other);
  EXPECT_EQ(numbers_of(list), (std::vector<int>{1, 2, 3, 4}));
  First::remove(four);
  other.push_back(four);
  EXPECT_EQ(numbers_of(list), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(numbers_of(other), (std::vector<int>{4}));
}

TEST(IntrusiveList, erase_goes_on_behind_the_element_erased) {
  std::deque<Item> items;
  First list;
  for (int i = 0; i < 10; ++i) list.push_back(items.emplace_back(i));
  for (auto place = list.begin(); place != list.end();) place = place->number % 3 == 0 ? list.erase(place) : ++place;
  EXPECT_EQ(numbers_of(list), (std::vector<int>{1, 2, 4, 5, 7, 8}));
}

TEST(IntrusiveList, a_list_that_dies_unlinks_its_elements) {
  Item one(1);
  {
    First list;
    list.push_back(one);
    EXPECT_TRUE(First::linked(one));
  }
  EXPECT_FALSE(First::linked(one));
}

TEST(IntrusiveList, agrees_with_a_standard_list_over_random_operations) {
  Xoshiro256 random(3);
  std::deque<Item> items;
  for (int i = 0; i < 32; ++i) items.emplace_back(i);
  First list;
  std::list<int> model;
  for (int i = 0; i < 20'000; ++i) {
    Item& item = items[random.below(32)];
    if (First::linked(item)) {
      EXPECT_TRUE(First::remove(item));
      model.remove(item.number);
    } else if (random.below(2) == 0) {
      list.push_back(item);
      model.push_back(item.number);
    } else {
      list.push_front(item);
      model.push_front(item.number);
    }
    ASSERT_EQ(numbers_of(list), std::vector<int>(model.begin(), model.end()));
  }
}

}  // namespace
}  // namespace coppice::base
