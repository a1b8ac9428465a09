// SPDX-License-Identifier: Apache-2.0
//
// Actors: threads that acquire, release and trim under the pool's mutex; signal handlers, on any thread, that ask which
// stack an address belongs to and may take no lock.
//
// A size class has three lists of free stacks. `warm` is last in, first out: its first stack is the one most likely
// still in the caches. trim() moves all but `keep` of it to `trimming`, then takes those in small batches, gives their
// pages back and notes them in `cold`, so that nobody waits for more than one batch. acquire() looks at warm, cold and
// trimming, in this order, before it carves a new stack from a slab. All lists are guarded by the mutex.
//
// A cold stack has no page left, and so no header: a stack whose process waits has one page, the header's, and to give back
// all others would give back nothing. What must be known of it is its block and its guard, one word in `cold`: blocks
// are whole pages, so the low bits are free for the kind of guard. The header is made anew when the stack is handed out. (With
// a sanitizer the header keeps what that knows of the stack, and stays.)
//
// A pool that ends leaves its stacks to the next (KeptStacks) if they are few and all in `warm`: then that one goes on
// where this one stopped. A stack that somebody abandoned, whatever may still stand on it, goes with its pool.
//
// The registry of slabs serves the signal handlers. It is an array that is never freed. A slot goes
//     0 --(claim: CAS)--> claimed --(fields written, then `base` stored with release)--> base --(retire)--> 0
// A reader loads `base` with acquire and so sees the fields that were written before it. A header inside a slab is
// written by the carving thread before the stack is handed out; a reader that meets one still blank (low == nullptr)
// ignores it, and the thread that runs on a stack has received it by acquire(), so it sees its own header in full.
#include "platform/stack_pool.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdio>
#include <mutex>
#include <new>
#include <vector>

#include "platform/fault.hpp"
#include "platform/sanitizers.hpp"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

namespace coppice::platform {
namespace {

constexpr bool sanitized = COPPICE_ASAN != 0 || COPPICE_TSAN != 0;
constexpr std::size_t slab_size = std::size_t{64} << 20;
constexpr std::size_t usable_size_min = 16 * 1024;
constexpr std::size_t size_class_count = 48;  // the address space of a process has 47 bits
constexpr std::size_t trim_batch = 8;
constexpr std::size_t header_size = (sizeof(Stack) + 63) / 64 * 64;
constexpr std::size_t canary_words = 8;
constexpr std::uint64_t canary_word = 0x5AFE'57AC'CA4A'4Dull;

struct Slab {
  std::byte* base = nullptr;
  std::size_t size = 0;
  std::size_t block_size = 0;
  std::size_t carved = 0;  // blocks handed out so far
  std::size_t slot = 0;    // in the registry
};

Stack* header_of_block(std::byte* block, std::size_t block_size) noexcept {
  return reinterpret_cast<Stack*>(block + block_size - header_size);
}

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

std::size_t rounded_up_to_pages(std::size_t size) noexcept {
  const std::size_t page = page_size();
  return (size + page - 1) / page * page;
}

// -- registry --------------------------------------------------------------------------------------------------------

struct RegistrySlot {
  std::atomic<std::uintptr_t> base;  // 0: free; 1: claimed
  std::atomic<std::size_t> size;
  std::atomic<std::size_t> block_size;
};

constexpr std::uintptr_t slot_claimed = 1;
constexpr std::size_t registry_size = 65'536;
RegistrySlot registry[registry_size];               // zero pages until touched
std::atomic<std::size_t> registry_used{0};          // slots at and beyond this index were never claimed
std::atomic<std::size_t> registry_lowest_guess{0};  // where a search for a free slot starts; only a hint

// The slot of a new slab; registry_size if there is none.
std::size_t registry_add(std::byte* base, std::size_t size, std::size_t block_size) noexcept {
  const std::size_t start = registry_lowest_guess.load(std::memory_order_relaxed);
  for (std::size_t step = 0; step < registry_size; ++step) {
    const std::size_t index = (start + step) % registry_size;
    RegistrySlot& slot = registry[index];
    std::uintptr_t expected = 0;
    if (slot.base.load(std::memory_order_relaxed) != 0) continue;
    if (!slot.base.compare_exchange_strong(expected, slot_claimed, std::memory_order_acquire)) continue;
    slot.size.store(size, std::memory_order_relaxed);  // published by the store of `base`
    slot.block_size.store(block_size, std::memory_order_relaxed);
    slot.base.store(reinterpret_cast<std::uintptr_t>(base), std::memory_order_release);
    std::size_t used = registry_used.load(std::memory_order_relaxed);
    while (used <= index && !registry_used.compare_exchange_weak(used, index + 1, std::memory_order_release)) {
    }
    registry_lowest_guess.store(index + 1, std::memory_order_relaxed);
    return index;
  }
  return registry_size;
}

void registry_remove(std::size_t index) noexcept {
  registry[index].base.store(0, std::memory_order_release);
  registry_lowest_guess.store(index, std::memory_order_relaxed);
}

// -- guards ----------------------------------------------------------------------------------------------------------

bool kernel_has_guard_install() noexcept {
  static const bool has = [] {
    void* page = ::mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    const bool installed = ::madvise(page, page_size(), MADV_GUARD_INSTALL) == 0;
    ::munmap(page, page_size());
    return installed;
  }();
  return has;
}

std::uint64_t* canary_of(const Stack& stack) noexcept {
  return reinterpret_cast<std::uint64_t*>(stack.low) - canary_words;
}

void write_canary(const Stack& stack) noexcept { std::fill_n(canary_of(stack), canary_words, canary_word); }

bool canary_is_whole(const Stack& stack) noexcept {
  const std::uint64_t* canary = canary_of(stack);
  return std::all_of(canary, canary + canary_words, [](std::uint64_t word) { return word == canary_word; });
}

// Tells the system that the touched pages are not needed; with a sanitizer, but for the header's.
void give_pages_back(const Stack& stack) noexcept {
  const auto header = reinterpret_cast<std::uintptr_t>(&stack);
  const std::uintptr_t end = sanitized ? header / page_size() * page_size() : header + header_size;
  const auto low = reinterpret_cast<std::uintptr_t>(stack.low);
  if (end > low) ::madvise(stack.low, end - low, MADV_DONTNEED);
}

}  // namespace

// -- the pool --------------------------------------------------------------------------------------------------------

struct StackPool::Impl {
  struct SizeClass {
    Stack* warm = nullptr;
    std::size_t warm_count = 0;
    Stack* trimming = nullptr;
    std::vector<std::uintptr_t> cold;  // block | guard
    std::size_t slab = no_slab;        // index of the slab from which blocks are carved
  };
  static constexpr std::size_t no_slab = ~std::size_t{0};

  explicit Impl(const StackPoolOptions& given) : options(given), asked_for(given) {
    options.guard_size = std::max(rounded_up_to_pages(options.guard_size), page_size());
    kind = options.guard_strongest;
    if (kind == GuardKind::guard_install && !kernel_has_guard_install()) kind = GuardKind::mprotect;
    if (kind == GuardKind::mprotect && options.mprotect_guards_max < 2) kind = GuardKind::canary;
  }

  [[nodiscard]] std::size_t size_class_of(std::size_t size) const noexcept {
    if (size == 0) size = options.default_size;
    size = std::max(size, options.guard_size + usable_size_min);
    return static_cast<std::size_t>(std::bit_width(size - 1));
  }

  static Stack* pop(Stack*& list) noexcept {
    Stack* stack = list;
    if (stack != nullptr) list = stack->next;
    return stack;
  }

  static void push(Stack*& list, Stack* stack) noexcept {
    stack->next = list;
    list = stack;
  }

  bool add_slab(SizeClass& size_class, std::size_t block_size) noexcept;
  Stack* carve(SizeClass& size_class, std::size_t index) noexcept;
  Stack* make_header(std::byte* block, std::size_t index) const noexcept;
  void make_cold(SizeClass& size_class, Stack& stack) noexcept;
  Stack* take_cold(SizeClass& size_class, std::size_t index) const noexcept;
  void guard_block(Stack& stack, std::byte* block) noexcept;
  void unmap(const Slab& slab) noexcept;
  [[nodiscard]] bool may_be_kept() const noexcept;
  ~Impl() {
    for (const Slab& slab : slabs) unmap(slab);
  }

  StackPoolOptions options;
  const StackPoolOptions asked_for;
  mutable std::mutex mutex;  // guards everything below
  GuardKind kind = GuardKind::canary;
  std::size_t guard_entries = 0;  // map entries that mprotect guards cost so far
  std::size_t used = 0;
  std::array<SizeClass, size_class_count> classes;
  std::vector<Slab> slabs;
};

bool StackPool::Impl::add_slab(SizeClass& size_class, std::size_t block_size) noexcept {
  const std::size_t size = sanitized ? block_size : std::max(block_size, slab_size);
  try {
    if (slabs.size() == slabs.capacity()) slabs.reserve(slabs.size() * 2 + 16);
  } catch (const std::bad_alloc&) {
    return false;
  }
  void* memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return false;
  ::madvise(memory, size, MADV_NOHUGEPAGE);  // fails only where there are no huge pages
  auto* base = static_cast<std::byte*>(memory);
#if COPPICE_ASAN
  __asan_unpoison_memory_region(memory, size);  // what an earlier mapping at this address left
#endif
  const std::size_t slot = registry_add(base, size, block_size);
  if (slot == registry_size) {
    ::munmap(memory, size);
    return false;
  }
  size_class.slab = slabs.size();
  slabs.push_back({base, size, block_size, 0, slot});
  return true;
}

Stack* StackPool::Impl::carve(SizeClass& size_class, std::size_t index) noexcept {
  const std::size_t block_size = std::size_t{1} << index;
  if (size_class.slab == no_slab || (slabs[size_class.slab].carved + 1) * block_size > slabs[size_class.slab].size) {
    if (!add_slab(size_class, block_size)) return nullptr;
  }
  Slab& slab = slabs[size_class.slab];
  std::byte* block = slab.base + slab.carved * block_size;
  ++slab.carved;
  Stack* stack = make_header(block, index);
  guard_block(*stack, block);
#if COPPICE_ASAN
  // Objects that only a waiting process refers to are not leaks.
  __lsan_register_root_region(stack->low, stack->size + header_size);
#endif
  return stack;
}

Stack* StackPool::Impl::make_header(std::byte* block, std::size_t index) const noexcept {
  auto* stack = new (header_of_block(block, std::size_t{1} << index)) Stack;
  stack->size_class = static_cast<std::uint32_t>(index);
  stack->low = block + options.guard_size;
  stack->size = static_cast<std::size_t>(reinterpret_cast<std::byte*>(stack) - stack->low);
  return stack;
}

// Its place in `cold` comes first: where there is no memory for that it stays warm.
void StackPool::Impl::make_cold(SizeClass& size_class, Stack& stack) noexcept {
  try {
    size_class.cold.push_back(reinterpret_cast<std::uintptr_t>(stack.low - options.guard_size) |
                              static_cast<std::uintptr_t>(stack.guard));
  } catch (const std::bad_alloc&) {
    push(size_class.warm, &stack);
    ++size_class.warm_count;
    return;
  }
  give_pages_back(stack);
}

Stack* StackPool::Impl::take_cold(SizeClass& size_class, std::size_t index) const noexcept {
  if (size_class.cold.empty()) return nullptr;
  constexpr std::uintptr_t guard_bits = 3;
  const std::uintptr_t word = size_class.cold.back();
  size_class.cold.pop_back();
  auto* block = reinterpret_cast<std::byte*>(word & ~guard_bits);
  if constexpr (sanitized) return header_of_block(block, std::size_t{1} << index);
  Stack* stack = make_header(block, index);
  stack->guard = static_cast<GuardKind>(word & guard_bits);
  return stack;
}

void StackPool::Impl::guard_block(Stack& stack, std::byte* block) noexcept {
  if (kind == GuardKind::guard_install) {
    if (::madvise(block, options.guard_size, MADV_GUARD_INSTALL) == 0) {
      stack.guard = GuardKind::guard_install;
      return;
    }
    kind = GuardKind::mprotect;  // for example because the program locks all its memory
  }
  if (kind == GuardKind::mprotect) {
    if (guard_entries + 2 <= options.mprotect_guards_max && ::mprotect(block, options.guard_size, PROT_NONE) == 0) {
      guard_entries += 2;
      stack.guard = GuardKind::mprotect;
      return;
    }
    kind = GuardKind::canary;
  }
  stack.guard = GuardKind::canary;
  write_canary(stack);
}

void StackPool::Impl::unmap(const Slab& slab) noexcept {
  if constexpr (sanitized) {
    for (std::size_t i = 0; i < slab.carved; ++i) {
      Stack* stack = header_of_block(slab.base + i * slab.block_size, slab.block_size);
      destroy_context(stack->context);
#if COPPICE_ASAN
      __lsan_unregister_root_region(stack->low, stack->size + header_size);
      __asan_unpoison_memory_region(stack->low, stack->size);
#endif
    }
  }
  registry_remove(slab.slot);
  ::munmap(slab.base, slab.size);
}

// All of its stacks are free, with their pages, and no more than a trim leaves.
bool StackPool::Impl::may_be_kept() const noexcept {
  if (used != 0 || guard_entries > asked_for.mprotect_guards_max / 2) return false;
  std::size_t warm = 0;
  std::size_t carved = 0;
  for (const SizeClass& size_class : classes) {
    if (size_class.warm_count > KeptStacks::stacks_max) return false;
    warm += size_class.warm_count;
  }
  for (const Slab& slab : slabs) carved += slab.carved;
  return warm == carved;
}

StackPool::StackPool(const StackPoolOptions& options, KeptStacks* kept) : kept_(kept) {
  if (kept != nullptr) impl_ = kept->take(options);
  if (!impl_) impl_ = std::make_unique<Impl>(options);
}

StackPool::~StackPool() {
  if (kept_ != nullptr && impl_->may_be_kept()) kept_->give(std::move(impl_));
}

struct KeptStacks::State {
  std::mutex mutex;  // guards the pools, the one given last behind
  std::array<std::unique_ptr<StackPool::Impl>, pools_max> pools;
  std::size_t count = 0;
};

KeptStacks::KeptStacks() : state_(std::make_unique<State>()) {}
KeptStacks::~KeptStacks() = default;

std::unique_ptr<StackPool::Impl> KeptStacks::take(const StackPoolOptions& options) noexcept {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  for (std::size_t i = state.count; i-- > 0;) {
    if (state.pools[i]->asked_for != options) continue;
    std::unique_ptr<StackPool::Impl> pool = std::move(state.pools[i]);
    std::move(state.pools.begin() + i + 1, state.pools.begin() + state.count, state.pools.begin() + i);
    --state.count;
    return pool;
  }
  return nullptr;
}

void KeptStacks::give(std::unique_ptr<StackPool::Impl> pool) noexcept {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.count == pools_max) {
    std::move(state.pools.begin() + 1, state.pools.end(), state.pools.begin());
    --state.count;
  }
  state.pools[state.count++] = std::move(pool);
}

Stack* StackPool::acquire(std::size_t size) noexcept {
  Impl& pool = *impl_;
  const std::size_t index = pool.size_class_of(size);
  if (index >= size_class_count) return nullptr;
  Stack* stack = nullptr;
  {
    const std::lock_guard lock(pool.mutex);
    if (pool.used >= pool.options.stacks_max) return nullptr;
    Impl::SizeClass& size_class = pool.classes[index];
    if ((stack = Impl::pop(size_class.warm)) != nullptr) {
      --size_class.warm_count;
    } else if ((stack = pool.take_cold(size_class, index)) == nullptr &&
               (stack = Impl::pop(size_class.trimming)) == nullptr &&
               (stack = pool.carve(size_class, index)) == nullptr) {
      return nullptr;
    }
    ++pool.used;
  }
  stack->next = nullptr;
  stack->owner = nullptr;
  stack->exceptions = {};
  stack->home = 0;
  stack->turn_size = 0;
  stack->worn = false;
  stack->name = nullptr;
  stack->free = false;
  return stack;
}

void StackPool::release(Stack* stack) noexcept {
  if (stack->free || stack->low == nullptr) [[unlikely]]  // a cold one has no header
    die("a stack was given back to its pool twice");
  if (stack->guard == GuardKind::canary && !canary_is_whole(*stack)) [[unlikely]] {
    char sentence[200];
    std::snprintf(sentence, sizeof sentence,
                  "a process%s%s%s has overflowed its stack of %zu KiB: the canary below it is damaged, found when the "
                  "stack was given back",
                  stack->name != nullptr ? " (" : "", stack->name != nullptr ? stack->name : "",
                  stack->name != nullptr ? ")" : "", (std::size_t{1} << stack->size_class) / 1024);
    die(sentence);
  }
  stack->free = true;
  Impl& pool = *impl_;
  const std::lock_guard lock(pool.mutex);
  Impl::SizeClass& size_class = pool.classes[stack->size_class];
  Impl::push(size_class.warm, stack);
  ++size_class.warm_count;
  --pool.used;
}

bool StackPool::trim(std::size_t keep, std::size_t most) noexcept {
  Impl& pool = *impl_;
  for (Impl::SizeClass& size_class : pool.classes) {
    std::unique_lock lock(pool.mutex);
    if (size_class.warm_count > keep) {
      Stack** link = &size_class.warm;
      for (std::size_t i = 0; i < keep; ++i) link = &(*link)->next;
      Stack* surplus = *link;
      *link = nullptr;
      size_class.warm_count = keep;
      if (size_class.trimming == nullptr) {
        size_class.trimming = surplus;
      } else {
        while (surplus != nullptr) Impl::push(size_class.trimming, Impl::pop(surplus));  // another trim is under way
      }
    }
    while (size_class.trimming != nullptr) {
      for (std::size_t i = 0; i < trim_batch && size_class.trimming != nullptr; ++i) {
        if (most == 0) return true;
        --most;
        pool.make_cold(size_class, *Impl::pop(size_class.trimming));
      }
      lock.unlock();
      lock.lock();
    }
  }
  return false;
}

std::size_t StackPool::in_use() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->used;
}

GuardKind StackPool::guard_kind() const noexcept {
  const std::lock_guard lock(impl_->mutex);
  return impl_->kind;
}

Stack* stack_of_address(const void* address, bool& in_guard) noexcept {
  in_guard = false;
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  const std::size_t used = registry_used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < used; ++i) {
    const RegistrySlot& slot = registry[i];
    const std::uintptr_t base = slot.base.load(std::memory_order_acquire);
    if (base <= slot_claimed || wanted < base) continue;
    const std::size_t size = slot.size.load(std::memory_order_acquire);
    const std::size_t block_size = slot.block_size.load(std::memory_order_acquire);
    if (slot.base.load(std::memory_order_relaxed) != base || wanted - base >= size) continue;  // retired meanwhile
    const std::size_t block = (wanted - base) / block_size * block_size;
    Stack* stack = header_of_block(reinterpret_cast<std::byte*>(base) + block, block_size);
    if (stack->low == nullptr) return nullptr;  // not carved yet
    in_guard = wanted < reinterpret_cast<std::uintptr_t>(stack->low);
    return stack;
  }
  return nullptr;
}

}  // namespace coppice::platform
