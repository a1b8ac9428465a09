// SPDX-License-Identifier: Apache-2.0
//
// A B-tree over shared objects in the order of their keys. Pages hold up to 31 objects and, but for the lowest, the
// pages between them. Beside each object stands its rank, a number that is never greater than that of a later key
// (shared_object.hpp): a search reads numbers that lie together, and looks at keys only where ranks are equal.
//
// As in shared_tree.hpp, what is here only computes. A change ends in one store to one slot: of a page, of an object,
// or of the root. Objects move between pages only within what that store replaces, so that a reader, who loads each slot
// once, comes across each object once, whatever is stored meanwhile. Everything but the root and the last page of each
// level is at least half full.
#pragma once

#include "ets/shared_tree.hpp"

namespace coppice::otp::pages {

// A position among the keys: `compare` compares it with an object's, position to object.
struct Position {
  std::uint64_t rank;
  FunctionRef<int(const SharedObject&)> compare;
  bool exact = false;  // the rank alone tells
};

[[nodiscard]] const SharedObject* find(Link root, const Probe& probe);
[[nodiscard]] const SharedObject* first(Link root);
[[nodiscard]] const SharedObject* last(Link root);
// The nearest object behind (before) a position.
[[nodiscard]] const SharedObject* after(Link root, const Position&);
[[nodiscard]] const SharedObject* before(Link root, const Position&);
// In order; stops when `see` returns false.
bool for_each(Link root, FunctionRef<bool(const SharedObject&)> see);

// How a change is to be seen: by the nearest slot that can be stored to, or beside the old structure, as a new root.
enum class How : bool { in_place, beside };

// The store to be made; beside, it is one to the root. An inserted object must differ from all others, the others must
// be there.
[[nodiscard]] Swap insert(Change&, Slot& root, const SharedObject*, How);
[[nodiscard]] Swap remove(Change&, Slot& root, const SharedObject&, How);
[[nodiscard]] Swap exchange(Change&, Slot& root, const SharedObject& old, const SharedObject*, How);

}  // namespace coppice::otp::pages
