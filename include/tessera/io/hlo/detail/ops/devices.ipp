// SPDX-License-Identifier: Apache-2.0
//
// The bodies of devices.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/devices.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "tessera/graph/ops.hpp"

namespace tessera::io::hlo::detail {

// The program was split before, by other means.  Its other devices are outside of the plan, so that
// only the dims that a collective changes matter here.
TESSERA_INLINE std::optional<graph::Rule> foreign_collective_rule(const RuleSite& site) {
  const std::vector<Dims>& in = site.tensors.operand_dims;
  const std::vector<Dims>& out = site.tensors.result_dims;
  const auto same_rank = [](const Dims& a, const Dims& b) { return a.size() == b.size(); };
  if (!std::equal(in.begin(), in.end(), out.begin(), out.end(), same_rank)) return std::nullopt;
  const Opcode opcode = site.instruction.opcode;
  const bool mixes = opcode == Opcode::all_to_all && in.size() > 1;
  if (mixes && std::any_of(in.begin(), in.end(), [&](const Dims& d) { return d != in[0]; }))
    return std::nullopt;
  const bool reduces = opcode == Opcode::all_reduce || opcode == Opcode::reduce_scatter;
  const Reduction reduction = reduces ? reducer_of(site, "to_apply") : Reduction::none;
  std::vector<graph::PartialPass> passes;
  if (in.size() == 1 && (!reduces || reduction == Reduction::sum))
    passes.push_back({graph::reduction_set(Reduction::sum), 0b1});
  return graph::foreign_collective_rule(in, out, site.attributes.ints("dimensions"), mixes, passes);
}

TESSERA_INLINE std::optional<graph::Rule> whole_rule(const RuleSite& site) {
  return graph::whole_rule(site.tensors.operand_dims, site.tensors.result_dims);
}

TESSERA_INLINE std::optional<graph::Rule> random_bits_rule(const RuleSite& site) {
  const Dims& state = site.tensors.operand_dims[0];
  if (state.size() > 1 || site.tensors.results.size() > 2) return std::nullopt;
  return graph::random_bits_rule(state, site.tensors.result_dims);
}

}  // namespace tessera::io::hlo::detail
