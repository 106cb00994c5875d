// SPDX-License-Identifier: Apache-2.0
//
// The bodies of prices.hpp.
#pragma once
#include "tessera/cost/prices.hpp"

#include <string>

#include "tessera/core/error.hpp"

namespace tessera::cost {

TESSERA_INLINE void check_axis_count(const Prices& prices, const DynamicMesh& mesh) {
  const std::optional<std::size_t> count = prices.axis_count();
  if (count && *count < mesh.rank())
    throw InvalidArgument("the cost model has coefficients for " + std::to_string(*count) +
                          " mesh axes, and mesh " + to_string(mesh) + " has " +
                          std::to_string(mesh.rank()));
}

}  // namespace tessera::cost
