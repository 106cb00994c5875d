// SPDX-License-Identifier: Apache-2.0
//
// Rules of a program's own collectives.
#pragma once
#include "tessera/graph/ops/collective.hpp"

#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule foreign_collective_rule(std::span<const Dims> operands,
                                            std::span<const Dims> results,
                                            std::span<const Extent> named, bool mixes,
                                            std::span<const PartialPass> passes) {
  RuleWriter writer;
  std::vector<std::vector<FactorId>> from, to;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    from.emplace_back();
    to.emplace_back();
    for (std::size_t d = 0; d < operands[i].size(); ++d) {
      const bool is_free = operands[i][d] == results[i][d] && !contains(named, d);
      const FactorId shared = mixes && i > 0 ? from[0][d] : no_factor;
      from[i].push_back(shared != no_factor ? shared
                        : is_free           ? writer.parallel(operands[i][d])
                                            : writer.whole(operands[i][d]));
      to[i].push_back(is_free ? from[i][d] : writer.whole(results[i][d]));
    }
  }
  for (const auto& factors : from) writer.operand(factors);
  for (const auto& factors : to) writer.result(factors);
  for (const PartialPass& pass : passes) writer.rule().add_pass(pass);
  return std::move(writer.rule());
}

}  // namespace tessera::graph
