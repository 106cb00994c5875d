// SPDX-License-Identifier: Apache-2.0
//
// The bodies of annotation.hpp.
#pragma once
#include "tessera/strategy/annotation.hpp"

#include "tessera/sharding/reshard.hpp"

namespace tessera::strategy {

namespace detail {

// Axes of one device place nothing.
TESSERA_INLINE AxisList without_unit_axes(const AxisList& axes, const DynamicMesh& mesh) {
  AxisList result;
  for (const Axis axis : axes)
    if (mesh.extent(axis) > 1) result.push_back(axis);
  return result;
}

}  // namespace detail

TESSERA_INLINE bool allows(const Annotation& annotation, DynamicSharding sharding,
                           const DynamicMesh& mesh) {
  const auto effective = [&](const AxisList& axes) {
    return detail::without_unit_axes(axes, mesh);
  };
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
    if (!annotation.is_open(dim) &&
        effective(sharding.axes(dim)) != effective(annotation.sharding.axes(dim)))
      return false;
  return effective(sharding.partial_axes().to_list()) ==
         effective(annotation.sharding.partial_axes().to_list());
}

TESSERA_INLINE bool fits(const Annotation& annotation, const DynamicMesh& mesh, const Dims& dims) {
  DynamicSharding sharding = DynamicSharding::replicated(dims.size());
  for (std::size_t dim = 0; dim < dims.size(); ++dim)
    for (const Axis axis : annotation.sharding.axes(dim)) {
      if (!can_split(sharding, mesh, dims, dim, axis)) return false;
      sharding = sharding.with_split(dim, axis);
    }
  return true;
}

TESSERA_INLINE DynamicSharding applied(const Annotation& annotation, DynamicSharding sharding,
                                       const DynamicMesh& mesh, const Dims& dims) {
  const DynamicSharding asked = annotation.sharding;
  DynamicSharding result = DynamicSharding::replicated(dims.size());
  for (std::size_t dim = 0; dim < dims.size(); ++dim)
    for (const Axis axis : annotation.is_open(dim) ? sharding.axes(dim) : asked.axes(dim)) {
      const bool is_taken = annotation.is_open(dim) && !asked.is_replicated(axis);
      if (!is_taken && can_split(result, mesh, dims, dim, axis))
        result = result.with_split(dim, axis);
    }
  const Reduction reduction = sharding.reduction() == Reduction::none ? Reduction::sum
                                                                      : sharding.reduction();
  for (const Axis axis : asked.partial_axes().to_list())
    result = result.with_partial(axis, reduction);
  return result;
}

}  // namespace tessera::strategy
