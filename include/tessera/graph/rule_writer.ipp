// SPDX-License-Identifier: Apache-2.0
//
// The rules of sources, and of ops that nothing may split.
#pragma once
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule source_rule(const Dims& result) {
  RuleWriter writer;
  writer.result(writer.parallel(result));
  return std::move(writer.rule());
}

TESSERA_INLINE Rule whole_rule(std::span<const Dims> operands, std::span<const Dims> results) {
  RuleWriter writer;
  for (const Dims& dims : operands) writer.operand(writer.whole(dims));
  for (const Dims& dims : results) writer.result(writer.whole(dims));
  return std::move(writer.rule());
}

}  // namespace tessera::graph
