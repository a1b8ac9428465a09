// SPDX-License-Identifier: Apache-2.0
#include "runtime/names.hpp"

namespace coppice::runtime {

NameTable::NameTable(std::uint32_t creation) : creation_(creation) {
  tables_.push_back(std::make_unique<Table>(64));
  table_.store(tables_.back().get(), std::memory_order_release);
}

NameTable::~NameTable() = default;

bool NameTable::is_acceptable(std::string_view name) noexcept {
  if (name.empty() || name.size() > length_max) return false;
  return name != "undefined" && name != "nil" && name != "true" && name != "false";
}

void NameTable::grow() {
  const Table& old = *tables_.back();
  auto table = std::make_unique<Table>((old.mask + 1) * 2);
  for (const auto& entry : entries_) {
    std::size_t i = place_of(entry->hash) & table->mask;
    while (table->slots[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & table->mask;
    table->slots[i].store(entry.get(), std::memory_order_relaxed);
  }
  tables_.push_back(std::move(table));
  table_.store(tables_.back().get(), std::memory_order_release);
}

bool NameTable::bind(std::string_view name, const Pid& pid, Pid* holder, const char** text) {
  const std::uint64_t hash = detail::hash_text(name);
  const std::lock_guard lock(mutex_);
  Entry* entry = find(name, hash);
  if (entry == nullptr) {
    if ((entries_.size() + 1) * 2 > tables_.back()->mask + 1) grow();
    entries_.push_back(std::make_unique<Entry>());
    entry = entries_.back().get();
    entry->name = name;
    entry->hash = hash;
    if (text != nullptr) *text = entry->name.c_str();
    entry->number.store(pid.number, std::memory_order_relaxed);
    Table& table = *tables_.back();
    std::size_t i = place_of(hash) & table.mask;
    while (table.slots[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & table.mask;
    table.slots[i].store(entry, std::memory_order_release);
    return true;
  }
  if (text != nullptr) *text = entry->name.c_str();
  const std::uint64_t number = entry->number.load(std::memory_order_relaxed);
  if (number != 0) {
    if (holder != nullptr) *holder = Pid{number, 0, creation_};
    return false;
  }
  entry->number.store(pid.number, std::memory_order_release);
  return true;
}

bool NameTable::unbind(std::string_view name, const Pid& pid) {
  const std::lock_guard lock(mutex_);
  Entry* entry = find(name, detail::hash_text(name));
  if (entry == nullptr || entry->number.load(std::memory_order_relaxed) != pid.number) return false;
  entry->number.store(0, std::memory_order_release);
  return true;
}

std::vector<std::string> NameTable::registered() const {
  std::vector<std::string> names;
  const std::lock_guard lock(mutex_);
  for (const auto& entry : entries_) {
    if (entry->number.load(std::memory_order_relaxed) != 0) names.push_back(entry->name);
  }
  return names;
}

}  // namespace coppice::runtime
