// SPDX-License-Identifier: Apache-2.0
//
// The sizes of a tensor's dims: as a value (Dims) and as a type (Shape<32, 1000>).
#pragma once
#include <cstddef>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/rules.hpp"

namespace tessera {

/// The most dims of a tensor.  Programs use five; fourteen leave a sharding's half-byte per axis
/// two further meanings.
inline constexpr std::size_t max_dims = 14;

/// The sizes of a tensor's dims, in elements.
using Dims = InlineVector<Extent, max_dims>;

/// The number of elements; 1 for a scalar, 0 where a dim is empty.  Throws Overflow.
constexpr Extent element_count(const Dims& dims) {
  Extent count = 1;
  for (const Extent dim : dims) count = checked_mul(count, dim);
  return count;
}

/// "[32,1000]"
std::string to_string(const Dims& dims);

namespace detail {

constexpr ShardingFault find_shape_fault(const Extent* dims, std::size_t rank) {
  if (rank > max_dims) return {ShardingRule::too_many_dims, static_cast<std::int64_t>(rank)};
  for (std::size_t dim = 0; dim < rank; ++dim)
    if (dims[dim] < 0)
      return {ShardingRule::negative_dim, static_cast<std::int64_t>(dim), dims[dim]};
  return {};
}

[[noreturn]] void refuse_shape(const char* what, const Dims& dims, ShardingFault fault);

}  // namespace detail

/// Throws InvalidSharding where a dim is negative; `what` says what has these dims.
constexpr void check_shape(const char* what, const Dims& dims) {
  if (const ShardingFault fault = detail::find_shape_fault(dims.data(), dims.size()))
    detail::refuse_shape(what, dims, fault);
}

/// The sizes of a tensor's dims as a type.
template<Extent... Sizes>
struct Shape {
  static constexpr Extent sizes[sizeof...(Sizes) + 1] = {Sizes..., 0};
  static_assert(Reject<detail::find_shape_fault(sizes, sizeof...(Sizes))>::passed);

  static constexpr std::size_t rank() noexcept { return sizeof...(Sizes); }
  static constexpr Dims dims() { return Dims{Sizes...}; }

  template<Extent... Others>
  friend constexpr bool operator==(Shape, Shape<Others...>) noexcept {
    return dims() == Shape<Others...>::dims();
  }
};

template<Extent... Sizes>
inline constexpr Shape<Sizes...> shape{};

}  // namespace tessera

#ifdef TESSERA_HEADER_ONLY
#include "tessera/sharding/shape.ipp"
#endif
