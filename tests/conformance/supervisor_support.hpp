// SPDX-License-Identifier: Apache-2.0
//
// What the tests of supervisors share: children that tell the test what happens to them, and starts that go as a script says.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>

#include "behaviour/behaviour.hpp"

namespace conformance {
inline namespace supervisors {  // others have helpers of the same names, in the same program

using namespace coppice;
using namespace std::chrono_literals;

// -- what the test hears ------------------------------------------------------------------------------------------------

struct Note {
  std::string text;
};
inline std::string next_note() { return receive<Note>().text; }
// The notes that are there, joined by blanks.
inline std::string notes() {
  std::string all;
  while (auto note = receive<Note>(0s)) all += (all.empty() ? "" : " ") + note->text;
  return all;
}

inline ExitReason end_of(const Reference& reference) {
  return receive(when([&](const Down& down) { return down.reference == reference; },
                      [](const Down& down) { return down.reason; }));
}
inline ExitReason end_of(const Pid& pid) { return end_of(monitor(pid)); }
// The exit signal of a process that is linked to the test, which traps exits.
inline ExitReason exit_of(const Pid& pid) {
  return receive(when([&](const ExitMessage& message) { return message.pid == pid; },
                      [](const ExitMessage& message) { return message.reason; }));
}

// -- children -----------------------------------------------------------------------------------------------------------

inline Pid spawn_idle() {
  return spawn_link([] { sleep_for(infinity); });
}
// A child that does nothing and does not trap exits.
inline ChildSpec idle(Term id) {
  return child(std::move(id), [] { return spawn_idle(); });
}
// One that traps exits, notes "+id" when it is started and "-id" when its supervisor stops it.
class Noting : public GenServer<Noting> {
 public:
  static constexpr bool trap_exit = true;
  Noting(const Pid& test, const std::string& id) : test_(test), id_(id) { send(test, Note{"+" + id}); }
  Action handle_info(const ExitMessage& message) { return stop(message.reason); }  // from the test: crash()
  void terminate(const ExitReason& reason) {
    if (reason == ExitReason::shutdown()) send(test_, Note{"-" + id_});
  }

 private:
  Pid test_;
  std::string id_;
};
inline ChildSpec noting(const Pid& test, const std::string& id) { return child<Noting>(test, id).id(id); }

// A start that goes another way each time: "ok", "ignore", "fail", "throw"; the last one for ever.
struct Script {
  std::vector<std::string> steps;
  std::shared_ptr<std::atomic<std::size_t>> taken = std::make_shared<std::atomic<std::size_t>>(0);

  Term operator()() const {
    const std::size_t step = std::min(taken->fetch_add(1), steps.size() - 1);
    if (steps[step] == "ignore") return "ignore"_atom;
    if (steps[step] == "fail") return tuple("error"_atom, "nope"_atom);
    if (steps[step] == "throw") throw std::runtime_error("boom");
    return tuple("ok"_atom, spawn_idle());
  }
};

// -- supervisors ----------------------------------------------------------------------------------------------------------

// Where a child stands: "running", "undefined", "restarting", or "none".
inline std::string status_of(const ServerAddress& supervisor, const Term& id) {
  for (const ChildInfo& info : Supervisor::which_children(supervisor)) {
    if (!(info.id == id)) continue;
    return info.status == ChildStatus::running ? "running" : inspect(info.to_term()[1]).substr(1);
  }
  return "none";
}
inline Pid pid_of(const ServerAddress& supervisor, const Term& id) {
  for (const ChildInfo& info : Supervisor::which_children(supervisor)) {
    if (info.id == id) return info.pid;
  }
  return {};
}
// Ends a child and returns when its supervisor has acted on it. The monitor is set before: then the exit signal goes out
// before the Down.
inline void crash(const ServerAddress& supervisor, const Pid& pid, const ExitReason& reason = ExitReason("boom"_atom)) {
  const Reference reference = monitor(pid);
  exit(pid, reason);
  end_of(reference);
  static_cast<void>(Supervisor::count_children(supervisor));
}
inline void crash(const ServerAddress& supervisor, const Term& id) { crash(supervisor, pid_of(supervisor, id)); }

inline Pid start(std::vector<ChildSpec> children, SupervisorOptions options = {}) {
  return Supervisor::start_link(std::move(children), std::move(options)).value();
}

}  // namespace supervisors
}  // namespace conformance
