// SPDX-License-Identifier: Apache-2.0
//
// The requirements on a cost model: the price of one collective over one mesh axis; and, where it
// has one, the price of the work that a device does for an op.
//
// Everything else is built on that: reshardings are shortest paths of such steps (resharding.hpp),
// strategies pay for the steps that finish their results.  Prices are integers in the model's own
// unit, of which `denominator` make one unit as people write it.
#pragma once
#include <concepts>
#include <string>
#include <string_view>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/cost/work.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost {

/// The bytes that a collective moves: the tensor as it is local to all axes but the collective's
/// own; or, for a halo exchange, the bytes that one device sends to its neighbours.  An exact
/// fraction, since those axes need not divide the tensor evenly.
struct Message {
  Extent bytes = 0;
  Extent divided_by = 1;

  constexpr Extent rounded_up() const noexcept { return ceil_div(bytes, divided_by); }
  friend constexpr bool operator==(const Message&, const Message&) noexcept = default;
};

/// A cost model: prices of collectives.
template<class C>
concept CostModel = requires(const C& model, StepKind kind, Axis axis, Extent devices, Message m) {
  // The price of one collective step over `axis`, which has `devices` devices.
  { model.price(kind, axis, devices, m) } -> std::same_as<Cost>;
  // How many of the model's units make one as people write it: a power of ten, so that prices print
  // exactly.  And what that one is.
  { model.denominator() } -> std::same_as<Cost>;
  { model.unit() } -> std::convertible_to<std::string_view>;
  // Whether work itself has no price, so that heavy ops must be made to use every mesh axis.
  { model.spreads_heavy_ops() } -> std::same_as<bool>;
};

/// A model that gives work a price: under it ops spread because that is cheaper.
template<class C>
concept PricesWork = requires(const C& model, const Work& work) {
  { model.work_price(work) } -> std::same_as<Cost>;
};

/// The message of a step over `axis`.  @pre for_each_step offers the step for this sharding
template<MeshLike M>
constexpr Message message_of(Axis axis, DynamicSharding before, const M& mesh, Extent bytes) {
  AxisSet others = before.split_axes();
  others.erase(axis);
  return {bytes, extent_of(mesh, others)};
}

/// "26872.03": units as people write them, exactly.  @pre denominator is a power of ten
std::string to_decimal(Wide cost, Cost denominator);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/model.ipp"
#endif
