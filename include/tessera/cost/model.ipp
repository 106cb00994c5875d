// SPDX-License-Identifier: Apache-2.0
//
// The bodies of model.hpp.
#pragma once
#include "tessera/cost/model.hpp"

namespace tessera::cost {

TESSERA_INLINE std::string to_decimal(Wide cost, Cost denominator) {
  const bool negative = cost < 0;
  const Wide magnitude = negative ? Wide(-cost) : cost;
  std::string text = (negative ? "-" : "") + tessera::to_string(Wide(magnitude / denominator));
  std::string places = tessera::to_string(Wide(magnitude % denominator + denominator)).substr(1);
  while (!places.empty() && places.back() == '0') places.pop_back();
  return places.empty() ? text : text + '.' + places;
}

}  // namespace tessera::cost
