// SPDX-License-Identifier: Apache-2.0
//
// The explorer's atomics for sources that take theirs from base/atomic.hpp: a test defines COPPICE_ATOMICS as this header's
// name before it includes such a source, and gives its namespace another name.
#pragma once

#include "model/explorer.hpp"

namespace coppice::base {

template <class T>
using Atomic = model::Atomic<T>;
using Mutex = model::Mutex;
inline constexpr bool is_modelled = true;

}  // namespace coppice::base
