// SPDX-License-Identifier: Apache-2.0
//
// SharedStore: a concurrent multimap of shared objects, the core of ets tables and registries.
//
// Actors. Any number of readers, without a lock and without writing to a shared line, each within a pin (epochs.hpp).
// Writers of one hash, one at a time for each stripe of hashes. Writers of anything, alone. Snapshots, for those who
// want to see all objects as they were at one moment.
//
// State. The root of a trie or of pages (shared_tree.hpp, shared_pages.hpp), a slot; and the stripes, each with the
// mutex of its writers, what they have retired, and their share of the size. A stripe stands for a sixteenth of the
// hashes, and owns all that lies below the slots of the top for these; a store by key has one stripe. The top itself
// belongs to all.
//
// Steps of a writer of one hash:
//   1. lock the stripe; if there is a snapshot, unlock it again and go on as a writer of anything
//   2. find the leaf, all objects of the hash, and compute another beside it
//   3. commit: compute which one store to one slot puts it in its place; make it; stamp what it has made unreachable
//      with the epoch, and keep it in the stripe; take a few of those that no reader can see any more; unlock; free them
// Steps of a writer of anything: lock all stripes, in their order; build a new structure beside the old one, in which
// only nodes that it has made itself are changed; store its root; stamp, keep and unlock as above.
// Steps of a snapshot: count itself; lock and unlock each stripe in turn; load the root; read; uncount itself. Writers
// that had not seen it are gone then, and those after them leave alone what it sees.
//
// What follows. Each commit, of one object or of a thousand, becomes visible at once and as a whole, by one store
// (ET-058, ET-059). A reader that follows links from the root, loading each slot once, sees each object once that
// stands there all the time, whether slots are stored meanwhile or not: a store exchanges whole subtrees, and what
// stays moves only within them. It may see a later commit and not an earlier one, of other keys, if both come while it
// reads (ET-060); a snapshot does not.
//
// Why nothing is freed under a reader. Nobody stores to the slots of a node that the current structure no longer has.
// So every node to which a reader comes, through whatever slots, was part of the current structure at some moment after
// its pin: the root when it was loaded, a child when its slot was loaded, or, if its parent was gone by then, when the
// parent went. What was stamped before the pin was part of it at no such moment. This is what epochs.hpp asks for, if
// all loads and stores of slots that readers reach are sequentially consistent; they are also the acquires and releases
// that make a node's contents visible.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include <coppice/shared_object.hpp>

#include "ets/epochs.hpp"
#include "ets/shared_pages.hpp"
#include "ets/shared_tree.hpp"

namespace coppice::otp {

using detail::ObjectRef;

class SharedStore {
 public:
  // In the order of keys, or of hashes and insertion.
  SharedStore(std::shared_ptr<Epochs> epochs, bool by_key);
  ~SharedStore();  // nobody reads or writes any more
  SharedStore(const SharedStore&) = delete;
  SharedStore& operator=(const SharedStore&) = delete;

  // -- readers, within a Pin of epochs()
  class View;
  [[nodiscard]] View view() const noexcept;
  class Snapshot;
  [[nodiscard]] Epochs& epochs() const noexcept { return *epochs_; }
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept;

  class Writer;
  // Frees what no reader can see any more.
  void collect() noexcept;

 private:
  struct Retired {
    Link link = no_link;      // a node, or an object
    std::uint64_t stamp = 0;
    bool whole = false;       // everything below the node, with the objects
  };
  // First in, first out; the oldest have the smallest stamps.
  class RetiredQueue {
   public:
    void make_room(std::size_t more);
    void push(const Retired& retired) noexcept { ring_[(head_ + size_++) & (ring_.size() - 1)] = retired; }
    [[nodiscard]] const Retired& front() const noexcept { return ring_[head_]; }
    Retired pop() noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

   private:
    std::vector<Retired> ring_;  // its size is a power of two
    std::size_t head_ = 0;
    std::size_t size_ = 0;
  };
  // Written under its mutex; the sums are read by anybody.
  struct alignas(64) Stripe {
    std::mutex mutex;
    std::uint64_t sequence = 0;
    RetiredQueue retired;
    std::uint32_t waited = 0;               // how often nothing could be freed
    std::atomic<std::size_t> size{0};       // modulo its range: what one stripe adds another may take away
    std::atomic<std::size_t> bytes{0};
  };

  static void free(const Retired& retired) noexcept;
  void take_over(Stripe& stripe, std::vector<Retired>& over);  // under its mutex
  [[nodiscard]] std::size_t stripe_count() const noexcept { return by_key_ ? 1 : stripe_max; }
  [[nodiscard]] Stripe& stripe_of(std::uint64_t hash) const noexcept { return stripes_[by_key_ ? 0 : hash >> 60]; }

  static constexpr std::size_t stripe_max = 16;

  // Read by all, and but for the root written rarely.
  const std::shared_ptr<Epochs> epochs_;
  const bool by_key_;
  std::atomic<std::uint32_t> snapshots_{0};
  Slot root_{no_link};  // by hash: a top, always
  std::unique_ptr<Stripe[]> stripes_;
};

// What a reader sees, within the pin; a writer, until its next change.
class SharedStore::View {
 public:
  View(Link root, bool by_key) noexcept : root_(root), by_key_(by_key) {}
  [[nodiscard]] const SharedObject* find(const Probe& probe) const;  // the oldest of its key
  // All of the key, oldest first, until `see` returns false.
  void for_key(const Probe& probe, FunctionRef<bool(const SharedObject&)> see) const;
  void for_each(FunctionRef<bool(const SharedObject&)> see) const;
  // In the store's order. Without an order of keys `last` is `first` and `before` is `after` (ET-039).
  [[nodiscard]] const SharedObject* first() const;
  [[nodiscard]] const SharedObject* last() const;
  [[nodiscard]] const SharedObject* after(const SharedObject& object) const;
  [[nodiscard]] const SharedObject* before(const SharedObject& object) const;
  [[nodiscard]] const SharedObject* after_hash(std::uint64_t hash) const;  // by hash only
  [[nodiscard]] const SharedObject* after(const Probe& key) const;   // by key only
  [[nodiscard]] const SharedObject* before(const Probe& key) const;  // by key only

 private:
  Link root_;
  bool by_key_;
};

// All objects as they are at one moment. Writers are slower while it lives. Within a pin that outlives it.
class SharedStore::Snapshot {
 public:
  explicit Snapshot(SharedStore& store);
  ~Snapshot() { store_.snapshots_.fetch_sub(1, std::memory_order_release); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  [[nodiscard]] View view() const noexcept { return {root_, store_.by_key_}; }

 private:
  SharedStore& store_;
  Link root_;
};

// A transaction: nothing is visible before commit(), and nothing has happened if it is not called.
class SharedStore::Writer {
 public:
  // Of anything.
  explicit Writer(SharedStore& store);
  // Of objects of one hash: others write to other stripes meanwhile. By key: of one object only.
  Writer(SharedStore& store, std::uint64_t hash);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Of one hash: has no others.
  [[nodiscard]] View view() const noexcept { return {root_, store_.by_key_}; }
  void insert(ObjectRef object);
  void remove(const SharedObject& object);                   // it must stand in the view
  void exchange(const SharedObject& old, ObjectRef object);  // of one key; the place in the order stays
  void clear();                                              // the only change, of a writer of anything
  // Publishes, and gives up the locks. What can be freed then is freed when the writer ends: where the caller holds no
  // lock.
  void commit();

 private:
  void lock_all();
  void unlock() noexcept;
  SharedObject& take(ObjectRef object);
  void step(Swap swap) noexcept;  // of a change by key
  [[nodiscard]] pages::How how() const noexcept { return whole_ ? pages::How::beside : pages::How::in_place; }
  void publish(Swap swap);
  void take_over();

  SharedStore& store_;
  bool whole_;
  bool locked_ = false;
  Stripe* stripe_;           // keeps what is retired
  std::uint64_t hash_ = 0;
  trie::Place place_;        // of one hash
  Link root_ = no_link;      // of the new structure; or the new leaf
  Swap swap_;                // by key, in place
  Change change_;
  Links added_;              // objects, a count of each
  Links removed_;
  std::ptrdiff_t grown_ = 0;  // objects
  std::ptrdiff_t object_bytes_ = 0;
  Link cleared_ = no_link;
  bool clear_ = false;
  std::array<Retired, 4> few_over_;
  std::size_t few_ = 0;
  std::vector<Retired> over_;
};

}  // namespace coppice::otp
