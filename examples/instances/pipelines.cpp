// SPDX-License-Identifier: Apache-2.0
#include "instances/pipelines.hpp"

namespace tessera::plan {

template Plan plan_span(const pipeline::SpanProgram&, const DynamicMesh&, const cost::ClusterModel&,
                        const SpanRequest&);
template PipelinePlan plan_pipeline(const graph::Graph&, const pipeline::Layers&,
                                    const cost::Cluster&, const PipelineOptions&);

}  // namespace tessera::plan
