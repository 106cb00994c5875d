// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of pipeline_plan.hpp.
#pragma once
#include "tessera/plan/pipeline_plan.hpp"

#include <utility>

#include "tessera/cost/cluster.hpp"

namespace tessera::plan {

TESSERA_INLINE pipeline::Ranks PipelinePlan::ranks() const {
  std::vector<pipeline::RankBlock> blocks;
  for (std::size_t i = 0; i < stages.size() && blocks.size() < stage_count(); ++i)
    blocks.push_back({stages[i].first_device, stages[i].mesh, stages[i].roles});
  return pipeline::Ranks::of_stages(std::move(blocks));
}

TESSERA_INLINE pipeline::Submesh hosts_of(const cost::Cluster& cluster) {
  const Extent per_host = cluster.levels.empty() ? 1 : cluster.levels[0].fan_out;
  return {cluster.device_count() / per_host, per_host};
}

}  // namespace tessera::plan
