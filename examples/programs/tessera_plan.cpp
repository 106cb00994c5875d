// SPDX-License-Identifier: Apache-2.0
//
// tessera-plan: a HLO program and a mesh in, a proven-cheapest sharding plan out.
#include <CLI/CLI.hpp>

#include "plan_arguments.hpp"
#include "tessera/version.hpp"

namespace {

using tessera::examples::Arguments;
using tessera::examples::ExitCode;

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

void describe_program(CLI::App& app, Arguments& arguments) {
  CLI::Option* const file =
      app.add_option("MODEL", arguments.file, "HLO text file; - reads standard input");
  app.add_option("--model", arguments.model,
                 "in place of a file: a model's name, as gpt-39b, or its sizes, as "
                 "gpt:layers=24,hidden=2304,heads=24 (a name that is none lists them all)")
      ->excludes(file);
  app.add_option("--annotations", arguments.annotations,
                 "which shardings written in MODEL the plan keeps: all, io (of its parameters and "
                 "results), or ignore")
      ->check(CLI::IsMember({"all", "io", "ignore"}))
      ->capture_default_str();
  app.add_flag("--lenient", arguments.lenient,
               "let pass, with warnings, undefined operands, missing called computations and "
               "bodies that are never closed");
}

void describe_devices(CLI::App& app, Arguments& arguments) {
  app.add_option("--mesh", arguments.mesh,
                 "devices along each axis, as 2x4; at most eight axes (needed without --cluster)");
  app.add_flag("--refine-axes", arguments.refine_axes,
               "cut every mesh axis into its prime factors, so that a dim can be split over a part "
               "of one; prices stay those of the axis.  The search grows fast with the axes");
  app.add_option("--alpha", arguments.alpha, "latency of each axis, as 1,1 (default: all 1)");
  app.add_option("--beta", arguments.beta,
                 "inverse bandwidth of each axis, as 1,0.01 (default: 1, and 0.1 for the last)");
  app.add_option("--cost-model", arguments.cost_model, "alpa")
      ->check(CLI::IsMember({"alpa"}))
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
}

void describe_memory(CLI::App& app, Arguments& arguments) {
  app.add_option("--memory-budget", arguments.memory_budget,
                 "bytes per device, or with a unit: 16GiB, 512MB; or 60%, of what plain data "
                 "parallelism needs (default: no limit; with --cluster, what a device has)");
  app.add_option(
         "--recompute", arguments.recompute,
         "what of the forward pass is computed again for the backward pass: none (the default), "
         "full (all but what segments begin with), or auto (what is cheapest within the budget; "
         "with --pipeline the default, and by whole stages)")
      ->check(CLI::IsMember({"none", "full", "auto"}));
}

// @pre devices are described
void describe_pipeline(CLI::App& app, Arguments& arguments) {
  auto* const pipeline = app.add_flag("--pipeline", arguments.pipeline,
                                      "cut the program into stages, each on devices of its own");
  pipeline->needs(app.get_option("--cluster"));
  const auto add = [&](const char* flag, std::string& value, const char* meaning) {
    return app.add_option(flag, value, meaning)->needs(pipeline);
  };
  add("--global-batch", arguments.global_batch,
      "sequences, or images, of one step (with --model, which is then built for one microbatch of "
      "them)");
  add("--microbatches", arguments.microbatches,
      "how many a step is cut into, or auto: of 1, 2, 4, ... sequences, until two in a row are "
      "worse.  MODEL is one microbatch, so there it must be a number")
      ->capture_default_str();
  add("--schedule", arguments.schedule,
      "1f1b, eager-1f1b (more microbatches in flight, which hide transfers between stages), gpipe, "
      "zero-bubble (the backward pass in two), interleaved (equal stages, each with several chunks "
      "of the layers), or auto: whichever takes least")
      ->check(CLI::IsMember({"1f1b", "eager-1f1b", "gpipe", "zero-bubble", "interleaved", "auto"}))
      ->capture_default_str();
  add("--layers", arguments.layers,
      "cut the program into so many layers of about the same work, or where the program says, by "
      "scopes, pipeline_marker or parameters' names, as layer7.up: named (default: named where it "
      "says, else 8)");
  add("--price-cache", arguments.price_cache,
      "a folder in which prices of spans are kept from run to run");
  add("--timeline", arguments.timeline,
      "write the step there as it runs: a picture for .svg, else a Chrome trace");
  app.add_flag("--whole-spans", arguments.whole_spans,
               "price every run of layers by itself and not layer by layer: for few layers")
      ->needs(pipeline);
}

void describe_search(CLI::App& app, Arguments& arguments) {
  app.add_option("--time-limit", arguments.time_limit,
                 "seconds of wall clock; the best plan so far is kept (default: no limit)");
  app.add_option("--gap", arguments.gap,
                 "end the search once no plan can be cheaper by more than this: 0.01% (default: "
                 "only the cheapest will do)");
  app.add_option("--threads", arguments.threads, "threads of the search")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "breaks ties in the search; draws inputs for --execute")
      ->capture_default_str();
  app.add_flag("-v,--verbose", arguments.verbose, "the search's progress on standard error");
}

void describe_output(CLI::App& app, Arguments& arguments) {
  app.add_option("--emit", arguments.emit, "table, json or hlo")
      ->check(CLI::IsMember({"table", "json", "hlo"}))
      ->capture_default_str();
  app.add_flag("--all", arguments.all, "the table lists every op");
  app.add_option("-o,--output", arguments.output, "write there instead of standard output");
  app.add_option("--problem", arguments.problem,
                 "also write the 0-1 program there, as IOPDDL JSON for tessera-solve");
}

void describe_execution(CLI::App& app, Arguments& arguments) {
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
    throw tessera::InputError("MODEL", "give a HLO file, or a model by --model");
  const tessera::plan::Options options = tessera::examples::options_of(arguments);
  return arguments.pipeline ? tessera::examples::plan_in_stages(arguments, options)
                            : tessera::examples::plan_on_mesh(arguments, options);
}

}  // namespace

int main(int argc, char** argv) {
  return tessera::examples::run_program(argc, argv, describe, run);
}
