// SPDX-License-Identifier: Apache-2.0
//
// may_block: for libraries whose functions block a thread and may be called from anywhere.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <coppice/process.hpp>

namespace coppice {
inline namespace v1 {
namespace detail {
COPPICE_API void may_block(void (*run)(void*), void* argument);
}

// Runs `function`, which may block its thread: in a process as blocking() does, on a foreign thread at once and there.
// Returns what it returns, throws what it throws. Any thread.
template <class F>
auto may_block(F&& function) -> decltype(function()) {
  using R = decltype(function());
  if constexpr (std::is_void_v<R>) {
    detail::may_block([](void* f) { (*static_cast<std::remove_reference_t<F>*>(f))(); }, std::addressof(function));
  } else {
    std::optional<R> result;
    auto keep = [&] { result.emplace(function()); };
    detail::may_block([](void* k) { (*static_cast<decltype(keep)*>(k))(); }, &keep);
    return *std::move(result);
  }
}

}  // namespace v1
}  // namespace coppice
