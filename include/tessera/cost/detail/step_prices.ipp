// SPDX-License-Identifier: Apache-2.0
//
// The bodies of step_prices.hpp.
#pragma once
#include "tessera/cost/detail/step_prices.hpp"

#include <cstdint>

#include "tessera/core/error.hpp"

namespace tessera::cost::detail {

TESSERA_INLINE Cost step_price(StepPrices& steps, StepKind kind, Axis axis, AxisSet others) {
  if (!is_collective(kind)) return 0;
  const unsigned key = static_cast<unsigned>(kind) << 16U | unsigned{axis} << 8U | others.bits();
  const auto known = steps.known.find(key);
  if (known != steps.known.end()) return known->second;
  const Cost price = steps.prices->price(kind, axis, steps.mesh.extent(axis),
                                         Message{steps.bytes, extent_of(steps.mesh, others)});
  if (price < 0) throw InvalidArgument("a cost model gives a step a negative price");
  steps.known.emplace(key, price);
  return price;
}

// Whether the two axes cost the same for one kind of step, whatever other axes split the tensor.
TESSERA_INLINE bool cost_the_same(StepPrices& steps, StepKind kind, Axis a, Axis b) {
  for (unsigned bits = 0; bits <= all_axes(steps.mesh).bits(); ++bits) {
    const AxisSet others = AxisSet::from_bits(static_cast<std::uint8_t>(bits));
    if (others.contains(a)) continue;
    AxisSet exchanged = others;
    exchanged.erase(b);
    if (others.contains(b)) exchanged.insert(a);
    if (step_price(steps, kind, a, others) != step_price(steps, kind, b, exchanged)) return false;
  }
  return true;
}

TESSERA_INLINE bool are_interchangeable(StepPrices& steps, Axis a, Axis b) {
  if (steps.mesh.extent(a) != steps.mesh.extent(b)) return false;
  const std::pair key(a, b);
  const auto known = steps.interchangeable.find(key);
  if (known != steps.interchangeable.end()) return known->second;
  bool result = true;
  for (const StepKind kind :
       {StepKind::all_gather, StepKind::all_reduce, StepKind::reduce_scatter, StepKind::all_to_all})
    result = result && cost_the_same(steps, kind, a, b);
  steps.interchangeable.emplace(key, result);
  return result;
}

}  // namespace tessera::cost::detail
