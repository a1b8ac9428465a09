// SPDX-License-Identifier: Apache-2.0
//
// The public functions of timer.hpp. The number of a timer's shard stands in the third word of its reference.
#include <coppice/timer.hpp>

#include <algorithm>

#include "platform/fault.hpp"
#include "runtime/core.hpp"

namespace coppice {
inline namespace v1 {
namespace {

using Milliseconds = std::optional<std::chrono::milliseconds>;

runtime::TimerShard* shard_of(runtime::Core& core, const Reference& timer) {
  if (timer.creation != core.creation() || timer.word_count != 3 || timer.words[2] >= core.shard_count())
    return nullptr;
  return &core.timer_shard(timer.words[2]);
}

// Until a deadline that is to come. Rounded up: a timer with time left never reads 0. One of infinity has more than a
// duration can hold.
Milliseconds left_until(runtime::Core& core, const std::optional<std::uint64_t>& deadline) {
  if (!deadline) return std::nullopt;
  const platform::Nanoseconds now = core.world().now();
  const std::uint64_t left = *deadline > now ? *deadline - now : 0;
  const auto shown = static_cast<std::int64_t>(std::min(left, std::uint64_t{WaitTime::forever}));
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(shown));
}

[[noreturn]] void refuse(detail::Signal* message, const char* text) {
  message->table->destroy(message);
  detail::throw_badarg(text);
}

}  // namespace

namespace detail {

Reference new_timer_reference() {
  std::shared_ptr<runtime::Core> held;
  runtime::Core* core = &runtime::acting_core(held, "send_after");
  const runtime::Worker* worker = runtime::this_worker();
  Reference timer = Reference::from_id(core->new_reference_id(), core->creation());
  timer.words[2] = worker != nullptr && &worker->core() == core ? worker->id() : 0;
  timer.word_count = 3;
  return timer;
}

void start_timer(const Reference& timer, const Pid& to, std::string_view name, Signal* message, WaitTime delay,
                 bool absolute) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core* core = &runtime::acting_core(held, "send_after");
  const platform::Nanoseconds now = core->world().now();
  if (!absolute && delay.is_negative()) refuse(message, "send_after takes no negative time");
  if (absolute &&
      (delay.is_negative() || static_cast<platform::Nanoseconds>(delay.nanoseconds()) < core->start_time())) {
    refuse(message, "send_after takes no time before the start of the runtime");
  }
  platform::Nanoseconds deadline = static_cast<platform::Nanoseconds>(delay.nanoseconds());
  if (!absolute) deadline += now;
  if (delay.is_infinite()) deadline = platform::never - 1;
  if (name.empty()) {
    if (to && !core->is_local(to)) refuse(message, "send_after takes no pid of another node");
    runtime::Process& line = core->table().line(to);
    if (!core->is_local(to) || !runtime::head::still_lives(line, to.number)) {  // PR-096
      message->table->destroy(message);
      return;
    }
    if ((line.flags.load(std::memory_order_seq_cst) & runtime::flag::timer_target) == 0) {
      line.flags.fetch_or(runtime::flag::timer_target, std::memory_order_seq_cst);
    }
  }
  auto* entry = new runtime::MessageTimer;
  entry->id = timer.id();
  entry->to = to;
  if (!name.empty()) entry->name = std::make_unique<const std::string>(name);
  entry->message = message;
  shard_of(*core, timer)->start(entry, deadline, core->world().timer_lateness());
  // It may have died before it could know of this timer; see death.cpp.
  if (name.empty() && !runtime::head::still_lives(core->table().line(to), to.number)) {
    (void)shard_of(*core, timer)->cancel(timer.id());
  }
}

}  // namespace detail

Milliseconds cancel_timer(const Reference& timer, const CancelOptions& options) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core* core = &runtime::acting_core(held, "cancel_timer");
  runtime::TimerShard* shard = shard_of(*core, timer);
  std::optional<std::uint64_t> deadline;
  if (shard != nullptr) deadline = shard->cancel(timer.id());
  if (!options.info) return std::nullopt;
  const Milliseconds left = left_until(*core, deadline);
  if (!options.async) return left;
  send(self(), TimerCancelled{timer, left});
  return std::nullopt;
}

Milliseconds read_timer(const Reference& timer) {
  const auto core = runtime::require_core("read_timer");
  runtime::TimerShard* shard = shard_of(*core, timer);
  if (shard == nullptr) return std::nullopt;
  return left_until(*core, shard->read(timer.id()));
}

std::chrono::nanoseconds monotonic_time() {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(runtime::require_core("monotonic_time")->world().now()));
}

std::chrono::system_clock::time_point system_time() {
  return runtime::require_core("system_time")->world().system_now();
}

}  // namespace v1
}  // namespace coppice
