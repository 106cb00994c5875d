// SPDX-License-Identifier: Apache-2.0
//
// f16 and bf16 as elements are stored: two bytes, computed with as float.
//
// Conversions round to the nearest, ties to even, as Eigen's and XLA's do.
#pragma once
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tessera::executor::detail {

constexpr float half_to_float(std::uint16_t half) noexcept {
  constexpr std::uint32_t exponent_mask = 0x7c00U << 13U;
  std::uint32_t bits = (half & 0x7fffU) << 13U;
  const std::uint32_t exponent = bits & exponent_mask;
  bits += (127U - 15U) << 23U;
  if (exponent == exponent_mask) {  // infinity, NaN
    bits += (128U - 16U) << 23U;
  } else if (exponent == 0) {  // zero, subnormal
    bits += 1U << 23U;
    bits = std::bit_cast<std::uint32_t>(std::bit_cast<float>(bits) -
                                        std::bit_cast<float>(std::uint32_t{113U << 23U}));
  }
  return std::bit_cast<float>(bits | (half & 0x8000U) << 16U);
}

constexpr std::uint16_t float_to_half(float value) noexcept {
  constexpr std::uint32_t infinity = 255U << 23U, first_too_large = (127U + 16U) << 23U;
  constexpr std::uint32_t subnormal_magic = ((127U - 15U) + (23U - 10U) + 1U) << 23U;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits & 0x80000000U;
  bits ^= sign;
  std::uint32_t half = 0;
  if (bits >= first_too_large) {
    half = bits > infinity ? 0x7e00 : 0x7c00;
  } else if (bits < 113U << 23U) {  // the float's own addition rounds and shifts
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(bits) +
                                        std::bit_cast<float>(subnormal_magic)) -
           subnormal_magic;
  } else {
    const std::uint32_t is_odd = bits >> 13U & 1U;
    half = (bits + ((15U - 127U) << 23U) + 0xfffU + is_odd) >> 13U;
  }
  return static_cast<std::uint16_t>(half | sign >> 16U);
}

constexpr float bfloat16_to_float(std::uint16_t bfloat16) noexcept {
  return std::bit_cast<float>(std::uint32_t{bfloat16} << 16U);
}

constexpr std::uint16_t float_to_bfloat16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return (bits & 0x80000000U) != 0 ? 0xffc0 : 0x7fc0;
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16U & 1U)) >> 16U);
}

struct Half {
  std::uint16_t bits = 0;

  Half() = default;
  template<class T>
    requires std::is_arithmetic_v<T>
  constexpr explicit Half(T value) noexcept : bits(float_to_half(static_cast<float>(value))) {}
  constexpr operator float() const noexcept { return half_to_float(bits); }  // NOLINT: it is exact
};

struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  template<class T>
    requires std::is_arithmetic_v<T>
  constexpr explicit BFloat16(T value) noexcept
      : bits(float_to_bfloat16(static_cast<float>(value))) {}
  constexpr operator float() const noexcept { return bfloat16_to_float(bits); }  // NOLINT
};

static_assert(sizeof(Half) == 2 && sizeof(BFloat16) == 2);

}  // namespace tessera::executor::detail
