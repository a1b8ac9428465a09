// SPDX-License-Identifier: Apache-2.0
//
// The scheduler's queues themselves, with the explorer's atomics in the place of std::atomic.
#include <gtest/gtest.h>

#include <array>

#include "model/expect.hpp"
#include "model/explorer.hpp"
#include "runtime/run_queue.hpp"
#include "runtime/task_deque.hpp"

namespace {

using coppice::runtime::BasicInbox;
using coppice::runtime::BasicProcessList;
using coppice::runtime::BasicRunRing;
using coppice::runtime::BasicTaskDeque;
using model::Execution;

// What stands in for a process: a link, and something that whoever takes it reads.
struct Item {
  Item* run_link = nullptr;
  model::Data<int> value;
};

// -- the ring of runnable processes

using Ring = BasicRunRing<Item, model::Atomic, 4>;

// The owner pushes six, more than there is room for, and takes what it can; thieves steal. Each is taken once, by who sees what was written before.
void ring(Execution& execution, int thieves) {
  Ring ring;
  std::array<Item, 6> items;
  std::array<int, 6> taken{};
  const auto take = [&](Item* item) {
    const auto index = static_cast<std::size_t>(item - items.data());
    model::check(item->value.get() == static_cast<int>(index) + 1, "a process is seen before it was written");
    model::check(++taken[index] == 1, "a process is taken twice");
  };
  execution.thread([&] {
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i].value.set(static_cast<int>(i) + 1);
      if (!ring.push(&items[i])) take(&items[i]);
      if (i == 2) {
        if (Item* item = ring.pop()) take(item);
      }
    }
  });
  for (int i = 0; i < thieves; ++i) {
    execution.thread([&] {
      std::array<Item*, Ring::capacity / 2> stolen;
      const std::uint32_t count = ring.steal(stolen);
      for (std::uint32_t j = 0; j < count; ++j) take(stolen[j]);
    });
  }
  execution.join();
  while (Item* item = ring.pop()) take(item);
  for (const int times : taken) model::check(times == 1, "a process is lost");
}

TEST(Queues, the_ring_loses_nothing_and_gives_nothing_twice) {
  model::expect_sound("ring, one thief", {.preemptions_max = 3}, [](Execution& e) { ring(e, 1); });
  model::expect_sound("ring, two thieves", {.preemptions_max = 2, .stale_loads_max = 2, .executions_max = 500'000},
                      [](Execution& e) { ring(e, 2); });
}

// -- the inbox

TEST(Queues, the_inbox_keeps_the_order_of_each_sender) {
  model::expect_sound("inbox", {.preemptions_max = 3, .executions_max = 200'000}, [](Execution& execution) {
    BasicInbox<Item, model::Atomic> inbox;
    std::array<Item, 4> items;
    for (std::size_t sender = 0; sender < 2; ++sender) {
      execution.thread([&, sender] {
        for (std::size_t i = 0; i < 2; ++i) {
          Item& item = items[2 * sender + i];
          item.value.set(static_cast<int>(2 * sender + i));
          inbox.push(&item);
        }
      });
    }
    execution.thread([&] {
      BasicProcessList<Item> list;
      std::array<int, 2> next{0, 2};
      for (int taken = 0; taken < 4;) {
        if (inbox.empty()) {
          model::yield();
          continue;
        }
        inbox.take_all(list);
        while (Item* item = list.pop()) {
          const int value = item->value.get();
          model::check(value == next[static_cast<std::size_t>(value) / 2]++, "a sender's order is lost");
          ++taken;
        }
      }
    });
    execution.join();
  });
}

// -- the tasks that have not begun

using Deque = BasicTaskDeque<model::Atomic, 4, 2>;

// A number may be given twice (that is its promise: the claim decides), but none is lost and none is made up.
void deque(Execution& execution, int thieves, bool longer) {
  Deque deque;
  std::array<int, 6> seen{};
  const auto see = [&](std::uint64_t number) {
    model::check(number != 0 && number < seen.size(), "a number was made up");
    ++seen[number];
  };
  execution.thread([&] {
    const auto add = [&](std::uint64_t number) {
      if (deque.full()) {
        see(number);
      } else {
        deque.add(number);
      }
    };
    const auto take = [&] {
      if (const std::uint64_t number = deque.take_newest()) see(number);
    };
    add(1);
    add(2);
    add(3);
    take();
    add(4);
    if (longer) take();
    add(5);
    take();
  });
  for (int i = 0; i < thieves; ++i) {
    execution.thread([&] {
      std::array<std::uint64_t, Deque::stolen_max> stolen;
      for (int times = 0; times < 2; ++times) {
        const std::uint32_t count = deque.steal(stolen);
        for (std::uint32_t j = 0; j < count; ++j) see(stolen[j]);
      }
    });
  }
  execution.join();
  while (const std::uint64_t number = deque.take_newest()) see(number);
  for (std::size_t number = 1; number < seen.size(); ++number) model::check(seen[number] > 0, "a number is lost");
}

TEST(Queues, the_deque_of_tasks_loses_nothing) {
  model::expect_sound("deque, one thief", {.preemptions_max = 3}, [](Execution& e) { deque(e, 1, false); });
  model::expect_sound("deque, one thief, longer", {.preemptions_max = 3}, [](Execution& e) { deque(e, 1, true); });
  model::expect_sound("deque, two thieves", {.preemptions_max = 2, .stale_loads_max = 2, .executions_max = 500'000},
                      [](Execution& e) { deque(e, 2, true); });
}

}  // namespace
