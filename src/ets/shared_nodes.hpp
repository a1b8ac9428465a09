// SPDX-License-Identifier: Apache-2.0
//
// The nodes of shared tables, and the changes that make and replace them.
//
// A link is a pointer to a node or to an object, with its kind in the low bits. What a node holds is fixed when it is
// published, but for its slots: links that a writer may store anew while others read.
//
//   Directory  of a hashed table: for each value of the first bits of a hash the segment where such objects stand.
//   Segment    up to 64 buckets of one cache line each. Which one is told by the next bits of the hash.
//   Bucket     eight slots for leaves, in no order. A bucket that is full has more of them in an overflow bucket, to
//              which its last slot then leads.
//   leaf       all objects of one hash: one object, or a tree of several.
//   TreeNode   a node of the tree of those objects that have one hash. No slot: it never changes.
//   Pending    stands in the place of a leaf while several are exchanged together: the old and the new one.
//   Page       a node of the tree of an ordered table: up to 31 objects in order, with their ranks, and the pages
//              between them.
//
// The upper 16 bits of a link are free: addresses have 48. The link of a leaf in a bucket has some bits of its hash
// there, its tag: a search touches another object than the right one once in some thousand times. The link of a segment has
// the two shifts that make the index of a bucket out of a hash: the segment's own first line need not be read.
//
// Who may touch what. Readers load slots, within a pin (epochs.hpp). Writers store to them, and touch `mark` and
// `leaves`, under the locks of the store (shared_store.hpp). All loads and stores of slots that readers can reach are
// sequentially consistent: epochs.hpp asks for it, and a load acquires what was behind the link when it was stored. Only
// the hint of a search (match_in, shared_buckets.hpp) looks at slots without that; whatever is used is loaded again.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <coppice/shared_object.hpp>

#include "base/atomic.hpp"

namespace coppice::otp {

using detail::FunctionRef;
using detail::Probe;
using detail::SharedObject;

using Link = std::uintptr_t;
using Slot = base::Atomic<Link>;
static_assert(sizeof(Slot) == sizeof(Link) && Slot::is_always_lock_free && sizeof(Link) == 8);

inline constexpr Link no_link = 0;
inline constexpr Link kind_bits = 7;
inline constexpr Link kind_object = 0;  // also of no_link
inline constexpr Link kind_overflow = 1;
inline constexpr Link kind_segment = 2;
inline constexpr Link kind_tree = 3;
inline constexpr Link kind_page = 4;
inline constexpr Link kind_directory = 5;
inline constexpr Link kind_pending = 6;

inline constexpr int tag_shift = 48;
inline constexpr Link address_bits = (Link{1} << tag_shift) - 1 - kind_bits;

struct TreeNode {
  const TreeNode* left;
  const TreeNode* right;
  const SharedObject* object;
  std::uint32_t height;
  mutable std::uint32_t mark;
};

struct alignas(64) Bucket {
  std::array<Slot, 8> slots{};
};
static_assert(sizeof(Bucket) == 64);

struct alignas(64) Segment {
  std::uint32_t leaves = 0;
  std::uint8_t depth = 0;     // how many first bits the hashes in it have in common
  std::uint8_t bits = 0;      // it has 2^bits buckets
  std::uint64_t born = 0;     // the generation (shared_store.hpp)
  std::size_t overflows = 0;  // overflow buckets: they go with it
  [[nodiscard]] Bucket* buckets() const noexcept { return reinterpret_cast<Bucket*>(const_cast<Segment*>(this) + 1); }
  [[nodiscard]] std::size_t count() const noexcept { return std::size_t{1} << bits; }
  [[nodiscard]] std::size_t bytes() const noexcept { return sizeof(Segment) + (count() + overflows) * sizeof(Bucket); }
};
static_assert(sizeof(Segment) == 64);

struct Directory {
  const std::uint64_t depth;                        // it has 2^depth entries, at least 16
  mutable base::Atomic<std::uint64_t> segments{0};  // to which they lead
  [[nodiscard]] Slot* entries() const noexcept { return reinterpret_cast<Slot*>(const_cast<Directory*>(this) + 1); }
  [[nodiscard]] std::size_t count() const noexcept { return std::size_t{1} << depth; }
  [[nodiscard]] std::size_t index(std::uint64_t hash) const noexcept { return hash >> (64 - depth); }
  [[nodiscard]] static std::size_t bytes(std::uint64_t depth) noexcept {
    return 2 * sizeof(std::uint64_t) + (sizeof(Slot) << depth);
  }
};

// The old leaf and the new one. Which of them it is, all pendings of one commit learn from the first of them.
struct Pending {
  std::uint64_t hash;
  Link before;
  Link after;  // written by its writer as long as it is not committed, and not read by others
  const Pending* first;
  mutable base::Atomic<bool> committed{false};
};

struct Page {
  std::uint16_t count;  // of objects
  bool inner;           // has pages below, one more than objects
  mutable std::uint32_t mark;
  [[nodiscard]] std::uint64_t* ranks() const noexcept {
    return reinterpret_cast<std::uint64_t*>(const_cast<Page*>(this) + 1);
  }
  [[nodiscard]] Slot* objects() const noexcept { return reinterpret_cast<Slot*>(ranks() + count); }
  [[nodiscard]] Slot* children() const noexcept { return objects() + count; }
  [[nodiscard]] static std::size_t bytes(std::uint32_t count, bool inner) noexcept {
    return sizeof(Page) + count * (sizeof(std::uint64_t) + sizeof(Slot)) + (inner ? (count + 1) * sizeof(Slot) : 0);
  }
};
static_assert(sizeof(Directory) == 16 && sizeof(Page) == 8);

[[nodiscard]] inline Link kind_of(Link link) noexcept { return link & kind_bits; }
[[nodiscard]] inline Link untagged(Link link) noexcept { return link & (address_bits | kind_bits); }
template <class Node>
[[nodiscard]] Node* node_of(Link link) noexcept {
  return reinterpret_cast<Node*>(link & address_bits);
}
[[nodiscard]] inline const SharedObject* object_of(Link link) noexcept { return node_of<const SharedObject>(link); }
[[nodiscard]] inline const TreeNode* tree_of(Link link) noexcept { return node_of<const TreeNode>(link); }
[[nodiscard]] inline const Page& page_of(Link link) noexcept { return *node_of<const Page>(link); }
[[nodiscard]] inline Segment& segment_of(Link link) noexcept { return *node_of<Segment>(link); }
[[nodiscard]] inline Bucket& overflow_of(Link link) noexcept { return *node_of<Bucket>(link); }
[[nodiscard]] inline const Directory& directory_of(Link link) noexcept { return *node_of<const Directory>(link); }
[[nodiscard]] inline Pending& pending_of(Link link) noexcept { return *node_of<Pending>(link); }
[[nodiscard]] inline Link link_to(const SharedObject* object) noexcept { return reinterpret_cast<Link>(object); }
[[nodiscard]] inline Link link_to(const TreeNode* node) noexcept {
  return node == nullptr ? no_link : reinterpret_cast<Link>(node) | kind_tree;
}
// Has the object the key? Its hash is that of the key.
[[nodiscard]] inline bool matches(const Probe& probe, const SharedObject& object) {
  return probe.exact || probe.matches(probe.key, object);
}
[[nodiscard]] inline Link load(const Slot& slot) noexcept { return slot.load(std::memory_order_seq_cst); }

// A list whose first entries need no memory of their own: most changes are small.
class Links {
 public:
  // After this the next push does not fail.
  void make_room() {
    if (size_ >= few && more_.size() == more_.capacity()) more_.reserve(more_.empty() ? 64 : more_.size() * 2);
  }
  void push(Link link) {
    if (size_ < few) {
      few_[size_] = link;
    } else {
      more_.push_back(link);
    }
    ++size_;
  }
  Link pop() noexcept {
    const Link last = (*this)[--size_];
    if (size_ >= few) more_.pop_back();
    return last;
  }
  [[nodiscard]] Link& operator[](std::size_t i) noexcept { return i < few ? few_[i] : more_[i - few]; }
  [[nodiscard]] Link operator[](std::size_t i) const noexcept { return i < few ? few_[i] : more_[i - few]; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void clear() noexcept {
    size_ = 0;
    more_.clear();
  }

 private:
  static constexpr std::size_t few = 8;
  std::array<Link, few> few_;
  std::vector<Link> more_;
  std::size_t size_ = 0;
};

// Notes which nodes a sequence of steps has made, and which it has replaced. On commit the replaced ones are the
// caller's to retire; what was not committed is undone. What the change has itself made and then replaced goes at once,
// so that a change of a million objects needs no more memory than they.
class Change {
 public:
  Change() = default;
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;
  ~Change();

  const TreeNode* make_tree(const TreeNode* left, const SharedObject* object, const TreeNode* right);
  Link make_page(std::uint32_t count, const std::uint64_t* ranks, const Link* objects, const Link* children);

  // The node is not part of the new structure. It may be read until the end of the step.
  void replace(Link node);
  void replace(const TreeNode* node) { replace(link_to(node)); }
  // Made by this change, so that nobody else sees it and its slots may be stored to.
  [[nodiscard]] static bool is_own(Link node) noexcept { return mark_of(node) != 0; }
  // A step has ended.
  void end_step() noexcept;

  [[nodiscard]] const Links& replaced() const noexcept { return replaced_; }
  void commit() noexcept;
  [[nodiscard]] std::ptrdiff_t bytes() const noexcept { return bytes_; }  // by how much the nodes have grown

  // Frees a node. Not its children.
  static void free_node(Link node) noexcept;
  // Frees nodes and releases objects of a whole structure.
  static void free_all(Link root) noexcept;

 private:
  [[nodiscard]] static std::uint32_t& mark_of(Link node) noexcept;  // 0, or the place among `fresh_`, from 1
  Link note(Link node) noexcept;
  void make_room();

  Links fresh_;  // with nothing in the places of those that were replaced
  Links holes_;  // these places
  Links spent_;  // made and replaced in this step
  Links replaced_;
  std::ptrdiff_t bytes_ = 0;
};

}  // namespace coppice::otp
