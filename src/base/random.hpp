// SPDX-License-Identifier: Apache-2.0
//
// Two small generators of pseudo-random numbers. Neither is fit for secrets.
//
//   SplitMix64   one word of state; turns any seed, however poor, into well mixed words. Used to seed the other one.
//   Xoshiro256   xoshiro256** of Blackman and Vigna: four words of state, about a nanosecond a draw.
//
// Both are plain values: no generator is shared between threads, and the same seed gives the same sequence on every
// platform, which is what the simulation lives by.
#pragma once

#include <array>
#include <cstdint>

namespace coppice::base {

// The finaliser of SplitMix64: a bijection in which every bit of the result depends on every bit of `value`.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31);
}

class SplitMix64 {
 public:
  explicit constexpr SplitMix64(std::uint64_t seed) noexcept : state_(seed) {}

  [[nodiscard]] constexpr std::uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    return mix64(state_);
  }

 private:
  std::uint64_t state_;
};

class Xoshiro256 {
 public:
  // Any seed will do: its four words are drawn from SplitMix64, so they are never all zero.
  explicit constexpr Xoshiro256(std::uint64_t seed) noexcept {
    SplitMix64 words(seed);
    for (std::uint64_t& word : state_) word = words.next();
  }

  // A full state, for instance from the operating system. All zeros, from which the generator would never get away, are
  // replaced.
  explicit constexpr Xoshiro256(const std::array<std::uint64_t, 4>& state) noexcept : state_(state) {
    if ((state_[0] | state_[1] | state_[2] | state_[3]) == 0) *this = Xoshiro256(std::uint64_t{0});
  }

  [[nodiscard]] constexpr std::uint64_t next() noexcept {
    const std::uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = rotate_left(state_[3], 45);
    return result;
  }

  // A number in [0, bound); 0 if `bound` is 0. By multiplication of the upper half of a draw: one draw per call,
  // always, and a bias of less than bound / 2^32, which is of no concern to a scheduler.
  [[nodiscard]] constexpr std::uint32_t below(std::uint32_t bound) noexcept {
    return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32);
  }

  // True with probability `permille` / 1000.
  [[nodiscard]] constexpr bool chance_permille(std::uint32_t permille) noexcept { return below(1000) < permille; }

 private:
  [[nodiscard]] static constexpr std::uint64_t rotate_left(std::uint64_t value, int bits) noexcept {
    return (value << bits) | (value >> (64 - bits));
  }

  std::array<std::uint64_t, 4> state_{};
};

}  // namespace coppice::base
