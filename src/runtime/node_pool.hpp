// SPDX-License-Identifier: Apache-2.0
//
// How an idle worker gives back memory of nodes that a burst has left in the depots: node_pool.cpp. Three steps, some time
// apart: nodes_to_spare() says that it may be worth it; watch_spare_nodes() begins to note how much nobody needs; after a
// while sort_spare_nodes() sorts that out, bit by bit. Any thread. The pool is one for all runtimes of the program.
#pragma once

#include <cstddef>

namespace coppice::runtime {

// Less than that is not looked at.
inline constexpr std::size_t spare_nodes_min = std::size_t{1} << 20;

[[nodiscard]] bool nodes_to_spare() noexcept;
void watch_spare_nodes() noexcept;
// Sorts up to so many magazines, some microseconds each; true if there may be more.
[[nodiscard]] bool sort_spare_nodes(std::size_t magazines) noexcept;

// Around a fork: all locks of the pool, so that the child, where whoever held one is missing, can go on to use it.
void hold_node_pool() noexcept;
void let_node_pool_go() noexcept;

}  // namespace coppice::runtime
