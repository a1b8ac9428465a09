// SPDX-License-Identifier: Apache-2.0
//
// The textbook's tests of memory models: what C++ allows happens in some execution, what it forbids in none.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "model/explorer.hpp"

namespace {

using model::Atomic;
using model::Execution;
using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;
using std::memory_order_seq_cst;

// All results that a program has; each execution gives one.
template <class Program>
std::set<std::string> results(Program program, const model::Options& options = {}) {
  std::set<std::string> all;
  const model::Outcome outcome = model::explore(options, [&](Execution& execution) { all.insert(program(execution)); });
  EXPECT_FALSE(outcome.failed()) << outcome.failure;
  EXPECT_TRUE(outcome.complete);
  return all;
}

std::string text(int a, int b) { return std::to_string(a) + std::to_string(b); }

std::set<std::string> store_buffering(std::memory_order store, std::memory_order load, bool fences) {
  return results([=](Execution& execution) {
    Atomic<int> x{0};
    Atomic<int> y{0};
    int a = 0;
    int b = 0;
    execution.thread([&] {
      x.store(1, store);
      if (fences) model::atomic_thread_fence(memory_order_seq_cst);
      a = y.load(load);
    });
    execution.thread([&] {
      y.store(1, store);
      if (fences) model::atomic_thread_fence(memory_order_seq_cst);
      b = x.load(load);
    });
    execution.join();
    return text(a, b);
  });
}

TEST(Litmus, store_buffering) {
  EXPECT_TRUE(store_buffering(memory_order_relaxed, memory_order_relaxed, false).contains("00"));
  EXPECT_TRUE(store_buffering(memory_order_release, memory_order_acquire, false).contains("00"));
  EXPECT_FALSE(store_buffering(memory_order_seq_cst, memory_order_seq_cst, false).contains("00"));
  EXPECT_FALSE(store_buffering(memory_order_relaxed, memory_order_relaxed, true).contains("00"));
  EXPECT_TRUE(store_buffering(memory_order_seq_cst, memory_order_acquire, false).contains("00"))
      << "a store that is seq_cst does not keep a weaker load behind it";
  EXPECT_TRUE(store_buffering(memory_order_release, memory_order_seq_cst, false).contains("00"));
  EXPECT_EQ(store_buffering(memory_order_seq_cst, memory_order_seq_cst, false),
            (std::set<std::string>{"01", "10", "11"}));
}

std::set<std::string> message_passing(std::memory_order store, std::memory_order load, bool fences) {
  return results([=](Execution& execution) {
    Atomic<int> data{0};
    Atomic<int> flag{0};
    int a = 0;
    int b = 0;
    execution.thread([&] {
      data.store(1, memory_order_relaxed);
      if (fences) model::atomic_thread_fence(memory_order_release);
      flag.store(1, store);
    });
    execution.thread([&] {
      a = flag.load(load);
      if (fences) model::atomic_thread_fence(memory_order_acquire);
      b = data.load(memory_order_relaxed);
    });
    execution.join();
    return text(a, b);
  });
}

TEST(Litmus, message_passing) {
  EXPECT_TRUE(message_passing(memory_order_relaxed, memory_order_relaxed, false).contains("10"));
  EXPECT_TRUE(message_passing(memory_order_release, memory_order_relaxed, false).contains("10"));
  EXPECT_TRUE(message_passing(memory_order_relaxed, memory_order_acquire, false).contains("10"));
  EXPECT_FALSE(message_passing(memory_order_release, memory_order_acquire, false).contains("10"));
  EXPECT_FALSE(message_passing(memory_order_relaxed, memory_order_relaxed, true).contains("10"));
}

TEST(Litmus, one_location_is_coherent) {
  const auto all = results([](Execution& execution) {
    Atomic<int> x{0};
    int a = 0;
    int b = 0;
    execution.thread([&] {
      x.store(1, memory_order_relaxed);
      x.store(2, memory_order_relaxed);
    });
    execution.thread([&] {
      a = x.load(memory_order_relaxed);
      b = x.load(memory_order_relaxed);
    });
    execution.join();
    return text(a, b);
  });
  EXPECT_EQ(all, (std::set<std::string>{"00", "01", "02", "11", "12", "22"}));
}

std::set<std::string> independent_reads(std::memory_order store, std::memory_order load) {
  return results(
      [=](Execution& execution) {
        Atomic<int> x{0};
        Atomic<int> y{0};
        int r[4] = {};
        execution.thread([&] { x.store(1, store); });
        execution.thread([&] { y.store(1, store); });
        execution.thread([&] {
          r[0] = x.load(load);
          r[1] = y.load(load);
        });
        execution.thread([&] {
          r[2] = y.load(load);
          r[3] = x.load(load);
        });
        execution.join();
        return text(r[0], r[1]) + text(r[2], r[3]);
      },
      {.preemptions_max = 2});
}

TEST(Litmus, independent_reads_of_independent_writes) {
  EXPECT_TRUE(independent_reads(memory_order_release, memory_order_acquire).contains("1010"));
  EXPECT_FALSE(independent_reads(memory_order_seq_cst, memory_order_seq_cst).contains("1010"));
}

TEST(Litmus, a_release_sequence_goes_on_through_read_modify_writes) {
  const auto through = [](bool modify) {
    return results([=](Execution& execution) {
      Atomic<int> data{0};
      Atomic<int> flag{0};
      int a = 0;
      int b = 0;
      execution.thread([&] {
        data.store(1, memory_order_relaxed);
        flag.store(1, memory_order_release);
      });
      execution.thread([&] {
        if (modify) {
          (void)flag.fetch_add(1, memory_order_relaxed);
        } else if (flag.load(memory_order_relaxed) == 1) {
          flag.store(2, memory_order_relaxed);
        }
      });
      execution.thread([&] {
        a = flag.load(memory_order_acquire);
        b = data.load(memory_order_relaxed);
      });
      execution.join();
      return text(a, b);
    });
  };
  EXPECT_FALSE(through(true).contains("20"));
  EXPECT_TRUE(through(false).contains("20"));
}

TEST(Litmus, write_to_read_causality) {
  const auto with = [](std::memory_order store, std::memory_order load) {
    return results([=](Execution& execution) {
      Atomic<int> x{0};
      Atomic<int> y{0};
      int a = 0;
      int b = 0;
      execution.thread([&] { x.store(1, store); });
      execution.thread([&] {
        if (x.load(load) == 1) y.store(1, store);
      });
      execution.thread([&] {
        a = y.load(load);
        b = x.load(memory_order_relaxed);
      });
      execution.join();
      return text(a, b);
    });
  };
  EXPECT_TRUE(with(memory_order_relaxed, memory_order_relaxed).contains("10"));
  EXPECT_FALSE(with(memory_order_release, memory_order_acquire).contains("10"));
}

TEST(Litmus, a_read_modify_write_is_one_step) {
  const auto all = results([](Execution& execution) {
    Atomic<int> x{0};
    for (int i = 0; i < 3; ++i) execution.thread([&] { (void)x.fetch_add(1, memory_order_relaxed); });
    execution.join();
    return std::to_string(x.load(memory_order_relaxed));
  });
  EXPECT_EQ(all, std::set<std::string>{"3"});
}

TEST(Litmus, a_load_and_a_store_are_not) {
  const auto all = results([](Execution& execution) {
    Atomic<int> x{0};
    for (int i = 0; i < 2; ++i) execution.thread([&] { x.store(x.load() + 1); });
    execution.join();
    return std::to_string(x.load());
  });
  EXPECT_EQ(all, (std::set<std::string>{"1", "2"}));
}

TEST(Litmus, a_weak_exchange_may_fail_for_no_reason_a_strong_one_may_not) {
  const auto with = [](bool weak) {
    return results([=](Execution&) {
      Atomic<int> x{0};
      int expected = 0;
      const bool done = weak ? x.compare_exchange_weak(expected, 1) : x.compare_exchange_strong(expected, 1);
      return std::string(done ? "done" : "failed");
    });
  };
  EXPECT_EQ(with(true), (std::set<std::string>{"done", "failed"}));
  EXPECT_EQ(with(false), (std::set<std::string>{"done"}));
}

TEST(Litmus, a_strong_exchange_may_fail_on_an_older_value) {
  const auto all = results([](Execution& execution) {
    Atomic<int> x{0};
    std::string seen;
    execution.thread([&] { x.store(1, memory_order_relaxed); });
    execution.thread([&] {
      int expected = 1;
      seen = x.compare_exchange_strong(expected, 2, memory_order_acq_rel, memory_order_relaxed)
                 ? "done"
                 : "failed on " + std::to_string(expected);
    });
    execution.join();
    return seen;
  });
  EXPECT_EQ(all, (std::set<std::string>{"done", "failed on 0"}));
}

// -- the explorer itself

TEST(Explorer, finds_a_data_race) {
  const auto with = [](std::memory_order store, std::memory_order load) {
    return model::explore({}, [=](Execution& execution) {
      model::Data<int> data;
      Atomic<bool> ready{false};
      execution.thread([&] {
        data.set(7);
        ready.store(true, store);
      });
      execution.thread([&] {
        if (ready.load(load)) model::check(data.get() == 7, "what was written");
      });
      execution.join();
    });
  };
  EXPECT_EQ(with(memory_order_relaxed, memory_order_acquire).failure, "a data race: read beside a write");
  EXPECT_EQ(with(memory_order_release, memory_order_relaxed).failure, "a data race: read beside a write");
  EXPECT_FALSE(with(memory_order_release, memory_order_acquire).failed());
}

TEST(Explorer, finds_a_deadlock) {
  const model::Outcome outcome = model::explore({}, [](Execution& execution) {
    Atomic<int> first{0};
    Atomic<int> second{0};
    const auto lock = [](Atomic<int>& word) {
      while (word.exchange(1) != 0) model::yield();
    };
    execution.thread([&] {
      lock(first);
      lock(second);
    });
    execution.thread([&] {
      lock(second);
      lock(first);
    });
    execution.join();
  });
  EXPECT_EQ(outcome.failure, "all threads wait");
}

TEST(Explorer, finds_an_execution_in_which_all_wait) {
  const model::Outcome outcome = model::explore({}, [](Execution& execution) {
    Atomic<int> x{0};
    execution.thread([&] { model::yield(); });
    execution.join();
  });
  EXPECT_EQ(outcome.failure, "all threads wait");
}

TEST(Explorer, tries_all_orders) {
  std::set<std::string> orders;
  const model::Outcome outcome = model::explore({.preemptions_max = 100}, [&](Execution& execution) {
    Atomic<int> x{0};
    std::string order;
    for (const char* name : {"aa", "bb"}) {
      execution.thread([&, name] {
        for (const char* at = name; *at != '\0'; ++at) {
          (void)x.fetch_add(1);
          order += *at;
        }
      });
    }
    execution.join();
    orders.insert(order);
  });
  EXPECT_TRUE(outcome.complete);
  EXPECT_EQ(orders, (std::set<std::string>{"aabb", "abab", "abba", "baab", "baba", "bbaa"}));
}

}  // namespace
