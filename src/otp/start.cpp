// SPDX-License-Identifier: Apache-2.0
#include "otp/start.hpp"

#include <coppice/receive.hpp>

#include "otp/server.hpp"
#include "platform/fault.hpp"
#include "runtime/call_wait.hpp"
#include "runtime/core.hpp"
#include "runtime/plain.hpp"
#include "runtime/signals.hpp"
#include "runtime/wait.hpp"

namespace coppice::otp {
namespace {

constexpr runtime::SignalTable start_reply_table{detail::SignalKind::reply,        0,       nullptr, nullptr,
                                                 &detail::destroy_node<StartNode>, nullptr, nullptr, nullptr};

// Removes from the starter's mailbox what a failed start left there: the child's exit message (GS-027), its Down.
void forget_child(runtime::Process& parent, const Pid& child) {
  if (runtime::must_not_wait(parent)) return;
  const auto of_child = [](const void* wanted, const void* payload) {
    return static_cast<const ExitMessage*>(payload)->pid == *static_cast<const Pid*>(wanted);
  };
  const auto down_of_child = [](const void* wanted, const void* payload) {
    return static_cast<const Down*>(payload)->pid == *static_cast<const Pid*>(wanted);
  };
  const detail::Pattern patterns[] = {{&detail::type_identity<ExitMessage>, of_child, &child},
                                      {&detail::type_identity<Down>, down_of_child, &child}};
  for (;;) {
    const detail::Match match = detail::receive_match(patterns, 2, std::chrono::seconds(0));
    if (match.message == nullptr) return;
    match.message->table->destroy(match.message);
  }
}

// GS-009: the child is unlinked and killed, and has gone when the start returns.
StartOutcome give_up(runtime::Process& parent, const Pid& child) {
  unlink(child);
  const Reference gone = monitor(child);
  coppice::exit(child, ExitReason::kill());
  receive(when([&](const Down& down) { return down.reference == gone; }, [](const Down&) {}));
  forget_child(parent, child);
  return {StartOutcome::Kind::error, {}, ExitReason::timeout(), {}};
}

}  // namespace

StartNode* new_start_node() {
  auto* node = detail::make_node<StartNode>();
  node->table = &start_reply_table;
  node->reply_table = &start_reply_table;
  return node;
}

ExitReason already_started(const Pid& holder) { return ExitReason(tuple(Atom("already_started"), Term(holder))); }

namespace {

bool has_name(const runtime::Body& body) {
  return body.extension_ != nullptr && !body.extension_->name.empty() &&
         body.core->names().whereis(body.extension_->name) == body.pid;
}

}  // namespace

bool is_shown_by(const runtime::Process& parent, const std::optional<Atom>& name) {
  const runtime::Body& body = *parent.body;
  return has_name(body) ? name.has_value() && name->text() == body.extension_->name : !name.has_value();
}

std::unique_ptr<runtime::Lineage> new_lineage_under(const runtime::Process& parent) {
  const runtime::Body& body = *parent.body;
  auto lineage = std::make_unique<runtime::Lineage>();
  lineage->parent = body.pid;
  if (has_name(body)) lineage->name = Atom(body.extension_->name);
  lineage->older = body.lineage;
  return lineage;
}

runtime::SharedLineage lineage_for_children(runtime::Process& parent) {
  runtime::Extension& extension = parent.body->extension();
  // Made anew after the parent has been given a name, or has lost it: anybody may unregister it.
  if (extension.for_children == nullptr || !is_shown_by(parent, extension.for_children->name)) {
    extension.for_children.make(new_lineage_under(parent));
  }
  return extension.for_children.give();
}

StartOutcome start_generic(runtime::Process& parent, MakeBody make_body, void* context, const SpawnOptions& options,
                           detail::Bond bond, WaitTime timeout, const char* kind) {
  runtime::Core& core = runtime::core_of(parent);
  runtime::end_if_it_must_go_on(parent);
  if (runtime::must_not_wait(parent)) return {StartOutcome::Kind::error, {}, parent.body->reason, {}};
  runtime::leave_if_due(parent);
  const platform::Nanoseconds deadline = runtime::deadline_of(parent, timeout);
  Pid child;
  Reference monitor_reference;
  detail::CallOutcome answer;
  runtime::this_worker()->settle_hand_offs();  // the parent gets an edge
  {
    const runtime::AwaitedCall awaited(parent);
    StartNode* node = new_start_node();
    node->caller = parent.body->pid;
    node->call_id = parent.body->call_id;
    runtime::Birth birth{&parent, bond, 0};
    if (bond == detail::Bond::monitor) {
      birth.monitor_id = core.new_reference_id();
      monitor_reference = Reference::from_id(birth.monitor_id, core.creation());
    }
    runtime::Process* process = runtime::give_birth(core, make_body(node, context), options, birth);
    if (process == nullptr) {
      node->table->destroy(node);
      const bool ended = !core.accepts_processes() || core.dead_after_fork();
      return {StartOutcome::Kind::error, {}, ended ? ExitReason::shutdown() : ExitReason(Atom("system_limit")), {}};
    }
    child = process->body->pid;
    node->callee = child;
    process->body->lineage = lineage_for_children(parent);
    if (bond == detail::Bond::link) process->body->linked_parent = parent.body->pid;
    core.table().badge(*process).kind.store(kind, std::memory_order_release);
    // The starter waits for its child as a caller for its server: a child that calls its starter is told of the deadlock.
    runtime::Sight& sight = core.table().sight(parent);
    sight.call_id.store(parent.body->call_id, std::memory_order_relaxed);
    sight.callee.store(child.number, std::memory_order_seq_cst);
    core.start_next(*process);
    runtime::await_outcome(parent, deadline, answer);
  }
  if (answer.node == nullptr) {
    if (answer.cause == ExitReason::timeout()) return give_up(parent, child);
    return {StartOutcome::Kind::error, {}, answer.cause, {}};
  }
  StartOutcome outcome = *static_cast<StartNode*>(answer.node)->reply;
  answer.node->table->destroy(answer.node);
  if (outcome.kind == StartOutcome::Kind::ok) {
    outcome.monitor = monitor_reference;
  } else {
    if (bond == detail::Bond::monitor) demonitor(monitor_reference, {.flush = true});
    if (bond == detail::Bond::link) forget_child(parent, child);
  }
  return outcome;
}

}  // namespace coppice::otp

namespace coppice {
inline namespace v1 {

namespace detail {
NameBinding::~NameBinding() = default;
}  // namespace detail

namespace {

class ViaModuleBinding final : public detail::NameBinding {
 public:
  ViaModuleBinding(ViaModule& module, Term name) : module_(module), name_(std::move(name)) {}
  bool register_name(const Pid& pid) const override { return module_.register_name(name_, pid); }
  void unregister_name() const override { module_.unregister_name(name_); }
  [[nodiscard]] Pid whereis_name() const override { return module_.whereis_name(name_); }
  [[nodiscard]] Term name() const override { return name_; }
  [[nodiscard]] Term term() const override { return tuple(Atom("via"), module_.module(), name_); }

 private:
  ViaModule& module_;
  Term name_;
};

}  // namespace

ServerName::ServerName(ViaModule& module, Term name)
    : binding_(std::make_shared<ViaModuleBinding>(module, std::move(name))) {}

Pid ServerName::whereis() const {
  if (binding_ != nullptr) return binding_->whereis_name();
  return local_.empty() ? Pid{} : coppice::whereis(local_);
}

Term ServerName::term() const {
  if (binding_ != nullptr) return binding_->term();
  return local_.empty() ? Term() : Term(Atom(local_));
}

namespace detail {

Pid resolve(const ServerName& name) { return name.whereis(); }

void throw_bad_start(const StartOutcome& outcome) {
  const Term got =
      outcome.kind == StartOutcome::Kind::ignore ? Term(Atom("ignore")) : Term(tuple(Atom("error"), outcome.reason));
  throw Exit(ExitReason(tuple(Atom("badmatch"), got)));
}

namespace {

struct ServerMaking {
  const ServerTable& table;
  std::unique_ptr<Constructor> constructor;
  const StartOptions& options;
};

void check_options(const StartOptions& options) {
  if (!options.spawn.name.empty()) throw_badarg("start: give the name in StartOptions::name, not in its spawn options");
  if (options.timeout.is_negative()) throw_badarg("start: the timeout must not be negative");
  const std::string& name = options.name.local();
  if (!name.empty() && !runtime::NameTable::is_acceptable(name)) {
    throw_badarg("start: the name is reserved or longer than 255 bytes");
  }
}

StartOutcome start_in_process(runtime::Process& parent, ServerMaking& making, Bond bond) {
  check_options(making.options);
  if (const Pid holder = making.options.name.whereis()) {  // GS-008: the cheap half of the check
    return {StartOutcome::Kind::error, {}, otp::already_started(holder), {}};
  }
  SpawnOptions spawn = making.options.spawn;
  if (spawn.stack_size == 0) spawn.stack_size = making.table.stack_size;
  spawn.migratable = spawn.migratable || making.table.migratable;
  const auto make_body = [](CallNode* node, void* context) {
    auto& given = *static_cast<ServerMaking*>(context);
    return otp::Server::make(given.table, std::move(given.constructor), given.options, node);
  };
  return otp::start_generic(parent, make_body, &making, spawn, bond, making.options.timeout, making.table.name_text);
}

}  // namespace

StartOutcome start_server(const ServerTable& table, std::unique_ptr<Constructor> constructor,
                          const StartOptions& options, Bond bond) {
  ServerMaking making{table, std::move(constructor), options};
  if (runtime::Process* parent = runtime::current_process()) return start_in_process(*parent, making, bond);
  if (bond != Bond::none) {
    platform::die("start_link and start_monitor need a process to bind the server to; a foreign thread may call start");
  }
  StartOutcome outcome{StartOutcome::Kind::error, {}, ExitReason::shutdown(), {}};
  runtime::run_in_proxy("start", [&] { outcome = start_in_process(*runtime::current_process(), making, bond); });
  return outcome;
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
