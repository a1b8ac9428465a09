// SPDX-License-Identifier: Apache-2.0
//
// SharedStore: a concurrent multimap of shared objects, the core of ets tables and registries.
//
// Actors. Any number of readers, without a lock, each within a pin (epochs.hpp). Writers, one at a time, under the
// store's mutex. State. One atomic root of an immutable structure (shared_tree.hpp). Steps of a writer: build a new
// structure beside the old one; store its root; stamp and keep what only the old one had; free what no reader can see
// any more, after the mutex is released, because that runs destructors of users. Memory order. The root is stored and
// loaded with sequential consistency: that is what epochs.hpp asks for, and it is a release and an acquire, so that a
// reader sees the nodes and objects behind the root it loaded as they were when it was stored; they never change after.
//
// What follows from one root: each commit of a writer, of one object or of a thousand, becomes visible at once and as a
// whole (ET-058, ET-059), and a reader within one pin that has loaded the root once sees one state of the whole store.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include <coppice/shared_object.hpp>

#include "ets/epochs.hpp"
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
  [[nodiscard]] Epochs& epochs() const noexcept { return *epochs_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

  class Writer;
  // Frees what no reader can see any more.
  void collect() noexcept;

 private:
  struct Retired {
    Link node;                   // or 0
    const SharedObject* object;  // or null
    bool whole;                  // everything below the node, with the objects
    std::uint64_t stamp;
  };
  static void free(const Retired& retired) noexcept;
  [[nodiscard]] std::vector<Retired> take_over();  // under the mutex

  const std::shared_ptr<Epochs> epochs_;
  const bool by_key_;
  std::atomic<Link> root_{no_link};
  std::atomic<std::size_t> size_{0};
  std::atomic<std::size_t> bytes_{0};
  std::mutex mutex_;               // writers: of what follows
  std::uint64_t sequence_ = 0;
  std::deque<Retired> retired_;    // the oldest first
};

// One state of the store. Valid within the pin, or, a writer's, until its next change.
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

// A transaction: nothing is visible before commit(), and nothing has happened if it is not called.
class SharedStore::Writer {
 public:
  explicit Writer(SharedStore& store)
      : store_(store), lock_(store.mutex_), root_(store.root_.load(std::memory_order_relaxed)) {}
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  [[nodiscard]] View view() const noexcept { return {root_, store_.by_key_}; }
  void insert(ObjectRef object);
  void remove(const SharedObject& object);             // it must stand in the view
  void exchange(const SharedObject& old, ObjectRef object);  // of one key; the place in the order stays
  void clear();
  // Publishes, and gives up the mutex. What can be freed then is freed when the writer ends: where the caller holds no
  // lock.
  void commit();

 private:
  SharedStore& store_;
  std::unique_lock<std::mutex> lock_;
  Link root_;
  Change change_;
  std::vector<ObjectRef> added_;
  std::vector<const SharedObject*> removed_;
  std::ptrdiff_t grown_ = 0;  // objects
  std::ptrdiff_t object_bytes_ = 0;
  Link cleared_ = no_link;
  bool clear_ = false;
  std::vector<Retired> over_;
};

}  // namespace coppice::otp
