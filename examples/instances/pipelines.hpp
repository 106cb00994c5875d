// SPDX-License-Identifier: Apache-2.0
//
// Pipelines and their spans, compiled once (plans.hpp).
#pragma once
#include "instances/plans.hpp"
#include "tessera/plan/pipeline_plan.hpp"

namespace tessera::plan {

extern template PipelinePlan plan_pipeline(const graph::Graph&, const pipeline::Layers&,
                                           const cost::Cluster&, const PipelineOptions&);

}  // namespace tessera::plan
