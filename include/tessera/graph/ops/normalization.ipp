// SPDX-License-Identifier: Apache-2.0
//
// Rules of normalizations.
#pragma once
#include "tessera/graph/ops/normalization.hpp"

#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule per_feature_rule(std::span<const Dims> operands, const Dims& result,
                                     std::size_t feature) {
  RuleWriter writer;
  const std::vector<FactorId> full = writer.parallel(result);
  const FactorId only_feature[] = {full[feature]};
  for (const Dims& dims : operands)
    dims.size() == full.size() ? writer.operand(full) : writer.operand(only_feature);
  writer.result(full);
  return std::move(writer.rule());
}

TESSERA_INLINE Rule feature_sum_rule(std::span<const Dims> operands, std::size_t feature) {
  RuleWriter writer;
  std::vector<FactorId> full;
  for (std::size_t d = 0; d < operands[0].size(); ++d)
    full.push_back(d == feature ? writer.parallel(operands[0][d])
                                : writer.reduction(operands[0][d], Reduction::sum));
  const FactorId only_feature[] = {full[feature]};
  for (const Dims& dims : operands)
    dims.size() == full.size() ? writer.operand(full) : writer.operand(only_feature);
  writer.result(only_feature);
  return std::move(writer.rule());
}

}  // namespace tessera::graph
