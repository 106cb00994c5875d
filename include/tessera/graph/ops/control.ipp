// SPDX-License-Identifier: Apache-2.0
//
// Rules of loops and conditionals.
#pragma once
#include "tessera/graph/ops/control.hpp"

#include <vector>

#include "tessera/graph/ops/elementwise.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule loop_state_rule(const Dims& dims) {
  const Dims both[] = {dims, dims};
  return elementwise_rule(both, dims);
}

TESSERA_INLINE Rule conditional_rule(const Dims& dims, std::size_t branches) {
  std::vector<Dims> operands(branches + 1, dims);
  operands[0] = {};
  Rule rule = elementwise_rule(operands, dims);
  if (operands.size() < 64)
    rule.add_pass({any_reduction, (std::uint64_t{1} << operands.size()) - 2});
  return rule;
}

}  // namespace tessera::graph
