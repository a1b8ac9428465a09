// SPDX-License-Identifier: Apache-2.0
//
// SharedStore: a concurrent multimap of shared objects, the core of ets tables and registries.
//
// Actors. Any number of readers, without a lock and without writing to a shared line, each within a pin (epochs.hpp).
// Writers of one hash, one at a time for each stripe of hashes. Writers of anything, alone. Snapshots, for those who
// want to see all objects as they were at one moment.
//
// State. The root, a slot: of buckets (shared_buckets.hpp) or of pages (shared_pages.hpp). The stripes, each with the
// latch of its writers and their share of the size. A stripe stands for a sixteenth of the hashes, and owns the entries of
// the directory for them and all that they lead to; a store by key has one stripe. The directory itself belongs to all.
// What was retired stands in queues, one for each worker, with a latch of its own that is taken after those of stripes:
// two writers have nothing in common but the line of a stripe, if it is the same. The generation, a number that each snapshot raises under all locks.
//
// Steps of a writer of one hash:
//   1. lock the stripe; by key, if there is a snapshot, unlock it again and go on as a writer of anything
//   2. find the leaf, all objects of the hash, and compute another beside it
//   3. commit: make room for it if it is new, which changes nothing that readers see; make the one store to one slot that
//      puts it in its place; stamp what has become unreachable with the epoch, and keep it in the queue; take some of
//      those that no reader can see any more; unlock; free them; double the directory if that is due
// Steps of a writer of anything: lock all stripes, in their order. By hash: in the place of each leaf that changes put a
// pending one, which readers take for the old leaf; commit by one store, from which on they take all of them for the new
// ones; put the new leaves in their places. By key: build new pages beside the old ones, in which only those are changed
// that it has made itself; store the root. Stamp, keep and unlock as above.
// Steps of a snapshot: count itself; lock all stripes; raise the generation; copy the directory, or load the root of the
// pages; unlock; read; uncount itself. Writers after it leave alone what it sees: by hash they store to no segment that
// was born before, but to a copy, which they make once; by key they build beside.
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
// all loads and stores of slots that readers reach, and of a pending's `committed`, are sequentially consistent; they
// are also the acquires and releases that make a node's contents visible.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include <coppice/shared_object.hpp>

#include "base/atomic.hpp"
#include "ets/epochs.hpp"
#include "ets/shared_buckets.hpp"
#include "ets/shared_pages.hpp"
#include "platform/latch.hpp"

namespace coppice::otp {

using detail::ObjectRef;
using Latch = platform::BasicLatch<base::Atomic, base::is_modelled ? 1 : 64>;

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
  // The oldest of its key.
  [[nodiscard]] const SharedObject* find(const Probe& probe) const {
    const Link root = load(root_);
    return by_key_ ? pages::find(root, probe) : buckets::find(root, probe);
  }
  class Snapshot;
  [[nodiscard]] Epochs& epochs() const noexcept { return *epochs_; }
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept;

  class Writer;
  // Puts an object in the place of the only one of its hash, if that has its key: what is done most often to a set, in a
  // quarter of the instructions that a writer takes. Otherwise, or if it had to wait for a snapshot, nothing: false.
  bool try_exchange(ObjectRef& object);
  // Frees what no reader can see any more.
  void collect() noexcept;

 private:
  struct Retired {
    Link link = no_link;  // a node, or an object
    std::uint64_t stamp = 0;
    bool whole = false;  // everything below the node, with the objects
  };
  // First in, first out; the oldest have the smallest stamps. One for each worker, that of its own writers, and one for
  // all foreign threads.
  class alignas(64) RetiredQueue {
   public:
    Latch latch;
    std::uint32_t waited = 0;  // how often nothing could be freed
    void make_room(std::size_t more);
    void push(const Retired& retired) noexcept {
      ring_[(head_ + size_++) & (ring_.size() - 1)] = retired;
      wholes_ += retired.whole ? 1 : 0;
    }
    // Is it time to free some? A whole table is not kept until more comes.
    [[nodiscard]] bool is_due() const noexcept { return size_ > retired_max || wholes_ != 0; }
    [[nodiscard]] const Retired& front() const noexcept { return ring_[head_]; }
    Retired pop() noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

   private:
    std::vector<Retired> ring_;  // its size is a power of two
    std::size_t head_ = 0;
    std::size_t size_ = 0;
    std::size_t wholes_ = 0;
  };
  // Written under its latch; the sums are read by anybody. One line: it goes from writer to writer.
  struct alignas(64) Stripe {
    Latch latch;
    std::uint64_t sequence = 0;
    base::Atomic<std::size_t> size{0};  // modulo its range: what one stripe adds another may take away
    base::Atomic<std::size_t> bytes{0};
  };

  class Over;
  static void free(const Retired& retired) noexcept;
  void take_over(RetiredQueue& retired, std::vector<Retired>& over);  // under its latch
  [[nodiscard]] RetiredQueue& queue_of_thread() const noexcept { return retired_[epochs_->place_of_thread()]; }
  void lock_all();
  void unlock_all() noexcept;
  void double_directory() noexcept;
  [[nodiscard]] std::size_t stripe_count() const noexcept { return by_key_ ? 1 : stripe_max; }
  [[nodiscard]] Stripe& stripe_of(std::uint64_t hash) const noexcept { return stripes_[by_key_ ? 0 : hash >> 60]; }

  static constexpr std::size_t stripe_max = 16;
  static constexpr std::size_t retired_max = 16;  // in a queue, before a writer tries to free them

  // Read by all, and but for the root written rarely.
  const std::shared_ptr<Epochs> epochs_;
  const bool by_key_;
  base::Atomic<std::uint32_t> snapshots_{0};
  Slot root_{no_link};            // by hash: a directory, always
  std::uint64_t generation_ = 1;  // read under a lock, written under all
  const std::unique_ptr<Stripe[]> stripes_;
  const std::unique_ptr<RetiredQueue[]> retired_;
};

// What a reader sees, within the pin; a writer, until its next change.
class SharedStore::View {
 public:
  // By hash a root may also be a leaf. `own`: what is pending counts as committed.
  View(Link root, bool by_key, bool own = false) noexcept : root_(root), by_key_(by_key), own_(own) {}
  [[nodiscard]] const SharedObject* find(const Probe& probe) const;  // the oldest of its key
  // All of the key, oldest first, until `see` returns false.
  void for_key(const Probe& probe, FunctionRef<bool(const SharedObject&)> see) const;
  void for_each(FunctionRef<bool(const SharedObject&)> see) const;  // by hash, in no order but within a hash
  // In the store's order. Without an order of keys `last` is `first` and `before` is `after` (ET-039).
  [[nodiscard]] const SharedObject* first() const;
  [[nodiscard]] const SharedObject* last() const;
  [[nodiscard]] const SharedObject* after(const SharedObject& object) const;
  [[nodiscard]] const SharedObject* before(const SharedObject& object) const;
  [[nodiscard]] const SharedObject* after_hash(std::uint64_t hash) const;  // by hash only
  [[nodiscard]] const SharedObject* after(const Probe& key) const;         // by key only
  [[nodiscard]] const SharedObject* before(const Probe& key) const;        // by key only
  [[nodiscard]] Link leaf(std::uint64_t hash) const noexcept {             // by hash only
    return kind_of(root_) == kind_directory ? buckets::leaf_of(root_, hash, own_) : root_;
  }

 private:
  Link root_;
  bool by_key_;
  bool own_;
};

// All objects as they are at one moment. Writers are slower while it lives. Within a pin that outlives it.
class SharedStore::Snapshot {
 public:
  explicit Snapshot(SharedStore& store);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  [[nodiscard]] View view() const noexcept { return {root_, store_.by_key_}; }

 private:
  SharedStore& store_;
  Link root_ = no_link;  // by hash: its own
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
  [[nodiscard]] View view() const noexcept { return {root(), store_.by_key_, true}; }
  void insert(ObjectRef object);
  void remove(const SharedObject& object);                   // it must stand in the view
  void exchange(const SharedObject& old, ObjectRef object);  // of one key; the place in the order stays
  void clear();                                              // the only change, of a writer of anything
  // Publishes, and gives up the locks. What can be freed then is freed when the writer ends: where the caller holds no
  // lock.
  void commit();

 private:
  void begin();
  void unlock() noexcept;
  SharedObject& take(ObjectRef object);
  void count(std::ptrdiff_t objects, const SharedObject& object) noexcept;
  [[nodiscard]] Link root() const noexcept { return builder_ && whole_ && !clear_ ? load(store_.root_) : root_; }
  void step(Swap swap) noexcept;  // of a change by key
  [[nodiscard]] pages::How how() const noexcept { return whole_ ? pages::How::beside : pages::How::in_place; }
  void set_leaf(std::uint64_t hash, Link leaf);  // of a change by hash
  [[nodiscard]] Swap place_leaf();
  void settle(bool committed) noexcept;
  void prepare();
  void publish(Swap swap);
  void retire(Link link, std::uint64_t stamp) noexcept { retired_.push({link, stamp, false}); }
  void retire_all() noexcept;
  void take_over();

  SharedStore& store_;
  bool whole_;
  bool locked_ = false;
  bool clear_ = false;
  Stripe* stripe_;         // counts what has changed
  RetiredQueue& retired_;  // of this thread; held as long as the locks are
  std::uint64_t hash_ = 0;
  Link root_ = no_link;  // by key, or emptied: of the new structure; of one hash: the new leaf
  Swap swap_;            // by key, in place
  Change change_;
  std::optional<buckets::Builder> builder_;  // by hash
  buckets::Builder::Spot spot_;              // of one hash, when it is committed
  Links pending_;                            // by hash, of a writer of anything
  Links added_;                              // objects, a count of each
  Links removed_;
  std::ptrdiff_t grown_ = 0;  // objects
  std::ptrdiff_t object_bytes_ = 0;
  Link cleared_ = no_link;
  std::vector<Retired> over_;
};

}  // namespace coppice::otp
