// SPDX-License-Identifier: Apache-2.0
//
// Puts chosen stages on devices: their placement, the real transfers between them, the simulation
// of their schedule, memory and FLOPs.
//
// Which layers run where, and in which configuration, is decided elsewhere (stage_choice.hpp,
// interleaved_stages.hpp).
#pragma once
#include <cstddef>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/pipeline/schedule.hpp"
#include "tessera/plan/detail/pipeline/stage_prices.hpp"
#include "tessera/plan/pipeline_plan.hpp"

namespace tessera::plan::detail {

// The layers first to last of a stage, or of a chunk of one.
struct StageChoice {
  std::size_t first = 0, last = 0;
  StageConfig config;
};

// Fills the stages of a plan, its schedule, timeline, step time and utilisation.  `chosen`: the
// chunks of the model, in their order; chunk i is on stage i % schedule.stages.  Throws
// InvalidArgument where the submeshes can not be placed.
void place_stages(const StagePrices& prices, const std::vector<StageChoice>& chosen,
                  pipeline::Schedule schedule, PipelinePlan& plan);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/pipeline/placed_stages.ipp"
#endif
