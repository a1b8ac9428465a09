// SPDX-License-Identifier: Apache-2.0
//
// A process for the explorer: src/runtime/head.hpp itself, with the explorer's atomics in its line, and what its owner
// alone touches. Two accesses of two owners that nothing orders are a race, so whoever schedules a process that is not his,
// or does not see what the last owner wrote, is found out.
#pragma once

#include "model/explorer.hpp"
#include "runtime/head.hpp"

namespace model {

namespace head = coppice::runtime::head;

// Of the slot 3, used so many times.
constexpr std::uint64_t number_of(std::uint64_t use) { return use << coppice::Pid::slot_bits | 3; }

struct alignas(8) Message {
  model::Plain<Message*> next;
  model::Data<int> value;
};

// A process, and the run queue of the one worker that runs it.
struct Line {
  model::Atomic<std::uint64_t> head{head::dead};
  model::Atomic<std::uint64_t> serial{0};
  model::Data<int> turns{0};        // what its owner alone touches
  model::Atomic<int> scheduled{0};  // it stands in the queue

  void schedule() {
    turns.set(turns.get() + 1);  // as whoever schedules writes the link
    model::check(scheduled.exchange(1, std::memory_order_acq_rel) == 0, "a process is scheduled twice");
  }
  void wait_for_turn() {
    while (scheduled.load(std::memory_order_acquire) == 0) model::yield();
    turns.set(turns.get() + 1);
    model::check(scheduled.exchange(0, std::memory_order_acq_rel) == 1, "a process runs that is not scheduled");
  }
};

// As push_ordinary and push_to_line do. False: it is gone.
inline bool send(Line& line, std::uint64_t number, Message& message, bool is_message = true, bool at_once = false) {
  const std::uint64_t tag = head::tag_of(number);
  std::uint64_t word = 0;
  if (!head::look(line, number, word)) return false;
  if (at_once && word == (tag | head::waiting) && head::claim(line, word, tag)) {
    head::push_own(line, &message);
    line.schedule();
    return true;
  }
  return head::push(line, word, tag, &message, is_message, [&] { line.schedule(); });
}

}  // namespace model
