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
    std::size_t count = 0;
    Free* full = nullptr;  // one magazine in reserve, against ping-pong with the depot
  };
  std::array<Class, classes> of{};

  ~Cache() {
    for (std::size_t i = 0; i < classes; ++i) {
      Depot& depot = depots()[i];
      const std::lock_guard lock(depot.mutex);
      if (of[i].full != nullptr) depot.magazines.push_back(of[i].full);
      while (of[i].first != nullptr) {
        Free* node = of[i].first;
        of[i].first = node->next;
        node->next = depot.loose;
        depot.loose = node;
      }
      of[i] = {};
    }
    gone = true;
  }
  bool gone = false;  // the thread is ending: destructors that run later use the depot
};
thread_local Cache cache_of_thread;

// The address of a thread-local must not be kept across a wait, so it is asked for anew each time.
[[gnu::noinline]] Cache& cache() noexcept {
  Cache* cache = &cache_of_thread;
  asm volatile("" : "+r"(cache) : : "memory");
  return *cache;
}

void refill(Cache::Class& from, std::size_t index) {
  if (from.full != nullptr) {
    from.first = std::exchange(from.full, nullptr);
    from.count = magazine;
    return;
  }
  Depot& depot = depots()[index];
  {
    const std::lock_guard lock(depot.mutex);
    if (!depot.magazines.empty()) {
      from.first = depot.magazines.back();
      depot.magazines.pop_back();
      from.count = magazine;
      return;
    }
    if (depot.loose != nullptr) {
      from.first = std::exchange(depot.loose, nullptr);
      for (const Free* node = from.first; node != nullptr; node = node->next) ++from.count;
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
  from.count = magazine;
}

void spill(Cache::Class& to, std::size_t index) noexcept {
  if (to.full != nullptr) {
    Depot& depot = depots()[index];
    const std::lock_guard lock(depot.mutex);
    depot.magazines.push_back(to.full);
  }
  to.full = std::exchange(to.first, nullptr);
  to.count = 0;
}

}  // namespace

void* allocate_node(std::size_t size) {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) return ::operator new(size);
  Cache& mine = cache();
  if (mine.gone) return ::operator new((index + 1) * granule);  // joins the depot when it is freed
  Cache::Class& from = mine.of[index];
  if (from.first == nullptr) refill(from, index);
  Free* node = from.first;
  from.first = node->next;
  --from.count;
  return node;
}

void free_node(void* memory, std::size_t size) noexcept {
  const std::size_t index = (size - 1) / granule;
  if (index >= classes) return ::operator delete(memory);
  auto* node = static_cast<Free*>(memory);
  Cache& mine = cache();
  if (mine.gone) {
    Depot& depot = depots()[index];
    const std::lock_guard lock(depot.mutex);
    node->next = depot.loose;
    depot.loose = node;
    return;
  }
  Cache::Class& to = mine.of[index];
  if (to.count >= magazine) spill(to, index);
  node->next = to.first;
  to.first = node;
  ++to.count;
}

#endif

}  // namespace detail
}  // namespace v1
}  // namespace coppice
