// SPDX-License-Identifier: Apache-2.0
#include "plan_arguments.hpp"

#include <cstdio>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "tessera/core/text.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/writer.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/models/catalogue.hpp"
#include "tessera/report/solve_log.hpp"

namespace tessera::examples {

io::hlo::Module read_module(const Arguments& arguments) {
  if (!arguments.model.empty())
    return io::hlo::read_module(
        io::hlo::write_hlo(models::build(arguments.model, "--model"), "model"), arguments.model);
  return io::hlo::read_module(io::read_file(arguments.file), arguments.file,
                              {.lenient = arguments.lenient});
}

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
  std::fprintf(stderr, "note: kept whole on every device, as these ops have no sharding rule: %s\n",
               list.c_str());
}

cost::Cluster cluster_of(const Arguments& arguments) {
  try {
    return cost::find_cluster(arguments.cluster);
  } catch (const tessera::InvalidArgument& error) {
    throw InputError("--cluster", error.what());
  }
}

int hidden_percent_of(const Arguments& arguments) {
  return static_cast<int>(
      parse_count("--hidden-communication", arguments.hidden_communication, 0, 100));
}

plan::Options options_of(const Arguments& arguments) {
  plan::Options options;
  if (!arguments.memory_budget.empty() && !is_share(arguments.memory_budget))
    options.memory_budget = parse_bytes("--memory-budget", arguments.memory_budget);
  if (!arguments.time_limit.empty())
    options.solver.time_limit = parse_seconds("--time-limit", arguments.time_limit);
  if (!arguments.gap.empty()) options.solver.gap_limit = parse_gap("--gap", arguments.gap);
  options.solver.threads = arguments.threads;
  options.solver.seed = parse_seed("--seed", arguments.seed);
  options.solver.cancellation = cancelled_by_interrupt();
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

ExecuteOptions execute_options_of(const Arguments& arguments) {
  ExecuteOptions options;
  options.seed = parse_seed("--seed", arguments.seed);
  options.inputs = arguments.inputs;
  if (!options.inputs.empty() && !std::filesystem::is_directory(options.inputs))
    throw InputError("--inputs", excerpt(options.inputs, 200) + " is no folder");
  if (!arguments.tolerance.empty())
    options.tolerance = parse_tolerance("--tolerance", arguments.tolerance);
  return options;
}

void check_outputs(const Arguments& arguments) {
  const std::pair<std::string, const std::string&> files[] = {{"--output", arguments.output},
                                                              {"--problem", arguments.problem},
                                                              {"--timeline", arguments.timeline}};
  const auto place = [](const std::string& path) {
    std::error_code error;
    const auto canonical = std::filesystem::weakly_canonical(path, error);
    return error ? std::filesystem::path(path) : canonical;
  };
  std::map<std::filesystem::path, std::string> flag_of;
  for (const auto& [flag, path] : files) {
    if (path.empty()) continue;
    io::check_writable(path);
    const auto [at, is_new] = flag_of.emplace(place(path), flag);
    if (!is_new)
      throw InputError(at->second + " and " + flag, "both are " + excerpt(at->first.string(), 200));
  }
}

void write(const Arguments& arguments, const std::string& text) {
  if (arguments.output.empty())
    std::fwrite(text.data(), 1, text.size(), stdout);  // run_program sees to errors
  else
    io::write_file(arguments.output, text);
}

ExitCode report_execution(const Arguments& arguments, const Execution& execution) {
  const bool is_table = arguments.emit == "table" && arguments.output.empty();
  std::fputs(execution.text.c_str(), is_table ? stdout : stderr);
  return execution.is_true ? ExitCode::solved : ExitCode::differs;
}

}  // namespace tessera::examples
