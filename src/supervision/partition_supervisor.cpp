// SPDX-License-Identifier: Apache-2.0
//
// A partition supervisor is a Supervisor whose start functions enter the new pid into a table. The tables of all runtimes
// stand in one directory under the pid of their supervisor; a table leaves it when that process destroys its state, also
// after a kill. Readers hold the directory's lock shared, to copy a pointer.
#include <coppice/partition_supervisor.hpp>

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "runtime/core.hpp"

namespace coppice {
namespace otp {
namespace {

struct PartitionTable {
  explicit PartitionTable(std::size_t count) : pids(count), size(count) {}
  std::vector<std::atomic<std::uint64_t>> pids;  // Pid::number; 0: the partition has answered ignore
  std::atomic<std::size_t> size;                 // partitions that keys go to
  std::atomic<bool> resizing{false};
  std::uint32_t creation = 0;
};

class Directory {
 public:
  static Directory& get() {
    static auto* directory = new Directory();  // outlives every static object and thread
    return *directory;
  }
  void add(const Pid& supervisor, std::shared_ptr<PartitionTable> table) {
    const std::unique_lock lock(mutex_);
    tables_.insert_or_assign(supervisor, std::move(table));
  }
  void remove(const Pid& supervisor) {
    const std::unique_lock lock(mutex_);
    tables_.erase(supervisor);
  }
  [[nodiscard]] std::shared_ptr<PartitionTable> find(const Pid& supervisor) const {
    const std::shared_lock lock(mutex_);
    const auto found = tables_.find(supervisor);
    return found == tables_.end() ? nullptr : found->second;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<Pid, std::shared_ptr<PartitionTable>> tables_;
};

// PS-008: who starts or restarts a partition enters it.
struct PartitionStart final : detail::StartFunction {
  std::shared_ptr<const detail::StartFunction> inner;
  std::shared_ptr<PartitionTable> table;
  std::size_t partition;

  PartitionStart(std::shared_ptr<const detail::StartFunction> i, std::shared_ptr<PartitionTable> t, std::size_t p)
      : StartFunction(i->module, i->function), inner(std::move(i)), table(std::move(t)), partition(p) {}
  [[nodiscard]] ChildOutcome run() const override {
    ChildOutcome result = inner->run();
    const StartOutcome& outcome = result.outcome;
    if (outcome.kind == StartOutcome::Kind::ok)
      table->pids[partition].store(outcome.pid.number, std::memory_order_release);
    if (outcome.kind == StartOutcome::Kind::ignore) table->pids[partition].store(0, std::memory_order_release);
    return result;
  }
  [[nodiscard]] Term arguments() const override { return inner->arguments(); }
  [[nodiscard]] bool is_empty() const override { return inner->is_empty(); }
};

struct PartitionInit final : detail::SupervisorModule {
  std::vector<ChildSpec> children;
  SupervisorFlags flags;
  std::shared_ptr<PartitionTable> table;
  Pid supervisor;

  ~PartitionInit() override {
    if (supervisor) Directory::get().remove(supervisor);
  }
  SupervisorInit init() override {
    supervisor = self();
    table->creation = supervisor.creation;
    Directory::get().add(supervisor, table);
    return {std::move(children), flags};
  }
};

std::shared_ptr<PartitionTable> require_table(const ServerName& name) {
  const Pid supervisor = name.whereis();
  std::shared_ptr<PartitionTable> table = supervisor ? Directory::get().find(supervisor) : nullptr;
  if (table == nullptr) {
    throw Exit(ExitReason(
        tuple("noproc"_atom, tuple(Atom("Elixir.PartitionSupervisor"), "partitions"_atom, list(name.term())))));
  }
  return table;
}

// PS-010.
std::size_t partition_of(const Term& key, std::size_t partitions) {
  if (!key.is_integer()) return key.hash() % partitions;
  std::size_t rest = 0;
  const std::vector<std::uint8_t> magnitude = key.magnitude();
  for (auto byte = magnitude.rbegin(); byte != magnitude.rend(); ++byte) rest = (rest * 256 + *byte) % partitions;
  return rest;
}

class PartitionName final : public detail::NameBinding {
 public:
  PartitionName(ServerName supervisor, Term key) : supervisor_(std::move(supervisor)), key_(std::move(key)) {}

  bool register_name(const Pid&) const override { refuse(); }  // PS-013
  void unregister_name() const override { refuse(); }
  [[nodiscard]] Pid whereis_name() const override {
    const auto table = require_table(supervisor_);
    const std::size_t size = table->size.load(std::memory_order_acquire);
    if (size == 0) detail::throw_badarg("PartitionSupervisor: there are 0 partitions, no key has one");
    const std::uint64_t number = table->pids[partition_of(key_, size)].load(std::memory_order_acquire);
    return number == 0 ? Pid{} : Pid{number, 0, table->creation};
  }
  [[nodiscard]] Term name() const override { return tuple(supervisor_.term(), key_); }
  [[nodiscard]] Term term() const override { return tuple("via"_atom, Atom("Elixir.PartitionSupervisor"), name()); }

 private:
  [[noreturn]] static void refuse() {
    detail::throw_badarg("PartitionSupervisor: a key is for looking up only, nobody can be registered under one");
  }
  ServerName supervisor_;
  Term key_;
};

// Held while one resizes; whoever is killed meanwhile gives it back.
class Resizing {
 public:
  explicit Resizing(PartitionTable& table) : table_(table) {
    while (table_.resizing.exchange(true, std::memory_order_acquire)) sleep_for(std::chrono::milliseconds(1));
  }
  ~Resizing() { table_.resizing.store(false, std::memory_order_release); }
  Resizing(const Resizing&) = delete;
  Resizing& operator=(const Resizing&) = delete;

 private:
  PartitionTable& table_;
};

}  // namespace
}  // namespace otp

inline namespace v1 {

StartResult<PartitionSupervisor> PartitionSupervisor::start_link(Options options) {
  if (options.name.empty()) detail::throw_badarg("PartitionSupervisor: the option name is required");
  if (!options.child_spec) detail::throw_badarg("PartitionSupervisor: the option child_spec is required");
  if (options.partitions && *options.partitions <= 0) {
    detail::throw_badarg("PartitionSupervisor: there must be at least one partition");
  }
  const std::size_t count = options.partitions
                                ? static_cast<std::size_t>(*options.partitions)
                                : runtime::core_of(runtime::require_process("start_link")).workers().size();
  auto init = std::make_unique<otp::PartitionInit>();
  init->table = std::make_shared<otp::PartitionTable>(count);
  init->flags = {options.strategy, options.max_restarts, options.max_seconds, AutoShutdown::never};
  for (std::size_t i = 0; i < count; ++i) {
    ChildSpec spec = options.with_arguments ? options.with_arguments(*options.child_spec, i) : *options.child_spec;
    if (spec.start_function() != nullptr) {
      spec.start_with(std::make_shared<otp::PartitionStart>(spec.start_function(), init->table, i));
    }
    init->children.push_back(std::move(spec).id(i));
  }
  StartOptions start;
  start.name = options.name;
  return StartResult<PartitionSupervisor>(
      detail::start_module_supervisor(Atom("Elixir.PartitionSupervisor"), std::move(init), start));
}

ChildSpec PartitionSupervisor::child_spec(Options options) {
  const ServerName name = options.name;
  ChildSpec spec = detail::default_child_spec<PartitionSupervisor>(std::move(options)).type(ChildType::supervisor);
  if (!name.empty()) spec.id(name.via() != nullptr ? name.via()->name() : name.term());
  return spec;
}

std::size_t PartitionSupervisor::partitions(const ServerName& name) {
  return otp::require_table(name)->size.load(std::memory_order_acquire);
}

std::size_t PartitionSupervisor::resize(const ServerName& name, std::size_t partitions) {
  const auto table = otp::require_table(name);
  if (partitions > table->pids.size()) {
    detail::throw_badarg("PartitionSupervisor: there cannot be more partitions than at the start");
  }
  const otp::Resizing turn(*table);
  const std::size_t before = table->size.load(std::memory_order_acquire);
  if (partitions < before) table->size.store(partitions, std::memory_order_release);
  for (std::size_t i = before; i > partitions; --i) {
    const Result<> stopped = Supervisor::terminate_child(name, Term(i - 1));
    if (!stopped) throw Exit(stopped.reason());
  }
  for (std::size_t i = before; i < partitions; ++i) {
    const StartChildResult started = Supervisor::restart_child(name, Term(i));
    // Another partition's crash may have started it with its group.
    if (!started && !(started.reason() == "running"_atom)) throw Exit(started.reason());
  }
  if (partitions > before) table->size.store(partitions, std::memory_order_release);
  return before;
}

namespace detail {

ServerName partition_name(const ServerName& name, const Term& key) {
  return ServerName(std::make_shared<otp::PartitionName>(name, key));
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
