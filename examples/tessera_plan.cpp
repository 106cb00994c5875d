// SPDX-License-Identifier: Apache-2.0
//
// tessera-plan: a HLO program and a mesh in, a proven-cheapest sharding plan out.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <system_error>

#include "command_line.hpp"
#include "execute.hpp"
#include "tessera/cost/alpa.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/graph/difference.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo_annotations.hpp"
#include "tessera/io/hlo_emit.hpp"
#include "tessera/io/hlo_import.hpp"
#include "tessera/io/hlo_parser.hpp"
#include "tessera/io/hlo_stages.hpp"
#include "tessera/io/hlo_write.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/io/pipeline_json.hpp"
#include "tessera/io/plan_json.hpp"
#include "tessera/io/price_store.hpp"
#include "tessera/mesh/refine.hpp"
#include "tessera/models/catalogue.hpp"
#include "tessera/plan/data_parallel.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/plan/recompute.hpp"
#include "tessera/report/pipeline_table.hpp"
#include "tessera/report/plan_table.hpp"
#include "tessera/report/recompute_table.hpp"
#include "tessera/report/solve_log.hpp"
#include "tessera/report/timeline.hpp"

namespace {

using namespace tessera;
using examples::ExitCode;

struct Arguments {
  std::string file, model, mesh, alpha, beta, memory_budget, cost_model = "alpa", emit = "table";
  std::string cluster, hidden_communication = "0";
  std::string output, problem, time_limit, seed = "0", annotations = "all", recompute;
  std::string tolerance, inputs;
  std::string global_batch, microbatches = "auto", schedule = "1f1b", layers, price_cache, timeline;
  int threads = 1;
  bool lenient = false, all = false, verbose = false, refine_axes = false, execute = false;
  bool pipeline = false, whole_spans = false;
};

constexpr const char* about = R"(Plans how to split a program over a mesh of devices.

Reads a HLO module as text, chooses a sharding for every tensor so that communication costs least,
and proves that nothing cheaper exists (or says how far from it the plan can be).)";

constexpr const char* epilogue = R"(Examples:
  tessera-plan step.hlo --mesh 2x4
      a 2x4 mesh, default prices, a table for people
  tessera-plan step.hlo --mesh 2x4 --alpha 1,1 --beta 1,0.01 --memory-budget 16GiB --emit json
      the second axis has links a hundred times as fast; at most 16 GiB per device; JSON
  tessera-plan step.hlo --cluster dgx-a100-80gb-selene:64 --mesh 4x16
      64 devices of a real cluster: prices are times, of communication and of work, and a device's
      memory is the budget; without --mesh, the mesh follows the wiring
  tessera-plan --model gpt-39b --cluster dgx-a100-80gb-selene:64 --pipeline --global-batch 1536
      stages on 64 devices, by their layers, devices and meshes, and the step as 1F1B runs it
  tessera-plan step.hlo --mesh 2x4 --emit hlo -o planned.hlo
      the module again, with sharding= on every instruction
  tessera-plan --model gpt:layers=8,hidden=1024,heads=16,step=infer --mesh 2x4 --problem gpt.json
      a model in place of a file, and the 0-1 program that its plan solves

  tessera-plan --model gpt:layers=2,hidden=64,heads=4,seq=32,vocab=128,batch=8 --mesh 2x4 --execute
      the plan is run, a thread for each device, and held against the program on one device (with
      --pipeline: one step, against its microbatches on one device)

Prices without --cluster (--cost-model alpa), over one axis of n devices, B bytes local to others:
  all-gather      floor(alpha + beta (n-1)/n B) + 0.1
  all-reduce      floor(alpha + beta 2(n-1)/n B) + 0.01
  reduce-scatter  floor(alpha + beta (n-1)/n B) + 0.001
  all-to-all      floor(alpha + beta (n-1)/n/n B 1.5) + 0.001
  halo-exchange   floor(alpha + beta b) + 0.001, for the b bytes that one device sends

Exit codes: 0 planned, 1 bad input, 2 no plan fits the memory budget, 3 nothing found in time, 4 the
plan was executed, and is not true.)";

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  app.set_version_flag("--version", "tessera " TESSERA_VERSION);
  CLI::Option* const file =
      app.add_option("MODEL", arguments.file, "HLO text file; - reads standard input");
  app.add_option("--model", arguments.model,
                 "in place of a file: a model's name, as gpt-39b, or its sizes, as "
                 "gpt:layers=24,hidden=2304,heads=24 (a name that is none lists them all)")
      ->excludes(file);
  app.add_option("--mesh", arguments.mesh,
                 "devices along each axis, as 2x4; at most eight axes (needed without --cluster)");
  app.add_option("--alpha", arguments.alpha, "latency of each axis, as 1,1 (default: all 1)");
  app.add_option("--beta", arguments.beta,
                 "inverse bandwidth of each axis, as 1,0.01 (default: 1, and 0.1 for the last)");
  app.add_option("--cost-model", arguments.cost_model, "alpa")
      ->check(CLI::IsMember({"alpa"}))
      ->capture_default_str();
  app.add_option("--annotations", arguments.annotations,
                 "which shardings written in MODEL the plan keeps: all, io (of its parameters and "
                 "results), or ignore")
      ->check(CLI::IsMember({"all", "io", "ignore"}))
      ->capture_default_str();
  auto* const cluster = app.add_option(
      "--cluster", arguments.cluster,
      "NAME:DEVICES, as dgx-a100-80gb-selene:64, prices its times; a name that there is none of is "
      "answered with all there are");
  for (const char* const other : {"--alpha", "--beta", "--cost-model"})
    cluster->excludes(app.get_option(other));
  app.add_option("--hidden-communication", arguments.hidden_communication,
                 "hundredths of communication that work hides, 0 to 100 (with --cluster)")
      ->needs(cluster)
      ->capture_default_str();
  auto* const pipeline = app.add_flag("--pipeline", arguments.pipeline,
                                      "cut the program into stages, each on devices of its own");
  pipeline->needs(cluster);
  const auto add_to_pipeline = [&](const char* flag, std::string& value, const char* meaning) {
    return app.add_option(flag, value, meaning)->needs(pipeline);
  };
  add_to_pipeline("--global-batch", arguments.global_batch,
                  "sequences, or images, of one step (with --model, which is then built for one "
                  "microbatch of them)");
  add_to_pipeline("--microbatches", arguments.microbatches,
                  "how many a step is cut into, or auto: of 1, 2, 4, ... sequences, until two in a "
                  "row are worse.  MODEL is one microbatch, so there it must be a number")
      ->capture_default_str();
  add_to_pipeline("--schedule", arguments.schedule,
                  "1f1b, gpipe, zero-bubble (the backward pass in two), interleaved (equal stages, "
                  "each with several chunks of the layers), or auto: whichever takes least")
      ->check(CLI::IsMember({"1f1b", "gpipe", "zero-bubble", "interleaved", "auto"}))
      ->capture_default_str();
  add_to_pipeline("--layers", arguments.layers,
                  "cut the program into so many layers of about the same work, or where the program "
                  "says, by scopes, pipeline_marker or parameters' names, as layer7.up: named "
                  "(default: named where it says, else 8)");
  add_to_pipeline("--price-cache", arguments.price_cache,
                  "a folder in which prices of spans are kept from run to run");
  add_to_pipeline("--timeline", arguments.timeline,
                  "write the step there as it runs: a picture for .svg, else a Chrome trace");
  app.add_flag("--whole-spans", arguments.whole_spans,
               "price every run of layers by itself and not layer by layer: for few layers")
      ->needs(pipeline);
  app.add_option("--memory-budget", arguments.memory_budget,
                 "bytes per device, or with a unit: 16GiB, 512MB; or 60%, of what plain data "
                 "parallelism needs (default: no limit; with --cluster, what a device has)");
  app.add_option(
         "--recompute", arguments.recompute,
         "what of the forward pass is computed again for the backward pass: none (the default), "
         "full (all but what segments begin with), or auto (what is cheapest within the budget; "
         "with --pipeline the default, and by whole stages)")
      ->check(CLI::IsMember({"none", "full", "auto"}));
  app.add_option("--time-limit", arguments.time_limit,
                 "seconds of wall clock; the best plan so far is kept (default: no limit)");
  app.add_option("--emit", arguments.emit, "table, json or hlo")
      ->check(CLI::IsMember({"table", "json", "hlo"}))
      ->capture_default_str();
  app.add_option("-o,--output", arguments.output, "write there instead of standard output");
  app.add_option("--problem", arguments.problem,
                 "also write the 0-1 program there, as IOPDDL JSON for tessera-solve");
  app.add_option("--threads", arguments.threads, "threads of the search")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "breaks ties in the search; draws inputs for --execute")
      ->capture_default_str();
  auto* const execute = app.add_flag(
      "--execute", arguments.execute,
      "run the plan on random inputs, a thread for each device, and compare outputs, bytes and "
      "memory with what was planned; what differs is exit code 4");
  app.add_option(
         "--tolerance", arguments.tolerance,
         "how far an output may be off, relative to its largest element (default: ten times "
         "what rounding does to the unsharded run)")
      ->needs(execute);
  app.add_option("--inputs", arguments.inputs,
                 "a folder of NumPy files to run on: NAME.npy for a parameter of that name; others "
                 "stay random")
      ->needs(execute);
  app.add_flag("--all", arguments.all, "the table lists every op");
  app.add_flag("--refine-axes", arguments.refine_axes,
               "cut every mesh axis into its prime factors, so that a dim can be split over a part "
               "of one; prices stay those of the axis.  The search grows fast with the axes");
  app.add_flag("--lenient", arguments.lenient,
               "let pass, with warnings, undefined operands, missing called computations and "
               "bodies that are never closed");
  app.add_flag("-v,--verbose", arguments.verbose, "the search's progress on standard error");
}

cost::Alpa alpa_model(const Arguments& arguments, const DynamicMesh& mesh) {
  cost::Alpa defaults = cost::Alpa::with_defaults(mesh.rank());
  if (arguments.alpha.empty() && arguments.beta.empty()) return defaults;
  const auto read = [&](const char* flag, const std::string& text, Decimal last) {
    if (!text.empty()) return examples::parse_coefficients(flag, text, mesh.rank());
    cost::Alpa::Coefficients result(mesh.rank(), Decimal{1, 1});
    if (mesh.rank() > 1) result.back() = last;
    return result;
  };
  return {read("--alpha", arguments.alpha, {1, 1}), read("--beta", arguments.beta, {1, 10})};
}

// From a file, or by name: a model's program goes through HLO text, so that all that a plan can be
// written as is the same for both.
io::hlo::Module read_module(const Arguments& arguments) {
  if (arguments.model.empty() && arguments.file.empty())
    throw InputError("MODEL", "give a HLO file, or a model by --model");
  if (!arguments.model.empty())
    return io::hlo::read_module(io::hlo::write_hlo(models::build(arguments.model), "model"),
                                arguments.model);
  return io::hlo::read_module(io::read_file(arguments.file), arguments.file,
                              {.lenient = arguments.lenient});
}

RefinedMesh refined_mesh(const DynamicMesh& mesh) {
  try {
    return refined(mesh);
  } catch (const InvalidMesh& error) {
    throw InputError("--refine-axes", error.what());
  }
}

cost::Cluster cluster_of(const Arguments& arguments) {
  try {
    return cost::find_cluster(arguments.cluster);
  } catch (const std::invalid_argument& error) {
    throw InputError("--cluster", error.what());
  }
}

int hidden_percent_of(const Arguments& arguments) {
  const Extent hidden =
      examples::parse_count("--hidden-communication", arguments.hidden_communication);
  if (hidden < 0 || hidden > 100)
    throw InputError("--hidden-communication",
                     arguments.hidden_communication + " is no number from 0 to 100");
  return static_cast<int>(hidden);
}

cost::ClusterModel cluster_model(const Arguments& arguments, const cost::Cluster& cluster,
                                 const DynamicMesh& mesh) {
  const int hidden = hidden_percent_of(arguments);
  try {
    return {cluster, mesh, hidden};
  } catch (const std::invalid_argument& error) {
    throw InputError("--mesh", error.what());
  }
}

// What a reader of the plan should know about how the program was read.
void report_reading(const io::hlo::Module& module, const io::hlo::Program& program) {
  for (const std::string& warning : module.warnings)
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  for (const std::string& note : program.notes) std::fprintf(stderr, "note: %s\n", note.c_str());
  if (program.kept_whole.empty()) return;
  const std::string list = joined(program.kept_whole, ", ", [](const auto& entry) {
    // A custom-call's target may be any text.
    const std::string shown = excerpt(entry.first, 100);
    return shown.substr(1, shown.size() - 2) + " (" + std::to_string(entry.second) + ')';
  });
  std::fprintf(stderr, "note: kept whole on every device, for want of a rule: %s\n", list.c_str());
}

void write(const Arguments& arguments, const std::string& text) {
  if (arguments.output.empty())
    std::fwrite(text.data(), 1, text.size(), stdout);  // run_program sees to errors
  else
    io::write_file(arguments.output, text);
}

// Nothing is worse than to plan for an hour and then have nowhere to put it.
void check_outputs(const Arguments& arguments) {
  for (const std::string& path : {arguments.output, arguments.problem})
    if (!path.empty()) io::check_writable(path);
  if (arguments.output.empty() || arguments.problem.empty()) return;
  const auto place = [](const std::string& path) {
    std::error_code error;
    const auto canonical = std::filesystem::weakly_canonical(path, error);
    return error ? std::filesystem::path(path) : canonical;
  };
  if (place(arguments.output) == place(arguments.problem))
    throw InputError("--output and --problem", "both are " + excerpt(arguments.output, 200));
}

// "60%": of what data parallelism needs, and not bytes.
bool is_share(const std::string& budget) { return budget.ends_with('%'); }

plan::Options options_of(const Arguments& arguments) {
  plan::Options options;
  if (!arguments.memory_budget.empty() && !is_share(arguments.memory_budget))
    options.memory_budget = examples::parse_bytes("--memory-budget", arguments.memory_budget);
  if (!arguments.time_limit.empty())
    options.solver.time_limit = examples::parse_seconds("--time-limit", arguments.time_limit);
  options.solver.threads = arguments.threads;
  options.solver.seed = examples::parse_seed("--seed", arguments.seed);
  options.solver.cancellation = examples::cancelled_by_interrupt();
  if (arguments.verbose)
    options.solver.on_progress = [](const solver::Progress& progress) {
      std::fprintf(stderr, "%s\n", report::log_line(progress).c_str());
    };
  if (!arguments.problem.empty())
    options.on_formulated = [&arguments](const plan::Formulation& formulation) {
      io::write_file(arguments.problem, io::write_iopddl(formulation.problem));
    };
  return options;
}

io::hlo::ImportOptions import_options_of(const Arguments& arguments) {
  io::hlo::ImportOptions options;
  if (arguments.annotations == "io") options.annotations = io::hlo::Annotations::io;
  if (arguments.annotations == "ignore") options.annotations = io::hlo::Annotations::ignore;
  return options;
}

plan::Recompute recompute_of(const Arguments& arguments) {
  if (arguments.recompute == "full") return plan::Recompute::full;
  return arguments.recompute == "auto" ? plan::Recompute::automatic : plan::Recompute::none;
}

// An error about an op, told at the instruction that it comes from.
template<cost::CostModel Model>
plan::RecomputingPlan plan_or_blame(const io::hlo::Module& module, const io::hlo::Program& program,
                                    const DynamicMesh& mesh, const Model& model,
                                    const plan::Options& options, plan::Recompute recompute) {
  try {
    return plan::plan_recomputing(program.graph, mesh, model, options, recompute);
  } catch (const std::exception& error) {
    const auto* const fault = dynamic_cast<const plan::OpFault*>(&error);
    if (fault == nullptr) throw;
    io::hlo::fail_at_op(module, program, fault->op(), error.what());
  }
}

// A share of what plain data parallelism needs at its cheapest.
template<cost::CostModel Model>
Extent budget_of(const Arguments& arguments, const graph::Graph& graph, const DynamicMesh& mesh,
                 const Model& model, const plan::Options& given) {
  const Decimal share = examples::parse_share("--memory-budget", arguments.memory_budget);
  plan::Options options;
  options.annotations = plan::data_parallel(graph, mesh);
  options.solver = given.solver;
  options.solver.time_limit /= 4;
  if (options.annotations.empty())
    throw InputError("--memory-budget", "the program is no training step on a batch, of which " +
                                            arguments.memory_budget + " could be told");
  const plan::Plan by_hand = plan::plan(graph, mesh, model, options);
  if (!by_hand.has_ops())
    throw InputError("--memory-budget", "no plan by data parallelism was found in time");
  const Wide bytes = by_hand.memory_with_buffers * share.numerator / share.denominator / 100;
  if (bytes > std::numeric_limits<Extent>::max())
    throw InputError("--memory-budget", arguments.memory_budget + " does not fit in 64 bits");
  std::fprintf(stderr, "note: data parallelism needs %s per device, of which %s are %s\n",
               report::bytes_text(by_hand.memory_with_buffers).c_str(),
               arguments.memory_budget.c_str(), report::bytes_text(bytes).c_str());
  return static_cast<Extent>(bytes);
}

examples::ExecuteOptions execute_options_of(const Arguments& arguments) {
  examples::ExecuteOptions options;
  options.seed = examples::parse_seed("--seed", arguments.seed);
  options.inputs = arguments.inputs;
  if (!arguments.tolerance.empty())
    options.tolerance = examples::parse_tolerance("--tolerance", arguments.tolerance);
  return options;
}

// Beside a table, what came of it goes to standard output, too; else to standard error.
ExitCode tell(const Arguments& arguments, const examples::Execution& execution) {
  const bool is_table = arguments.emit == "table" && arguments.output.empty();
  std::fputs(execution.text.c_str(), is_table ? stdout : stderr);
  return execution.is_true ? ExitCode::solved : ExitCode::differs;
}

// A plan of a program that is not the one that was read needs that program's text.
struct Planned {
  io::hlo::Module module;
  io::hlo::Program program;
};
std::optional<Planned> rewritten_as(const plan::RecomputingPlan& step, const io::hlo::Module& given,
                                    const io::hlo::Program& program_given) {
  if (step.graph.op_count() == program_given.graph.op_count()) return std::nullopt;
  const std::string& name = given.name;
  io::hlo::Module module = io::hlo::read_module(io::hlo::write_hlo(step.graph, name), name);
  io::hlo::Program program = io::hlo::import_module(module);
  const std::string difference = graph::difference(step.graph, program.graph);
  if (!difference.empty())
    throw InputError("--recompute", "the program can not be written as HLO: " + difference +
                                        "; --emit table does without");
  return Planned{std::move(module), std::move(program)};
}

template<cost::CostModel Model>
ExitCode run_with(const Arguments& arguments, const DynamicMesh& mesh, const Model& model,
                  plan::Options options) {
  check_outputs(arguments);
  execute_options_of(arguments);  // a mistake in them is told before the work begins

  const io::hlo::Module module = read_module(arguments);
  const io::hlo::Program program = io::hlo::import_module(module, import_options_of(arguments));
  report_reading(module, program);
  options.annotations = io::hlo::annotations_on(mesh, module, program);
  options.problem_name = module.name;
  if (arguments.verbose) std::fprintf(stderr, "%s\n", report::log_header().c_str());
  if (is_share(arguments.memory_budget)) {
    const solver::Deadline deadline(options.solver);
    options.memory_budget = budget_of(arguments, program.graph, mesh, model, options);
    options.solver.time_limit = std::max(0.0, options.solver.time_limit - deadline.seconds());
  }
  const plan::RecomputingPlan step =
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
                         report::recompute_table(step));
  } else {
    const std::optional<Planned> rewritten = rewritten_as(step, module, program);
    const io::hlo::Module& of = rewritten ? rewritten->module : module;
    const io::hlo::Program& its = rewritten ? rewritten->program : program;
    write(arguments,
          arguments.emit == "json" ? io::write_plan(of, its, plan) : io::hlo::emit(of, its, plan));
  }
  if (!arguments.execute) return ExitCode::solved;
  return tell(arguments, examples::execute(step.graph, plan, execute_options_of(arguments)));
}

// --- Pipelines -----------------------------------------------------------------------------------

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
    } catch (const std::invalid_argument& error) {
      throw InputError("--layers", error.what());
    }
  };
  std::optional<pipeline::Layers> named = pipeline::named_layers(graph);
  if (arguments.layers == "named" && !named)
    throw InputError("--layers", "no scope and no parameter's name tells of layers, as layer7.up does, and "
                                 "there is no pipeline_marker");
  if (!arguments.layers.empty() && arguments.layers != "named") {
    const Extent count = examples::parse_count("--layers", arguments.layers);
    if (count < 1) throw InputError("--layers", arguments.layers + " is not 1 or more");
    return cut(count);
  }
  constexpr Extent usual = 8;
  if (named) return *std::move(named);
  std::size_t heavy = 0;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) heavy += graph.op(id).is_heavy ? 1 : 0;
  // A third of a training step's heavy ops are forward ones.
  return cut(std::clamp<Extent>(static_cast<Extent>(heavy / 3), 1, usual));
}

// Nothing: whichever takes least.
std::optional<pipeline::ScheduleKind> schedule_of(const Arguments& arguments) {
  using Kind = pipeline::ScheduleKind;
  for (const Kind kind : {Kind::gpipe, Kind::one_f_one_b, Kind::interleaved, Kind::zero_bubble})
    if (arguments.schedule == pipeline::to_string(kind)) return kind;
  return std::nullopt;
}

plan::PipelineOptions pipeline_options_of(const Arguments& arguments, const plan::Options& common) {
  plan::PipelineOptions options;
  if (is_share(arguments.memory_budget))
    throw InputError("--memory-budget", "a share is not for --pipeline: give bytes");
  options.memory_budget = common.memory_budget;
  if (arguments.recompute == "full")
    throw InputError("--recompute", "full is not for --pipeline: it is auto or none");
  if (arguments.recompute == "none") options.recomputing = plan::Recomputing::never;
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
  } catch (const std::invalid_argument& error) {
    throw InputError("--pipeline", error.what());
  }
  if (arguments.verbose)
    std::fprintf(
        stderr, "%lld microbatches: %s\n", static_cast<long long>(options.microbatches),
        result.plan.has_stages() ? report::time_text(result.plan.step_time).c_str() : "no stages");
  return result;
}

// "gpt-39b" with batch=2: what is said last counts.
std::string with_batch(const std::string& model, Extent batch) {
  const bool has_settings = model.find(':') != std::string::npos;
  return model + (has_settings ? "," : ":") + "batch=" + std::to_string(batch);
}

Staged best_of_sizes(const Arguments& arguments, const cost::Cluster& cluster, Extent global_batch,
                     plan::PipelineOptions options) {
  std::optional<Staged> best;
  for (Extent size = 1, worse = 0; size <= global_batch && worse < 2; size *= 2) {
    if (global_batch % size != 0) break;
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
  if (!is_auto) {
    options.microbatches = examples::parse_count("--microbatches", arguments.microbatches);
    if (options.microbatches < 1 || options.microbatches > 1'000'000)
      throw InputError("--microbatches", arguments.microbatches + " is not from 1 to 1000000");
  }
  if (arguments.global_batch.empty()) {
    if (is_auto)
      throw InputError("--microbatches", "give a number of them, or a model and --global-batch");
    return staged(arguments, cluster, arguments.model, options);
  }
  if (arguments.model.empty())
    throw InputError("--global-batch",
                     "needs --model; a file is one microbatch: say how many by "
                     "--microbatches");
  const Extent global_batch = examples::parse_count("--global-batch", arguments.global_batch);
  if (global_batch < 1 || global_batch > 1'000'000)
    throw InputError("--global-batch", arguments.global_batch + " is not from 1 to 1000000");
  if (is_auto) return best_of_sizes(arguments, cluster, global_batch, options);
  if (global_batch % options.microbatches != 0)
    throw InputError("--microbatches", arguments.microbatches + " do not divide a batch of " +
                                           arguments.global_batch);
  const Extent size = global_batch / options.microbatches;
  return staged(arguments, cluster, with_batch(arguments.model, size), options);
}

ExitCode run_pipeline(const Arguments& arguments, const plan::Options& common) {
  for (const auto& [flag, is_given] : {std::pair("--mesh", !arguments.mesh.empty()),
                                       {"--problem", !arguments.problem.empty()},
                                       {"--refine-axes", arguments.refine_axes}})
    if (is_given) throw InputError(flag, "is not for --pipeline, which looks at many meshes");
  check_outputs(arguments);
  execute_options_of(arguments);  // a mistake in them is told before the work begins
  if (!arguments.timeline.empty()) io::check_writable(arguments.timeline);
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
  return tell(arguments, examples::execute(result.program.graph, plan, cluster,
                                           execute_options_of(arguments)));
}

ExitCode run(const Arguments& arguments) {
  plan::Options options = options_of(arguments);
  if (arguments.pipeline) return run_pipeline(arguments, options);
  if (arguments.cluster.empty()) {
    if (arguments.mesh.empty()) throw InputError("--mesh", "give it, or --cluster");
    const DynamicMesh mesh = examples::parse_mesh(arguments.mesh);
    const cost::Alpa model = alpa_model(arguments, mesh);
    if (!arguments.refine_axes) return run_with(arguments, mesh, model, options);
    const RefinedMesh finer = refined_mesh(mesh);
    return run_with(arguments, finer.mesh, model.refined(finer.origins), options);
  }
  const cost::Cluster cluster = cluster_of(arguments);
  DynamicMesh mesh = arguments.mesh.empty() ? cluster.natural_mesh()
                                            : examples::parse_mesh(arguments.mesh);
  if (arguments.refine_axes) mesh = refined_mesh(mesh).mesh;
  if (!options.memory_budget) options.memory_budget = cluster.device.memory_bytes;
  return run_with(arguments, mesh, cluster_model(arguments, cluster, mesh), options);
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
