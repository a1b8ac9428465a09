// SPDX-License-Identifier: Apache-2.0
#include "ets/shared_tree.hpp"

namespace coppice::otp {

int by_sequence(const SharedObject& a, const SharedObject& b) {
  return a.sequence < b.sequence ? -1 : a.sequence > b.sequence ? 1 : 0;
}

namespace tree {
namespace {

std::uint32_t height(const TreeNode* node) noexcept { return node == nullptr ? 0 : node->height; }

// A node over two trees whose heights differ by two at most: rotates where they do.
const TreeNode* balanced(Change& change, const TreeNode* left, const SharedObject* object, const TreeNode* right) {
  if (height(left) > height(right) + 1) {
    change.replace(left);
    if (height(left->left) >= height(left->right)) {
      return change.make_tree(left->left, left->object, change.make_tree(left->right, object, right));
    }
    const TreeNode* middle = left->right;
    change.replace(middle);
    return change.make_tree(change.make_tree(left->left, left->object, middle->left), middle->object,
                            change.make_tree(middle->right, object, right));
  }
  if (height(right) > height(left) + 1) {
    change.replace(right);
    if (height(right->right) >= height(right->left)) {
      return change.make_tree(change.make_tree(left, object, right->left), right->object, right->right);
    }
    const TreeNode* middle = right->left;
    change.replace(middle);
    return change.make_tree(change.make_tree(left, object, middle->left), middle->object,
                            change.make_tree(middle->right, right->object, right->right));
  }
  return change.make_tree(left, object, right);
}

const TreeNode* remove_first(Change& change, const TreeNode* node, const SharedObject*& taken) {
  change.replace(node);
  if (node->left == nullptr) {
    taken = node->object;
    return node->right;
  }
  const TreeNode* left = remove_first(change, node->left, taken);
  return balanced(change, left, node->object, node->right);
}

}  // namespace

const TreeNode* insert(Change& change, const TreeNode* node, const SharedObject* object, Order order) {
  if (node == nullptr) return change.make_tree(nullptr, object, nullptr);
  change.replace(node);
  if (order(*object, *node->object) < 0) {
    const TreeNode* left = insert(change, node->left, object, order);
    return balanced(change, left, node->object, node->right);
  }
  const TreeNode* right = insert(change, node->right, object, order);
  return balanced(change, node->left, node->object, right);
}

const TreeNode* remove(Change& change, const TreeNode* node, const SharedObject& object, Order order) {
  if (node == nullptr) return nullptr;
  change.replace(node);
  const int side = order(object, *node->object);
  if (side < 0) {
    const TreeNode* left = remove(change, node->left, object, order);
    return balanced(change, left, node->object, node->right);
  }
  if (side > 0) {
    const TreeNode* right = remove(change, node->right, object, order);
    return balanced(change, node->left, node->object, right);
  }
  if (node->left == nullptr) return node->right;
  if (node->right == nullptr) return node->left;
  const SharedObject* successor = nullptr;
  const TreeNode* right = remove_first(change, node->right, successor);
  return balanced(change, node->left, successor, right);
}

const TreeNode* exchange(Change& change, const TreeNode* node, const SharedObject& old, const SharedObject* object,
                         Order order) {
  if (node == nullptr) return nullptr;
  change.replace(node);
  const int side = order(old, *node->object);
  if (side < 0) return change.make_tree(exchange(change, node->left, old, object, order), node->object, node->right);
  if (side > 0) return change.make_tree(node->left, node->object, exchange(change, node->right, old, object, order));
  return change.make_tree(node->left, object, node->right);
}

const SharedObject* first(const TreeNode* node) {
  while (node != nullptr && node->left != nullptr) node = node->left;
  return node == nullptr ? nullptr : node->object;
}

const SharedObject* after(const TreeNode* node, FunctionRef<int(const SharedObject&)> compare) {
  const SharedObject* best = nullptr;
  while (node != nullptr) {
    if (compare(*node->object) < 0) {
      best = node->object;
      node = node->left;
    } else {
      node = node->right;
    }
  }
  return best;
}

bool for_each(const TreeNode* node, FunctionRef<bool(const SharedObject&)> see) {
  if (node == nullptr) return true;
  return for_each(node->left, see) && see(*node->object) && for_each(node->right, see);
}

}  // namespace tree

namespace leaf {

Link insert(Change& change, Link leaf, const SharedObject* object) {
  if (leaf == no_link) return link_to(object);
  const TreeNode* group =
      kind_of(leaf) == kind_tree ? tree_of(leaf) : change.make_tree(nullptr, object_of(leaf), nullptr);
  return link_to(tree::insert(change, group, object, by_sequence));
}

Link remove(Change& change, Link leaf, const SharedObject& object) {
  if (kind_of(leaf) == kind_object) return no_link;
  const TreeNode* rest = tree::remove(change, tree_of(leaf), object, by_sequence);
  if (rest->height > 1) return link_to(rest);
  change.replace(rest);
  return link_to(rest->object);
}

Link exchange(Change& change, Link leaf, const SharedObject& old, const SharedObject* object) {
  if (kind_of(leaf) == kind_object) return link_to(object);
  return link_to(tree::exchange(change, tree_of(leaf), old, object, by_sequence));
}

const SharedObject* first(Link leaf) {
  return kind_of(leaf) == kind_object ? object_of(leaf) : tree::first(tree_of(leaf));
}

const SharedObject* after(Link leaf, std::uint64_t sequence) {
  if (leaf == no_link) return nullptr;
  if (kind_of(leaf) == kind_object) return object_of(leaf)->sequence > sequence ? object_of(leaf) : nullptr;
  return tree::after(tree_of(leaf), [&](const SharedObject& object) {
    return sequence < object.sequence ? -1 : sequence > object.sequence ? 1 : 0;
  });
}

bool for_each(Link leaf, FunctionRef<bool(const SharedObject&)> see) {
  if (leaf == no_link) return true;
  return kind_of(leaf) == kind_object ? see(*object_of(leaf)) : tree::for_each(tree_of(leaf), see);
}

bool for_key(Link leaf, const Probe& probe, FunctionRef<bool(const SharedObject&)> see) {
  const auto see_match = [&](const SharedObject& object) { return !matches(probe, object) || see(object); };
  return for_each(leaf, see_match);
}

const SharedObject* find(Link leaf, const Probe& probe) {
  const SharedObject* found = nullptr;
  (void)for_key(leaf, probe, [&](const SharedObject& object) {
    found = &object;
    return false;
  });
  return found;
}

}  // namespace leaf

}  // namespace coppice::otp
