// SPDX-License-Identifier: Apache-2.0
//
// Queues and protocols that are known to be right or wrong, in the shapes in which we use them: the explorer must find
// the fault of each wrong one, and none in the right ones. So we know that it would find it in ours.
#include <gtest/gtest.h>

#include <array>

#include "model/expect.hpp"
#include "model/explorer.hpp"

namespace {

using model::Atomic;
using model::Data;
using model::Execution;
using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

model::Outcome run(const char* what, const std::function<void(Execution&)>& program,
                   const model::Options& options = {}) {
  return model::explore_and_tell(what, options, program);
}

// -- a ring with one producer and one consumer

void ring(Execution& execution, std::memory_order publish, std::memory_order look) {
  std::array<Data<int>, 2> slots;
  Atomic<unsigned> tail{0};
  Atomic<unsigned> head{0};
  execution.thread([&] {
    for (int i = 1; i <= 3; ++i) {
      const unsigned at = tail.load(memory_order_relaxed);
      while (at - head.load(look) == slots.size()) model::yield();
      slots[at % slots.size()].set(i);
      tail.store(at + 1, publish);
    }
  });
  execution.thread([&] {
    for (int i = 1; i <= 3; ++i) {
      const unsigned at = head.load(memory_order_relaxed);
      while (tail.load(look) == at) model::yield();
      model::check(slots[at % slots.size()].get() == i, "first in, first out");
      head.store(at + 1, publish);
    }
  });
  execution.join();
}

TEST(Known, a_ring_must_publish_with_release) {
  EXPECT_FALSE(run("ring", [](Execution& e) { ring(e, memory_order_release, memory_order_acquire); }).failed());
  EXPECT_TRUE(
      run("ring, relaxed publish", [](Execution& e) { ring(e, memory_order_relaxed, memory_order_acquire); }).failed());
  EXPECT_TRUE(
      run("ring, relaxed look", [](Execution& e) { ring(e, memory_order_release, memory_order_relaxed); }).failed());
}

// -- a stack whose nodes are used again: nodes 1 and 2, next[] by number

void stack(Execution& execution, bool tagged) {
  std::array<Atomic<unsigned>, 3> next;
  Atomic<unsigned> top{0};
  const auto push = [&](unsigned node, unsigned tag) {
    unsigned seen = top.load(memory_order_relaxed);
    do {
      next[node].store(seen & 0xff, memory_order_relaxed);
    } while (!top.compare_exchange_strong(seen, node | (tagged ? ((seen & ~0xffu) + 0x100 * tag) : 0),
                                          memory_order_release, memory_order_relaxed));
  };
  const auto pop = [&]() -> unsigned {
    unsigned seen = top.load(memory_order_acquire);
    while ((seen & 0xff) != 0) {
      const unsigned below = next[seen & 0xff].load(memory_order_relaxed);
      if (top.compare_exchange_strong(seen, below | (seen & ~0xffu), memory_order_acq_rel, memory_order_acquire)) {
        return seen & 0xff;
      }
    }
    return 0;
  };
  push(2, 1);
  push(1, 1);
  std::array<unsigned, 2> got{};
  execution.thread([&] { got[0] = pop(); });
  execution.thread([&] {
    const unsigned first = pop();
    const unsigned second = pop();
    if (first == 1 && second == 2) {
      push(1, 1);  // 2 stays ours
      got[1] = 2;
    } else {
      got[1] = second;
    }
  });
  execution.join();
  const unsigned left = pop();
  model::check(left == 0 || (left != got[1] || got[1] != 2), "a node that somebody holds is in the stack");
}

TEST(Known, a_stack_of_used_nodes_must_tell_them_apart) {
  EXPECT_TRUE(run("stack without tags", [](Execution& e) { stack(e, false); }).failed());
  EXPECT_FALSE(run("stack with tags", [](Execution& e) { stack(e, true); }).failed());
}

// -- going to sleep: the sleeper announces itself, then looks again; the waker queues, then looks for sleepers

void sleeping(Execution& execution, std::memory_order queue, std::memory_order announce, std::memory_order look,
              bool looks_again) {
  Atomic<int> work{0};
  Atomic<int> asleep{0};
  Atomic<int> wake{0};
  execution.thread([&] {
    work.store(1, queue);
    if (asleep.load(look) == 1) wake.store(1, memory_order_release);
  });
  execution.thread([&] {
    if (work.load(memory_order_acquire) == 1) return;
    asleep.store(1, announce);
    if (looks_again && work.load(look) == 1) return;
    while (wake.load(memory_order_acquire) == 0) model::yield();
  });
  execution.join();
}

TEST(Known, a_sleeper_looks_again_and_all_four_steps_are_in_one_order) {
  const auto with = [](const char* what, std::memory_order queue, std::memory_order announce, std::memory_order look,
                       bool looks_again) {
    return run(what, [=](Execution& e) { sleeping(e, queue, announce, look, looks_again); }).failed();
  };
  EXPECT_FALSE(with("sleep", memory_order_seq_cst, memory_order_seq_cst, memory_order_seq_cst, true));
  EXPECT_TRUE(with("sleep, no second look", memory_order_seq_cst, memory_order_seq_cst, memory_order_seq_cst, false));
  EXPECT_TRUE(
      with("sleep, queued with release", memory_order_release, memory_order_seq_cst, memory_order_seq_cst, true));
  EXPECT_TRUE(
      with("sleep, announced with release", memory_order_seq_cst, memory_order_release, memory_order_seq_cst, true));
  EXPECT_TRUE(
      with("sleep, looks with acquire", memory_order_seq_cst, memory_order_seq_cst, memory_order_acquire, true));
}

// -- a lock

void locking(Execution& execution, std::memory_order take, std::memory_order give) {
  Atomic<int> lock{0};
  Data<int> counter{0};
  for (int i = 0; i < 2; ++i) {
    execution.thread([&] {
      while (lock.exchange(1, take) != 0) model::yield();
      counter.set(counter.get() + 1);
      lock.store(0, give);
    });
  }
  execution.join();
  model::check(counter.get() == 2, "both have counted");
}

TEST(Known, a_lock_acquires_and_releases) {
  EXPECT_FALSE(run("lock", [](Execution& e) { locking(e, memory_order_acquire, memory_order_release); }).failed());
  EXPECT_TRUE(run("lock, relaxed release", [](Execution& e) {
                locking(e, memory_order_acquire, memory_order_relaxed);
              }).failed());
  EXPECT_TRUE(run("lock, relaxed acquire", [](Execution& e) {
                locking(e, memory_order_relaxed, memory_order_release);
              }).failed());
}

// -- counting references: the last one frees

void counting(Execution& execution, std::memory_order drop) {
  Atomic<int> count{2};
  Data<int> object{1};
  for (int i = 0; i < 2; ++i) {
    execution.thread([&] {
      (void)object.get();
      if (count.fetch_sub(1, drop) == 1) object.set(0);
    });
  }
  execution.join();
}

TEST(Known, the_last_reference_knows_what_the_others_did) {
  EXPECT_FALSE(run("count", [](Execution& e) { counting(e, memory_order_acq_rel); }).failed());
  EXPECT_TRUE(run("count, release only", [](Execution& e) { counting(e, memory_order_release); }).failed());
  EXPECT_TRUE(run("count, acquire only", [](Execution& e) { counting(e, memory_order_acquire); }).failed());
}

// -- memory that is freed

struct Node {
  Atomic<int> value{1};
};

// One takes the node out and frees it, one reads it if it still finds it.
void freeing(Execution& execution, bool waits, std::memory_order leave) {
  Atomic<Node*> root{new Node};
  Atomic<int> reads{0};
  execution.thread([&] {
    reads.store(1, memory_order_seq_cst);
    Node* node = root.load(memory_order_seq_cst);
    if (node != nullptr) model::check(node->value.load(memory_order_relaxed) == 1, "it was written over");
    reads.store(0, leave);
  });
  execution.thread([&] {
    Node* node = root.exchange(nullptr, memory_order_seq_cst);
    while (waits && reads.load(memory_order_seq_cst) != 0) model::yield();
    delete node;
  });
  execution.join();
}

TEST(Known, who_frees_waits_for_readers_and_knows_what_they_did) {
  EXPECT_FALSE(run("free", [](Execution& e) { freeing(e, true, memory_order_release); }).failed());
  EXPECT_TRUE(run("free, without waiting", [](Execution& e) { freeing(e, false, memory_order_release); }).failed());
  EXPECT_TRUE(run("free, left without release", [](Execution& e) { freeing(e, true, memory_order_relaxed); }).failed());
}

// -- the means by which tests of our own show that they can fail

void publishing(Execution& execution) {
  Data<int> value{0};
  Atomic<int> ready{0};
  execution.thread([&] {
    value.set(1);
    ready.store(1, memory_order_release);
  });
  execution.thread([&] {
    if (ready.load(memory_order_acquire) == 1) model::check(value.get() == 1, "it is not there");
  });
  execution.join();
}

TEST(Known, an_order_can_be_weakened_from_outside) {
  const auto with = [](const char* what, model::Operation operation, const char* function) {
    return run(what, publishing, {.weakened = {operation, memory_order_relaxed, function}}).failed();
  };
  EXPECT_FALSE(run("publish", publishing).failed());
  EXPECT_TRUE(with("publish, store weakened", model::Operation::store, "publishing("));
  EXPECT_TRUE(with("publish, load weakened", model::Operation::load, "publishing("));
  EXPECT_FALSE(with("publish, other operations weakened", model::Operation::modify, "publishing("));
  EXPECT_FALSE(with("publish, others weakened", model::Operation::store, "locking("));
}

// Two that look again and again do not keep a third one from what they look for; one that looks alone goes on, too.
TEST(Known, a_pause_lets_all_others_go_on) {
  EXPECT_FALSE(run("pause", [](Execution& execution) {
                 Atomic<int> ready{0};
                 for (int i = 0; i < 2; ++i) {
                   execution.thread([&] {
                     while (ready.load(memory_order_relaxed) == 0) model::pause();
                   });
                 }
                 execution.thread([&] { ready.store(1, memory_order_relaxed); });
                 execution.join();
                 model::pause();
               }).failed());
  EXPECT_TRUE(run("pause, for what never comes",
                  [](Execution& execution) {
                    Atomic<int> ready{0};
                    execution.thread([&] {
                      while (ready.load(memory_order_relaxed) == 0) model::pause();
                    });
                    execution.join();
                  },
                  {.steps_max = 200})
                  .failed());
}

}  // namespace
