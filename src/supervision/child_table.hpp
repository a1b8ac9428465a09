// SPDX-License-Identifier: Apache-2.0
//
// ChildTable: the children of a dynamic supervisor, by pid: 16 bytes for each of them and some free places. Children that were
// started by the same specification share it. Open addressing with linear probing; taking one out moves those behind it
// up, so nothing is left in its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <coppice/child_spec.hpp>
#include <coppice/pid.hpp>

namespace coppice::otp {

// A specification without its id, as it is kept, and how many children have it.
struct SharedSpec {
  ChildSpec spec;
  Atom module;  // of the start call
  Atom function;
  std::size_t children = 0;
};

class ChildTable {
 public:
  struct Entry {
    std::uint64_t number = 0;  // Pid::number; 0: a free place
    SharedSpec* spec = nullptr;
  };

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  [[nodiscard]] Entry* find(std::uint64_t number) noexcept {
    if (size_ == 0) return nullptr;
    Entry& entry = entries_[place_of(number)];
    return entry.number == number ? &entry : nullptr;
  }

  // A number that is not in the table. May throw std::bad_alloc; nothing has changed then.
  void insert(std::uint64_t number, SharedSpec* spec) {
    if (entries_ == nullptr || size_ >= (mask_ + 1) / 4 * 3) grow();
    entries_[place_of(number)] = {number, spec};
    ++size_;
  }

  void erase(Entry* entry) noexcept {
    auto hole = static_cast<std::size_t>(entry - entries_.get());
    for (std::size_t at = (hole + 1) & mask_; entries_[at].number != 0; at = (at + 1) & mask_) {
      // One that would be found before the hole, or behind it, stays.
      const std::size_t wanted = first_place(entries_[at].number);
      if (((at - wanted) & mask_) < ((at - hole) & mask_)) continue;
      entries_[hole] = entries_[at];
      hole = at;
    }
    entries_[hole] = {};
    --size_;
  }

  // Calls `visit(entry)` for each; it must not change the table.
  template <class F>
  void for_each(F&& visit) const {
    if (entries_ == nullptr) return;
    for (std::size_t at = 0; at <= mask_; ++at) {
      if (entries_[at].number != 0) visit(entries_[at]);
    }
  }

 private:
  [[nodiscard]] std::size_t first_place(std::uint64_t number) const noexcept {
    return static_cast<std::size_t>((number * 0x9e3779b97f4a7c15ULL) >> 32) & mask_;
  }
  // Where it stands, or would.
  [[nodiscard]] std::size_t place_of(std::uint64_t number) const noexcept {
    std::size_t at = first_place(number);
    while (entries_[at].number != 0 && entries_[at].number != number) at = (at + 1) & mask_;
    return at;
  }
  void grow() {
    const std::size_t places = entries_ == nullptr ? 8 : 2 * (mask_ + 1);
    const auto old = std::exchange(entries_, std::make_unique<Entry[]>(places));
    const std::size_t old_places = old == nullptr ? 0 : mask_ + 1;
    mask_ = places - 1;
    for (std::size_t i = 0; i < old_places; ++i) {
      if (old[i].number != 0) entries_[place_of(old[i].number)] = old[i];
    }
  }

  std::unique_ptr<Entry[]> entries_;
  std::size_t mask_ = 0;
  std::size_t size_ = 0;
};

}  // namespace coppice::otp
