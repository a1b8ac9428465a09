// SPDX-License-Identifier: Apache-2.0
//
// The state of a registry, and the directory of a runtime's registries.
//
// A registry is split into partitions. In each: a store of entries, by key, which readers see without a lock; the
// entries of the processes whose pid falls to it, under a mutex; and which process stands for it now. An entry stands
// in the store of one partition and in the list of its process, maybe in another partition.
//
// Who writes. A process registers and unregisters itself only, and the lists of a process that has ended are taken by
// the end of that process, in it. So nobody adds to a list that was taken. A partition that closes takes, under the
// mutexes, the entries linked to it.
//
// Lock order: the mutex of one partition's lists, then that of one store. The directory's mutex is held with neither.
//
// An entry that another has put itself in the place of (RG-011), or that a closing partition has removed, is marked as
// removed; the list in which it stands learns of it when it is next gone through.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <coppice/registry.hpp>

#include "ets/name_index.hpp"
#include "ets/shared_store.hpp"
#include "runtime/annex.hpp"
#include "runtime/process.hpp"

namespace coppice::otp {

using detail::RegistryCreation;

class RegistryState : public std::enable_shared_from_this<RegistryState> {
 public:
  RegistryState(const std::shared_ptr<Epochs>& epochs, RegistryCreation creation);

  struct Owned {
    ObjectRef object;
    std::size_t server;  // index of the partition whose process the owner is linked to for it
  };
  struct OwnedList {
    std::unordered_multimap<std::uint64_t, Owned> entries;  // by hash of the key
    std::map<std::size_t, std::size_t> servers;             // how many entries stand with which partition's process
    void add(ObjectRef object, std::size_t server);
    template <class Iterator>
    Iterator erase(Iterator entry) {
      const auto count = servers.find(entry->second.server);
      if (--count->second == 0) servers.erase(count);
      return entries.erase(entry);
    }
  };
  struct Partition {
    explicit Partition(std::shared_ptr<Epochs> epochs) : store(std::move(epochs), false) {}
    SharedStore store;
    std::atomic<std::uint64_t> server{0};  // Pid::number of its process; 0: it is not running
    std::mutex mutex;
    std::unordered_map<std::uint64_t, OwnedList> owned;  // by Pid::number
  };

  [[nodiscard]] std::size_t index_of(std::uint64_t hash) const noexcept {
    return partitions.size() == 1 ? 0 : hash % partitions.size();  // a division is as long as half a search
  }
  [[nodiscard]] Partition& of_key(std::uint64_t hash) noexcept { return *partitions[index_of(hash)]; }
  [[nodiscard]] std::size_t index_of(const Pid& pid) const noexcept { return index_of(std::hash<Pid>{}(pid)); }
  [[nodiscard]] Partition& of_owner(const Pid& pid) noexcept { return *partitions[index_of(pid)]; }
  // Where an entry stands, and whose process stands for it.
  [[nodiscard]] std::size_t store_index_of(const SharedObject& object) const noexcept;
  [[nodiscard]] SharedStore& store_of(const SharedObject& object) noexcept {
    return partitions[store_index_of(object)]->store;
  }
  [[nodiscard]] std::size_t server_of(const SharedObject& object) const noexcept;
  [[nodiscard]] const Pid& pid_of(const SharedObject& object) const { return creation.ops->pid(object); }

  void open(std::size_t index, const Pid& server);
  void close(std::size_t index) noexcept;
  // Takes the entries of a process that has ended, or ends.
  void forget(const Pid& pid) noexcept;
  void remove_from_stores(const std::vector<ObjectRef>& objects);

  const RegistryCreation creation;
  std::vector<std::unique_ptr<Partition>> partitions;
  std::mutex meta_mutex;
  std::map<Term, Term> meta;
};

class RegistryDirectory final : public runtime::Annex {
 public:
  explicit RegistryDirectory(runtime::Core& core) : epochs_(Epochs::of(core)) {}
  [[nodiscard]] static RegistryDirectory& of(runtime::Core& core) {
    runtime::Annex* known = core.annex_if_any(runtime::AnnexKind::registries);
    return known != nullptr ? static_cast<RegistryDirectory&>(*known) : make(core);
  }

  void process_ends(runtime::Process& process) noexcept override;
  void runtime_ends() noexcept override {}

  // Within a pin: the registry stays for as long, and a share of it may be taken then.
  [[nodiscard]] RegistryState* find(std::string_view name, std::uint64_t hash) const noexcept {
    return names_.find(name, hash);
  }
  void enter(const std::shared_ptr<RegistryState>& registry);           // takes its name
  void leave(const std::shared_ptr<RegistryState>& registry) noexcept;  // gives it back, if it still has it
  void note_owner(const std::shared_ptr<RegistryState>& registry, const Pid& pid);
  [[nodiscard]] const std::shared_ptr<Epochs>& epochs() const noexcept { return epochs_; }

 private:
  [[nodiscard]] static RegistryDirectory& make(runtime::Core& core);

  const std::shared_ptr<Epochs> epochs_;
  NameIndex<RegistryState> names_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<RegistryState>> registries_;
  std::unordered_map<std::uint64_t, std::vector<std::weak_ptr<RegistryState>>> owners_;  // by Pid::number
};

}  // namespace coppice::otp
