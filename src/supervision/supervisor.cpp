// SPDX-License-Identifier: Apache-2.0
//
// The functions of supervisors that their callers run: they send requests to the processes in supervisor_process.cpp and
// dynamic_supervisor_process.cpp.
#include <coppice/supervisor.hpp>

#include "runtime/core.hpp"
#include "supervision/dynamic_supervisor_process.hpp"
#include "supervision/supervisor_process.hpp"

namespace coppice {
namespace otp {
namespace {

template <class S, class M>
auto ask(const ServerAddress& supervisor, M message) {
  return AddressOf<S>(supervisor).call(std::move(message), infinity);
}

// The children of a Supervisor that is no module.
struct GivenChildren final : detail::SupervisorModule {
  std::vector<ChildSpec> children;
  SupervisorFlags flags;
  GivenChildren(std::vector<ChildSpec> c, SupervisorFlags f) : children(std::move(c)), flags(f) {}
  SupervisorInit init() override { return {std::move(children), flags}; }
};

StartOutcome start_supervisor(Atom module, std::unique_ptr<detail::SupervisorModule> init, StartOptions options) {
  const ServerName name = options.name;
  return detail::start_typed<Supervisor>(std::move(options), detail::Bond::link, module, name, std::move(init));
}

}  // namespace

bool runs_class(const Pid& pid, const detail::ServerTable& table) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = runtime::acting_core(held, "supervisor");
  if (!core.is_local(pid)) return false;
  runtime::Process& line = core.table().line(pid);
  const char* kind = core.table().badge(line).kind.load(std::memory_order_acquire);
  return kind == table.name_text && line.serial.load(std::memory_order_acquire) == pid.number;
}

Facade facade_of(const Pid& pid) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = runtime::acting_core(held, "supervisor");
  if (!core.is_local(pid)) return {};
  runtime::Process& line = core.table().line(pid);
  const char* kind = core.table().badge(line).kind.load(std::memory_order_acquire);
  const char* name = core.table().sight(line).name.load(std::memory_order_acquire);
  if (line.serial.load(std::memory_order_acquire) != pid.number) return {};
  return {name == nullptr ? "" : name, kind == nullptr ? "" : kind};
}

ChildInfo describe_child(const ChildSpec& spec, Term id, ChildStatus status, const Pid& pid) {
  return {std::move(id), status, status == ChildStatus::running ? pid : Pid{}, spec.type(), spec.modules()};
}

}  // namespace otp

inline namespace v1 {

StartResult<Supervisor> Supervisor::start_link(std::vector<ChildSpec> children, SupervisorOptions options) {
  const SupervisorFlags flags{options.strategy, options.max_restarts, options.max_seconds, options.auto_shutdown};
  StartOptions start;
  start.name = std::move(options.name);
  return StartResult<Supervisor>(otp::start_supervisor(Atom("Elixir.Supervisor.Default"),
                                                       std::make_unique<otp::GivenChildren>(std::move(children), flags),
                                                       std::move(start)));
}

StartChildResult Supervisor::start_child(const ServerAddress& supervisor, ChildSpec spec) {
  return otp::ask<otp::Supervisor>(supervisor, otp::Supervisor::StartChild{std::move(spec)});
}

Result<> Supervisor::terminate_child(const ServerAddress& supervisor, const Term& id) {
  return otp::ask<otp::Supervisor>(supervisor, otp::Supervisor::TerminateChild{id});
}

StartChildResult Supervisor::restart_child(const ServerAddress& supervisor, const Term& id) {
  return otp::ask<otp::Supervisor>(supervisor, otp::Supervisor::RestartChild{id});
}

Result<> Supervisor::delete_child(const ServerAddress& supervisor, const Term& id) {
  return otp::ask<otp::Supervisor>(supervisor, otp::Supervisor::DeleteChild{id});
}

Result<ChildSpec> Supervisor::get_childspec(const ServerAddress& supervisor, const Term& id) {
  return otp::ask<otp::Supervisor>(supervisor, otp::Supervisor::GetChildspec{id});
}

Result<> Supervisor::check_childspecs(const std::vector<ChildSpec>& specs, std::optional<AutoShutdown> mode) {
  if (auto wrong = otp::check_children(specs, mode)) return error(ExitReason(*wrong));
  return {};
}

void Supervisor::stop(const ServerAddress& supervisor, const ExitReason& reason, WaitTime timeout) {
  detail::stop_server(supervisor.target(), reason, timeout);
}

ChildSpec supervisor(std::vector<ChildSpec> children, SupervisorOptions options) {
  const ServerName name = options.name;
  ChildSpec spec = detail::default_child_spec<Supervisor>(std::move(children), std::move(options));
  if (!name.empty()) spec.id(name.via() != nullptr ? name.via()->name() : name.term());
  return spec;
}

// -- DynamicSupervisor ------------------------------------------------------------------------------------------------

StartResult<DynamicSupervisor> DynamicSupervisor::start_link(Options options) {
  StartOptions start;
  start.name = options.name;
  return StartResult<DynamicSupervisor>(
      detail::start_typed<otp::DynamicSupervisor>(std::move(start), detail::Bond::link, std::move(options)));
}

ChildSpec DynamicSupervisor::child_spec(Options options) {
  const ServerName name = options.name;
  ChildSpec spec = detail::default_child_spec<DynamicSupervisor>(std::move(options)).type(ChildType::supervisor);
  if (!name.empty()) spec.id(name.via() != nullptr ? name.via()->name() : name.term());
  return spec;
}

// DS-008: a wrong specification is told without asking the supervisor.
StartChildResult DynamicSupervisor::start_child(const ServerAddress& supervisor, ChildSpec spec) {
  if (!spec.has_id() || spec.start_function() == nullptr) {
    return error(ExitReason(tuple("invalid_child_spec"_atom, spec)));
  }
  if (spec.is_significant()) return error(ExitReason(tuple("invalid_significant"_atom, true)));
  if (auto wrong = otp::check_child(spec, std::nullopt)) return error(ExitReason(*wrong));
  return otp::ask<otp::DynamicSupervisor>(supervisor, otp::DynamicSupervisor::StartChild{std::move(spec)});
}

Result<> DynamicSupervisor::terminate_child(const ServerAddress& supervisor, const Pid& pid) {
  return otp::ask<otp::DynamicSupervisor>(supervisor, otp::DynamicSupervisor::TerminateChild{pid});
}

void DynamicSupervisor::stop(const ServerAddress& supervisor, const ExitReason& reason, WaitTime timeout) {
  detail::stop_server(supervisor.target(), reason, timeout);
}

namespace detail {

StartOutcome start_module_supervisor(Atom module, std::unique_ptr<SupervisorModule> init, const StartOptions& options) {
  return otp::start_supervisor(module, std::move(init), options);
}

std::vector<ChildInfo> which_children(const ServerAddress& supervisor) {
  if (otp::runs_class(supervisor.pid(), *server_table<otp::DynamicSupervisor>())) {
    return otp::ask<otp::DynamicSupervisor>(supervisor, otp::request::WhichChildren{});
  }
  return otp::ask<otp::Supervisor>(supervisor, otp::request::WhichChildren{});
}

ChildCounts count_children(const ServerAddress& supervisor) {
  if (otp::runs_class(supervisor.pid(), *server_table<otp::DynamicSupervisor>())) {
    return otp::ask<otp::DynamicSupervisor>(supervisor, otp::request::CountChildren{});
  }
  return otp::ask<otp::Supervisor>(supervisor, otp::request::CountChildren{});
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
