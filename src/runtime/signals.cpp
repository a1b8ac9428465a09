// SPDX-License-Identifier: Apache-2.0
#include "runtime/signals.hpp"

#include "platform/fault.hpp"
#include "runtime/core.hpp"
#include "runtime/exit_decision.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/relations.hpp"
#include "runtime/signal_tables.hpp"
#include "runtime/tie.hpp"

namespace coppice::runtime {
namespace {

using detail::make_node;

constexpr SignalTable link_message_table = payload_table<LinkNode, ExitMessage>(SignalKind::message);
constexpr SignalTable failed_link_table = payload_table<ExitNode, ExitMessage>(SignalKind::link_exit);
constexpr SignalTable exit_message_table = payload_table<ExitNode, ExitMessage>(SignalKind::message);
constexpr SignalTable unlink_ack_table = signal_table<UnlinkNode>(SignalKind::unlink_ack);
constexpr SignalTable down_message_table = payload_table<MonitorNode, Down>(SignalKind::message);

// -- messages

// A bounded mailbox that is full makes room, or ends its process. (The other policies have refused at the sender's.)
void make_room(Process& process) {
  Body& body = *process.body;
  Sight& sight = body.core->table().sight(process);
  const std::uint32_t limit = sight.limit.load(std::memory_order_relaxed);
  if (body.room_taken < limit >> 8) return;
  const auto overflow = static_cast<Overflow>(limit & 0xff);
  if (overflow == Overflow::drop_oldest) {
    sight.dropped.fetch_add(1, std::memory_order_relaxed);
    discard(take_first_that_takes_room(process), ExitReason(Atom("dropped")));
  } else if (overflow == Overflow::exit) {
    body.leaving = Leave::by_signal;
    body.reason = ExitReason(Atom("mailbox_full"));
  }
}

}  // namespace

void take_message(Process& process, Signal* message) {
  if ((process.flags.load(std::memory_order_relaxed) & flag::bounded) != 0 && takes_room(message)) make_room(process);
  append(process, message);
  report_mark_if_due(process);
}

void take_message_to_alias(Process& process, Signal* message) {
  Core& core = *process.body->core;
  const bool counted = (process.flags.load(std::memory_order_relaxed) & flag::bounded) != 0 && takes_room(message);
  if (counted && !take_room(core, process)) {
    core.table().sight(process).dropped.fetch_add(1, std::memory_order_relaxed);
    discard(message, ExitReason(Atom("full")));
    return;
  }
  take_message(process, message);
}

namespace {

void take_alias_message(Process& process, AliasMessage* envelope) {
  Signal* message = std::exchange(envelope->message, nullptr);
  const std::uint64_t id = envelope->id;
  envelope->table->destroy(envelope);
  Extension& extension = process.body->extension();
  if (const AliasRecord* found = extension.aliases.find(id)) {
    const bool with_monitor = found->mode == AliasMode::reply_demonitor;
    if (found->reply) delete extension.aliases.take(id);  // as is each that ends with the monitor
    if (with_monitor) end_monitor(process, id);
  } else if (const DemonitorNode* own = extension.monitors.find(id); own == nullptr || !own->answers) {
    return discard(message, ExitReason::noproc());
  }
  take_message_to_alias(process, message);
}

}  // namespace

// -- exits

void become_fatal(Process& process, const ExitReason& reason) {
  process.flags.fetch_or(flag::doomed, std::memory_order_acq_rel);  // alive() is false while the stack unwinds (PR-013)
  process.body->leaving = Leave::by_signal;
  process.body->reason = reason;
}

namespace {

// `message_table` is what turns the node itself into the ExitMessage.
void take_exit(Process& process, Signal* node, const ExitMessage& exit, bool by_link,
               const SignalTable& message_table) {
  const ExitSignal signal{exit.reason, by_link, exit.pid == process.body->pid};
  const ExitDecision decision = decide_exit(signal, process.body->trap_exit);
  switch (decision.effect) {
    case ExitEffect::message:
      node->table = &message_table;
      take_message(process, node);
      return;
    case ExitEffect::terminate: become_fatal(process, decision.reason); break;
    case ExitEffect::ignore: break;
  }
  node->table->destroy(node);
}

}  // namespace

ExitNode* new_exit_message(const ExitMessage& exit) {
  auto* node = make_node<ExitNode>();
  node->table = &exit_message_table;
  node->payload = exit;
  return node;
}

// A link-caused exit counts only if the link still stands: PR-046.
bool link_still_stands(Process& process, const Pid& from) {
  if (tied_to(*process.body, from)) {
    process.body->tie->linked = false;
    return true;
  }
  Extension& extension = process.body->extension();
  LinkNode* own = extension.links.find(from.number);
  if (own == nullptr || !own->linked || own->unlinks != 0) return false;
  forget_link(extension, own);
  return true;
}

namespace {

void take_link(Process& process, LinkNode* node) {
  if (tied_to(*process.body, node->peer)) return node->table->destroy(node);
  Extension& extension = process.body->extension();
  LinkNode* own = extension.links.find(node->peer.number);
  if (own == nullptr) {
    extension.links.insert(*node);
    return;
  }
  // While an unlink of ours is under way the peer will undo this link when it sees that: both ends stay unlinked. But if
  // a link of ours travels behind it the peer, in its turn, takes that one: both ends are linked.
  if (own->unlinks == 0 || own->linked_anew) own->linked = true;
  node->table->destroy(node);
}

void take_unlink(Process& process, UnlinkNode* node) {
  const Pid peer = node->from;
  if (tied_to(*process.body, peer)) {
    process.body->tie->linked = false;
  } else if (Extension& extension = process.body->extension(); LinkNode* own = extension.links.find(peer.number)) {
    own->linked = false;
    if (own->unlinks == 0) forget_link(extension, own);
  }
  node->from = process.body->pid;
  node->table = &unlink_ack_table;
  push_or_destroy(*process.body->core, peer, node);
}

void take_unlink_ack(Process& process, UnlinkNode* node) {
  note_unlinked(process, node->from);
  node->table->destroy(node);
}

// -- monitors

void take_down(Process& process, MonitorNode* node) {
  Extension& extension = process.body->extension();
  DemonitorNode* own = extension.monitors.take(node->id);
  if (own == nullptr) {  // demonitored meanwhile: PR-072
    node->table->destroy(node);
    return;
  }
  if (ends_with_monitor(own->alias)) delete extension.aliases.take(node->id);
  own->table->destroy(own);
  node->table = &down_message_table;
  take_message(process, node);
}

void take_reply(Process& process, detail::CallNode* node) {
  Body& body = *process.body;
  if (node->call_id != 0) {
    if (node->call_id == body.awaited_call && body.reply == nullptr && !body.call_failed) {
      body.reply = node;
      return;
    }
  } else if (body.extension().rarities().requests.erase(node->request.id()) != 0) {
    body.core->end_call_watch(*node);
    take_message(process, detail::make_message(Response(node->request, node)));
    return;
  }
  body.core->dispose_of_reply(node);  // late: nobody waits for it any more
}

void take_call_watch(Process& process, CallWatch* watch) {
  Body& body = *process.body;
  if (watch->request != 0) {
    if (body.extension().rarities().requests.erase(watch->request) != 0) {
      const Reference request = Reference::from_id(watch->request, body.pid.creation);
      take_message(process, detail::make_message(Response(request, watch->reason)));
    }
  } else if (watch->call_id == body.awaited_call && body.reply == nullptr) {
    body.call_failed = true;
    body.call_failure = watch->reason;
  }
  watch->table->destroy(watch);
}

}  // namespace

// A `link_exit` node is either a LinkNode (the peer's own record of the link) or an ExitNode (the answer of the dead to
// a link signal); the table says which.
void act(Process& process, Signal* signal) {
  ++process.body->reductions;
  switch (signal->table->kind) {
    case SignalKind::message: take_message(process, signal); return;
    case SignalKind::alias_message: take_alias_message(process, static_cast<AliasMessage*>(signal)); return;
    case SignalKind::exit: {
      auto* node = static_cast<ExitNode*>(signal);
      take_exit(process, node, node->payload, false, exit_message_table);
      return;
    }
    case SignalKind::link_exit: {
      if (is_end_of_child(signal)) return take_end_of_child(process, static_cast<Tie*>(signal));
      if (signal->table == &failed_link_table) {
        auto* node = static_cast<ExitNode*>(signal);
        if (!link_still_stands(process, node->payload.pid)) return node->table->destroy(node);
        take_exit(process, node, node->payload, true, exit_message_table);
      } else {
        auto* node = static_cast<LinkNode*>(signal);
        if (!link_still_stands(process, node->payload.pid)) return node->table->destroy(node);
        take_exit(process, node, node->payload, true, node->tied ? tied_link_message_table : link_message_table);
      }
      return;
    }
    case SignalKind::link: take_link(process, static_cast<LinkNode*>(signal)); return;
    case SignalKind::unlink: take_unlink(process, static_cast<UnlinkNode*>(signal)); return;
    case SignalKind::unlink_ack: take_unlink_ack(process, static_cast<UnlinkNode*>(signal)); return;
    case SignalKind::monitor: process.body->extension().watchers.push_back(*static_cast<MonitorNode*>(signal)); return;
    case SignalKind::demonitor: {
      auto* node = static_cast<DemonitorNode*>(signal);
      if (node->tied) return take_demonitor_of_tie(process, node);
      base::IntrusiveList<MonitorNode, &MonitorNode::hook>::remove(*node->target);
      node->target->table->destroy(node->target);
      node->table->destroy(node);
      return;
    }
    case SignalKind::down: take_down(process, static_cast<MonitorNode*>(signal)); return;
    case SignalKind::call_watch_down: take_call_watch(process, static_cast<CallWatch*>(signal)); return;
    case SignalKind::call_unwatch: {
      auto* node = static_cast<UnwatchNode*>(signal);
      base::IntrusiveList<CallWatch, &CallWatch::hook>::remove(*node->target);
      node->target->table->destroy(node->target);
      node->table->destroy(node);
      return;
    }
    case SignalKind::reply: take_reply(process, static_cast<detail::CallNode*>(signal)); return;
    case SignalKind::wake: TimerShard::note_taken(*process.body->extension().timer); return;
    case SignalKind::inspect: {
      auto* node = static_cast<InspectNode*>(signal);
      node->inspect(process, node->argument.get());
      detail::send_reply(node);
      return;
    }
  }
}

// -- death -------------------------------------------------------------------------------------------------------------

void answer_for_the_dead(Core& core, const Pid& dead, Signal* signal, const ExitReason& reason) noexcept {
  switch (signal->table->kind) {
    case SignalKind::message: discard(signal, reason); return;
    case SignalKind::link: {
      auto* node = static_cast<LinkNode*>(signal);
      auto* answer = make_node<ExitNode>();
      answer->table = &failed_link_table;
      answer->payload = ExitMessage{dead, ExitReason::noproc()};
      push_or_destroy(core, node->peer, answer);
      node->table->destroy(node);
      return;
    }
    case SignalKind::unlink: {
      auto* node = static_cast<UnlinkNode*>(signal);
      const Pid peer = std::exchange(node->from, dead);
      node->table = &unlink_ack_table;
      push_or_destroy(core, peer, node);
      return;
    }
    case SignalKind::monitor: send_down(core, static_cast<MonitorNode*>(signal), ExitReason::noproc()); return;
    case SignalKind::reply: core.dispose_of_reply(static_cast<detail::CallNode*>(signal)); return;
    case SignalKind::inspect: detail::send_failure(static_cast<InspectNode*>(signal), ExitReason::noproc()); return;
    case SignalKind::wake: return;  // lives in the extension
    default: signal->table->destroy(signal); return;
  }
}

}  // namespace coppice::runtime
