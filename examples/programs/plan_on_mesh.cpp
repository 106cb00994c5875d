// SPDX-License-Identifier: Apache-2.0
//
// tessera-plan on one mesh: the cheapest plan within a memory budget, with rematerialization.
#include <algorithm>
#include <cstdio>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "plan_arguments.hpp"
#include "tessera/cost/alpa.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/graph/difference.hpp"
#include "tessera/io/hlo/annotations.hpp"
#include "tessera/io/hlo/emit.hpp"
#include "tessera/io/hlo/writer.hpp"
#include "tessera/io/plan_json.hpp"
#include "tessera/mesh/refine.hpp"
#include "tessera/plan/data_parallel.hpp"
#include "tessera/plan/rematerialization.hpp"
#include "tessera/report/plan_table.hpp"
#include "tessera/report/rematerialization_table.hpp"
#include "tessera/report/solve_log.hpp"
#include "tessera/report/text.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/result.hpp"

namespace tessera::examples {

namespace {

cost::Alpa alpa_model(const Arguments& arguments, const DynamicMesh& mesh) {
  cost::Alpa defaults = cost::Alpa::with_defaults(mesh.rank());
  if (arguments.alpha.empty() && arguments.beta.empty()) return defaults;
  const auto read = [&](const char* flag, const std::string& text, Decimal last) {
    if (!text.empty()) return parse_coefficients(flag, text, mesh.rank());
    cost::Alpa::Coefficients result(mesh.rank(), Decimal{1, 1});
    if (mesh.rank() > 1) result.back() = last;
    return result;
  };
  return {read("--alpha", arguments.alpha, {1, 1}), read("--beta", arguments.beta, {1, 10})};
}

RefinedMesh refined_mesh(const DynamicMesh& mesh) {
  try {
    return refined(mesh);
  } catch (const InvalidMesh& error) {
    throw InputError("--refine-axes", error.what());
  }
}

cost::ClusterModel cluster_model(const Arguments& arguments, const cost::Cluster& cluster,
                                 const DynamicMesh& mesh) {
  const int hidden = hidden_percent_of(arguments);
  try {
    return {cluster, mesh, hidden};
  } catch (const tessera::InvalidArgument& error) {
    throw InputError("--mesh", error.what());
  }
}

io::hlo::ImportOptions import_options_of(const Arguments& arguments) {
  io::hlo::ImportOptions options;
  if (arguments.annotations == "io") options.annotations = io::hlo::Annotations::io;
  if (arguments.annotations == "ignore") options.annotations = io::hlo::Annotations::ignore;
  return options;
}

plan::RematerializationMode recompute_of(const Arguments& arguments) {
  if (arguments.recompute == "full") return plan::RematerializationMode::full;
  return arguments.recompute == "auto" ? plan::RematerializationMode::automatic
                                       : plan::RematerializationMode::none;
}

// Reports an error about an op at the instruction that the op comes from.
template<cost::CostModel Model>
plan::RematerializingPlan plan_or_blame(const io::hlo::Module& module,
                                        const io::hlo::Program& program, const DynamicMesh& mesh,
                                        const Model& model, const plan::Options& options,
                                        plan::RematerializationMode recompute) {
  try {
    return plan::plan_rematerializing(program.graph, mesh, model, options, recompute);
  } catch (const Error& error) {
    for (graph::OpId op = 0; op < program.graph.op_count(); ++op)
      if (program.graph.op(op).name == error.op())
        io::hlo::fail_at_op(module, program, op, error.what());
    throw;
  }
}

// The budget that is a percentage of what the cheapest data-parallel plan needs.
template<cost::CostModel Model>
Extent budget_of(const Arguments& arguments, const graph::Graph& graph, const DynamicMesh& mesh,
                 const Model& model, const plan::Options& given) {
  const Decimal share = parse_share("--memory-budget", arguments.memory_budget);
  plan::Options options;
  options.annotations = plan::data_parallel(graph, mesh);
  options.solver = given.solver;
  options.solver.time_limit /= 4;
  if (options.annotations.empty())
    throw InputError(
        "--memory-budget",
        "a percentage needs a training step on a batch, which data parallelism can split; "
        "give bytes instead of " +
            arguments.memory_budget);
  const plan::Plan by_hand = plan::plan(graph, mesh, model, options);
  if (!by_hand.has_ops())
    throw InputError("--memory-budget",
                     "no data-parallel plan, of which " + arguments.memory_budget +
                         " would be taken, was found in time; give bytes instead");
  const Wide bytes = by_hand.memory_with_buffers * share.numerator / share.denominator / 100;
  if (bytes > std::numeric_limits<Extent>::max())
    throw InputError("--memory-budget", arguments.memory_budget + " does not fit in 64 bits");
  std::fprintf(stderr, "note: data parallelism needs %s per device, of which %s are %s\n",
               report::bytes_text(by_hand.memory_with_buffers).c_str(),
               arguments.memory_budget.c_str(), report::bytes_text(bytes).c_str());
  return static_cast<Extent>(bytes);
}

// A plan with rematerialized ops is of another program than the one that was read: its text.
struct Planned {
  io::hlo::Module module;
  io::hlo::Program program;
};
std::optional<Planned> rewritten_as(const plan::RematerializingPlan& step,
                                    const io::hlo::Module& given,
                                    const io::hlo::Program& program_given) {
  if (step.graph.op_count() == program_given.graph.op_count()) return std::nullopt;
  const std::string& name = given.name;
  io::hlo::Module module = io::hlo::read_module(io::hlo::write_hlo(step.graph, name), name);
  io::hlo::Program program = io::hlo::import_module(module);
  const std::string difference = graph::difference(step.graph, program.graph);
  if (!difference.empty())
    throw InputError("--recompute",
                     "the program can not be written as HLO: " + difference + "; use --emit table");
  return Planned{std::move(module), std::move(program)};
}

template<cost::CostModel Model>
ExitCode plan_with(const Arguments& arguments, const DynamicMesh& mesh, const Model& model,
                   plan::Options options) {
  check_outputs(arguments);
  execute_options_of(arguments);  // reports mistakes in them before the work begins

  const io::hlo::Module module = read_module(arguments);
  const io::hlo::Program program = io::hlo::import_module(module, import_options_of(arguments));
  report_reading(module, program);
  options.annotations = io::hlo::annotations_on(mesh, module, program);
  options.problem_name = module.name;
  if (arguments.verbose) std::fprintf(stderr, "%s\n", report::log_header().c_str());
  if (is_share(arguments.memory_budget)) {
    const solver::Deadline deadline(options.solver);
    options.memory_budget = budget_of(arguments, program.graph, mesh, model, options);
    options.solver.time_limit = deadline.seconds_left();
  }
  const plan::RematerializingPlan step =
      plan_or_blame(module, program, mesh, model, options, recompute_of(arguments));
  const plan::Plan& plan = step.plan;

  if (plan.status == solver::Status::infeasible) {
    std::fprintf(stderr, "%s", report::plan_table(step.graph, plan).c_str());
    if (arguments.emit == "json") {
      const std::optional<Planned> rewritten = rewritten_as(step, module, program);
      write(arguments, io::write_plan(rewritten ? rewritten->module : module,
                                      rewritten ? rewritten->program : program, plan));
    }
    return ExitCode::infeasible;
  }
  if (!plan.has_ops()) {
    std::fprintf(stderr, "no plan was found in time; lower bound %s\n",
                 cost::to_decimal(plan.lower_bound, plan.denominator).c_str());
    return ExitCode::nothing_found;
  }
  if (arguments.emit == "table") {
    write(arguments, report::plan_table(step.graph, plan, {.all_ops = arguments.all}) +
                         report::rematerialization_table(step));
  } else {
    const std::optional<Planned> rewritten = rewritten_as(step, module, program);
    const io::hlo::Module& of = rewritten ? rewritten->module : module;
    const io::hlo::Program& its = rewritten ? rewritten->program : program;
    write(arguments,
          arguments.emit == "json" ? io::write_plan(of, its, plan) : io::hlo::emit(of, its, plan));
  }
  if (!arguments.execute) return ExitCode::solved;
  return report_execution(arguments, execute(step.graph, plan, execute_options_of(arguments)));
}

}  // namespace

ExitCode plan_on_mesh(const Arguments& arguments, plan::Options options) {
  if (arguments.cluster.empty()) {
    if (arguments.mesh.empty())
      throw InputError("--mesh", "give the devices along each axis, as --mesh 2x4, or a --cluster");
    const DynamicMesh mesh = parse_mesh(arguments.mesh);
    const cost::Alpa model = alpa_model(arguments, mesh);
    if (!arguments.refine_axes) return plan_with(arguments, mesh, model, options);
    const RefinedMesh finer = refined_mesh(mesh);
    return plan_with(arguments, finer.mesh, model.refined(finer.origins), options);
  }
  const cost::Cluster cluster = cluster_of(arguments);
  DynamicMesh mesh = arguments.mesh.empty() ? cluster.natural_mesh() : parse_mesh(arguments.mesh);
  if (arguments.refine_axes) mesh = refined_mesh(mesh).mesh;
  if (!options.memory_budget) options.memory_budget = cluster.device.memory_bytes;
  return plan_with(arguments, mesh, cluster_model(arguments, cluster, mesh), options);
}

}  // namespace tessera::examples
