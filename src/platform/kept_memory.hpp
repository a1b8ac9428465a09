// SPDX-License-Identifier: Apache-2.0
//
// KeptMemory: what a runtime mapped and the next one of the same world may use again.
//
// To map the stacks and the table of processes of a runtime, to touch their pages and to unmap them costs more than a
// short simulated run does itself, and simulations are run by the ten thousand. So the simulation keeps such memory from
// run to run; a program in the real world, which has one runtime, does not (World::kept_memory is null there). What is
// handed out again is what the system would have given: zeroed pages, and pools with no stack in use, guards in place.
//
// Any thread may take and give, under a short lock.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "platform/stack_pool.hpp"

namespace coppice::platform {

// Zeroed mappings of any size, exactly as long as they are asked for.
class KeptPages {
 public:
  KeptPages() = default;
  ~KeptPages();
  KeptPages(const KeptPages&) = delete;
  KeptPages& operator=(const KeptPages&) = delete;

  // Null if there is none of that size.
  [[nodiscard]] std::byte* take(std::size_t size) noexcept;
  // Only the first `touched` bytes were ever written to; they are made zero again. False if the caller must unmap it:
  // with so many touched, new pages are as cheap, and not many mappings are kept.
  [[nodiscard]] bool give(std::byte* memory, std::size_t size, std::size_t touched) noexcept;

 private:
  static constexpr std::size_t touched_max = std::size_t{256} << 10;
  static constexpr std::size_t mappings_max = 12;
  struct Mapping {
    std::byte* memory;
    std::size_t size;
  };

  std::mutex mutex_;  // guards what follows
  Mapping mappings_[mappings_max] = {};
  std::size_t count_ = 0;
};

struct KeptMemory {
  KeptPages pages;
  KeptStacks stacks;
};

// As mmap gives it, from `kept` if that is not null and has it. Throws std::bad_alloc if there is none.
[[nodiscard]] std::byte* map_zeroed(std::size_t size, KeptPages* kept);
// Gives it back to `kept`, or to the system.
void unmap_zeroed(std::byte* memory, std::size_t size, std::size_t touched, KeptPages* kept) noexcept;

}  // namespace coppice::platform
