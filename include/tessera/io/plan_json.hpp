// SPDX-License-Identifier: Apache-2.0
//
// A plan as one JSON object.
//
//   {"objective": 26872.03, "lower_bound": 26872.03, "status": "optimal", "unit": "alpa",
//    "mesh": [4, 8], "memory": {"peak_bytes": ..., "at": "dot.1", "budget_bytes": ...,
//    "peak_bytes_with_buffers": ..., "peak_bytes_of": {"weights": ..., ...}},
//    "instructions": {"NAME": {"sharding": "{devices=...}", "strategy": "S0R x RS1 -> S0S1",
//      "collectives": [{"kind": "all-reduce", "axes": [0], "bytes": 123, "cost": 98305.01,
//                       "operand": 1}]}},
//    "called": {"COMPUTATION": {"NAME": {...}}}}
//
// Shardings are HLO V1 strings.  Costs are exact decimals in the cost model's unit.  A collective
// without "operand" finishes the instruction's own result.  Costs add up to the objective.
//
// Under a model of real devices the unit is "us"; each instruction also has its own "work", part of
// that sum, "memory" the device's "capacity_bytes", and the plan its "utilisation": "mfu", "hfu",
// "model_flops", "hardware_flops", "peak_flops_per_second" of one device, "devices".
//
// An instruction may have become several ops: one for each array of a loop's state, and for each
// place from which its computation is called.  All their collectives are listed, each with its
// "op", and their strategies where they differ, separated by "; ".
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/io/hlo/program.hpp"

namespace tessera::plan {
struct Plan;
}

namespace tessera::io {

/// The plan as JSON, in the format above.  `program` is the module's, and `plan` one of it.  A plan
/// without ops has a status, a bound and its memory only.  O(instructions * devices)
std::string write_plan(const hlo::Module& module, const hlo::Program& program,
                       const plan::Plan& plan);

}  // namespace tessera::io

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/plan_json.ipp"
#endif
