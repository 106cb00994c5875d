// SPDX-License-Identifier: Apache-2.0
//
// plan_pipeline(): a program, its layers and a cluster in; pipeline stages out, with everything
// that a step of them takes.
//
//   const auto layers = *pipeline::named_layers(graph);  // graph: one microbatch, and the update
//   const auto plan = plan::plan_pipeline(graph, layers, cluster, {.microbatches = 64});
//   plan.stages[i]               // its layers, submesh, mesh and devices
//   plan.cost, plan.lower_bound  // picoseconds a step, by the prices of spans
//   plan.timeline                // the simulated step, with its transfers
//
// The choice is the cheapest in this space: contiguous layers; submeshes of the given sizes, with
// all devices in use; each viewed as any mesh of at most two axes; for each span the plan that
// keeps its stage busy for the least time, or the least within a memory budget (span_price.hpp);
// activations saved, or rematerialized at some rate between time and memory, the same for all
// layers of a stage; memory as the schedule has microbatches in flight.  Interleaved schedules have
// a space of their own: all stages equal.
//
// When time is over, or planning is cancelled, stages are chosen by the prices that there are by
// then: the incumbent of the choice, or the first stages that it finds.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/pipeline/layers.hpp"
#include "tessera/plan/pipeline_plan.hpp"

namespace tessera::plan {

/// The submeshes that are tried by default: parts of a host that divide it, and numbers of hosts
/// that divide the cluster's.
pipeline::Submeshes default_submeshes(const pipeline::Submesh& cluster);

/// The best stages for a step of `options.microbatches` microbatches, followed by one update.  The
/// program is that of one microbatch (forward and backward ops) and the update.
///
/// Throws InvalidArgument for submeshes that the cluster does not have, and for programs with
/// loops; and what plan() throws.
PipelinePlan plan_pipeline(const graph::Graph& graph, const pipeline::Layers& layers,
                           const cost::Cluster& cluster, const PipelineOptions& options);

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/plan_pipeline.ipp"
#endif
