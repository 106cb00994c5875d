// SPDX-License-Identifier: Apache-2.0
//
// The type of a tensor: its element type and its dims.
#pragma once
#include <string>

#include "tessera/graph/element_type.hpp"
#include "tessera/sharding/shape.hpp"

namespace tessera::graph {

struct TensorType {
  ElementType element = ElementType::f32;
  Dims dims;

  friend constexpr bool operator==(const TensorType&, const TensorType&) = default;
};

// Throws Overflow where the size does not fit in 64 bits.
constexpr Extent byte_count(const TensorType& type) {
  return checked_mul(element_count(type.dims), bytes_of(type.element));
}

inline std::string to_string(const TensorType& type) {  // "f32[32,1000]"
  return std::string(to_string(type.element)) + tessera::to_string(type.dims);
}

}  // namespace tessera::graph
