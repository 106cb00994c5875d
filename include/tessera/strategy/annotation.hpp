// SPDX-License-Identifier: Apache-2.0
//
// Annotations: the shardings that a user asks for.
//
// An annotation is about one result of one op, and holds where the op hands it on.  Dims may be
// left open, to the solver.  Which reduction a partial result is of, an annotation does not say.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/graph/graph.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::strategy {

struct Annotation {
  graph::Value value;
  DynamicSharding sharding;     // its open dims are not split
  std::uint16_t open_dims = 0;  // bit d: dim d is left to the solver
  std::string text;             // how and where the user wrote it, for messages

  constexpr bool is_open(std::size_t dim) const noexcept { return (open_dims >> dim & 1U) != 0; }
};

// Whether both ask for the same.
constexpr bool agree(const Annotation& a, const Annotation& b) noexcept {
  return a.sharding == b.sharding && a.open_dims == b.open_dims;
}

namespace detail {

// Axes of one device place nothing.
inline AxisList without_unit_axes(const AxisList& axes, const DynamicMesh& mesh) {
  AxisList result;
  for (const Axis axis : axes)
    if (mesh.extent(axis) > 1) result.push_back(axis);
  return result;
}

}  // namespace detail

// Whether a sharding is as the annotation asks.
inline bool allows(const Annotation& annotation, DynamicSharding sharding,
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

// Whether a tensor can be cut as the annotation asks.
inline bool fits(const Annotation& annotation, const DynamicMesh& mesh, const Dims& dims) {
  DynamicSharding sharding = DynamicSharding::replicated(dims.size());
  for (std::size_t dim = 0; dim < dims.size(); ++dim)
    for (const Axis axis : annotation.sharding.axes(dim)) {
      if (!can_split(sharding, mesh, dims, dim, axis)) return false;
      sharding = sharding.with_split(dim, axis);
    }
  return true;
}

// The sharding that the annotation makes of another: its own in the dims that it names, and in open
// dims what is there already, as far as it may stay.  @pre fits(annotation, mesh, dims)
inline DynamicSharding applied(const Annotation& annotation, DynamicSharding sharding,
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
