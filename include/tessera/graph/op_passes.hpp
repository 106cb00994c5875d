// SPDX-License-Identifier: Apache-2.0
//
// How partial results pass through ops that act element by element.
//
// A sum passes through what is linear in it, a maximum through a maximum.  The importer and the
// builder both ask here, so a program means the same whichever of them wrote it.
#pragma once
#include <vector>

#include "tessera/graph/element_type.hpp"
#include "tessera/graph/opcode.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

// Of an op of two operands, whose elements are of this type.
inline std::vector<PartialPass> binary_passes(Opcode opcode, ElementType element) {
  const OpcodeTraits& of_opcode = traits(opcode);
  const ReductionSet sum = reduction_set(Reduction::sum);
  // Integer division rounds: it is not linear.
  const bool divides_exactly = is_floating(element) || is_complex(element);
  switch (of_opcode.linearity) {
    case Linearity::jointly: return {{sum, 0b11}};
    case Linearity::in_each: return {{sum, 0b01}, {sum, 0b10}};
    case Linearity::in_dividend:
      if (divides_exactly) return {{sum, 0b01}};
      return {};
    case Linearity::none: break;
  }
  if (of_opcode.combines == Reduction::none) return {};
  return {{reduction_set(of_opcode.combines), 0b11}};
}

// A partial sum may be widened, not narrowed: rounding each part is not rounding the whole.
inline std::vector<PartialPass> convert_passes(ElementType from, ElementType to) {
  if (from == to) return {{any_reduction, 0b1}};
  if (widens(from, to)) return {{reduction_set(Reduction::sum), 0b1}};
  return {};
}

}  // namespace tessera::graph
