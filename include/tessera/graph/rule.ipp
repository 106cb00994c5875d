// SPDX-License-Identifier: Apache-2.0
//
// Rules that are read at run time, and messages about those that do not fit.
#pragma once
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule make_rule(std::string_view text) {
  const detail::ParsedRule parsed = detail::RuleParser(text).parse();
  if (parsed.fault)
    throw InvalidRule(
        "rule \"" + std::string(text) + "\", offset " + std::to_string(parsed.fault.first),
        parsed.fault);
  return Rule(parsed.rule);
}

namespace detail {

TESSERA_INLINE std::string bound_text(std::span<const Dims> operands, RuleFault fault) {
  std::string text = "rule applied to";
  for (const Dims& dims : operands) text += ' ' + to_string(dims);
  const bool names_dim = fault.rule == RuleForm::sizes_differ ||
                         fault.rule == RuleForm::merged_size_differs;
  if (names_dim || fault.rule == RuleForm::wrong_operand_rank)
    text += ", operand " + std::to_string(fault.first);
  if (names_dim) text += ", dim " + std::to_string(fault.second);
  return text;
}

}  // namespace detail

}  // namespace tessera::graph
