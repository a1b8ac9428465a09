// SPDX-License-Identifier: Apache-2.0
#include "runtime/tie.hpp"

#include <cstddef>
#include <new>
#include <utility>

#include "runtime/core.hpp"
#include "runtime/exit_decision.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/relations.hpp"
#include "runtime/rest.hpp"
#include "runtime/signals.hpp"

namespace coppice::runtime {
namespace {

#pragma GCC diagnostic push
// Single inheritance without virtual functions: both compilers agree.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
constexpr std::size_t exit_offset = offsetof(Tie, exit);
constexpr std::size_t link_offset = offsetof(Tie, link);
constexpr std::size_t record_offset = offsetof(WatchingTie, record);
constexpr std::size_t down_offset = offsetof(WatchingTie, down);
constexpr std::size_t link_payload_offset = offsetof(LinkNode, payload);
#pragma GCC diagnostic pop

template <class T>
T* block_at(Signal* part, std::size_t offset) noexcept {
  return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(part) - offset);
}

// If nobody else is left there is nothing to count any more.
void let_go(Tie* tie, std::uint8_t parts) noexcept {
  if (tie->holders.load(std::memory_order_acquire) != parts &&
      tie->holders.fetch_sub(parts, std::memory_order_acq_rel) != parts) {
    return;
  }
  if (WatchingTie* watching = tie->as_watching()) {
    if (watching->value != nullptr) watching->value->table->destroy(watching->value);
    watching->~WatchingTie();
    detail::free_node(watching, sizeof(WatchingTie));
  } else {
    tie->~Tie();
    detail::free_node(tie, sizeof(Tie));
  }
}

void destroy_end(Signal* signal) noexcept { let_go(static_cast<Tie*>(signal), 1); }
void destroy_down(Signal* signal) noexcept {
  auto* tie = static_cast<WatchingTie*>(signal);
  tie->down.~Down();
  let_go(tie, 1);
}
void destroy_link(Signal* signal) noexcept {
  auto* tie = block_at<Tie>(signal, link_offset);
  tie->link_stands = false;
  let_go(tie, 1);
}
void destroy_record(Signal* signal) noexcept {
  auto* tie = block_at<WatchingTie>(signal, record_offset);
  tie->record_stands = false;
  let_go(tie, 1);
}

template <class Payload>
constexpr SignalTable table_of(SignalKind kind, std::size_t offset, void (*destroy)(Signal*) noexcept) {
  return {kind,    static_cast<std::uint16_t>(offset), &detail::type_identity<Payload>, nullptr, destroy, nullptr,
          nullptr, &detail::describe_payload<Payload>};
}
constexpr SignalTable bare_table(SignalKind kind, void (*destroy)(Signal*) noexcept) {
  return {kind, 0, nullptr, nullptr, destroy, nullptr, nullptr, nullptr};
}

// The kind is that of an exit: the table says that it is more than that.
constexpr SignalTable end_table = bare_table(SignalKind::link_exit, &destroy_end);
constexpr SignalTable exit_message_table = table_of<ExitMessage>(SignalKind::message, exit_offset, &destroy_end);
constexpr SignalTable down_message_table = table_of<Down>(SignalKind::message, down_offset, &destroy_down);
constexpr SignalTable tied_link_table = bare_table(SignalKind::link, &destroy_link);
constexpr SignalTable record_table = bare_table(SignalKind::demonitor, &destroy_record);

Reference reference_of(Core& core, const DemonitorNode& record, const Pid& watcher) {
  return record.alias == AliasMode::none ? Reference::from_id(record.id, core.creation())
                                         : core.alias_reference(record.id, watcher);
}

}  // namespace

const SignalTable tied_link_exit_table =
    table_of<ExitMessage>(SignalKind::link_exit, link_payload_offset, &destroy_link);
const SignalTable tied_link_message_table =
    table_of<ExitMessage>(SignalKind::message, link_payload_offset, &destroy_link);

Tie* new_tie(Process& parent, const Pid& child, bool with_link, std::uint64_t monitor_id, AliasMode alias) {
  Extension& extension = parent.body->extension();
  const bool watches = monitor_id != 0;
  void* memory = detail::allocate_node(watches ? sizeof(WatchingTie) : sizeof(Tie));
  Tie* tie = watches ? ::new (memory) WatchingTie : ::new (memory) Tie(false);
  tie->table = &end_table;
  tie->exit.pid = child;
  std::uint8_t holders = 1;
  if (with_link) {
    ++holders;
    tie->linked = tie->link_stands = true;
    tie->link.table = &tied_link_table;
    tie->link.peer = child;
    tie->link.tied = true;
    extension.links.insert(tie->link);
  }
  if (watches) {
    ++holders;
    DemonitorNode& record = static_cast<WatchingTie*>(tie)->record;
    tie->monitored = tie->record_stands = true;
    record.table = &record_table;
    record.id = monitor_id;
    record.watched = child;
    record.alias = alias;
    record.answers = alias != AliasMode::none;
    record.tied = true;
    extension.monitors.insert(record);
  }
  tie->holders.store(holders, std::memory_order_relaxed);
  return tie;
}

// -- by the child

void unfold_tie(Body& body) {
  Tie* tie = body.tie;
  if (tie == nullptr) return;
  Extension& extension = body.extension();
  if (tie->monitored) {
    const DemonitorNode& record = tie->as_watching()->record;
    MonitorNode* node = new_watcher(body.parent, record.id);
    node->payload.pid = body.pid;
    node->payload.reference = reference_of(*body.core, record, body.parent);
    extension.watchers.push_back(*node);
    tie->monitored = false;
  }
  if (tie->linked) {
    extension.links.insert(*new_link_node(body.parent));
    tie->linked = false;
  }
  drop_tie(std::exchange(body.tie, nullptr));
}

void drop_tie(Tie* tie) noexcept { let_go(tie, 1); }

bool give_along(Body& body, const Reference& alias, Signal* value) noexcept {
  if (!watched_by_parent(body) || body.tie->as_watching()->record.id != alias.id()) return false;
  body.tie->as_watching()->value = value;
  return true;
}

namespace {

// Is the value the very message that the parent waits for? A message that has come before it might be that too, and one that
// a bounded mailbox counts must go through it.
bool is_awaited(const Process& parent, const WatchingTie& tie) noexcept {
  const AwaitedEnd* awaited = parent.body->awaited_end;
  return awaited != nullptr && awaited->id == tie.record.id && awaited->value == nullptr && tie.record_stands &&
         tie.record.answers && parent.queue == awaited->newest && awaited->result == tie.value->table->type &&
         (parent.flags.load(std::memory_order_relaxed) & flag::bounded) == 0;
}

bool end_at_waiting_parent(Body& child, WatchingTie* tie) noexcept;

}  // namespace

void send_end(Body& body, const ExitReason& reason) noexcept {
  Tie* tie = std::exchange(body.tie, nullptr);
  if (tie == nullptr) return;
  tie->exit.reason = reason;
  WatchingTie* watching = tie->as_watching();
  const bool has_value = watching != nullptr && watching->value != nullptr;
  if (has_value && end_at_waiting_parent(body, watching)) return;
  const bool is_news = tie->linked || tie->monitored || has_value;
  if (!is_news || !push(*body.core, body.parent, tie)) let_go(tie, 1);
}

// The monitor stands in the tie, or, if that was unfolded, among the watchers.
void take_demonitor_of_tie(Process& process, DemonitorNode* record) {
  Body& body = *process.body;
  if (body.tie == block_at<WatchingTie>(record, record_offset)) {
    body.tie->monitored = false;
  } else if (body.extension_ != nullptr) {
    for (MonitorNode& node : body.extension_->watchers) {
      if (node.id != record->id) continue;
      base::IntrusiveList<MonitorNode, &MonitorNode::hook>::remove(node);
      node.table->destroy(&node);
      break;
    }
  }
  record->table->destroy(record);
}

// -- by the parent

bool is_end_of_child(const Signal* signal) noexcept { return signal->table == &end_table; }

void note_record_leaves(DemonitorNode& record) noexcept {
  block_at<WatchingTie>(&record, record_offset)->record_stands = false;
}

namespace {

// Does the exit of the child count? If the link still stands it does, and the parent's end of it is taken out and added
// to `parts`.
bool end_link(Process& process, Tie& tie, std::uint8_t& parts) {
  if (!tie.link_stands) return link_still_stands(process, tie.exit.pid);
  if (!tie.link.linked || tie.link.unlinks != 0) return false;
  process.body->extension().links.take(tie.exit.pid.number);
  tie.link.linked = tie.link_stands = false;
  ++parts;
  return true;
}

// The parent waits, and has nothing to take in before this end: whoever wakes it owns it, and acts for it on an end that does
// nothing but give the value by hand. Else the tie is left for the parent's intake. False: the parent does not wait.
bool end_at_waiting_parent(Body& child, WatchingTie* tie) noexcept {
  Core& core = *child.core;
  Process* parent = claim_waiting(core, child.parent);
  if (parent == nullptr) return false;
  const bool by_hand = !at_rest(*parent) && parent->body->leaving == Leave::no && !parent->body->trap_exit &&
                       tie->exit.reason.is_normal() && is_awaited(*parent, *tie);
  if (!by_hand) {
    head::push_own(*parent, static_cast<Signal*>(tie));
  } else {
    Body& body = *parent->body;
    ++body.reductions;
    body.awaited_end->value = std::exchange(tie->value, nullptr);
    std::uint8_t parts = 2;                                 // the child's side and the record
    if (tie->linked) (void)end_link(*parent, *tie, parts);  // a normal exit ends nobody
    body.extension_->monitors.take(tie->record.id);
    tie->record_stands = false;
    body.extension_->for_tasks.take_back(child.lineage);
    let_go(tie, parts);
  }
  core.schedule(*parent);
  return true;
}

// What the exit of the child does to its parent. True: the tie has become the message.
bool take_exit_of_child(Process& process, Tie* tie, bool down_follows) {
  const ExitDecision decision = decide_exit({tie->exit.reason, true, false}, process.body->trap_exit);
  switch (decision.effect) {
    case ExitEffect::ignore: return false;
    case ExitEffect::terminate: become_fatal(process, decision.reason); return false;
    case ExitEffect::message: break;
  }
  if (down_follows) {
    take_message(process, new_exit_message(tie->exit));
    return false;
  }
  tie->table = &exit_message_table;
  take_message(process, tie);
  return true;
}

bool give_to_waiter(Process& process, WatchingTie& tie) noexcept {
  if (!is_awaited(process, tie)) return false;
  process.body->awaited_end->value = std::exchange(tie.value, nullptr);
  return true;
}

void take_value(Process& process, WatchingTie& tie) {
  Signal* value = std::exchange(tie.value, nullptr);
  if (tie.record_stands && tie.record.answers) {
    take_message_to_alias(process, value);
  } else {
    discard(value, ExitReason::noproc());
  }
}

}  // namespace

// The parts that are taken out here are let go together, before the tie may become a message.
void take_end_of_child(Process& process, Tie* tie) {
  Body& body = *process.body;
  WatchingTie* watching = tie->as_watching();
  bool given = false;
  if (watching != nullptr && watching->value != nullptr) {
    given = give_to_waiter(process, *watching);
    if (!given) take_value(process, *watching);
    if (body.leaving != Leave::no) return let_go(tie, 1);  // its mailbox was full
  }
  std::uint8_t parts = 0;
  const bool exits = tie->linked && end_link(process, *tie, parts);
  const bool watch_ends = tie->record_stands && (tie->monitored || given);
  const bool down_follows = watch_ends && !given;
  if (watch_ends) {
    body.extension().monitors.take(watching->record.id);
    tie->record_stands = false;
    ++parts;
  }
  if (parts != 0) {
    if (tie->holders.load(std::memory_order_acquire) == parts + 1) {
      tie->holders.store(1, std::memory_order_relaxed);
    } else {
      tie->holders.fetch_sub(parts, std::memory_order_acq_rel);
    }
  }
  if (exits && take_exit_of_child(process, tie, down_follows)) return;
  if (!down_follows || body.leaving != Leave::no) return let_go(tie, 1);
  Down* down = ::new (&watching->down) Down;
  down->pid = tie->exit.pid;
  down->reference = reference_of(*body.core, watching->record, body.pid);
  down->reason = std::move(tie->exit.reason);
  tie->table = &down_message_table;
  take_message(process, tie);
}

}  // namespace coppice::runtime
