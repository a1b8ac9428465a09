// SPDX-License-Identifier: Apache-2.0
//
// Pages of memory straight from the operating system, for pools.
#pragma once

#include <cstddef>

namespace coppice::platform {

// `size` bytes of zeroed memory, a multiple of 4 KiB; never unmapped. From 2 MiB on it is aligned to huge pages, and the
// system is asked to use them. Throws std::bad_alloc if there is none.
[[nodiscard]] std::byte* map_pages(std::size_t size);
// The pages read as zero afterwards, and take no memory until they are touched again.
void give_pages_back(std::byte* begin, std::size_t size) noexcept;
// May the system make huge pages of them? A wish.
void wish_for_huge_pages(std::byte* begin, std::size_t size, bool on) noexcept;

}  // namespace coppice::platform
