// SPDX-License-Identifier: Apache-2.0
#include "platform/pages.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace coppice::platform {
namespace {

std::byte* map(std::size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(memory);
}

}  // namespace

std::byte* map_pages(std::size_t size) {
  constexpr std::size_t huge = std::size_t{2} << 20;
  if (size < huge) return map(size);
  std::byte* memory = map(size + huge);
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(memory) & (huge - 1);
  if (before != 0) ::munmap(memory, before);
  if (before != huge) ::munmap(memory + before + size, huge - before);
  memory += before;
  wish_for_huge_pages(memory, size, true);
  return memory;
}

void give_pages_back(std::byte* begin, std::size_t size) noexcept { ::madvise(begin, size, MADV_DONTNEED); }

void wish_for_huge_pages(std::byte* begin, std::size_t size, bool on) noexcept {
  ::madvise(begin, size, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

}  // namespace coppice::platform
