// SPDX-License-Identifier: Apache-2.0
#include "term/big_integer.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace coppice::term {
namespace {

constexpr std::uint32_t decimal_chunk = 1'000'000'000;
constexpr std::size_t decimal_chunk_digits = 9;

void trim(Limbs& limbs) noexcept {
  while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
}

// limbs = limbs * factor + summand
void multiply_add(Limbs& limbs, std::uint32_t factor, std::uint32_t summand) {
  std::uint64_t carry = summand;
  for (std::uint32_t& limb : limbs) {
    carry += std::uint64_t{limb} * factor;
    limb = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
  if (carry != 0) limbs.push_back(static_cast<std::uint32_t>(carry));
}

// limbs = limbs / divisor; returns the remainder.
std::uint32_t divide(Limbs& limbs, std::uint32_t divisor) noexcept {
  std::uint64_t remainder = 0;
  for (std::size_t i = limbs.size(); i-- > 0;) {
    const std::uint64_t value = (remainder << 32) | limbs[i];
    limbs[i] = static_cast<std::uint32_t>(value / divisor);
    remainder = value % divisor;
  }
  trim(limbs);
  return static_cast<std::uint32_t>(remainder);
}

// The 53 bits of a finite, positive double and the power of two they are multiplied with.
struct DoubleParts {
  std::uint64_t mantissa;
  int exponent;
};
DoubleParts parts_of(double value) noexcept {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  return {static_cast<std::uint64_t>(std::ldexp(fraction, 53)), exponent - 53};
}

// Three limbs at least hold mantissa * 2^shift for a shift below 32; the limbs below are zero.
std::array<std::uint32_t, 3> shifted(std::uint64_t mantissa, unsigned shift) noexcept {
  const std::uint64_t low = (mantissa & 0xffffffffU) << shift;
  const std::uint64_t high = ((mantissa >> 32) << shift) + (low >> 32);
  return {static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(high), static_cast<std::uint32_t>(high >> 32)};
}

// Against mantissa * 2^exponent (exponent >= 0), without memory.
std::strong_ordering compare_with_parts(LimbsView left, const DoubleParts& right) noexcept {
  const std::size_t zeros = static_cast<std::size_t>(right.exponent) / 32;
  const auto top = shifted(right.mantissa, static_cast<unsigned>(right.exponent) % 32);
  const std::size_t top_size = top[2] != 0 ? 3 : top[1] != 0 ? 2 : 1;
  if (left.size() != zeros + top_size) return left.size() <=> zeros + top_size;
  for (std::size_t i = left.size(); i-- > 0;) {
    const std::uint32_t limb = i < zeros ? 0 : top[i - zeros];
    if (left[i] != limb) return left[i] <=> limb;
  }
  return std::strong_ordering::equal;
}

std::strong_ordering reversed(std::strong_ordering order) noexcept { return 0 <=> order; }

}  // namespace

Limbs limbs_of(std::uint64_t value) {
  Limbs limbs{static_cast<std::uint32_t>(value), static_cast<std::uint32_t>(value >> 32)};
  trim(limbs);
  return limbs;
}

std::optional<Limbs> limbs_from_decimal(std::string_view digits) {
  if (digits.empty()) return std::nullopt;
  Limbs limbs;
  std::uint32_t chunk = 0;
  std::uint32_t factor = 1;
  for (char digit : digits) {
    if (digit < '0' || digit > '9') return std::nullopt;
    chunk = chunk * 10 + static_cast<std::uint32_t>(digit - '0');
    factor *= 10;
    if (factor == decimal_chunk) {
      multiply_add(limbs, factor, chunk);
      chunk = 0;
      factor = 1;
    }
  }
  multiply_add(limbs, factor, chunk);
  return limbs;
}

std::string to_decimal(LimbsView limbs) {
  if (limbs.empty()) return "0";
  Limbs rest(limbs.begin(), limbs.end());
  std::string text;
  while (!rest.empty()) {
    std::uint32_t chunk = divide(rest, decimal_chunk);
    for (std::size_t i = 0; i < decimal_chunk_digits && (chunk != 0 || !rest.empty()); ++i, chunk /= 10) {
      text.push_back(static_cast<char>('0' + chunk % 10));
    }
  }
  std::reverse(text.begin(), text.end());
  return text;
}

Limbs limbs_from_bytes(std::span<const std::uint8_t> bytes) {
  Limbs limbs((bytes.size() + 3) / 4);
  for (std::size_t i = 0; i < bytes.size(); ++i) limbs[i / 4] |= std::uint32_t{bytes[i]} << (i % 4 * 8);
  trim(limbs);
  return limbs;
}

std::optional<std::uint64_t> to_uint64(LimbsView limbs) noexcept {
  if (limbs.size() > 2) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = limbs.size(); i-- > 0;) value = (value << 32) | limbs[i];
  return value;
}

std::strong_ordering compare_magnitudes(LimbsView left, LimbsView right) noexcept {
  if (left.size() != right.size()) return left.size() <=> right.size();
  for (std::size_t i = left.size(); i-- > 0;) {
    if (left[i] != right[i]) return left[i] <=> right[i];
  }
  return std::strong_ordering::equal;
}

std::strong_ordering compare_with_double(std::int64_t left, double right) noexcept {
  constexpr double two_to_63 = 9223372036854775808.0;
  if (right >= two_to_63) return std::strong_ordering::less;
  if (right < -two_to_63) return std::strong_ordering::greater;
  const double whole = std::trunc(right);
  const auto integral = static_cast<std::int64_t>(whole);
  if (left != integral) return left <=> integral;
  if (right == whole) return std::strong_ordering::equal;
  return right > whole ? std::strong_ordering::less : std::strong_ordering::greater;
}

std::strong_ordering compare_with_double(bool negative, LimbsView magnitude, double right) noexcept {
  constexpr double two_to_63 = 9223372036854775808.0;
  // A magnitude of this kind is at least 2^63, so the sign, or a smaller double, decides.
  if (negative != (right < 0) || std::abs(right) < two_to_63) {
    return negative ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  const std::strong_ordering order = compare_with_parts(magnitude, parts_of(std::abs(right)));
  return negative ? reversed(order) : order;
}

}  // namespace coppice::term
