// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan as a table for people: the step, then each stage.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/pipeline_plan.hpp"

namespace tessera::report {

/// The plan of a pipeline as a table: the search, the step, and each stage.  Several lines, each
/// with a newline; bytes are per device.
/// @pre `plan` is a plan of `graph`, with stages or without
std::string pipeline_table(const graph::Graph& graph, const plan::PipelinePlan& plan);

}  // namespace tessera::report

#ifdef TESSERA_HEADER_ONLY
#include "tessera/report/pipeline_table.ipp"
#endif
