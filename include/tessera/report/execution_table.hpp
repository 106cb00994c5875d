// SPDX-License-Identifier: Apache-2.0
//
// The result of running a plan, for people: outputs that differ, the memory, and the bytes of each
// collective as predicted and as counted.
//
// Not part of tessera/report.hpp, since the executor needs Eigen.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::report {

/// The result of running a plan as a table.  Several lines, each with a newline; deviations from
/// the plan are in capitals.
/// @pre `report` is about a plan of `graph`
std::string execution_table(const graph::Graph& graph, const executor::Report& report);

}  // namespace tessera::report

#ifdef TESSERA_HEADER_ONLY
#include "tessera/report/execution_table.ipp"
#endif
