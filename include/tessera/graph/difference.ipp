// SPDX-License-Identifier: Apache-2.0
//
// The comparison of two programs.
#pragma once
#include "tessera/graph/difference.hpp"

#include <algorithm>
#include <cstddef>

namespace tessera::graph {

namespace detail {

TESSERA_INLINE std::string difference_at(const Graph& a, const Graph& b, OpId id) {
  const Op &left = a.op(id), &right = b.op(id);
  const std::string where = "op " + std::to_string(id) + " ('" + left.name + "')";
  if (left.name != right.name) return where + ": the other's name is '" + right.name + "'";
  if (left.opcode != right.opcode || left.spelling != right.spelling)
    return where + ": " + std::string(opcode_text(left)) + " and " +
           std::string(opcode_text(right));
  if (left.results != right.results) return where + ": the results' types differ";
  if (left.attributes != right.attributes) return where + ": the attributes differ";
  if (left.rule != right.rule) return where + ": the rules differ";
  if (left.is_parameter != right.is_parameter || left.is_loop_state != right.is_loop_state ||
      left.is_heavy != right.is_heavy || left.has_buffer != right.has_buffer)
    return where + ": what is said of them differs";
  if (a.operand_count(id) != b.operand_count(id)) return where + ": the operands' numbers differ";
  for (std::size_t i = 0; i < a.operand_count(id); ++i)
    if (a.operand(id, i) != b.operand(id, i))
      return where + ": operand " + std::to_string(i) + " differs";
  return {};
}

}  // namespace detail

TESSERA_INLINE std::string difference(const Graph& a, const Graph& b) {
  for (OpId id = 0; id < a.op_count() && id < b.op_count(); ++id)
    if (std::string found = detail::difference_at(a, b, id); !found.empty()) return found;
  if (a.op_count() != b.op_count())
    return std::to_string(a.op_count()) + " ops and " + std::to_string(b.op_count());
  if (a.outputs != b.outputs) return "the outputs differ";
  const auto same_alias = [](const Alias& x, const Alias& y) {
    return x.parameter == y.parameter && x.output == y.output;
  };
  if (!std::equal(a.aliases.begin(), a.aliases.end(), b.aliases.begin(), b.aliases.end(),
                  same_alias))
    return "the aliases differ";
  const auto same_loop = [](const Loop& x, const Loop& y) {
    return x.begin == y.begin && x.end == y.end && x.condition == y.condition;
  };
  if (!std::equal(a.loops.begin(), a.loops.end(), b.loops.begin(), b.loops.end(), same_loop))
    return "the loops differ";
  return {};
}

}  // namespace tessera::graph
