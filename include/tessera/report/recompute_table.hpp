// SPDX-License-Identifier: Apache-2.0
//
// What a plan computes again instead of keeping it, as text for people.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "tessera/plan/recompute.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {

// Nothing where nothing is computed again.  Largest tensors first, and no more than `most` of them.
inline std::string recompute_table(const plan::RecomputingPlan& step, std::size_t most = 10) {
  if (step.recomputed.empty()) return "";
  std::vector<plan::RecomputedTensor> tensors = step.recomputed;
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  Wide bytes = 0, price = 0;
  for (const plan::RecomputedTensor& tensor : tensors) {
    bytes += tensor.bytes;
    price += tensor.price;
  }
  const auto cost = [&](Wide value) {
    return step.plan.utilisation ? time_text(value)
                                 : "cost " + cost::to_decimal(value, step.plan.denominator);
  };
  Columns rows;
  for (std::size_t i = 0; i < tensors.size() && i < most; ++i) {
    const graph::Op& op = step.graph.op(tensors[i].op);
    rows.add(
        {op.name, to_string(op.results[0]), bytes_text(tensors[i].bytes), cost(tensors[i].price)});
  }
  std::string text = "\ncomputed again for the backward pass\n" + rows.text();
  if (tensors.size() > most)
    text += "  (" + std::to_string(tensors.size() - most) + " further ones)\n";
  text += "in all " + std::to_string(tensors.size()) + " tensors of " + bytes_text(bytes) +
          " per device, for " + cost(price) + "; were they kept, " + bytes_text(step.peak_if_kept) +
          " would be needed at the peak in place of " + bytes_text(step.plan.memory.bytes) + '\n';
  return text;
}

}  // namespace tessera::report
