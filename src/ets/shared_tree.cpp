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

}  // namespace coppice::otp
