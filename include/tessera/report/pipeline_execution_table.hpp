// SPDX-License-Identifier: Apache-2.0
//
// The result of running a pipeline, for people: outputs that differ, the memory of each stage, and
// the bytes of transfers and collectives as predicted and as counted.
//
// Not part of tessera/report.hpp, since the executor needs Eigen.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/executor/verify_pipeline.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::report {

/// The result of running a pipeline as a table.  Several lines, each with a newline; deviations
/// from the plan are in capitals.
/// @pre `report` is about `program`, and that is a plan of `graph`
std::string pipeline_execution_table(const graph::Graph& graph,
                                     const executor::PipelineProgram& program,
                                     const executor::PipelineReport& report);

}  // namespace tessera::report

#ifdef TESSERA_HEADER_ONLY
#include "tessera/report/pipeline_execution_table.ipp"
#endif
