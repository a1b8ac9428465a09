// SPDX-License-Identifier: Apache-2.0
//
// The process of a DynamicSupervisor: a generic server that holds its children by pid. A restarting child stands under the
// pid of the process that ended (DS-022).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include <coppice/dynamic_supervisor.hpp>
#include <coppice/gen_server.hpp>

#include "supervision/child_start.hpp"
#include "supervision/child_table.hpp"
#include "supervision/supervisor_decision.hpp"
#include "supervision/supervisor_requests.hpp"

namespace coppice::otp {

class DynamicSupervisor : public GenServer<DynamicSupervisor> {
 public:
  using StartChild = request::StartChild;
  struct TerminateChild {
    using Reply = Result<>;
    Pid pid;
  };
  struct TryAgain {
    Pid pid;
    std::uint64_t attempt;
  };

  static constexpr bool trap_exit = true;

  explicit DynamicSupervisor(DynamicSupervisorOptions options);
  ~DynamicSupervisor();
  DynamicSupervisor(const DynamicSupervisor&) = delete;
  DynamicSupervisor& operator=(const DynamicSupervisor&) = delete;

  Init init();
  std::vector<ChildInfo> handle_call(request::WhichChildren) const;
  ChildCounts handle_call(request::CountChildren) const;
  std::vector<request::Described> handle_call(request::DescribeChildren) const;
  StartChildResult handle_call(StartChild m);
  Result<> handle_call(const TerminateChild& m);
  Action handle_info(const ExitMessage& message);
  Action handle_info(const TryAgain& message);
  void handle_info(const Term& message);
  void terminate(const ExitReason& reason);
  [[nodiscard]] Term format_status() const;

 private:
  // What only a child with a back-off has, or one that could not be started again yet.
  struct Trouble {
    std::uint64_t attempt = 0;  // the try that is awaited; 0 while it runs
    std::chrono::nanoseconds delay{0};
    std::chrono::nanoseconds started{0};
    Reference timer;
  };
  using Child = ChildTable::Entry;

  [[nodiscard]] SharedSpec* share(ChildSpec&& spec);
  void let_go(SharedSpec* spec) noexcept;
  void forget(Child* child);
  Action restart(Child* child);
  void try_later(const Child& child);
  [[nodiscard]] std::uint64_t attempt_of(const Child& child) const;  // 0 while it runs
  [[nodiscard]] Pid pid_of(const Child& child) const;
  [[nodiscard]] Child* child_of(const Pid& pid);  // null: it has no such child
  void report(Atom context, const ChildSpec& spec, const ExitReason& reason, const Term& pid);

  const DynamicSupervisorOptions options_;
  RestartWindow window_;
  ChildTable children_;
  std::unordered_map<std::uint64_t, Trouble> troubled_;  // by Pid::number
  SharedSpec* newest_ = nullptr;  // the specification of the child that was started last, while somebody has it
  std::uint64_t attempts_ = 0;
};

}  // namespace coppice::otp
