// SPDX-License-Identifier: Apache-2.0
#include "ets/shared_tree.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <new>

namespace coppice::otp {
namespace {

// -- links: objects, trees and branches are aligned to 8 bytes at least

constexpr Link kind_bits = 3;
constexpr Link kind_object = 0;
constexpr Link kind_branch = 1;
constexpr Link kind_tree = 2;

struct Branch {
  std::uint32_t bitmap;
  std::uint32_t count;
  [[nodiscard]] Link* children() noexcept { return reinterpret_cast<Link*>(this + 1); }
  [[nodiscard]] const Link* children() const noexcept { return reinterpret_cast<const Link*>(this + 1); }
  [[nodiscard]] static std::size_t bytes(std::uint32_t count) noexcept { return sizeof(Branch) + count * sizeof(Link); }
};
static_assert(sizeof(Branch) % alignof(Link) == 0);

Link kind_of(Link link) noexcept { return link & kind_bits; }
const SharedObject* object_of(Link link) noexcept { return reinterpret_cast<const SharedObject*>(link); }
const TreeNode* tree_of(Link link) noexcept { return reinterpret_cast<const TreeNode*>(link & ~kind_bits); }
const Branch* branch_of(Link link) noexcept { return reinterpret_cast<const Branch*>(link & ~kind_bits); }
Link link_to(const SharedObject* object) noexcept { return reinterpret_cast<Link>(object); }

// Room for one more before the node is made: noting it must not fail.
void make_room(std::vector<Link>& links) {
  if (links.size() == links.capacity()) links.reserve(links.empty() ? 16 : links.size() * 2);
}

std::size_t bytes_of(Link link) noexcept {
  if (kind_of(link) == kind_tree) return sizeof(TreeNode);
  return Branch::bytes(branch_of(link)->count);
}

}  // namespace

// -- Change -----------------------------------------------------------------------------------------------------------

Link Change::tree_link(const TreeNode* node) noexcept {
  return node == nullptr ? no_link : reinterpret_cast<Link>(node) | kind_tree;
}

Change::~Change() {
  for (const Link node : fresh_) free_node(node);
}

const TreeNode* Change::make_tree(const TreeNode* left, const SharedObject* object, const TreeNode* right) {
  const std::uint32_t height = 1 + std::max(left ? left->height : 0, right ? right->height : 0);
  make_room(fresh_);
  const auto* node = new TreeNode{left, right, object, height};
  fresh_.push_back(tree_link(node));
  return node;
}

Link Change::make_branch(std::uint32_t bitmap, const Link* children) {
  const auto count = static_cast<std::uint32_t>(std::popcount(bitmap));
  make_room(fresh_);
  auto* branch = ::new (::operator new(Branch::bytes(count))) Branch{bitmap, count};
  std::copy_n(children, count, branch->children());
  const Link link = reinterpret_cast<Link>(branch) | kind_branch;
  fresh_.push_back(link);
  return link;
}

void Change::free_node(Link node) noexcept {
  if (kind_of(node) == kind_tree) {
    delete tree_of(node);
  } else {
    ::operator delete(const_cast<Branch*>(branch_of(node)));
  }
}

void Change::free_all(Link root) noexcept {
  if (root == no_link) return;
  switch (kind_of(root)) {
    case kind_object: object_of(root)->release(); return;
    case kind_tree: {
      const TreeNode* node = tree_of(root);
      free_all(tree_link(node->left));
      free_all(tree_link(node->right));
      node->object->release();
      break;
    }
    default: {
      const Branch* branch = branch_of(root);
      for (std::uint32_t i = 0; i < branch->count; ++i) free_all(branch->children()[i]);
    }
  }
  free_node(root);
}

std::vector<Link> Change::commit() {
  fresh_.clear();
  return std::move(replaced_);
}

std::ptrdiff_t Change::bytes() const noexcept {
  std::ptrdiff_t sum = 0;
  for (const Link node : fresh_) sum += static_cast<std::ptrdiff_t>(bytes_of(node));
  for (const Link node : replaced_) sum -= static_cast<std::ptrdiff_t>(bytes_of(node));
  return sum;
}

int by_sequence(const SharedObject& a, const SharedObject& b) {
  return a.sequence < b.sequence ? -1 : a.sequence > b.sequence ? 1 : 0;
}

// -- Tree -------------------------------------------------------------------------------------------------------------

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

const SharedObject* find(const TreeNode* node, const Probe& probe) {
  while (node != nullptr) {
    const int side = probe.compare(probe.key, *node->object);
    if (side == 0) return node->object;
    node = side < 0 ? node->left : node->right;
  }
  return nullptr;
}

const SharedObject* first(const TreeNode* node) {
  while (node != nullptr && node->left != nullptr) node = node->left;
  return node == nullptr ? nullptr : node->object;
}

const SharedObject* last(const TreeNode* node) {
  while (node != nullptr && node->right != nullptr) node = node->right;
  return node == nullptr ? nullptr : node->object;
}

const SharedObject* after(const TreeNode* node, Position compare) {
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

const SharedObject* before(const TreeNode* node, Position compare) {
  const SharedObject* best = nullptr;
  while (node != nullptr) {
    if (compare(*node->object) > 0) {
      best = node->object;
      node = node->right;
    } else {
      node = node->left;
    }
  }
  return best;
}

bool for_each(const TreeNode* node, FunctionRef<bool(const SharedObject&)> see) {
  if (node == nullptr) return true;
  return for_each(node->left, see) && see(*node->object) && for_each(node->right, see);
}

}  // namespace tree

// -- Trie -------------------------------------------------------------------------------------------------------------

namespace trie {
namespace {

// Levels take five bits each from the highest down; the last one has four left.
constexpr int first_shift = 59;
constexpr std::uint32_t index_at(std::uint64_t hash, int shift) noexcept {
  return static_cast<std::uint32_t>(shift >= 0 ? hash >> shift : hash << -shift) & 31u;
}
constexpr std::uint32_t bit_at(std::uint64_t hash, int shift) noexcept { return 1u << index_at(hash, shift); }
std::uint32_t place(std::uint32_t bitmap, std::uint32_t bit) noexcept {
  return static_cast<std::uint32_t>(std::popcount(bitmap & (bit - 1)));
}

std::uint64_t hash_of(Link link) noexcept {
  return kind_of(link) == kind_object ? object_of(link)->hash : tree_of(link)->object->hash;
}

// A branch, or a chain of them, that tells two leaves of different hashes apart.
Link join(Change& change, Link a, Link b, int shift) {
  const std::uint32_t bit_a = bit_at(hash_of(a), shift);
  const std::uint32_t bit_b = bit_at(hash_of(b), shift);
  if (bit_a == bit_b) {
    const Link below = join(change, a, b, shift - 5);
    return change.make_branch(bit_a, &below);
  }
  const Link children[] = {bit_a < bit_b ? a : b, bit_a < bit_b ? b : a};
  return change.make_branch(bit_a | bit_b, children);
}

// The branch with another child in the place of one; none takes it out.
Link with_child(Change& change, Link link, std::uint32_t bit, Link child) {
  const Branch& branch = *branch_of(link);
  std::array<Link, 32> children;
  const std::uint32_t at = place(branch.bitmap, bit);
  const bool had = (branch.bitmap & bit) != 0;
  auto out = std::copy_n(branch.children(), at, children.begin());
  if (child != no_link) *out++ = child;
  std::copy_n(branch.children() + at + had, branch.count - at - had, out);
  change.replace(link);
  const std::uint32_t bitmap = child != no_link ? branch.bitmap | bit : branch.bitmap & ~bit;
  if (bitmap == 0) return no_link;
  if (std::has_single_bit(bitmap) && kind_of(children[0]) != kind_branch) return children[0];
  return change.make_branch(bitmap, children.data());
}

Link insert_at(Change& change, Link link, const SharedObject* object, int shift) {
  if (link == no_link) return link_to(object);
  if (kind_of(link) == kind_branch) {
    const Branch& branch = *branch_of(link);
    const std::uint32_t bit = bit_at(object->hash, shift);
    const Link child = (branch.bitmap & bit) != 0 ? branch.children()[place(branch.bitmap, bit)] : no_link;
    return with_child(change, link, bit, insert_at(change, child, object, shift - 5));
  }
  if (hash_of(link) != object->hash) return join(change, link, link_to(object), shift);
  const TreeNode* group =
      kind_of(link) == kind_tree ? tree_of(link) : change.make_tree(nullptr, object_of(link), nullptr);
  return Change::tree_link(tree::insert(change, group, object, by_sequence));
}

Link remove_at(Change& change, Link link, const SharedObject& object, int shift) {
  switch (kind_of(link)) {
    case kind_object: return no_link;
    case kind_tree: {
      const TreeNode* rest = tree::remove(change, tree_of(link), object, by_sequence);
      if (rest->height > 1) return Change::tree_link(rest);
      change.replace(rest);
      return link_to(rest->object);
    }
    default: {
      const Branch& branch = *branch_of(link);
      const std::uint32_t bit = bit_at(object.hash, shift);
      const Link child = branch.children()[place(branch.bitmap, bit)];
      return with_child(change, link, bit, remove_at(change, child, object, shift - 5));
    }
  }
}

Link exchange_at(Change& change, Link link, const SharedObject& old, const SharedObject* object, int shift) {
  switch (kind_of(link)) {
    case kind_object: return link_to(object);
    case kind_tree: return Change::tree_link(tree::exchange(change, tree_of(link), old, object, by_sequence));
    default: {
      const Branch& branch = *branch_of(link);
      const std::uint32_t bit = bit_at(old.hash, shift);
      const Link child = branch.children()[place(branch.bitmap, bit)];
      return with_child(change, link, bit, exchange_at(change, child, old, object, shift - 5));
    }
  }
}

// The leaf where objects of that hash stand, or none.
Link leaf_for(Link link, std::uint64_t hash) noexcept {
  for (int shift = first_shift; link != no_link && kind_of(link) == kind_branch; shift -= 5) {
    const Branch& branch = *branch_of(link);
    const std::uint32_t bit = bit_at(hash, shift);
    if ((branch.bitmap & bit) == 0) return no_link;
    link = branch.children()[place(branch.bitmap, bit)];
  }
  return link;
}

const SharedObject* after_at(Link link, std::uint64_t hash, std::uint64_t sequence, int shift) {
  if (link == no_link) return nullptr;
  if (kind_of(link) != kind_branch) {
    if (hash_of(link) > hash) return first(link);
    if (hash_of(link) < hash) return nullptr;
    if (kind_of(link) == kind_object) return object_of(link)->sequence > sequence ? object_of(link) : nullptr;
    return tree::after(tree_of(link), [&](const SharedObject& object) {
      return sequence < object.sequence ? -1 : sequence > object.sequence ? 1 : 0;
    });
  }
  const Branch& branch = *branch_of(link);
  const std::uint32_t bit = bit_at(hash, shift);
  std::uint32_t at = place(branch.bitmap, bit);
  if ((branch.bitmap & bit) != 0) {
    if (const SharedObject* found = after_at(branch.children()[at], hash, sequence, shift - 5)) return found;
    ++at;
  }
  return at < branch.count ? first(branch.children()[at]) : nullptr;
}

}  // namespace

Link insert(Change& change, Link root, const SharedObject* object) {
  return insert_at(change, root, object, first_shift);
}
Link remove(Change& change, Link root, const SharedObject& object) {
  return remove_at(change, root, object, first_shift);
}
Link exchange(Change& change, Link root, const SharedObject& old, const SharedObject* object) {
  return exchange_at(change, root, old, object, first_shift);
}

bool for_key(Link root, const Probe& probe, FunctionRef<bool(const SharedObject&)> see) {
  const Link leaf = leaf_for(root, probe.hash);
  if (leaf == no_link || hash_of(leaf) != probe.hash) return true;
  const auto see_match = [&](const SharedObject& object) { return !probe.matches(probe.key, object) || see(object); };
  return kind_of(leaf) == kind_object ? see_match(*object_of(leaf)) : tree::for_each(tree_of(leaf), see_match);
}

const SharedObject* find(Link root, const Probe& probe) {
  const SharedObject* found = nullptr;
  for_key(root, probe, [&](const SharedObject& object) {
    found = &object;
    return false;
  });
  return found;
}

const SharedObject* first(Link link) {
  while (kind_of(link) == kind_branch) link = branch_of(link)->children()[0];
  if (link == no_link) return nullptr;
  return kind_of(link) == kind_object ? object_of(link) : tree::first(tree_of(link));
}

const SharedObject* after(Link root, std::uint64_t hash, std::uint64_t sequence) {
  return after_at(root, hash, sequence, first_shift);
}

bool for_each(Link link, FunctionRef<bool(const SharedObject&)> see) {
  if (link == no_link) return true;
  switch (kind_of(link)) {
    case kind_object: return see(*object_of(link));
    case kind_tree: return tree::for_each(tree_of(link), see);
    default: {
      const Branch& branch = *branch_of(link);
      for (std::uint32_t i = 0; i < branch.count; ++i) {
        if (!for_each(branch.children()[i], see)) return false;
      }
      return true;
    }
  }
}

}  // namespace trie
}  // namespace coppice::otp
