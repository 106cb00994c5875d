// SPDX-License-Identifier: Apache-2.0
//
// A sharding as it is written, axis by axis, and the judge of it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tessera/mesh/axis_set.hpp"
#include "tessera/sharding/rules.hpp"
#include "tessera/sharding/shape.hpp"

namespace tessera::detail {

// One use of an axis, as written: dim is a tensor dim, or partial_dim.
struct Mention {
  std::int64_t dim;
  std::int64_t axis;
};
inline constexpr std::int64_t partial_dim = -1;

// The judge: the first rule that the mentions break on a mesh of `mesh_rank` axes, if any.
constexpr ShardingFault find_sharding_fault(const Mention* mentions, std::size_t count,
                                            std::size_t dim_count, std::size_t mesh_rank) {
  if (dim_count > max_dims)
    return {ShardingRule::too_many_dims, static_cast<std::int64_t>(dim_count)};
  for (std::size_t i = 0; i < count; ++i) {
    const Mention now = mentions[i];
    if (now.axis < 0 || now.axis >= static_cast<std::int64_t>(mesh_rank))
      return {ShardingRule::no_such_axis, now.axis};
    for (std::size_t j = 0; j < i; ++j) {
      const Mention before = mentions[j];
      if (before.axis != now.axis) continue;
      if (before.dim == now.dim)
        return {now.dim == partial_dim ? ShardingRule::partial_axis_repeated
                                       : ShardingRule::axis_repeated,
                now.axis, now.dim};
      if (before.dim == partial_dim || now.dim == partial_dim)
        return {ShardingRule::axis_split_and_partial, now.axis,
                before.dim == partial_dim ? now.dim : before.dim};
      return {ShardingRule::axis_splits_two_dims, now.axis, before.dim, now.dim};
    }
  }
  return {};
}

}  // namespace tessera::detail
