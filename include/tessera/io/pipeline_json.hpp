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
// Layers and devices are the first and the last one.  Times are exact decimals in microseconds:
// those of a stage of one microbatch, but for per_step.  "step_time" is the schedule as it plays,
// "objective" the formula by which stages were chosen, of which "lower_bound" is the proven least
// over the prices of spans, and "work_bound" over any plans of them (PipelinePlan).  Interleaved
// stages are listed chunk by chunk, those of the same devices being one.
// "instructions" are those of the entry computation; "again" says, and of a stage how long it
// takes, that it runs a second time for the backward pass.  Where nothing fits there are no stages.
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
