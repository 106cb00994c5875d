// SPDX-License-Identifier: Apache-2.0
//
// Rules of sorting.
#pragma once
#include "tessera/graph/ops/sorting.hpp"

#include <algorithm>

#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule along_whole_rule(std::span<const Dims> operands, std::span<const Dims> results,
                                     std::span<const Extent> whole) {
  RuleWriter writer;
  std::vector<FactorId> shared;
  for (std::size_t d = 0; d < operands[0].size(); ++d)
    shared.push_back(contains(whole, d) ? no_factor : writer.parallel(operands[0][d]));
  const auto factors_of = [&](const Dims& dims) {
    std::vector<FactorId> factors;
    for (std::size_t d = 0; d < dims.size(); ++d) {
      const bool is_shared = dims.size() == shared.size() && shared[d] != no_factor;
      factors.push_back(is_shared ? shared[d] : writer.whole(dims[d]));
    }
    return factors;
  };
  for (const Dims& dims : operands) writer.operand(factors_of(dims));
  for (const Dims& dims : results) writer.result(factors_of(dims));
  return std::move(writer.rule());
}

}  // namespace tessera::graph
