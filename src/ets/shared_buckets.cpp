// SPDX-License-Identifier: Apache-2.0
#include "ets/shared_buckets.hpp"

#include <new>

#include "platform/fault.hpp"

namespace coppice::otp::buckets {
namespace {

constexpr std::uint32_t leaves_per_bucket = 5;
constexpr auto line = std::align_val_t{64};

std::uint32_t leaves_max(const Segment& segment) noexcept {
  return segment.bits == 0 ? 8 : leaves_per_bucket << segment.bits;
}

// The shifts stand in the link: bits that the directory has used go left, all but the bucket's right.
Link link_of(const Segment& segment) noexcept {
  return reinterpret_cast<Link>(&segment) | kind_segment | Link{segment.depth} << 48 | Link{63u - segment.bits} << 56;
}

Segment& new_segment(std::uint32_t depth, std::uint32_t bits, std::uint64_t born) {
  const std::size_t count = std::size_t{1} << bits;
  void* memory = ::operator new(sizeof(Segment) + count * sizeof(Bucket), line);
  auto* segment = ::new (memory) Segment;
  segment->depth = static_cast<std::uint8_t>(depth);
  segment->bits = static_cast<std::uint8_t>(bits);
  segment->born = born;
  for (std::size_t i = 0; i < count; ++i) ::new (segment->buckets() + i) Bucket;
  COPPICE_INVARIANT((reinterpret_cast<Link>(segment) >> tag_shift) == 0, "an address has more than 48 bits");
  return *segment;
}

Bucket& bucket_at(Link segment, std::uint64_t hash) noexcept {
  return segment_of(segment).buckets()[hash << (segment >> 48 & 63) >> 1 >> (segment >> 56)];
}

// Of an empty slot in the bucket; there is none: of an overflow bucket that takes over the last one.
Slot& empty_slot(Segment& segment, Bucket& bucket) {
  for (Slot& slot : bucket.slots) {
    if (load(slot) == no_link) return slot;
  }
  Slot& last = bucket.slots.back();
  if (kind_of(load(last)) == kind_overflow) return empty_slot(segment, overflow_of(load(last)));
  auto* more = ::new (::operator new(sizeof(Bucket), line)) Bucket;
  more->slots[0].store(load(last), std::memory_order_relaxed);
  ++segment.overflows;
  last.store(reinterpret_cast<Link>(more) | kind_overflow, std::memory_order_seq_cst);
  return more->slots[1];
}

std::uint64_t hash_of(Link link) noexcept {
  return kind_of(link) == kind_pending ? pending_of(link).hash : leaf::hash_of(link);
}

// The leaf that a slot leads to.
Link resolved(Link link, bool own) noexcept {
  if (kind_of(link) != kind_pending) return untagged(link);
  const Pending& pending = pending_of(link);
  return own || pending.first->committed.load(std::memory_order_seq_cst) ? pending.after : pending.before;
}

// The links in a bucket and its overflows, each loaded once; stops when `see` returns false.
template <class See>
bool for_each_link(const Bucket& bucket, See see) {
  for (const Bucket* at = &bucket; at != nullptr;) {
    const Bucket* next = nullptr;
    for (const Slot& slot : at->slots) {
      const Link link = load(slot);
      if (kind_of(link) == kind_overflow) {
        next = &overflow_of(link);
      } else if (link != no_link && !see(link)) {
        return false;
      }
    }
    at = next;
  }
  return true;
}
template <class See>
bool for_each_link(const Segment& segment, See see) {
  for (std::size_t i = 0; i < segment.count(); ++i) {
    if (!for_each_link(segment.buckets()[i], see)) return false;
  }
  return true;
}

// The first object of the leaf with the smallest hash, above a hash if one is given.
const SharedObject* first_in(const Bucket& bucket, const std::uint64_t* above, bool own) {
  Link best = no_link;
  for_each_link(bucket, [&](Link link) {
    const Link leaf = resolved(link, own);
    if (leaf == no_link || (above != nullptr && leaf::hash_of(leaf) <= *above)) return true;
    if (best == no_link || leaf::hash_of(leaf) < leaf::hash_of(best)) best = leaf;
    return true;
  });
  return leaf::first(best);
}

// The first object behind a hash, or the first of all.
const SharedObject* first_from(Link root, const std::uint64_t* above, bool own) {
  const Directory& directory = directory_of(root);
  for (std::size_t i = above != nullptr ? directory.index(*above) : 0; i < directory.count();) {
    const Link entry = load(directory.entries()[i]);
    if (entry == no_link) {
      above = nullptr;
      ++i;
      continue;
    }
    const Segment& segment = segment_of(entry);
    const Bucket* bucket = above != nullptr ? &bucket_at(entry, *above) : segment.buckets();
    for (; bucket != segment.buckets() + segment.count(); ++bucket) {
      if (const SharedObject* found = first_in(*bucket, above, own)) return found;
      above = nullptr;
    }
    const std::uint64_t rest = directory.depth - segment.depth;
    i = ((i >> rest) + 1) << rest;
  }
  return nullptr;
}

}  // namespace

// -- reading ----------------------------------------------------------------------------------------------------------

Link leaf_in(const Bucket& bucket, std::uint64_t hash, bool own) noexcept {
  if (const Slot* hint = match_in(bucket, tag_of(hash))) {
    const Link link = load(*hint);
    if (link != no_link && kind_of(link) == kind_object && object_of(link)->hash == hash) return untagged(link);
  }
  Link found = no_link;
  for_each_link(bucket, [&](Link link) {
    if (((link ^ tag_of(hash)) >> tag_shift) != 0 || hash_of(link) != hash) return true;
    found = resolved(link, own);
    return false;
  });
  return found;
}

const SharedObject* first(Link root, bool own) { return first_from(root, nullptr, own); }

const SharedObject* after(Link root, std::uint64_t hash, std::uint64_t sequence, bool own) {
  const SharedObject* found = leaf::after(leaf_of(root, hash, own), sequence);
  return found != nullptr ? found : first_from(root, &hash, own);
}

bool for_each(Link root, FunctionRef<bool(const SharedObject&)> see) {
  const Directory& directory = directory_of(root);
  for (std::size_t i = 0; i < directory.count();) {
    const Link entry = load(directory.entries()[i]);
    if (entry == no_link) {
      ++i;
      continue;
    }
    const Segment& segment = segment_of(entry);
    if (!for_each_link(segment, [&](Link link) { return leaf::for_each(resolved(link, false), see); })) return false;
    const std::uint64_t rest = directory.depth - segment.depth;
    i = ((i >> rest) + 1) << rest;
  }
  return true;
}

// -- changing ---------------------------------------------------------------------------------------------------------

Link make_directory(std::uint64_t depth) {
  auto* directory = ::new (::operator new(Directory::bytes(depth))) Directory{depth};
  for (std::size_t i = 0; i < directory->count(); ++i) ::new (directory->entries() + i) Slot(no_link);
  return reinterpret_cast<Link>(directory) | kind_directory;
}

Link copy_directory(Link root) {
  const Directory& from = directory_of(root);
  const Link copy = make_directory(from.depth);
  for (std::size_t i = 0; i < from.count(); ++i) {
    directory_of(copy).entries()[i].store(load(from.entries()[i]), std::memory_order_relaxed);
  }
  return copy;
}

Builder::Spot Builder::find(std::uint64_t hash) {
  Link entry = entry_of(hash);
  if (entry == no_link) return {};
  if (segment_of(entry).born < frozen_) entry = rebuild(entry, hash, segment_of(entry).bits);
  Bucket* bucket = &bucket_at(entry, hash);
  while (bucket != nullptr) {
    Bucket* next = nullptr;
    for (Slot& slot : bucket->slots) {
      const Link link = load(slot);
      if (kind_of(link) == kind_overflow) {
        next = &overflow_of(link);
      } else if (((link ^ tag_of(hash)) >> tag_shift) == 0 && hash_of(link) == hash) {
        return {&slot, &segment_of(entry)};
      }
    }
    bucket = next;
  }
  return {};
}

Builder::Spot Builder::room_for(std::uint64_t hash) {
  Link entry = entry_of(hash);
  if (entry == no_link) {
    Segment& fresh = new_segment(static_cast<std::uint32_t>(directory().depth), 0, now_);
    bytes_ += static_cast<std::ptrdiff_t>(fresh.bytes());
    directory().segments.fetch_add(1, std::memory_order_relaxed);
    entry = link_of(fresh);
    set_entries(hash, entry);
  } else if (segment_of(entry).leaves >= leaves_max(segment_of(entry))) {
    entry = grow(entry, hash);
  } else if (segment_of(entry).born < frozen_) {
    entry = rebuild(entry, hash, segment_of(entry).bits);
  }
  Segment& segment = segment_of(entry);
  const std::size_t before = segment.overflows;
  Slot& slot = empty_slot(segment, bucket_at(entry, hash));
  bytes_ += static_cast<std::ptrdiff_t>((segment.overflows - before) * sizeof(Bucket));
  return {&slot, &segment};
}

// A smaller segment is a gain, but no need.
void Builder::left(Spot spot, std::uint64_t hash) noexcept {
  const Segment& segment = *spot.segment;
  if (segment.bits == 0 || segment.leaves * 2 >= segment.count()) return;
  try {
    (void)rebuild(entry_of(hash), hash, segment.bits >= 2 ? segment.bits - 2u : 0u);
  } catch (const std::bad_alloc&) {
  }
}

// All entries of one segment stand together.
void Builder::set_entries(std::uint64_t hash, Link segment) noexcept {
  const std::uint64_t rest = directory().depth - segment_of(segment).depth;
  const std::size_t begin = directory().index(hash) >> rest << rest;
  for (std::size_t i = 0; i < std::size_t{1} << rest; ++i) {
    directory().entries()[begin + i].store(segment, std::memory_order_seq_cst);
  }
}

namespace {

// While it is filled nobody else sees it.
class Fresh {
 public:
  Fresh(std::uint32_t depth, std::uint32_t bits, std::uint64_t born) : link_(link_of(new_segment(depth, bits, born))) {}
  Fresh(const Fresh&) = delete;
  Fresh& operator=(const Fresh&) = delete;
  ~Fresh() {
    if (link_ != no_link) Change::free_node(link_);
  }
  void add(Link link) {
    Segment& segment = segment_of(link_);
    empty_slot(segment, bucket_at(link_, hash_of(link))).store(link, std::memory_order_relaxed);
    ++segment.leaves;
  }
  [[nodiscard]] Link get() const noexcept { return link_; }
  [[nodiscard]] std::ptrdiff_t bytes() const noexcept { return static_cast<std::ptrdiff_t>(segment_of(link_).bytes()); }
  [[nodiscard]] Link done() noexcept { return std::exchange(link_, no_link); }

 private:
  Link link_;
};

}  // namespace

Link Builder::rebuild(Link segment, std::uint64_t hash, std::uint32_t bits) {
  const Segment& old = segment_of(segment);
  replaced_.make_room();
  Fresh fresh(old.depth, bits, now_);
  for_each_link(old, [&](Link link) {
    fresh.add(link);
    return true;
  });
  bytes_ += fresh.bytes() - static_cast<std::ptrdiff_t>(old.bytes());
  const Link done = fresh.done();
  set_entries(hash, done);
  replaced_.push(segment);
  return done;
}

// Between the stores nobody writes to either half, and a reader sees the same in old and new.
void Builder::split(Link segment, std::uint64_t hash) {
  const Segment& old = segment_of(segment);
  replaced_.make_room();
  Fresh low(old.depth + 1u, bits_max, now_);
  Fresh high(old.depth + 1u, bits_max, now_);
  const std::uint64_t bit = std::uint64_t{1} << (63 - old.depth);
  for_each_link(old, [&](Link link) {
    ((hash_of(link) & bit) == 0 ? low : high).add(link);
    return true;
  });
  bytes_ += low.bytes() + high.bytes() - static_cast<std::ptrdiff_t>(old.bytes());
  set_entries(hash & ~bit, low.done());
  set_entries(hash | bit, high.done());
  directory().segments.fetch_add(1, std::memory_order_relaxed);
  replaced_.push(segment);
}

Link Builder::grow(Link segment, std::uint64_t hash) {
  const Segment& old = segment_of(segment);
  if (old.bits < bits_max) return rebuild(segment, hash, old.bits + 1u);
  if (old.depth == directory().depth && may_double()) {
    wants_directory_ = true;
    if (alone_) double_directory();
  }
  if (old.depth == directory().depth) {  // into overflow buckets, then
    return old.born < frozen_ ? rebuild(segment, hash, old.bits) : segment;
  }
  split(segment, hash);
  return entry_of(hash);
}

// Hashes that differ in no early bit, by accident or on purpose, do not make it grow for ever: it does not while half of
// its entries share a segment with others.
bool Builder::may_double() const noexcept {
  return directory().segments.load(std::memory_order_relaxed) * 2 >= directory().count();
}

void Builder::double_directory() {
  const Directory& old = directory();
  if (!may_double()) return;
  replaced_.make_room();
  const Link fresh = make_directory(old.depth + 1);
  for (std::size_t i = 0; i < old.count(); ++i) {
    const Link entry = load(old.entries()[i]);
    for (std::size_t j : {2 * i, 2 * i + 1}) {
      directory_of(fresh).entries()[j].store(entry, std::memory_order_relaxed);
    }
  }
  directory_of(fresh).segments.store(old.segments.load(std::memory_order_relaxed), std::memory_order_relaxed);
  bytes_ += static_cast<std::ptrdiff_t>(Directory::bytes(old.depth + 1) - Directory::bytes(old.depth));
  replaced_.push(load(root_));
  root_.store(fresh, std::memory_order_seq_cst);
}

}  // namespace coppice::otp::buckets
