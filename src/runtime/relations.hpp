// SPDX-License-Identifier: Apache-2.0
//
// The relations of a process (links, monitors, aliases): how it begins and ends them, and how it tells them of its own end.
// What becomes of the signals at the other side stands in signals.cpp. All functions are for the owner of the process.
//
// The node of a relation is allocated by whoever asks for it and travels: a LinkNode as `link`, then stands in the
// peer's table, then leaves as that process's EXIT; a MonitorNode as `monitor`, then stands in the watched process's
// list, then comes back as the Down message. So a dying process allocates nothing.
//
// Unlink and the exits that cross it. unlink() marks the caller's end unlinked and counts one unacknowledged unlink;
// the peer answers with unlink_ack (a dead peer's mailbox answers in its place). A link-caused exit that arrives while
// unlinks are outstanding was sent before the peer saw the unlink: it is dropped (PR-044). One that answers a newer link
// signal is never among them: it comes behind the answers to the unlinks that were sent before that signal. A link signal
// that arrives while unlinks are outstanding counts only if we have linked anew behind them: then both sides have sent
// unlink and link, each takes the other's last word, and both are linked.
#pragma once

#include "runtime/process.hpp"

namespace coppice::runtime {

// -- links
[[nodiscard]] LinkNode* new_link_node(const Pid& peer);
bool link_to(Process& process, const Pid& peer);  // false: the peer is dead (PR-040 is the caller's to decide)
void unlink_from(Process& process, const Pid& peer);
// The peer has acknowledged an unlink.
void note_unlinked(Process& process, const Pid& peer);
// Takes the process's end of a link out of its table, and destroys it.
void forget_link(Extension& extension, LinkNode* own);

// -- monitors
[[nodiscard]] Reference monitor_pid(Process& process, const Pid& target, std::string name,
                                    const MonitorOptions& options);
[[nodiscard]] MonitorNode* new_monitor(Process& watcher, std::uint64_t id, const Pid& target,
                                       AliasMode alias = AliasMode::none);
// The node alone, without the watcher's record.
[[nodiscard]] MonitorNode* new_watcher(const Pid& watcher, std::uint64_t id);
// True if the monitor was active.
bool end_monitor(Process& process, std::uint64_t id);
// Sends the node back to the watcher. Any thread.
void send_down(Core& core, MonitorNode* node, const ExitReason& reason) noexcept;

// -- aliases
void new_alias(Process& process, std::uint64_t id, AliasMode mode, bool reply);
bool end_alias(Process& process, std::uint64_t id);
[[nodiscard]] inline bool ends_with_monitor(AliasMode alias) noexcept {
  return alias == AliasMode::demonitor || alias == AliasMode::reply_demonitor;
}

// -- at death
// Sends EXIT to the linked, DOWN to the watchers, and takes back the monitors that the process had set.
void announce_death(Process& process, const ExitReason& reason) noexcept;

}  // namespace coppice::runtime
