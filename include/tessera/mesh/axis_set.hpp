// SPDX-License-Identifier: Apache-2.0
//
// Sets and ordered lists of mesh axes.
//
// A set says which axes take part (a collective's group, the axes of a partial sum); a list also
// says in which order, major first (the axes that split one tensor dim).
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "tessera/core/inline.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/mesh/rules.hpp"

namespace tessera {

/// The most axes of a mesh.  No published machine needs more, and eight let a sharding fit in one
/// machine word.
inline constexpr std::size_t max_axes = 8;

/// The number of a mesh axis; 0 is the major one.
using Axis = std::uint8_t;
/// Axes in an order, major first.
using AxisList = InlineVector<Axis, max_axes>;

/// A set of mesh axes, in one byte.
class AxisSet {
 public:
  constexpr AxisSet() = default;
  /// Throws InvalidMesh where an axis is one that no mesh has.
  constexpr AxisSet(std::initializer_list<std::size_t> axes) {
    for (const std::size_t axis : axes) insert(axis);
  }
  /// Bit i says whether axis i is in the set.
  static constexpr AxisSet from_bits(std::uint8_t bits) noexcept {
    AxisSet set;
    set.bits_ = bits;
    return set;
  }
  /// {0, ..., count - 1}.
  static constexpr AxisSet first(std::size_t count) noexcept {
    return from_bits(static_cast<std::uint8_t>(count < max_axes ? (1U << count) - 1U : 0xffU));
  }

  constexpr std::uint8_t bits() const noexcept { return bits_; }
  constexpr bool empty() const noexcept { return bits_ == 0; }
  constexpr std::size_t size() const noexcept {
    return static_cast<std::size_t>(std::popcount(bits_));
  }
  constexpr bool contains(std::size_t axis) const noexcept {
    return axis < max_axes && ((bits_ >> axis) & 1U) != 0;
  }
  /// Throws InvalidMesh where no mesh has such an axis.
  constexpr void insert(std::size_t axis) {
    if (axis >= max_axes) refuse(axis);
    bits_ = static_cast<std::uint8_t>(bits_ | (1U << axis));
  }
  constexpr void erase(std::size_t axis) noexcept {
    if (axis < max_axes) bits_ = static_cast<std::uint8_t>(bits_ & ~(1U << axis));
  }

  /// In ascending order.
  constexpr AxisList to_list() const {
    AxisList list;
    for (std::size_t axis = 0; axis < max_axes; ++axis)
      if (contains(axis)) list.push_back(static_cast<Axis>(axis));
    return list;
  }

  friend constexpr AxisSet operator|(AxisSet a, AxisSet b) noexcept {
    return from_bits(static_cast<std::uint8_t>(a.bits_ | b.bits_));
  }
  friend constexpr AxisSet operator&(AxisSet a, AxisSet b) noexcept {
    return from_bits(static_cast<std::uint8_t>(a.bits_ & b.bits_));
  }
  friend constexpr AxisSet operator-(AxisSet a, AxisSet b) noexcept {
    return from_bits(static_cast<std::uint8_t>(a.bits_ & ~b.bits_));
  }
  friend constexpr bool operator==(AxisSet, AxisSet) noexcept = default;

 private:
  [[noreturn]] static void refuse(std::size_t axis);

  std::uint8_t bits_ = 0;
};

}  // namespace tessera

#ifdef TESSERA_HEADER_ONLY
#include "tessera/mesh/axis_set.ipp"
#endif
