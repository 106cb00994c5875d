// SPDX-License-Identifier: Apache-2.0
//
// tessera-plan --pipeline: stages on a cluster, and the number of microbatches.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "plan_arguments.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/emit_stages.hpp"
#include "tessera/io/pipeline_json.hpp"
#include "tessera/io/price_store.hpp"
#include "tessera/plan/plan_pipeline.hpp"
#include "tessera/plan/staged_ops.hpp"
#include "tessera/report/pipeline_table.hpp"
#include "tessera/report/timeline.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/tessera.hpp"

namespace tessera::examples {

namespace {

// The most layers, microbatches, or sequences in a batch.
constexpr Extent most = 1'000'000;

// A program, cut into layers, and a step's microbatches of it.
struct Staged {
  io::hlo::Module module;
  io::hlo::Program program;
  plan::PipelinePlan plan;
};

pipeline::Layers layers_of(const Arguments& arguments, const graph::Graph& graph) {
  const auto cut = [&](Extent count) {
    try {
      return pipeline::cluster_layers(graph, {static_cast<std::size_t>(count)});
    } catch (const tessera::InvalidArgument& error) {
      throw InputError("--layers", error.what());
    }
  };
  std::optional<pipeline::Layers> named = pipeline::named_layers(graph);
  if (arguments.layers == "named" && !named)
    throw InputError(
        "--layers",
        "no layers are marked: no scope or parameter has a name with a layer's number, as "
        "layer7.up, and there is no pipeline_marker; give a number of layers");
  if (!arguments.layers.empty() && arguments.layers != "named") {
    return cut(parse_count("--layers", arguments.layers, 1, most, ", and not named"));
  }
  constexpr Extent usual = 8;
  if (named) return *std::move(named);
  std::size_t heavy = 0;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) heavy += graph.op(id).is_heavy ? 1 : 0;
  // A third of a training step's heavy ops are forward ones.
  return cut(std::clamp<Extent>(static_cast<Extent>(heavy / 3), 1, usual));
}

// No kind: the one with the shortest step.
std::optional<pipeline::ScheduleKind> schedule_of(const Arguments& arguments) {
  using Kind = pipeline::ScheduleKind;
  for (const Kind kind : {Kind::gpipe, Kind::one_f_one_b, Kind::eager_one_f_one_b,
                          Kind::interleaved, Kind::zero_bubble})
    if (arguments.schedule == pipeline::to_string(kind)) return kind;
  return std::nullopt;
}

plan::PipelineOptions pipeline_options_of(const Arguments& arguments, const plan::Options& common) {
  plan::PipelineOptions options;
  if (is_share(arguments.memory_budget))
    throw InputError("--memory-budget", "a percentage is not for --pipeline; give bytes");
  options.memory_budget = common.memory_budget;
  if (arguments.recompute == "full")
    throw InputError("--recompute", "full is not for --pipeline; give auto or none");
  if (arguments.recompute == "none") options.rematerialize = plan::Rematerialize::never;
  options.schedule = schedule_of(arguments);
  if (!arguments.whole_spans) options.gap = 0.03;
  options.pricing.whole_spans = arguments.whole_spans;
  options.pricing.hidden_percent = hidden_percent_of(arguments);
  options.pricing.threads = arguments.threads;
  options.pricing.solver = common.solver;
  if (!arguments.price_cache.empty())
    options.pricing.store = io::price_store(arguments.price_cache);
  if (arguments.verbose)
    options.pricing.on_progress = [](const plan::PricingProgress& progress) {
      std::fprintf(stderr, "%8.2f s  priced on %zu of %zu views, %zu problems solved\n",
                   progress.seconds, progress.done, progress.total, progress.solved);
    };
  return options;
}

Staged staged(const Arguments& arguments, const cost::Cluster& cluster, const std::string& model,
              plan::PipelineOptions options) {
  Arguments named = arguments;
  named.model = model;
  Staged result{read_module(named), {}, {}};
  result.program = io::hlo::import_module(result.module, {io::hlo::Annotations::ignore});
  const pipeline::Layers layers = layers_of(arguments, result.program.graph);
  try {
    result.plan = plan::plan_pipeline(result.program.graph, layers, cluster, options);
  } catch (const tessera::InvalidArgument& error) {
    throw InputError("--pipeline", error.what());
  }
  if (arguments.verbose)
    std::fprintf(
        stderr, "%lld microbatches: %s\n", static_cast<long long>(options.microbatches),
        result.plan.has_stages() ? report::time_text(result.plan.step_time).c_str() : "no stages");
  return result;
}

// "gpt-39b" with batch=2.  Of settings that are repeated the last one counts.
std::string with_batch(const std::string& model, Extent batch) {
  const bool has_settings = model.find(':') != std::string::npos;
  return model + (has_settings ? "," : ":") + "batch=" + std::to_string(batch);
}

Staged best_of_sizes(const Arguments& arguments, const cost::Cluster& cluster, Extent global_batch,
                     plan::PipelineOptions options) {
  const solver::Deadline deadline(options.pricing.solver);  // of all sizes together
  std::optional<Staged> best;
  for (Extent size = 1, worse = 0; size <= global_batch && worse < 2; size *= 2) {
    if (global_batch % size != 0 || (best && deadline.is_over())) break;
    options.pricing.solver.time_limit = deadline.seconds_left();
    options.microbatches = global_batch / size;
    Staged next = staged(arguments, cluster, with_batch(arguments.model, size), options);
    const bool is_better =
        !best || (next.plan.has_stages() &&
                  (!best->plan.has_stages() || next.plan.step_time < best->plan.step_time));
    worse = is_better || !best->plan.has_stages() ? 0 : worse + 1;
    const bool is_over = next.plan.status == plan::PipelineStatus::unknown;
    if (is_better) best = std::move(next);
    if (is_over) break;
  }
  return *std::move(best);
}

Staged staged_as_asked(const Arguments& arguments, const cost::Cluster& cluster,
                       const plan::Options& common) {
  plan::PipelineOptions options = pipeline_options_of(arguments, common);
  const bool is_auto = arguments.microbatches == "auto";
  if (!is_auto)
    options.microbatches =
        parse_count("--microbatches", arguments.microbatches, 1, most, ", and not auto");
  if (arguments.global_batch.empty()) {
    if (is_auto)
      throw InputError("--microbatches", "give a number of them, or a model and --global-batch");
    return staged(arguments, cluster, arguments.model, options);
  }
  if (arguments.model.empty())
    throw InputError("--global-batch",
                     "needs --model; a file is one microbatch, so give their number by "
                     "--microbatches");
  const Extent global_batch = parse_count("--global-batch", arguments.global_batch, 1, most);
  if (is_auto) return best_of_sizes(arguments, cluster, global_batch, options);
  if (global_batch % options.microbatches != 0)
    throw InputError("--microbatches", arguments.microbatches +
                                           " do not divide --global-batch, which is " +
                                           arguments.global_batch);
  const Extent size = global_batch / options.microbatches;
  return staged(arguments, cluster, with_batch(arguments.model, size), options);
}

}  // namespace

ExitCode plan_in_stages(const Arguments& arguments, const plan::Options& common) {
  for (const auto& [flag, is_given] : {std::pair("--mesh", !arguments.mesh.empty()),
                                       {"--problem", !arguments.problem.empty()},
                                       {"--refine-axes", arguments.refine_axes}})
    if (is_given) throw InputError(flag, "is not for --pipeline, which chooses meshes itself");
  check_outputs(arguments);
  execute_options_of(arguments);  // reports mistakes in them before the work begins
  const cost::Cluster cluster = cluster_of(arguments);
  const Staged result = staged_as_asked(arguments, cluster, common);
  const plan::PipelinePlan& plan = result.plan;
  report_reading(result.module, result.program);
  if (!plan.has_stages()) {
    std::fprintf(stderr, "%s", report::pipeline_table(result.program.graph, plan).c_str());
    const bool fits_nowhere = plan.status == plan::PipelineStatus::infeasible;
    if (fits_nowhere && arguments.emit == "json")
      write(arguments, io::write_pipeline(result.module, result.program, plan));
    return fits_nowhere ? ExitCode::infeasible : ExitCode::nothing_found;
  }
  if (!arguments.timeline.empty())
    io::write_file(arguments.timeline, arguments.timeline.ends_with(".svg")
                                           ? report::timeline_svg(plan.schedule, plan.timeline)
                                           : report::chrome_trace(plan.schedule, plan.timeline));
  if (arguments.emit == "json")
    write(arguments, io::write_pipeline(result.module, result.program, plan));
  else if (arguments.emit == "hlo")
    write(arguments, io::hlo::emit(result.module, result.program,
                                   plan::staged_ops(plan, result.program.graph.op_count())));
  else
    write(arguments, report::pipeline_table(result.program.graph, plan));
  if (!arguments.execute) return ExitCode::solved;
  return report_execution(
      arguments, execute(result.program.graph, plan, cluster, execute_options_of(arguments)));
}

}  // namespace tessera::examples
