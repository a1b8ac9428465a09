// SPDX-License-Identifier: Apache-2.0
//
// The public functions of process.hpp that concern the calling process or send something: thin shells.
#include <coppice/process.hpp>
#include <coppice/receive.hpp>

#include <bit>
#include <cstdlib>

#include "platform/fault.hpp"
#include "runtime/core.hpp"
#include "runtime/inspection.hpp"
#include "runtime/mailbox.hpp"
#include "runtime/plain.hpp"
#include "runtime/relations.hpp"
#include "runtime/signal_tables.hpp"
#include "runtime/tie.hpp"
#include "runtime/wait.hpp"

namespace coppice {

namespace runtime {
namespace {

// Between two signals of one process other cores go on: in the simulation other workers may, so that signals cross.
void let_others_cross(Core& core) {
  if (core.world().simulated()) [[unlikely]]
    core.world().interleave();
}

constexpr SignalTable explicit_exit_table = payload_table<ExitNode, ExitMessage>(SignalKind::exit);

constexpr SignalTable alias_message_table{SignalKind::alias_message,
                                          0,
                                          nullptr,
                                          nullptr,
                                          [](Signal* signal) noexcept {
                                            auto* node = static_cast<AliasMessage*>(signal);
                                            if (node->message != nullptr) node->message->table->destroy(node->message);
                                            detail::destroy_node<AliasMessage>(node);
                                          },
                                          nullptr,
                                          nullptr,
                                          nullptr};

}  // namespace

void exit_from(Core& core, const Pid& from, const Pid& to, const ExitReason& reason) {
  auto* node = detail::make_node<ExitNode>();
  node->table = &explicit_exit_table;
  node->payload = ExitMessage{from, reason};
  if (core.is_local(to) && reason == ExitReason::kill()) {
    Process& line = core.table().line(to);
    if (line.serial.load(std::memory_order_acquire) == to.number) {
      line.flags.fetch_or(flag::doomed, std::memory_order_acq_rel);
    }
  }
  push_or_destroy(core, to, node);
}

// One after the other: a chain may be as long as a program is old, where each process starts its successor. Who holds all
// that is held is alone, and need not count.
void SharedLineage::release(const Lineage* at, std::uint32_t count) noexcept {
  while (at != nullptr && (at->references.load(std::memory_order_acquire) == count ||
                           at->references.fetch_sub(count, std::memory_order_acq_rel) == count)) {
    const Lineage* older = std::exchange(const_cast<Lineage*>(at)->older.at_, nullptr);
    delete at;
    at = older;
    count = 1;
  }
}

std::vector<Term> SharedLineage::ancestors() const {
  std::vector<Term> all;
  for (const Lineage* at = at_; at != nullptr; at = at->older.at_) all.push_back(at->ancestor());
  return all;
}

std::vector<Pid> SharedLineage::callers() const {
  std::vector<Pid> all;
  const Lineage* at = at_;
  for (; at != nullptr && at->caller; at = at->older.at_) all.push_back(at->caller);
  if (at != nullptr) all.insert(all.end(), at->callers.begin(), at->callers.end());
  return all;
}

Extension::Extension() = default;

Rarities& Extension::rarities() {
  if (rarities_if_any == nullptr) rarities_if_any = std::make_unique<Rarities>();
  return *rarities_if_any;
}

Extension::~Extension() {
  links.drain([](LinkNode& node) { node.table->destroy(&node); });
  while (MonitorNode* node = watchers.pop_front()) node->table->destroy(node);
  while (CallWatch* node = call_watches.pop_front()) node->table->destroy(node);
  monitors.drain([](DemonitorNode& node) { node.table->destroy(&node); });
  aliases.drain([](AliasRecord& record) { delete &record; });
}

Body::~Body() {
  if (tie != nullptr) drop_tie(tie);
}

Extension& Body::extension() {
  if (extension_ == nullptr) extension_ = std::make_unique<Extension>();
  return *extension_;
}

}  // namespace runtime

inline namespace v1 {

using runtime::Process;

// -- detail --------------------------------------------------------------------------------------------------------------

namespace detail {

void throw_badarg(const char* text) {
  if (runtime::current_process() == nullptr) platform::die(text);
  throw Exit(ExitReason::badarg(text));
}

Term opaque_term(std::string_view type_name) {
  return Term(Atom("#" + std::string(type_name.substr(0, 240)) + "<opaque>"));
}

Pid spawn(std::unique_ptr<Closure> closure, const std::type_info& type, const SpawnOptions& options, Bond bond,
          Reference* monitor) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = runtime::acting_core(held, "spawn");
  Process* parent = bond == Bond::none ? runtime::current_process() : &runtime::require_process("spawn_link");
  auto body = std::make_unique<runtime::PlainBody>(std::move(closure), type);
  runtime::PlainBody& plain = *body;
  runtime::Birth birth{parent, bond, 0};
  if (monitor != nullptr) {
    birth.monitor_id = core.new_reference_id();
    *monitor = Reference::from_id(birth.monitor_id, core.creation());
  }
  Process* process = runtime::give_birth(core, std::move(body), options, birth);
  if (process == nullptr) {
    if (core.accepts_processes() && !core.dead_after_fork()) throw Exit(ExitReason(Atom("system_limit")));
    return runtime::dead_pid(core);
  }
  const Pid pid = plain.pid;
  if (!options.name.empty()) plain.refused_name = !runtime::bind_name(*process, options.name);
  core.start(*process);
  return pid;
}

namespace {
[[gnu::noinline]] bool send_from_outside(const Pid& to, Signal* message) {
  const std::shared_ptr<runtime::Core> core = runtime::require_core("send");
  return runtime::push_message(*core, nullptr, to, message);
}
}  // namespace

bool send(const Pid& to, Signal* message) {
  if (runtime::Worker* here = runtime::this_worker()) [[likely]] {
    return runtime::push_message(here->core(), here, to, message);
  }
  return send_from_outside(to, message);
}

Result<> try_send(const Pid& to, Signal* message) {
  std::shared_ptr<runtime::Core> held;
  switch (runtime::try_push_message(runtime::acting_core(held, "try_send"), to, message)) {
    case runtime::Pushed::delivered: return {};
    case runtime::Pushed::dead: message->table->destroy(message); return Error{ExitReason::noproc()};
    case runtime::Pushed::full: message->table->destroy(message); return error("full");
  }
  return {};
}

void send_to_alias(const Reference& alias, Signal* message) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = runtime::acting_core(held, "send");
  auto* node = make_node<runtime::AliasMessage>();
  node->table = &runtime::alias_message_table;
  node->message = message;
  node->id = alias.id();
  if (!runtime::push(core, core.owner_of_alias(alias), node)) node->table->destroy(node);
}

void send_to_name(std::string_view name, Signal* message) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = runtime::acting_core(held, "send");
  const Pid to = core.names().whereis(name);
  if (!to) {
    message->table->destroy(message);
    const std::string text = "send to the name " + std::string(name) + ", which nobody has";
    throw_badarg(text.c_str());
  }
  runtime::push_message(core, to, message);
}

void send_to_node_name(std::string_view name, std::string_view node, Signal* message) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = runtime::acting_core(held, "send");
  const bool here = node == "nonode@nohost";
  const Pid to = here ? core.names().whereis(name) : Pid{};
  runtime::push_message(core, to, message);
}

void blocking(void (*run)(void*), void* argument) {
  Process& process = runtime::require_process("blocking");
  runtime::end_if_it_must_go_on(process);
  if (runtime::must_not_wait(process)) return run(argument);
  runtime::leave_if_due(process);
  runtime::BlockingJob job{run, argument, nullptr};
  if (!runtime::Worker::switch_away(runtime::Leaving::blocked, &job)) {
    runtime::leave(process, ExitReason(Atom("system_limit")), runtime::Leave::by_signal);
  }
  runtime::take_in(process);
  if (job.failure) std::rethrow_exception(job.failure);
}

}  // namespace detail

// -- leaving, self -----------------------------------------------------------------------------------------------------

Pid self() {
  const runtime::Worker* here = runtime::this_worker();
  if (here != nullptr && here->current() != nullptr) [[likely]]
    return here->current()->body->pid;
  return runtime::require_process("self").body->pid;
}

void exit(const ExitReason& reason) {
  runtime::leave(runtime::require_process("exit"), reason, runtime::Leave::by_exit);
}

bool exit(const Pid& pid, const ExitReason& reason) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = runtime::acting_core(held, "exit");
  Process* process = runtime::current_process();
  runtime::let_others_cross(core);
  runtime::exit_from(core, process != nullptr ? process->body->pid : Pid{}, pid, reason);
  if (process != nullptr && process->body->pid == pid) runtime::take_in(*process);  // PR-050
  return true;
}

// -- links, monitors, aliases ------------------------------------------------------------------------------------------

bool link(const Pid& pid) {
  Process& process = runtime::require_process("link");
  runtime::Body& body = *process.body;
  if (pid == body.pid) return true;
  runtime::let_others_cross(*body.core);
  if (runtime::link_to(process, pid)) return true;
  const bool local = body.core->is_local(pid) || !pid;
  const ExitReason reason = local ? ExitReason::noproc() : ExitReason::noconnection();
  if (!body.trap_exit && local) throw Exit(reason);
  runtime::exit_from(*body.core, pid, body.pid, reason);  // PR-040, PR-041
  return true;
}

bool unlink(const Pid& pid) {
  Process& process = runtime::require_process("unlink");
  runtime::let_others_cross(runtime::core_of(process));
  runtime::unlink_from(process, pid);
  return true;
}

Reference monitor(const Pid& pid, const MonitorOptions& options) {
  Process& process = runtime::require_process("monitor");
  runtime::let_others_cross(runtime::core_of(process));
  return runtime::monitor_pid(process, pid, {}, options);
}

Reference monitor(std::string_view name, const MonitorOptions& options) {
  Process& process = runtime::require_process("monitor");
  const Pid pid = runtime::core_of(process).names().whereis(name);
  return runtime::monitor_pid(process, pid, std::string(name), options);
}

namespace {

// Removes the Down of that monitor from the mailbox, if it is there.
void flush_down(Process& process, const Reference& reference) {
  const detail::Pattern pattern{&detail::type_identity<Down>,
                                [](const void* wanted, const void* payload) {
                                  return static_cast<const Down*>(payload)->reference.id() ==
                                         static_cast<const Reference*>(wanted)->id();
                                },
                                &reference};
  if (runtime::must_not_wait(process)) return;
  const detail::Match match = detail::receive_match(&pattern, 1, std::chrono::nanoseconds(0));
  if (match.message != nullptr) match.message->table->destroy(match.message);
}

}  // namespace

bool demonitor(const Reference& reference, const DemonitorOptions& options) {
  Process& process = runtime::require_process("demonitor");
  runtime::let_others_cross(runtime::core_of(process));
  const bool active = runtime::end_monitor(process, reference.id());
  if (options.flush) flush_down(process, reference);  // there is none if the monitor was active
  return !options.info || active;
}

Reference alias(const AliasOptions& options) {
  Process& process = runtime::require_process("alias");
  runtime::Core& core = runtime::core_of(process);
  const std::uint64_t id = core.new_reference_id();
  runtime::new_alias(process, id, AliasMode::explicit_unalias, options.reply);
  return core.alias_reference(id, process.body->pid);
}

bool unalias(const Reference& alias) { return runtime::end_alias(runtime::require_process("unalias"), alias.id()); }

// -- flags, dictionary, label --------------------------------------------------------------------------------------------

bool trap_exit(bool on) { return std::exchange(runtime::require_process("trap_exit").body->trap_exit, on); }

namespace dictionary {
namespace {
std::map<Term, Term>& entries(const char* function) {
  return runtime::require_process(function).body->extension().rarities().dictionary;
}
}  // namespace

Term put(const Term& key, Term value) {
  Term& place = entries("dictionary::put")[key];
  return std::exchange(place, std::move(value));
}
Term get(const Term& key, const Term& otherwise) {
  const auto& all = entries("dictionary::get");
  const auto found = all.find(key);
  return found == all.end() ? otherwise : found->second;
}
Term erase(const Term& key) {
  auto node = entries("dictionary::erase").extract(key);
  return node.empty() ? Term{} : std::move(node.mapped());
}
std::vector<Term> keys() {
  std::vector<Term> result;
  for (const auto& [key, value] : entries("dictionary::keys")) result.push_back(key);
  return result;
}
std::vector<Term> keys_of(const Term& wanted) {
  std::vector<Term> result;
  for (const auto& [key, value] : entries("dictionary::keys_of")) {
    if (value == wanted) result.push_back(key);
  }
  return result;
}
}  // namespace dictionary

void set_label(const Term& label) { runtime::require_process("set_label").body->extension().rarities().label = label; }

std::vector<Term> ancestors() { return runtime::require_process("ancestors").body->lineage.ancestors(); }

std::vector<Pid> callers() { return runtime::require_process("callers").body->lineage.callers(); }

Pid group_leader() { return runtime::require_process("group_leader").body->group_leader; }

// -- waiting -------------------------------------------------------------------------------------------------------------

void sleep_for(WaitTime duration) {
  Process& process = runtime::require_process("sleep_for");
  const platform::Nanoseconds deadline = runtime::deadline_of(process, duration);
  runtime::take_in(process);
  if (duration.nanoseconds() == 0) return yield();
  while (runtime::wait_once(process, runtime::WaitFor::signals, deadline)) {
  }
  runtime::take_in(process);
}

void checkpoint() {
  Process& process = runtime::require_process("checkpoint");
  runtime::take_in(process);
  if (++process.body->checkpoints % runtime::checkpoints_per_turn != 0) return;
  runtime::core_of(process).world().interleave();  // in a simulation a loop of checkpoints must not stop the others
  if (runtime::this_worker()->others_wait()) yield();
}

void yield() {
  Process& process = runtime::require_process("yield");
  if (runtime::must_not_wait(process)) return;
  runtime::take_in(process);
  if (process.body->must_go_on) return;  // its handler has promised not to
  if (!runtime::Worker::switch_away(runtime::Leaving::yielded)) return;
  runtime::take_in(process);
}

void hibernate() {
  Process& process = runtime::require_process("hibernate");
  runtime::take_in(process);
  while (process.queue == nullptr && runtime::wait_once(process, runtime::WaitFor::messages, platform::never)) {
  }
}

}  // namespace v1
}  // namespace coppice
