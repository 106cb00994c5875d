// SPDX-License-Identifier: Apache-2.0
//
// Alpa's spelling of a sharding: one symbol per dim, "S0R", "RS01", digits major to minor.
//
// Alpa has no partial results; ours follow in words: "RR+sum[1]".  A scalar reads "R".
#pragma once
#include <string>

#include "tessera/core/text.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera::notation {

// The axes are digits, since a mesh has eight at most.
template<ShardingLike S>
std::string alpa_text(const S& sharding) {
  std::string text;
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim) {
    const AxisList axes = sharding.axes(dim);
    text += axes.empty() ? 'R' : 'S';
    for (const Axis axis : axes) text += static_cast<char>('0' + axis);
  }
  if (text.empty()) text = "R";
  if (!sharding.partial_axes().empty()) {
    text += '+';
    text += to_string(sharding.reduction());
    text += '[' + joined(sharding.partial_axes().to_list(), ", ") + ']';
  }
  return text;
}

}  // namespace tessera::notation
