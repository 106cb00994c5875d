// SPDX-License-Identifier: Apache-2.0
#include "instances/plans.hpp"

namespace tessera::plan {

template Plan plan(const graph::Graph&, const DynamicMesh&, const cost::Alpa&, const Options&);
template RecomputingPlan plan_recomputing(const graph::Graph&, const DynamicMesh&,
                                          const cost::Alpa&, const Options&, Recompute);
template Formulation formulate(const graph::Graph&, cost::Resharding<cost::Alpa, DynamicMesh>&,
                               const FormulateOptions&);

}  // namespace tessera::plan
