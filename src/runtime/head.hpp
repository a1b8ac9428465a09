// SPDX-License-Identifier: Apache-2.0
//
// The head word of a process, and all that is ever done to it.
//
//   bits 63..48  tag: the low 16 bits of the slot's use count, never 0. Guards a compare-and-swap against the slot's next
//                tenant.
//   bits 47..3   the newest signal that has not been taken in, or 0.
//   bit 2        dead: nothing may be pushed any more.
//   bit 1        call wait: ordinary messages do not wake it, everything else does. Only together with bit 0.
//   bit 0        waiting: nobody runs it. The one who clears this bit must schedule it.
//
//   running       tag | 0 or signal
//   waiting       tag | waiting            (a server that is idle, or a process that holds a stack in a wait)
//   call wait     tag | waiting | call wait | 0 or newest message
//   dead          tag | dead
//   0             nobody: the slot's page was given back to the system (process_table.hpp), and so is the serial
//
// Actors: senders, who know a pid, that is a slot and a number; the owner, who runs the process; and those who claim a
// process that waits, to become its owner: a caller that hands off, a worker that has found a task, who puts it to rest.
//
//   open       by who has the free slot: the number to `serial`, then the head to `running`; or, for a task that is to wait
//              for who begins it, to `waiting` at once: until then nobody knows its number, so nothing can have come.
//   look       by a sender: the head, then the serial. If the serial is the number, the head was that of this tenant, or of
//              one before it, whose tag differs: either the serial is older than the head's store, or the head was read
//              from that store (release), which carries the serial with it.
//   push       by a sender: the signal to the newest one; compare-and-swap of what look saw.
//   claim      by anybody: compare-and-swap from `waiting` to `running`.
//   take       by the owner: exchange for `running`.
//   wait       by the owner: compare-and-swap from `running` to `waiting`; fails if anything has come.
//   end        by the owner: exchange for `dead`. What it returns are the last signals; whoever pushes afterwards fails.
//   close      by the owner, after that: the serial to 0. Then the slot may be opened again.
//
// Memory order. Whatever makes somebody the owner (claim; a push that clears the bit) acquires what the last owner wrote
// before it gave the process up (wait, open: release). Whatever brings a signal (push) releases what is in it, and take and
// end acquire that. A push acquires also when it does not wake: the failure order of its loop feeds the next attempt, and
// the exchange of the owner follows a chain of pushes, each of which carries on the release of the one before it.
//
// Two senders never both clear the bit, since each swap names the word that it replaces, and none clears one that the
// tenant did not set, since the tag is in that word. A tag comes again after 65 535 tenants: for a compare-and-swap to be
// fooled its thread would have to stand still between two instructions while as many processes live and die in that slot.
//
// The line is a parameter for the model checker's sake: tests/model/mailbox_test.cpp and slots_test.cpp run this very
// source in every order, and show for each memory order here what happens with a weaker one.
#pragma once

#include <atomic>
#include <cstdint>

#include <coppice/pid.hpp>

namespace coppice::runtime::head {

inline constexpr std::uint64_t waiting = 1;
inline constexpr std::uint64_t call_wait = 2;
inline constexpr std::uint64_t dead = 4;
inline constexpr std::uint64_t state_bits = 7;
inline constexpr unsigned tag_shift = 48;
inline constexpr std::uint64_t pointer_bits = ((std::uint64_t{1} << tag_shift) - 1) & ~state_bits;
inline constexpr std::uint64_t tag_bits = ~((std::uint64_t{1} << tag_shift) - 1);

[[nodiscard]] constexpr std::uint64_t tag_of(std::uint64_t number) noexcept {
  return (number >> Pid::slot_bits) << tag_shift;
}
template <class Signal>
[[nodiscard]] Signal* signal_in(std::uint64_t word) noexcept {
  return reinterpret_cast<Signal*>(word & pointer_bits);
}

// -- senders, and who claims

// The head, and whether the process with that number has the line.
template <class Line>
[[nodiscard]] inline bool look(Line& line, std::uint64_t number, std::uint64_t& word) noexcept {
  word = line.head.load(std::memory_order_acquire);
  return line.serial.load(std::memory_order_acquire) == number;
}

// Has it the line, and is it not dead? Sequentially consistent with `end`: who has done something for a process and looks
// then, either sees that it is dead, or is seen by it when it dies.
template <class Line>
[[nodiscard]] inline bool still_lives(const Line& line, std::uint64_t number) noexcept {
  return line.serial.load(std::memory_order_acquire) == number &&
         (line.head.load(std::memory_order_seq_cst) & dead) == 0;
}

// `word` is what look saw. False: the process is gone, and the signal is the sender's still. If the process waited and does
// not any more, it is the sender's, and schedule() is called for it. An ordinary message does not wake one that waits for the
// answer to a call.
template <class Line, class Signal, class Schedule>
[[nodiscard]] inline bool push(Line& line, std::uint64_t word, std::uint64_t tag, Signal* signal, bool is_message,
                               Schedule schedule) {
  for (;;) {
    if ((word & dead) != 0 || (word & tag_bits) != tag) return false;
    const bool keeps_waiting = is_message && (word & call_wait) != 0;
    signal->next = signal_in<Signal>(word);
    const std::uint64_t bits = keeps_waiting ? word & state_bits : 0;
    const std::uint64_t pushed = tag | reinterpret_cast<std::uint64_t>(signal) | bits;
    if (line.head.compare_exchange_weak(word, pushed, std::memory_order_acq_rel, std::memory_order_acquire)) {
      if ((word & waiting) != 0 && !keeps_waiting) schedule();
      return true;
    }
  }
}

// Makes the caller the owner, if the head is exactly `waiting`. Else `word` is what it is.
template <class Line>
[[nodiscard]] inline bool claim(Line& line, std::uint64_t& word, std::uint64_t tag) noexcept {
  word = tag | waiting;
  return line.head.compare_exchange_strong(word, tag, std::memory_order_acq_rel, std::memory_order_acquire);
}

// -- the owner

// The newest signal of all that have come.
template <class Signal, class Line>
[[nodiscard]] inline Signal* take(Line& line, std::uint64_t tag) noexcept {
  return signal_in<Signal>(line.head.exchange(tag, std::memory_order_acq_rel));
}

// Gives the process up, to whoever clears the bit. False if anything has come: then the caller owns it still.
template <class Line>
[[nodiscard]] inline bool wait(Line& line, std::uint64_t tag, std::uint64_t bits = waiting) noexcept {
  return line.head.compare_exchange_strong(tag, tag | bits, std::memory_order_acq_rel, std::memory_order_relaxed);
}
// The same by one that has not the tag at hand: it looks first whether anything has come.
template <class Line>
[[nodiscard]] inline bool wait_if_empty(Line& line, std::uint64_t bits) noexcept {
  const std::uint64_t word = line.head.load(std::memory_order_relaxed);
  return (word & pointer_bits) == 0 && wait(line, word, bits);
}

// Puts a signal there by the owner.
template <class Line, class Signal>
inline void push_own(Line& line, Signal* signal) noexcept {
  std::uint64_t word = line.head.load(std::memory_order_relaxed);
  do {
    signal->next = signal_in<Signal>(word);
  } while (!line.head.compare_exchange_weak(word, (word & tag_bits) | reinterpret_cast<std::uint64_t>(signal),
                                            std::memory_order_release, std::memory_order_relaxed));
}

// Nothing is pushed any more; the newest of the last signals. Sequentially consistent with what follows: a timer for it
// that is being started (timer_api.cpp).
template <class Signal, class Line>
[[nodiscard]] inline Signal* end(Line& line, std::uint64_t tag) noexcept {
  return signal_in<Signal>(line.head.exchange(tag | dead, std::memory_order_seq_cst));
}

// -- the slot

template <class Line>
inline void open(Line& line, std::uint64_t number, std::uint64_t bits = 0) noexcept {
  line.serial.store(number, std::memory_order_relaxed);
  line.head.store(tag_of(number) | bits, std::memory_order_release);
}
template <class Line>
inline void close(Line& line) noexcept {
  line.serial.store(0, std::memory_order_release);
}

}  // namespace coppice::runtime::head
