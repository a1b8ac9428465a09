// SPDX-License-Identifier: Apache-2.0
#include "ets/shared_store.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "platform/fault.hpp"

namespace coppice::otp {
namespace {

constexpr std::uint32_t patience = 32;  // writers that find nothing to free, before one tries to advance the epoch
void add(base::Atomic<std::size_t>& sum, std::ptrdiff_t change) noexcept {
  sum.store(sum.load(std::memory_order_relaxed) + static_cast<std::size_t>(change), std::memory_order_relaxed);
}

pages::Position position_of(const SharedObject& object, FunctionRef<int(const SharedObject&)> compare) {
  return {object.ops->rank(object), compare, object.ops->exact};
}

}  // namespace

SharedStore::SharedStore(std::shared_ptr<Epochs> epochs, bool by_key)
    : epochs_(std::move(epochs)),
      by_key_(by_key),
      stripes_(std::make_unique<Stripe[]>(by_key ? 1 : stripe_max)),
      retired_(std::make_unique<RetiredQueue[]>(epochs_->places())) {
  if (!by_key) root_.store(buckets::make_directory(buckets::depth_min), std::memory_order_seq_cst);
}

SharedStore::~SharedStore() {
  for (std::size_t i = 0; i < epochs_->places(); ++i) {
    while (retired_[i].size() != 0) free(retired_[i].pop());
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
  wholes_ -= oldest.whole ? 1 : 0;
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

void SharedStore::take_over(RetiredQueue& retired, std::vector<Retired>& over) {
  while (retired.size() != 0 && epochs_->is_over(retired.front().stamp)) {
    over.push_back(retired.front());
    (void)retired.pop();
  }
}

void SharedStore::collect() noexcept {
  if (epochs_->try_advance()) epochs_->try_advance();
  std::vector<Retired> over;
  for (std::size_t i = 0; i < epochs_->places(); ++i) {
    const std::lock_guard guard(retired_[i].latch);
    take_over(retired_[i], over);
  }
  for (const Retired& one : over) free(one);
}

// After a writer of one hash, who has not all locks. If memory is short it stays as it is.
void SharedStore::double_directory() noexcept {
  lock_all();
  RetiredQueue& retired = queue_of_thread();
  try {
    const std::lock_guard guard(retired.latch);
    retired.make_room(1);
    buckets::Builder builder(root_, true, generation_, 0);
    builder.double_directory();
    if (builder.replaced().size() != 0) retired.push({builder.replaced()[0], epochs_->stamp(), false});
    add(stripes_[0].bytes, builder.bytes());
  } catch (const std::bad_alloc&) {
  }
  unlock_all();
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

void SharedStore::lock_all() {
  for (std::size_t i = 0; i < stripe_count(); ++i) stripes_[i].latch.lock();
}
void SharedStore::unlock_all() noexcept {
  for (std::size_t i = stripe_count(); i-- > 0;) stripes_[i].latch.unlock();
}

// A writer that locks a stripe after the snapshot had it sees the count; one that had it before has made its store. The
// decrement is a release, and the writers' load of the count an acquire: what the snapshot reads it has read by then.
SharedStore::Snapshot::Snapshot(SharedStore& store) : store_(store) {
  store.snapshots_.fetch_add(1, std::memory_order_seq_cst);
  store.lock_all();
  ++store.generation_;
  root_ = load(store.root_);
  try {
    if (!store.by_key_) root_ = buckets::copy_directory(root_);
  } catch (...) {
    store.unlock_all();
    store.snapshots_.fetch_sub(1, std::memory_order_release);
    throw;
  }
  store.unlock_all();
}

SharedStore::Snapshot::~Snapshot() {
  if (!store_.by_key_) Change::free_node(root_);
  store_.snapshots_.fetch_sub(1, std::memory_order_release);
}

const SharedObject* SharedStore::View::find(const Probe& probe) const {
  return by_key_ ? pages::find(root_, probe) : leaf::find(leaf(probe.hash), probe);
}

void SharedStore::View::for_key(const Probe& probe, FunctionRef<bool(const SharedObject&)> see) const {
  if (!by_key_) {
    (void)leaf::for_key(leaf(probe.hash), probe, see);
  } else if (const SharedObject* object = pages::find(root_, probe)) {
    see(*object);
  }
}

void SharedStore::View::for_each(FunctionRef<bool(const SharedObject&)> see) const {
  if (by_key_) {
    pages::for_each(root_, see);
  } else {
    buckets::for_each(root_, see);
  }
}

const SharedObject* SharedStore::View::first() const {
  return by_key_ ? pages::first(root_) : buckets::first(root_, own_);
}
const SharedObject* SharedStore::View::last() const { return by_key_ ? pages::last(root_) : first(); }

const SharedObject* SharedStore::View::after(const SharedObject& object) const {
  if (!by_key_) return buckets::after(root_, object.hash, object.sequence, own_);
  const auto compare = [&](const SharedObject& other) { return object.ops->compare(object, other); };
  return pages::after(root_, position_of(object, compare));
}
const SharedObject* SharedStore::View::before(const SharedObject& object) const {
  if (!by_key_) return after(object);
  const auto compare = [&](const SharedObject& other) { return object.ops->compare(object, other); };
  return pages::before(root_, position_of(object, compare));
}
const SharedObject* SharedStore::View::after_hash(std::uint64_t hash) const {
  return buckets::after(root_, hash, ~std::uint64_t{0}, own_);
}
const SharedObject* SharedStore::View::after(const Probe& key) const {
  const auto compare = [&](const SharedObject& other) { return key.compare(key.key, other); };
  return pages::after(root_, {key.rank, compare, key.exact});
}
const SharedObject* SharedStore::View::before(const Probe& key) const {
  const auto compare = [&](const SharedObject& other) { return key.compare(key.key, other); };
  return pages::before(root_, {key.rank, compare, key.exact});
}

// -- the short way ----------------------------------------------------------------------------------------------------

// A few objects that nobody sees any more, freed when the latch is free again: so soon that their memory is still in the
// cache, and no more of them than are retired meanwhile, so that the allocator's own caches serve.
class SharedStore::Over {
 public:
  Over() = default;
  Over(const Over&) = delete;
  Over& operator=(const Over&) = delete;
  ~Over() {
    for (std::size_t i = 0; i < count_; ++i) SharedStore::free(some_[i]);
  }
  void take(Epochs& epochs, RetiredQueue& retired) noexcept {
    if (!retired.is_due()) return;
    if (!epochs.is_over(retired.front().stamp) && ++retired.waited % patience == 0) epochs.try_advance();
    while (count_ < some_.size() && retired.size() != 0 && epochs.is_over(retired.front().stamp)) {
      some_[count_++] = retired.pop();
    }
  }

 private:
  std::array<Retired, 2> some_;
  std::size_t count_ = 0;
};

bool SharedStore::try_exchange(ObjectRef& object) {
  if (by_key_) return false;
  const std::uint64_t hash = object.get()->hash;
  const Link tag = buckets::tag_of(hash);
  Over over;  // outlives the latch
  RetiredQueue& retired = queue_of_thread();
  const std::lock_guard guard(stripe_of(hash).latch);
  const Bucket* bucket = buckets::bucket_of(load(root_), hash);
  Slot* slot = bucket == nullptr ? nullptr : buckets::match_in(*bucket, tag);
  const SharedObject* old = slot == nullptr || kind_of(load(*slot)) != kind_object ? nullptr : object_of(load(*slot));
  if (old == nullptr || old->hash != hash || snapshots_.load(std::memory_order_seq_cst) != 0) return false;
  if (!old->ops->exact && !old->ops->same_key(*object, *old)) return false;
  const std::lock_guard mine(retired.latch);
  retired.make_room(1);
  const SharedObject* fresh = object.forget();
  const_cast<SharedObject*>(fresh)->sequence = old->sequence;
  old->removed.store(true, std::memory_order_release);
  slot->store(link_to(fresh) | tag, std::memory_order_seq_cst);
  retired.push({link_to(old), epochs_->stamp(), false});
  over.take(*epochs_, retired);
  return true;
}

// -- Writer -----------------------------------------------------------------------------------------------------------

SharedStore::Writer::Writer(SharedStore& store)
    : store_(store), whole_(true), stripe_(&store.stripes_[0]), retired_(store.queue_of_thread()) {
  store_.lock_all();
  begin();
}

SharedStore::Writer::Writer(SharedStore& store, std::uint64_t hash)
    : store_(store), whole_(false), stripe_(&store.stripe_of(hash)), retired_(store.queue_of_thread()), hash_(hash) {
  stripe_->latch.lock();
  if (store.by_key_ && store.snapshots_.load(std::memory_order_seq_cst) != 0) whole_ = true;  // it is the only stripe
  begin();
}

void SharedStore::Writer::begin() {
  retired_.latch.lock();
  locked_ = true;
  root_ = load(store_.root_);
  if (store_.by_key_) return;
  const bool snapshot = store_.snapshots_.load(std::memory_order_seq_cst) != 0;
  builder_.emplace(store_.root_, whole_, store_.generation_, snapshot ? store_.generation_ : 0);
  if (!whole_) root_ = buckets::leaf_of(root_, hash_, true);
}

void SharedStore::Writer::unlock() noexcept {
  if (!locked_) return;
  locked_ = false;
  retired_.latch.unlock();
  if (!whole_) return stripe_->latch.unlock();
  store_.unlock_all();
}

// What was not committed goes: fresh nodes with the change, objects here. Destructors of users run after the locks were
// released.
SharedStore::Writer::~Writer() {
  if (locked_) {
    settle(false);
    retire_all();
    unlock();
    if (clear_) Change::free_node(root_);
  }
  for (std::size_t i = 0; i < added_.size(); ++i) object_of(added_[i])->release();
  for (const Retired& one : over_) SharedStore::free(one);
}

SharedObject& SharedStore::Writer::take(ObjectRef object) {
  added_.make_room();
  added_.push(link_to(object.forget()));
  return const_cast<SharedObject&>(*object_of(added_[added_.size() - 1]));
}

void SharedStore::Writer::count(std::ptrdiff_t objects, const SharedObject& object) noexcept {
  grown_ += objects;
  object_bytes_ += objects * static_cast<std::ptrdiff_t>(object.ops->size);
}

void SharedStore::Writer::step(Swap swap) noexcept {
  if (whole_) {
    root_ = swap.value;
  } else {
    swap_ = swap;
  }
}

// What is pending is retired with the rest, whatever becomes of it: there is always room for that.
void SharedStore::Writer::set_leaf(std::uint64_t hash, Link leaf) {
  if (!whole_) {
    root_ = leaf;
    return;
  }
  pending_.make_room();
  retired_.make_room(2 * pending_.size() + builder_->replaced().size() + 8);
  buckets::Builder::Spot spot = builder_->find(hash);
  const Link before = spot.slot == nullptr ? no_link : untagged(load(*spot.slot));
  if (kind_of(before) == kind_pending) {
    pending_of(before).after = leaf;
    return;
  }
  if (spot.slot == nullptr) spot = builder_->room_for(hash);
  const Pending* first = pending_.size() == 0 ? nullptr : &pending_of(pending_[0]);
  auto* pending = ::new (detail::allocate_node(sizeof(Pending))) Pending{hash, before, leaf, first};
  if (first == nullptr) pending->first = pending;
  pending_.push(reinterpret_cast<Link>(pending) | kind_pending);
  spot.slot->store(pending_[pending_.size() - 1] | buckets::tag_of(hash), std::memory_order_seq_cst);
  if (before == no_link) ++spot.segment->leaves;
}

// Leaves in the place of what is pending. Their segments are no snapshot's any more: nothing is allocated.
void SharedStore::Writer::settle(bool committed) noexcept {
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const Pending& pending = pending_of(pending_[i]);
    const Link leaf = committed ? pending.after : pending.before;
    const buckets::Builder::Spot spot = builder_->find(pending.hash);
    spot.slot->store(leaf == no_link ? no_link : leaf | buckets::tag_of(pending.hash), std::memory_order_seq_cst);
    if (leaf != no_link) continue;
    --spot.segment->leaves;
    builder_->left(spot, pending.hash);
  }
}

void SharedStore::Writer::insert(ObjectRef object) {
  SharedObject& fresh = take(std::move(object));
  fresh.sequence = ++store_.stripe_of(fresh.hash).sequence;
  if (store_.by_key_) {
    Slot root(root_);
    step(pages::insert(change_, whole_ ? root : store_.root_, &fresh, how()));
  } else {
    set_leaf(fresh.hash, leaf::insert(change_, view().leaf(fresh.hash), &fresh));
  }
  change_.end_step();
  count(1, fresh);
}

void SharedStore::Writer::remove(const SharedObject& object) {
  removed_.push(link_to(&object));
  if (store_.by_key_) {
    Slot root(root_);
    step(pages::remove(change_, whole_ ? root : store_.root_, object, how()));
  } else {
    set_leaf(object.hash, leaf::remove(change_, view().leaf(object.hash), object));
  }
  change_.end_step();
  count(-1, object);
}

void SharedStore::Writer::exchange(const SharedObject& old, ObjectRef object) {
  SharedObject& fresh = take(std::move(object));
  fresh.sequence = old.sequence;
  removed_.push(link_to(&old));
  if (store_.by_key_) {
    Slot root(root_);
    step(pages::exchange(change_, whole_ ? root : store_.root_, old, &fresh, how()));
  } else {
    set_leaf(old.hash, leaf::exchange(change_, view().leaf(old.hash), old, &fresh));
  }
  change_.end_step();
}

void SharedStore::Writer::clear() {
  cleared_ = std::exchange(root_, store_.by_key_ ? no_link : buckets::make_directory(buckets::depth_min));
  clear_ = true;
}

// Of one hash: the store with which the leaf stands in its place. Nothing that readers see has changed before it.
Swap SharedStore::Writer::place_leaf() {
  if (added_.size() + removed_.size() == 0) return {};
  retired_.make_room(change_.replaced().size() + removed_.size() + 16);
  buckets::Builder::Spot spot = builder_->find(hash_);
  if (spot.slot == nullptr && root_ != no_link) {
    spot = builder_->room_for(hash_);
    ++spot.segment->leaves;
  } else if (root_ == no_link) {
    --spot.segment->leaves;
  }
  spot_ = spot;
  return {spot.slot, root_ == no_link ? no_link : root_ | buckets::tag_of(hash_)};
}

void SharedStore::Writer::commit() {
  if (store_.by_key_) {
    publish(whole_ ? Swap{&store_.root_, root_} : swap_);
  } else if (!whole_) {
    publish(place_leaf());
  } else if (clear_) {
    publish({&store_.root_, root_});
  } else if (pending_.size() != 0) {
    publish({});
  }
  const bool grows = builder_ && builder_->wants_directory() && !whole_;
  unlock();
  if (grows) store_.double_directory();
}

// Everything that can fail. The same object may be added and removed: then readers have never seen it, and it is
// retired all the same.
void SharedStore::Writer::prepare() {
  retired_.make_room(change_.replaced().size() + removed_.size() + 2 * pending_.size() + 1 +
                     (builder_ ? builder_->replaced().size() : 0));
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
}

void SharedStore::Writer::publish(Swap swap) {
  if (swap.slot == nullptr && pending_.size() == 0) return;
  prepare();
  if (swap.slot != nullptr) {
    swap.slot->store(swap.value, std::memory_order_seq_cst);
    if (spot_.slot != nullptr && swap.value == no_link) builder_->left(spot_, hash_);
  } else {
    pending_of(pending_[0]).committed.store(true, std::memory_order_seq_cst);
    settle(true);
  }
  const std::uint64_t stamp = store_.epochs_->stamp();
  const Links& replaced = change_.replaced();
  for (std::size_t i = 0; i < replaced.size(); ++i) retire(replaced[i], stamp);
  for (std::size_t i = 0; i < removed_.size(); ++i) retire(removed_[i], stamp);
  if (cleared_ != no_link) retired_.push({cleared_, stamp, true});
  added_.clear();  // their counts are the table's now
  if (clear_) {
    for (std::size_t i = 0; i < store_.stripe_count(); ++i) {
      store_.stripes_[i].size.store(0, std::memory_order_relaxed);
      store_.stripes_[i].bytes.store(0, std::memory_order_relaxed);
    }
  } else {
    add(stripe_->size, grown_);
    add(stripe_->bytes, change_.bytes() + object_bytes_);
  }
  retire_all();
  take_over();
}

// By hash: the nodes that have served, whether anything was committed or not.
void SharedStore::Writer::retire_all() noexcept {
  if (!builder_) return;
  const std::uint64_t stamp = store_.epochs_->stamp();
  for (std::size_t i = 0; i < builder_->replaced().size(); ++i) retire(builder_->replaced()[i], stamp);
  for (std::size_t i = 0; i < pending_.size(); ++i) retire(pending_[i], stamp);
  if (!clear_) add(stripe_->bytes, builder_->bytes());
  builder_->replaced().clear();
  pending_.clear();
}

void SharedStore::Writer::take_over() {
  Epochs& epochs = *store_.epochs_;
  if (clear_) {
    if (epochs.try_advance()) epochs.try_advance();
  } else if (!retired_.is_due()) {
    return;
  } else if (!epochs.is_over(retired_.front().stamp) && ++retired_.waited % patience == 0) {
    epochs.try_advance();
  }
  store_.take_over(retired_, over_);
}

}  // namespace coppice::otp
