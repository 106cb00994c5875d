// SPDX-License-Identifier: Apache-2.0
//
// Lower bounds for the price of reaching one sharding, which steer searches towards it.
//
// The relaxed problem has the same steps at the same prices.  It ignores the order in which axes
// split a dim, how evenly they do, and which dim it is, unless it is the target's.  A few thousand
// states are left instead of millions, and their shortest paths are all found at once, from the
// target backwards.  No real path can be cheaper, and no step lowers the bound by more than its
// price.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/cost/detail/step_prices.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost::detail {

// The role of a mesh axis for the tensor.
struct AxisRole {
  enum class Kind : std::uint8_t { copies, split_elsewhere, split_as_target, partial };
  Kind kind = Kind::copies;
  Reduction reduction = Reduction::none;

  constexpr bool is_split() const noexcept {
    return kind == Kind::split_elsewhere || kind == Kind::split_as_target;
  }
  friend constexpr bool operator==(const AxisRole&, const AxisRole&) noexcept = default;
};
using AxisRoles = InlineVector<AxisRole, 10>;  // three, and one for each reduction

// A state is a role for each axis: its number counts the roles, those of the first axis fastest.
struct RelaxedPrices {
  DynamicSharding target;
  InlineVector<AxisRoles, max_axes> roles;  // of each axis: those that it may have
  InlineVector<std::size_t, max_axes> strides;
  std::vector<Cost> bounds;     // by state: the least price from there to the target
  bool has_overflowed = false;  // some path's price does not fit in 64 bits
};

// @pre the reductions are those of partial sums that a search may meet
RelaxedPrices relaxed_prices(StepPrices& steps, DynamicSharding target,
                             graph::ReductionSet reductions);

// The least that it takes to get from a sharding to the target.
// @pre the sharding is one that the search may meet
Cost lower_bound(const RelaxedPrices& relaxed, DynamicSharding sharding);

}  // namespace tessera::cost::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/detail/relaxed_prices.ipp"
#endif
