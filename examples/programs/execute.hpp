// SPDX-License-Identifier: Apache-2.0
//
// What tessera-plan --execute does; by itself, since it alone needs Eigen.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "tessera/cost/cluster.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::plan {
struct PipelinePlan;  // pipeline_plan.hpp, for those who have one
}

namespace tessera::examples {

struct Execution {
  std::string text;  // for people
  bool is_true = false;
};

struct ExecuteOptions {
  std::uint64_t seed = 0;
  std::optional<double> tolerance;
  std::string inputs;  // a folder of NumPy files, NAME.npy for a parameter of that name, or nothing
};

// Runs a plan, a thread for each device, on the inputs that are given and random ones for the rest.
// Throws what executor/verify.hpp says; InputError for files that do not fit, and where this
// program was built without Eigen.
Execution execute(const graph::Graph& graph, const plan::Plan& plan, const ExecuteOptions& options);

// The same of a pipeline: one step, its microbatches on data of their own but for what is given.
Execution execute(const graph::Graph& graph, const plan::PipelinePlan& plan,
                  const cost::Cluster& cluster, const ExecuteOptions& options);

}  // namespace tessera::examples
