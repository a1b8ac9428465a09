// SPDX-License-Identifier: Apache-2.0
//
// The memory of messages: which nodes there are, whatever thread asks for them. Sanitized builds have no pool.
#include "runtime/node_pool.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include <coppice/message.hpp>

#include "platform/sanitizers.hpp"

#if !COPPICE_ASAN && !COPPICE_TSAN

namespace {

using namespace coppice;

constexpr std::size_t size = 64;
constexpr std::size_t largest = 512;

// All that lies in the depots is sorted into its slabs.
void sort_all_spare_nodes() {
  runtime::watch_spare_nodes();
  while (runtime::sort_spare_nodes(1000)) {
  }
}

// What a destructor does that runs after the thread has given up its cache.
struct AtTheEnd {
  std::function<void()> what;
  ~AtTheEnd() {
    if (what) what();
  }
};
thread_local AtTheEnd at_the_end;

void in_an_ending_thread(std::function<void()> what) {
  std::thread([&what] {
    at_the_end.what = std::move(what);  // it stands before the cache does, and goes after it
    detail::free_node(detail::allocate_node(size), size);
  }).join();
}

// Nodes stand in slabs, each on a multiple of 32; those of malloc do not.
bool is_of_the_pool(const void* node) { return reinterpret_cast<std::uintptr_t>(node) % 32 == 0; }

TEST(NodePool, a_thread_that_is_ending_takes_nodes_of_the_pool_too) {
  std::array<void*, 16> nodes{};
  in_an_ending_thread([&nodes] {
    for (void*& node : nodes) node = detail::allocate_node(size);
  });
  for (void* node : nodes) EXPECT_TRUE(is_of_the_pool(node)) << node;
  // They are sorted into their slabs as all others are, and handed out again.
  for (void* node : nodes) detail::free_node(node, size);
  std::vector<void*> more;
  for (int i = 0; i < 1000; ++i) more.push_back(detail::allocate_node(size));
  for (void* node : more) detail::free_node(node, size);
  sort_all_spare_nodes();
  more.clear();
  for (int i = 0; i < 1000; ++i) more.push_back(detail::allocate_node(size));
  for (void* node : more) {
    EXPECT_TRUE(is_of_the_pool(node));
    detail::free_node(node, size);
  }
}

TEST(NodePool, a_thread_that_is_ending_gives_nodes_back) {
  std::array<void*, 200> nodes{};
  for (void*& node : nodes) node = detail::allocate_node(largest);
  std::sort(nodes.begin(), nodes.end());
  in_an_ending_thread([&nodes] {
    for (void* node : nodes) detail::free_node(node, largest);
  });
  // Whoever needs some next gets these: there is no need for others.
  std::size_t seen = 0;
  std::vector<void*> next;
  for (int i = 0; i < 400; ++i) next.push_back(detail::allocate_node(largest));
  for (void* node : next) seen += std::binary_search(nodes.begin(), nodes.end(), node) ? 1 : 0;
  EXPECT_EQ(seen, nodes.size());
  for (void* node : next) detail::free_node(node, largest);
}

}  // namespace

#endif
