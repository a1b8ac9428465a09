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
// fail for no reason. A thread that waits for others in a loop calls model::yield(): it goes on only when another has stored
// something, and then reads the newest.
//
// What the program frees may not be used any more by threads that do not know of it yet: each use of an Atomic in freed
// memory, and each that nothing orders before the freeing, is a failure.
//
// Options::weakened runs the source with one memory order weaker than it has: so a test shows that it would fail.
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
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

namespace model {

enum class Operation : std::uint8_t { load, store, modify, exchange_if };  // the last: compare_exchange

// A weaker memory order than the source has: of the operations of one kind in the functions whose names (with their
// namespaces, without template arguments) contain `function`, or of all. A success order of a compare_exchange.
struct Weakened {
  Operation operation = Operation::load;
  std::memory_order order = std::memory_order_relaxed;
  const char* function = nullptr;  // null: nothing is weakened
};

struct Options {
  unsigned preemptions_max = 3;
  unsigned stale_loads_max = 3;
  std::uint64_t executions_max = 3'000'000;
  unsigned steps_max = 5'000;  // of one execution
  Weakened weakened = {};
};

struct Outcome {
  std::uint64_t executions = 0;
  bool complete = false;     // all were explored, within the bounds
  std::string failure = {};  // what went wrong in the last one; empty: nothing
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
// Others have to store something before this thread can go on.
void yield();
// Others run first, if any can: where a thread looks again and again at what it may also bring about itself.
void pause();
// One of so many ways in which the program may go on: all are tried.
[[nodiscard]] std::size_t choose(std::size_t alternatives);

namespace detail {

using Where = std::source_location;

std::size_t add_location(std::uintptr_t address, std::uint64_t value);
std::uint64_t load(std::size_t location, std::memory_order order, const Where& where);
void store(std::size_t location, std::uint64_t value, std::memory_order order, const Where& where);
// change(argument, value) is what is stored.
std::uint64_t modify(std::size_t location, std::memory_order order,
                     std::uint64_t (*change)(std::uint64_t, std::uint64_t), std::uint64_t argument, const Where& where);
// The value that was read; success by `done`.
std::uint64_t compare_exchange(std::size_t location, std::uint64_t expected, std::uint64_t desired,
                               std::memory_order success, std::memory_order failure, bool weak, bool& done,
                               const Where& where);
void fence(std::memory_order order);
// What the program frees while it runs is kept until the execution ends; false: it does not run.
bool keep(void* memory) noexcept;
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
  using Where = detail::Where;

 public:
  static constexpr bool is_always_lock_free = true;

  Atomic() : Atomic(T{}) {}
  Atomic(T value)  // NOLINT: as std::atomic
      : location_(detail::add_location(reinterpret_cast<std::uintptr_t>(this), detail::to_word(value))) {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order order = seq_cst, const Where& where = Where::current()) const {
    return detail::from_word<T>(detail::load(location_, order, where));
  }
  void store(T value, std::memory_order order = seq_cst, const Where& where = Where::current()) {
    detail::store(location_, detail::to_word(value), order, where);
  }
  T exchange(T value, std::memory_order order = seq_cst, const Where& where = Where::current()) {
    return modified(value, order, where, [](std::uint64_t, std::uint64_t argument) { return argument; });
  }
  T fetch_add(T by, std::memory_order order = seq_cst, const Where& where = Where::current())
    requires std::is_integral_v<T>
  {
    return modified(by, order, where, [](std::uint64_t word, std::uint64_t argument) {
      return detail::to_word(static_cast<T>(detail::from_word<T>(word) + detail::from_word<T>(argument)));
    });
  }
  T fetch_sub(T by, std::memory_order order = seq_cst, const Where& where = Where::current())
    requires std::is_integral_v<T>
  {
    return modified(by, order, where, [](std::uint64_t word, std::uint64_t argument) {
      return detail::to_word(static_cast<T>(detail::from_word<T>(word) - detail::from_word<T>(argument)));
    });
  }
  T fetch_or(T bits, std::memory_order order = seq_cst, const Where& where = Where::current())
    requires std::is_integral_v<T>
  {
    return modified(bits, order, where, [](std::uint64_t word, std::uint64_t argument) { return word | argument; });
  }
  T fetch_and(T bits, std::memory_order order = seq_cst, const Where& where = Where::current())
    requires std::is_integral_v<T>
  {
    return modified(bits, order, where, [](std::uint64_t word, std::uint64_t argument) { return word & argument; });
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure,
                               const Where& where = Where::current()) {
    return compared(expected, desired, success, failure, false, where);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order = seq_cst,
                               const Where& where = Where::current()) {
    return compared(expected, desired, order, on_failure(order), false, where);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure,
                             const Where& where = Where::current()) {
    return compared(expected, desired, success, failure, true, where);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order order = seq_cst,
                             const Where& where = Where::current()) {
    return compared(expected, desired, order, on_failure(order), true, where);
  }
  // As if every store woke who waits.
  void wait(T old, std::memory_order order = seq_cst, const Where& where = Where::current()) const {
    while (load(order, where) == old) yield();
  }
  void notify_one() noexcept {}
  void notify_all() noexcept {}

 private:
  static constexpr std::memory_order on_failure(std::memory_order order) {
    if (order == std::memory_order_acq_rel) return std::memory_order_acquire;
    return order == std::memory_order_release ? std::memory_order_relaxed : order;
  }
  T modified(T argument, std::memory_order order, const Where& where,
             std::uint64_t (*change)(std::uint64_t, std::uint64_t)) {
    return detail::from_word<T>(detail::modify(location_, order, change, detail::to_word(argument), where));
  }
  bool compared(T& expected, T desired, std::memory_order success, std::memory_order failure, bool weak,
                const Where& where) {
    bool done = false;
    expected = detail::from_word<T>(detail::compare_exchange(
        location_, detail::to_word(expected), detail::to_word(desired), success, failure, weak, done, where));
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

// The same for sources that know nothing of the explorer: it is assigned to and read like a T.
template <class T>
class Plain {
 public:
  Plain() : datum_(detail::add_datum()) {}
  Plain(T value) : value_(std::move(value)), datum_(detail::add_datum()) {}  // NOLINT: implicit on purpose
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;
  Plain& operator=(T value) {
    detail::write(datum_);
    value_ = std::move(value);
    return *this;
  }
  operator T() const { return detail::read(datum_), value_; }  // NOLINT: implicit on purpose

 private:
  T value_{};
  std::size_t datum_;
};

// std::mutex for the explorer.
class Mutex {
 public:
  void lock() {
    while (!try_lock()) yield();
  }
  bool try_lock() {
    bool free = false;
    return held_.compare_exchange_strong(free, true, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  Atomic<bool> held_{false};
};

}  // namespace model
