// SPDX-License-Identifier: Apache-2.0
//
// Magnitudes of integers beyond 64 bits: limbs of 32 bits, lowest first, without leading zeros (zero has none).
// Only what a term needs: read, print, compare. There is no arithmetic on terms.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::term {

using Limbs = std::vector<std::uint32_t>;
using LimbsView = std::span<const std::uint32_t>;

[[nodiscard]] Limbs limbs_of(std::uint64_t value);

// From decimal digits; nothing if there are none or anything else. Takes time quadratic in the number of digits.
[[nodiscard]] std::optional<Limbs> limbs_from_decimal(std::string_view digits);
[[nodiscard]] std::string to_decimal(LimbsView limbs);

// From bytes, lowest first.
[[nodiscard]] Limbs limbs_from_bytes(std::span<const std::uint8_t> bytes);

// The value if it fits.
[[nodiscard]] std::optional<std::uint64_t> to_uint64(LimbsView limbs) noexcept;

[[nodiscard]] std::strong_ordering compare_magnitudes(LimbsView left, LimbsView right) noexcept;

// An integer against a finite double, by value and exactly. The magnitude must be at least 2^63.
[[nodiscard]] std::strong_ordering compare_with_double(std::int64_t left, double right) noexcept;
[[nodiscard]] std::strong_ordering compare_with_double(bool negative, LimbsView magnitude, double right) noexcept;

}  // namespace coppice::term
