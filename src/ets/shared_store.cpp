// SPDX-License-Identifier: Apache-2.0
#include "ets/shared_store.hpp"

#include <utility>

namespace coppice::otp {
namespace {

constexpr std::size_t retired_max = 64;  // nodes and objects that wait, before a writer tries to free some

const TreeNode* tree_root(Link root) noexcept { return reinterpret_cast<const TreeNode*>(root & ~Link{3}); }

int by_key_order(const SharedObject& a, const SharedObject& b) { return a.ops->compare(a, b); }

}  // namespace

SharedStore::SharedStore(std::shared_ptr<Epochs> epochs, bool by_key) : epochs_(std::move(epochs)), by_key_(by_key) {}

SharedStore::~SharedStore() {
  for (const Retired& retired : retired_) free(retired);
  Change::free_all(root_.load(std::memory_order_acquire));
}

void SharedStore::free(const Retired& retired) noexcept {
  if (retired.object != nullptr) retired.object->release();
  if (retired.node == no_link) return;
  if (retired.whole) {
    Change::free_all(retired.node);
  } else {
    Change::free_node(retired.node);
  }
}

std::vector<SharedStore::Retired> SharedStore::take_over() {
  std::vector<Retired> over;
  if (epochs_->try_advance()) epochs_->try_advance();
  while (!retired_.empty() && epochs_->is_over(retired_.front().stamp)) {
    over.push_back(retired_.front());
    retired_.pop_front();
  }
  return over;
}

void SharedStore::collect() noexcept {
  std::vector<Retired> over;
  {
    const std::lock_guard lock(mutex_);
    over = take_over();
  }
  for (const Retired& one : over) free(one);
}

SharedStore::View SharedStore::view() const noexcept { return {root_.load(std::memory_order_seq_cst), by_key_}; }

// -- View -------------------------------------------------------------------------------------------------------------

const SharedObject* SharedStore::View::find(const Probe& probe) const {
  return by_key_ ? tree::find(tree_root(root_), probe) : trie::find(root_, probe);
}

void SharedStore::View::for_key(const Probe& probe, FunctionRef<bool(const SharedObject&)> see) const {
  if (!by_key_) {
    trie::for_key(root_, probe, see);
  } else if (const SharedObject* object = tree::find(tree_root(root_), probe)) {
    see(*object);
  }
}

void SharedStore::View::for_each(FunctionRef<bool(const SharedObject&)> see) const {
  if (by_key_) {
    tree::for_each(tree_root(root_), see);
  } else {
    trie::for_each(root_, see);
  }
}

const SharedObject* SharedStore::View::first() const {
  return by_key_ ? tree::first(tree_root(root_)) : trie::first(root_);
}
const SharedObject* SharedStore::View::last() const { return by_key_ ? tree::last(tree_root(root_)) : first(); }

const SharedObject* SharedStore::View::after(const SharedObject& object) const {
  if (!by_key_) return trie::after(root_, object.hash, object.sequence);
  return tree::after(tree_root(root_), [&](const SharedObject& other) { return by_key_order(object, other); });
}
const SharedObject* SharedStore::View::before(const SharedObject& object) const {
  if (!by_key_) return after(object);
  return tree::before(tree_root(root_), [&](const SharedObject& other) { return by_key_order(object, other); });
}
const SharedObject* SharedStore::View::after_hash(std::uint64_t hash) const {
  return trie::after(root_, hash, ~std::uint64_t{0});
}
const SharedObject* SharedStore::View::after(const Probe& key) const {
  return tree::after(tree_root(root_), [&](const SharedObject& other) { return key.compare(key.key, other); });
}
const SharedObject* SharedStore::View::before(const Probe& key) const {
  return tree::before(tree_root(root_), [&](const SharedObject& other) { return key.compare(key.key, other); });
}

// -- Writer -----------------------------------------------------------------------------------------------------------

// What was not committed goes: fresh nodes with the change, objects with `added_`. Destructors of users run after the
// mutex was released.
SharedStore::Writer::~Writer() {
  if (lock_.owns_lock()) lock_.unlock();
  for (const Retired& one : over_) SharedStore::free(one);
}

void SharedStore::Writer::insert(ObjectRef object) {
  added_.push_back(std::move(object));
  auto& fresh = const_cast<SharedObject&>(*added_.back());
  fresh.sequence = ++store_.sequence_;
  root_ = store_.by_key_ ? Change::tree_link(tree::insert(change_, tree_root(root_), &fresh, by_key_order))
                         : trie::insert(change_, root_, &fresh);
  ++grown_;
  object_bytes_ += static_cast<std::ptrdiff_t>(fresh.ops->size);
}

void SharedStore::Writer::remove(const SharedObject& object) {
  removed_.push_back(&object);
  root_ = store_.by_key_ ? Change::tree_link(tree::remove(change_, tree_root(root_), object, by_key_order))
                         : trie::remove(change_, root_, object);
  --grown_;
  object_bytes_ -= static_cast<std::ptrdiff_t>(object.ops->size);
}

void SharedStore::Writer::exchange(const SharedObject& old, ObjectRef object) {
  added_.push_back(std::move(object));
  auto& fresh = const_cast<SharedObject&>(*added_.back());
  fresh.sequence = old.sequence;
  removed_.push_back(&old);
  root_ = store_.by_key_ ? Change::tree_link(tree::exchange(change_, tree_root(root_), old, &fresh, by_key_order))
                         : trie::exchange(change_, root_, old, &fresh);
}

// The only change of its transaction.
void SharedStore::Writer::clear() {
  clear_ = true;
  cleared_ = std::exchange(root_, no_link);
}

void SharedStore::Writer::commit() {
  // Everything that can fail comes first.
  std::vector<Link> replaced;
  const std::ptrdiff_t node_bytes = change_.bytes();
  std::deque<Retired>& retired = store_.retired_;
  for (const SharedObject* object : removed_) object->removed.store(true, std::memory_order_release);
  if (clear_) {
    SharedStore::View(cleared_, store_.by_key_).for_each([](const SharedObject& object) {
      object.removed.store(true, std::memory_order_release);
      return true;
    });
  }
  replaced = change_.commit();
  store_.root_.store(root_, std::memory_order_seq_cst);
  const std::uint64_t stamp = store_.epochs_->stamp();
  for (const Link node : replaced) retired.push_back({node, nullptr, false, stamp});
  for (const SharedObject* object : removed_) retired.push_back({no_link, object, false, stamp});
  if (cleared_ != no_link) retired.push_back({cleared_, nullptr, true, stamp});
  for (ObjectRef& object : added_) (void)object.forget();  // the table's own count now
  if (clear_) {
    store_.size_.store(0, std::memory_order_relaxed);
    store_.bytes_.store(0, std::memory_order_relaxed);
  } else {
    store_.size_.fetch_add(static_cast<std::size_t>(grown_), std::memory_order_relaxed);
    store_.bytes_.fetch_add(static_cast<std::size_t>(node_bytes + object_bytes_), std::memory_order_relaxed);
  }
  if (clear_ || retired.size() >= retired_max) over_ = store_.take_over();
  lock_.unlock();
}

}  // namespace coppice::otp
