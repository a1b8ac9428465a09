// SPDX-License-Identifier: Apache-2.0
#include "runtime/timers.hpp"

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"

namespace coppice::runtime {

template class BasicTimerShard<TimerParts>;

void TimerParts::push_wake(Core& core, WakeTimer& timer) { runtime::push_wake(core, timer); }

void TimerParts::deliver(Core& core, MessageTimer* timer) {
  const Pid to = timer->to ? timer->to : core.names().whereis(*timer->name);
  push_message(core, to, timer->message);
  delete timer;
}

void TimerParts::destroy(MessageTimer* timer) noexcept {
  timer->message->table->destroy(timer->message);
  delete timer;
}

void TimerParts::moved_forward(Core& core, std::uint32_t shard) { core.timer_moved_forward(shard); }

std::uint64_t TimerParts::lateness(Core& core) { return core.world().timer_lateness(); }

}  // namespace coppice::runtime
