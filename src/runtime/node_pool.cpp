// SPDX-License-Identifier: Apache-2.0
//
// The memory of message nodes: size classes of 32 bytes up to 512, from per-thread caches that exchange magazines of 64
// nodes through a depot. A message is often made on one thread and destroyed on another; with a magazine for each 64 of
// them the threads meet at a lock once in 64 messages.
//
// A thread owns its cache: no other looks at it. A full magazine is handed over under the depot's lock, whose release and
// acquire order what the former owner wrote. When a thread ends, its cache goes to the depot. Sanitized builds use the plain
// allocator, so that every node is watched.
//
// Nodes are cut from slabs of 32 KiB, each for one size, and slabs from regions that grow with the need: the first is small,
// the later ones are huge pages. The first touch of a page costs more than all else that is done to the few dozen nodes on
// it, and a backlog of a million messages touches thousands of pages: with huge pages it took half the time.
//
// Giving back. After a burst the depots are full. An idle worker sorts out what nobody has needed for a while (node_pool.hpp),
// some magazines at a time, and what it has in its own cache:
//   1. A node goes to the list of its slab, whose first bytes are a header that its address leads to. The depot hands out
//      what was sorted when it has no magazine left, so nothing is lost meanwhile.
//   2. A slab with all of its nodes in its list leaves the depot. Its pages go to the system, the slab to whoever needs one
//      next, for whatever size.
//   3. Of a huge page a part is given back: then the system must not make it whole again, and is told so; when all of its
//      slabs are given back, that may be undone. The first touch of one that was given back whole may make all of it
//      resident again. So slabs come from pages that are in use already, as long as there are such: else the few nodes of
//      each size that a program at rest needs would bring back a huge page for each size.
// How much nobody has needed is the least that a depot held since the last look: a program that has a burst every now and then
// keeps its memory, as one does that always has so much in flight.
//
// A fork holds all locks of the pool (core.cpp), so that the child finds it whole.
#include "runtime/node_pool.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <coppice/message.hpp>

#include "base/intrusive_list.hpp"
#include "platform/pages.hpp"
#include "platform/sanitizers.hpp"

namespace coppice {
inline namespace v1 {
namespace detail {

#if COPPICE_ASAN || COPPICE_TSAN

void* allocate_node(std::size_t size) { return ::operator new(size); }
void free_node(void* memory, std::size_t /*size*/) noexcept { ::operator delete(memory); }

#else

namespace {

constexpr std::size_t granule = 32;
constexpr std::size_t classes = 16;
constexpr std::size_t magazine = 64;

constexpr std::size_t slab_size = std::size_t{32} << 10;
constexpr std::size_t huge_page = std::size_t{2} << 20;

struct Free {
  Free* next;
};

// The header of a slab that is in use. All of it is guarded by the depot of its class.
struct alignas(64) Slab {
  base::ListHook hook;  // in Depot::sorted, while it has free nodes in its list
  Free* free = nullptr;
  std::uint32_t free_count = 0;
  std::uint32_t nodes = 0;  // as many as it has place for
  std::uint32_t cut = 0;    // as many as were handed out the first time
};
Slab* slab_of(void* node) noexcept {
  return reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(node) & ~(slab_size - 1));
}

struct Depot {
  std::mutex mutex;
  std::vector<Free*> magazines;  // chains of exactly `magazine` nodes
  Free* loose = nullptr;         // what ended threads have left
  Slab* cutting = nullptr;       // whose nodes were not all handed out yet
  base::IntrusiveList<Slab, &Slab::hook> sorted;
  std::atomic<std::size_t> held{0};  // magazines.size(), for who looks without the lock
  std::size_t least = 0;             // of `held`, since the last look: nobody has needed so many
};
std::array<Depot, classes>& depots() {
  static auto* all = new std::array<Depot, classes>;  // outlives every thread
  return *all;
}

// Where slabs come from.
class Slabs {
 public:
  std::byte* take();
  void give_back(std::byte* slab) noexcept;
  void hold() noexcept { mutex_.lock(); }
  void let_go() noexcept { mutex_.unlock(); }

 private:
  static constexpr std::size_t region_max = std::size_t{8} << 20;
  static constexpr std::size_t slabs_of_page = huge_page / slab_size;
  static_assert(slabs_of_page == 64, "one bit of a word for each");
  static constexpr std::uint64_t all_slabs = ~std::uint64_t{0};
  struct HugePage {
    base::ListHook hook;  // in partly_free_ or free_whole_, if it has a free slab
    std::byte* begin = nullptr;
    std::uint64_t free = 0;  // a bit for each slab that was given back
    bool may_be_huge = true;
  };
  struct Region {
    std::byte* begin;
    std::byte* end;
    std::unique_ptr<HugePage[]> pages;  // null: it is smaller than one
  };
  [[nodiscard]] HugePage* page_of(const std::byte* slab) noexcept;
  std::byte* take_from(HugePage& page) noexcept;
  void give_back_to(HugePage& page, std::byte* slab) noexcept;
  void grow();

  std::mutex mutex_;
  std::vector<Region> regions_;         // by address
  std::vector<std::byte*> free_small_;  // given back, of small regions; reserved for all that there are
  base::IntrusiveList<HugePage, &HugePage::hook> partly_free_;
  base::IntrusiveList<HugePage, &HugePage::hook> free_whole_;
  std::byte* next_ = nullptr;  // of the newest region
  std::byte* end_ = nullptr;
  std::size_t small_slabs_ = 0;
  std::size_t grow_to_ = std::size_t{64} << 10;
};

void Slabs::grow() {
  const bool huge = grow_to_ >= huge_page;
  std::unique_ptr<HugePage[]> pages;
  if (huge) {
    pages = std::make_unique<HugePage[]>(grow_to_ / huge_page);
  } else {
    small_slabs_ += grow_to_ / slab_size;
    free_small_.reserve(small_slabs_);
  }
  std::byte* memory = platform::map_pages(huge ? grow_to_ : grow_to_ + slab_size);
  if (!huge) memory += -reinterpret_cast<std::uintptr_t>(memory) & (slab_size - 1);
  for (std::size_t i = 0; huge && i < grow_to_ / huge_page; ++i) pages[i].begin = memory + i * huge_page;
  next_ = memory;
  end_ = memory + grow_to_;
  const auto behind = std::ranges::upper_bound(regions_, memory, {}, &Region::begin);
  regions_.insert(behind, Region{memory, end_, std::move(pages)});
  if (grow_to_ < region_max) grow_to_ *= 2;
}

// Null: it is of a small region.
Slabs::HugePage* Slabs::page_of(const std::byte* slab) noexcept {
  const Region& region = *std::prev(std::ranges::upper_bound(regions_, slab, {}, &Region::begin));
  return region.pages == nullptr ? nullptr : &region.pages[static_cast<std::size_t>(slab - region.begin) / huge_page];
}

std::byte* Slabs::take_from(HugePage& page) noexcept {
  const bool was_whole = page.free == all_slabs;
  const int i = std::countr_zero(page.free);
  page.free &= page.free - 1;
  if (was_whole || page.free == 0) decltype(partly_free_)::remove(page);
  if (was_whole) partly_free_.push_front(page);
  return page.begin + static_cast<std::size_t>(i) * slab_size;
}

std::byte* Slabs::take() {
  const std::lock_guard lock(mutex_);
  if (!free_small_.empty()) {
    std::byte* slab = free_small_.back();
    free_small_.pop_back();
    return slab;
  }
  if (!partly_free_.empty()) return take_from(partly_free_.front());
  if (next_ != end_) return std::exchange(next_, next_ + slab_size);
  if (!free_whole_.empty()) return take_from(free_whole_.front());
  grow();
  return std::exchange(next_, next_ + slab_size);
}

// The first touch of a page that may be huge made its free slabs resident as well: they go with the first that is given back.
void Slabs::give_back_to(HugePage& page, std::byte* slab) noexcept {
  if (page.free == 0) partly_free_.push_back(page);
  page.free |= std::uint64_t{1} << (static_cast<std::size_t>(slab - page.begin) / slab_size);
  if (page.free == all_slabs) {
    decltype(partly_free_)::remove(page);
    free_whole_.push_front(page);
    platform::give_pages_back(page.begin, huge_page);
    if (!page.may_be_huge) platform::wish_for_huge_pages(page.begin, huge_page, true);
    page.may_be_huge = true;
    return;
  }
  if (!page.may_be_huge) return platform::give_pages_back(slab, slab_size);
  platform::wish_for_huge_pages(page.begin, huge_page, false);
  page.may_be_huge = false;
  for (std::uint64_t rest = page.free; rest != 0; rest &= rest - 1) {
    platform::give_pages_back(page.begin + static_cast<std::size_t>(std::countr_zero(rest)) * slab_size, slab_size);
  }
}

void Slabs::give_back(std::byte* slab) noexcept {
  const std::lock_guard lock(mutex_);
  if (HugePage* page = page_of(slab)) return give_back_to(*page, slab);
  free_small_.push_back(slab);
  platform::give_pages_back(slab, slab_size);
}

Slabs& slabs() {
  static auto* only = new Slabs;  // outlives every thread
  return *only;
}

struct Cache {
  struct Class {
    Free* first = nullptr;
    std::size_t room = 0;  // for how many more, before some must go to the depot
    Free* full = nullptr;  // one magazine in reserve, against ping-pong with the depot
  };
  std::array<Class, classes> of{};
  // The thread is ending: destructors that run later use the depot. The classes stand as if they were empty and full, as in a
  // thread that begins, so that only who would go to the depot has to look.
  bool gone = false;
};
// Without a destructor, so that the frequent path need not ask whether it is constructed; its end is CacheEnd. In the part of
// a thread's memory that needs no call to find, also in a shared library.
[[gnu::tls_model("initial-exec")]] constinit thread_local Cache cache_of_thread;

// Under the depot's lock.
void leave_loose(Depot& depot, Free* chain) noexcept {
  while (chain != nullptr) {
    Free* node = std::exchange(chain, chain->next);
    node->next = std::exchange(depot.loose, node);
  }
}

struct CacheEnd {
  bool known = false;
  ~CacheEnd() {
    for (std::size_t i = 0; i < classes; ++i) {
      Cache::Class& mine = cache_of_thread.of[i];
      Depot& depot = depots()[i];
      const std::lock_guard lock(depot.mutex);
      if (mine.full != nullptr) depot.magazines.push_back(mine.full);
      depot.held.store(depot.magazines.size(), std::memory_order_relaxed);
      leave_loose(depot, mine.first);
      mine = {};
    }
    cache_of_thread.gone = true;
  }
};
thread_local CacheEnd cache_end;

// The address of a thread-local must not be kept across a wait, so it is asked for anew each time.
// Asked in code that nothing is inlined into.
[[gnu::always_inline]] inline Cache& cache() noexcept {
  Cache* cache = &cache_of_thread;
  asm volatile("" : "+r"(cache) : : "memory");
  return *cache;
}

// Up to `most` nodes from a list to the cache.
std::size_t move_nodes(Free*& list, Cache::Class& to, std::size_t most) noexcept {
  std::size_t moved = 0;
  for (; list != nullptr && moved < most; ++moved) {
    Free* node = std::exchange(list, list->next);
    node->next = std::exchange(to.first, node);
  }
  to.room -= moved;
  return moved;
}

void take_sorted(Depot& depot, Cache::Class& to) noexcept {
  Slab& slab = *depot.sorted.begin();
  slab.free_count -= static_cast<std::uint32_t>(move_nodes(slab.free, to, magazine));
  if (slab.free == nullptr) depot.sorted.remove(slab);
}

// The next nodes of a slab that were never handed out: how many, and where.
struct Uncut {
  std::byte* begin;
  std::size_t count;
};
Uncut take_uncut(Depot& depot, std::size_t size) {
  if (depot.cutting == nullptr) {
    auto* slab = ::new (static_cast<void*>(slabs().take())) Slab;
    slab->nodes = static_cast<std::uint32_t>((slab_size - sizeof(Slab)) / size);
    depot.cutting = slab;
  }
  Slab& slab = *depot.cutting;
  const std::uint32_t count = std::min<std::uint32_t>(magazine, slab.nodes - slab.cut);
  std::byte* begin = reinterpret_cast<std::byte*>(&slab + 1) + slab.cut * size;
  slab.cut += count;
  if (slab.cut == slab.nodes) depot.cutting = nullptr;
  return {begin, count};
}

void refill(Cache::Class& from, std::size_t index) {
  from.room = 0;
  if (from.full != nullptr) {
    from.first = std::exchange(from.full, nullptr);
    return;
  }
  Depot& depot = depots()[index];
  const std::size_t size = (index + 1) * granule;
  Uncut uncut{};
  {
    const std::lock_guard lock(depot.mutex);
    if (!depot.magazines.empty()) {
      from.first = depot.magazines.back();
      depot.magazines.pop_back();
      depot.held.store(depot.magazines.size(), std::memory_order_relaxed);
      depot.least = std::min(depot.least, depot.magazines.size());
      return;
    }
    from.room = magazine;
    if (!depot.sorted.empty()) return take_sorted(depot, from);
    if (depot.loose != nullptr) {
      move_nodes(depot.loose, from, magazine);
      return;
    }
    uncut = take_uncut(depot, size);
  }
  from.room = magazine - uncut.count;
  for (std::size_t i = uncut.count; i-- > 0;) {  // handed out in the order of addresses
    auto* node = reinterpret_cast<Free*>(uncut.begin + i * size);
    node->next = from.first;
    from.first = node;
  }
}

// For a thread that is ending. Who frees the node puts it among those of the pool, so it has to be one of them.
void* take_one(std::size_t index) {
  Cache::Class taken;
  refill(taken, index);
  Free* node = std::exchange(taken.first, taken.first->next);
  Depot& depot = depots()[index];
  const std::lock_guard lock(depot.mutex);
  leave_loose(depot, taken.first);
  return node;
}

// What is not frequent: the cache has none of that size.
[[gnu::noinline]] void* allocate_otherwise(std::size_t size) {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) return ::operator new(size);
  Cache& mine = cache();
  if (mine.gone) return take_one(index);
  cache_end.known = true;
  Cache::Class& from = mine.of[index];
  refill(from, index);
  Free* node = from.first;
  from.first = node->next;
  ++from.room;
  return node;
}

// The same for freeing: the cache has enough of that size.
[[gnu::noinline]] void free_otherwise(void* memory, std::size_t size) noexcept {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) return ::operator delete(memory);
  auto* node = static_cast<Free*>(memory);
  Cache& mine = cache();
  Cache::Class& to = mine.of[index];
  if (mine.gone || to.full != nullptr) {
    Depot& depot = depots()[index];
    const std::lock_guard lock(depot.mutex);
    if (mine.gone) {
      node->next = depot.loose;
      depot.loose = node;
      return;
    }
    depot.magazines.push_back(to.full);
    depot.held.store(depot.magazines.size(), std::memory_order_relaxed);
  }
  cache_end.known = true;
  to.full = std::exchange(to.first, node);
  node->next = nullptr;
  to.room = magazine - 1;
}

}  // namespace

void* allocate_node(std::size_t size) {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) [[unlikely]]
    return allocate_otherwise(size);
  Cache::Class& from = cache().of[index];
  Free* node = from.first;
  if (node == nullptr) [[unlikely]]
    return allocate_otherwise(size);
  from.first = node->next;
  ++from.room;
  return node;
}

void free_node(void* memory, std::size_t size) noexcept {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) [[unlikely]]
    return free_otherwise(memory, size);
  Cache::Class& to = cache().of[index];
  if (to.room == 0) [[unlikely]]
    return free_otherwise(memory, size);
  --to.room;
  auto* node = static_cast<Free*>(memory);
  node->next = to.first;
  to.first = node;
}

#endif

}  // namespace detail
}  // namespace v1

namespace runtime {

#if COPPICE_ASAN || COPPICE_TSAN

bool nodes_to_spare() noexcept { return false; }
void watch_spare_nodes() noexcept {}
bool sort_spare_nodes(std::size_t) noexcept { return false; }
void hold_node_pool() noexcept {}
void let_node_pool_go() noexcept {}

#else

using detail::Depot;
using detail::Free;
using detail::Slab;

bool nodes_to_spare() noexcept {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < detail::classes; ++i) {
    bytes += detail::depots()[i].held.load(std::memory_order_relaxed) * detail::magazine * (i + 1) * detail::granule;
  }
  return bytes >= spare_nodes_min;
}

void watch_spare_nodes() noexcept {
  for (Depot& depot : detail::depots()) {
    const std::lock_guard lock(depot.mutex);
    depot.least = depot.magazines.size();
  }
}

namespace {

// The slabs that are whole now, to be given back when the lock is not held any more.
struct Whole {
  std::array<Slab*, detail::magazine> slabs;
  std::size_t count = 0;

  void give_back() const noexcept {
    for (std::size_t i = 0; i < count; ++i) detail::slabs().give_back(reinterpret_cast<std::byte*>(slabs[i]));
  }
};

// A magazine, under the depot's lock.
void sort(Depot& depot, Free* chain, Whole& whole) noexcept {
  while (chain != nullptr) {
    Free* node = std::exchange(chain, chain->next);
    Slab& slab = *detail::slab_of(node);
    node->next = std::exchange(slab.free, node);
    if (slab.free_count++ == 0) depot.sorted.push_back(slab);
    if (slab.free_count < slab.nodes) continue;
    depot.sorted.remove(slab);
    whole.slabs[whole.count++] = &slab;
  }
}

// Sorts one magazine that nobody has needed; false if there is none.
bool sort_magazine(Depot& depot) noexcept {
  Whole whole;
  {
    const std::lock_guard lock(depot.mutex);
    if (depot.least == 0) return false;
    --depot.least;
    Free* chain = depot.magazines.back();
    depot.magazines.pop_back();
    depot.held.store(depot.magazines.size(), std::memory_order_relaxed);
    sort(depot, chain, whole);
  }
  whole.give_back();
  return true;
}

// What the calling thread has in its cache, of a class that is being sorted: each node might be the last of its slab.
void sort_cache(Depot& depot, detail::Cache::Class& mine) noexcept {
  if (mine.first == nullptr && mine.full == nullptr) return;
  Whole whole;
  {
    const std::lock_guard lock(depot.mutex);
    if (depot.least == 0 && depot.sorted.empty()) return;
    if (mine.full != nullptr) {
      depot.magazines.push_back(mine.full);
      ++depot.least;
    }
    depot.held.store(depot.magazines.size(), std::memory_order_relaxed);
    sort(depot, mine.first, whole);
    mine = {};
  }
  whole.give_back();
}

}  // namespace

bool sort_spare_nodes(std::size_t magazines) noexcept {
  for (std::size_t i = 0; i < detail::classes; ++i) {
    Depot& depot = detail::depots()[i];
    sort_cache(depot, detail::cache().of[i]);
    while (sort_magazine(depot)) {
      if (--magazines == 0) return true;
    }
  }
  return false;
}

// In the order in which take_uncut() takes them.
void hold_node_pool() noexcept {
  for (Depot& depot : detail::depots()) depot.mutex.lock();
  detail::slabs().hold();
}

void let_node_pool_go() noexcept {
  detail::slabs().let_go();
  for (Depot& depot : detail::depots()) depot.mutex.unlock();
}

#endif

}  // namespace runtime
}  // namespace coppice
