// SPDX-License-Identifier: Apache-2.0
//
// Axes that may trade places, for searches that must not look at the same thing twice.
//
// Axes that hold copies at both ends of a resharding, are of one size and cost the same can be
// exchanged for each other anywhere in between: shardings that differ only so are equally far from
// both ends, and one of them stands for all.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "tessera/core/inline_vector.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera::cost::detail {

// For every axis, another one.
using AxisNames = std::array<Axis, max_axes>;

constexpr AxisNames own_names() noexcept {
  AxisNames names{};
  for (std::size_t axis = 0; axis < max_axes; ++axis) names[axis] = static_cast<Axis>(axis);
  return names;
}

class Interchange {
 public:
  constexpr Interchange() noexcept { group_of_.fill(none); }

  // These axes, in ascending order, may trade places.  @pre none is in a group yet
  constexpr void add_group(const AxisList& axes) {
    for (const Axis axis : axes) group_of_[axis] = static_cast<std::uint8_t>(groups_.size());
    groups_.push_back(axes);
  }

  // The one that stands for this sharding and its like: the axes of a group are used in ascending
  // order, dim by dim.  names[axis] becomes what the axis is called there.
  constexpr DynamicSharding representative(DynamicSharding sharding, AxisNames& names) const {
    names = own_names();
    if (groups_.empty()) return sharding;
    std::array<std::size_t, max_axes> used{};  // of each group
    const auto rename = [&](Axis axis) {
      if (const std::uint8_t group = group_of_[axis]; group != none)
        names[axis] = groups_[group][used[group]++];
      return names[axis];
    };
    DynamicSharding result = DynamicSharding::replicated(sharding.rank());
    for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
      for (const Axis axis : sharding.axes(dim)) result = result.with_split(dim, rename(axis));
    for (const Axis axis : sharding.partial_axes().to_list())
      result = result.with_partial(rename(axis), sharding.reduction());
    for (Axis axis = 0; axis < max_axes; ++axis)
      if (sharding.is_replicated(axis)) rename(axis);
    return result;
  }

 private:
  static constexpr std::uint8_t none = max_axes;
  std::array<std::uint8_t, max_axes> group_of_{};
  InlineVector<AxisList, max_axes> groups_;
};

}  // namespace tessera::cost::detail
