// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan as one JSON object.
//
//   {"status": "optimal", "unit": "us", "step_time": 26872.03, "objective": ...,
//    "lower_bound": ..., "work_bound": ..., "microbatches": 64, "schedule": "1f1b", "bubble": 0.12,
//    "utilisation": {"mfu": ..., "hfu": ..., "model_flops": ..., "hardware_flops": ...,
//      "peak_flops_per_second": ..., "devices": 64},
//    "stages": [{"layers": [0, 5], "devices": [0, 7], "mesh": [2, 4], "roles": ["dp", "tp"],
//      "forward": ..., "backward": ..., "receive": ..., "send_back": ..., "per_step": ...,
//      "recomputes": true, "again": ..., "memory": {"bytes": ..., "fixed_bytes": ...,
//      "microbatch_bytes": ..., "in_flight": 3}}],
//    "groups": {"tp": [[0, 1], ...], "dp": [...]},
//    "instructions": {"NAME": {"stage": 0, "again": true, "sharding": "{devices=...}",
//      "strategy": "..."}}}
//
// Layers and devices are the first and the last one.  Times are exact decimals in microseconds;
// those of a stage are for one microbatch, except per_step.  "step_time" is the simulated time of
// the schedule, and "objective" the formula by which stages were chosen.  "lower_bound" is a proven
// bound on the objective over the prices of spans, and "work_bound" one over any plans of the spans
// (PipelinePlan).  Interleaved stages are listed chunk by chunk; chunks on the same devices are one
// stage.  "instructions" are those of the entry computation.  "again" marks an instruction that is
// rematerialized for the backward pass; of a stage it is the time of its rematerialized ops.  A
// plan that does not fit has no stages.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/io/hlo/program.hpp"

namespace tessera::plan {
struct PipelinePlan;
}

namespace tessera::io {

/// The plan as JSON, in the format above.  `program` is the module's, and `plan` one of it.
/// O(instructions * devices)
std::string write_pipeline(const hlo::Module& module, const hlo::Program& program,
                           const plan::PipelinePlan& plan);

}  // namespace tessera::io

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/pipeline_json.ipp"
#endif
