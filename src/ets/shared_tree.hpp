// SPDX-License-Identifier: Apache-2.0
//
// Two immutable search structures over shared objects. A change makes new nodes along one path and leaves the old ones
// as they are, so whoever reads an old root reads a whole, unchanging table.
//
//   Tree   a balanced binary tree (AVL) in the order of a comparison: of keys, or of insertion.
//   Trie   a tree of up to 32 branches a level over the bits of the hash, highest first; objects of one hash stand
//          together in a Tree, in the order of their insertion.
//
// Pure functions over plain data. A Change notes what a sequence of changes has made and what it has replaced: on
// commit the replaced nodes are retired, on abandon the fresh ones are freed. Nothing here is atomic and nothing is
// locked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <coppice/shared_object.hpp>

namespace coppice::otp {

using detail::FunctionRef;
using detail::Probe;
using detail::SharedObject;

// A node, or nothing: a pointer with its kind in the low bits.
using Link = std::uintptr_t;
inline constexpr Link no_link = 0;

struct TreeNode {
  const TreeNode* left;
  const TreeNode* right;
  const SharedObject* object;
  std::uint32_t height;
};

class Change {
 public:
  Change() = default;
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;
  // What was not committed is undone.
  ~Change();

  const TreeNode* make_tree(const TreeNode* left, const SharedObject* object, const TreeNode* right);
  void replace(const TreeNode* node) { replaced_.push_back(tree_link(node)); }
  Link make_branch(std::uint32_t bitmap, const Link* children);
  void replace(Link branch) { replaced_.push_back(branch); }

  // Frees a node. Not its children.
  static void free_node(Link node) noexcept;
  // Frees nodes and releases objects of a whole structure.
  static void free_all(Link root) noexcept;

  // The nodes to retire; the change is made.
  [[nodiscard]] std::vector<Link> commit();
  [[nodiscard]] std::ptrdiff_t bytes() const noexcept;  // by how much the nodes have grown

  static Link tree_link(const TreeNode* node) noexcept;

 private:
  std::vector<Link> fresh_;
  std::vector<Link> replaced_;
};

// -- Tree. `order` compares two objects; an object that is inserted must differ from all others in that order.
using Order = int (*)(const SharedObject&, const SharedObject&);
[[nodiscard]] int by_sequence(const SharedObject& a, const SharedObject& b);
namespace tree {
[[nodiscard]] const TreeNode* insert(Change&, const TreeNode*, const SharedObject*, Order);
[[nodiscard]] const TreeNode* remove(Change&, const TreeNode*, const SharedObject&, Order);
[[nodiscard]] const TreeNode* exchange(Change&, const TreeNode*, const SharedObject& old, const SharedObject*, Order);
[[nodiscard]] const SharedObject* find(const TreeNode*, const Probe&);
[[nodiscard]] const SharedObject* first(const TreeNode*);
[[nodiscard]] const SharedObject* last(const TreeNode*);
// The nearest object behind (before) a position, which `compare` compares with an object's: position to object.
using Position = FunctionRef<int(const SharedObject&)>;
[[nodiscard]] const SharedObject* after(const TreeNode*, Position compare);
[[nodiscard]] const SharedObject* before(const TreeNode*, Position compare);
// In order; stops when `see` returns false.
bool for_each(const TreeNode*, FunctionRef<bool(const SharedObject&)> see);
}  // namespace tree

// -- Trie
namespace trie {
[[nodiscard]] Link insert(Change&, Link, const SharedObject*);
[[nodiscard]] Link remove(Change&, Link, const SharedObject&);
[[nodiscard]] Link exchange(Change&, Link, const SharedObject& old, const SharedObject*);
// All objects whose key matches, oldest first; stops when `see` returns false.
bool for_key(Link, const Probe&, FunctionRef<bool(const SharedObject&)> see);
[[nodiscard]] const SharedObject* find(Link, const Probe&);
// In the order of hash and insertion.
[[nodiscard]] const SharedObject* first(Link);
[[nodiscard]] const SharedObject* after(Link, std::uint64_t hash, std::uint64_t sequence);
bool for_each(Link, FunctionRef<bool(const SharedObject&)> see);
}  // namespace trie

}  // namespace coppice::otp
