// SPDX-License-Identifier: Apache-2.0
#include "runtime/rest.hpp"

#include <new>
#include <utility>

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/tie.hpp"

namespace coppice::runtime {
namespace {

Body* marked(Rest* rest) noexcept { return reinterpret_cast<Body*>(reinterpret_cast<std::uintptr_t>(rest) | 1); }
Rest& rest_of(const Process& process) noexcept {
  return *reinterpret_cast<Rest*>(reinterpret_cast<std::uintptr_t>(process.body) & ~std::uintptr_t{1});
}

// Steps 1 to 3 of the header. `place`: where it stood in the list.
void put_to_rest(Core& core, Process& process, std::uint64_t number, std::size_t place) {
  if (process.serial.load(std::memory_order_acquire) != number) return;
  const std::uint64_t tag = head::tag_of(number);
  std::uint64_t word;
  if (!head::claim(process, word, tag)) return;
  if (process.stack == nullptr && !at_rest(process) && process.body->rest_place == place) {
    if (Rest* rest = process.body->go_to_rest(process)) process.body = marked(rest);
  }
  if (head::wait(process, tag)) return;  // not ours any more
  core.schedule(process);
}

}  // namespace

bool can_rest(const Process& process) noexcept {
  const Body& body = *process.body;
  constexpr std::uint32_t needs_body = flag::bounded | flag::suspended | flag::closed;
  return process.queue == nullptr && (process.flags.load(std::memory_order_relaxed) & needs_body) == 0 &&
         body.leaving == Leave::no && !body.mark_due && !body.dying && !body.ending && !body.in_wait && !body.in_turn &&
         body.awaited_call == 0 && body.reply == nullptr && body.orphans == nullptr && body.handled_call == nullptr &&
         body.unhandled == nullptr && body.swallows == 0 && body.core->is_local(body.group_leader);
}

// There is place for one of the two: who has both gets real nodes for its tie.
void move_into_rest(Body& body, Rest& rest) noexcept {
  if (body.extension_ != nullptr) unfold_tie(body);
  rest.extension_or_tie = body.tie != nullptr ? reinterpret_cast<std::uintptr_t>(std::exchange(body.tie, nullptr)) | 1
                                              : reinterpret_cast<std::uintptr_t>(body.extension_.release());
  rest.lineage = std::move(body.lineage);
  rest.reductions = body.reductions;
  rest.queue_peak = body.queue_peak;
  rest.call_id = body.call_id;
  rest.size_class = body.size_class;
  rest.trap_exit = body.trap_exit;
  rest.has_linked_parent = static_cast<bool>(body.linked_parent);
  rest.migratable = body.migratable;
  rest.above_mark = body.above_mark;
}

void move_out_of_rest(Process& process, Body& body, Rest& rest) noexcept {
  Core& core = this_worker()->core();
  const Badge& badge = core.table().badge(process);
  body.core = &core;
  body.rest_place = 0;  // any but not_idle_yet
  body.line = &process;
  body.pid = core.pid_of(process.serial.load(std::memory_order_relaxed));
  const std::uint64_t parent = badge.parent.load(std::memory_order_relaxed);
  if (parent != 0) body.parent = core.pid_of(parent);
  if (rest.has_linked_parent) body.linked_parent = body.parent;
  body.group_leader = core.pid_of(badge.group_leader.load(std::memory_order_relaxed));
  const std::uintptr_t word = std::exchange(rest.extension_or_tie, 0);
  if ((word & 1) != 0) {
    body.tie = reinterpret_cast<Tie*>(word & ~std::uintptr_t{1});
  } else {
    body.extension_.reset(reinterpret_cast<Extension*>(word));
  }
  body.lineage = std::move(rest.lineage);
  body.reductions = rest.reductions;
  body.queue_peak = rest.queue_peak;
  body.call_id = rest.call_id;
  body.size_class = rest.size_class;
  body.trap_exit = rest.trap_exit;
  body.migratable = rest.migratable;
  body.above_mark = rest.above_mark;
  body.high_water_mark = high_water_mark_of(body);
}

void prefetch_rest(Core& core, const Process& process) noexcept {
  const auto* rest = reinterpret_cast<const std::byte*>(&rest_of(process));
  __builtin_prefetch(rest);
  __builtin_prefetch(rest + 64);  // the state stands behind it
  __builtin_prefetch(&core.table().badge(process));
}

void end_rest(Process& process) { process.body = new_body_for(process, rest_of(process)); }

RestList::RestList(std::size_t kept, std::size_t kept_at_leisure, std::size_t kept_new)
    : mask_(kept - 1),
      kept_at_leisure_(kept_at_leisure),
      kept_new_(kept_new),
      places_(static_cast<Place*>(std::calloc(kept, sizeof(Place)))) {
  if (places_ == nullptr) throw std::bad_alloc();
}

void RestList::add(Core& core, Process& process, std::uint64_t number) {
  std::uint16_t& at = process.body->rest_place;
  if (at == Body::not_idle_yet) {
    at = Body::idle_once;
    const Place before = std::exchange(new_[next_new_++ % kept_new_], {&process, number});
    if (before.process != nullptr) put_to_rest(core, *before.process, before.number, Body::idle_once);
    return;
  }
  const std::size_t place = next_ & mask_;
  const Place before = next_ - oldest_ > mask_ ? leave_oldest() : Place{};
  at = static_cast<std::uint16_t>(place);
  places_[place] = {&process, number};
  ++next_;
  if (before.process != nullptr) put_to_rest(core, *before.process, before.number, place);
}

bool RestList::relieve(Core& core, std::size_t count) {
  for (; count > 0 && holds_more_than_at_leisure(); --count) {
    const std::size_t place = oldest_ & mask_;
    const Place oldest = leave_oldest();
    put_to_rest(core, *oldest.process, oldest.number, place);
  }
  return holds_more_than_at_leisure();
}

}  // namespace coppice::runtime
