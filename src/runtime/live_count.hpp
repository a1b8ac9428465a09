// SPDX-License-Identifier: Apache-2.0
//
// How many processes there are, counted without a word that all workers write: each thread has a pair of counters of its
// own, of the processes that were started there and of those that ended there.
//
// The sum. alive() adds up the ends first and then the starts. A process that was seen to have ended is also seen to have
// been started: its start was counted before it ran, and ownership passed with release and acquire. So the ends are those
// of some moment or earlier, the starts those of that moment or later, and the difference is never below the number that
// lived at that moment. If it is nought, nobody lived then.
//
// Who starts a process is counted itself and still there, so a worker counts with a plain store. A foreign thread is not:
// its count must be ordered against the flag by which the runtime says that it stops (Core::admit_process), hence a
// sequentially consistent addition. A worker counts the ends with a plain store too: Core::process_ended says why whoever
// waits for the last of them hears of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace coppice::runtime {

class LiveCount {
 public:
  // Workers count under 0 .. workers - 1, all other threads together under `workers`.
  explicit LiveCount(std::size_t workers) : places_(workers + 1) {}

  void begins(std::size_t place) noexcept { count(place, places_[place].begun); }
  void ends(std::size_t place) noexcept { count(place, places_[place].ended); }

  // Any thread. Never less than what lived at one moment during the call.
  [[nodiscard]] std::size_t alive() const noexcept {
    std::uint64_t ended = 0;
    for (const Place& place : places_) ended += place.ended.load(std::memory_order_seq_cst);
    std::uint64_t begun = 0;
    for (const Place& place : places_) begun += place.begun.load(std::memory_order_seq_cst);
    return static_cast<std::size_t>(begun - ended);
  }

 private:
  void count(std::size_t place, std::atomic<std::uint64_t>& counter) noexcept {
    if (place + 1 == places_.size()) {
      counter.fetch_add(1, std::memory_order_seq_cst);
    } else {
      counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
  }

  struct alignas(64) Place {
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> ended{0};
  };
  std::vector<Place> places_;
};

}  // namespace coppice::runtime
