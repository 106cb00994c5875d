// SPDX-License-Identifier: Apache-2.0
//
// How partial results pass through ops that act element by element, by the op's name in HLO.
//
// A sum passes through what is linear in it, a maximum through a maximum.  The importer and the
// builder both ask here, so a program means the same whichever of them wrote it.
#pragma once
#include <string_view>
#include <vector>

#include "tessera/graph/element_type.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

// Of an op of two operands, whose elements are of this type.
inline std::vector<PartialPass> binary_passes(std::string_view kind, ElementType element) {
  constexpr auto set = reduction_set;
  // Integer division rounds: it is not linear.
  const bool divides_exactly = is_floating(element) || is_complex(element);
  if (kind == "add" || kind == "subtract") return {{set(Reduction::sum), 0b11}};
  if (kind == "multiply") return {{set(Reduction::sum), 0b01}, {set(Reduction::sum), 0b10}};
  if (kind == "divide" && divides_exactly) return {{set(Reduction::sum), 0b01}};
  if (kind == "maximum") return {{set(Reduction::max), 0b11}};
  if (kind == "minimum") return {{set(Reduction::min), 0b11}};
  if (kind == "and") return {{set(Reduction::logical_and), 0b11}};
  if (kind == "or") return {{set(Reduction::logical_or), 0b11}};
  return {};
}

// A partial sum may be widened, not narrowed: rounding each part is not rounding the whole.
inline std::vector<PartialPass> convert_passes(ElementType from, ElementType to) {
  if (from == to) return {{any_reduction, 0b1}};
  if (widens(from, to)) return {{reduction_set(Reduction::sum), 0b1}};
  return {};
}

}  // namespace tessera::graph
