// SPDX-License-Identifier: Apache-2.0
//
// The checks of operands, and their messages.
#pragma once
#include "tessera/graph/detail/checks.hpp"

#include <algorithm>
#include <string>

namespace tessera::graph::detail {

TESSERA_INLINE void require_distinct_dims(const char* opcode, const std::vector<Extent>& list,
                                          const Dims& dims) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Extent dim = list[i];
    require(dim >= 0 && dim < static_cast<Extent>(dims.size()),
            std::string(opcode) + ": " + tessera::to_string(dims) + " has no dim " +
                std::to_string(dim));
    const auto here = list.begin() + static_cast<std::ptrdiff_t>(i);
    require(std::find(list.begin(), here, dim) == here,
            std::string(opcode) + ": dim " + std::to_string(dim) + " is named twice");
  }
}

TESSERA_INLINE void require_one_per_dim(const char* opcode, std::size_t count, const Tensor& x) {
  require(count == x.dims().size(), std::string(opcode) + ": " + std::to_string(count) +
                                        " ranges for a tensor of " +
                                        std::to_string(x.dims().size()) + " dims");
}

TESSERA_INLINE void require_same_element(const char* opcode, const Tensor& a, const Tensor& b) {
  require(a.type().element == b.type().element,
          std::string(opcode) + ": operands " + to_string(a.type()) + " and " +
              to_string(b.type()) + " have different element types");
}

}  // namespace tessera::graph::detail
