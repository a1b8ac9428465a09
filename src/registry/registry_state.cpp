// SPDX-License-Identifier: Apache-2.0
#include "registry/registry_state.hpp"

#include <algorithm>

#include "runtime/core.hpp"

namespace coppice::otp {

RegistryState::RegistryState(const std::shared_ptr<Epochs>& epochs, RegistryCreation given)
    : creation(std::move(given)) {
  for (std::size_t i = 0; i < creation.partitions; ++i) partitions.push_back(std::make_unique<Partition>(epochs));
  for (const auto& [key, value] : creation.meta) meta.insert_or_assign(key, value);
}

std::size_t RegistryState::store_index_of(const SharedObject& object) const noexcept {
  return creation.keys == Keys::duplicate ? index_of(pid_of(object)) : index_of(object.hash);
}

std::size_t RegistryState::server_of(const SharedObject& object) const noexcept {
  return creation.keys == Keys::duplicate_by_key ? index_of(object.hash) : index_of(pid_of(object));
}

void RegistryState::OwnedList::add(ObjectRef object, std::size_t server) {
  const std::uint64_t hash = object.get()->hash;
  entries.emplace(hash, Owned{std::move(object), server});
  ++servers[server];
}

void RegistryState::open(std::size_t index, const Pid& server) {
  partitions[index]->server.store(server.number, std::memory_order_release);
}

// Goes through the lists of all partitions: it happens once in the life of a partition's process.
void RegistryState::close(std::size_t index) noexcept {
  partitions[index]->server.store(0, std::memory_order_seq_cst);
  std::vector<ObjectRef> doomed;
  for (const auto& partition : partitions) {
    const std::lock_guard lock(partition->mutex);
    for (auto owner = partition->owned.begin(); owner != partition->owned.end();) {
      for (auto entry = owner->second.entries.begin(); entry != owner->second.entries.end();) {
        if (entry->second.server != index) {
          ++entry;
          continue;
        }
        doomed.push_back(std::move(entry->second.object));
        entry = owner->second.erase(entry);
      }
      owner = owner->second.entries.empty() ? partition->owned.erase(owner) : std::next(owner);
    }
  }
  remove_from_stores(doomed);
}

void RegistryState::forget(const Pid& pid) noexcept {
  std::vector<ObjectRef> doomed;
  Partition& partition = of_owner(pid);
  {
    const std::lock_guard lock(partition.mutex);
    auto list = partition.owned.extract(pid.number);
    if (list.empty()) return;
    for (auto& [hash, owned] : list.mapped().entries) doomed.push_back(std::move(owned.object));
  }
  remove_from_stores(doomed);
}

// One commit for each store, however many objects.
void RegistryState::remove_from_stores(const std::vector<ObjectRef>& objects) {
  std::map<std::size_t, std::vector<const SharedObject*>> by_store;
  for (const ObjectRef& object : objects) by_store[store_index_of(*object)].push_back(object.get());
  for (const auto& [index, doomed] : by_store) {
    SharedStore& store = partitions[index]->store;
    SharedStore::Writer writer =
        doomed.size() == 1 ? SharedStore::Writer(store, doomed.front()->hash) : SharedStore::Writer(store);
    for (const SharedObject* object : doomed) {
      if (!object->removed.load(std::memory_order_acquire)) writer.remove(*object);
    }
    writer.commit();
  }
}

// -- the directory

RegistryDirectory& RegistryDirectory::make(runtime::Core& core) {
  return static_cast<RegistryDirectory&>(core.annex(
      runtime::AnnexKind::registries,
      [](runtime::Core& c) -> std::unique_ptr<runtime::Annex> { return std::make_unique<RegistryDirectory>(c); }));
}

namespace {
void retire(Epochs& epochs, std::shared_ptr<RegistryState> share) {
  if (share == nullptr) return;
  epochs.retire(new std::shared_ptr<RegistryState>(std::move(share)),
                [](void* kept) noexcept { delete static_cast<std::shared_ptr<RegistryState>*>(kept); });
}
}  // namespace

void RegistryDirectory::enter(const std::shared_ptr<RegistryState>& registry) {
  std::shared_ptr<RegistryState> before;
  {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<RegistryState>& place = registries_[registry->creation.name];
    if (place == registry) return;
    before = std::exchange(place, registry);
    names_.set(registry->creation.name, registry.get());
  }
  retire(*epochs_, std::move(before));
}

void RegistryDirectory::leave(const std::shared_ptr<RegistryState>& registry) noexcept {
  std::shared_ptr<RegistryState> share;
  {
    const std::lock_guard lock(mutex_);
    const auto place = registries_.find(registry->creation.name);
    if (place == registries_.end() || place->second != registry) return;
    share = std::move(place->second);
    registries_.erase(place);
    names_.set(registry->creation.name, nullptr);
  }
  retire(*epochs_, std::move(share));
}

void RegistryDirectory::note_owner(const std::shared_ptr<RegistryState>& registry, const Pid& pid) {
  const std::lock_guard lock(mutex_);
  auto& list = owners_[pid.number];
  std::erase_if(list, [&](const auto& weak) { return weak.expired(); });
  const bool known = std::any_of(list.begin(), list.end(), [&](const auto& weak) { return weak.lock() == registry; });
  if (!known) list.push_back(registry);
}

void RegistryDirectory::process_ends(runtime::Process& process) noexcept {
  const Pid pid = process.body->pid;
  std::vector<std::weak_ptr<RegistryState>> list;
  {
    const std::lock_guard lock(mutex_);
    if (auto found = owners_.extract(pid.number); !found.empty()) list = std::move(found.mapped());
  }
  for (const auto& weak : list) {
    if (const auto registry = weak.lock()) registry->forget(pid);
  }
}

}  // namespace coppice::otp
