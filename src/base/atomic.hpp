// SPDX-License-Identifier: Apache-2.0
//
// The atomics and the mutex of sources that the model checker runs as they stand: those of the standard library, unless
// COPPICE_ATOMICS names a header that has others (tests/model, which sees to it that the two never meet in one program
// under one name).
#pragma once

#ifdef COPPICE_ATOMICS
#include COPPICE_ATOMICS
#else

#include <atomic>
#include <mutex>

namespace coppice::base {

template <class T>
using Atomic = std::atomic<T>;
using Mutex = std::mutex;
inline constexpr bool is_modelled = false;  // counts that mean nothing but speed may be small then

}  // namespace coppice::base

#endif
