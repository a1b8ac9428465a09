// SPDX-License-Identifier: Apache-2.0
#include "application/controller.hpp"

#include <algorithm>

#include <coppice/proc_lib.hpp>
#include <coppice/receive.hpp>
#include <coppice/timer.hpp>

#include "logger/application_reports.hpp"
#include "runtime/core.hpp"
#include "runtime/plain.hpp"

namespace coppice::otp {
namespace {

runtime::Core& this_core() { return runtime::core_of(*runtime::current_process()); }

Atom atom_of(RestartType type) {
  switch (type) {
    case RestartType::temporary: return "temporary"_atom;
    case RestartType::transient: return "transient"_atom;
    case RestartType::permanent: break;
  }
  return "permanent"_atom;
}

}  // namespace

Applications& Controller::applications() const { return Applications::of(this_core()); }

// -- starting
// -----------------------------------------------------------------------------------------------------------

void Controller::handle_call(Start m, From<Result<>> from) { start(m.app, m.type, std::move(from)); }

// Whether the caller is the process of the callbacks, for whose return this very request would wait.
bool Controller::would_wait_for_itself(const Pid& caller, const Entry& entry) const {
  runtime::Core& core = this_core();
  if (!entry.master || !core.is_local(caller)) return false;
  return core.table().badge(core.table().line(caller)).parent.load(std::memory_order_acquire) == entry.master.number;
}

// Why it may not start now (AP-015).
std::optional<ExitReason> Controller::refusal(Atom app) const {
  if (stopping_all_) return ExitReason("terminating"_atom);
  const std::optional<Applications::Loaded> loaded = applications().loaded(app);
  if (!loaded) return app_error("not_loaded", app).reason;
  for (const AppRef& needed : loaded->spec.applications) {
    if (!applications().is_started(needed.name())) return app_error("not_started", needed.name()).reason;
  }
  return std::nullopt;
}

void Controller::start(Atom app, RestartType type, From<Result<>> from) {
  if (const auto found = entries_.find(app); found != entries_.end()) {
    Entry& entry = found->second;
    if (entry.status == Status::running) return from.reply(app_error("already_started", app));
    if (would_wait_for_itself(from.pid(), entry)) return from.reply(error("deadlock"));
    if (entry.status == Status::starting) {  // AP-023
      entry.waiting.push_back(std::move(from));
    } else {
      entry.later.push_back({type, std::move(from)});
    }
    return;
  }
  if (const std::optional<ExitReason> why = refusal(app)) return from.reply(error(*why));
  const Applications::Loaded loaded = *applications().loaded(app);
  Entry& entry = entries_[app];
  entry.type = type;
  if (loaded.is_library()) {  // AP-002
    applications().note_started(app);
    logging::application_started_report(app);
    return from.reply({});
  }
  entry.status = Status::starting;
  entry.waiting.push_back(std::move(from));
  MasterJob job{app, loaded, applications().included(loaded.spec), {}, coppice::self()};
  entry.master = spawn_link([job = std::move(job)] { run_master(job); });
  by_master_.emplace(entry.master.number, app);
  applications().note_leader(app, entry.master);
}

void Controller::handle_cast(const Outcome& m) {
  const auto found = by_master_.find(m.master.number);
  if (found == by_master_.end()) return;
  const Atom app = found->second;
  if (m.failure) return start_failed(app, *m.failure);
  Entry& entry = entries_.at(app);
  if (entry.status != Status::starting) return;
  entry.status = Status::running;
  applications().note_started(app);
  logging::application_started_report(app);
  for (From<Result<>>& from : std::exchange(entry.waiting, {})) from.reply({});
}

// AP-024, AP-025. Who waits is told before anything else happens, as in OTP.
void Controller::start_failed(Atom app, const ExitReason& reason) {
  Entry entry = std::move(entries_.at(app));
  entries_.erase(app);
  by_master_.erase(entry.master.number);
  applications().forget_leader(entry.master);
  logging::application_exited_report(app, reason, atom_of(entry.type));
  for (From<Result<>>& from : entry.waiting) from.reply(error(reason));
  if (!stopping_all_ && failed_start_ends_node(entry.type, reason)) end_node("application_start_failure", app, reason);
  if (stopping_all_) stop_next();
}

// -- stopping and ends ----------------------------------------------------------------------------------------------

void Controller::handle_call(Stop m, From<Result<>> from) { stop(m.app, std::move(from)); }

void Controller::stop(Atom app, From<Result<>> from) {
  const auto found = entries_.find(app);
  if (found == entries_.end()) return from.reply(app_error("not_started", app));
  Entry& entry = found->second;
  if (would_wait_for_itself(from.pid(), entry)) return from.reply(error("deadlock"));
  if (entry.status == Status::starting) return from.reply(app_error("not_started", app));
  if (entry.status == Status::stopping) {
    entry.later.push_back({std::nullopt, std::move(from)});
    return;
  }
  entry.waiting.push_back(std::move(from));
  ask_to_stop(app, entry);
}

void Controller::ask_to_stop(Atom app, Entry& entry) {
  entry.status = Status::stopping;
  applications().forget_started(app);
  if (entry.master) {
    send(entry.master, StopRequest{});
  } else {
    gone(app, ExitReason::normal());
  }
}

void Controller::kill(Entry& entry) {
  entry.status = Status::stopping;
  send(entry.master, KillRequest{});
}

void Controller::handle_info(const ExitMessage& m) {
  const auto found = by_master_.find(m.pid.number);
  if (found != by_master_.end()) gone(found->second, m.reason);
}

// Nobody of the application is left.
void Controller::gone(Atom app, const ExitReason& reason) {
  if (entries_.at(app).status == Status::starting) return start_failed(app, reason);
  Entry entry = std::move(entries_.at(app));
  entries_.erase(app);
  by_master_.erase(entry.master.number);
  applications().forget_leader(entry.master);
  applications().forget_started(app);
  const bool asked = entry.status == Status::stopping;
  const bool killed = asked && reason == ExitReason::killed();
  logging::application_exited_report(app, asked && !killed ? ExitReason("stopped"_atom) : reason, atom_of(entry.type));
  for (From<Result<>>& from : entry.waiting) from.reply({});
  for (Later& later : entry.later) {
    if (later.start) {
      start(app, *later.start, std::move(later.from));
    } else {
      stop(app, std::move(later.from));
    }
  }
  if (!asked && !stopping_all_ && end_ends_node(entry.type, reason)) end_node("application_terminated", app, reason);
  if (stopping_all_) stop_next();
}

// AP-037, AP-038.
void Controller::end_node(const char* what, Atom app, const ExitReason& reason) {
  node_end_ = ExitReason(tuple(Atom(what), app, reason));
  std::optional<std::chrono::nanoseconds> patience;
  {
    Applications& shared = applications();
    const std::shared_lock lock(shared.mutex);
    patience = shared.patience;
  }
  begin_stop_all(patience);
}

// -- stopping all ---------------------------------------------------------------------------------------------------

void Controller::handle_call(StopAll m, From<std::vector<Atom>> from) {
  stop_all_waiting_.push_back(std::move(from));
  begin_stop_all(m.patience);
  if (stopping_all_) stop_next();
}

void Controller::handle_cast(StopAllSoon) {
  begin_stop_all(std::nullopt);
  stop_next();
}

// Those that are starting are not waited for. A shorter patience than that of a stop under way counts from now on.
void Controller::begin_stop_all(std::optional<std::chrono::nanoseconds> patience) {
  if (patience) {
    const std::chrono::nanoseconds deadline = monotonic_time() + *patience;
    if (!deadline_ || deadline < *deadline_) deadline_ = deadline;
  }
  if (std::exchange(stopping_all_, true)) return;
  for (auto& [app, entry] : entries_) {
    if (entry.status != Status::starting) continue;
    send(entry.master, KillRequest{});
  }
}

// One at a time (AP-047). Called again at each end.
void Controller::stop_next() {
  if (overdue_timer_) static_cast<void>(cancel_timer(std::exchange(overdue_timer_, {})));
  while (stopping_all_) {
    const auto stopping = std::find_if(entries_.begin(), entries_.end(),
                                       [](const auto& one) { return one.second.status == Status::stopping; });
    if (stopping != entries_.end()) {
      WaitTime patience = applications().loaded(stopping->first)->spec.shutdown_timeout;
      if (deadline_) {
        const auto left = std::max(*deadline_ - monotonic_time(), std::chrono::nanoseconds(0));
        if (left.count() < patience.nanoseconds()) patience = left;
      }
      if (!patience.is_infinite()) {
        overdue_timer_ = send_after(self(), Overdue{stopping->second.master}, patience);
      }
      return;
    }
    const std::vector<Atom> started = applications().started();
    if (!started.empty()) {
      ask_to_stop(started.back(), entries_.at(started.back()));  // a library is gone at once, and calls this again
      continue;
    }
    if (!entries_.empty()) return;  // those that were starting: their ends come
    stopping_all_ = false;
    deadline_.reset();
    const std::vector<Atom> killed = std::exchange(killed_, {});
    for (From<std::vector<Atom>>& from : std::exchange(stop_all_waiting_, {})) from.reply(killed);
    if (node_end_) {
      const ExitReason end = *std::move(node_end_);
      node_end_.reset();
      runtime::exit_from(this_core(), {}, this_core().first_process(), end);
    }
  }
}

void Controller::handle_info(const Overdue& m) {
  const auto found = by_master_.find(m.master.number);
  if (found == by_master_.end() || !stopping_all_) return;
  killed_.push_back(found->second);
  kill(entries_.at(found->second));
}

// -- the guard, and how one gets at the controller ------------------------------------------------------------------

namespace {

// What tells it to end is the runtime (from nobody), or whoever knows its pid.
void guard() {
  trap_exit(true);
  group_leader(self(), self());
  const StartResult<Controller> started = Controller::start_link();
  proc_lib::init_ack("ok"_atom);
  if (!started) return;
  const ServerRef<Controller> controller = started.value();
  for (;;) {
    std::optional<ExitMessage> end;
    receive([&](const ExitMessage& message) { end = message; }, [](const Term&) {});
    if (!end) continue;
    if (end->pid != controller.pid()) {
      static_cast<void>(controller.try_call(Controller::StopAll{}, infinity));
      exit(controller.pid(), ExitReason::shutdown());
      receive(
          when([&](const ExitMessage& message) { return message.pid == controller.pid(); }, [](const ExitMessage&) {}));
    }
    throw Exit(end->reason);
  }
}

}  // namespace

Result<ServerRef<Controller>> controller() {
  const auto look = []() -> std::optional<ServerRef<Controller>> {
    const Pid pid = whereis("application_controller");
    return pid ? std::optional(ServerRef<Controller>(pid)) : std::nullopt;
  };
  if (const auto found = look()) return *found;
  if (runtime::current_process() != nullptr) {
    static_cast<void>(proc_lib::start(guard));
  } else {
    runtime::run_in_proxy("application", [] { static_cast<void>(proc_lib::start(guard)); });
  }
  if (const auto found = look()) return *found;
  return error("terminating");
}

}  // namespace coppice::otp
