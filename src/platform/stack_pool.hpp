// SPDX-License-Identifier: Apache-2.0
//
// Stacks that processes borrow, and the pool they come from.
//
// A stack is a stretch of reserved address space with a guard below it and a header (`Stack`) at its top:
//
//     block                low                                        Stack header         end of the block
//       | guard             | usable: grows down from the header ...   | 64-byte aligned     |
//
// Pages are touched on demand. Slabs of 64 MiB are mapped NORESERVE without huge pages and are never unmapped before
// the pool is destroyed, so a header may be looked at for as long as the pool lives (that of a trimmed stack reads zero). Guards: MADV_GUARD_INSTALL where
// the kernel has it (Linux 6.13), else mprotect up to a budget of map entries, else a canary that `release` checks.
// Under AddressSanitizer and ThreadSanitizer each stack is its own mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "platform/context.hpp"
#include "platform/exception_state.hpp"

namespace coppice::platform {

// How an overflow of a stack is noticed, strongest first.
enum class GuardKind : std::uint8_t {
  guard_install,  // pages marked in the page table: no map entries; a hit is a fault
  mprotect,       // pages without access: two map entries each; a hit is a fault
  canary          // a pattern below the stack: noticed when the stack is given back
};

// The header at the top of a stack. `next`, `owner`, `exceptions`, `home`, `turn_size`, `name` and `worn` belong to the
// holder; the pool sets them to zero when it hands the stack out. `context` is the holder's too but stays as it was, so that
// what the sanitizers gave it is used again or given back. The rest is the pool's.
struct Stack {
  Context context;
  Stack* next = nullptr;         // link of the one list in which the stack stands
  void* owner = nullptr;         // the process that stands on it
  ExceptionState exceptions;     // saved at a wait
  std::uint32_t home = 0;        // worker on which its process must resume
  std::uint32_t turn_size = 0;   // the runtime's: log2 of the size if made for one process's turns, else 0
  std::uint32_t size_class = 0;  // the block, guard and header included, has 2 to the power of size_class bytes
  std::byte* low = nullptr;      // lowest usable address; the guard lies below it
  std::size_t size = 0;          // usable bytes from `low` to this header
  const char* name = nullptr;    // name of the owner for a guard-hit report, may be null; must outlive the use
  GuardKind guard = GuardKind::canary;
  bool free = false;  // stands in the pool
  bool worn = false;  // the runtime's: what is suspended on it must not be continued (call_above.hpp)
};

struct StackPoolOptions {
  std::size_t default_size = 256 * 1024;  // address space of a stack, guard included; see acquire
  std::size_t guard_size = 64 * 1024;     // rounded up to whole pages; at least 64 KiB suits -fstack-clash-protection
  std::size_t stacks_max = 1'000'000;     // acquire() answers null when so many are in use
  std::size_t mprotect_guards_max = 16'000;  // map entries that mprotect guards may cost, over the life of the pool
  GuardKind guard_strongest = GuardKind::guard_install;  // nothing stronger is tried
  friend bool operator==(const StackPoolOptions&, const StackPoolOptions&) = default;
};

class KeptStacks;

// May be called from any thread. No call waits for anything but the pool's own short lock.
class StackPool {
 public:
  // With `kept`, which must outlive it, the pool begins with the stacks of one that has ended, and leaves its own there.
  explicit StackPool(const StackPoolOptions& options, KeptStacks* kept = nullptr);
  ~StackPool();  // every stack must be back or abandoned; nothing may run on one
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // A stack of at least `size` bytes of address space (0: the default), its context not yet made; null if `stacks_max`
  // is reached or the system gives no more memory. Sizes are rounded up to a power of two that leaves at least 16 KiB
  // above the guard; each size has a free list, last in, first out.
  [[nodiscard]] Stack* acquire(std::size_t size = 0) noexcept;

  // Gives a stack back, from another stack. What stands on it is forgotten without unwinding. Ends the program with a
  // full sentence if its canary is damaged or the stack was given back before.
  void release(Stack* stack) noexcept;

  // Gives all pages of free stacks back to the system, but for `keep` stacks of each size; the header of such a stack is
  // gone until it is handed out again. Stops after `most` stacks, and says whether there are more. For an idle worker;
  // others may acquire and release meanwhile.
  static constexpr std::size_t all = ~std::size_t{0};
  bool trim(std::size_t keep, std::size_t most = all) noexcept;

  [[nodiscard]] std::size_t in_use() const noexcept;

  // The guard that the next new stack gets. Goes from mprotect to canary when the budget is used up.
  [[nodiscard]] GuardKind guard_kind() const noexcept;

 private:
  friend class KeptStacks;
  struct Impl;
  std::unique_ptr<Impl> impl_;
  KeptStacks* const kept_;
};

// The stacks of pools that have ended, for the next pool with the same options: mapped, touched, with their guards, all
// free. Any thread.
//
// A pool cannot be told from a new one by what it answers. Only trim() can, by saying that there is more to trim: so what
// is kept holds no more stacks of a size than `stacks_max`, and a caller that trims must keep as many.
class KeptStacks {
 public:
  static constexpr std::size_t stacks_max = 64;

  KeptStacks();
  ~KeptStacks();
  KeptStacks(const KeptStacks&) = delete;
  KeptStacks& operator=(const KeptStacks&) = delete;

 private:
  friend class StackPool;
  static constexpr std::size_t pools_max = 4;
  [[nodiscard]] std::unique_ptr<StackPool::Impl> take(const StackPoolOptions& options) noexcept;
  void give(std::unique_ptr<StackPool::Impl> pool) noexcept;

  struct State;
  std::unique_ptr<State> state_;
};

// The stack among those of all pools whose memory or guard holds `address`; null if none. `in_guard` says whether it
// lies below the usable part. Async-signal-safe and lock-free. The pool of that stack must not be destroyed meanwhile.
[[nodiscard]] Stack* stack_of_address(const void* address, bool& in_guard) noexcept;

}  // namespace coppice::platform
