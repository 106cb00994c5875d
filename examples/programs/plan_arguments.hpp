// SPDX-License-Identifier: Apache-2.0
//
// The command line of tessera-plan, and the options that follow from it, for plan_on_mesh.cpp and
// plan_in_stages.cpp.
#pragma once
#include <string>

#include "command_line.hpp"
#include "execute.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::examples {

struct Arguments {
  std::string file, model, mesh, alpha, beta, memory_budget, cost_model = "alpa", emit = "table";
  std::string cluster, hidden_communication = "0";
  std::string output, problem, time_limit, gap, seed = "0", annotations = "all", recompute;
  std::string tolerance, inputs;
  std::string global_batch, microbatches = "auto", schedule = "1f1b", layers, price_cache, timeline;
  int threads = 1;
  bool lenient = false, all = false, verbose = false, refine_axes = false, execute = false;
  bool pipeline = false, whole_spans = false;
};

// All functions here throw InputError, which names the flag.

// From a file, or by name: a model's program goes through HLO text, so that plans of both are
// written in the same way.
io::hlo::Module read_module(const Arguments& arguments);

// Prints warnings and notes about the reading of the program to standard error.
void report_reading(const io::hlo::Module& module, const io::hlo::Program& program);

cost::Cluster cluster_of(const Arguments& arguments);
int hidden_percent_of(const Arguments& arguments);

// "60%": of what data parallelism needs, and not bytes.
inline bool is_share(const std::string& budget) { return budget.ends_with('%'); }

// The options that plans of a mesh and of pipelines share.  The arguments must outlive them.
plan::Options options_of(const Arguments& arguments);
ExecuteOptions execute_options_of(const Arguments& arguments);

// Throws where an output file can not be written, or two are the same, before any work is done.
void check_outputs(const Arguments& arguments);
void write(const Arguments& arguments, const std::string& text);

// Prints the report of an execution: to standard output after a table, else to standard error.
ExitCode report_execution(const Arguments& arguments, const Execution& execution);

// The whole program, for one mesh and with --pipeline.
ExitCode plan_on_mesh(const Arguments& arguments, plan::Options options);
ExitCode plan_in_stages(const Arguments& arguments, const plan::Options& common);

}  // namespace tessera::examples
