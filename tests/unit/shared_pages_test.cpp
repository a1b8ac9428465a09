// SPDX-License-Identifier: Apache-2.0
//
// The pages under ordered tables, against std::map: changed in place and beside, with ranks that tell all keys apart,
// some of them, or none.
#include "ets/shared_pages.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace coppice::otp {
namespace {

using pages::How;

// Ordered as its number, with a rank that is equal for all.
struct Unranked {
  int number;
  friend bool operator<(const Unranked& a, const Unranked& b) { return a.number < b.number; }
};
int number_of(int key) { return key; }
int number_of(const std::string& key) { return std::stoi(key.substr(key.find(':') + 1)); }
int number_of(const Unranked& key) { return key.number; }

void commit(Change& change) {
  change.end_step();
  for (std::size_t i = 0; i < change.replaced().size(); ++i) Change::free_node(change.replaced()[i]);
  change.commit();
}

// The depth of all leaves, which must be the same, and that pages are full enough: all but those at the right edge.
int checked_depth(Link link, bool edge, bool root) {
  if (link == no_link) return 0;
  const Page& page = page_of(link);
  EXPECT_LE(page.count, 31u);
  EXPECT_GE(page.count, 1u);
  if (!edge && !root) {
    EXPECT_GE(page.count, 15u);
  }
  if (!page.inner) return 1;
  const int depth = checked_depth(load(page.children()[0]), false, false);
  for (std::uint32_t i = 1; i <= page.count; ++i) {
    EXPECT_EQ(checked_depth(load(page.children()[i]), edge && i == page.count, false), depth);
  }
  return depth + 1;
}

template <class Key>
class Model {
 public:
  using Object = detail::ObjectOf<Key, int>;
  explicit Model(Key (*key_for)(int)) : key_for_(key_for) {}
  ~Model() { Change::free_all(load(root_)); }

  void put(int number, int value, How how) {
    const SharedObject* fresh = detail::new_object<Key, int>(key_for_(number), value);
    Change change;
    const auto found = model_.find(number);
    if (found == model_.end()) {
      make(change, pages::insert(change, root_, fresh, how));
      model_.emplace(number, fresh);
    } else {
      make(change, pages::exchange(change, root_, *found->second, fresh, how));
      found->second->release();
      found->second = fresh;
    }
  }
  void take(int number, How how) {
    const auto found = model_.find(number);
    if (found == model_.end()) return;
    Change change;
    make(change, pages::remove(change, root_, *found->second, how));
    found->second->release();
    model_.erase(found);
  }
  void check(int from, int to) {
    checked_depth(load(root_), true, true);
    auto expected = model_.begin();
    pages::for_each(load(root_), [&](const SharedObject& object) {
      EXPECT_EQ(&object, expected->second);
      ++expected;
      return true;
    });
    EXPECT_EQ(expected, model_.end());
    EXPECT_EQ(pages::first(load(root_)), model_.empty() ? nullptr : model_.begin()->second);
    EXPECT_EQ(pages::last(load(root_)), model_.empty() ? nullptr : model_.rbegin()->second);
    for (int number = from; number <= to; ++number) {
      const Key key = key_for_(number);
      const auto above = model_.upper_bound(number);
      const auto below = model_.lower_bound(number);
      const bool there = below != model_.end() && below->first == number;
      const auto compare = [&](const SharedObject& o) { return number - number_of(static_cast<const Object&>(o).key); };
      const pages::Position position{detail::rank_key(key), compare};
      EXPECT_EQ(pages::after(load(root_), position), above == model_.end() ? nullptr : above->second);
      EXPECT_EQ(pages::before(load(root_), position), below == model_.begin() ? nullptr : std::prev(below)->second);
      detail::with_probe<Key, int>(key, [&](const Probe& probe) {
        EXPECT_EQ(pages::find(load(root_), probe), there ? below->second : nullptr);
      });
    }
  }
  [[nodiscard]] bool empty() const { return load(root_) == no_link; }

 private:
  void make(Change& change, Swap swap) {
    swap.slot->store(swap.value);
    commit(change);
  }

  Key (*key_for_)(int);
  Slot root_{no_link};
  std::map<int, const SharedObject*> model_;
};

template <class Key>
void compare_with_a_map(Key (*key_for)(int)) {
  std::mt19937 random(3);
  Model<Key> model(key_for);
  constexpr int numbers = 2000;
  const auto how = [&] { return random() % 2 == 0 ? How::in_place : How::beside; };
  for (int phase = 0; phase < 4; ++phase) {
    for (int step = 0; step < 6000; ++step) {
      const int number = 1000 + static_cast<int>(random() % numbers);
      // Grows in the even phases, shrinks in the odd ones.
      if (random() % 4 < (phase % 2 == 0 ? 3u : 1u)) {
        model.put(number, step, how());
      } else {
        model.take(number, how());
      }
      if (step % 1000 == 0) model.check(990, 1000 + numbers);
    }
  }
  model.check(990, 1000 + numbers);
  for (int number = 1000; number < 1000 + numbers; ++number) model.take(number, how());
  EXPECT_TRUE(model.empty());
}

TEST(SharedPages, integers_do_what_they_do_in_a_map) {
  compare_with_a_map<int>([](int number) { return number; });
}
TEST(SharedPages, strings_of_which_many_begin_alike_do_what_they_do_in_a_map) {
  compare_with_a_map<std::string>([](int number) {
    return std::string(1, static_cast<char>('a' + number / 500)) + "longer:" + std::to_string(number);
  });
}
TEST(SharedPages, keys_without_ranks_do_what_they_do_in_a_map) {
  compare_with_a_map<Unranked>([](int number) { return Unranked{number}; });
}

TEST(SharedPages, keys_that_come_in_order_fill_the_pages_and_leave_them_in_any_order) {
  for (const bool backwards : {false, true}) {
    Model<int> model([](int number) { return number; });
    for (int number = 0; number < 3000; ++number) model.put(number, number, How::in_place);
    model.check(-2, 3002);
    for (int i = 0; i < 3000; ++i) {
      model.take(backwards ? 2999 - i : i, How::in_place);
      if (i % 500 == 0) model.check(-2, 3002);
    }
    EXPECT_TRUE(model.empty());
  }
}

// One change of many steps, of which only the last root counts: what it makes on the way it frees itself.
TEST(SharedPages, a_change_of_many_steps_keeps_only_what_is_left_of_it) {
  using Object = detail::ObjectOf<int, int>;
  Slot root(no_link);
  Change change;
  for (int number = 0; number < 5000; ++number) {
    const Swap swap = pages::insert(change, root, detail::new_object<int, int>(number * 7919 % 5000, 0), How::beside);
    EXPECT_EQ(swap.slot, &root);
    root.store(swap.value);
    change.end_step();
  }
  EXPECT_EQ(change.replaced().size(), 0u);
  EXPECT_LT(change.bytes(), 5000 * 64);
  change.commit();
  int next = 0;
  pages::for_each(load(root), [&](const SharedObject& object) {
    const int key = static_cast<const Object&>(object).key;
    EXPECT_EQ(key, next++);
    return true;
  });
  EXPECT_EQ(next, 5000);
  Change::free_all(load(root));
}

TEST(SharedPages, ranks_do_not_fall_as_keys_grow) {
  using detail::rank_key;
  EXPECT_LT(rank_key(-1), rank_key(0));
  EXPECT_LT(rank_key(std::int64_t{-5}), rank_key(std::int64_t{-4}));
  EXPECT_LT(rank_key(std::uint64_t{1} << 63), rank_key(~std::uint64_t{0}));
  EXPECT_LT(rank_key(std::string("ab")), rank_key(std::string("b")));
  EXPECT_LT(rank_key(std::string("a")), rank_key(std::string("\xff")));
  EXPECT_LE(rank_key(std::string()), rank_key(std::string(1, '\0')));
  EXPECT_EQ(rank_key(std::string("abcdefghX")), rank_key(std::string_view("abcdefghY")));
}

}  // namespace
}  // namespace coppice::otp
