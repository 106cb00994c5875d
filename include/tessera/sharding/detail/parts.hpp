// SPDX-License-Identifier: Apache-2.0
//
// The template arguments of a Sharding type, read into values once, and judged.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/detail/mentions.hpp"
#include "tessera/sharding/reduction.hpp"
#include "tessera/sharding/rules.hpp"

namespace tessera {

/// A dim cut along these mesh axes, major first.
template<std::size_t... Axes>
struct Split {};
/// A dim that is not cut.
using Whole = Split<>;

/// Unreduced along these mesh axes: R, one of Sum, Max, ..., would finish the partial sum.
template<class R, std::size_t... Axes>
struct Partial {};

namespace detail {

// The meaning of one part of a sharding type.
template<class Part>
struct PartReader {
  static constexpr bool is_part = false, is_partial = false;
  static constexpr std::size_t count = 0;
};
template<std::size_t... Axes>
struct PartReader<Split<Axes...>> {
  static constexpr bool is_part = true, is_partial = false;
  static constexpr std::size_t count = sizeof...(Axes);
  static constexpr std::array<std::size_t, count> axes{Axes...};
};
template<class R, std::size_t... Axes>
struct PartReader<Partial<R, Axes...>> {
  static constexpr bool is_part = true, is_partial = true;
  static constexpr std::size_t count = sizeof...(Axes);
  static constexpr std::array<std::size_t, count> axes{Axes...};
  static constexpr Reduction reduction = [] {
    if constexpr (requires { R::reduction; })
      return R::reduction;
    else
      return Reduction::none;
  }();
};

// The parts of a sharding type, read into values once, and judged.
template<class... Parts>
struct PartList {
  static constexpr std::size_t part_count = sizeof...(Parts);
  static constexpr std::size_t mention_count = (std::size_t{0} + ... + PartReader<Parts>::count);
  static constexpr std::size_t partial_count =
      (std::size_t{0} + ... + std::size_t{PartReader<Parts>::is_partial});
  static constexpr std::size_t dim_count = part_count - partial_count;

  std::array<Mention, mention_count> mentions{};
  ShardingFault order_fault{};  // a rule about the list of parts itself
  Reduction reduction = Reduction::none;

  consteval PartList() {
    [[maybe_unused]] std::size_t at = 0;  // a scalar's sharding may have no parts at all
    [[maybe_unused]] std::int64_t dim = 0, part = 0;
    (read<PartReader<Parts>>(at, dim, part), ...);
  }

  consteval ShardingFault find_fault(std::size_t mesh_rank) const {
    if (order_fault) return order_fault;
    return find_sharding_fault(mentions.data(), mention_count, dim_count, mesh_rank);
  }

 private:
  template<class Reader>
  consteval void read(std::size_t& at, std::int64_t& dim, std::int64_t& part) {
    const bool last = part + 1 == static_cast<std::int64_t>(part_count);
    const auto note = [&](ShardingRule rule) {  // the first fault is the one to report
      if (!order_fault) order_fault = {rule, part};
    };
    if constexpr (!Reader::is_part) {
      note(ShardingRule::not_a_part);
    } else {
      if constexpr (Reader::is_partial) {
        reduction = Reader::reduction;
        if (!last) note(ShardingRule::partial_not_last);
        if (reduction == Reduction::none) note(ShardingRule::partial_without_reduction);
        if (Reader::count == 0) note(ShardingRule::partial_without_axes);
      }
      for (const std::size_t axis : Reader::axes)
        mentions[at++] = {Reader::is_partial ? partial_dim : dim, static_cast<std::int64_t>(axis)};
      dim += !Reader::is_partial;
    }
    ++part;
  }
};

// Whether the type alone says how many axes the mesh has, as Mesh<dynamic, 4> does.
template<class M>
concept HasStaticRank = requires {
  std::integral_constant<std::size_t, M::rank()>();
};

template<class M, class List>
consteval ShardingFault find_type_fault(const List& parts) {
  if constexpr (HasStaticRank<M>)
    return parts.find_fault(M::rank());
  else
    return {ShardingRule::mesh_rank_unknown};
}

}  // namespace detail

}  // namespace tessera
