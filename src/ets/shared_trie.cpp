// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ets/shared_tree.hpp"

namespace coppice::otp::trie {
namespace {

constexpr std::uint32_t width = 32;
constexpr std::uint32_t branch_max = 15;  // children: more make a fan
constexpr std::uint32_t fan_min = 9;      // fewer make it a branch again
using Children = std::array<Link, width>;

// Levels take five bits each from the highest down; the last one has four left.
constexpr int first_shift = 59;
constexpr std::uint32_t index_at(std::uint64_t hash, int shift) noexcept {
  return static_cast<std::uint32_t>(shift >= 0 ? hash >> shift : hash << -shift) & 31u;
}
constexpr std::uint32_t bit_at(std::uint64_t hash, int shift) noexcept { return 1u << index_at(hash, shift); }
// Of a fan it is the index of the bit.
std::uint32_t place_of(std::uint32_t bitmap, std::uint32_t bit) noexcept {
  return static_cast<std::uint32_t>(std::popcount(bitmap & (bit - 1)));
}

std::uint64_t hash_of(Link leaf) noexcept {
  return kind_of(leaf) == kind_object ? object_of(leaf)->hash : tree_of(leaf)->object->hash;
}

// The slot of a child, or null if a small branch has none there.
Slot* child_slot(Link link, std::uint64_t hash, int shift) noexcept {
  const Branch& branch = branch_of(link);
  if (kind_of(link) == kind_fan) return branch.children() + index_at(hash, shift);
  const std::uint32_t bit = bit_at(hash, shift);
  return (branch.bitmap & bit) != 0 ? branch.children() + place_of(branch.bitmap, bit) : nullptr;
}

// -- changing

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

// How many children a fan has but for the one at `index`.
std::uint32_t others_in(Link fan, std::uint32_t index) noexcept {
  std::uint32_t others = 0;
  for (std::uint32_t i = 0; i < width; ++i) others += i != index && load(branch_of(fan).children()[i]) != no_link;
  return others;
}

// What a node of these children, of which some are nothing, looks like: nothing, a leaf in its own place, a branch.
Link small_branch(Change& change, const Children& all) {
  Children some;
  std::uint32_t bitmap = 0;
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < width; ++i) {
    if (all[i] == no_link) continue;
    some[count++] = all[i];
    bitmap |= 1u << i;
  }
  if (count == 0) return no_link;
  if (count == 1 && !is_branch(some[0])) return some[0];
  return change.make_branch(bitmap, some.data());
}

// The branch with another child in the place of one; nothing takes it out.
Link with_child(Change& change, Link link, std::uint64_t hash, int shift, Link child) {
  const Branch& branch = branch_of(link);
  const std::uint32_t index = index_at(hash, shift);
  const bool fan = kind_of(link) == kind_fan;
  const bool shrinks =
      !fan || (child == no_link && shift != first_shift && others_in(link, index) < fan_min);
  if (!shrinks && Change::is_own(link)) {
    branch.children()[index].store(child, std::memory_order_relaxed);
    return link;
  }
  Children all{};
  const Slot* next = branch.children();
  for (std::uint32_t i = 0; i < width; ++i) {
    if ((branch.bitmap >> i & 1u) != 0) all[i] = load(*next++);
  }
  all[index] = child;
  change.replace(link);
  const auto count = static_cast<std::uint32_t>(width - std::count(all.begin(), all.end(), no_link));
  return !shrinks || count > branch_max ? change.make_fan(all.data()) : small_branch(change, all);
}

Link insert_at(Change& change, Link link, const SharedObject* object, int shift) {
  if (link == no_link) return link_to(object);
  if (is_branch(link)) {
    const Slot* slot = child_slot(link, object->hash, shift);
    const Link child = insert_at(change, slot != nullptr ? load(*slot) : no_link, object, shift - 5);
    return with_child(change, link, object->hash, shift, child);
  }
  if (hash_of(link) != object->hash) return join(change, link, link_to(object), shift);
  const TreeNode* group =
      kind_of(link) == kind_tree ? tree_of(link) : change.make_tree(nullptr, object_of(link), nullptr);
  return link_to(tree::insert(change, group, object, by_sequence));
}

Link remove_at(Change& change, Link link, const SharedObject& object, int shift) {
  if (is_branch(link)) {
    const Link child = remove_at(change, load(*child_slot(link, object.hash, shift)), object, shift - 5);
    return with_child(change, link, object.hash, shift, child);
  }
  if (kind_of(link) == kind_object) return no_link;
  const TreeNode* rest = tree::remove(change, tree_of(link), object, by_sequence);
  if (rest->height > 1) return link_to(rest);
  change.replace(rest);
  return link_to(rest->object);
}

Link exchange_at(Change& change, Link link, const SharedObject& old, const SharedObject* object, int shift) {
  if (is_branch(link)) {
    const Link child = exchange_at(change, load(*child_slot(link, old.hash, shift)), old, object, shift - 5);
    return with_child(change, link, old.hash, shift, child);
  }
  if (kind_of(link) == kind_object) return link_to(object);
  return link_to(tree::exchange(change, tree_of(link), old, object, by_sequence));
}

// -- reading

// The leaf where objects of that hash stand, or none.
Link leaf_for(Link link, std::uint64_t hash) noexcept {
  for (int shift = first_shift; is_branch(link); shift -= 5) {
    const Slot* slot = child_slot(link, hash, shift);
    if (slot == nullptr) return no_link;
    link = load(*slot);
  }
  return link;
}

const SharedObject* after_at(Link link, std::uint64_t hash, std::uint64_t sequence, int shift) {
  if (link == no_link) return nullptr;
  if (!is_branch(link)) {
    if (hash_of(link) > hash) return first(link);
    if (hash_of(link) < hash) return nullptr;
    if (kind_of(link) == kind_object) return object_of(link)->sequence > sequence ? object_of(link) : nullptr;
    return tree::after(tree_of(link), [&](const SharedObject& object) {
      return sequence < object.sequence ? -1 : sequence > object.sequence ? 1 : 0;
    });
  }
  const Branch& branch = branch_of(link);
  const std::uint32_t bit = bit_at(hash, shift);
  std::uint32_t at = place_of(branch.bitmap, bit);
  if ((branch.bitmap & bit) != 0) {
    if (const SharedObject* found = after_at(load(branch.children()[at]), hash, sequence, shift - 5)) return found;
    ++at;
  }
  for (const std::uint32_t count = branch.count(); at < count; ++at) {
    if (const SharedObject* found = first(load(branch.children()[at]))) return found;
  }
  return nullptr;
}

}  // namespace

Link make_top(Change& change) { return change.make_fan(Children{}.data()); }

Link insert(Change& change, Link root, const SharedObject* object) {
  return insert_at(change, root, object, first_shift);
}
Link remove(Change& change, Link root, const SharedObject& object) {
  return remove_at(change, root, object, first_shift);
}
Link exchange(Change& change, Link root, const SharedObject& old, const SharedObject* object) {
  return exchange_at(change, root, old, object, first_shift);
}

// -- in place

Place find_place(Slot& root, std::uint64_t hash) noexcept {
  Place place;
  place.slot = &root;
  place.leaf = load(root);
  for (int shift = first_shift; is_branch(place.leaf); shift -= 5) {
    place.steps[static_cast<std::size_t>(place.depth++)] = {place.slot, place.leaf};
    place.slot = child_slot(place.leaf, hash, shift);
    place.leaf = place.slot != nullptr ? load(*place.slot) : no_link;
  }
  return place;
}

Link leaf_in(const Place& place, std::uint64_t hash) noexcept {
  return place.leaf != no_link && hash_of(place.leaf) == hash ? place.leaf : no_link;
}

Swap put(Change& change, const Place& place, std::uint64_t hash, Link leaf) {
  const auto shift_of = [](int level) { return first_shift - 5 * level; };
  if (place.slot == nullptr) {
    const Place::Step& last = place.steps[static_cast<std::size_t>(place.depth - 1)];
    return {last.slot, with_child(change, last.branch, hash, shift_of(place.depth - 1), leaf)};
  }
  if (leaf != no_link) {
    const bool beside_another = place.leaf != no_link && hash_of(place.leaf) != hash;
    return {place.slot, beside_another ? join(change, place.leaf, leaf, shift_of(place.depth)) : leaf};
  }
  // Out of its branch; a branch in which a leaf or nothing is left goes too, and so on up.
  Swap swap{place.slot, no_link};
  for (int level = place.depth - 1; level > 0 && !is_branch(swap.value); --level) {
    const Place::Step& step = place.steps[static_cast<std::size_t>(level)];
    const bool stays =
        kind_of(step.branch) == kind_fan
            ? swap.value != no_link || others_in(step.branch, index_at(hash, shift_of(level))) >= fan_min
            : swap.value != no_link && branch_of(step.branch).count() > 1;
    if (stays) break;
    swap = {step.slot, with_child(change, step.branch, hash, shift_of(level), swap.value)};
  }
  return swap;
}

// -- reading

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
  if (link == no_link || kind_of(link) == kind_object) return object_of(link);
  if (kind_of(link) == kind_tree) return tree::first(tree_of(link));
  const Branch& branch = branch_of(link);
  for (std::uint32_t i = 0, count = branch.count(); i < count; ++i) {
    if (const SharedObject* found = first(load(branch.children()[i]))) return found;
  }
  return nullptr;
}

const SharedObject* after(Link root, std::uint64_t hash, std::uint64_t sequence) {
  return after_at(root, hash, sequence, first_shift);
}

bool for_each(Link link, FunctionRef<bool(const SharedObject&)> see) {
  if (link == no_link) return true;
  if (kind_of(link) == kind_object) return see(*object_of(link));
  if (kind_of(link) == kind_tree) return tree::for_each(tree_of(link), see);
  const Branch& branch = branch_of(link);
  for (std::uint32_t i = 0, count = branch.count(); i < count; ++i) {
    if (!for_each(load(branch.children()[i]), see)) return false;
  }
  return true;
}

}  // namespace coppice::otp::trie
