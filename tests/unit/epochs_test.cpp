// SPDX-License-Identifier: Apache-2.0
//
// When retired memory is freed: only when no pin that was there before it was retired is left.
#include "ets/epochs.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

namespace coppice::otp {
namespace {

std::atomic<int> freed{0};
void note(void* object) noexcept {
  delete static_cast<int*>(object);
  ++freed;
}

TEST(Epochs, without_a_reader_retired_memory_is_freed_at_once) {
  freed = 0;
  Epochs epochs(1, 2);
  epochs.retire(new int(1), note);
  EXPECT_EQ(freed, 1);
}

TEST(Epochs, a_pin_keeps_what_is_retired_after_it_and_a_later_pin_does_not) {
  freed = 0;
  Epochs epochs(1, 2);
  std::optional<Epochs::Pin> first;
  first.emplace(epochs);
  epochs.retire(new int(1), note);
  for (int i = 0; i < 5; ++i) epochs.collect();
  EXPECT_EQ(freed, 0);
  std::optional<Epochs::Pin> second;
  second.emplace(epochs);
  first.reset();
  epochs.collect();
  EXPECT_EQ(freed, 1);
}

TEST(Epochs, what_is_left_is_freed_with_the_epochs) {
  freed = 0;
  {
    Epochs epochs(1, 1);
    const Epochs::Pin pin(epochs);
    epochs.retire(new int(1), note);
  }
  EXPECT_EQ(freed, 1);
}

// Readers look at a number through a shared pointer that a writer changes all the time; the one that is freed is
// poisoned.
TEST(Epochs, readers_on_many_threads_never_see_what_was_freed) {
  struct Box {
    std::uint64_t value;
  };
  Epochs epochs(1, 1);
  std::atomic<Box*> root{new Box{1}};
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        const Epochs::Pin pin(epochs);
        EXPECT_NE(root.load(std::memory_order_seq_cst)->value, 0u);
      }
    });
  }
  for (std::uint64_t i = 2; i < 20'000; ++i) {
    Box* old = root.exchange(new Box{i}, std::memory_order_seq_cst);
    epochs.retire(old, [](void* box) noexcept {
      static_cast<Box*>(box)->value = 0;
      delete static_cast<Box*>(box);
    });
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  delete root.load();
}

}  // namespace
}  // namespace coppice::otp
