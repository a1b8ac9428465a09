// SPDX-License-Identifier: Apache-2.0
#include "platform/kept_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace coppice::platform {

KeptPages::~KeptPages() {
  for (std::size_t i = 0; i < count_; ++i) ::munmap(mappings_[i].memory, mappings_[i].size);
}

std::byte* KeptPages::take(std::size_t size) noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = count_; i-- > 0;) {
    if (mappings_[i].size != size) continue;
    std::byte* memory = mappings_[i].memory;
    std::copy(mappings_ + i + 1, mappings_ + count_, mappings_ + i);
    --count_;
    return memory;
  }
  return nullptr;
}

// The oldest makes place: a program that runs with other options now will not ask for it again.
bool KeptPages::give(std::byte* memory, std::size_t size, std::size_t touched) noexcept {
  if (touched > touched_max) return false;
  std::memset(memory, 0, touched);
  const std::lock_guard lock(mutex_);
  if (count_ == mappings_max) {
    ::munmap(mappings_[0].memory, mappings_[0].size);
    std::copy(mappings_ + 1, mappings_ + count_, mappings_);
    --count_;
  }
  mappings_[count_++] = {memory, size};
  return true;
}

std::byte* map_zeroed(std::size_t size, KeptPages* kept) {
  if (kept != nullptr) {
    if (std::byte* memory = kept->take(size)) return memory;
  }
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

void unmap_zeroed(std::byte* memory, std::size_t size, std::size_t touched, KeptPages* kept) noexcept {
  if (kept == nullptr || !kept->give(memory, size, touched)) ::munmap(memory, size);
}

}  // namespace coppice::platform
