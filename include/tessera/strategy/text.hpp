// SPDX-License-Identifier: Apache-2.0
//
// A strategy in words: "RS0 x S0R -> RR (allreduce @ [0])".
#pragma once
#include <string>

#include "tessera/core/text.hpp"
#include "tessera/notation/alpa.hpp"
#include "tessera/strategy/column.hpp"

namespace tessera::strategy {

namespace detail {

inline std::string axes_text(AxisSet axes) { return '[' + joined(axes.to_list(), ", ") + ']'; }

// What became of the axes that left the result partial.
inline std::string finish_text(DynamicSharding computed, DynamicSharding handed_on) {
  AxisSet reduced, scattered;
  for (const Axis axis : computed.partial_axes().to_list()) {
    if (handed_on.is_split(axis)) scattered.insert(axis);
    if (handed_on.is_replicated(axis)) reduced.insert(axis);
  }
  std::string text;
  if (!reduced.empty()) text += " (allreduce @ " + axes_text(reduced) + ')';
  if (!scattered.empty()) text += " (reducescatter @ " + axes_text(scattered) + ')';
  return text;
}

}  // namespace detail

// "S0R x RS1 -> S0S1 (allreduce @ [2])": operands, results as they are handed on, and what finishes
// a single result.  @pre the choice is one of the rule's
template<graph::RuleLike R>
std::string to_string(const R& rule, const Choice& choice) {
  const auto spell = [](DynamicSharding sharding) { return notation::alpa_text(sharding); };
  std::string text = joined(choice.operands, " x ", spell);
  if (!choice.operands.empty()) text += " -> ";
  text += joined(choice.results, ", ", spell);
  if (choice.results.size() == 1)
    text += detail::finish_text(sharding_of(rule, choice.strategy, rule.operand_count()),
                                choice.results[0]);
  return text;
}

}  // namespace tessera::strategy
