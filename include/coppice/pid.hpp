// SPDX-License-Identifier: Apache-2.0
//
// Pid and Reference: the two identities that travel through a system.
//
// Both are plain values. They keep nothing alive, may be copied to any thread, hashed, ordered and compared, and stay
// meaningful (as the identity of something that is gone) for ever. OTP: pid() and reference(); rules PR-002, PR-128.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

#include <coppice/config.hpp>

namespace coppice {
inline namespace v1 {

// The identity of one process for its whole life, never handed to another process.
//
// `number` holds the slot of the process in its runtime (low 24 bits) and the count of that slot's uses (high 40 bits),
// which leaves out the multiples of 65 536.
// `node` is 0 for a process of this program, else the index of a node name. `creation` tells the incarnations of a
// node, and the runtimes of one program, apart. A default-constructed Pid is no process: false in a condition, and dead
// wherever a dead pid is accepted. Prints as `<0.12.0>`: node, slot, uses of the slot.
struct Pid {
  std::uint64_t number = 0;
  std::uint32_t node = 0;
  std::uint32_t creation = 0;

  static constexpr unsigned slot_bits = 24;

  [[nodiscard]] constexpr std::uint32_t slot() const noexcept {
    return static_cast<std::uint32_t>(number & ((std::uint64_t{1} << slot_bits) - 1));
  }
  [[nodiscard]] constexpr std::uint64_t use() const noexcept { return number >> slot_bits; }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return number != 0; }
  friend constexpr bool operator==(const Pid&, const Pid&) noexcept = default;
  friend constexpr auto operator<=>(const Pid&, const Pid&) noexcept = default;
};

// `<0.12.0>`, as Erlang prints a pid. In a term, a report or a sentence of the runtime it stands as Elixir inspects it:
// `#PID<0.12.0>`.
[[nodiscard]] COPPICE_API std::string to_string(const Pid& pid);

// A value that is unique for the lifetime of the system: names a monitor, an alias, a call or a timer.
// Up to five 32-bit words, as on Erlang's wire; a reference made here uses the first two. A default-constructed
// Reference names nothing. Compare for equality only; the order exists so that it may be a key.
struct Reference {
  std::array<std::uint32_t, 5> words{};
  std::uint32_t word_count = 0;
  std::uint32_t node = 0;
  std::uint32_t creation = 0;

  // The number behind a reference that this program made; 0 for none.
  [[nodiscard]] constexpr std::uint64_t id() const noexcept { return (std::uint64_t{words[1]} << 32) | words[0]; }
  static constexpr Reference from_id(std::uint64_t id, std::uint32_t creation) noexcept {
    return {{static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(id >> 32)}, 2, 0, creation};
  }
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return word_count != 0; }
  friend constexpr bool operator==(const Reference&, const Reference&) noexcept = default;
  friend constexpr auto operator<=>(const Reference&, const Reference&) noexcept = default;
};

// `#Reference<0.1.2.3>`, as Elixir prints a reference.
[[nodiscard]] COPPICE_API std::string to_string(const Reference& reference);

}  // namespace v1
}  // namespace coppice

template <>
struct std::hash<coppice::Pid> {
  std::size_t operator()(const coppice::Pid& pid) const noexcept {
    std::uint64_t h = pid.number ^ (std::uint64_t{pid.creation} << 32) ^ pid.node;
    h ^= h >> 31;
    h *= 0x9e3779b97f4a7c15ULL;
    return static_cast<std::size_t>(h ^ (h >> 32));
  }
};

template <>
struct std::hash<coppice::Reference> {
  std::size_t operator()(const coppice::Reference& reference) const noexcept {
    std::uint64_t h = reference.id() ^ (std::uint64_t{reference.words[2]} << 17) ^ reference.creation;
    h *= 0x9e3779b97f4a7c15ULL;
    return static_cast<std::size_t>(h ^ (h >> 32));
  }
};
