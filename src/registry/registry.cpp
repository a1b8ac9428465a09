// SPDX-License-Identifier: Apache-2.0
//
// What can be done with a registry, and the processes that stand for it.
#include <coppice/registry.hpp>

#include <list>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <coppice/gen_server.hpp>
#include <coppice/supervisor.hpp>

#include "registry/registry_state.hpp"
#include "runtime/core.hpp"

namespace coppice {
namespace otp {
namespace {

constexpr const char* unknown = "there is no such registry, or it is starting again";

// The registry that a name leads to, within a pin.
class Found {
 public:
  explicit Found(const detail::RegistryRef& ref) : Found(ref, runtime::this_worker()) {}
  [[nodiscard]] RegistryState* operator->() const noexcept { return registry_; }
  [[nodiscard]] RegistryState& operator*() const noexcept { return *registry_; }
  [[nodiscard]] runtime::Core& core() const noexcept { return core_; }
  [[nodiscard]] RegistryDirectory& directory() const noexcept { return directory_; }

 private:
  Found(const detail::RegistryRef& ref, const runtime::Worker* worker)
      : core_(worker != nullptr ? worker->core() : runtime::acting_core(held_, "Registry")),
        directory_(RegistryDirectory::of(core_)),
        pin_(*directory_.epochs()),
        registry_(directory_.find(ref.name, ref.hash)) {
    if (registry_ == nullptr) detail::throw_badarg(unknown);
    const detail::RegistryOps* ops = registry_->creation.ops;
    if (ops != ref.ops && !detail::same_type(ops->object->identity, ref.ops->object->identity)) {
      detail::throw_badarg("the registry of that name holds other types");
    }
  }

  std::shared_ptr<runtime::Core> held_;
  runtime::Core& core_;
  RegistryDirectory& directory_;
  Epochs::Pin pin_;
  RegistryState* registry_;
};

std::shared_ptr<RegistryState> keep(const detail::RegistryRef& ref) { return Found(ref)->shared_from_this(); }

// Looks at its line: dead, or doomed by a signal that it has taken in or that was sent to kill it?
bool lives(runtime::Core& core, const Pid& pid) noexcept {
  if (!core.is_local(pid)) return false;
  const runtime::Process& line = core.table().line(pid);
  const std::uint64_t word = line.head.load(std::memory_order_acquire);
  const std::uint32_t flags = line.flags.load(std::memory_order_acquire);
  return line.serial.load(std::memory_order_acquire) == pid.number && (word & runtime::head::dead) == 0 &&
         (flags & runtime::flag::doomed) == 0;
}

Probe probe_for(const SharedObject& object) {
  return {object.hash, &object,
          [](const void* key, const SharedObject& other) {
            const auto& mine = *static_cast<const SharedObject*>(key);
            return mine.ops->same_key(mine, other);
          },
          nullptr};
}

// Stands for a partition: registered processes are linked to it. Its state closes the partition, however it ends. It also
// keeps the locks whose keys fall to it: for each a queue, whose first has the lock. Everybody in a queue is monitored.
class RegistryPartition : public GenServer<RegistryPartition> {
 public:
  static constexpr bool trap_exit = true;  // the ends of registered processes are nothing to it
  RegistryPartition(std::shared_ptr<RegistryState> registry, std::size_t index)
      : registry_(std::move(registry)), index_(index) {
    registry_->open(index_, coppice::self());
  }
  RegistryPartition(const RegistryPartition&) = delete;
  RegistryPartition& operator=(const RegistryPartition&) = delete;
  ~RegistryPartition() { registry_->close(index_); }
  void handle_info(const ExitMessage&) {}

  struct Acquire {
    using Reply = Ok;
    Term key;
    Reference lock;
  };
  struct Release {  // of a lock that is held, or waited for
    Reference lock;
  };
  void handle_call(Acquire m, From<Ok> from) {
    std::list<Waiter>& queue = queues_[m.key];
    const Reference monitored = monitor(from.pid());
    queue.push_back({m.lock, monitored, std::move(from)});
    places_[m.lock] = {m.key, std::prev(queue.end())};
    locks_[monitored] = m.lock;
    if (queue.size() == 1) queue.front().from.reply({});
  }
  void handle_cast(const Release& m) { release(m.lock); }
  void handle_info(const Down& m) {
    if (const auto found = locks_.find(m.reference); found != locks_.end()) release(Reference(found->second));
  }

 private:
  struct Waiter {
    Reference lock;
    Reference monitored;
    From<Ok> from;
  };
  struct Place {
    Term key;
    std::list<Waiter>::iterator waiter;
  };

  void release(const Reference& lock) {
    const auto found = places_.find(lock);
    if (found == places_.end()) return;
    const Place place = found->second;
    places_.erase(found);
    demonitor(place.waiter->monitored, {.flush = true});
    locks_.erase(place.waiter->monitored);
    std::list<Waiter>& queue = queues_[place.key];
    const bool held = place.waiter == queue.begin();
    queue.erase(place.waiter);
    if (queue.empty()) {
      queues_.erase(place.key);
    } else if (held) {
      queue.front().from.reply({});
    }
  }

  std::shared_ptr<RegistryState> registry_;
  std::size_t index_;
  std::unordered_map<Term, std::list<Waiter>> queues_;
  std::unordered_map<Reference, Place> places_;     // by lock
  std::unordered_map<Reference, Reference> locks_;  // by monitor
};

// Held by the supervisor's child specifications: when the last of them goes, with the supervisor's state, the
// registry's name is free.
struct Lease {
  explicit Lease(std::shared_ptr<RegistryState> state, std::shared_ptr<runtime::Core> of)
      : registry(std::move(state)), core(of) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    if (const auto alive = core.lock()) RegistryDirectory::of(*alive).leave(registry);
  }
  std::shared_ptr<RegistryState> registry;
  std::weak_ptr<runtime::Core> core;
};

// Undoes the link to a partition's process if the caller has no entry left that stands with it (RG-020).
void unlink_if_empty(RegistryState& registry, const Pid& me, std::size_t server, const Pid& process) {
  RegistryState::Partition& mine = registry.of_owner(me);
  {
    const std::lock_guard lock(mine.mutex);
    const auto list = mine.owned.find(me.number);
    if (list != mine.owned.end() && list->second.servers.contains(server)) return;
  }
  unlink(process);
}

}  // namespace
}  // namespace otp

inline namespace v1 {
namespace detail {

using otp::Found;
using otp::RegistryState;
using otp::SharedStore;

StartOutcome start_registry(RegistryCreation creation) {
  runtime::Process& process = runtime::require_process("Registry::start_link");
  if (creation.name.empty()) throw_badarg("Registry: the name is missing");
  if (creation.partitions == 0) throw_badarg("Registry: partitions must be positive");
  if (!creation.ops->object->hashable) throw_badarg("Registry: keys need std::hash, or to convert to a Term");
  for (const auto& [key, value] : creation.meta) {
    if (!key.is_tuple() && !key.as_atom()) throw_badarg("Registry: a key of meta is an atom or a tuple");
  }
  runtime::Core& core = runtime::core_of(process);
  const Keys keys = creation.keys;
  const std::string name = creation.name;
  const std::size_t count = creation.partitions;
  auto registry = std::make_shared<RegistryState>(otp::Epochs::of(core), std::move(creation));
  auto lease = std::make_shared<otp::Lease>(registry, core.shared_from_this());
  std::vector<ChildSpec> children;
  for (std::size_t i = 0; i < count; ++i) {
    children.push_back(child(tuple(Atom("partition"), static_cast<std::uint64_t>(i)), [lease, i] {
      if (const auto alive = lease->core.lock()) otp::RegistryDirectory::of(*alive).enter(lease->registry);
      return otp::RegistryPartition::start_link(lease->registry, i);
    }));
  }
  lease.reset();
  SupervisorOptions options;
  options.name = name;
  options.strategy = keys == Keys::unique ? Strategy::one_for_all : Strategy::one_for_one;
  return Supervisor::start_link(std::move(children), std::move(options)).outcome();
}

ChildSpec registry_child(ChildSpec spec, const char* name) {
  return std::move(spec).id(Term(Atom(name))).type(ChildType::supervisor);
}

// -- registering

Result<Pid> register_entry(const RegistryRef& ref, ObjectRef object, bool unique_only,
                           std::vector<std::string>& listeners) {
  runtime::Process& process = runtime::require_process("register_key");
  runtime::Core& core = runtime::core_of(process);
  core.world().interleave();
  const std::shared_ptr<RegistryState> registry = otp::keep(ref);
  const Keys keys = registry->creation.keys;
  if (unique_only && keys != Keys::unique) throw_badarg("a name in a registry needs unique keys");
  const Pid me = process.body->pid;
  const std::size_t server = registry->server_of(*object);
  const std::atomic<std::uint64_t>& stands = registry->partitions[server]->server;
  const Pid partition = core.pid_of(stands.load(std::memory_order_acquire));
  if (partition.number == 0) throw_badarg(otp::unknown);
  if (!runtime::mark_owner(core, me)) throw_badarg("register_key: the process is ending");
  otp::RegistryDirectory::of(core).note_owner(registry, me);
  try {
    link(partition);
  } catch (const Exit&) {  // it ended just now
    throw_badarg(otp::unknown);
  }
  Pid holder;
  bool closed = false;
  std::optional<SharedStore::Writer> writer;  // outlives the lock: then it destroys what users' values were
  {
    RegistryState::Partition& mine = registry->of_owner(me);
    const std::lock_guard lock(mine.mutex);
    // Under the mutex that the closing partition takes after it has stored 0: it finds this entry, or we see the 0.
    closed = stands.load(std::memory_order_seq_cst) != partition.number;
    if (!closed) {
      writer.emplace(registry->store_of(*object), (*object).hash);
      const SharedObject* old = keys == Keys::unique ? writer->view().find(otp::probe_for(*object)) : nullptr;
      if (old != nullptr && otp::lives(core, registry->pid_of(*old))) {
        holder = registry->pid_of(*old);
      } else {
        if (old != nullptr) writer->remove(*old);  // its process has not left yet: RG-011
        writer->insert(object);
        mine.owned[me.number].add(object, server);
        writer->commit();
      }
    }
  }
  writer.reset();
  if (closed) throw_badarg(otp::unknown);
  if (holder) {
    otp::unlink_if_empty(*registry, me, server, partition);
    return Error{ExitReason(tuple(Atom("already_registered"), holder))};
  }
  listeners = registry->creation.listeners;
  return partition;
}

bool unregister_entries(const RegistryRef& ref, const Probe& key, SeeEntry match, std::vector<std::string>& listeners) {
  runtime::Process& process = runtime::require_process("unregister");
  const std::shared_ptr<RegistryState> registry = otp::keep(ref);
  const Pid me = process.body->pid;
  RegistryState::Partition& mine = registry->of_owner(me);
  std::vector<ObjectRef> candidates;
  {
    const std::lock_guard lock(mine.mutex);
    if (const auto list = mine.owned.find(me.number); list != mine.owned.end()) {
      const auto [first, last] = list->second.entries.equal_range(key.hash);
      for (auto entry = first; entry != last; ++entry) {
        if (key.matches(key.key, *entry->second.object)) candidates.push_back(entry->second.object);
      }
    }
  }
  std::vector<ObjectRef> doomed;
  std::unordered_set<const SharedObject*> chosen;
  for (const ObjectRef& object : candidates) {
    if (!match(*object)) continue;
    doomed.push_back(object);
    chosen.insert(object.get());
  }
  std::set<std::size_t> servers;
  {
    const std::lock_guard lock(mine.mutex);
    const auto list = mine.owned.find(me.number);
    if (list != mine.owned.end()) {
      auto [entry, last] = list->second.entries.equal_range(key.hash);
      while (entry != last) {
        if (!chosen.contains(entry->second.object.get())) {
          ++entry;
          continue;
        }
        servers.insert(entry->second.server);
        entry = list->second.erase(entry);
      }
      if (list->second.entries.empty()) mine.owned.erase(list);
    }
  }
  registry->remove_from_stores(doomed);
  runtime::Core& core = runtime::core_of(process);
  for (const std::size_t server : servers) {
    const std::uint64_t number = registry->partitions[server]->server.load(std::memory_order_acquire);
    if (number != 0) otp::unlink_if_empty(*registry, me, server, core.pid_of(number));
  }
  const bool none_left = doomed.size() == candidates.size();
  if (none_left) listeners = registry->creation.listeners;
  return none_left;
}

bool exchange_entry(const RegistryRef& ref, const SharedObject& old, ObjectRef fresh) {
  const std::shared_ptr<RegistryState> registry = otp::keep(ref);
  const Pid me = runtime::require_process("update_value").body->pid;
  RegistryState::Partition& mine = registry->of_owner(me);
  std::optional<SharedStore::Writer> writer;
  const std::lock_guard lock(mine.mutex);
  const auto list = mine.owned.find(me.number);
  if (list == mine.owned.end()) return false;
  const auto [first, last] = list->second.entries.equal_range(old.hash);
  for (auto entry = first; entry != last; ++entry) {
    if (entry->second.object.get() != &old) continue;
    writer.emplace(registry->store_of(old), old.hash);
    if (old.removed.load(std::memory_order_acquire)) return false;
    writer->exchange(old, fresh);
    entry->second.object = std::move(fresh);
    writer->commit();
    return true;
  }
  return false;
}

// -- reading

Keys registry_keys(const RegistryRef& ref) { return Found(ref)->creation.keys; }
std::size_t registry_partitions(const RegistryRef& ref) { return Found(ref)->creation.partitions; }

std::size_t registry_count(const RegistryRef& ref) {
  const Found registry(ref);
  std::size_t count = 0;
  for (const auto& partition : registry->partitions) count += partition->store.size();
  return count;
}

void read_entries_in(const RegistryRef& ref, std::size_t partition, const Probe& key, SeeEntry see) {
  const Found registry(ref);
  if (partition < registry->partitions.size()) registry->partitions[partition]->store.view().for_key(key, see);
}

void read_entries(const RegistryRef& ref, const Probe& key, SeeEntry see) {
  const Found registry(ref);
  if (registry->creation.keys != Keys::duplicate) return registry->of_key(key.hash).store.view().for_key(key, see);
  for (const auto& partition : registry->partitions) partition->store.view().for_key(key, see);
}

std::vector<ObjectRef> all_entries(const RegistryRef& ref) {
  const Found registry(ref);
  std::vector<ObjectRef> entries;
  for (const auto& partition : registry->partitions) {
    const SharedStore::Snapshot all(partition->store);
    all.view().for_each([&](const SharedObject& object) {
      object.retain();
      entries.emplace_back(&object);
      return true;
    });
  }
  return entries;
}

std::vector<ObjectRef> entries_of(const RegistryRef& ref, const Pid& pid) {
  const std::shared_ptr<RegistryState> registry = otp::keep(ref);
  std::vector<ObjectRef> entries;
  RegistryState::Partition& partition = registry->of_owner(pid);
  const std::lock_guard lock(partition.mutex);
  if (const auto list = partition.owned.find(pid.number); list != partition.owned.end()) {
    for (const auto& [hash, owned] : list->second.entries) {
      if (!owned.object.get()->removed.load(std::memory_order_acquire)) entries.push_back(owned.object);
    }
  }
  return entries;
}

Pid whereis_entry(const RegistryRef& ref, const Probe& key, ObjectRef* found) {
  const Found registry(ref);
  if (registry->creation.keys != Keys::unique) throw_badarg("only a unique key names a process");
  const SharedObject* object = registry->of_key(key.hash).store.find(key);
  if (object == nullptr) return {};
  const Pid pid = registry->pid_of(*object);
  if (!otp::lives(registry.core(), pid)) return {};
  if (found != nullptr) {
    object->retain();
    *found = ObjectRef(object);
  }
  return pid;
}

bool entry_stands(const SharedObject& object, const Pid& pid) {
  std::shared_ptr<runtime::Core> held;
  runtime::Core& core = runtime::acting_core(held, "Registry");
  return !object.removed.load(std::memory_order_acquire) && otp::lives(core, pid);
}

// -- locks

RegistryLock::RegistryLock(const RegistryRef& ref, const Term& key) {
  runtime::Core& core = runtime::core_of(runtime::require_process("Registry::lock"));
  {
    const Found registry(ref);
    const auto& partition = registry->partitions[mix_hash(key.hash()) % registry->partitions.size()];
    partition_ = core.pid_of(partition->server.load(std::memory_order_acquire));
  }
  if (partition_.number == 0) throw_badarg(otp::unknown);
  lock_ = Reference::from_id(core.new_reference_id(), core.creation());
  const ServerRef<otp::RegistryPartition> server(partition_);
  try {
    (void)server.call(otp::RegistryPartition::Acquire{key, lock_});
  } catch (...) {  // it takes no longer part in the queue
    server.cast(otp::RegistryPartition::Release{lock_});
    throw;
  }
}

RegistryLock::~RegistryLock() {
  ServerRef<otp::RegistryPartition>(partition_).cast(otp::RegistryPartition::Release{lock_});
}

// -- meta

void put_registry_meta(const RegistryRef& ref, const Term& key, std::optional<Term> value) {
  if (!key.is_tuple() && !key.as_atom()) throw_badarg("Registry: a key of meta is an atom or a tuple");
  const std::shared_ptr<RegistryState> registry = otp::keep(ref);
  const std::lock_guard lock(registry->meta_mutex);
  if (value) {
    registry->meta.insert_or_assign(key, *std::move(value));
  } else {
    registry->meta.erase(key);
  }
}

std::optional<Term> registry_meta(const RegistryRef& ref, const Term& key) {
  const std::shared_ptr<RegistryState> registry = otp::keep(ref);
  const std::lock_guard lock(registry->meta_mutex);
  const auto found = registry->meta.find(key);
  return found == registry->meta.end() ? std::nullopt : std::optional<Term>(found->second);
}

// A failure ends the others and, through its link, the caller (RG-039).
void run_in_parallel(std::size_t count, const std::function<void(std::size_t)>& function) {
  std::vector<std::pair<Pid, Reference>> helpers;
  for (std::size_t i = 0; i < count; ++i) helpers.push_back(spawn_link_monitor([function, i] { function(i); }));
  for (const auto& [pid, reference] : helpers) {
    const ExitReason reason = receive(when([id = reference](const Down& down) { return down.reference == id; },
                                           [](const Down& down) { return down.reason; }));
    if (!reason.is_normal()) throw Exit(reason);  // a caller that traps exits
    receive(when([id = pid](const ExitMessage& exit) { return exit.pid == id; }, [](const ExitMessage&) {}),
            after(std::chrono::seconds(0), [] {}));
  }
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
