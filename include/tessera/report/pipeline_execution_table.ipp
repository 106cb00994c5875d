// SPDX-License-Identifier: Apache-2.0
//
// The sections of the table: outputs, memory, transfers, collectives.
#pragma once
#include "tessera/report/pipeline_execution_table.hpp"

#include <cstddef>

#include "tessera/report/detail/verification_text.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {
namespace detail {

// The outputs of all microbatches in one list.
TESSERA_INLINE std::string step_outputs_text(const graph::Graph& graph,
                                             const executor::PipelineReport& report) {
  executor::Report outputs;
  for (const executor::StepOutputReport& output : report.outputs)
    outputs.outputs.push_back(output.report);
  return outputs_text(graph, outputs);
}

TESSERA_INLINE std::string stages_text(const executor::PipelineReport& report) {
  Columns rows;
  for (std::size_t s = 0; s < report.stages.size(); ++s) {
    const executor::StageMemoryReport& stage = report.stages[s];
    rows.add({"stage " + std::to_string(s), "predicted " + bytes_text(stage.predicted),
              "held " + bytes_text(stage.held), "planned " + bytes_text(stage.planned),
              "(" + bytes_text(stage.held_in_all) + " with working copies and unfused ops)",
              stage.agrees() ? "" : "MORE THAN PREDICTED"});
  }
  return "memory   per device at its peak\n" + rows.text();
}

TESSERA_INLINE std::string transfers_title(std::size_t wrong, Extent across_hosts) {
  return "sent     " +
         (wrong == 0 ? std::string("as predicted in all transfers")
                     : "not as predicted in " + std::to_string(wrong) + " transfers") +
         ", in bytes of a step; " + bytes_text(across_hosts) + " a microbatch between hosts\n";
}

TESSERA_INLINE std::string transfers_text(const executor::PipelineProgram& program,
                                          const executor::PipelineReport& report) {
  Columns rows;
  std::size_t wrong = 0;
  Extent across = 0;
  for (const executor::TransferReport& transfer : report.transfers) {
    wrong += !transfer.agrees();
    across = saturating_add(across, transfer.across);
    if (transfer.predicted == 0 && transfer.counted == 0) continue;  // both ends on one device
    rows.add({program.routes[transfer.route].label, "predicted " + bytes_text(transfer.predicted),
              "counted " + bytes_text(transfer.counted), transfer.agrees() ? "" : "DIFFERS"});
  }
  if (rows.empty()) return "no transfers between devices\n";
  return transfers_title(wrong, across) + rows.text();
}

TESSERA_INLINE std::string stage_collectives_text(const executor::PipelineReport& report) {
  if (report.collectives.empty()) return "no collectives\n";
  Columns rows;
  std::size_t wrong = 0;
  for (const executor::StageCollectiveReport& collective : report.collectives) {
    wrong += !collective.report.agrees;
    rows.add({"stage " + std::to_string(collective.stage), collective.label,
              to_string(collective.report.kind), "@ axis " + std::to_string(collective.report.axis),
              "predicted " + bytes_text(collective.report.predicted),
              "counted " + bytes_text(collective.report.counted),
              std::to_string(collective.runs) + (collective.runs == 1 ? " time" : " times"),
              collective.report.agrees ? "" : "DIFFERS"});
  }
  return collectives_title(report.collectives.size(), wrong) + rows.text();
}

}  // namespace detail

TESSERA_INLINE std::string pipeline_execution_table(const graph::Graph& graph,
                                                    const executor::PipelineProgram& program,
                                                    const executor::PipelineReport& report) {
  return detail::step_outputs_text(graph, report) + detail::stages_text(report) +
         detail::transfers_text(program, report) + detail::stage_collectives_text(report);
}

}  // namespace tessera::report
