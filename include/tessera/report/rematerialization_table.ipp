// SPDX-License-Identifier: Apache-2.0
//
// The table of rematerialized tensors.
#pragma once
#include "tessera/report/rematerialization_table.hpp"

#include <algorithm>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {
namespace detail {

// Time if the plan is for real devices, else the unit of its cost model.
TESSERA_INLINE std::string price_text(const plan::Plan& plan, Wide price) {
  return plan.utilisation ? time_text(price) : "cost " + cost::to_decimal(price, plan.denominator);
}

TESSERA_INLINE std::string totals_text(const plan::RematerializingPlan& step) {
  Wide bytes = 0, price = 0;
  for (const plan::RematerializedTensor& tensor : step.rematerialized) {
    bytes += tensor.bytes;
    price += tensor.price;
  }
  return "total " + std::to_string(step.rematerialized.size()) + " tensors of " +
         bytes_text(bytes) + " per device, for " + price_text(step.plan, price) +
         "; if they were kept, the peak would be " + bytes_text(step.peak_if_kept) +
         " instead of " + bytes_text(step.plan.memory.bytes) + '\n';
}

}  // namespace detail

TESSERA_INLINE std::string rematerialization_table(const plan::RematerializingPlan& step,
                                                   std::size_t most) {
  if (step.rematerialized.empty()) return "";
  std::vector<plan::RematerializedTensor> tensors = step.rematerialized;
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  Columns rows;
  for (std::size_t i = 0; i < tensors.size() && i < most; ++i) {
    const graph::Op& op = step.graph.op(tensors[i].op);
    rows.add({op.name, to_string(op.results[0]), bytes_text(tensors[i].bytes),
              detail::price_text(step.plan, tensors[i].price)});
  }
  std::string text = "\nrematerialized in the backward pass\n" + rows.text();
  if (tensors.size() > most) text += "  (" + std::to_string(tensors.size() - most) + " more)\n";
  return text + detail::totals_text(step);
}

}  // namespace tessera::report
