// SPDX-License-Identifier: Apache-2.0
//
// Shardings as text.
#pragma once
#include "tessera/core/text.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera {

TESSERA_INLINE std::string to_string(DynamicSharding sharding) {
  std::string text = "[";
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim) {
    text += dim == 0 ? "[" : ", [";
    text += joined(sharding.axes(dim), ", ") + ']';
  }
  text += ']';
  if (!sharding.partial_axes().empty()) {
    text += " partial=";
    text += to_string(sharding.reduction());
    text += '[' + joined(sharding.partial_axes().to_list(), ", ") + ']';
  }
  return text;
}

TESSERA_INLINE void detail::refuse_written(
    const DynamicMesh& mesh, std::initializer_list<std::initializer_list<std::size_t>> dims,
    const PartialAxes& partial, ShardingFault fault) {
  const auto list = [](std::initializer_list<std::size_t> axes) {
    return '[' + joined(axes, ", ") + ']';
  };
  std::string text = "sharding [" + joined(dims, ", ", list) + ']';
  if (partial.axes.size() != 0 || partial.reduction != Reduction::none) {
    text += " partial=";
    text += to_string(partial.reduction);
    text += list(partial.axes);
  }
  text += " on mesh " + to_string(mesh);
  if (fault.first >= 0 && fault.rule != ShardingRule::too_many_dims)
    text += ", axis " + std::to_string(fault.first);
  throw InvalidSharding(text, fault);
}

}  // namespace tessera
