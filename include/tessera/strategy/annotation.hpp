// SPDX-License-Identifier: Apache-2.0
//
// Annotations: the shardings that a user asks for.
//
// An annotation asks for the output sharding of one result of one op.  Dims may be left open, to
// the solver.  An annotation does not state the reduction of partial sums.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::strategy {

/// The sharding that a user asks for, of one result of one op.
struct Annotation {
  graph::Value value;
  DynamicSharding sharding;     ///< its open dims are not split
  std::uint16_t open_dims = 0;  ///< bit d: dim d is left to the solver
  std::string text;             ///< how and where the user wrote it, for messages

  constexpr bool is_open(std::size_t dim) const noexcept { return (open_dims >> dim & 1U) != 0; }
};

/// Whether both ask for the same.
constexpr bool agree(const Annotation& a, const Annotation& b) noexcept {
  return a.sharding == b.sharding && a.open_dims == b.open_dims;
}

/// Whether a sharding is as the annotation asks.
bool allows(const Annotation& annotation, DynamicSharding sharding, const DynamicMesh& mesh);

/// Whether a tensor can be cut as the annotation asks.
bool fits(const Annotation& annotation, const DynamicMesh& mesh, const Dims& dims);

/// The sharding that the annotation makes of another: in the dims that it names its own, and in
/// open dims that of `sharding`, as far as both allow.  @pre fits(annotation, mesh, dims)
DynamicSharding applied(const Annotation& annotation, DynamicSharding sharding,
                        const DynamicMesh& mesh, const Dims& dims);

}  // namespace tessera::strategy

#ifdef TESSERA_HEADER_ONLY
#include "tessera/strategy/annotation.ipp"
#endif
