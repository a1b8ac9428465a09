// SPDX-License-Identifier: Apache-2.0
//
// What a program of the explorer frees is not used again before the execution has ended, so that one who still reads it
// is found out: explorer.hpp.
#include <cstdlib>
#include <new>

#include "model/explorer.hpp"

namespace {

void* allocated(std::size_t size, std::size_t alignment) {
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void freed(void* memory) noexcept {
  if (!model::detail::keep(memory)) std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) { return allocated(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocated(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { freed(memory); }
void operator delete(void* memory, std::size_t) noexcept { freed(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { freed(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { freed(memory); }
