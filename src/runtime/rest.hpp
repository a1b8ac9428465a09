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
// Who puts a server to rest. A worker remembers the last servers that became idle on it, in a RestList; when another takes
// the place of one in there, that one has been idle while so many others ran, or is running again.
//   1. The worker compares its serial, then takes it as a sender would: clears the waiting bit by compare-and-swap. If
//      that fails it is not idle, and will be noted again when it is.
//   2. It owns the process now. One that waits in the midst of a handler (it holds a stack), or has something at hand that
//      a Rest has no place for, stays as it is.
//   3. It commits the wait again. If a signal has come meanwhile that fails, and the process is scheduled.
// So a hot server is never put to rest, however often it is idle.
//
// Who wakes it. The worker whose turn on it begins; and anybody else who takes an idle process in order to use its Body at
// once, without scheduling it, must call wake_from_rest first, and note it in a RestList when it is idle again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

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
void wake_from_rest(Process& process);

// Makes a Body from a Rest and takes that over. Defined by the layer above, whose servers are all that rest.
[[nodiscard]] Body* new_body_for(Process& process, Rest& rest);

// The last so many processes that became idle on one worker; that worker's alone.
class RestList {
 public:
  static constexpr std::size_t places = 256;
  // `kept`: how many of the places are used, a power of two.
  explicit RestList(std::size_t kept) noexcept : mask_(kept - 1) {}

  // For the owner of an awake process that is about to commit its wait between two turns. Puts the process to rest whose
  // place it takes.
  void note(Core& core, Process& process) {
    const std::uint64_t number = process.serial.load(std::memory_order_relaxed);
    const Place& mine = places_[process.body->rest_place & mask_];
    if (mine.process != &process || mine.number != number) [[unlikely]]
      add(core, process, number);
  }

 private:
  struct Place {
    Process* process = nullptr;
    std::uint64_t number = 0;
  };
  void add(Core& core, Process& process, std::uint64_t number);

  const std::size_t mask_;
  std::size_t next_ = 0;
  std::array<Place, places> places_;
};

}  // namespace coppice::runtime
