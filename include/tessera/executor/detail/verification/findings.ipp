// SPDX-License-Identifier: Apache-2.0
//
// Findings are shared by all-reduces.
#pragma once
#include "tessera/executor/detail/verification/findings.hpp"

#include <limits>
#include <numeric>
#include <span>

#include "tessera/executor/communicator.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::executor::detail {

TESSERA_INLINE void Findings::share(Communicator& comm) {
  std::vector<Device> all(static_cast<std::size_t>(comm.size()));
  std::iota(all.begin(), all.end(), Device{0});
  comm.all_reduce(all, Reduction::sum, std::span(sums));
  comm.all_reduce(all, Reduction::max, std::span(largest));
  comm.all_reduce(all, Reduction::max, std::span(differences));
}

TESSERA_INLINE CollectiveReport collective_report(const plan::Plan& plan, StepPlace place,
                                                  Wide payloads, Extent moved, std::int64_t runs) {
  const plan::PlannedStep& planned = plan.ops[place.op].steps[place.step];
  const Extent devices = plan.mesh.device_count(), members = plan.mesh.extent(planned.step.axis);
  const StepKind kind = planned.step.kind;
  CollectiveReport report{place, kind, planned.step.axis, planned.bytes(), 0, moved, false};
  const auto mean = [](Wide sum, Wide count) {
    return count == 0 ? Extent{0} : static_cast<Extent>((sum + count - 1) / count);
  };
  const Wide divided_by = planned.message.divided_by;
  if (kind == StepKind::halo_exchange) {
    report.counted = mean(payloads, Wide(devices) * runs);
    report.agrees = payloads * divided_by <= Wide(planned.message.bytes) * devices * runs;
    return report;
  }
  // Of these, each member's operand is the message; of the others, all operands together are.
  const bool is_shared = kind == StepKind::all_reduce || kind == StepKind::reduce_scatter;
  const Wide messages = is_shared ? payloads / members : payloads;
  const Extent groups = devices / members;
  report.counted = mean(messages, Wide(groups) * runs);
  report.agrees = messages * divided_by == Wide(planned.message.bytes) * groups * runs;
  return report;
}

TESSERA_INLINE OutputReport output_report(graph::Value value, std::size_t i,
                                          const std::vector<double>& differences,
                                          const Tolerances& tolerances,
                                          const VerifyOptions& options) {
  const auto found = [&](std::size_t at) {
    return differences[at] < 0 ? std::numeric_limits<double>::infinity() : differences[at];
  };
  return {value, found(i), options.tolerance.value_or(tolerances.own[i]),
          found(tolerances.own.size() + i), tolerances.in_double[i]};
}

}  // namespace tessera::executor::detail
