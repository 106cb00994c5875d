// SPDX-License-Identifier: Apache-2.0
//
// The prices of single steps of one tensor, each asked of the cost model once.
#pragma once
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "tessera/core/inline.hpp"
#include "tessera/cost/prices.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost::detail {

struct StepPrices {
  DynamicMesh mesh;
  std::shared_ptr<const Prices> prices;
  Dims dims;
  Extent bytes = 0;                          // of the whole tensor
  std::unordered_map<unsigned, Cost> known;  // by kind, axis and the other axes
  std::map<std::pair<Axis, Axis>, bool> interchangeable;
};

// Of a step over `axis` while the axes `others` split the tensor.  Throws InvalidArgument where the
// model's price is negative.
Cost step_price(StepPrices& steps, StepKind kind, Axis axis, AxisSet others);

// Whether steps over the one axis always cost what they cost over the other.
bool are_interchangeable(StepPrices& steps, Axis a, Axis b);

}  // namespace tessera::cost::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/detail/step_prices.ipp"
#endif
