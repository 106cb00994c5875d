// SPDX-License-Identifier: Apache-2.0
//
// How a tensor is spread over a mesh, as a value of eight bytes.
//
// For each tensor dim, the mesh axes that split it, major first; and the axes over which the tensor
// is a partial sum (unreduced), with the reduction that would finish it.  Every other axis holds
// copies.  An axis is used at most once.
//
// A search compares and hashes millions of these, so the whole value is one 64-bit word.  It does
// not know its mesh: what a device then holds is asked with the mesh at hand (local.hpp).  The form
// that is a type, and checks its mesh, is sharding.hpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "tessera/core/integer.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/detail/mentions.hpp"
#include "tessera/sharding/reduction.hpp"
#include "tessera/sharding/rules.hpp"
#include "tessera/sharding/shape.hpp"

namespace tessera {

/// All that the rest of the library asks of a sharding, whichever form it has.
template<class S>
concept ShardingLike = requires(const S& sharding, std::size_t dim) {
  { sharding.rank() } -> std::convertible_to<std::size_t>;
  { sharding.axes(dim) } -> std::same_as<AxisList>;
  { sharding.partial_axes() } -> std::same_as<AxisSet>;
  { sharding.reduction() } -> std::same_as<Reduction>;
};

/// The mesh axes over which a tensor is a partial sum (unreduced), and the reduction that finishes
/// it.
struct PartialAxes {
  Reduction reduction = Reduction::none;
  std::initializer_list<std::size_t> axes;
};

/// How a tensor is spread over a mesh, as a value of eight bytes that does not know its mesh.
class DynamicSharding {
 public:
  constexpr DynamicSharding() = default;  ///< of a scalar: copies everywhere

  /// Copies on every device.  @pre rank <= max_dims
  static constexpr DynamicSharding replicated(std::size_t rank) noexcept {
    DynamicSharding sharding;
    sharding.bits_ |= std::uint64_t{rank} << rank_shift;
    return sharding;
  }

  /// As written: DynamicSharding(mesh, {{0}, {}, {1}}), with {Reduction::sum, {2}} for the partial
  /// axes.  Throws InvalidSharding, in the words a compile error would use.
  template<MeshLike M>
  constexpr DynamicSharding(const M& mesh,
                            std::initializer_list<std::initializer_list<std::size_t>> dims,
                            PartialAxes partial = {});

  constexpr std::size_t rank() const noexcept { return bits_ >> rank_shift; }

  /// The axes that split `dim`, major first.  @pre dim < rank()
  constexpr AxisList axes(std::size_t dim) const {
    AxisList list;
    list.resize(split_count(dim));
    for (std::size_t axis = 0; axis < max_axes; ++axis)
      if (role(axis) == dim) list[order(axis)] = static_cast<Axis>(axis);
    return list;
  }

  constexpr AxisSet partial_axes() const noexcept { return axes_with(partial_role); }
  constexpr Reduction reduction() const noexcept {
    return static_cast<Reduction>((bits_ >> reduction_shift) & 0xfU);
  }
  /// The axes that split some dim.
  constexpr AxisSet split_axes() const noexcept {
    AxisSet set;
    for (std::size_t axis = 0; axis < max_axes; ++axis)
      if (role(axis) < partial_role) set.insert(axis);
    return set;
  }

  constexpr bool is_split(std::size_t axis) const noexcept { return role(axis) < partial_role; }
  constexpr bool is_partial(std::size_t axis) const noexcept { return role(axis) == partial_role; }
  /// Whether the axis holds copies: it neither splits a dim nor is partial.
  constexpr bool is_replicated(std::size_t axis) const noexcept {
    return role(axis) == replicated_role;
  }
  constexpr bool is_replicated() const noexcept { return (bits_ & role_bits) == role_bits; }
  /// The dim that `axis` splits.  @pre is_split(axis)
  constexpr std::size_t dim_of(std::size_t axis) const noexcept { return role(axis); }
  /// Whether `axis` is the last of those that split its dim.  @pre is_split(axis)
  constexpr bool is_minor_most(std::size_t axis) const noexcept {
    return order(axis) + 1 == split_count(role(axis));
  }

  /// This sharding with one more axis in use, as the minor-most of those that split `dim`.
  /// @pre is_replicated(axis), dim < rank()
  constexpr DynamicSharding with_split(std::size_t dim, std::size_t axis) const noexcept {
    DynamicSharding result = *this;
    result.set_order(axis, split_count(dim));
    result.set_role(axis, dim);
    return result;
  }
  /// This sharding with one more partial axis.
  /// @pre is_replicated(axis), reduction != none; any axis that is partial already has the same one
  constexpr DynamicSharding with_partial(std::size_t axis, Reduction reduction) const noexcept {
    DynamicSharding result = *this;
    result.set_role(axis, partial_role);
    result.set_reduction(reduction);
    return result;
  }
  /// This sharding with copies along `axis`.  @pre is_partial(axis), or is_minor_most(axis)
  constexpr DynamicSharding without(std::size_t axis) const noexcept {
    DynamicSharding result = *this;
    result.set_order(axis, 0);
    result.set_role(axis, replicated_role);
    if (result.partial_axes().empty()) result.set_reduction(Reduction::none);
    return result;
  }

  /// The whole value as one word: different shardings have different words.
  constexpr std::uint64_t bits() const noexcept { return bits_; }
  friend constexpr bool operator==(DynamicSharding, DynamicSharding) noexcept = default;
  friend constexpr auto operator<=>(DynamicSharding, DynamicSharding) noexcept = default;

 private:
  // Bits 0-31: four for each axis, its role: the dim it splits, partial, or replicated.
  // Bits 32-55: three for each axis, its place among those that split its dim (0 is the major one).
  // Bits 56-59: the reduction.  Bits 60-63: the rank.
  static constexpr unsigned order_shift = 32, reduction_shift = 56, rank_shift = 60;
  static constexpr std::uint64_t role_bits = 0xffffffffU;
  static constexpr std::size_t partial_role = max_dims, replicated_role = max_dims + 1;

  constexpr std::size_t role(std::size_t axis) const noexcept { return (bits_ >> 4 * axis) & 0xfU; }
  constexpr std::size_t order(std::size_t axis) const noexcept {
    return (bits_ >> (order_shift + 3 * axis)) & 7U;
  }
  constexpr void set_role(std::size_t axis, std::size_t role) noexcept {
    bits_ = (bits_ & ~(std::uint64_t{0xf} << 4 * axis)) | std::uint64_t{role} << 4 * axis;
  }
  constexpr void set_order(std::size_t axis, std::size_t order) noexcept {
    const unsigned shift = order_shift + 3 * static_cast<unsigned>(axis);
    bits_ = (bits_ & ~(std::uint64_t{7} << shift)) | std::uint64_t{order} << shift;
  }
  constexpr void set_reduction(Reduction reduction) noexcept {
    bits_ = (bits_ & ~(std::uint64_t{0xf} << reduction_shift)) |
            std::uint64_t{static_cast<std::uint8_t>(reduction)} << reduction_shift;
  }
  constexpr AxisSet axes_with(std::size_t wanted) const noexcept {
    AxisSet set;
    for (std::size_t axis = 0; axis < max_axes; ++axis)
      if (role(axis) == wanted) set.insert(axis);
    return set;
  }
  constexpr std::size_t split_count(std::size_t dim) const noexcept {
    return axes_with(dim).size();
  }

  std::uint64_t bits_ = role_bits;
};

static_assert(sizeof(DynamicSharding) == 8);

/// The same sharding as a value, whatever form it came in.
template<ShardingLike S>
constexpr DynamicSharding to_dynamic(const S& sharding) {
  DynamicSharding result = DynamicSharding::replicated(sharding.rank());
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
    for (const Axis axis : sharding.axes(dim)) result = result.with_split(dim, axis);
  for (const Axis axis : sharding.partial_axes().to_list())
    result = result.with_partial(axis, sharding.reduction());
  return result;
}
constexpr DynamicSharding to_dynamic(DynamicSharding sharding) noexcept { return sharding; }

/// MLIR's spelling: "[[0], [], [1]]", with " partial=sum[2]" where it is a partial sum.
std::string to_string(DynamicSharding sharding);
template<ShardingLike S>
std::string to_string(const S& sharding) {
  return to_string(to_dynamic(sharding));
}

constexpr std::uint64_t hash_value(DynamicSharding sharding) noexcept {
  return mix_bits(sharding.bits());
}

namespace detail {

// Throws InvalidSharding: "sharding [[0], [0]] on mesh 2x4, axis 0: ...".
[[noreturn]] void refuse_written(const DynamicMesh& mesh,
                                 std::initializer_list<std::initializer_list<std::size_t>> dims,
                                 const PartialAxes& partial, ShardingFault fault);

}  // namespace detail

template<MeshLike M>
constexpr DynamicSharding::DynamicSharding(
    const M& mesh, std::initializer_list<std::initializer_list<std::size_t>> dims,
    PartialAxes partial) {
  // Two dozen mentions are more than any valid sharding has: a longer list repeats an axis.
  InlineVector<detail::Mention, 3 * max_axes> mentions;
  const auto mention = [&](std::int64_t dim, std::size_t axis) {
    if (mentions.size() < mentions.capacity())
      mentions.push_back({dim, static_cast<std::int64_t>(axis)});
  };
  std::int64_t dim = 0;
  for (const auto& axes : dims) {
    for (const std::size_t axis : axes) mention(dim, axis);
    ++dim;
  }
  for (const std::size_t axis : partial.axes) mention(detail::partial_dim, axis);

  ShardingFault fault =
      detail::find_sharding_fault(mentions.data(), mentions.size(), dims.size(), mesh.rank());
  if (!fault && partial.axes.size() == 0 && partial.reduction != Reduction::none)
    fault = {ShardingRule::partial_without_axes};
  if (!fault && partial.axes.size() != 0 && partial.reduction == Reduction::none)
    fault = {ShardingRule::partial_without_reduction};
  if (fault) detail::refuse_written(to_dynamic(mesh), dims, partial, fault);

  *this = replicated(dims.size());
  for (const detail::Mention& use : mentions) {
    const auto axis = static_cast<std::size_t>(use.axis);
    *this = use.dim == detail::partial_dim ? with_partial(axis, partial.reduction)
                                           : with_split(static_cast<std::size_t>(use.dim), axis);
  }
}

}  // namespace tessera

template<>
struct std::hash<tessera::DynamicSharding> {
  std::size_t operator()(tessera::DynamicSharding sharding) const noexcept {
    return static_cast<std::size_t>(hash_value(sharding));
  }
};

#ifdef TESSERA_HEADER_ONLY
#include "tessera/sharding/dynamic_sharding.ipp"
#endif
