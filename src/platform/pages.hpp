// SPDX-License-Identifier: Apache-2.0
//
// Pages of memory straight from the operating system, for pools that keep what they have got.
#pragma once

#include <cstddef>

namespace coppice::platform {

// `size` bytes of zeroed memory, a multiple of 4 KiB; never given back. From 2 MiB on it is aligned to huge pages, and the
// system is asked to use them. Throws std::bad_alloc if there is none.
[[nodiscard]] std::byte* map_pages(std::size_t size);

}  // namespace coppice::platform
