// SPDX-License-Identifier: Apache-2.0
//
// The memory of message nodes: size classes of 32 bytes up to 512, from per-thread caches that exchange magazines of 64
// nodes through a depot. A message is often made on one thread and destroyed on another; with a magazine for each 64 of
// them the threads meet at a lock once in 64 messages.
//
// A thread owns its cache: no other looks at it. A full magazine is handed over under the depot's lock, whose release and
// acquire order what the former owner wrote. When a thread ends, its cache goes to the depot. Memory in the depot is kept
// for reuse until the program ends. Sanitized builds use the plain allocator, so that every node is watched.
//
// New magazines are cut from regions that grow with the need: the first is small, the later ones are huge pages. The first
// touch of a page costs more than all else that is done to the few dozen nodes on it, and a backlog of a million messages
// touches thousands of pages: with huge pages it took half the time.
#include <array>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <coppice/message.hpp>

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

struct Free {
  Free* next;
};

struct Depot {
  std::mutex mutex;
  std::vector<Free*> magazines;  // chains of exactly `magazine` nodes
  Free* loose = nullptr;         // what ended threads have left
};
std::array<Depot, classes>& depots() {
  static auto* all = new std::array<Depot, classes>;  // outlives every thread
  return *all;
}

// Where new memory comes from. The rest of a region that is too small for a magazine is left unused.
struct Region {
  std::mutex mutex;
  std::byte* next = nullptr;
  std::byte* end = nullptr;
  std::size_t grow_to = std::size_t{64} << 10;
  static constexpr std::size_t size_max = std::size_t{8} << 20;
};
Region& region() {
  static auto* only = new Region;  // outlives every thread
  return *only;
}

std::byte* new_memory(std::size_t size) {
  Region& from = region();
  const std::lock_guard lock(from.mutex);
  if (static_cast<std::size_t>(from.end - from.next) < size) {
    std::byte* memory = platform::map_pages(from.grow_to);
    from.next = memory;
    from.end = memory + from.grow_to;
    if (from.grow_to < Region::size_max) from.grow_to *= 2;
  }
  return std::exchange(from.next, from.next + size);
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

struct CacheEnd {
  bool known = false;
  ~CacheEnd() {
    for (std::size_t i = 0; i < classes; ++i) {
      Cache::Class& mine = cache_of_thread.of[i];
      Depot& depot = depots()[i];
      const std::lock_guard lock(depot.mutex);
      if (mine.full != nullptr) depot.magazines.push_back(mine.full);
      while (mine.first != nullptr) {
        Free* node = mine.first;
        mine.first = node->next;
        node->next = depot.loose;
        depot.loose = node;
      }
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

void refill(Cache::Class& from, std::size_t index) {
  from.room = 0;
  if (from.full != nullptr) {
    from.first = std::exchange(from.full, nullptr);
    return;
  }
  Depot& depot = depots()[index];
  {
    const std::lock_guard lock(depot.mutex);
    if (!depot.magazines.empty()) {
      from.first = depot.magazines.back();
      depot.magazines.pop_back();
      return;
    }
    if (depot.loose != nullptr) {  // as many as fit
      for (from.room = magazine; depot.loose != nullptr && from.room > 0; --from.room) {
        Free* node = std::exchange(depot.loose, depot.loose->next);
        node->next = std::exchange(from.first, node);
      }
      return;
    }
  }
  const std::size_t size = (index + 1) * granule;
  std::byte* chunk = new_memory(size * magazine);
  for (std::size_t i = magazine; i-- > 0;) {  // handed out in the order of addresses
    auto* node = reinterpret_cast<Free*>(chunk + i * size);
    node->next = from.first;
    from.first = node;
  }
}

// What is not frequent: the cache has none of that size.
[[gnu::noinline]] void* allocate_otherwise(std::size_t size) {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) return ::operator new(size);
  Cache& mine = cache();
  if (mine.gone) return ::operator new((index + 1) * granule);  // joins the depot when it is freed
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
  }
  cache_end.known = true;
  to.full = std::exchange(to.first, node);
  node->next = nullptr;
  to.room = magazine - 1;
}

}  // namespace

void* allocate_node(std::size_t size) {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) [[unlikely]] return allocate_otherwise(size);
  Cache::Class& from = cache().of[index];
  Free* node = from.first;
  if (node == nullptr) [[unlikely]] return allocate_otherwise(size);
  from.first = node->next;
  ++from.room;
  return node;
}

void free_node(void* memory, std::size_t size) noexcept {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) [[unlikely]] return free_otherwise(memory, size);
  Cache::Class& to = cache().of[index];
  if (to.room == 0) [[unlikely]] return free_otherwise(memory, size);
  --to.room;
  auto* node = static_cast<Free*>(memory);
  node->next = to.first;
  to.first = node;
}

#endif

}  // namespace detail
}  // namespace v1
}  // namespace coppice
