// SPDX-License-Identifier: Apache-2.0
//
// The bodies of text.hpp.
#pragma once
#include "tessera/strategy/text.hpp"

#include "tessera/core/text.hpp"
#include "tessera/notation/alpa.hpp"

namespace tessera::strategy {

namespace detail {

TESSERA_INLINE std::string axes_text(AxisSet axes) {
  return '[' + joined(axes.to_list(), ", ") + ']';
}

// The collectives over the axes over which the computed result is partial.
TESSERA_INLINE std::string finish_text(DynamicSharding computed, DynamicSharding output) {
  AxisSet reduced, scattered;
  for (const Axis axis : computed.partial_axes().to_list()) {
    if (output.is_split(axis)) scattered.insert(axis);
    if (output.is_replicated(axis)) reduced.insert(axis);
  }
  std::string text;
  if (!reduced.empty()) text += " (allreduce @ " + axes_text(reduced) + ')';
  if (!scattered.empty()) text += " (reducescatter @ " + axes_text(scattered) + ')';
  return text;
}

}  // namespace detail

TESSERA_INLINE std::string to_string(const graph::Rule& rule, const Choice& choice) {
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
