// SPDX-License-Identifier: Apache-2.0
//
// The immutable tree of objects of one hash, against std::map.
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

TEST(SharedTree, what_was_not_committed_leaves_the_old_leaf_whole) {
  Link leaf = no_link;
  for (int key = 0; key < 50; ++key) {
    Change change;
    SharedObject* object = detail::new_object<int, int>(key, key);
    object->sequence = static_cast<std::uint64_t>(key);
    leaf = leaf::insert(change, leaf, object);
    commit(change);
  }
  detail::ObjectRef extra(detail::new_object<int, int>(99, 99));
  const_cast<SharedObject&>(*extra).sequence = 99;
  {
    Change change;
    Link other = leaf::insert(change, leaf, extra.get());
    other = leaf::remove(change, other, *leaf::first(other));
    (void)other;
  }
  std::set<int> keys;
  leaf::for_each(leaf, [&](const SharedObject& object) { return keys.insert(key_of(object)).second; });
  EXPECT_EQ(keys.size(), 50u);
  EXPECT_EQ(key_of(*leaf::after(leaf, 10)), 11);
  Change::free_all(leaf);
}

}  // namespace
}  // namespace coppice::otp
