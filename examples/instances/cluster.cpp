// SPDX-License-Identifier: Apache-2.0
#include "instances/plans.hpp"

namespace tessera::plan {

template Plan plan(const graph::Graph&, const DynamicMesh&, const cost::ClusterModel&,
                   const Options&);
template RecomputingPlan plan_recomputing(const graph::Graph&, const DynamicMesh&,
                                          const cost::ClusterModel&, const Options&, Recompute);
template Formulation formulate(const graph::Graph&,
                               cost::Resharding<cost::ClusterModel, DynamicMesh>&,
                               const FormulateOptions&);

}  // namespace tessera::plan
