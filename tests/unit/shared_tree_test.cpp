// SPDX-License-Identifier: Apache-2.0
//
// The immutable tree and trie under shared tables, against std::map, with hashes that collide and share prefixes.
#include "ets/shared_tree.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace coppice::otp {
namespace {

using Object = detail::ObjectOf<int, int>;

int key_of(const SharedObject& object) { return static_cast<const Object&>(object).key; }
int compare_key(const SharedObject& a, const SharedObject& b) { return a.ops->compare(a, b); }

// Counts nodes that were committed away, frees them, and checks the balance.
void commit(Change& change) {
  change.end_step();
  for (std::size_t i = 0; i < change.replaced().size(); ++i) Change::free_node(change.replaced()[i]);
  change.commit();
}

std::uint32_t checked_height(const TreeNode* node) {
  if (node == nullptr) return 0;
  const std::uint32_t left = checked_height(node->left);
  const std::uint32_t right = checked_height(node->right);
  EXPECT_LE(std::max(left, right) - std::min(left, right), 1u);
  EXPECT_EQ(node->height, 1 + std::max(left, right));
  return node->height;
}

TEST(SharedTree, a_tree_of_keys_does_what_a_map_does_and_stays_balanced) {
  std::mt19937 random(1);
  std::map<int, const SharedObject*> model;
  const TreeNode* root = nullptr;
  for (int step = 0; step < 4000; ++step) {
    const int key = static_cast<int>(random() % 300);
    Change change;
    const auto found = model.find(key);
    if (found == model.end()) {
      const SharedObject* object = detail::new_object<int, int>(key, step);
      root = tree::insert(change, root, object, compare_key);
      model.emplace(key, object);
    } else if (random() % 2 == 0) {
      root = tree::remove(change, root, *found->second, compare_key);
      found->second->release();
      model.erase(found);
    } else {
      const SharedObject* object = detail::new_object<int, int>(key, step);
      root = tree::exchange(change, root, *found->second, object, compare_key);
      found->second->release();
      found->second = object;
    }
    commit(change);
    if (step % 100 == 0) checked_height(root);
  }
  std::vector<const SharedObject*> seen;
  tree::for_each(root, [&](const SharedObject& object) {
    seen.push_back(&object);
    return true;
  });
  ASSERT_EQ(seen.size(), model.size());
  std::size_t i = 0;
  for (const auto& [key, object] : model) EXPECT_EQ(seen[i++], object);
  for (int key = -1; key <= 300; ++key) {
    const auto position = [&](const SharedObject& object) { return key - key_of(object); };
    const auto above = model.upper_bound(key);
    EXPECT_EQ(tree::after(root, position), above == model.end() ? nullptr : above->second);
  }
  Change::free_all(link_to(root));
}

// Hashes of few kinds: equal ones, ones that differ in the last bits or in the first.
std::uint64_t hash_for(std::uint32_t number) {
  static constexpr std::uint64_t bases[] = {0, 0x8000000000000000ULL, 0x0123456789abcdefULL, ~std::uint64_t{0}};
  return bases[number % 4] ^ (number / 4 % 16);
}

TEST(SharedTree, a_trie_keeps_objects_in_the_order_of_hash_and_insertion) {
  std::mt19937 random(2);
  std::map<std::pair<std::uint64_t, std::uint64_t>, const SharedObject*> model;
  Link root = no_link;
  std::uint64_t sequence = 0;
  for (int step = 0; step < 6000; ++step) {
    Change change;
    if (model.size() < 5 || random() % 2 == 0) {
      SharedObject* object = detail::new_object<int, int>(step, step);
      object->hash = hash_for(static_cast<std::uint32_t>(random()));
      object->sequence = ++sequence;
      root = trie::insert(change, root, object);
      model.emplace(std::pair(object->hash, object->sequence), object);
    } else {
      auto at = std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
      if (random() % 4 == 0) {
        SharedObject* object = detail::new_object<int, int>(step, step);
        object->hash = at->second->hash;
        object->sequence = at->second->sequence;
        root = trie::exchange(change, root, *at->second, object);
        at->second->release();
        at->second = object;
      } else {
        root = trie::remove(change, root, *at->second);
        at->second->release();
        model.erase(at);
      }
    }
    commit(change);
    if (step % 200 != 0) continue;
    std::vector<const SharedObject*> walked;
    for (const SharedObject* o = trie::first(root); o != nullptr; o = trie::after(root, o->hash, o->sequence)) {
      walked.push_back(o);
    }
    std::size_t i = 0;
    ASSERT_EQ(walked.size(), model.size());
    for (const auto& [position, object] : model) EXPECT_EQ(walked[i++], object);
  }
  while (!model.empty()) {
    Change change;
    root = trie::remove(change, root, *model.begin()->second);
    model.begin()->second->release();
    model.erase(model.begin());
    commit(change);
  }
  EXPECT_EQ(root, no_link);
}

// The same in place: by one store to one slot each, under a top that stays.
TEST(SharedTree, a_trie_that_is_changed_in_place_keeps_the_same_order) {
  std::mt19937 random(4);
  std::map<std::pair<std::uint64_t, std::uint64_t>, const SharedObject*> model;
  Slot root(no_link);
  {
    Change change;
    root.store(trie::make_top(change));
    change.commit();
  }
  std::uint64_t sequence = 0;
  // Adds a random object, or removes or exchanges the one at `at`.
  const auto step = [&](bool adds, std::uint64_t hash) {
    Change change;
    auto at = model.end();
    if (!adds) {
      at = std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()));
      hash = at->first.first;
    }
    const trie::Place place = trie::find_place(root, hash);
    Link leaf = trie::leaf_in(place, hash);
    SharedObject* object = nullptr;
    if (adds || random() % 4 == 0) {
      object = detail::new_object<int, int>(1, 1);
      object->hash = hash;
      object->sequence = adds ? ++sequence : at->second->sequence;
    }
    const SharedObject* gone = adds ? nullptr : at->second;
    if (adds) {
      leaf = trie::insert(change, leaf, object);
      model.emplace(std::pair(hash, object->sequence), object);
    } else if (object != nullptr) {
      leaf = trie::exchange(change, leaf, *gone, object);
      at->second = object;
    } else {
      leaf = trie::remove(change, leaf, *gone);
      model.erase(at);
    }
    const Swap swap = trie::put(change, place, hash, leaf);
    swap.slot->store(swap.value);
    commit(change);
    if (gone != nullptr) gone->release();
  };
  const auto check = [&] {
    std::size_t count = 0;
    auto expected = model.begin();
    for (const SharedObject* o = trie::first(load(root)); o != nullptr;
         o = trie::after(load(root), o->hash, o->sequence)) {
      ASSERT_NE(expected, model.end());
      EXPECT_EQ(o, (expected++)->second);
      ++count;
    }
    EXPECT_EQ(count, model.size());
  };
  // Hashes that collide or share long prefixes, then ones that fill branches until they are fans.
  for (int i = 0; i < 6000; ++i) {
    step(model.size() < 5 || random() % 2 == 0, hash_for(static_cast<std::uint32_t>(random())));
    if (i % 500 == 0) check();
  }
  for (std::uint64_t i = 0; i < 4000; ++i) step(true, (i * 0x9e3779b97f4a7c15ULL) & 0xfff0000000000000ULL);
  check();
  while (model.size() > 1) step(false, 0);
  check();
  while (!model.empty()) step(false, 0);
  EXPECT_EQ(trie::first(load(root)), nullptr);
  for (std::uint32_t i = 0; i < 32; ++i) EXPECT_EQ(load(branch_of(load(root)).children()[i]), no_link);
  Change::free_all(load(root));
}

TEST(SharedTree, what_was_not_committed_leaves_the_old_structure_whole) {
  Link root = no_link;
  for (int key = 0; key < 50; ++key) {
    Change change;
    root = trie::insert(change, root, detail::new_object<int, int>(key, key));
    commit(change);
  }
  const detail::ObjectRef extra(detail::new_object<int, int>(99, 99));
  {
    Change change;
    Link other = trie::insert(change, root, extra.get());
    other = trie::remove(change, other, *trie::first(other));
    (void)other;
  }
  std::set<int> keys;
  trie::for_each(root, [&](const SharedObject& object) { return keys.insert(key_of(object)).second; });
  EXPECT_EQ(keys.size(), 50u);
  Change::free_all(root);
}

}  // namespace
}  // namespace coppice::otp
