// SPDX-License-Identifier: Apache-2.0
//
// The choice of stages by the prices of spans, under one schedule.
//
// The cheapest choice is found by a formula: the sum of latencies and the slowest period
// (pipeline/stage_problem.hpp).  How long stages wait for transfers depends on the schedule.  Under
// 1F1B the formula makes them wait for all transfers, but stages that are shorter than others do
// not: so stages are chosen again with half of the waits and with none, and the choice whose
// simulation takes the least time is taken.
//
// Prices under memory budgets are made only where memory is the obstacle.  A view that has none yet
// gets optimistic estimates: its spans at their least time, in the least memory that any plan of
// them could have.  If the best choice rests on such estimates, their views are priced under memory
// budgets, and stages are chosen again; unless the best choice without estimates is hardly more
// expensive (PipelineOptions::gap).  The choice with estimates bounds what more prices could give
// from below.  On very large clusters the estimates would make the choice itself slow; there they
// are used only if nothing fits without them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/pipeline/stage_search.hpp"
#include "tessera/plan/detail/pipeline/stage_prices.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/solver/deadline.hpp"

namespace tessera::plan::detail {

// Everything that a choice of stages reads.
struct ChoiceInput {
  const PipelineOptions& options;
  const pipeline::Submeshes& submeshes;
  const solver::Deadline& deadline;
  StagePrices& prices;  // gets further prices where they are needed
  Extent capacity;      // memory of a device, in bytes
  bool is_out_of_time;  // the first stages that are found are taken, in spite of the deadline

  bool is_over() const { return !is_out_of_time && deadline.is_over(); }
};

// Fills the plan, which comes without stages, with the best stages under a schedule, or with the
// status that says why there are none; and adds to the statistics.  Interleaved stages are chosen
// by interleaved_stages.hpp.  @pre kind is not interleaved
void choose_stages(const ChoiceInput& input, pipeline::ScheduleKind kind, PipelinePlan& plan,
                   pipeline::StageStatistics& statistics);

// The same by the prices that there are, when time is over: the first stages that are found.
// @pre input.is_out_of_time
void choose_first_stages(const ChoiceInput& input, pipeline::ScheduleKind kind, PipelinePlan& plan,
                         pipeline::StageStatistics& statistics);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/pipeline/stage_choice.ipp"
#endif
