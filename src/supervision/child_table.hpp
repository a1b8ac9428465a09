// SPDX-License-Identifier: Apache-2.0
//
// ChildTable: the children of a dynamic supervisor, by pid: 16 bytes for each of them and some free places. Children that were
// started by the same specification share it. Open addressing with linear probing; taking one out moves those behind it
// up, so nothing is left in its place. A large table grows by a quarter: doubled, it would be half empty on average.
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
  [[nodiscard]] std::size_t places() const noexcept { return places_; }

  [[nodiscard]] Entry* find(std::uint64_t number) noexcept {
    if (size_ == 0) return nullptr;
    Entry& entry = entries_[place_of(number)];
    return entry.number == number ? &entry : nullptr;
  }

  // A number that is not in the table. May throw std::bad_alloc; nothing has changed then.
  void insert(std::uint64_t number, SharedSpec* spec) {
    if (size_ >= most_of(places_)) grow();
    entries_[place_of(number)] = {number, spec};
    ++size_;
  }

  void erase(Entry* entry) noexcept {
    auto hole = static_cast<std::size_t>(entry - entries_.get());
    for (std::size_t at = behind(hole); entries_[at].number != 0; at = behind(at)) {
      // One that would be found before the hole, or behind it, stays.
      const std::size_t wanted = first_place(entries_[at].number);
      if (steps(wanted, at) < steps(hole, at)) continue;
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
    for (std::size_t at = 0; at < places_; ++at) {
      if (entries_[at].number != 0) visit(entries_[at]);
    }
  }

 private:
  static constexpr std::size_t places_first = 16;
  static constexpr std::size_t large = 512;

  // Fewer than there are places, so that each search ends.
  [[nodiscard]] static constexpr std::size_t most_of(std::size_t places) noexcept { return places / 16 * 13; }
  [[nodiscard]] std::size_t behind(std::size_t at) const noexcept { return at + 1 == places_ ? 0 : at + 1; }
  [[nodiscard]] std::size_t steps(std::size_t from, std::size_t to) const noexcept {
    return to >= from ? to - from : to + places_ - from;
  }
  // Between 0 and places_, which is less than 2 to the power of 32, in proportion to the hash.
  [[nodiscard]] std::size_t first_place(std::uint64_t number) const noexcept {
    return static_cast<std::size_t>(((number * 0x9e3779b97f4a7c15ULL) >> 32) * places_ >> 32);
  }
  // Where it stands, or would.
  [[nodiscard]] std::size_t place_of(std::uint64_t number) const noexcept {
    std::size_t at = first_place(number);
    while (entries_[at].number != 0 && entries_[at].number != number) at = behind(at);
    return at;
  }
  void grow() {
    const std::size_t old_places = places_;
    const std::size_t places = old_places == 0      ? places_first
                               : old_places < large ? 2 * old_places
                                                    : old_places / 4 * 5;
    const auto old = std::exchange(entries_, std::make_unique<Entry[]>(places));
    places_ = places;
    for (std::size_t i = 0; i < old_places; ++i) {
      if (old[i].number != 0) entries_[place_of(old[i].number)] = old[i];
    }
  }

  std::unique_ptr<Entry[]> entries_;
  std::size_t places_ = 0;
  std::size_t size_ = 0;
};

}  // namespace coppice::otp
