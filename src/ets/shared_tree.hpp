// SPDX-License-Identifier: Apache-2.0
//
// Search structures over the objects of one hash. What is here only computes: which nodes make up the structure after a
// change, beside the old one, which stays as it is. Who may do so, and when others see it, is shared_store.hpp's.
//
//   Tree   an immutable balanced binary tree (AVL) in the order of a comparison: of insertion.
//   leaf   all objects of one hash: nothing, an object, or a tree of several.
#pragma once

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

namespace leaf {
[[nodiscard]] inline std::uint64_t hash_of(Link leaf) noexcept {
  return kind_of(leaf) == kind_object ? object_of(leaf)->hash : tree_of(leaf)->object->hash;
}
[[nodiscard]] Link insert(Change&, Link, const SharedObject*);
[[nodiscard]] Link remove(Change&, Link, const SharedObject&);
[[nodiscard]] Link exchange(Change&, Link, const SharedObject& old, const SharedObject*);
[[nodiscard]] const SharedObject* first(Link);
[[nodiscard]] const SharedObject* after(Link, std::uint64_t sequence);
// Oldest first; stops when `see` returns false.
bool for_each(Link, FunctionRef<bool(const SharedObject&)> see);
// Those whose key matches.
bool for_key(Link, const Probe&, FunctionRef<bool(const SharedObject&)> see);
[[nodiscard]] const SharedObject* find(Link, const Probe&);
}  // namespace leaf

}  // namespace coppice::otp
