// SPDX-License-Identifier: Apache-2.0
//
// The process of a Supervisor: a generic server that holds the children, in start order, found by id and by pid in constant
// time. What it decides is in supervisor_decision.hpp; how children are started and stopped in child_start.hpp.
//
// A restart that fails is tried again by a message to itself, so that requests which came meanwhile are served in between
// (SV-047). Each try has a number; one that is not awaited any more is ignored.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>

#include "supervision/child_start.hpp"
#include "supervision/supervisor_decision.hpp"
#include "supervision/supervisor_requests.hpp"

namespace coppice::otp {

class Supervisor : public GenServer<Supervisor> {
 public:
  using StartChild = request::StartChild;
  struct TerminateChild {
    using Reply = Result<>;
    Term id;
  };
  struct RestartChild {
    using Reply = StartChildResult;
    Term id;
  };
  struct DeleteChild {
    using Reply = Result<>;
    Term id;
  };
  struct GetChildspec {
    using Reply = Result<ChildSpec>;
    Term id;
  };
  struct TryAgain {
    Term id;
    std::uint64_t attempt;
  };

  static constexpr bool trap_exit = true;

  Supervisor(Atom module, ServerName name, std::unique_ptr<detail::SupervisorModule> init);

  Init init();
  std::vector<ChildInfo> handle_call(request::WhichChildren) const;
  ChildCounts handle_call(request::CountChildren) const;
  std::vector<request::Described> handle_call(request::DescribeChildren) const;
  StartChildResult handle_call(StartChild m);
  Result<> handle_call(const TerminateChild& m);
  StartChildResult handle_call(const RestartChild& m);
  Result<> handle_call(const DeleteChild& m);
  Result<ChildSpec> handle_call(const GetChildspec& m) const;
  Action handle_info(const ExitMessage& message);
  Action handle_info(const TryAgain& message);
  void handle_info(const Term& message);
  void terminate(const ExitReason& reason);
  [[nodiscard]] Term format_status() const;

 private:
  struct Child {
    ChildSpec spec;
    ChildStatus status = ChildStatus::undefined;
    Pid pid;                    // of the running process; of a restarting child the one that ended
    std::uint64_t attempt = 0;  // the try that is awaited while restarting
    std::chrono::nanoseconds delay{0};
    std::chrono::nanoseconds started{0};
    Reference timer;  // of the delayed try
  };
  using Children = std::list<Child>;
  using Position = Children::iterator;

  std::optional<ExitReason> start_all(std::vector<ChildSpec> specs);
  Position add(ChildSpec spec);
  void remove(Position child);
  void set_running(Position child, const Pid& pid);
  void set_idle(Position child, ChildStatus status);
  [[nodiscard]] StartAttempt attempt_start(const ChildSpec& spec);
  void stop_child(EndReader& reader, Position child);
  void stop_all();

  Action restart(Position child);
  void restart_one(Position child);
  void restart_group(Position first);
  [[nodiscard]] bool start_again(Position child);
  void try_later(Position child);

  void report(Atom context, const ChildSpec& spec, const ExitReason& reason, const Term& pid);
  void report_start(const ChildSpec& spec, const Pid& pid);

  const Atom module_;
  const ServerName name_;
  const std::unique_ptr<detail::SupervisorModule> init_;  // lives as long as the supervisor
  SupervisorFlags flags_;
  RestartWindow window_{0, 1};
  Children children_;
  std::unordered_map<Term, Position> by_id_;
  std::unordered_map<Pid, Position> by_pid_;
  std::size_t significant_ = 0;  // significant children that are running or restarting
  std::uint64_t attempts_ = 0;
};

}  // namespace coppice::otp
