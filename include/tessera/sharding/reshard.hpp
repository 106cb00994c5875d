// SPDX-License-Identifier: Apache-2.0
//
// The single steps by which one sharding of a tensor becomes another.
//
// A resharding is a path of such steps, each over one mesh axis.  What a step costs, and so which
// path is shortest, is cost/'s concern; here is only what each step does, and when it may be taken.
#pragma once
#include <cstdint>

#include "tessera/sharding/dynamic_sharding.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera {

/// The kind of a step along one mesh axis.
enum class StepKind : std::uint8_t {
  slice,           ///< copies -> split: every device keeps its part; nothing moves
  mask,            ///< copies -> partial: one device keeps the values, the others the identity
  all_gather,      ///< split -> copies
  all_reduce,      ///< partial -> copies
  reduce_scatter,  ///< partial -> split
  all_to_all,      ///< split one dim -> split another
  // Neighbours send each other the halos of their shards, where an op's windows slide over a split
  // dim.
  // It changes no sharding, and no resharding takes it.
  halo_exchange,
};

constexpr const char* to_string(StepKind kind) noexcept {
  switch (kind) {
    case StepKind::slice: return "slice";
    case StepKind::mask: return "mask";
    case StepKind::all_gather: return "all-gather";
    case StepKind::all_reduce: return "all-reduce";
    case StepKind::reduce_scatter: return "reduce-scatter";
    case StepKind::all_to_all: return "all-to-all";
    case StepKind::halo_exchange: return "halo-exchange";
  }
  return "";
}

/// Whether devices exchange data; slices and masks are local.
constexpr bool is_collective(StepKind kind) noexcept {
  return kind != StepKind::slice && kind != StepKind::mask;
}

/// One step of a resharding, over one mesh axis.
struct Step {
  StepKind kind{};
  Axis axis = 0;
  std::uint8_t from_dim = 0;  ///< the dim that stops being split: all_gather, all_to_all
  std::uint8_t to_dim = 0;    ///< the dim that becomes split: slice, reduce_scatter, all_to_all

  friend constexpr bool operator==(const Step&, const Step&) noexcept = default;
};

/// What `step` makes of a sharding.  @pre for_each_step offers the step for it; reduction is the
/// one that a mask step introduces
constexpr DynamicSharding apply(const Step& step, DynamicSharding sharding,
                                Reduction reduction = Reduction::none) noexcept {
  switch (step.kind) {
    case StepKind::slice: return sharding.with_split(step.to_dim, step.axis);
    case StepKind::mask: return sharding.with_partial(step.axis, reduction);
    case StepKind::all_gather:
    case StepKind::all_reduce: return sharding.without(step.axis);
    case StepKind::reduce_scatter:
    case StepKind::all_to_all:
      return sharding.without(step.axis).with_split(step.to_dim, step.axis);
    case StepKind::halo_exchange: break;
  }
  return sharding;
}

/// Whether `axis` may become the minor-most axis of `dim`.  @pre sharding.is_replicated(axis)
template<MeshLike M>
constexpr bool can_split(DynamicSharding sharding, const M& mesh, const Dims& dims, std::size_t dim,
                         std::size_t axis) {
  return nests(dims[dim], shard_count(sharding, mesh, dim), mesh.extent(axis));
}

/// Calls visit(Step, DynamicSharding after) for every step that a tensor may take.  Axes of one
/// device take none.  Masks introduce `reduction`, unless it is none or another one is under way.
/// O(rank * axes) calls.
template<MeshLike M, class Visit>
constexpr void for_each_step(DynamicSharding sharding, const M& mesh, const Dims& dims,
                             Reduction reduction, Visit&& visit) {
  const auto take = [&](Step step) { visit(step, apply(step, sharding, reduction)); };
  // Steps that leave `axis` splitting a dim of `without`, the sharding as it is without the axis.
  const auto take_splits = [&](StepKind kind, Axis axis, DynamicSharding without,
                               std::size_t from_dim) {
    for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
      if (dim != from_dim && can_split(without, mesh, dims, dim, axis))
        take({kind, axis, static_cast<std::uint8_t>(from_dim < max_dims ? from_dim : 0),
              static_cast<std::uint8_t>(dim)});
  };
  constexpr std::size_t no_dim = max_dims;
  for (Axis axis = 0; axis < mesh.rank(); ++axis) {
    if (mesh.extent(axis) == 1) continue;
    if (sharding.is_replicated(axis)) {
      take_splits(StepKind::slice, axis, sharding, no_dim);
      const Reduction now = sharding.reduction();
      if (reduction != Reduction::none && (now == Reduction::none || now == reduction))
        take({StepKind::mask, axis});
    } else if (sharding.is_partial(axis)) {
      take({StepKind::all_reduce, axis});
      take_splits(StepKind::reduce_scatter, axis, sharding.without(axis), no_dim);
    } else if (sharding.is_minor_most(axis)) {
      const std::size_t dim = sharding.dim_of(axis);
      take({StepKind::all_gather, axis, static_cast<std::uint8_t>(dim)});
      take_splits(StepKind::all_to_all, axis, sharding.without(axis), dim);
    }
  }
}

}  // namespace tessera
