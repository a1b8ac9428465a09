// SPDX-License-Identifier: Apache-2.0
//
// Which tables there are, whose they are, and what becomes of them when a process ends.
#include "ets/ets_state.hpp"

#include "runtime/core.hpp"
#include "runtime/mailbox.hpp"

namespace coppice::otp {

TableDirectory::TableDirectory(runtime::Core& core) : core_(core), epochs_(Epochs::of(core)) {}

// Shares that are left keep a dead table's state; its objects have gone with its owner.
TableDirectory::~TableDirectory() {
  for (auto& [id, table] : tables_) table->dead.store(true, std::memory_order_release);
}

TableDirectory& TableDirectory::of(runtime::Core& core) {
  return static_cast<TableDirectory&>(core.annex(
      runtime::AnnexKind::tables,
      [](runtime::Core& c) -> std::unique_ptr<runtime::Annex> { return std::make_unique<TableDirectory>(c); }));
}

TableHandle TableDirectory::create(const detail::TableCreation& creation, const Pid& owner) {
  if (creation.heir && !core_.is_local(creation.heir->pid)) {
    detail::throw_badarg("ets: the heir must be a process of this node");
  }
  const bool usable =
      creation.type == ets::Type::ordered_set ? creation.ops->compare != nullptr : creation.ops->hashable;
  if (!usable)
    detail::throw_badarg("ets: an ordered_set needs `<` of keys, the other types std::hash or a Term of them");
  if (creation.type == ets::Type::bag && creation.ops->equal == nullptr) {
    detail::throw_badarg("ets: a bag needs == of values");
  }
  const std::unique_lock lock(mutex_);
  if (creation.named && names_.find(creation.name, detail::hash_text(creation.name)) != nullptr) {
    detail::throw_badarg("ets: the name is in use by another table");
  }
  auto table = std::make_shared<TableState>(epochs_, creation, ++last_id_, core_.creation());
  table->heir = creation.heir;
  table->owner.store(owner.number, std::memory_order_release);
  (void)runtime::mark_owner(core_, owner);  // the caller itself: in a destructor at its death it is too late
  tables_.emplace(table->id, table);
  owned_[owner.number].emplace(table->id, table);
  if (creation.named) names_.set(creation.name, table.get());
  return table;
}

// -- the end of a table

TableHandle TableDirectory::forget(TableState& table) {
  const auto found = tables_.find(table.id);
  if (found == tables_.end()) return nullptr;
  TableHandle share = std::move(found->second);
  tables_.erase(found);
  table.dead.store(true, std::memory_order_seq_cst);
  if (table.named) names_.set(table.name, nullptr);
  const std::uint64_t owner = table.owner.load(std::memory_order_relaxed);
  if (const auto list = owned_.find(owner); list != owned_.end()) {
    list->second.erase(table.id);
    if (list->second.empty()) owned_.erase(list);
  }
  for (const auto& [process, count] : table.fixers) {
    const auto list = fixed_by_.find(process);
    list->second.erase(table.id);
    if (list->second.empty()) fixed_by_.erase(list);
  }
  table.fixers.clear();
  return share;
}

void TableDirectory::bury(TableHandle table) noexcept {
  {
    SharedStore::Writer writer(table->store);
    writer.clear();
    writer.commit();
  }
  // NOLINTNEXTLINE(bugprone-unhandled-exception-at-new): without memory for one share the program is to end
  epochs_->retire(new TableHandle(std::move(table)), [](void* share) noexcept {
    const std::unique_ptr<TableHandle> owner(static_cast<TableHandle*>(share));
    (*owner)->store.collect();  // if a reader was there when it was emptied
  });
}

void TableDirectory::destroy(TableState& table) {
  TableHandle share;
  {
    const std::lock_guard lock(mutex_);
    share = forget(table);
  }
  if (share != nullptr) bury(std::move(share));
}

void TableDirectory::process_ends(runtime::Process& process) noexcept {
  const Pid pid = process.body->pid;
  std::vector<TableHandle> doomed;
  std::vector<std::pair<Pid, detail::Signal*>> transfers;
  {
    const std::lock_guard lock(mutex_);
    if (auto list = fixed_by_.extract(pid.number); !list.empty()) {
      for (auto& [id, table] : list.mapped()) {
        table->fixers.erase(pid.number);
        table->fixed.store(!table->fixers.empty(), std::memory_order_release);
      }
    }
    if (auto list = owned_.extract(pid.number); !list.empty()) {
      for (auto& [id, table] : list.mapped()) {
        const bool has_heir = table->heir && table->heir->pid != pid && runtime::mark_owner(core_, table->heir->pid);
        if (!has_heir) {
          doomed.push_back(forget(*table));
          continue;
        }
        move_to(*table, table->heir->pid);
        transfers.emplace_back(table->heir->pid, table->make_transfer(table, pid, table->heir->data));
      }
    }
  }
  for (TableHandle& table : doomed) bury(std::move(table));
  for (auto& [heir, message] : transfers) runtime::push_message(core_, heir, message);
}

void TableDirectory::runtime_ends() noexcept {}

// -- ownership

void TableDirectory::move_to(TableState& table, const Pid& owner) {
  const std::uint64_t before = table.owner.exchange(owner.number, std::memory_order_acq_rel);
  if (const auto list = owned_.find(before); list != owned_.end()) {
    list->second.erase(table.id);
    if (list->second.empty()) owned_.erase(list);
  }
  owned_[owner.number].emplace(table.id, tables_.at(table.id));
}

namespace {
void require_owner(const TableState& table, const Pid& caller) {
  if (table.dead.load(std::memory_order_acquire)) detail::throw_badarg("ets: there is no such table");
  if (table.owner.load(std::memory_order_acquire) != caller.number || table.creation_number != caller.creation) {
    detail::throw_badarg("ets: only the owner of the table may do that");
  }
}
}  // namespace

void TableDirectory::give_away(TableState& table, const Pid& from, const Pid& to, const Term& data) {
  detail::Signal* message = nullptr;
  {
    const std::lock_guard lock(mutex_);
    require_owner(table, from);
    if (to == from) detail::throw_badarg("give_away: that process is the owner already");
    if (!runtime::mark_owner(core_, to)) detail::throw_badarg("give_away: that is no live process of this node");
    move_to(table, to);
    message = table.make_transfer(tables_.at(table.id), from, data);
  }
  runtime::push_message(core_, to, message);
}

void TableDirectory::set_heir(TableState& table, const Pid& owner, std::optional<ets::Heir> heir) {
  if (heir && !core_.is_local(heir->pid)) detail::throw_badarg("set_heir: the heir must be a process of this node");
  const std::lock_guard lock(mutex_);
  require_owner(table, owner);
  table.heir = std::move(heir);
}

void TableDirectory::fix(TableState& table, const Pid& process, bool on) {
  const std::lock_guard lock(mutex_);
  const auto share = tables_.find(table.id);
  if (share == tables_.end()) detail::throw_badarg("ets: there is no such table");
  if (on) {
    (void)runtime::mark_owner(core_, process);
    ++table.fixers[process.number];
    fixed_by_[process.number].emplace(table.id, share->second);
  } else if (const auto mine = table.fixers.find(process.number); mine != table.fixers.end() && --mine->second == 0) {
    table.fixers.erase(mine);
    const auto list = fixed_by_.find(process.number);
    list->second.erase(table.id);
    if (list->second.empty()) fixed_by_.erase(list);
  }
  table.fixed.store(!table.fixers.empty(), std::memory_order_release);
}

// -- names

void TableDirectory::rename(TableState& table, std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (table.dead.load(std::memory_order_acquire)) detail::throw_badarg("ets: there is no such table");
  if (!table.named) detail::throw_badarg("rename: the table has no name");
  if (name == table.name) return;
  if (names_.find(name, detail::hash_text(name)) != nullptr) detail::throw_badarg("rename: the name is in use");
  names_.set(name, &table);
  names_.set(table.name, nullptr);
  table.name = name;
}

// -- info

ets::Info TableDirectory::describe(const TableState& table) const {
  ets::Info info;
  info.id = table.id;
  info.name = table.name;
  info.named_table = table.named;
  info.type = table.type;
  info.protection = table.access;
  info.owner = core_.pid_of(table.owner.load(std::memory_order_relaxed));
  if (table.heir) info.heir = table.heir->pid;
  info.size = table.store.size();
  info.memory = sizeof(TableState) + table.store.bytes();
  info.fixed = !table.fixers.empty();
  return info;
}

ets::Info TableDirectory::info(const TableState& table) {
  const std::lock_guard lock(mutex_);
  return describe(table);
}

std::vector<ets::Info> TableDirectory::all() {
  std::vector<ets::Info> infos;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, table] : tables_) infos.push_back(describe(*table));
  return infos;
}

}  // namespace coppice::otp
