// SPDX-License-Identifier: Apache-2.0
//
// Starting generic processes: the starter waits until the new process has acknowledged, failed, died, or the time is over
// (GS-001, GS-127). The acknowledgement is the reply of a call that the starter makes to its child; a failing start is
// acknowledged only when the child is gone (GS-028), by what runs last in its death.
#pragma once

#include <memory>

#include <coppice/gen_server.hpp>

#include "runtime/process.hpp"

namespace coppice::otp {

struct StartNode : detail::ReplyNode<StartOutcome> {};

[[nodiscard]] StartNode* new_start_node();

// {:already_started, pid}
[[nodiscard]] ExitReason already_started(const Pid& holder);

// What the children of `parent` are to record: it, by its name if it has one, and its own ancestors.
[[nodiscard]] std::unique_ptr<runtime::Lineage> new_lineage_under(const runtime::Process& parent);
// Is the parent still shown by that name, or still by its pid?
[[nodiscard]] bool is_shown_by(const runtime::Process& parent, const std::optional<Atom>& name);
// What a child of `parent` records as its ancestors (PR-118).
[[nodiscard]] runtime::SharedLineage lineage_for_children(runtime::Process& parent);

// Makes the body of the child around the node that it must answer.
using MakeBody = std::unique_ptr<runtime::Body> (*)(detail::CallNode* node, void* context);

// The whole protocol, for the calling process.
[[nodiscard]] StartOutcome start_generic(runtime::Process& parent, MakeBody make_body, void* context,
                                         const SpawnOptions& options, detail::Bond bond, WaitTime timeout,
                                         const char* kind);

class ServerLoop;
void begin_statistics(ServerLoop& loop);

}  // namespace coppice::otp
