// SPDX-License-Identifier: Apache-2.0
//
// tessera-plan's command line, and what it means: for plan_on_mesh.cpp and plan_in_stages.cpp,
// which do what is asked for.
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

// What all functions here throw is InputError, which names the flag.

// From a file, or by name: a model's program goes through HLO text, so that all that a plan can be
// written as is the same for both.
io::hlo::Module read_module(const Arguments& arguments);

// What a reader of the plan should know about how the program was read, on standard error.
void report_reading(const io::hlo::Module& module, const io::hlo::Program& program);

cost::Cluster cluster_of(const Arguments& arguments);
int hidden_percent_of(const Arguments& arguments);

// "60%": of what data parallelism needs, and not bytes.
inline bool is_share(const std::string& budget) { return budget.ends_with('%'); }

// What plans of a mesh and pipelines share.  The arguments must outlive the options.
plan::Options options_of(const Arguments& arguments);
ExecuteOptions execute_options_of(const Arguments& arguments);

// Nothing is worse than to plan for an hour and then have nowhere to put it, or one file in the
// other's place.
void check_outputs(const Arguments& arguments);
void write(const Arguments& arguments, const std::string& text);

// Beside a table, what came of an execution goes to standard output, too; else to standard error.
ExitCode tell(const Arguments& arguments, const Execution& execution);

// The whole program, for one mesh and with --pipeline.
ExitCode plan_on_mesh(const Arguments& arguments, plan::Options options);
ExitCode plan_in_stages(const Arguments& arguments, const plan::Options& common);

}  // namespace tessera::examples
