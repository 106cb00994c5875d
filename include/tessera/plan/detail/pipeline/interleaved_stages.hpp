// SPDX-License-Identifier: Apache-2.0
//
// Stages for the interleaved schedule: all with equal submeshes, each with several chunks of
// layers.
//
// The neighbours of a chunk are on other stages, so the price of a stage no longer follows from a
// span of layers and a place in a row, and there is no dynamic program over it.  But interleaved
// stages are equal: the cluster in equal submeshes, viewed as the same mesh, in the same
// configuration.  That leaves few choices: submesh, view, price table, rematerialization, number of
// chunks.  Each is tried: layers are cut into chunks as evenly as possible (the least sum of
// squared times), the schedule is simulated, and choices that do not fit in memory are dropped.
#pragma once
#include <cstdint>
#include <functional>

#include "tessera/core/inline.hpp"
#include "tessera/plan/detail/pipeline/stage_prices.hpp"
#include "tessera/plan/pipeline_plan.hpp"

namespace tessera::plan::detail {

// The best of all interleaved stages.  `empty`: a plan without stages, with the fields that are
// known already.  `chunks`: of a stage; 0 for the best number.  is_over() ends it early.
PipelinePlan interleaved_plan(StagePrices& prices, const PipelinePlan& empty,
                              Rematerialize rematerialize, std::int64_t chunks,
                              const std::function<bool()>& is_over);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/pipeline/interleaved_stages.ipp"
#endif
