// SPDX-License-Identifier: Apache-2.0
//
// What can be done with a table: who may, and how it is done in the store.
#include <coppice/ets_table.hpp>

#include "ets/ets_state.hpp"
#include "runtime/core.hpp"

namespace coppice {
inline namespace v1 {
namespace {

using detail::ObjectRef;
using detail::Probe;
using detail::SharedObject;
using detail::TableRef;
using detail::TableState;
using otp::Epochs;
using otp::SharedStore;
using otp::TableDirectory;

enum class Need { look, read, write };

Pid caller() {
  const runtime::Process* process = runtime::current_process();
  return process == nullptr ? Pid{} : process->body->pid;
}

bool is_owner(const TableState& table, const Pid& pid) {
  return table.owner.load(std::memory_order_acquire) == pid.number && table.creation_number == pid.creation && pid;
}

void check(const TableState& table, Need need) {
  if (table.dead.load(std::memory_order_acquire)) detail::throw_badarg("ets: there is no such table");
  const bool free_to_all = need == Need::look || table.access == ets::Access::public_ ||
                           (need == Need::read && table.access == ets::Access::protected_);
  if (free_to_all || is_owner(table, caller())) return;
  detail::throw_badarg(need == Need::read ? "ets: the table is private: only its owner may read it"
                                          : "ets: only the owner of the table may write to it");
}

// The table that an address leads to, kept from being freed for as long as this lives; by name within a pin.
class Access {
 public:
  Access(const TableRef& ref, Need need) : Access(ref) {
    if (table_ == nullptr) detail::throw_badarg("ets: there is no such table");
    check(*table_, need);
    if (ref.ops != table_->ops && !detail::same_type(ref.ops->identity, table_->ops->identity)) {
      detail::throw_badarg("ets: the table of that name holds other types");
    }
  }
  // Without a table: null.
  explicit Access(const TableRef& ref) {
    if (ref.handle != nullptr) {
      table_ = ref.handle->get();
      if (table_ != nullptr) pin_.emplace(*table_->epochs);
      return;
    }
    runtime::Core& core = runtime::acting_core(core_, "ets");
    TableDirectory& tables = TableDirectory::of(core);
    pin_.emplace(*tables.epochs());
    table_ = tables.find(ref.name, ref.hash);
  }
  [[nodiscard]] TableState& operator*() const noexcept { return *table_; }
  [[nodiscard]] TableState* operator->() const noexcept { return table_; }
  [[nodiscard]] TableState* get() const noexcept { return table_; }

 private:
  std::shared_ptr<runtime::Core> core_;
  std::optional<Epochs::Pin> pin_;
  TableState* table_ = nullptr;
};

// In a simulation others may come first.
const TableRef& let_others_in(const TableRef& ref) {
  if (runtime::Worker* here = runtime::this_worker()) here->core().world().interleave();
  return ref;
}

// For writers to the store. A handle's holder keeps the table for as long as he calls; a name needs a pin. Neither
// writes to what writers have in common.
class Written {
 public:
  explicit Written(const TableRef& ref) {
    let_others_in(ref);
    if (ref.handle == nullptr) {
      table_ = by_name_.emplace(ref, Need::write).get();
    } else {
      table_ = ref.handle->get();
      if (table_ == nullptr) detail::throw_badarg("ets: there is no such table");
      check(*table_, Need::write);
    }
  }
  [[nodiscard]] TableState& operator*() const noexcept { return *table_; }
  [[nodiscard]] TableState* operator->() const noexcept { return table_; }

 private:
  std::optional<Access> by_name_;
  TableState* table_;
};

// For whoever changes the table as such: a share instead of a pin, so that freeing is not held up.
detail::TableHandle keep(const TableRef& ref, Need need) {
  let_others_in(ref);
  if (ref.handle != nullptr) {
    if (*ref.handle == nullptr) detail::throw_badarg("ets: there is no such table");
    check(**ref.handle, need);
    return *ref.handle;
  }
  return Access(ref, need)->shared_from_this();
}

TableDirectory& directory_of(const TableState& table, std::shared_ptr<runtime::Core>& held) {
  runtime::Core& core = runtime::acting_core(held, "ets");
  if (core.creation() != table.creation_number) detail::throw_badarg("ets: the table belongs to another runtime");
  return TableDirectory::of(core);
}

// A writer that came in after the table's end.
void must_live(const TableState& table) {
  if (table.dead.load(std::memory_order_seq_cst)) detail::throw_badarg("ets: there is no such table");
}

Probe probe_for(const SharedObject& object) {
  return {object.hash,
          &object,
          [](const void* key, const SharedObject& other) {
            const auto& mine = *static_cast<const SharedObject*>(key);
            return mine.ops->same_key(mine, other);
          },
          [](const void* key, const SharedObject& other) {
            const auto& mine = *static_cast<const SharedObject*>(key);
            return mine.ops->compare(mine, other);
          },
          object.ops->rank(object),
          object.ops->exact};
}

void put_object(const TableState& table, SharedStore::Writer& writer, ObjectRef object) {
  const Probe probe = probe_for(*object);
  if (table.is_set()) {
    const SharedObject* old = writer.view().find(probe);
    return old != nullptr ? writer.exchange(*old, std::move(object)) : writer.insert(std::move(object));
  }
  bool there = false;
  if (table.type == ets::Type::bag) {
    writer.view().for_key(probe, [&](const SharedObject& other) {
      there = object.get()->ops->equal(*object, other);
      return !there;
    });
  }
  if (!there) writer.insert(std::move(object));
}

}  // namespace

namespace ets {

std::vector<Info> all() {
  std::shared_ptr<runtime::Core> held;
  return TableDirectory::of(runtime::acting_core(held, "ets::all")).all();
}

}  // namespace ets

namespace detail {

TableHandle create_table(TableCreation creation) {
  runtime::Process& process = runtime::require_process("ets::Table::create");
  return TableDirectory::of(runtime::core_of(process)).create(creation, process.body->pid);
}

TableHandle whereis_table(const TableRef& ref) {
  const Access access(ref);
  if (access.get() == nullptr) return nullptr;
  if (ref.ops != nullptr && !same_type(ref.ops->identity, access->ops->identity)) {
    throw_badarg("ets: the table of that name holds other types");
  }
  return access->shared_from_this();
}

void delete_table(const TableRef& ref) {
  const TableHandle table = keep(ref, Need::write);
  std::shared_ptr<runtime::Core> held;
  directory_of(*table, held).destroy(*table);
}

void rename_table(const TableRef& ref, const char* name) {
  const TableHandle table = keep(ref, Need::write);
  std::shared_ptr<runtime::Core> held;
  directory_of(*table, held).rename(*table, name);
}

std::optional<ets::Info> table_info(const TableRef& ref) {
  std::shared_ptr<runtime::Core> held;
  const Access access(ref);
  if (access.get() == nullptr || access->dead.load(std::memory_order_acquire)) return std::nullopt;
  return directory_of(*access, held).info(*access);
}

void give_table_away(const TableRef& ref, const Pid& pid, const Term& data) {
  const TableHandle table = keep(ref, Need::look);
  std::shared_ptr<runtime::Core> held;
  directory_of(*table, held).give_away(*table, caller(), pid, data);
}

void set_table_heir(const TableRef& ref, std::optional<ets::Heir> heir) {
  const TableHandle table = keep(ref, Need::look);
  std::shared_ptr<runtime::Core> held;
  directory_of(*table, held).set_heir(*table, caller(), std::move(heir));
}

void fix_table(const TableRef& ref, bool on) {
  const TableHandle table = keep(ref, Need::read);
  std::shared_ptr<runtime::Core> held;
  directory_of(*table, held).fix(*table, runtime::require_process("safe_fixtable").body->pid, on);
}

void check_may_write(const TableRef& ref) { (void)keep(ref, Need::write); }

// -- reading

void read_key(const TableRef& ref, const Probe& key, SeeObject see) {
  const Access table(ref, Need::read);
  table->store.view().for_key(key, see);
}

namespace {
[[gnu::noinline]] void read_first_checked(const TableRef& ref, const Probe& key, SeeObject see) {
  const Access table(ref, Need::read);
  if (const SharedObject* found = table->store.find(key)) (void)see(*found);
}
}  // namespace

// Most look-ups have a handle to a live table that all may read. The others, by a name or wrong, are told apart elsewhere.
void read_first(const TableRef& ref, const Probe& key, SeeObject see) {
  const TableState* known = ref.handle == nullptr ? nullptr : ref.handle->get();
  if (known == nullptr || known->access == ets::Access::private_ || known->ops != ref.ops ||
      known->dead.load(std::memory_order_acquire)) {
    return read_first_checked(ref, key, see);
  }
  const Epochs::Pin pin(*known->epochs);
  if (const SharedObject* found = known->store.find(key)) (void)see(*found);
}

void read_all(const TableRef& ref, SeeObject see) {
  const Access table(ref, Need::read);
  const SharedStore::Snapshot all(table->store);
  all.view().for_each(see);
}

ObjectRef read_neighbour(const TableRef& ref, Neighbour which, const Probe* key) {
  const Access table(ref, Need::read);
  const SharedStore::View view = table->store.view();
  const SharedObject* found = nullptr;
  const auto next_key = [&](const SharedObject& from) {  // past the other objects of a bag's key
    const SharedObject* next = view.after(from);
    while (next != nullptr && next->hash == from.hash && from.ops->same_key(from, *next)) next = view.after(*next);
    return next;
  };
  if (which == Neighbour::first) {
    found = view.first();
  } else if (which == Neighbour::last) {
    found = view.last();
  } else if (table->type == ets::Type::ordered_set) {
    found = which == Neighbour::next ? view.after(*key) : view.before(*key);
  } else if (const SharedObject* from = view.find(*key)) {
    found = next_key(*from);
  } else {
    if (!table->fixed.load(std::memory_order_acquire)) throw_badarg("next: the key is not in the table");
    found = view.after_hash(key->hash);
  }
  if (found != nullptr) found->retain();
  return ObjectRef(found);
}

std::vector<ObjectRef> read_batch(const TableRef& ref, ObjectRef& position, bool reverse, std::size_t max) {
  const Access table(ref, Need::read);
  const SharedStore::View view = table->store.view();
  std::vector<ObjectRef> batch;
  const SharedObject* at = position.get();
  while (batch.size() < max) {
    if (at == nullptr) {
      at = reverse ? view.last() : view.first();
    } else {
      at = reverse ? view.before(*at) : view.after(*at);
    }
    if (at == nullptr) break;
    at->retain();
    batch.emplace_back(at);
  }
  if (!batch.empty()) position = batch.back();
  return batch;
}

// -- writing

bool insert_objects(const TableRef& ref, std::span<ObjectRef> objects, bool only_new) {
  const Written table(ref);
  if (objects.size() == 1 && !only_new && table->is_set() && table->store.try_exchange(objects[0])) return true;
  SharedStore::Writer writer =
      objects.size() == 1 ? SharedStore::Writer(table->store, (*objects[0]).hash) : SharedStore::Writer(table->store);
  must_live(*table);
  if (only_new) {
    for (const ObjectRef& object : objects) {
      if (writer.view().find(probe_for(*object)) != nullptr) return false;
    }
  }
  for (ObjectRef& object : objects) put_object(*table, writer, object);
  writer.commit();
  return true;
}

void remove_key(const TableRef& ref, const Probe& key, const SharedObject* only, std::vector<ObjectRef>* taken) {
  const Written table(ref);
  std::vector<ObjectRef> doomed;  // released after the lock
  SharedStore::Writer writer(table->store, key.hash);
  must_live(*table);
  writer.view().for_key(key, [&](const SharedObject& object) {
    if (only == nullptr || only->ops->equal(*only, object)) {
      object.retain();
      doomed.emplace_back(&object);
    }
    return true;
  });
  if (doomed.empty()) return;
  for (const ObjectRef& object : doomed) writer.remove(*object);
  writer.commit();
  if (taken != nullptr) *taken = std::move(doomed);
}

std::size_t remove_objects(const TableRef& ref, std::span<const ObjectRef> objects) {
  if (objects.empty()) return 0;
  const Written table(ref);
  std::size_t count = 0;
  for (const ObjectRef& object : objects) {
    SharedStore::Writer writer(table->store, object.get()->hash);
    must_live(*table);
    if (object.get()->removed.load(std::memory_order_acquire)) continue;
    writer.remove(*object);
    writer.commit();
    ++count;
  }
  return count;
}

void remove_all(const TableRef& ref) {
  const Written table(ref);
  SharedStore::Writer writer(table->store);
  must_live(*table);
  writer.clear();
  writer.commit();
}

bool change_object(const TableRef& ref, const Probe& key, ObjectRef otherwise,
                   FunctionRef<SharedObject*(const SharedObject&)> change) {
  const Written table(ref);
  if (!table->is_set()) throw_badarg("ets: update_counter and update_element are for sets");
  SharedStore::Writer writer(table->store, key.hash);
  must_live(*table);
  const SharedObject* old = writer.view().find(key);
  if (old == nullptr && !otherwise) return false;
  ObjectRef fresh(change(old != nullptr ? *old : *otherwise));
  if (old != nullptr) {
    writer.exchange(*old, std::move(fresh));
  } else {
    writer.insert(std::move(fresh));
  }
  writer.commit();
  return true;
}

bool exchange_object(const TableRef& ref, const SharedObject& old, ObjectRef fresh) {
  const Written table(ref);
  if (!table->is_set()) throw_badarg("ets: update and select_replace are for sets");
  SharedStore::Writer writer(table->store, old.hash);
  must_live(*table);
  if (old.removed.load(std::memory_order_acquire)) return false;
  writer.exchange(old, std::move(fresh));
  writer.commit();
  return true;
}

}  // namespace detail
}  // namespace v1
}  // namespace coppice
