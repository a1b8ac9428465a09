// SPDX-License-Identifier: Apache-2.0
//
// The memory of an execution under the model checker, with C++'s memory orders as far as stores that others do not see
// yet and loads of what is no longer the newest.
//
// A location is the list of its stores, oldest first: that is its modification order, which here is the order in which
// they were executed. A thread has a view: for each location the oldest store that it may still read, and for each
// thread how much of it has happened before. A load may read any store that is not older than the thread's view.
//
//   release     the store carries the thread's view
//   acquire     the load takes over the view that the store carries
//   relaxed     what a load reads counts from the next acquire fence on; what a store carries is the view at the last
//               release fence
//   RMW         reads the newest store and carries on its view: a release sequence
//   seq_cst     the same as acquire and release; and, executions being one after the other, a load does not read what is
//               older than the newest seq_cst store of its location, nor than what a thread knew at an earlier seq_cst
//               fence; and a fence knows all earlier seq_cst stores, and what was known at earlier fences
//
// Not modelled: loads that see what is stored only later (load buffering), and stores that enter the modification order
// before an older one (2+2W). No hardware that we know does the first with the code that compilers make today.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace model {

// For each location the index of the oldest store that may be read, for each thread how many of its steps are known.
struct View {
  std::vector<std::uint32_t> stores;
  std::vector<std::uint32_t> steps;

  void join(const View& other);
  [[nodiscard]] std::uint32_t store(std::size_t location) const noexcept {
    return location < stores.size() ? stores[location] : 0;
  }
  void see(std::size_t location, std::uint32_t index);
  [[nodiscard]] std::uint32_t step(std::size_t thread) const noexcept {
    return thread < steps.size() ? steps[thread] : 0;
  }
};

struct Store {
  std::uint64_t value = 0;
  View carried;
};

struct Location {
  std::vector<Store> stores;
  std::uint32_t newest_seq_cst = 0;
  std::uintptr_t address = 0;
  bool freed = false;
  std::array<std::uint32_t, 8> touched{};  // for each thread its last step here
};

// Data that is not atomic: who has written it last, and who has read it since.
struct Datum {
  std::size_t writer = 0;
  std::uint32_t written = 0;  // the step of the writer; 0: never
  std::vector<std::uint32_t> reads;
};

struct ThreadView {
  View now;
  View at_release_fence;
  View of_relaxed_loads;
};

class Memory {
 public:
  explicit Memory(std::size_t threads) : threads_(threads) {}

  [[nodiscard]] std::size_t add_location(std::uintptr_t address, std::uint64_t value);
  [[nodiscard]] std::size_t add_datum();
  // An access to a location. False: its memory was freed.
  [[nodiscard]] bool touch(std::size_t thread, std::size_t location);
  // Frees memory. False: another thread has used a location there, and nothing orders that before this.
  [[nodiscard]] bool free(std::size_t thread, const void* begin, std::size_t size);
  // A thread begins with what another one knows.
  void begin(std::size_t thread, std::size_t parent);
  void join_thread(std::size_t thread, std::size_t ended);

  // How many stores a load may choose from: 0 is the newest.
  [[nodiscard]] std::size_t choices(std::size_t thread, std::size_t location, std::memory_order order) const;
  // What it would read.
  [[nodiscard]] std::uint64_t peek(std::size_t location, std::size_t choice) const;
  std::uint64_t load(std::size_t thread, std::size_t location, std::memory_order order, std::size_t choice);
  void store(std::size_t thread, std::size_t location, std::uint64_t value, std::memory_order order);
  // Reads the newest and stores.
  std::uint64_t exchange(std::size_t thread, std::size_t location, std::uint64_t value, std::memory_order order);
  void fence(std::size_t thread, std::memory_order order);

  // False: a race.
  [[nodiscard]] bool read(std::size_t thread, std::size_t datum);
  [[nodiscard]] bool write(std::size_t thread, std::size_t datum);

 private:
  void step(std::size_t thread);
  void take(std::size_t thread, const View& carried, std::memory_order order);
  [[nodiscard]] View carried_by(std::size_t thread, std::memory_order order) const;

  std::vector<ThreadView> threads_;
  std::vector<Location> locations_;
  std::vector<Datum> data_;
  View seq_cst_stores_;
  View seq_cst_fences_;
};

}  // namespace model
