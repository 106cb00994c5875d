// SPDX-License-Identifier: Apache-2.0
//
// What the executor costs: a matrix product on threads that hold shards, beside Eigen's own
// parallel product on the same cores.
//
//   executor-product [SIZE [THREADS [ROUNDS]]]
//
// Both are timed turn by turn in one run, and the best round of each counts.  Eigen runs in
// parallel by OpenMP; the executor's devices are threads of their own, each of which multiplies
// alone.
#include <Eigen/Core>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "tessera/cost/alpa.hpp"
#include "tessera/executor/inputs.hpp"
#include "tessera/executor/threads.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/graph.hpp"
#include "tessera/plan/plan.hpp"

namespace {

using namespace tessera;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template<class Run>
double seconds_of(Run&& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Every device has some rows of x, and all of w: nothing is sent.
plan::Plan split_by_rows(const graph::Graph& graph, const DynamicMesh& mesh) {
  plan::PlanSpace space(graph, mesh, cost::Alpa::with_defaults(mesh.rank()), {.prune = false});
  const DynamicSharding whole = DynamicSharding::replicated(2), rows = whole.with_split(0, 0);
  const DynamicSharding wanted[] = {rows, whole, rows};  // of x, of w, of the product
  solver::Assignment assignment;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const strategy::Column& column = *space.formulation().columns[id];
    const auto found = std::find_if(column.begin(), column.end(), [&](const auto& choice) {
      return choice.results[0] == wanted[id] &&
             (choice.operands.empty() || choice.operands[0] == rows);
    });
    assignment.push_back(static_cast<std::uint32_t>(found - column.begin()));
  }
  return space.plan_of(assignment);
}

// One product by the executor: from the barrier at which all devices have their shards to the one
// at which all are done.
double executor_seconds(const graph::Graph& graph, const plan::Plan& plan,
                        const std::vector<executor::Tensor>& inputs) {
  double seconds = 0;
  executor::run_on_threads(plan.mesh.device_count(), [&](executor::Communicator& comm) {
    executor::DevicePlan device(graph, plan, comm);
    std::vector<Device> all;
    for (Device d = 0; d < comm.size(); ++d) all.push_back(d);
    std::vector<executor::TensorPart> shards = device.shards_of(inputs);
    comm.barrier(all);
    const double own = seconds_of([&] {
      device(std::move(shards));
      comm.barrier(all);
    });
    if (comm.device() == 0) seconds = own;
  });
  return seconds;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, long usual) { return argc > i ? std::atol(argv[i]) : usual; };
  const Extent size = argument(1, 2048), threads = argument(2, 2), rounds = argument(3, 5);
  graph::Builder b;
  const auto x = b.parameter("x", graph::f32, {size, size});
  const auto w = b.parameter("w", graph::f32, {size, size});
  b.output(einsum<"mk,kn->mn">(x, w));
  const plan::Plan plan = split_by_rows(b.graph(), DynamicMesh{threads});
  const std::vector<executor::Tensor> inputs = executor::random_inputs(b.graph(), 1);

  using View = Eigen::Map<const Matrix>;
  const View left(inputs[0].data<float>(), size, size), right(inputs[1].data<float>(), size, size);
  Matrix product(size, size);
  double by_executor = std::numeric_limits<double>::infinity(), by_eigen = by_executor;
  for (Extent round = 0; round < rounds; ++round) {
    Eigen::setNbThreads(1);
    by_executor = std::min(by_executor, executor_seconds(b.graph(), plan, inputs));
    Eigen::setNbThreads(static_cast<int>(threads));
    by_eigen = std::min(by_eigen, seconds_of([&] { product.noalias() = left * right; }));
  }
  const double flops = 2e-9 * static_cast<double>(size) * static_cast<double>(size) *
                       static_cast<double>(size);
  std::printf("%lld cubed in float on %lld threads, the best of %lld rounds\n",
              static_cast<long long>(size), static_cast<long long>(threads),
              static_cast<long long>(rounds));
  std::printf("  executor  %8.1f GFLOP/s\n  Eigen     %8.1f GFLOP/s\n  ratio     %8.3f\n",
              flops / by_executor, flops / by_eigen, by_eigen / by_executor);
}
