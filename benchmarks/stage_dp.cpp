// SPDX-License-Identifier: Apache-2.0
//
// stage-dp: the choice of stages for tables that come from elsewhere.
//
//   {"instances": [{"id": ..., "num_layers": L, "num_devices": D, "num_microbatches": B,
//                   "submesh_choices": [[hosts, devices per host], ...],
//                   "compute_cost": [first layer][last layer][submesh][config],
//                   "max_n_succ_stages": the same shape}]}
//
// Numbers are integers; null is infinite.  Prints one line per instance, "id value".
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "tessera/io/file.hpp"
#include "tessera/pipeline/stage_search.hpp"

namespace {

using namespace tessera;
using namespace tessera::pipeline;
using examples::ExitCode;
using Json = rapidjson::Value;

constexpr const char* about =
    R"(Finds the best pipeline stages for each instance in a file, and prints "id value".

The value is the least sum of stage costs plus (B - 1) times the largest, over contiguous stages whose
submeshes use exactly all devices; with --inference, the least largest stage cost.  "infeasible"
stands where there are no such stages.)";

constexpr const char* epilogue = R"(Examples:
  stage-dp instances.json
  stage-dp instances.json --inference --statistics)";

// A value in the file, and its path there, for what is to be said about it.
struct Place {
  const Json* json;
  std::string path;

  [[noreturn]] void refuse(const std::string& file, const std::string& wanted) const {
    throw InputError(file, path + ": expected " + wanted);
  }
};

class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  Place member(const Place& of, const char* name) const {
    if (!of.json->IsObject()) of.refuse(file_, "an object");
    const auto found = of.json->FindMember(name);
    if (found == of.json->MemberEnd()) of.refuse(file_, std::string("a member \"") + name + '"');
    return {&found->value, of.path + '.' + name};
  }
  std::size_t size(const Place& list) const {
    if (!list.json->IsArray()) list.refuse(file_, "a list");
    return list.json->Size();
  }
  Place element(const Place& list, std::size_t i) const {
    if (i >= size(list)) list.refuse(file_, "at least " + std::to_string(i + 1) + " entries");
    return {&(*list.json)[static_cast<rapidjson::SizeType>(i)],
            list.path + '[' + std::to_string(i) + ']'};
  }
  std::int64_t integer(const Place& at) const {
    if (!at.json->IsInt64()) at.refuse(file_, "an integer of 64 bits");
    return at.json->GetInt64();
  }
  std::int64_t integer_or(const Place& at, std::int64_t for_null) const {
    return at.json->IsNull() ? for_null : integer(at);
  }
  std::string id(const Place& at) const {
    if (at.json->IsString()) return at.json->GetString();
    return std::to_string(integer(at));
  }
  const std::string& file() const noexcept { return file_; }

 private:
  std::string file_;
};

void add_options(StageProblem& problem, const Reader& read, const Place& costs, const Place& limits,
                 std::size_t first, std::size_t last) {
  for (std::size_t size = 0; size < problem.sizes().size(); ++size) {
    const Place configs = read.element(costs, size), most = read.element(limits, size);
    const std::size_t count = read.size(configs);
    if (read.size(most) != count)
      most.refuse(read.file(), std::to_string(count) + " entries, as in compute_cost");
    for (std::size_t config = 0; config < count; ++config) {
      StageOption option;
      option.time = read.integer_or(read.element(configs, config), infinite);
      option.max_successors = read.integer_or(read.element(most, config), any_successors);
      option.tag = static_cast<std::uint32_t>(config);
      problem.add(first, last, size, option);
    }
  }
}

StageProblem read_problem(const Reader& read, const Place& instance) {
  const std::int64_t layers = read.integer(read.member(instance, "num_layers"));
  const Place submeshes = read.member(instance, "submesh_choices");
  std::vector<Extent> sizes;
  for (std::size_t i = 0; i < read.size(submeshes); ++i) {
    const Place submesh = read.element(submeshes, i);
    const Extent hosts = read.integer(read.element(submesh, 0));
    const Extent per_host = read.integer(read.element(submesh, 1));
    constexpr Extent enough = std::numeric_limits<std::int32_t>::max();
    if (hosts < 1 || per_host < 1 || hosts > enough || per_host > enough)
      submesh.refuse(read.file(), "two numbers from 1 to " + std::to_string(enough));
    sizes.push_back(hosts * per_host);
  }
  const Place costs = read.member(instance, "compute_cost");
  const Place limits = read.member(instance, "max_n_succ_stages");
  if (layers < 1 || static_cast<std::uint64_t>(layers) > read.size(costs))
    costs.refuse(read.file(),
                 "one entry for each of num_layers = " + std::to_string(layers) + " layers");
  const auto count = static_cast<std::size_t>(layers);
  try {
    StageProblem problem(count, read.integer(read.member(instance, "num_devices")),
                         read.integer(read.member(instance, "num_microbatches")), sizes);
    for (std::size_t first = 0; first < count; ++first)
      for (std::size_t last = first; last < count; ++last)
        add_options(problem, read, read.element(read.element(costs, first), last),
                    read.element(read.element(limits, first), last), first, last);
    return problem;
  } catch (const tessera::InvalidArgument& error) {
    throw InputError(read.file(), instance.path + ": " + error.what());
  }
}

struct Arguments {
  std::string file;
  bool inference = false, statistics = false;
};

void answer(const Reader& read, const Place& instance, const Arguments& arguments) {
  const std::string id = read.id(read.member(instance, "id"));
  const StageProblem problem = read_problem(read, instance);
  StageSearchOptions options;
  if (arguments.inference) options.goal = Goal::throughput;
  const StageAnswer found = find_stages(problem, options);
  std::printf("%s %s\n", id.c_str(),
              found.is_feasible ? to_string(found.cost).c_str() : "infeasible");
  if (!arguments.statistics) return;
  std::fprintf(stderr, "%s: %zu stages, %llu thresholds, %llu updates, %.6f s\n", id.c_str(),
               found.stages.size(), static_cast<unsigned long long>(found.statistics.thresholds),
               static_cast<unsigned long long>(found.statistics.updates), found.statistics.seconds);
}

ExitCode run(const Arguments& arguments) {
  const std::string text = io::read_file(arguments.file);
  rapidjson::Document document;
  document.Parse<rapidjson::kParseIterativeFlag>(text.data(), text.size());
  if (document.HasParseError())
    throw InputError(arguments.file, position_of(text, document.GetErrorOffset()),
                     rapidjson::GetParseError_En(document.GetParseError()));
  const Reader read(arguments.file);
  const Place instances = read.member({&document, "file"}, "instances");
  for (std::size_t i = 0; i < read.size(instances); ++i)
    answer(read, read.element(instances, i), arguments);
  return ExitCode::solved;
}

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  app.add_option("FILE", arguments.file, "a JSON file, or - for standard input")->required();
  app.add_flag("--inference", arguments.inference, "look for the best throughput");
  app.add_flag("--statistics", arguments.statistics, "tell on standard error what it took");
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
