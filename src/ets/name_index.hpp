// SPDX-License-Identifier: Apache-2.0
//
// NameIndex: from a name to whatever has it, without a lock for those who look it up. Names of tables and registries.
//
// An entry, once made, stays for the life of the index, as an atom stays; its value is stored and loaded atomically,
// and is null while nobody has the name. Entries stand in an open-addressing table of pointers that is replaced when it
// grows; replaced tables are kept until the end, so that a reader may finish its search in an old one. The table
// pointer and each slot are stored with release and loaded with acquire: an entry is complete before it can be found.
// The value is stored and loaded with sequential consistency, so that what it points to may be freed through
// epochs.hpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <coppice/message.hpp>

namespace coppice::otp {

template <class T>
class NameIndex {
 public:
  NameIndex() {
    tables_.push_back(std::make_unique<Table>(16));
    table_.store(tables_.back().get(), std::memory_order_release);
  }

  // Any thread. `hash` is detail::hash_text(name).
  [[nodiscard]] T* find(std::string_view name, std::uint64_t hash) const noexcept {
    const Entry* entry = find_entry(name, hash);
    return entry == nullptr ? nullptr : entry->value.load(std::memory_order_seq_cst);
  }
  // Writers, one at a time.
  void set(std::string_view name, T* value) {
    const std::uint64_t hash = detail::hash_text(name);
    Entry* entry = find_entry(name, hash);
    if (entry == nullptr) entry = &add(name, hash);
    entry->value.store(value, std::memory_order_seq_cst);
  }

 private:
  struct Entry {
    std::string name;
    std::uint64_t hash = 0;
    std::atomic<T*> value{nullptr};
  };
  struct Table {
    explicit Table(std::size_t size) : mask(size - 1), slots(size) {}
    std::size_t mask;
    std::vector<std::atomic<Entry*>> slots;
  };

  [[nodiscard]] Entry* find_entry(std::string_view name, std::uint64_t hash) const noexcept {
    const Table* table = table_.load(std::memory_order_acquire);
    for (std::size_t i = hash & table->mask;; i = (i + 1) & table->mask) {
      Entry* entry = table->slots[i].load(std::memory_order_acquire);
      if (entry == nullptr) return nullptr;
      if (entry->hash == hash && entry->name == name) return entry;
    }
  }
  static void place(Table& table, Entry* entry) noexcept {
    std::size_t i = entry->hash & table.mask;
    while (table.slots[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & table.mask;
    table.slots[i].store(entry, std::memory_order_release);
  }
  Entry& add(std::string_view name, std::uint64_t hash) {
    if ((entries_.size() + 1) * 2 > tables_.back()->mask + 1) {
      auto table = std::make_unique<Table>((tables_.back()->mask + 1) * 2);
      for (const auto& entry : entries_) place(*table, entry.get());
      tables_.push_back(std::move(table));
      table_.store(tables_.back().get(), std::memory_order_release);
    }
    entries_.push_back(std::make_unique<Entry>());
    Entry& entry = *entries_.back();
    entry.name = name;
    entry.hash = hash;
    place(*tables_.back(), &entry);
    return entry;
  }

  std::atomic<Table*> table_;
  std::vector<std::unique_ptr<Table>> tables_;  // the newest last
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace coppice::otp
