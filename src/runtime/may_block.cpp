// SPDX-License-Identifier: Apache-2.0
//
// blocking() for callers that need not be processes.
#include <coppice/blocking.hpp>

#include "runtime/core.hpp"

namespace coppice {
inline namespace v1 {
namespace detail {

void may_block(void (*run)(void*), void* argument) {
  if (runtime::current_process() == nullptr) return run(argument);
  blocking(run, argument);
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
