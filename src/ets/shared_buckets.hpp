// SPDX-License-Identifier: Apache-2.0
//
// Hashed tables: a directory, its segments, their buckets (shared_nodes.hpp), and how they grow.
//
// A search is four loads, each of an address that the one before gave: the root, the entry of the directory, the
// bucket, the object. The first two stay in the nearest caches (a directory of a million objects has 4096 entries), so
// that an object that nobody has looked at lately costs two misses, a line of slots and the object itself. The eight
// slots are compared without a branch: what the processor cannot guess it would have to wait for, and it can go on to
// the next search meanwhile (docs/internals/tables.md).
//
// The index of a bucket is made of the first bits of a hash, so that buckets stand in the order of hashes, and a walk
// can go on behind a hash whatever has grown meanwhile. The tag is made of the last ones.
//
// Growth. A segment that has more than five leaves a bucket is replaced by one of twice as many buckets; one of 64 by
// two, for which the directory must tell hashes apart by one bit more than the segment did. If it does not, the
// directory has to be doubled, which takes all locks of the store, and leaves go to overflow buckets until somebody has
// done that. Replacing changes nothing of what a table holds: a reader sees the same in the old segment, which nobody
// stores to any more, as in the new. A segment that has less than half a leaf a bucket is replaced by a smaller one.
//
// A leaf never moves between the slots of a segment, but into the overflow bucket that takes its slot, by one store.
#pragma once

#include <bit>
#include <utility>

#include "ets/shared_tree.hpp"
#include "platform/sanitizers.hpp"

#if defined(__SSE2__) && !COPPICE_TSAN && !defined(COPPICE_ATOMICS)
#define COPPICE_MATCHES_WITH_VECTORS 1
#include <emmintrin.h>
#endif

namespace coppice::otp::buckets {

inline constexpr std::uint32_t depth_min = 4;  // of a directory
inline constexpr std::uint32_t bits_max = 6;   // of a segment

// Never 0, which is the tag of what is no leaf.
[[nodiscard]] constexpr Link tag_of(std::uint64_t hash) noexcept {
  return hash << tag_shift | Link{1} << (tag_shift + 15);
}

// -- reading: `root` leads to a directory

// The bucket of a hash; null if its segment is not there.
[[nodiscard]] inline const Bucket* bucket_of(Link root, std::uint64_t hash) noexcept {
  const Directory& directory = directory_of(root);
  const Link entry = load(directory.entries()[directory.index(hash)]);
  const std::uint64_t index = hash << (entry >> 48 & 63) >> 1 >> (entry >> 56);
  const auto* buckets = reinterpret_cast<const Bucket*>((entry & address_bits) + sizeof(Segment));
  return entry == no_link ? nullptr : buckets + index;
}

// A slot in the bucket whose link has that tag, if there is one; only a hint, because what comes of it is compared, and
// where that is not what is looked for the search goes on without it. With vectors it takes a third of the instructions;
// their loads are not atomic ones, which a hint can do without.
[[nodiscard]] inline Slot* match_in(const Bucket& bucket, Link tag) noexcept {
#ifdef COPPICE_MATCHES_WITH_VECTORS
  const auto* lines = reinterpret_cast<const __m128i*>(&bucket);
  const __m128i tags = _mm_set1_epi64x(static_cast<long long>(tag));
  const auto equal = [&](int i) {  // of two links, by the sign of the upper 16 bits compared
    const __m128i words = _mm_cmpeq_epi16(_mm_load_si128(lines + i), tags);
    return static_cast<unsigned>(_mm_movemask_pd(_mm_castsi128_pd(words)));
  };
  const unsigned mask = equal(0) | equal(1) << 2 | equal(2) << 4 | equal(3) << 6;
  return mask == 0 ? nullptr : &const_cast<Bucket&>(bucket).slots[static_cast<std::size_t>(std::countr_zero(mask))];
#else
  Slot* hit = nullptr;
  for (Slot& slot : const_cast<Bucket&>(bucket).slots) {
    if (((slot.load(std::memory_order_relaxed) ^ tag) >> tag_shift) == 0) hit = &slot;
  }
  return hit;
#endif
}

// The leaf of the hash, or nothing. What stands pending counts as committed if it is one's own.
[[nodiscard]] Link leaf_in(const Bucket& bucket, std::uint64_t hash, bool own) noexcept;
[[nodiscard]] inline Link leaf_of(Link root, std::uint64_t hash, bool own) noexcept {
  const Bucket* bucket = bucket_of(root, hash);
  return bucket == nullptr ? no_link : leaf_in(*bucket, hash, own);
}

// The oldest of the key.
[[nodiscard]] inline const SharedObject* find(Link root, const Probe& probe) {
  const Bucket* bucket = bucket_of(root, probe.hash);
  if (bucket == nullptr) return nullptr;
  if (const Slot* hit = match_in(*bucket, tag_of(probe.hash))) {
    const Link link = load(*hit);
    const SharedObject* object = object_of(link);
    if (kind_of(link) == kind_object && object != nullptr && object->hash == probe.hash && matches(probe, *object)) {
      return object;
    }
  }
  return leaf::find(leaf_in(*bucket, probe.hash, false), probe);
}

// In the order of hash and insertion.
[[nodiscard]] const SharedObject* first(Link root, bool own);
[[nodiscard]] const SharedObject* after(Link root, std::uint64_t hash, std::uint64_t sequence, bool own);
// In no order, but within a hash; stops when `see` returns false.
bool for_each(Link root, FunctionRef<bool(const SharedObject&)> see);

// -- changing

[[nodiscard]] Link make_directory(std::uint64_t depth);
// Another of the same entries.
[[nodiscard]] Link copy_directory(Link root);

// Makes room in a structure that others read. What it has replaced is the caller's to retire, whatever he does next.
class Builder {
 public:
  struct Spot {
    Slot* slot = nullptr;
    Segment* segment = nullptr;
  };
  // `alone`: under all locks of the store, so that the directory may grow. Segments that were born before `frozen` are
  // part of a snapshot and not stored to. New ones are born `now`.
  Builder(Slot& root, bool alone, std::uint64_t now, std::uint64_t frozen) noexcept
      : root_(root), alone_(alone), now_(now), frozen_(frozen) {}

  // Where the leaf of a hash stands, and may be replaced. No slot: it is not there.
  [[nodiscard]] Spot find(std::uint64_t hash);
  // An empty slot for a leaf that is not there.
  [[nodiscard]] Spot room_for(std::uint64_t hash);
  // After a slot was emptied.
  void left(Spot spot, std::uint64_t hash) noexcept;
  // Under all locks.
  void double_directory();

  [[nodiscard]] Links& replaced() noexcept { return replaced_; }
  [[nodiscard]] std::ptrdiff_t bytes() const noexcept { return bytes_; }  // by how much the nodes have grown
  [[nodiscard]] bool wants_directory() const noexcept { return wants_directory_; }

 private:
  [[nodiscard]] const Directory& directory() const noexcept { return directory_of(load(root_)); }
  [[nodiscard]] Link entry_of(std::uint64_t hash) const noexcept {
    return load(directory().entries()[directory().index(hash)]);
  }
  [[nodiscard]] bool may_double() const noexcept;
  void set_entries(std::uint64_t hash, Link segment) noexcept;
  Link rebuild(Link segment, std::uint64_t hash, std::uint32_t bits);
  void split(Link segment, std::uint64_t hash);
  Link grow(Link segment, std::uint64_t hash);

  Slot& root_;
  const bool alone_;
  const std::uint64_t now_;
  const std::uint64_t frozen_;
  Links replaced_;
  std::ptrdiff_t bytes_ = 0;
  bool wants_directory_ = false;
};

}  // namespace coppice::otp::buckets
