// SPDX-License-Identifier: Apache-2.0
//
// Writing shardings as Alpa does.
#pragma once
#include "tessera/core/text.hpp"
#include "tessera/notation/alpa.hpp"

namespace tessera::notation {

// The axes are digits, since a mesh has eight at most.
TESSERA_INLINE std::string alpa_text(DynamicSharding sharding) {
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
