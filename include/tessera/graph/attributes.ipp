// SPDX-License-Identifier: Apache-2.0
//
// When attributes are equal, and which dims they name.
#pragma once
#include "tessera/graph/attributes.hpp"

#include <algorithm>
#include <bit>

#include "tessera/core/error.hpp"

namespace tessera::graph {

namespace detail {

TESSERA_INLINE void fail_without_attributes() {
  throw InvalidArgument("an op lacks the attributes that its opcode needs");
}

}  // namespace detail

TESSERA_INLINE bool contains(std::span<const Extent> list, std::size_t value) {
  for (const Extent entry : list)
    if (entry == static_cast<Extent>(value)) return true;
  return false;
}

TESSERA_INLINE bool operator==(const Literal& a, const Literal& b) {
  if (a.elements.index() != b.elements.index()) return false;
  if (a.elements.index() == 0) return std::get<0>(a.elements) == std::get<0>(b.elements);
  const auto same = [](double x, double y) {
    return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y);
  };
  const std::vector<double>&left = std::get<1>(a.elements), &right = std::get<1>(b.elements);
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), same);
}

TESSERA_INLINE bool operator==(const Attributes& a, const Attributes& b) {
  if (a.held_ == b.held_) return true;
  return a.held_ != nullptr && b.held_ != nullptr && *a.held_ == *b.held_;
}

}  // namespace tessera::graph
