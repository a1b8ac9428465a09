// SPDX-License-Identifier: Apache-2.0
//
// What a process does with each signal it takes in, and the relations (links, monitors, aliases) that signals make and
// end. All functions are for the owner of the process.
//
// The node of a relation is allocated by whoever asks for it and travels: a LinkNode as `link`, then stands in the
// peer's table, then leaves as that process's EXIT; a MonitorNode as `monitor`, then stands in the watched process's
// list, then comes back as the Down message. So a dying process allocates nothing.
//
// Unlink and the exits that cross it. unlink() marks the caller's end unlinked and counts one unacknowledged unlink;
// the peer answers with unlink_ack (a dead peer's mailbox answers in its place). A link-caused exit that arrives while
// unlinks are outstanding was sent before the peer saw the unlink: it is dropped (PR-044), unless it answers a newer
// link signal, which its id tells. A link signal that arrives while unlinks are outstanding counts only if we have linked
// anew behind them: then both sides have sent unlink and link, each takes the other's last word, and both are linked.
#pragma once

#include "runtime/process.hpp"

namespace coppice::runtime {

// Acts on one signal; consumes it.
void act(Process& process, Signal* signal);
// -- parts of that, for tie.cpp
void take_message(Process& process, Signal* message);
void take_message_to_alias(Process& process, Signal* message);  // the alias stands
void become_fatal(Process& process, const ExitReason& reason);
[[nodiscard]] ExitNode* new_exit_message(const ExitMessage& exit);
// Does an exit that a link has caused count? Then the link is gone. `answers_link`: the id of the link signal that it answers.
[[nodiscard]] bool link_still_stands(Process& process, const Pid& from, std::uint32_t answers_link);
// -- links
[[nodiscard]] LinkNode* new_link_node(const Pid& peer);
bool link_to(Process& process, const Pid& peer);  // false: the peer is dead (PR-040 is the caller's to decide)
void unlink_from(Process& process, const Pid& peer);

// -- monitors
[[nodiscard]] Reference monitor_pid(Process& process, const Pid& target, std::string name,
                                    const MonitorOptions& options);
[[nodiscard]] MonitorNode* new_monitor(Process& watcher, std::uint64_t id, const Pid& target,
                                       AliasMode alias = AliasMode::none);
// The node alone, without the watcher's record.
[[nodiscard]] MonitorNode* new_watcher(const Pid& watcher, std::uint64_t id);
// True if the monitor was active.
bool end_monitor(Process& process, std::uint64_t id);

// -- aliases
void new_alias(Process& process, std::uint64_t id, AliasMode mode, bool reply);
bool end_alias(Process& process, std::uint64_t id);

// -- at death
// Sends EXIT to the linked, DOWN to the watchers, and takes back the monitors that the process had set.
void announce_death(Process& process, const ExitReason& reason) noexcept;
// A signal that a dead or dying process will not act on: answers it as the dead do.
void answer_for_the_dead(Core& core, const Pid& dead, Signal* signal, const ExitReason& reason) noexcept;

}  // namespace coppice::runtime
