// SPDX-License-Identifier: Apache-2.0
#include "runtime/relations.hpp"

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/signal_tables.hpp"
#include "runtime/tie.hpp"

namespace coppice::runtime {
namespace {

using detail::make_node;

constexpr SignalTable link_table = signal_table<LinkNode>(SignalKind::link);
constexpr SignalTable link_exit_table = payload_table<LinkNode, ExitMessage>(SignalKind::link_exit);
constexpr SignalTable unlink_table = signal_table<UnlinkNode>(SignalKind::unlink);
constexpr SignalTable monitor_table = signal_table<MonitorNode>(SignalKind::monitor);
constexpr SignalTable down_table = payload_table<MonitorNode, Down>(SignalKind::down);
constexpr SignalTable demonitor_table = signal_table<DemonitorNode>(SignalKind::demonitor);

}  // namespace

// -- links -------------------------------------------------------------------------------------------------------------

LinkNode* new_link_node(const Pid& peer) {
  auto* node = make_node<LinkNode>();
  node->table = &link_table;
  node->peer = peer;
  return node;
}

void forget_link(Extension& extension, LinkNode* own) {
  extension.links.take(own->peer.number);
  own->table->destroy(own);
}

bool link_to(Process& process, const Pid& peer) {
  Body& body = *process.body;
  if (peer == body.parent) unfold_tie(body);
  Extension& extension = body.extension();
  LinkNode* own = extension.links.find(peer.number);
  if (own != nullptr && own->linked) return true;
  LinkNode* theirs = new_link_node(body.pid);
  if (!push(*body.core, peer, theirs)) {
    theirs->table->destroy(theirs);
    return false;
  }
  if (own == nullptr) {
    own = new_link_node(peer);
    extension.links.insert(*own);
  }
  own->linked = true;
  own->linked_anew = own->unlinks != 0;
  return true;
}

void note_unlinked(Process& process, const Pid& peer) {
  Extension& extension = process.body->extension();
  LinkNode* own = extension.links.find(peer.number);
  if (own == nullptr) return;
  if (own->unlinks > 0) --own->unlinks;
  if (own->unlinks == 0 && !own->linked) forget_link(extension, own);
}

void unlink_from(Process& process, const Pid& peer) {
  Body& body = *process.body;
  if (peer == body.parent) unfold_tie(body);
  Extension& extension = body.extension();
  LinkNode* own = extension.links.find(peer.number);
  if (own == nullptr || !own->linked) return;
  own->linked = false;
  own->linked_anew = false;
  ++own->unlinks;
  auto* node = make_node<UnlinkNode>();
  node->table = &unlink_table;
  node->from = body.pid;
  if (!push(*body.core, peer, node)) {  // dead: its exit, if any, came before this answer
    node->table->destroy(node);
    note_unlinked(process, peer);
  }
}

// -- monitors ----------------------------------------------------------------------------------------------------------

namespace {

DemonitorNode* new_monitor_record(Process& watcher, std::uint64_t id, const Pid& target, AliasMode alias) {
  auto* own = make_node<DemonitorNode>();
  own->table = &demonitor_table;
  own->id = id;
  own->watched = target;
  own->alias = alias;
  watcher.body->extension().monitors.insert(*own);
  return own;
}

}  // namespace

MonitorNode* new_watcher(const Pid& watcher, std::uint64_t id) {
  auto* node = make_node<MonitorNode>();
  node->table = &monitor_table;
  node->watcher = watcher;
  node->id = id;
  return node;
}

MonitorNode* new_monitor(Process& watcher, std::uint64_t id, const Pid& target, AliasMode alias) {
  MonitorNode* node = new_watcher(watcher.body->pid, id);
  node->payload.pid = target;
  node->payload.reference = Reference::from_id(id, watcher.body->pid.creation);
  new_monitor_record(watcher, id, target, alias)->target = node;
  return node;
}

void send_down(Core& core, MonitorNode* node, const ExitReason& reason) noexcept {
  node->payload.reason = reason;
  node->table = &down_table;
  push_or_destroy(core, node->watcher, node);
}

Reference monitor_pid(Process& process, const Pid& target, std::string name, const MonitorOptions& options) {
  Body& body = *process.body;
  Core& core = *body.core;
  const std::uint64_t id = core.new_reference_id();
  const Reference reference =
      options.alias == AliasMode::none ? Reference::from_id(id, body.pid.creation) : core.alias_reference(id, body.pid);
  if (options.alias != AliasMode::none) {
    new_alias(process, id, options.alias, options.alias == AliasMode::reply_demonitor);
  }
  if (target == body.pid) {  // PR-069
    new_monitor_record(process, id, target, options.alias);
    return reference;
  }
  MonitorNode* node = new_monitor(process, id, target, options.alias);
  node->payload.reference = reference;
  node->payload.name = std::move(name);
  node->payload.tag = options.tag;
  if (!push(core, target, node)) {
    send_down(core, node, core.is_local(target) || !target ? ExitReason::noproc() : ExitReason::noconnection());
  }
  return reference;
}

namespace {

// Ends a monitor whose record is in no table any more. If the watched is dead, its Down is on its way to us and will be
// dropped.
void retire(Core& core, DemonitorNode& own) noexcept {
  if (own.tied) {
    note_record_leaves(own);
  } else if (own.target == nullptr) {
    return own.table->destroy(&own);
  }
  push_or_destroy(core, own.watched, &own);
}

}  // namespace

bool end_monitor(Process& process, std::uint64_t id) {
  Body& body = *process.body;
  Extension& extension = body.extension();
  DemonitorNode* own = extension.monitors.take(id);
  if (own == nullptr) return false;
  if (ends_with_monitor(own->alias)) delete extension.aliases.take(id);
  retire(*body.core, *own);
  return true;
}

void new_alias(Process& process, std::uint64_t id, AliasMode mode, bool reply) {
  auto record = std::make_unique<AliasRecord>(id, mode, reply);
  process.body->extension().aliases.insert(*record);
  (void)record.release();
}

bool end_alias(Process& process, std::uint64_t id) {
  const std::unique_ptr<AliasRecord> record(process.body->extension().aliases.take(id));
  if (record != nullptr) return true;
  DemonitorNode* own = process.body->extension().monitors.find(id);
  return own != nullptr && std::exchange(own->answers, false);
}

// -- death -------------------------------------------------------------------------------------------------------------

void announce_death(Process& process, const ExitReason& reason) noexcept {
  Body& body = *process.body;
  if (body.extension_ == nullptr) return send_end(body, reason);
  Core& core = *body.core;
  Extension& extension = *body.extension_;
  extension.links.drain([&](LinkNode& node) {
    if (!node.linked) return node.table->destroy(&node);
    const Pid peer = node.peer;
    node.payload = ExitMessage{body.pid, reason};
    node.table = node.tied ? &tied_link_exit_table : &link_exit_table;
    push_or_destroy(core, peer, &node);
  });
  send_end(body, reason);
  while (MonitorNode* node = extension.watchers.pop_front()) send_down(core, node, reason);
  while (CallWatch* watch = extension.call_watches.pop_front()) {
    watch->reason = reason;
    push_or_destroy(core, watch->caller, watch);
  }
  extension.monitors.drain([&](DemonitorNode& own) { retire(core, own); });
}

}  // namespace coppice::runtime
