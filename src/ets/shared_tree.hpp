// SPDX-License-Identifier: Apache-2.0
//
// Search structures over shared objects that are hashed. What is here only computes: which nodes make up the structure
// after a change, beside the old one, which stays as it is; or which one slot of it to store anew. Who may do so, and
// when others see it, is shared_store.hpp's.
//
//   Tree   an immutable balanced binary tree (AVL) in the order of a comparison: of insertion, within one hash.
//   Trie   a tree of up to 32 branches a level over the bits of the hash, highest first; objects of one hash stand
//          together in a Tree, in the order of their insertion. A branch with more than 15 children is a fan: it has a
//          slot for each of the 32, so that children come and go without a copy of it. A fan in which 8 are left becomes
//          a small branch again, unless it is the top.
#pragma once

#include <array>

#include "ets/shared_nodes.hpp"

namespace coppice::otp {

// -- Tree. `order` compares two objects; an object that is inserted must differ from all others in that order.
using Order = int (*)(const SharedObject&, const SharedObject&);
[[nodiscard]] int by_sequence(const SharedObject& a, const SharedObject& b);
namespace tree {
[[nodiscard]] const TreeNode* insert(Change&, const TreeNode*, const SharedObject*, Order);
[[nodiscard]] const TreeNode* remove(Change&, const TreeNode*, const SharedObject&, Order);
[[nodiscard]] const TreeNode* exchange(Change&, const TreeNode*, const SharedObject& old, const SharedObject*, Order);
[[nodiscard]] const SharedObject* first(const TreeNode*);
// The nearest object behind a position, which `compare` compares with an object's: position to object.
[[nodiscard]] const SharedObject* after(const TreeNode*, FunctionRef<int(const SharedObject&)> compare);
// In order; stops when `see` returns false.
bool for_each(const TreeNode*, FunctionRef<bool(const SharedObject&)> see);
}  // namespace tree

// A store to one slot, to be made.
struct Swap {
  Slot* slot = nullptr;
  Link value = no_link;
};

// -- Trie
namespace trie {
// The root of an empty trie whose slots are to be changed in place. It stays a fan.
[[nodiscard]] Link make_top(Change&);

// Beside the old structure: the root of the new one. Below a leaf, all objects of one hash, these work as well.
[[nodiscard]] Link insert(Change&, Link, const SharedObject*);
[[nodiscard]] Link remove(Change&, Link, const SharedObject&);
[[nodiscard]] Link exchange(Change&, Link, const SharedObject& old, const SharedObject*);

// In place: where the leaf of a hash stands or would stand, under a top.
struct Place {
  struct Step {
    Slot* slot;  // from which the branch was loaded
    Link branch;
  };
  std::array<Step, 13> steps;  // the top first
  int depth = 0;
  Slot* slot = nullptr;        // from which the leaf was loaded; null: the last branch has no such child
  Link leaf = no_link;         // of another hash, maybe
};
[[nodiscard]] Place find_place(Slot& root, std::uint64_t hash) noexcept;
// The leaf of the hash, or nothing.
[[nodiscard]] Link leaf_in(const Place&, std::uint64_t hash) noexcept;
// The one store with which `leaf` stands there; nothing takes the leaf out, which must be there.
[[nodiscard]] Swap put(Change&, const Place&, std::uint64_t hash, Link leaf);

// All objects whose key matches, oldest first; stops when `see` returns false.
bool for_key(Link, const Probe&, FunctionRef<bool(const SharedObject&)> see);
[[nodiscard]] const SharedObject* find(Link, const Probe&);
// In the order of hash and insertion.
[[nodiscard]] const SharedObject* first(Link);
[[nodiscard]] const SharedObject* after(Link, std::uint64_t hash, std::uint64_t sequence);
bool for_each(Link, FunctionRef<bool(const SharedObject&)> see);
}  // namespace trie

}  // namespace coppice::otp
