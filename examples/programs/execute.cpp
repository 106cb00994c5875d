// SPDX-License-Identifier: Apache-2.0
#include "execute.hpp"

#include "tessera/core/error.hpp"

#if __has_include(<Eigen/Core>)

#include <cstddef>
#include <filesystem>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tessera/executor/inputs.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/executor/verify_pipeline.hpp"
#include "tessera/io/file.hpp"
#include "tessera/report/execution_table.hpp"
#include "tessera/report/pipeline_execution_table.hpp"
#include "tessera/tessera.hpp"

namespace tessera::examples {

namespace {

// Replaces random inputs by the tensors of a folder.
void read_inputs(const graph::Graph& graph, const std::string& folder,
                 std::vector<executor::Tensor>& inputs) {
  const std::vector<graph::OpId> parameters = executor::parameters_of(graph);
  std::size_t found = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto path = std::filesystem::path(folder) / (graph.op(parameters[i]).name + ".npy");
    if (!std::filesystem::exists(path)) continue;
    ++found;
    try {
      inputs[i] = executor::parse_numpy(io::read_file(path.string()), inputs[i].type());
    } catch (const tessera::InvalidArgument& error) {
      throw InputError(path.string(), error.what());
    }
  }
  if (found == 0)
    throw InputError("--inputs", "no parameter has a NumPy file in " + excerpt(folder, 200) +
                                     "; that of " + graph.op(parameters.at(0)).name + " would be " +
                                     graph.op(parameters[0]).name + ".npy");
}

std::vector<executor::Tensor> inputs_of(const graph::Graph& graph, const ExecuteOptions& options,
                                        std::uint64_t seed) {
  std::vector<executor::Tensor> inputs = executor::random_inputs(graph, seed);
  if (!options.inputs.empty()) read_inputs(graph, options.inputs, inputs);
  return inputs;
}

}  // namespace

Execution execute(const graph::Graph& graph, const plan::Plan& plan,
                  const ExecuteOptions& options) {
  const executor::Expectation expected =
      executor::expectation_of(graph, inputs_of(graph, options, options.seed));
  const executor::Report report =
      executor::verify_on_threads(graph, plan, expected, {.tolerance = options.tolerance});
  const std::string header = "\nexecuted on " + std::to_string(plan.mesh.device_count()) +
                             " threads, and compared with the program on one device\n";
  std::string text = header + report::execution_table(graph, report);
  if (!report.outputs_agree())
    if (const auto wrong = executor::first_wrong_op(graph, plan, expected))
      text += "the first op whose output differs: " + graph.op(*wrong).name + ", planned as " +
              plan.ops[*wrong].strategy + '\n';
  return {std::move(text), report.is_true()};
}

Execution execute(const graph::Graph& graph, const plan::PipelinePlan& plan,
                  const cost::Cluster& cluster, const ExecuteOptions& options) {
  const executor::PipelineProgram program = executor::pipeline_program(graph, plan, cluster);
  executor::StepInputs inputs;
  for (std::int64_t m = 0; m < plan.microbatches; ++m)
    inputs.push_back(inputs_of(graph, options, options.seed + static_cast<std::uint64_t>(m)));
  const executor::StepExpectation expected =
      executor::step_expectation_of(graph, std::move(inputs));
  const executor::PipelineReport report =
      executor::verify_on_threads(program, expected, {.tolerance = options.tolerance});
  const std::string header = "\na step executed on " + std::to_string(program.devices()) +
                             " threads, and compared with its microbatches on one device\n";
  return {header + report::pipeline_execution_table(graph, program, report), report.is_true()};
}

}  // namespace tessera::examples

#else

namespace tessera::examples {

namespace {

[[noreturn]] Execution refuse() {
  throw InputError("--execute", "this program was built without Eigen; install libeigen3-dev");
}

}  // namespace

Execution execute(const graph::Graph&, const plan::Plan&, const ExecuteOptions&) { refuse(); }
Execution execute(const graph::Graph&, const plan::PipelinePlan&, const cost::Cluster&,
                  const ExecuteOptions&) {
  refuse();
}

}  // namespace tessera::examples

#endif
