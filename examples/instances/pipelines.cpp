// SPDX-License-Identifier: Apache-2.0
#include "instances/pipelines.hpp"

namespace tessera::plan {

template PipelinePlan plan_pipeline(const graph::Graph&, const pipeline::Layers&,
                                    const cost::Cluster&, const PipelineOptions&);

}  // namespace tessera::plan
