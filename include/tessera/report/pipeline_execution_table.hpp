// SPDX-License-Identifier: Apache-2.0
//
// What came of running a pipeline, for people: outputs that are off, each stage's memory, and the
// bytes of transfers and collectives as planned and as counted.
//
// Included by itself, since the executor needs Eigen and the rest of report/ does not.
#pragma once
#include <algorithm>
#include <string>

#include "tessera/executor/verify_pipeline.hpp"
#include "tessera/report/execution_table.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {

namespace detail {

// As if it were a plan's run: outputs one after the other, microbatch by microbatch.
inline std::string step_outputs_text(const graph::Graph& graph,
                                     const executor::PipelineReport& report) {
  executor::Report outputs;
  for (const executor::StepOutputReport& output : report.outputs)
    outputs.outputs.push_back(output.report);
  return outputs_text(graph, outputs);
}

inline std::string stages_text(const executor::PipelineReport& report) {
  Columns rows;
  for (std::size_t s = 0; s < report.stages.size(); ++s) {
    const executor::StageMemoryReport& stage = report.stages[s];
    rows.add({"stage " + std::to_string(s), "predicted " + bytes_text(stage.predicted),
              "held " + bytes_text(stage.held), "planned " + bytes_text(stage.planned),
              "(" + bytes_text(stage.held_in_all) + " with working copies and what is not fused)",
              stage.agrees() ? "" : "MORE THAN PREDICTED"});
  }
  return "memory   per device at its peak\n" + rows.text();
}

inline std::string transfers_text(const executor::PipelineProgram& program,
                                  const executor::PipelineReport& report) {
  Columns rows;
  std::size_t wrong = 0;
  Extent across = 0;
  for (const executor::TransferReport& transfer : report.transfers) {
    wrong += !transfer.agrees();
    across = saturating_add(across, transfer.across);
    if (transfer.predicted == 0 && transfer.counted == 0) continue;  // handed over in place
    rows.add({program.links[transfer.link].label, "predicted " + bytes_text(transfer.predicted),
              "counted " + bytes_text(transfer.counted), transfer.agrees() ? "" : "DIFFERS"});
  }
  if (rows.empty()) return "no transfers between devices at all\n";
  return "sent     " +
         (wrong == 0 ? std::string("as predicted in all transfers")
                     : "not as predicted in " + std::to_string(wrong) + " transfers") +
         ", in bytes of a step; " + bytes_text(across) + " a microbatch between hosts\n" +
         rows.text();
}

inline std::string stage_collectives_text(const executor::PipelineReport& report) {
  if (report.collectives.empty()) return "no collectives at all\n";
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

// Several lines, each ended; what is not as planned stands in capitals.  `report` is of `program`,
// and that of a plan of `graph`.
inline std::string pipeline_execution_table(const graph::Graph& graph,
                                            const executor::PipelineProgram& program,
                                            const executor::PipelineReport& report) {
  return detail::step_outputs_text(graph, report) + detail::stages_text(report) +
         detail::transfers_text(program, report) + detail::stage_collectives_text(report);
}

}  // namespace tessera::report
