// SPDX-License-Identifier: Apache-2.0
//
// Registered names of one runtime. Reading takes no lock and writes nothing: a name, once seen, has an entry for the
// life of the runtime (as an atom has), and the entry holds the number of the process that has the name, or 0. The
// entries stand in an open-addressing table of pointers that is replaced when it grows; replaced tables are kept until
// the end, so that a reader may finish its search in an old one: entries never move.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <coppice/message.hpp>
#include <coppice/pid.hpp>

namespace coppice::runtime {

class NameTable {
 public:
  explicit NameTable(std::uint32_t creation);
  ~NameTable();
  NameTable(const NameTable&) = delete;
  NameTable& operator=(const NameTable&) = delete;

  static constexpr std::size_t length_max = 255;  // bytes

  [[nodiscard]] static bool is_acceptable(std::string_view name) noexcept;  // length, not reserved (PR-109)

  // Any thread, no lock. `hash` is detail::hash_text of the name: Name<S> has it as a constant.
  [[nodiscard]] Pid whereis(std::string_view name, std::uint64_t hash) const noexcept {
    const Entry* entry = find(name, hash);
    if (entry == nullptr) return {};
    const std::uint64_t number = entry->number.load(std::memory_order_acquire);
    return number == 0 ? Pid{} : Pid{number, 0, creation_};
  }
  [[nodiscard]] Pid whereis(std::string_view name) const noexcept { return whereis(name, detail::hash_text(name)); }

  // Any thread. Binds the name if it is free; else returns false and who has it.
  // `text`, if asked for, is the name for as long as the table lives.
  bool bind(std::string_view name, const Pid& pid, Pid* holder = nullptr, const char** text = nullptr);
  // Frees the name if `pid` has it.
  bool unbind(std::string_view name, const Pid& pid);
  [[nodiscard]] std::vector<std::string> registered() const;

 private:
  struct Entry {
    std::string name;
    std::uint64_t hash = 0;
    std::atomic<std::uint64_t> number{0};
  };
  struct Table {
    explicit Table(std::size_t size) : mask(size - 1), slots(size) {}
    std::size_t mask;
    std::vector<std::atomic<Entry*>> slots;
  };
  // Names are short: to compare the first and the last words, which may overlap, is cheaper than a call.
  [[nodiscard]] static bool same_text(std::string_view a, std::string_view b) noexcept {
    const std::size_t size = a.size();
    if (size != b.size()) return false;
    if (size < 4 || size > 16) return a == b;
    const auto same = [&]<class Word>(Word first_a) {
      Word first_b;
      Word last_a;
      Word last_b;
      std::memcpy(&first_a, a.data(), sizeof(Word));
      std::memcpy(&first_b, b.data(), sizeof(Word));
      std::memcpy(&last_a, a.data() + size - sizeof(Word), sizeof(Word));
      std::memcpy(&last_b, b.data() + size - sizeof(Word), sizeof(Word));
      return ((first_a ^ first_b) | (last_a ^ last_b)) == 0;
    };
    return size < 8 ? same(std::uint32_t{}) : same(std::uint64_t{});
  }
  // Where the search for a name begins: the low bits of FNV alone are poor.
  [[nodiscard]] static std::size_t place_of(std::uint64_t hash) noexcept { return hash ^ (hash >> 29); }
  // The table pointer and each slot are loaded with acquire, which pairs with the release of the writer that filled them: an
  // entry's text is complete before the entry can be found.
  [[nodiscard]] Entry* find(std::string_view name, std::uint64_t hash) const noexcept {
    const Table* table = table_.load(std::memory_order_acquire);
    for (std::size_t i = place_of(hash) & table->mask;; i = (i + 1) & table->mask) {
      Entry* entry = table->slots[i].load(std::memory_order_acquire);
      if (entry == nullptr) return nullptr;
      if (entry->hash == hash && same_text(entry->name, name)) return entry;
    }
  }
  void grow();

  const std::uint32_t creation_;
  std::atomic<Table*> table_;
  mutable std::mutex mutex_;                    // writers
  std::vector<std::unique_ptr<Table>> tables_;  // the newest last
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace coppice::runtime
