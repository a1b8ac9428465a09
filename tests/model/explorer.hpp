// SPDX-License-Identifier: Apache-2.0
//
// The model checker: runs a small concurrent program again and again, until it has run in every way in which it can.
//
//   const model::Outcome outcome = model::explore({.preemptions_max = 3}, [](model::Execution& execution) {
//     model::Atomic<int> x{0};
//     execution.thread([&] { x.store(1, std::memory_order_release); });
//     execution.thread([&] { model::check(x.load(std::memory_order_relaxed) <= 1, "x"); });
//     execution.join();
//   });
//   EXPECT_FALSE(outcome.failed()) << outcome.failure;
//
// Threads are stacks of their own on one OS thread; before each operation on an Atomic it is decided which thread goes
// on, and for a load which of the stores that it may see it reads (memory.hpp). Each decision has a number of
// alternatives; the explorer goes through all of them, depth first, by running the program anew from its beginning for
// each. It stops at the first failure: a check, a data race on a Data, a deadlock, an execution that does not end.
//
// What bounds the search: a thread that could go on is left for another at most `preemptions_max` times in an execution
// (nearly all errors need few), and so is the number of loads that do not read the newest store and of weak exchanges that
// fail for no reason. A thread that waits for others in a loop calls model::yield(): it goes on only when another has taken
// a step, and then reads the newest.
//
// The program must do the same when it is run again: no other source of chance, no state that outlives the function. An
// execution that fails is left as it stands, without unwinding, so that also functions that are noexcept can be tried.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>

namespace model {

struct Options {
  unsigned preemptions_max = 3;
  unsigned stale_loads_max = 3;
  std::uint64_t executions_max = 3'000'000;
  unsigned steps_max = 5'000;  // of one execution
};

struct Outcome {
  std::uint64_t executions = 0;
  bool complete = false;       // all were explored, within the bounds
  std::string failure = {};    // what went wrong in the last one; empty: nothing
  [[nodiscard]] bool failed() const noexcept { return !failure.empty(); }
};

class Execution {
 public:
  virtual ~Execution() = default;
  // From the function given to explore only. At most seven.
  virtual void thread(std::function<void()> body) = 0;
  // Waits for all threads.
  virtual void join() = 0;
};

Outcome explore(const Options& options, const std::function<void(Execution&)>& program);

// The execution ends here, as failed.
void check(bool holds, const char* what);
// Others have to do something before this thread can.
void yield();

namespace detail {

std::size_t add_location(std::uint64_t value);
std::uint64_t load(std::size_t location, std::memory_order order);
void store(std::size_t location, std::uint64_t value, std::memory_order order);
// change(argument, value) is what is stored.
std::uint64_t modify(std::size_t location, std::memory_order order, std::uint64_t (*change)(std::uint64_t, std::uint64_t),
                     std::uint64_t argument);
// The value that was read; success by `done`.
std::uint64_t compare_exchange(std::size_t location, std::uint64_t expected, std::uint64_t desired,
                               std::memory_order success, std::memory_order failure, bool weak, bool& done);
void fence(std::memory_order order);
std::size_t add_datum();
void read(std::size_t datum);
void write(std::size_t datum);

template <class T>
std::uint64_t to_word(T value) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}
template <class T>
T from_word(std::uint64_t word) noexcept {
  T value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

}  // namespace detail

// std::atomic for the explorer. Within explore only.
template <class T>
class Atomic {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  static constexpr std::memory_order seq_cst = std::memory_order_seq_cst;

 public:
  Atomic() : Atomic(T{}) {}
  Atomic(T value) : location_(detail::add_location(detail::to_word(value))) {}  // NOLINT: as std::atomic
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order order = seq_cst) const { return detail::from_word<T>(detail::load(location_, order)); }
  void store(T value, std::memory_order order = seq_cst) { detail::store(location_, detail::to_word(value), order); }
  T exchange(T value, std::memory_order order = seq_cst) {
    return modified(value, order, [](std::uint64_t, std::uint64_t argument) { return argument; });
  }
  T fetch_add(T by, std::memory_order order = seq_cst) requires std::is_integral_v<T> {
    return modified(by, order, [](std::uint64_t word, std::uint64_t argument) {
      return detail::to_word(static_cast<T>(detail::from_word<T>(word) + detail::from_word<T>(argument)));
    });
  }
  T fetch_sub(T by, std::memory_order order = seq_cst) requires std::is_integral_v<T> {
    return modified(by, order, [](std::uint64_t word, std::uint64_t argument) {
      return detail::to_word(static_cast<T>(detail::from_word<T>(word) - detail::from_word<T>(argument)));
    });
  }
  T fetch_or(T bits, std::memory_order order = seq_cst) requires std::is_integral_v<T> {
    return modified(bits, order, [](std::uint64_t word, std::uint64_t argument) { return word | argument; });
  }
  T fetch_and(T bits, std::memory_order order = seq_cst) requires std::is_integral_v<T> {
    return modified(bits, order, [](std::uint64_t word, std::uint64_t argument) { return word & argument; });
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure) {
    return compared(expected, desired, success, failure, false);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order = seq_cst) {
    return compared(expected, desired, order, on_failure(order), false);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) {
    return compared(expected, desired, success, failure, true);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order order = seq_cst) {
    return compared(expected, desired, order, on_failure(order), true);
  }

 private:
  static constexpr std::memory_order on_failure(std::memory_order order) {
    if (order == std::memory_order_acq_rel) return std::memory_order_acquire;
    return order == std::memory_order_release ? std::memory_order_relaxed : order;
  }
  T modified(T argument, std::memory_order order, std::uint64_t (*change)(std::uint64_t, std::uint64_t)) {
    return detail::from_word<T>(detail::modify(location_, order, change, detail::to_word(argument)));
  }
  bool compared(T& expected, T desired, std::memory_order success, std::memory_order failure, bool weak) {
    bool done = false;
    expected = detail::from_word<T>(detail::compare_exchange(location_, detail::to_word(expected),
                                                             detail::to_word(desired), success, failure, weak, done));
    return done;
  }

  std::size_t location_;
};

inline void atomic_thread_fence(std::memory_order order) { detail::fence(order); }

// A variable that is not atomic: two accesses, one of them a write, that nothing orders are a failure.
template <class T>
class Data {
 public:
  Data() : datum_(detail::add_datum()) {}
  explicit Data(T value) : value_(std::move(value)), datum_(detail::add_datum()) {}
  Data(const Data&) = delete;
  Data& operator=(const Data&) = delete;
  [[nodiscard]] const T& get() const { return detail::read(datum_), value_; }
  void set(T value) {
    detail::write(datum_);
    value_ = std::move(value);
  }

 private:
  T value_{};
  std::size_t datum_;
};

}  // namespace model
