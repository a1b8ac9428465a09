// SPDX-License-Identifier: Apache-2.0
//
// Annex: what a higher layer keeps beside a runtime: shared tables, registries, applications. The runtime knows only that it is
// there, that it ends with the runtime, and that it wants to hear of the end of processes to which something in it
// belongs.
//
// Who owns something is marked by a flag on its line (flag::owns). Anybody may give a process something; the process
// may be dying. Both sides use one atomic word, the flags of the line: the giver sets `owns` and looks whether `closed`
// was set before; the dying process sets `closed` and looks whether `owns` was set before. Of two read-modify-writes on
// one word one is the first: either the dying process sees that it owns something and calls the annexes, or the giver
// sees that it comes too late.
#pragma once

#include <cstdint>

#include <coppice/pid.hpp>

namespace coppice::runtime {

class Core;
struct Process;

enum class AnnexKind : std::uint8_t { epochs, tables, registries, applications };
inline constexpr std::size_t annex_kinds = 4;

class Annex {
 public:
  virtual ~Annex() = default;
  // A process that owns something ends: its state is destroyed, its name is free, nothing was announced yet. Called in
  // that process; whoever hears of the death finds the annex changed. Must not wait.
  virtual void process_ends(Process& process) noexcept = 0;
  // All processes have ended and the workers with them; foreign threads may still look.
  virtual void runtime_ends() noexcept = 0;
};

// Marks a process as the owner of something. False if there is no such process, or it is ending and can be given
// nothing. Any thread.
[[nodiscard]] bool mark_owner(Core& core, const Pid& pid) noexcept;

}  // namespace coppice::runtime
