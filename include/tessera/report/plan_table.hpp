// SPDX-License-Identifier: Apache-2.0
//
// A plan as text for people: the shardings, the communication, and the cost.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::report {

/// The options of plan_table().
struct TableOptions {
  bool all_ops = false;  ///< also ops that neither are heavy nor communicate
};

/// A plan as a table: summary, parameters, ops, communication, memory.  Several lines, each with a
/// newline; bytes are per device.  If the plan is infeasible, the table
/// says how much memory would suffice.
/// @pre `plan` is a plan of `graph`
std::string plan_table(const graph::Graph& graph, const plan::Plan& plan,
                       const TableOptions& options = {});

}  // namespace tessera::report

#ifdef TESSERA_HEADER_ONLY
#include "tessera/report/plan_table.ipp"
#endif
