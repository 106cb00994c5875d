// SPDX-License-Identifier: Apache-2.0
//
// A step of a resharding, and what it costs.
#pragma once
#include "tessera/cost/model.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost {

/// A single step of a resharding (sharding/reshard.hpp) with its price.
struct PricedStep {
  Step step;
  Message message;  ///< what a collective moves
  Cost price = 0;   ///< in the model's unit
};

}  // namespace tessera::cost
