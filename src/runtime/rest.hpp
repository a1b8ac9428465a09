// SPDX-License-Identifier: Apache-2.0
//
// Servers at rest. A server that has been idle for a while needs a fraction of what it needs while it works: its state, and
// a few words that outlast a turn. Its Body gives up the rest, as an idle server gives up its stack, and is made anew when
// it is scheduled. Nobody can tell but by the clock and the memory.
//
//   awake      Process::body is a Body
//   at rest    Process::body is a Rest, marked in its lowest bit; the process is waiting, holds no stack, and its queue is
//              empty
//
// Who puts a server to rest. A worker remembers the last servers that became idle on it, in a RestList. When another takes
// the place of one in there, that one has been idle while so many others ran, or is running again; when the worker itself has
// been idle for a while, all but the last few have been idle for as long.
//   1. The worker compares its serial, then takes it as a sender would: clears the waiting bit by compare-and-swap. If
//      that fails it is not idle, and will be noted again when it is.
//   2. It owns the process now. One that waits in the midst of a handler (it holds a stack), or has something at hand that
//      a Rest has no place for, stays as it is; so does one that has been noted elsewhere since (another worker's list, or a
//      later place of this one), and will be met there.
//   3. It commits the wait again. If a signal has come meanwhile that fails, and the process is scheduled.
// So a hot server is never put to rest, however often it is idle.
//
// Who wakes it. The worker whose turn on it begins; and anybody else who takes an idle process in order to use its Body at
// once, without scheduling it, must call wake_from_rest first, and note it in a RestList when it is idle again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>

#include "platform/sanitizers.hpp"
#include "runtime/process.hpp"

namespace coppice::runtime {

// What is left of the common part of a Body. Its parent and group leader stand in its Badge.
struct Rest {
  std::uintptr_t extension_or_tie = 0;  // owned; the lowest bit says that it is a Tie
  SharedLineage lineage;
  std::uint64_t reductions = 0;
  std::uint32_t queue_peak = 0;
  std::uint32_t call_id = 0;
  std::uint8_t size_class = 0;
  bool trap_exit = false;
  bool has_linked_parent = false;
  bool migratable : 1 = false;
  bool above_mark : 1 = false;
};
static_assert(sizeof(Rest) == 40);

// Is there nothing in the common part that a Rest would lose? The process is idle and owned.
[[nodiscard]] bool can_rest(const Process& process) noexcept;
// The body keeps what is not moved, and is only good for being destroyed afterwards.
void move_into_rest(Body& body, Rest& rest) noexcept;
void move_out_of_rest(Process& process, Body& body, Rest& rest) noexcept;

[[nodiscard]] inline bool at_rest(const Process& process) noexcept {
  return (reinterpret_cast<std::uintptr_t>(process.body) & 1) != 0;
}
// It will be woken soon: what for is fetched while its waker does something else.
void prefetch_rest(Core& core, const Process& process) noexcept;
// The owner only. Does nothing to a process that is awake.
void end_rest(Process& process);
inline void wake_from_rest(Process& process) {
  if (at_rest(process)) end_rest(process);
}

// Makes a Body from a Rest and takes that over. Defined by the layer above, whose servers are all that rest.
[[nodiscard]] Body* new_body_for(Process& process, Rest& rest);

// The last so many processes that became idle on one worker; that worker's alone.
//
// So many, that the servers of a busy program stay awake: to put one to rest and to wake it costs as much as a few turns. An
// awake server has some 500 bytes more, so a worker that works keeps up to 8 MB for them; one that has nothing to do soon
// gives that back.
//
// A server that was idle only once, after its start, is remembered in a short list of its own: most of those that are
// started in great numbers are not used at once, and are put to rest while they are in the caches still. So who starts a
// hundred thousand makes the same few Bodies again and again. It is noted with the others when it is idle once more.
class RestList {
 public:
  static constexpr std::size_t places = COPPICE_ASAN || COPPICE_TSAN ? 256 : 16'384;  // there they are to rest soon
  static constexpr std::size_t places_at_leisure = 256;
  static constexpr std::size_t new_places = 16;  // of those that were idle once
  // `kept`: how many servers stay awake at most, a power of two; `kept_at_leisure` of them when the worker is idle.
  // Of those that were idle only once, `kept_new` do, new_places at most.
  RestList(std::size_t kept, std::size_t kept_at_leisure, std::size_t kept_new = new_places);

  // For the owner of an awake process that is about to commit its wait between two turns. Puts the process to rest whose
  // place it takes.
  void note(Core& core, Process& process) {
    const std::uint64_t number = process.serial.load(std::memory_order_relaxed);
    const Place& mine = places_[process.body->rest_place & mask_];
    if (mine.process != &process || mine.number != number) [[unlikely]]
      add(core, process, number);
  }

  // For a worker without work.
  [[nodiscard]] bool holds_more_than_at_leisure() const noexcept { return next_ - oldest_ > kept_at_leisure_; }
  // Puts up to so many to rest, those first that became idle first. Are there more to put to rest?
  bool relieve(Core& core, std::size_t count);

 private:
  struct Place {
    Process* process;
    std::uint64_t number;
  };
  struct Free {
    void operator()(Place* memory) const noexcept { std::free(memory); }
  };
  void add(Core& core, Process& process, std::uint64_t number);
  Place leave_oldest() noexcept { return std::exchange(places_[oldest_++ & mask_], {}); }

  static_assert(places <= Body::idle_once);
  const std::size_t mask_;
  const std::size_t kept_at_leisure_;
  const std::size_t kept_new_;
  std::size_t oldest_ = 0;  // the places from here to next_ are taken
  std::size_t next_ = 0;
  std::array<Place, new_places> new_{};
  std::size_t next_new_ = 0;
  std::unique_ptr<Place[], Free> places_;  // zeroed by the system, so that one which is never used costs nothing
};

}  // namespace coppice::runtime
