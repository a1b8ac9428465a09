// SPDX-License-Identifier: Apache-2.0
//
// The state of a table, and the directory of a runtime's tables.
//
// Who may touch what. A table's `dead`, `owner` and `fixed` are atomics, read by anybody; the store is read within a
// pin and written under its own locks. All else about tables, who owns which, who is heir, who has which name, is
// written under the directory's mutex. Lock order: the directory's, then a store's. No user code runs under the
// directory's mutex.
//
// The end of a table. Under the directory's mutex: it leaves the index of names, the lists of owners, and is dead. Then
// the store is emptied in one commit; a writer that had come in before ends first, and a later one finds the table dead
// under the store's locks. The directory's share of the state is given back through the epochs, because a reader that
// came by name holds no share.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <coppice/ets_table.hpp>

#include "ets/name_index.hpp"
#include "ets/shared_store.hpp"
#include "runtime/annex.hpp"
#include "runtime/process.hpp"

namespace coppice {
inline namespace v1 {
namespace detail {

class TableState : public std::enable_shared_from_this<TableState> {
 public:
  TableState(std::shared_ptr<otp::Epochs> epochs_, const TableCreation& creation, std::uint64_t id_,
             std::uint32_t runtime)
      : epochs(std::move(epochs_)),
        ops(creation.ops),
        make_transfer(creation.make_transfer),
        type(creation.type),
        access(creation.access),
        named(creation.named),
        id(id_),
        creation_number(runtime),
        name(creation.name),
        store(epochs, creation.type == ets::Type::ordered_set) {}

  [[nodiscard]] bool is_set() const noexcept { return type == ets::Type::set || type == ets::Type::ordered_set; }

  const std::shared_ptr<otp::Epochs> epochs;
  const ObjectOps* const ops;
  Signal* (*const make_transfer)(const TableHandle&, const Pid&, const Term&);
  const ets::Type type;
  const ets::Access access;
  const bool named;
  const std::uint64_t id;
  const std::uint32_t creation_number;  // of the runtime to which it belongs
  std::atomic<bool> dead{false};
  std::atomic<std::uint64_t> owner{0};  // Pid::number
  std::atomic<bool> fixed{false};
  // Under the directory's mutex:
  std::string name;
  std::optional<ets::Heir> heir;
  std::map<std::uint64_t, std::size_t> fixers;  // by process, how often

  otp::SharedStore store;
};

}  // namespace detail
}  // namespace v1

namespace otp {

using detail::TableHandle;
using detail::TableState;

class TableDirectory final : public runtime::Annex {
 public:
  explicit TableDirectory(runtime::Core& core);
  ~TableDirectory() override;
  [[nodiscard]] static TableDirectory& of(runtime::Core& core);

  void process_ends(runtime::Process& process) noexcept override;
  void runtime_ends() noexcept override;

  [[nodiscard]] TableHandle create(const detail::TableCreation& creation, const Pid& owner);
  void destroy(TableState& table);  // nothing if it is dead already
  void rename(TableState& table, std::string_view name);
  // Any thread, within a pin: the table stays for as long, and a share of it may be taken then.
  [[nodiscard]] TableState* find(std::string_view name, std::uint64_t hash) const noexcept {
    return names_.find(name, hash);
  }
  void give_away(TableState& table, const Pid& from, const Pid& to, const Term& data);
  void set_heir(TableState& table, const Pid& owner, std::optional<ets::Heir> heir);
  void fix(TableState& table, const Pid& process, bool on);
  [[nodiscard]] ets::Info info(const TableState& table);
  [[nodiscard]] std::vector<ets::Info> all();
  [[nodiscard]] const std::shared_ptr<Epochs>& epochs() const noexcept { return epochs_; }

 private:
  using Tables = std::map<std::uint64_t, TableHandle>;  // by id: what happens to many happens in the order of creation

  TableHandle forget(TableState& table);  // under the mutex: out of every list; dead
  void move_to(TableState& table, const Pid& owner);
  void bury(TableHandle table) noexcept;  // empties it and gives the share back
  [[nodiscard]] ets::Info describe(const TableState& table) const;

  runtime::Core& core_;
  const std::shared_ptr<Epochs> epochs_;
  NameIndex<TableState> names_;
  std::mutex mutex_;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, TableHandle> tables_;         // by id
  std::unordered_map<std::uint64_t, Tables> owned_;     // by Pid::number
  std::unordered_map<std::uint64_t, Tables> fixed_by_;  // by Pid::number
};

}  // namespace otp
}  // namespace coppice
