// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan op by op: where each op of the program runs, and how.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/plan/planned_ops.hpp"

namespace tessera::plan {

/// A span of a stage's layers, with the plan behind its price.
struct PlannedSpan {
  std::size_t first = 0, last = 0;                  ///< layers, both included
  const pipeline::SpanProgram* program = nullptr;   ///< lives as long as PipelinePlan::prices
  std::shared_ptr<const Plan> plan;                 ///< shared by interchangeable spans
  const std::vector<graph::OpId>* again = nullptr;  ///< the ops that are rematerialized
};

/// By stage of the plan: the spans as which its layers are planned.  Distinct spans are planned
/// once more, as they were priced.  Throws Error where that is cancelled.  @pre plan.has_stages()
std::vector<std::vector<PlannedSpan>> planned_spans(const PipelinePlan& plan);

/// An op of the program in a stage.
struct StagedOp {
  std::size_t stage = 0;
  DynamicMesh mesh;  ///< of the stage, its devices from `first_device` on
  Device first_device = 0;
  PlannedOp op;             ///< by the stage's mesh
  bool runs_again = false;  ///< rematerialized for the backward pass
};

/// By op of the program.  An op that several stages repeat (a table, an optimizer's step size) is
/// reported for the first of them.  Throws as planned_spans() does.  @pre plan.has_stages()
std::vector<StagedOp> staged_ops(const PipelinePlan& plan, std::size_t op_count);

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/staged_ops.ipp"
#endif
