// SPDX-License-Identifier: Apache-2.0
#include "ets/shared_store.hpp"

#include <algorithm>
#include <utility>

#include "platform/fault.hpp"

namespace coppice::otp {
namespace {

constexpr std::size_t retired_max = 8;   // of a stripe, before a writer tries to free some
constexpr std::size_t retired_many = 64;  // then all are freed that can be
constexpr std::uint32_t patience = 8;    // writers that find nothing to free, before one tries to advance the epoch
constexpr int spins_before_sleep = 64;

// A writer holds a stripe for less time than it takes to put a thread to sleep.
void lock(std::mutex& mutex) {
  for (int spin = 0; spin < spins_before_sleep; ++spin) {
    if (mutex.try_lock()) return;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  mutex.lock();
}

pages::Position position_of(const SharedObject& object, FunctionRef<int(const SharedObject&)> compare) {
  return {object.ops->rank(object), compare};
}

}  // namespace

SharedStore::SharedStore(std::shared_ptr<Epochs> epochs, bool by_key)
    : epochs_(std::move(epochs)), by_key_(by_key), stripes_(std::make_unique<Stripe[]>(by_key ? 1 : stripe_max)) {
  if (by_key) return;
  Change change;
  root_.store(trie::make_top(change), std::memory_order_seq_cst);
  change.commit();
}

SharedStore::~SharedStore() {
  for (std::size_t i = 0; i < stripe_count(); ++i) {
    RetiredQueue& retired = stripes_[i].retired;
    while (retired.size() != 0) free(retired.pop());
  }
  Change::free_all(load(root_));
}

// -- what is retired --------------------------------------------------------------------------------------------------

void SharedStore::RetiredQueue::make_room(std::size_t more) {
  if (size_ + more <= ring_.size()) return;
  std::vector<Retired> larger(std::bit_ceil(std::max<std::size_t>(size_ + more, 16)));
  for (std::size_t i = 0; i < size_; ++i) larger[i] = ring_[(head_ + i) & (ring_.size() - 1)];
  ring_ = std::move(larger);
  head_ = 0;
}

SharedStore::Retired SharedStore::RetiredQueue::pop() noexcept {
  const Retired oldest = ring_[head_];
  head_ = (head_ + 1) & (ring_.size() - 1);
  if (--size_ == 0 && ring_.size() > 1024) ring_ = {};
  if (ring_.empty()) head_ = 0;
  return oldest;
}

void SharedStore::free(const Retired& retired) noexcept {
  if (kind_of(retired.link) == kind_object) {
    object_of(retired.link)->release();
  } else if (retired.whole) {
    Change::free_all(retired.link);
  } else {
    Change::free_node(retired.link);
  }
}

void SharedStore::take_over(Stripe& stripe, std::vector<Retired>& over) {
  while (stripe.retired.size() != 0 && epochs_->is_over(stripe.retired.front().stamp)) {
    over.push_back(stripe.retired.front());
    (void)stripe.retired.pop();
  }
}

void SharedStore::collect() noexcept {
  if (epochs_->try_advance()) epochs_->try_advance();
  std::vector<Retired> over;
  for (std::size_t i = 0; i < stripe_count(); ++i) {
    const std::lock_guard guard(stripes_[i].mutex);
    take_over(stripes_[i], over);
  }
  for (const Retired& one : over) free(one);
}

// -- readers ----------------------------------------------------------------------------------------------------------

SharedStore::View SharedStore::view() const noexcept { return {load(root_), by_key_}; }

std::size_t SharedStore::size() const noexcept {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < stripe_count(); ++i) sum += stripes_[i].size.load(std::memory_order_relaxed);
  return sum;
}

std::size_t SharedStore::bytes() const noexcept {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < stripe_count(); ++i) sum += stripes_[i].bytes.load(std::memory_order_relaxed);
  return sum;
}

// A writer that locks a stripe after the snapshot had it sees the count; one that had it before has made its store. The
// decrement is a release, and the writers' load of the count an acquire: what the snapshot reads it has read by then.
SharedStore::Snapshot::Snapshot(SharedStore& store) : store_(store) {
  store.snapshots_.fetch_add(1, std::memory_order_seq_cst);
  for (std::size_t i = 0; i < store.stripe_count(); ++i) {
    lock(store.stripes_[i].mutex);
    store.stripes_[i].mutex.unlock();
  }
  root_ = load(store.root_);
}

const SharedObject* SharedStore::View::find(const Probe& probe) const {
  return by_key_ ? pages::find(root_, probe) : trie::find(root_, probe);
}

void SharedStore::View::for_key(const Probe& probe, FunctionRef<bool(const SharedObject&)> see) const {
  if (!by_key_) {
    trie::for_key(root_, probe, see);
  } else if (const SharedObject* object = pages::find(root_, probe)) {
    see(*object);
  }
}

void SharedStore::View::for_each(FunctionRef<bool(const SharedObject&)> see) const {
  if (by_key_) {
    pages::for_each(root_, see);
  } else {
    trie::for_each(root_, see);
  }
}

const SharedObject* SharedStore::View::first() const { return by_key_ ? pages::first(root_) : trie::first(root_); }
const SharedObject* SharedStore::View::last() const { return by_key_ ? pages::last(root_) : first(); }

const SharedObject* SharedStore::View::after(const SharedObject& object) const {
  if (!by_key_) return trie::after(root_, object.hash, object.sequence);
  const auto compare = [&](const SharedObject& other) { return object.ops->compare(object, other); };
  return pages::after(root_, position_of(object, compare));
}
const SharedObject* SharedStore::View::before(const SharedObject& object) const {
  if (!by_key_) return after(object);
  const auto compare = [&](const SharedObject& other) { return object.ops->compare(object, other); };
  return pages::before(root_, position_of(object, compare));
}
const SharedObject* SharedStore::View::after_hash(std::uint64_t hash) const {
  return trie::after(root_, hash, ~std::uint64_t{0});
}
const SharedObject* SharedStore::View::after(const Probe& key) const {
  const auto compare = [&](const SharedObject& other) { return key.compare(key.key, other); };
  return pages::after(root_, {key.rank, compare});
}
const SharedObject* SharedStore::View::before(const Probe& key) const {
  const auto compare = [&](const SharedObject& other) { return key.compare(key.key, other); };
  return pages::before(root_, {key.rank, compare});
}

// -- Writer -----------------------------------------------------------------------------------------------------------

SharedStore::Writer::Writer(SharedStore& store) : store_(store), whole_(true), stripe_(&store.stripes_[0]) {
  lock_all();
}

SharedStore::Writer::Writer(SharedStore& store, std::uint64_t hash)
    : store_(store), whole_(false), stripe_(&store.stripe_of(hash)), hash_(hash) {
  lock(stripe_->mutex);
  if (store.snapshots_.load(std::memory_order_seq_cst) != 0) {
    stripe_->mutex.unlock();
    whole_ = true;
    lock_all();
    return;
  }
  locked_ = true;
  if (store.by_key_) {
    root_ = load(store.root_);
  } else {
    place_ = trie::find_place(store.root_, hash);
    root_ = trie::leaf_in(place_, hash);
  }
}

void SharedStore::Writer::lock_all() {
  for (std::size_t i = 0; i < store_.stripe_count(); ++i) lock(store_.stripes_[i].mutex);
  locked_ = true;
  root_ = load(store_.root_);
}

void SharedStore::Writer::unlock() noexcept {
  if (!locked_) return;
  locked_ = false;
  if (!whole_) return stripe_->mutex.unlock();
  for (std::size_t i = store_.stripe_count(); i-- > 0;) store_.stripes_[i].mutex.unlock();
}

// What was not committed goes: fresh nodes with the change, objects here. Destructors of users run after the locks were
// released.
SharedStore::Writer::~Writer() {
  unlock();
  for (std::size_t i = 0; i < added_.size(); ++i) object_of(added_[i])->release();
  for (std::size_t i = 0; i < few_; ++i) SharedStore::free(few_over_[i]);
  for (const Retired& one : over_) SharedStore::free(one);
}

SharedObject& SharedStore::Writer::take(ObjectRef object) {
  added_.make_room();
  added_.push(link_to(object.forget()));
  return const_cast<SharedObject&>(*object_of(added_[added_.size() - 1]));
}

void SharedStore::Writer::step(Swap swap) noexcept {
  if (whole_) {
    root_ = swap.value;
  } else {
    swap_ = swap;
  }
}

void SharedStore::Writer::insert(ObjectRef object) {
  SharedObject& fresh = take(std::move(object));
  fresh.sequence = ++store_.stripe_of(fresh.hash).sequence;
  if (store_.by_key_) {
    Slot root(root_);
    step(pages::insert(change_, whole_ ? root : store_.root_, &fresh, how()));
  } else {
    root_ = trie::insert(change_, root_, &fresh);
  }
  change_.end_step();
  ++grown_;
  object_bytes_ += static_cast<std::ptrdiff_t>(fresh.ops->size);
}

void SharedStore::Writer::remove(const SharedObject& object) {
  removed_.push(link_to(&object));
  if (store_.by_key_) {
    Slot root(root_);
    step(pages::remove(change_, whole_ ? root : store_.root_, object, how()));
  } else {
    root_ = trie::remove(change_, root_, object);
  }
  change_.end_step();
  --grown_;
  object_bytes_ -= static_cast<std::ptrdiff_t>(object.ops->size);
}

void SharedStore::Writer::exchange(const SharedObject& old, ObjectRef object) {
  SharedObject& fresh = take(std::move(object));
  fresh.sequence = old.sequence;
  removed_.push(link_to(&old));
  if (store_.by_key_) {
    Slot root(root_);
    step(pages::exchange(change_, whole_ ? root : store_.root_, old, &fresh, how()));
  } else {
    root_ = trie::exchange(change_, root_, old, &fresh);
  }
  change_.end_step();
}

void SharedStore::Writer::clear() {
  clear_ = true;
  cleared_ = std::exchange(root_, store_.by_key_ ? no_link : trie::make_top(change_));
}

void SharedStore::Writer::commit() {
  if (whole_) {
    publish({&store_.root_, root_});
  } else if (store_.by_key_) {
    publish(swap_);
  } else {
    publish(added_.size() + removed_.size() == 0 ? Swap{} : trie::put(change_, place_, hash_, root_));
  }
  unlock();
}

// The same object may be added and removed: then readers have never seen it, and it is retired all the same.
void SharedStore::Writer::publish(Swap swap) {
  if (swap.slot == nullptr) return;
  // Everything that can fail comes first.
  const Links& replaced = change_.replaced();
  RetiredQueue& retired = stripe_->retired;
  retired.make_room(replaced.size() + removed_.size() + 1);
  for (std::size_t i = 0; i < removed_.size(); ++i) {
    object_of(removed_[i])->removed.store(true, std::memory_order_release);
  }
  if (clear_) {
    SharedStore::View(cleared_, store_.by_key_).for_each([](const SharedObject& object) {
      object.removed.store(true, std::memory_order_release);
      return true;
    });
  }
  change_.commit();
  swap.slot->store(swap.value, std::memory_order_seq_cst);
  const std::uint64_t stamp = store_.epochs_->stamp();
  for (std::size_t i = 0; i < replaced.size(); ++i) retired.push({replaced[i], stamp, false});
  for (std::size_t i = 0; i < removed_.size(); ++i) retired.push({removed_[i], stamp, false});
  if (cleared_ != no_link) retired.push({cleared_, stamp, true});
  added_.clear();  // their counts are the table's now
  const auto add = [](std::atomic<std::size_t>& sum, std::ptrdiff_t change) {
    sum.store(sum.load(std::memory_order_relaxed) + static_cast<std::size_t>(change), std::memory_order_relaxed);
  };
  if (clear_) {
    for (std::size_t i = 0; i < store_.stripe_count(); ++i) {
      store_.stripes_[i].size.store(0, std::memory_order_relaxed);
      store_.stripes_[i].bytes.store(0, std::memory_order_relaxed);
    }
  } else {
    add(stripe_->size, grown_);
    add(stripe_->bytes, change_.bytes() + object_bytes_);
  }
  take_over();
}

// A few are freed at a time, so that their memory is used again while it is still in the cache.
void SharedStore::Writer::take_over() {
  Epochs& epochs = *store_.epochs_;
  RetiredQueue& retired = stripe_->retired;
  if (clear_) {
    if (epochs.try_advance()) epochs.try_advance();
    for (std::size_t i = 0; i < store_.stripe_count(); ++i) store_.take_over(store_.stripes_[i], over_);
    return;
  }
  if (retired.size() <= retired_max) return;
  if (!epochs.is_over(retired.front().stamp) && ++stripe_->waited % patience == 0) epochs.try_advance();
  if (retired.size() > retired_many) return store_.take_over(*stripe_, over_);
  while (few_ < few_over_.size() && retired.size() != 0 && epochs.is_over(retired.front().stamp)) {
    few_over_[few_++] = retired.pop();
  }
}

}  // namespace coppice::otp
