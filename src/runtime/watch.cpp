// SPDX-License-Identifier: Apache-2.0
#include "runtime/watch.hpp"

#include "runtime/core.hpp"

namespace coppice::runtime {

template class BasicWatch<Core, std::atomic>;

}  // namespace coppice::runtime
