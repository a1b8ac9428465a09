// SPDX-License-Identifier: Apache-2.0
#include "application/master.hpp"

#include <optional>
#include <set>

#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

#include "application/applications.hpp"
#include "application/callbacks.hpp"
#include "application/controller.hpp"
#include "runtime/core.hpp"

namespace coppice::otp {
namespace {

struct TimeIsOver {};

// Everybody whose group leader the calling process is, but itself. Who is being born while we look has a parent whom we
// see, or is seen the next time: we look until there is nobody (AP-035, AP-043).
std::vector<Pid> members_of_group() {
  runtime::Process& me = *runtime::current_process();
  runtime::Core& core = runtime::core_of(me);
  const Pid leader = me.body->pid;
  std::vector<Pid> members;
  for (const std::uint64_t number : core.table().numbers()) {
    const Pid pid = core.pid_of(number);
    runtime::Process& line = core.table().line(pid);
    const std::uint64_t leads = core.table().badge(line).group_leader.load(std::memory_order_acquire);
    if (leads != leader.number || pid == leader) continue;
    if (line.serial.load(std::memory_order_acquire) == number) members.push_back(pid);
  }
  return members;
}

void kill_group() {
  for (;;) {
    const std::vector<Pid> members = members_of_group();
    if (members.empty()) return;
    std::set<Reference> watched;
    for (const Pid& pid : members) {
      watched.insert(monitor(pid));
      exit(pid, ExitReason::kill());
    }
    while (!watched.empty()) {
      receive(when([&](const Down& down) { return watched.contains(down.reference); },
                   [&](const Down& down) { watched.erase(down.reference); }));
    }
  }
}

class Master {
 public:
  explicit Master(const MasterJob& job) : job_(job) {}

  void run() {
    const Pid me = self();
    callbacks_ = spawn_link([job = job_, me] { run_callbacks(job, me); });
    while (!over_) {
      receive([&](const Begun& begun) { began(begun); }, [&](const Failed& failed) { failure_ = failed.reason; },
              [&](const StopRequest&) { ask_to_stop(); }, [&](const TimeIsOver&) { ask_to_stop(); },
              [&](const KillRequest&) { end_now(ExitReason::killed()); },
              [&](const ExitMessage& message) { heard_of_end(message); }, [](const Term&) {});
    }
    kill_group();
    if (child_ || failure_ == std::nullopt) throw Exit(reason_);
    tell({self(), failure_});
  }

 private:
  void began(const Begun& begun) {
    child_ = begun.child;
    const WaitTime time = job_.loaded.spec.max_time;
    if (!time.is_infinite()) send_after(self(), TimeIsOver{}, time);  // AP-048
    tell({self(), std::nullopt});
  }

  void ask_to_stop() {
    if (!child_) return end_now(ExitReason::killed());
    asked_ = true;
    send(callbacks_, StopRequest{});
  }

  void end_now(const ExitReason& reason) {
    over_ = true;
    reason_ = reason;
  }

  void heard_of_end(const ExitMessage& message) {
    if (message.pid == job_.controller) return ask_to_stop();
    if (message.pid != callbacks_) return;
    end_now(asked_ ? ExitReason::normal() : message.reason);
    if (!child_) {  // the start has failed; without a word of it, the callback ended its process (AP-021)
      if (!failure_) failure_ = crashed_start(start_call(job_.loaded.module->module(), job_.type), message.reason);
      return;
    }
    wait_for_tree();
  }

  // The process of the callbacks may have ended before its tree, whose parent it was.
  void wait_for_tree() {
    const Reference watch = monitor(child_);
    exit(child_, ExitReason::shutdown());
    receive(when([&](const Down& down) { return down.reference == watch; }, [](const Down&) {}),
            [](const KillRequest&) {});
  }

  void tell(Controller::Outcome outcome) { ServerRef<Controller>(job_.controller).cast(std::move(outcome)); }

  const MasterJob& job_;
  Pid callbacks_;
  Pid child_;  // none until the start is done
  std::optional<ExitReason> failure_;
  bool asked_ = false;
  bool over_ = false;
  ExitReason reason_;
};

}  // namespace

void run_master(const MasterJob& job) {
  trap_exit(true);
  group_leader(self(), self());
  set_label(tuple("application_master"_atom, job.app));
  // Before anybody is born into the group: the controller notes us, too, but we may be faster.
  runtime::Core& core = runtime::core_of(*runtime::current_process());
  Applications::of(core).note_leader(job.app, self());
  Master(job).run();
}

}  // namespace coppice::otp
