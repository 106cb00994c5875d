// SPDX-License-Identifier: Apache-2.0
//
// The element types of HLO, their names and sizes.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tessera::graph {

// clang-format off
enum class ElementType : std::uint8_t {
  pred, s1, s2, s4, s8, s16, s32, s64, u1, u2, u4, u8, u16, u32, u64,
  f4e2m1fn, f8e3m4, f8e4m3, f8e4m3b11fnuz, f8e4m3fn, f8e4m3fnuz, f8e5m2, f8e5m2fnuz, f8e8m0fnu,
  f16, bf16, f32, f64, c64, c128, token, opaque,
};
// clang-format on

namespace detail {

enum class Family : std::uint8_t { boolean, integer, floating, complex, none };

struct ElementInfo {
  std::string_view name;
  std::uint8_t bits;  // pred counts as the byte it occupies
  Family family;
  std::uint8_t exponent_bits = 0, mantissa_bits = 0;  // of a floating type
};

// In the order of the enumerators.
inline constexpr std::array<ElementInfo, 32> element_infos{{
    {"pred", 8, Family::boolean},
    {"s1", 1, Family::integer},
    {"s2", 2, Family::integer},
    {"s4", 4, Family::integer},
    {"s8", 8, Family::integer},
    {"s16", 16, Family::integer},
    {"s32", 32, Family::integer},
    {"s64", 64, Family::integer},
    {"u1", 1, Family::integer},
    {"u2", 2, Family::integer},
    {"u4", 4, Family::integer},
    {"u8", 8, Family::integer},
    {"u16", 16, Family::integer},
    {"u32", 32, Family::integer},
    {"u64", 64, Family::integer},
    {"f4e2m1fn", 4, Family::floating, 2, 1},
    {"f8e3m4", 8, Family::floating, 3, 4},
    {"f8e4m3", 8, Family::floating, 4, 3},
    {"f8e4m3b11fnuz", 8, Family::floating, 4, 3},
    {"f8e4m3fn", 8, Family::floating, 4, 3},
    {"f8e4m3fnuz", 8, Family::floating, 4, 3},
    {"f8e5m2", 8, Family::floating, 5, 2},
    {"f8e5m2fnuz", 8, Family::floating, 5, 2},
    {"f8e8m0fnu", 8, Family::floating, 8, 0},
    {"f16", 16, Family::floating, 5, 10},
    {"bf16", 16, Family::floating, 8, 7},
    {"f32", 32, Family::floating, 8, 23},
    {"f64", 64, Family::floating, 11, 52},
    {"c64", 64, Family::complex},
    {"c128", 128, Family::complex},
    {"token", 0, Family::none},
    {"opaque", 0, Family::none},
}};
static_assert(element_infos[static_cast<std::size_t>(ElementType::opaque)].name == "opaque");

constexpr const ElementInfo& info(ElementType type) noexcept {
  return element_infos[static_cast<std::size_t>(type)];
}

}  // namespace detail

constexpr std::string_view to_string(ElementType type) noexcept { return detail::info(type).name; }
constexpr int bits_of(ElementType type) noexcept { return detail::info(type).bits; }
/// In memory, unless a layout packs elements: sub-byte types take a byte each.
constexpr std::int64_t bytes_of(ElementType type) noexcept { return (bits_of(type) + 7) / 8; }

constexpr bool is_integer(ElementType type) noexcept {
  return detail::info(type).family == detail::Family::integer;
}
constexpr bool is_floating(ElementType type) noexcept {
  return detail::info(type).family == detail::Family::floating;
}
constexpr bool is_complex(ElementType type) noexcept {
  return detail::info(type).family == detail::Family::complex;
}

/// Whether `to` is a larger floating type that has every number `from` has: f16 and bf16 widen to
/// f32, but not to each other.
constexpr bool widens(ElementType from, ElementType to) noexcept {
  const detail::ElementInfo &narrow = detail::info(from), &wide = detail::info(to);
  return is_floating(from) && is_floating(to) && wide.bits > narrow.bits &&
         wide.exponent_bits >= narrow.exponent_bits && wide.mantissa_bits >= narrow.mantissa_bits;
}

constexpr std::optional<ElementType> parse_element_type(std::string_view name) noexcept {
  for (std::size_t i = 0; i < detail::element_infos.size(); ++i)
    if (detail::element_infos[i].name == name) return static_cast<ElementType>(i);
  return std::nullopt;
}

}  // namespace tessera::graph
