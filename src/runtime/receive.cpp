// SPDX-License-Identifier: Apache-2.0
//
// Selective receive over the one local queue. Messages are looked at oldest first; those that match nothing stay where
// they are. What was looked at once is not looked at again within one receive: while it waits, new messages are appended
// behind the last one seen, and the scan goes on there. In a bounded mailbox it begins anew after each wait.
#include <coppice/receive.hpp>

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/wait.hpp"

namespace coppice {
inline namespace v1 {
namespace detail {
namespace {

bool accepts(const Pattern& pattern, Signal* message) {
  if (pattern.type != nullptr && !same_type(pattern.type, message->table->type)) return false;
  return pattern.accepts == nullptr || pattern.accepts(pattern.handler, payload_of(message));
}

}  // namespace

Match receive_match(const Pattern* patterns, std::size_t count, WaitTime timeout) {
  runtime::Process& process = runtime::require_process("receive");
  const platform::Nanoseconds deadline = runtime::deadline_of(process, timeout);
  runtime::take_in(process);
  // A process that always finds a message would never wait: its turn ends here as a server's does after so many.
  if (++process.body->received % runtime::Worker::turn_budget == 0 && runtime::this_worker()->others_wait()) yield();
  Signal* previous = nullptr;  // the last message looked at
  bool in_time = true;
  for (;;) {
    while (process.queue != nullptr && previous != process.queue) {
      Signal* before = previous == nullptr ? process.queue : previous;
      Signal* message = before->next;
      for (std::size_t i = 0; i < count; ++i) {
        if (!accepts(patterns[i], message)) continue;
        runtime::unlink(process, before, message);
        ++process.body->reductions;
        return {message, i};
      }
      previous = message;
    }
    if (!in_time) return {};
    in_time = runtime::wait_once(process, runtime::WaitFor::messages, deadline);
    if (!in_time && !runtime::must_not_wait(process)) runtime::take_in(process);
    // What was looked at last may have been dropped from a bounded mailbox meanwhile.
    if ((process.flags.load(std::memory_order_relaxed) & runtime::flag::bounded) != 0) previous = nullptr;
  }
}

void leave_endless_receive() { throw runtime::LeaveStack{}; }

Term term_of_message(const Signal* message) {
  return message->table->describe(payload_of(const_cast<Signal*>(message)));
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
