// SPDX-License-Identifier: Apache-2.0
//
// Rules of random numbers.
#pragma once
#include "tessera/graph/ops/random.hpp"

#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule random_bits_rule(const Dims& state, std::span<const Dims> results) {
  RuleWriter writer;
  const std::vector<FactorId> whole = writer.whole(state);
  writer.operand(whole);
  for (std::size_t r = 0; r < results.size(); ++r)
    r == 0 && results.size() > 1 ? writer.result(whole)
                                 : writer.result(writer.parallel(results[r]));
  return std::move(writer.rule());
}

}  // namespace tessera::graph
