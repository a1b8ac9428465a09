// SPDX-License-Identifier: Apache-2.0
//
// A server as a process: its start, its turns, its rests, its end.
#include <new>

#include "logger/reports.hpp"
#include "otp/server.hpp"
#include "otp/start.hpp"
#include "platform/fault.hpp"
#include "runtime/core.hpp"
#include "runtime/death.hpp"
#include "runtime/inspection.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/wait.hpp"

namespace coppice::otp {

namespace {

std::size_t state_offset(const detail::ServerTable& table) {
  return (sizeof(ServerRest) + table.alignment - 1) / table.alignment * table.alignment;
}

ServerRest* new_rest(const detail::ServerTable& table) {
  auto* rest = ::new (detail::allocate_node(state_offset(table) + table.size)) ServerRest;
  rest->table = &table;
  return rest;
}

void delete_rest(ServerRest* rest) noexcept {
  const detail::ServerTable& table = *rest->table;
  rest->~ServerRest();
  detail::free_node(rest, state_offset(table) + table.size);
}

void* state_behind(ServerRest* rest) { return reinterpret_cast<std::byte*>(rest) + state_offset(*rest->table); }

}  // namespace

std::unique_ptr<runtime::Body> Server::make(const detail::ServerTable& table,
                                            std::unique_ptr<detail::Constructor> constructor,
                                            const StartOptions& options, detail::CallNode* start) {
  auto starting = std::make_unique<Starting>();
  starting->constructor = std::move(constructor);
  starting->name = options.name;
  starting->log = options.log;
  starting->trace = options.trace;
  starting->statistics = options.statistics;
  starting->node = start;
  COPPICE_INVARIANT(table.alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__,
                    "a server class is over-aligned: put the member that is behind a std::unique_ptr");
  return std::unique_ptr<runtime::Body>(new Server(table, std::move(starting)));
}

Server::Server(const detail::ServerTable& table, std::unique_ptr<Starting> starting)
    : loop_(*this, table), rest_(new_rest(table)), starting_(std::move(starting)) {
  trap_exit = table.trap_exit;
}

Server::Server(Process& process, ServerRest& rest) : loop_(*this, *rest.table), rest_(&rest) {
  runtime::move_out_of_rest(process, *this, rest);
  loop_.resume(state_behind(&rest), rest.last_type);
}

Server::~Server() {
  if (rest_ != nullptr) delete_rest(rest_);
}

runtime::InPlace Server::run_in_place(Process& process, detail::PlacedCall& call) noexcept {
  return starting_ != nullptr ? runtime::InPlace::refused : loop_.handle_in_place(process, call);
}

runtime::Rest* Server::go_to_rest(Process& process) noexcept {
  if (starting_ != nullptr || !loop_.can_rest() || !runtime::can_rest(process)) return nullptr;
  ServerRest* rest = std::exchange(rest_, nullptr);
  runtime::move_into_rest(*this, *rest);
  rest->last_type = loop_.last_type();
  delete this;
  return rest;
}

std::string Server::initial_call() const {
  if (loop_.state != nullptr && loop_.table->initial_call != nullptr) return loop_.table->initial_call(loop_.state);
  return std::string(loop_.table->name) + ".init/1";
}

void Server::destroy_state() noexcept {
  if (starting_ != nullptr) starting_->constructor.reset();
  if (loop_.state != nullptr) loop_.table->destroy(std::exchange(loop_.state, nullptr));
}

void Server::announce_end(const ExitReason& why) noexcept {
  loop_.fail_open_calls(why);
  if (starting_ != nullptr) {
    StartOutcome outcome = starting_->outcome;
    if (outcome.kind == StartOutcome::Kind::ok) outcome = {StartOutcome::Kind::error, {}, why, {}};
    answer_start(std::move(outcome));
  }
}

void Server::answer_start(StartOutcome outcome) noexcept {
  auto* node = static_cast<StartNode*>(std::exchange(starting_->node, nullptr));
  node->reply.emplace(std::move(outcome));
  detail::send_reply(node);
}

// The start has failed: the starter is answered once the process is gone (GS-028).
void Server::fail_start(Process& process, StartOutcome outcome, const ExitReason& exit_reason, bool report) {
  starting_->outcome = std::move(outcome);
  if (const auto* via = starting_->name.via()) {
    try {
      via->unregister_name();
    } catch (...) {  // the registry has gone, and the name with it
    }
  }
  if (report && !exit_reason.is_shutdown_kind()) runtime::reporter().crash_report(process, exit_reason);
  runtime::die(process, exit_reason);
}

// GS-007, GS-008, GS-036.
bool Server::take_name(Process& process) {
  const ServerName& name = starting_->name;
  Pid holder;
  bool taken = false;
  if (!name.local().empty()) {
    taken = !runtime::bind_name(process, name.local(), &holder);
  } else if (name.via() != nullptr) {
    try {
      taken = !name.via()->register_name(pid);
    } catch (...) {  // the registry is not there, or takes no names
      const ExitReason failure = runtime::reason_of_current_exception();
      fail_start(process, {StartOutcome::Kind::error, {}, failure, {}}, failure, true);
      return false;
    }
    if (taken) holder = name.whereis();
  }
  if (!taken) return true;
  starting_->outcome = {StartOutcome::Kind::error, {}, already_started(holder), {}};
  runtime::die(process, ExitReason::normal());
  return false;
}

// Name, constructor, init. False if the process has ended.
bool Server::start_up(Process& process) {
  starting_->outcome.kind = StartOutcome::Kind::ok;
  if (!take_name(process)) return false;
  ExitReason failure;
  bool failed = false;
  bool quiet = false;
  try {
    in_turn = true;
    runtime::take_in(process);
    void* memory = state_behind(rest_);
    starting_->constructor->construct(memory);
    loop_.state = memory;
    starting_->constructor.reset();
    if (loop_.table->init != nullptr) loop_.table->init(loop_);
    runtime::leave_if_due(process);
  } catch (const runtime::LeaveStack&) {
    failed = true;
    failure = reason;
    quiet = leaving == runtime::Leave::by_signal;
  } catch (const Exit& exit) {
    failed = true;
    failure = exit.reason();
  } catch (...) {
    failed = true;
    failure = runtime::reason_of_current_exception();
  }
  in_turn = false;
  if (leaving != runtime::Leave::no) {
    failed = true;
    failure = reason;
    quiet = leaving == runtime::Leave::by_signal;
  }
  using Kind = StartOutcome::Kind;
  if (failed) {
    fail_start(process, {Kind::error, {}, failure, {}}, failure, !quiet);
    return false;
  }
  detail::Wish wish = std::move(loop_.wish);
  switch (wish.verdict) {
    case Verdict::ignore: fail_start(process, {Kind::ignore, {}, {}, {}}, ExitReason::normal(), false); return false;
    case Verdict::error:
      fail_start(process, {Kind::error, {}, wish.reason, {}}, ExitReason::normal(), false);
      return false;
    case Verdict::stop:
    case Verdict::bad_return: fail_start(process, {Kind::error, {}, wish.reason, {}}, wish.reason, true); return false;
    case Verdict::go_on: break;
  }
  if (starting_->trace) loop_.debug().trace = true;
  if (starting_->statistics) begin_statistics(loop_);
  if (starting_->log != 0) loop_.debug().log_size = starting_->log;
  loop_.begin(std::move(wish));
  answer_start({Kind::ok, pid, {}, {}});
  starting_.reset();
  return true;
}

// One turn. An idle server commits its wait here, on the worker's loop stack, and holds no stack of its own.
void Server::run(Process& process) {
  if (starting_ != nullptr && !start_up(process)) return;
  for (std::uint32_t budget = runtime::Worker::turn_budget; budget > 0;) {
    switch (loop_.step(process)) {
      case ServerLoop::Step::handled: --budget; break;
      case ServerLoop::Step::ended: {
        const ExitReason why = loop_.end_reason();
        runtime::die(process, why);
        return;
      }
      case ServerLoop::Step::idle: {
        if (loop_.wake_at() != platform::never) runtime::arm_wake_timer(process, loop_.wake_at());
        runtime::this_worker()->note_idle(process);
        if (runtime::head::wait_if_empty(process, runtime::head::waiting)) return;  // not ours any more
        break;
      }
    }
  }
  runtime::this_worker()->schedule_last(process);
}

}  // namespace coppice::otp

namespace coppice::runtime {

Body* new_body_for(Process& process, Rest& rest) {
  return new otp::Server(process, static_cast<otp::ServerRest&>(rest));
}

}  // namespace coppice::runtime
