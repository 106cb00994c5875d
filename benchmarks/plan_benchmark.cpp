// SPDX-License-Identifier: Apache-2.0
//
// How long each part of the road takes, on the transformer that ships with the examples: reading
// HLO, making a graph, enumerating and pricing, solving.  Compare parts with each other, and one
// commit with the next on the same machine in the same minute.
#include <benchmark/benchmark.h>

#include <string>

#include "tessera/cost.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/plan.hpp"

namespace {

using namespace tessera;

const std::string& text() {
  static const std::string text =
      io::read_file(std::string(TESSERA_SOURCE_DIR) + "/examples/models/gpt_2_layer_step.hlo");
  return text;
}
const io::hlo::Module& module() {
  static const io::hlo::Module module = io::hlo::read_module(text(), "gpt_2_layer_step.hlo");
  return module;
}
const io::hlo::Program& program() {
  static const io::hlo::Program program = io::hlo::import_module(module());
  return program;
}

DynamicMesh mesh_of(const benchmark::State& state) { return {state.range(0), state.range(1)}; }

void read_hlo(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(io::hlo::read_module(text(), "text"));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text().size()));
}
BENCHMARK(read_hlo)->Unit(benchmark::kMillisecond);

void make_graph(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(io::hlo::import_module(module()));
}
BENCHMARK(make_graph)->Unit(benchmark::kMillisecond);

void formulate(benchmark::State& state) {
  for (auto _ : state) {
    cost::Resharding resharding(mesh_of(state),
                                                         cost::Alpa::with_defaults(2));
    benchmark::DoNotOptimize(plan::formulate(program().graph, resharding));
  }
}
BENCHMARK(formulate)->Args({1, 8})->Args({2, 4})->Args({4, 8})->Unit(benchmark::kMillisecond);

void solve(benchmark::State& state) {
  cost::Resharding resharding(mesh_of(state),
                                                       cost::Alpa::with_defaults(2));
  const plan::Formulation formulation = plan::formulate(program().graph, resharding);
  solver::Status status{};
  for (auto _ : state) status = solver::solve(formulation.problem).status;
  state.SetLabel(solver::to_string(status));
}
BENCHMARK(solve)->Args({1, 8})->Args({2, 4})->Args({4, 8})->Unit(benchmark::kMillisecond);

void read_iopddl(benchmark::State& state) {
  cost::Resharding resharding(DynamicMesh{2, 4},
                                                       cost::Alpa::with_defaults(2));
  const std::string json = io::write_iopddl(plan::formulate(program().graph, resharding).problem);
  for (auto _ : state) benchmark::DoNotOptimize(io::read_iopddl(json, "text"));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(json.size()));
}
BENCHMARK(read_iopddl)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
