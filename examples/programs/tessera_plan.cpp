// SPDX-License-Identifier: Apache-2.0
//
// tessera-plan: reads an HLO program and a mesh, and prints the cheapest sharding plan with a
// proof.
#include <CLI/CLI.hpp>

#include "plan_arguments.hpp"
#include "tessera/version.hpp"

namespace {

using tessera::examples::Arguments;
using tessera::examples::ExitCode;

constexpr const char* about = R"(Plans how to split a program over a mesh of devices.

Reads an HLO module as text, chooses a sharding for every tensor so that communication costs least,
and proves that no plan is cheaper (or reports a lower bound).)";

constexpr const char* epilogue = R"(Examples:
  tessera-plan step.hlo --mesh 2x4
      a 2x4 mesh, default prices, a table
  tessera-plan step.hlo --mesh 2x4 --alpha 1,1 --beta 1,0.01 --memory-budget 16GiB --emit json
      the second axis has links a hundred times as fast; at most 16 GiB per device; JSON
  tessera-plan step.hlo --cluster dgx-a100-80gb-selene:64 --mesh 4x16
      64 devices of a real cluster: prices are times of communication and computation, and a
      device's memory is the budget; without --mesh, the mesh follows the links
  tessera-plan --model gpt-39b --cluster dgx-a100-80gb-selene:64 --pipeline --global-batch 1536
      pipeline stages on 64 devices: layers, devices and mesh of each, and the time of a 1F1B step
  tessera-plan step.hlo --mesh 2x4 --emit hlo -o planned.hlo
      the same module with sharding= on every instruction
  tessera-plan --model gpt:layers=8,hidden=1024,heads=16,step=infer --mesh 2x4 --problem gpt.json
      a model by name instead of a file; the 0-1 program behind the plan is written too

  tessera-plan --model gpt:layers=2,hidden=64,heads=4,seq=32,vocab=128,batch=8 --mesh 2x4 --execute
      runs the plan with a thread for each device and compares the outputs with those of the
      program on one device (with --pipeline: one step, compared with its microbatches)

Prices without --cluster (--cost-model alpa), over one axis of n devices, B bytes local to others:
  all-gather      floor(alpha + beta (n-1)/n B) + 0.1
  all-reduce      floor(alpha + beta 2(n-1)/n B) + 0.01
  reduce-scatter  floor(alpha + beta (n-1)/n B) + 0.001
  all-to-all      floor(alpha + beta (n-1)/n/n B 1.5) + 0.001
  halo-exchange   floor(alpha + beta b) + 0.001, for the b bytes that one device sends

Exit codes: 0 planned, 1 bad input, 2 no plan fits the memory budget, 3 no plan found in time, 4 the
plan was executed and its outputs, bytes or memory differ from the prediction.)";

void describe_program(CLI::App& app, Arguments& arguments) {
  CLI::Option* const file =
      app.add_option("MODEL", arguments.file, "HLO text file; - reads standard input");
  app.add_option("--model", arguments.model,
                 "a model instead of a file, by name, as gpt-39b, or by its sizes, as "
                 "gpt:layers=24,hidden=2304,heads=24 (an unknown name lists all models)")
      ->excludes(file);
  app.add_option(
         "--annotations", arguments.annotations,
         "which sharding annotations in MODEL constrain the plan: all, io (those of parameters and "
         "results), or ignore")
      ->check(CLI::IsMember({"all", "io", "ignore"}))
      ->capture_default_str();
  app.add_flag("--lenient", arguments.lenient,
               "accept, with warnings, undefined operands, missing called computations and bodies "
               "without a closing brace");
}

void describe_devices(CLI::App& app, Arguments& arguments) {
  app.add_option("--mesh", arguments.mesh,
                 "devices along each axis, as 2x4; at most eight axes (needed without --cluster)");
  app.add_flag(
      "--refine-axes", arguments.refine_axes,
      "divide every mesh axis into its prime factors, so that a tensor dim can be split over "
      "part of an axis; prices stay those of the axis.  The search space grows fast with "
      "the number of axes");
  app.add_option("--alpha", arguments.alpha, "latency of each axis, as 1,1 (default: all 1)");
  app.add_option("--beta", arguments.beta,
                 "inverse bandwidth of each axis, as 1,0.01 (default: 1, and 0.1 for the last)");
  app.add_option("--cost-model", arguments.cost_model, "alpa")
      ->check(CLI::IsMember({"alpa"}))
      ->capture_default_str();
  auto* const cluster = app.add_option(
      "--cluster", arguments.cluster,
      "a real cluster as NAME:DEVICES, for example dgx-a100-80gb-selene:64: prices are times on it "
      "(an unknown name lists all clusters)");
  for (const char* const other : {"--alpha", "--beta", "--cost-model"})
    cluster->excludes(app.get_option(other));
  app.add_option(
         "--hidden-communication", arguments.hidden_communication,
         "percentage of communication time that computation hides, 0 to 100 (with --cluster)")
      ->needs(cluster)
      ->capture_default_str();
}

void describe_memory(CLI::App& app, Arguments& arguments) {
  app.add_option(
      "--memory-budget", arguments.memory_budget,
      "memory per device: bytes, or with a unit, as 16GiB or 512MB; or a percentage of what plain "
      "data parallelism needs, as 60% (default: no limit; with --cluster, a device's memory)");
  app.add_option(
         "--recompute", arguments.recompute,
         "which values of the forward pass are rematerialized for the backward pass: none (the "
         "default), full (all but the inputs of segments), or auto (the cheapest choice within the "
         "memory budget; the default with --pipeline, stage by stage)")
      ->check(CLI::IsMember({"none", "full", "auto"}));
}

// @pre devices are described
void describe_pipeline(CLI::App& app, Arguments& arguments) {
  auto* const pipeline =
      app.add_flag("--pipeline", arguments.pipeline,
                   "divide the program into pipeline stages, each on its own devices");
  pipeline->needs(app.get_option("--cluster"));
  const auto add = [&](const char* flag, std::string& value, const char* meaning) {
    return app.add_option(flag, value, meaning)->needs(pipeline);
  };
  add("--global-batch", arguments.global_batch,
      "sequences or images per training step (with --model, which is then built for one "
      "microbatch)");
  add("--microbatches", arguments.microbatches,
      "microbatches per step, or auto, which tries microbatches of 1, 2, 4, ... sequences until "
      "two "
      "in a row are worse.  A file is one microbatch, so with a file it must be a number")
      ->capture_default_str();
  add("--schedule", arguments.schedule,
      "1f1b, eager-1f1b (more microbatches in flight, which hides transfers between stages), "
      "gpipe, "
      "zero-bubble (the backward pass in two halves), interleaved (equal stages, each with several "
      "chunks of layers), or auto: the one with the shortest step")
      ->check(CLI::IsMember({"1f1b", "eager-1f1b", "gpipe", "zero-bubble", "interleaved", "auto"}))
      ->capture_default_str();
  add("--layers", arguments.layers,
      "the number of layers, of about equal work, that the program is divided into; or named: "
      "layers "
      "by scopes, pipeline_marker or parameters' names, as layer7.up (default: named where there "
      "are "
      "such names, else 8)");
  add("--price-cache", arguments.price_cache,
      "a folder that keeps the prices of spans of layers from run to run");
  add("--timeline", arguments.timeline,
      "write the timeline of the step to this file: a picture for .svg, else a Chrome trace");
  app.add_flag("--whole-spans", arguments.whole_spans,
               "plan every span of layers as a whole instead of adding up layers: for few layers")
      ->needs(pipeline);
}

void describe_search(CLI::App& app, Arguments& arguments) {
  app.add_option(
      "--time-limit", arguments.time_limit,
      "limit in seconds of wall clock; the best plan so far is printed (default: no limit)");
  app.add_option(
      "--gap", arguments.gap,
      "stop once the plan is proven to be within this share of the optimum, as 0.01% (default: 0)");
  app.add_option("--threads", arguments.threads, "threads of the search")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "breaks ties in the search; draws inputs for --execute")
      ->capture_default_str();
  app.add_flag("-v,--verbose", arguments.verbose,
               "log the progress of the search to standard error");
}

void describe_output(CLI::App& app, Arguments& arguments) {
  app.add_option("--emit", arguments.emit, "table, json or hlo")
      ->check(CLI::IsMember({"table", "json", "hlo"}))
      ->capture_default_str();
  app.add_flag("--all", arguments.all, "the table lists every op");
  app.add_option("-o,--output", arguments.output, "write to this file instead of standard output");
  app.add_option("--problem", arguments.problem,
                 "also write the 0-1 program to this file, as IOPDDL JSON for tessera-solve");
}

void describe_execution(CLI::App& app, Arguments& arguments) {
  auto* const execute = app.add_flag("--execute", arguments.execute,
                                     "run the plan on random inputs with a thread for each device, "
                                     "and compare outputs, bytes sent "
                                     "and memory with the prediction; a difference is exit code 4");
  app.add_option("--tolerance", arguments.tolerance,
                 "largest accepted error of an output, relative to its largest element (default: "
                 "ten times the "
                 "rounding error of the unsharded run)")
      ->needs(execute);
  app.add_option(
         "--inputs", arguments.inputs,
         "a folder of NumPy files for --execute: NAME.npy for the parameter NAME; other parameters "
         "stay random")
      ->needs(execute);
}

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  app.set_version_flag("--version", "tessera " TESSERA_VERSION_STRING);
  describe_program(app, arguments);
  describe_devices(app, arguments);
  describe_memory(app, arguments);
  describe_pipeline(app, arguments);
  describe_search(app, arguments);
  describe_output(app, arguments);
  describe_execution(app, arguments);
}

ExitCode run(const Arguments& arguments) {
  if (arguments.model.empty() && arguments.file.empty())
    throw tessera::InputError("MODEL", "give an HLO file, or a model by --model");
  const tessera::plan::Options options = tessera::examples::options_of(arguments);
  return arguments.pipeline ? tessera::examples::plan_in_stages(arguments, options)
                            : tessera::examples::plan_on_mesh(arguments, options);
}

}  // namespace

int main(int argc, char** argv) {
  return tessera::examples::run_program(argc, argv, describe, run);
}
