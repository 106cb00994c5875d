// SPDX-License-Identifier: Apache-2.0
// mpirun -n 8 mpi_plan_test: plans and pipelines run by ranks, true and bit for bit as by threads.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <vector>

#include "executor/as_threads.hpp"
#include "tessera/cost/alpa.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/executor/detail/verification/random_plan.hpp"
#include "tessera/executor/inputs.hpp"
#include "tessera/executor/mpi.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/executor/verify_pipeline.hpp"
#include "tessera/graph/builder.hpp"
#include "tessera/models/mlp.hpp"
#include "tessera/tessera.hpp"

namespace {

using namespace tessera;
using namespace tessera::executor;
using tessera_test::Results;

// Products, a sum and its use, windows that slide, and an update: every step there is.
graph::Graph program() {
  graph::Builder b;
  const auto x = b.parameter("x", graph::f32, {13, 16}), w = b.parameter("w", graph::f32, {16, 24});
  const auto y = einsum<"mk,kn->mn">(x, w);
  const auto shifted = pad(slice(y, 0, 1, 13), b.constant(graph::f32), {{0, 1, 0}, {}});
  const auto sums = broadcast(reduce_sum(shifted, {0}), y.dims(), {1});
  b.output(transpose(y * sums + shifted, {1, 0}));
  b.update(w, w - einsum<"mk,mn->kn">(x, y));
  return b.graph();
}

void add(const TensorPart& part, Results& results) {
  results.add(std::span<const std::byte>(part.tensor.bytes(), part.tensor.byte_size()));
}

// The outputs of random plans, each of which must be true.
class Plans {
 public:
  Plans() : expected_(expectation_of(graph_, random_inputs(graph_, 1))) {
    plan::PlanSpace space(graph_, DynamicMesh{2, 4}, cost::Alpa::with_defaults(2),
                          {.prune = false});
    for (std::uint64_t seed = 0; seed < 5; ++seed)
      plans_.push_back(
          space.plan_of(executor::detail::random_assignment(space.formulation(), seed)));
  }

  void run(Communicator& comm, Results& results) const {
    for (const plan::Plan& plan : plans_) {
      if (!verify(graph_, plan, expected_, comm).is_true())
        throw std::runtime_error("a plan is not true");
      DevicePlan device(graph_, plan, comm);
      for (const TensorPart& part : device(device.shards_of(expected_.inputs))) add(part, results);
    }
  }

 private:
  graph::Graph graph_ = program();
  Expectation expected_;
  std::vector<plan::Plan> plans_;
};

// The outputs of three steps of a pipeline of four stages.
class Pipeline {
 public:
  Pipeline() : graph_(models::build(models::Mlp{4, 12, 5, 8}, {.precision = graph::f32})) {
    const cost::Cluster cluster = cost::find_cluster("alpa-p3.16xlarge:8");
    plan::PipelineOptions options;
    options.microbatches = 6;
    options.submeshes = {{1, 2}};
    program_ = pipeline_program(
        graph_, plan::plan_pipeline(graph_, *pipeline::named_layers(graph_), cluster, options),
        cluster);
    StepInputs inputs;
    for (std::uint64_t m = 0; m < 6; ++m) inputs.push_back(random_inputs(graph_, m));
    expected_ = step_expectation_of(graph_, std::move(inputs));
  }

  void run(Communicator& comm, Results& results) const {
    if (!verify(program_, expected_, comm).is_true())
      throw std::runtime_error("a pipeline is not true");
    DevicePipeline device(program_, comm);
    device.load(expected_.inputs[0]);
    for (int step = 0; step < 3; ++step)
      for (const std::vector<TensorPart>& parts : device.step(expected_.inputs))
        for (const TensorPart& part : parts) add(part, results);
    for (const TransferRoute& route : program_.routes) results.add(comm.traffic().of(route.label));
  }

 private:
  graph::Graph graph_;
  PipelineProgram program_;
  StepExpectation expected_;
};

}  // namespace

int main(int argc, char** argv) {
  const MpiSession session(argc, argv);
  const Plans plans;
  const Pipeline pipeline;
  run_on_ranks(
      [&](Communicator& comm) {
        const std::size_t count = tessera_test::compare_with_threads(comm, [&](auto& device) {
          Results results;
          plans.run(device, results);
          pipeline.run(device, results);
          return results;
        });
        if (comm.device() == 0)
          std::printf(
              "plans and a pipeline are true, and as by threads: %zu results, bit for bit\n",
              count);
      },
      MPI_COMM_WORLD, {});
}
