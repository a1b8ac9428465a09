// SPDX-License-Identifier: Apache-2.0
//
// The sources of shared tables (src/ets) as they stand, with the explorer's atomics and mutex, in a namespace of their own:
// in the program there is also the library, with the same names. Their nodes come from the heap, and what is freed is not
// used again while an execution runs (explorer.hpp).
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <coppice/shared_object.hpp>

#include "platform/fault.hpp"
#include "runtime/annex.hpp"
#include "runtime/core.hpp"

namespace coppice {
inline namespace v1 {
namespace detail {
inline void* allocate_node_from_heap(std::size_t size) { return ::operator new(size); }
inline void free_node_from_heap(void* memory, std::size_t) noexcept { ::operator delete(memory); }
}  // namespace detail
}  // namespace v1
}  // namespace coppice

#define COPPICE_ATOMICS "model/atomics.hpp"
#define otp otp_under_model
#define allocate_node allocate_node_from_heap
#define free_node free_node_from_heap
#include "ets/epochs.cpp"
#include "ets/shared_buckets.cpp"
#include "ets/shared_nodes.cpp"
#include "ets/shared_pages.cpp"
#include "ets/shared_store.cpp"
#include "ets/shared_tree.cpp"
#undef otp
#undef allocate_node
#undef free_node
