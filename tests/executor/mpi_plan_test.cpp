// SPDX-License-Identifier: Apache-2.0
// mpirun -n 8 mpi_plan_test: plans run by ranks, true and bit for bit as by threads.
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <vector>

#include "tessera/cost/alpa.hpp"
#include "tessera/executor/inputs.hpp"
#include "tessera/executor/mpi.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/graph/builder.hpp"

namespace {

using namespace tessera;
using namespace tessera::executor;

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

// Any assignment in which the weight and its update agree.
plan::Plan plan_of(plan::PlanSpace<cost::Alpa, DynamicMesh>& space, const graph::Graph& graph,
                   std::uint64_t seed) {
  const plan::Formulation& formulation = space.formulation();
  solver::Assignment assignment;
  for (solver::NodeId v = 0; v < formulation.problem.node_count(); ++v) {
    const std::uint64_t count = formulation.problem.strategy_count(v);
    assignment.push_back(static_cast<std::uint32_t>(mix_bits(seed * 1000 + v) % count));
  }
  const graph::Alias& alias = graph.aliases[0];
  const auto sharding_of = [&](graph::OpId op, std::uint32_t s) {
    return (*formulation.columns[op])[s].results[0];
  };
  const solver::NodeId weight = formulation.nodes[alias.parameter][0];
  const DynamicSharding wanted =
      sharding_of(alias.output.op, assignment[formulation.nodes[alias.output.op][0]]);
  assignment[weight] = 0;
  while (!(sharding_of(alias.parameter, assignment[weight]) == wanted)) ++assignment[weight];
  return space.plan_of(assignment);
}

template<Communicator C>
std::vector<std::uint8_t> bits_of_outputs(const graph::Graph& graph, const plan::Plan& plan,
                                          const Expectation& expected, C& comm) {
  if (!verify(graph, plan, expected, comm).is_true())
    throw std::runtime_error("the plan is not true");
  DevicePlan device(graph, plan, comm);
  std::vector<std::uint8_t> bits;
  for (const OwnedPart& part : device(device.shards_of(expected.inputs))) {
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(part.tensor.bytes());
    bits.insert(bits.end(), begin, begin + part.tensor.byte_size());
  }
  return bits;
}

void compare_with_threads(MpiCommunicator& comm) {
  const graph::Graph graph = program();
  plan::PlanSpace space(graph, DynamicMesh{2, 4}, cost::Alpa::with_defaults(2), {.prune = false});
  const Expectation expected = expectation_of(graph, random_inputs(graph, 1));
  constexpr std::uint64_t plans = 5;
  for (std::uint64_t seed = 0; seed < plans; ++seed) {
    const plan::Plan plan = plan_of(space, graph, seed);
    std::vector<std::uint8_t> own = bits_of_outputs(graph, plan, expected, comm);
    if (comm.rank() != 0) {
      comm.send(0, 1, std::span(own));
      continue;
    }
    std::vector<std::vector<std::uint8_t>> threads(static_cast<std::size_t>(comm.size()));
    run_on_threads(comm.size(), [&](ThreadCommunicator& thread) {
      threads[static_cast<std::size_t>(thread.rank())] =
          bits_of_outputs(graph, plan, expected, thread);
    });
    for (Device rank = 0; rank < comm.size(); ++rank) {
      std::vector<std::uint8_t>& of_thread = threads[static_cast<std::size_t>(rank)];
      std::vector<std::uint8_t> bits(of_thread.size());
      if (rank == 0)
        bits = own;
      else
        comm.receive(rank, 1, std::span(bits));
      if (bits != of_thread)
        throw std::runtime_error("rank " + std::to_string(rank) + " differs from the threads");
    }
  }
  if (comm.rank() == 0)
    std::printf("plans are true, and as by threads: %d of them, bit for bit\n",
                static_cast<int>(plans));
}

}  // namespace

int main(int argc, char** argv) {
  const MpiSession session(argc, argv);
  run_on_ranks([](MpiCommunicator& comm) { compare_with_threads(comm); }, MPI_COMM_WORLD, {});
}
