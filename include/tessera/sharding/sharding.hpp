// SPDX-License-Identifier: Apache-2.0
//
// How a tensor is spread over a mesh, as a type: a wrong sharding does not compile.
//
//   using X = Sharding<Mesh<4, 8>, Split<0>, Whole, Split<1>>;            // MLIR's [[0], [], [1]]
//   using Y = Sharding<Mesh<4, 8>, Split<0>, Whole, Partial<Sum, 1>>;
//   static_assert(X::local_shape(shape<32, 1000, 4096>) == shape<8, 1000, 512>);
//
// Every question has the same answer as for the value form (dynamic_sharding.hpp), because both ask
// the same functions (local.hpp).  A type converts to the value implicitly and for free; the way
// back, sharding_cast, is checked.
#pragma once
#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/detail/parts.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera {

/// How a tensor is spread over a mesh of type M, as an empty class: one Split or Whole for each
/// dim, then at most one Partial.  A sharding that breaks a rule (sharding/rules.def) does not
/// compile.
template<MeshLike M, class... Parts>
class Sharding {
  using List = detail::PartList<Parts...>;
  static constexpr List parts_{};
  static_assert(Reject<detail::find_type_fault<M>(parts_)>::passed);

  static constexpr DynamicSharding value_ = [] {
    DynamicSharding value = DynamicSharding::replicated(List::dim_count);
    for (const detail::Mention& use : parts_.mentions) {
      const auto axis = static_cast<std::size_t>(use.axis);
      value = use.dim == detail::partial_dim
                  ? value.with_partial(axis, parts_.reduction)
                  : value.with_split(static_cast<std::size_t>(use.dim), axis);
    }
    return value;
  }();

 public:
  using mesh_type = M;

  static constexpr std::size_t rank() noexcept { return List::dim_count; }
  static constexpr AxisList axes(std::size_t dim) { return value_.axes(dim); }
  static constexpr AxisSet partial_axes() noexcept { return value_.partial_axes(); }
  static constexpr Reduction reduction() noexcept { return value_.reduction(); }

  constexpr operator DynamicSharding() const noexcept { return value_; }  // NOLINT: free and safe

  /// The shape of the largest shard, as a type.  More dims than the tensor has do not compile.
  template<Extent... Sizes>
    requires StaticMesh<M>
  static constexpr auto local_shape(Shape<Sizes...> whole) {
    static_assert(Reject<rank_fault<sizeof...(Sizes)>>::passed);
    if constexpr (!rank_fault<sizeof...(Sizes)>) {  // one mistake, one error
      constexpr Dims local = tessera::local_shape(Sharding(), M(), whole.dims());
      return [&]<std::size_t... D>(std::index_sequence<D...>) { return Shape<local[D]...>(); }
      (std::make_index_sequence<sizeof...(Sizes)>{});
    } else {
      return whole;
    }
  }

  /// The part of the tensor that `device` holds (local.hpp).
  template<Extent... Sizes>
    requires StaticMesh<M>
  static constexpr Slice slice(Shape<Sizes...> whole, Device device) {
    static_assert(Reject<rank_fault<sizeof...(Sizes)>>::passed);
    return slice_of(Sharding(), M(), whole.dims(), device);
  }

  template<class... Others>
  friend constexpr bool operator==(Sharding, Sharding<M, Others...> other) noexcept {
    return value_ == static_cast<DynamicSharding>(other);
  }
  friend constexpr bool operator==(Sharding, DynamicSharding other) noexcept {
    return value_ == other;
  }

 private:
  template<std::size_t TensorRank>
  static constexpr ShardingFault rank_fault =
      rank() > TensorRank ? ShardingFault{ShardingRule::more_dims_than_tensor, rank(), TensorRank}
                          : ShardingFault{};
};

/// The same axes on another mesh are another placement.  To compare axes alone, compare the values.
template<MeshLike M, class... Parts, MeshLike N, class... Others>
  requires(!std::same_as<M, N>)
constexpr bool operator==(Sharding<M, Parts...>, Sharding<N, Others...>) = delete;

template<MeshLike M, class... Parts>
constexpr DynamicSharding to_dynamic(Sharding<M, Parts...> sharding) noexcept {
  return sharding;
}

template<MeshLike M, class... Parts>
constexpr std::uint64_t hash_value(Sharding<M, Parts...> sharding) noexcept {
  return hash_value(static_cast<DynamicSharding>(sharding));
}

/// From a value back to a type.  Throws InvalidSharding where the value is another sharding.
template<class To>
constexpr To sharding_cast(DynamicSharding sharding) {
  if (!(To() == sharding))
    throw InvalidSharding("sharding " + to_string(sharding) + ", expected " + to_string(To()),
                          ShardingFault{ShardingRule::not_this_sharding});
  return To();
}

}  // namespace tessera
