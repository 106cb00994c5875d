// SPDX-License-Identifier: Apache-2.0
//
// Pipelines that experts ran: for a test, and for a benchmark.
//
// The runs of GPTs whose configuration was published in full by Megatron-LM's authors (2020, SC'21,
// Korthikanti et al. 2022) and Alpa's.  Each is priced by the planner itself, held to what was
// published: stages of so many devices, seen as data x tensor parallel devices, weights cut as
// Megatron-LM does, the schedule, what is computed again: whole layers, or attention from the
// scores to their product with the values.  What was not said is as is best: where layers are cut,
// how activations are cut between layers, and whether all of it fits.  So an expert's plan is
// priced no higher than it was run.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/cost/presets.hpp"
#include "tessera/models/catalogue.hpp"
#include "tessera/plan/plan_pipeline.hpp"
#include "tessera/tessera.hpp"

namespace tessera_test {

using tessera::Axis, tessera::DynamicMesh, tessera::DynamicSharding, tessera::Extent;
using tessera::plan::PipelineOptions, tessera::plan::PipelinePlan;

// Of a GPT with 51200 words.
struct GptSize {
  Extent layers = 0, hidden = 0, heads = 0, seq = 2048;
};

// What runs a second time for the backward pass.
enum class Again { attention, layers };

struct ExpertPipeline {
  std::string id;
  GptSize size;
  std::string hosts;  // the cluster's, by name
  Extent batch = 1;   // of a microbatch, on all replicas
  std::int64_t microbatches = 1;
  Extent data = 1, tensor = 1, stages = 1;
  std::int64_t chunks = 1;  // of a stage; 0: interleaved, how often was not said
  Again again = Again::layers;
  int zero_stage = 0;

  Extent devices() const noexcept { return data * tensor * stages; }
  std::string cluster() const { return hosts + ':' + std::to_string(devices()); }
  std::string model(Extent microbatch) const {
    return "gpt:layers=" + std::to_string(size.layers) + ",hidden=" + std::to_string(size.hidden) +
           ",heads=" + std::to_string(size.heads) + ",seq=" + std::to_string(size.seq) +
           ",vocab=51200,precision=f16,batch=" + std::to_string(microbatch);
  }
};

// Four sizes on 1, 2, 4 and 8 devices of two kinds, and on the later one 128 times as many.
inline void add_weak_scaling_of_2020(std::vector<ExpertPipeline>& runs) {
  struct Row {
    const char* name;
    GptSize size;
    Extent tensor;
  };
  constexpr Row rows[] = {{"1B", {24, 1920, 15, 1024}, 1},
                          {"2B", {30, 2304, 18, 1024}, 2},
                          {"4B", {36, 3072, 24, 1024}, 4},
                          {"8B", {42, 4096, 32, 1024}, 8}};
  const std::string id = "megatron-2020-";
  for (const Row& row : rows) {
    runs.push_back({id + "dgx2-" + row.name, row.size, "dgx-2", 8, 1, 1, row.tensor});
    runs.push_back({id + "dgxa100-" + row.name, row.size, "dgx-a100-40gb", 16, 1, 1, row.tensor});
  }
  for (const Row& row : rows)
    runs.push_back(
        {id + "dgxa100-dp128-" + row.name, row.size, "dgx-a100-40gb", 2048, 1, 128, row.tensor});
}

inline std::vector<ExpertPipeline> expert_pipelines() {
  constexpr const char *selene = "dgx-a100-80gb-selene", *aws = "alpa-p3.16xlarge";
  constexpr GptSize of_175b{96, 12288, 96};
  constexpr GptSize of_530b{105, 20480, 128};
  constexpr GptSize of_1t{128, 25600, 160};
  constexpr GptSize of_162b{32, 20480, 128};
  constexpr GptSize of_22b{48, 6144, 64};
  constexpr GptSize of_350m{24, 1024, 16, 1024};
  constexpr GptSize of_760m{24, 1536, 16, 1024};
  constexpr GptSize of_1b{24, 2048, 32, 1024};
  constexpr GptSize of_3b{32, 2560, 32, 1024};
  constexpr GptSize of_7b{32, 4096, 32, 1024};
  constexpr GptSize of_15b{48, 5120, 40, 1024};
  constexpr GptSize of_39b{48, 8192, 64, 1024};
  std::vector<ExpertPipeline> runs = {
      {"megatron-sc21-t1-1.7B", {24, 2304, 24}, selene, 512, 1, 32, 1, 1},
      {"megatron-sc21-t1-3.6B", {30, 3072, 32}, selene, 512, 1, 32, 2, 1},
      {"megatron-sc21-t1-7.5B", {36, 4096, 32}, selene, 512, 1, 32, 4, 1},
      {"megatron-sc21-t1-18B", {40, 6144, 48}, selene, 256, 4, 32, 8, 1},
      {"megatron-sc21-t1-39B", {48, 8192, 64}, selene, 128, 12, 32, 8, 2},
      {"megatron-sc21-t1-76B", {60, 10240, 80}, selene, 64, 28, 32, 8, 4, 3},
      {"megatron-sc21-t1-145B", {80, 12288, 96}, selene, 48, 48, 24, 8, 8, 2},
      {"megatron-sc21-t1-310B", {96, 16384, 128}, selene, 15, 144, 15, 8, 16, 2},
      {"megatron-sc21-t1-530B", of_530b, selene, 9, 280, 9, 8, 35, 3},
      {"megatron-sc21-t1-1T", of_1t, selene, 6, 512, 6, 8, 64},
      {"megatron-sc21-t2-ZeRO-3-175B-384", of_175b, selene, 1536, 1, 384, 1, 1, 1, Again::layers,
       3},
      {"megatron-sc21-t2-ZeRO-3-175B-768", of_175b, selene, 1536, 1, 768, 1, 1, 1, Again::layers,
       3},
      {"megatron-sc21-t2-ZeRO-3-175B-1536", of_175b, selene, 1536, 1, 1536, 1, 1, 1, Again::layers,
       3},
      {"megatron-sc21-t2-ZeRO-3-530B-640", of_530b, selene, 2560, 1, 640, 1, 1, 1, Again::layers,
       3},
      {"megatron-sc21-t2-ZeRO-3-530B-1120", of_530b, selene, 2240, 1, 1120, 1, 1, 1, Again::layers,
       3},
      {"megatron-sc21-t2-ZeRO-3-530B-2240", of_530b, selene, 2240, 1, 2240, 1, 1, 1, Again::layers,
       3},
      {"megatron-sc21-t2-PTD-175B-384", of_175b, selene, 4, 384, 4, 8, 12, 0},
      {"megatron-sc21-t2-PTD-175B-768", of_175b, selene, 8, 192, 8, 8, 12, 0},
      {"megatron-sc21-t2-PTD-175B-1536", of_175b, selene, 16, 96, 16, 8, 12, 0},
      {"megatron-sc21-t2-PTD-530B-560", of_530b, selene, 2, 1120, 2, 8, 35, 0},
      {"megatron-sc21-t2-PTD-530B-1120", of_530b, selene, 4, 560, 4, 8, 35, 0},
      {"megatron-sc21-t2-PTD-530B-2240", of_530b, selene, 8, 280, 8, 8, 35, 0},
      {"megatron-sc21-fig13-pp2-tp32", of_162b, selene, 1, 128, 1, 32, 2},
      {"megatron-sc21-fig13-pp4-tp16", of_162b, selene, 1, 128, 1, 16, 4},
      {"megatron-sc21-fig13-pp8-tp8", of_162b, selene, 1, 128, 1, 8, 8},
      {"megatron-sc21-fig13-pp16-tp4", of_162b, selene, 1, 128, 1, 4, 16},
      {"megatron-sc21-fig13-pp32-tp2", of_162b, selene, 1, 128, 1, 2, 32},
      {"korthikanti-t5-22B-sel+sp", of_22b, selene, 4, 1, 1, 8, 1, 1, Again::attention},
      {"korthikanti-t5-22B-full", of_22b, selene, 4, 1, 1, 8, 1},
      {"korthikanti-t5-175B-sel+sp", of_175b, selene, 1, 64, 1, 8, 8, 3, Again::attention},
      {"korthikanti-t5-175B-full", of_175b, selene, 1, 64, 1, 8, 8, 3},
      {"korthikanti-t5-530B-sel+sp", of_530b, selene, 1, 280, 1, 8, 35, 3, Again::attention},
      {"korthikanti-t5-530B-full", of_530b, selene, 1, 280, 1, 8, 35, 3},
      {"korthikanti-t5-1T-sel+sp", of_1t, selene, 1, 512, 1, 8, 64, 1, Again::attention},
      {"korthikanti-t5-1T-full", of_1t, selene, 1, 512, 1, 8, 64},
      {"korthikanti-530B-dp8", of_530b, selene, 8, 280, 8, 8, 35, 3, Again::attention},
      {"alpa-e2e-gpt-350M-1-megatron", of_350m, aws, 16, 8, 1, 1, 1},
      {"alpa-e2e-gpt-1.3B-4-megatron", of_1b, aws, 8, 128, 2, 1, 2},
      {"alpa-e2e-gpt-2.6B-8-megatron", of_3b, aws, 8, 128, 1, 1, 8},
      {"alpa-e2e-gpt-6.7B-16-megatron", of_7b, aws, 4, 256, 1, 2, 8},
      {"alpa-e2e-gpt-15B-32-megatron", of_15b, aws, 4, 256, 1, 4, 8},
      {"alpa-e2e-gpt-350M-1-alpa.intra_only", of_350m, aws, 16, 64, 1, 1, 1, 1, Again::layers, 2},
      {"alpa-e2e-gpt-760M-2-alpa.intra_only", of_760m, aws, 16, 64, 2, 1, 1, 1, Again::layers, 2},
      {"alpa-e2e-gpt-1.3B-4-alpa.intra_only", of_1b, aws, 16, 64, 4, 1, 1, 1, Again::layers, 2},
      {"alpa-e2e-gpt-2.6B-8-alpa.intra_only", of_3b, aws, 32, 32, 4, 2, 1, 1, Again::layers, 2},
      {"alpa-e2e-gpt-6.7B-16-alpa.intra_only", of_7b, aws, 16, 64, 2, 8, 1, 1, Again::layers, 2},
      {"alpa-e2e-gpt-350M-1-alpa.auto", of_350m, aws, 2, 512, 1, 1, 1, 1, Again::layers, 2},
      {"alpa-e2e-gpt-760M-2-alpa.auto", of_760m, aws, 8, 128, 1, 1, 2, 1, Again::layers, 2},
      {"alpa-e2e-gpt-1.3B-4-alpa.auto", of_1b, aws, 8, 128, 2, 1, 2, 1, Again::layers, 2},
      {"alpa-e2e-gpt-6.7B-16-alpa.auto", of_7b, aws, 16, 64, 2, 4, 2, 1, Again::layers, 2},
      {"alpa-e2e-gpt-15B-32-alpa.auto", of_15b, aws, 8, 128, 2, 4, 4, 1, Again::layers, 2},
      {"alpa-e2e-gpt-39B-64-alpa.auto", of_39b, aws, 1, 1024, 1, 4, 16, 1, Again::layers, 2},
      {"alpa-readme-2.6B-dp2op2pp2", of_3b, aws, 8, 4, 2, 2, 2, 1, Again::layers, 2},
      {"alpa-readme-2.6B-dp2op2pp2-megatron", of_3b, aws, 8, 4, 2, 2, 2},
  };
  add_weak_scaling_of_2020(runs);
  return runs;
}

// The dim of a parameter that Megatron-LM cuts over tensor-parallel devices, if any.
inline std::optional<std::size_t> tensor_dim_of(std::string_view name) {
  const auto ends_with_any = [&](std::initializer_list<std::string_view> ends) {
    for (const std::string_view end : ends)
      if (name.ends_with(end)) return true;
    return false;
  };
  for (const std::string_view state : {".master", ".mean", ".variance"})
    if (name.ends_with(state)) name.remove_suffix(state.size());
  if (ends_with_any({"query.weight", "key.weight", "value.weight", "up.weight"})) return 1;
  if (ends_with_any({"query.bias", "key.bias", "value.bias", "up.bias", "output.weight",
                     "down.weight", "embedding"}))
    return 0;
  return std::nullopt;
}

// How the run has its parameters and its data, on a mesh of data x tensor parallel devices.
inline std::vector<tessera::strategy::Annotation> given_by(
    const ExpertPipeline& run, const tessera::pipeline::SpanProgram& span) {
  using tessera::pipeline::ParameterKind;
  std::vector<tessera::strategy::Annotation> annotations;
  const Axis tensor_axis = run.data > 1 ? 1 : 0;
  for (tessera::graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    const tessera::graph::Op& op = span.graph.op(id);
    if (!op.is_parameter || span.parameter_kinds[id] == ParameterKind::received ||
        op.results[0].dims.empty())
      continue;
    const std::string_view name = op.name;
    const bool is_state = name.ends_with(".master") || name.ends_with(".mean") ||
                          name.ends_with(".variance");
    DynamicSharding sharding = DynamicSharding::replicated(op.results[0].dims.size());
    if (span.parameter_kinds[id] == ParameterKind::data) {
      if (run.data > 1) sharding = sharding.with_split(0, 0);
    } else {
      // What sharded optimizers do with their state, and sharded weights, is as is best.
      if (run.zero_stage == 3 || (run.zero_stage > 0 && is_state)) continue;
      if (const auto dim = tensor_dim_of(name); dim && run.tensor > 1)
        sharding = sharding.with_split(*dim, tensor_axis);
    }
    annotations.push_back({{id, 0}, sharding, 0, op.name + ", as the run has it"});
  }
  return annotations;
}

// By op, whether the run computes it again.
inline std::vector<char> run_again_by(const ExpertPipeline& run,
                                      const tessera::pipeline::SpanProgram& span) {
  const auto is_scores = [&](const tessera::graph::TensorType& type) {
    return type.dims.size() >= 4 &&
           std::count(type.dims.begin(), type.dims.end(), run.size.seq) == 2;
  };
  std::vector<char> again(span.graph.op_count(), 0);
  for (tessera::graph::OpId id = 0; id < again.size(); ++id) {
    const tessera::graph::Op& op = span.graph.op(id);
    if (span.phases[id] != tessera::pipeline::Phase::forward || op.is_parameter) continue;
    bool is_attention = is_scores(op.results[0]);
    for (std::size_t i = 0; i < span.graph.operand_count(id); ++i)
      is_attention = is_attention || is_scores(span.graph.type_of(span.graph.operand(id, i)));
    again[id] = run.again == Again::layers || is_attention;
  }
  return again;
}

// A step of the same samples, in microbatches of `batch`.
inline PipelinePlan plan_in_batches(const ExpertPipeline& run, Extent batch,
                                    PipelineOptions options) {
  const tessera::graph::Graph graph = tessera::models::build(run.model(batch));
  const auto layers = *tessera::pipeline::named_layers(graph);
  options.microbatches = run.batch * run.microbatches / batch;
  return tessera::plan::plan_pipeline(graph, layers, tessera::cost::find_cluster(run.cluster()),
                                      options);
}

struct PipelineComparison {
  PipelinePlan found, by_hand;
};

// The run as it was published, and what is found for it; by_hand has all the memory that it wants.
// What is found may have smaller microbatches where those of the run are too large for its memory,
// or not the best.
inline PipelineComparison compare(const ExpertPipeline& run, int threads = 1) {
  using tessera::pipeline::ScheduleKind;
  PipelineComparison result;
  PipelineOptions options;
  options.schedule = std::nullopt;
  options.gap = 0.01;
  options.pricing.threads = threads;
  const auto is_better = [&](const PipelinePlan& plan) {
    return plan.has_stages() &&
           (!result.found.has_stages() || plan.step_time < result.found.step_time);
  };

  PipelineOptions held = options;
  const Extent devices = run.data * run.tensor;
  const Extent per_host =
      tessera::plan::hosts_of(tessera::cost::find_cluster(run.cluster())).per_host;
  held.submeshes = {devices <= per_host ? tessera::pipeline::Submesh{1, devices}
                                        : tessera::pipeline::Submesh{devices / per_host, per_host}};
  held.meshes = {run.data > 1 && run.tensor > 1 ? DynamicMesh{run.data, run.tensor}
                                                : DynamicMesh{devices}};
  held.schedule = run.chunks == 1 ? ScheduleKind::one_f_one_b : ScheduleKind::interleaved;
  held.chunks = run.chunks;
  held.memory_budget = Extent{1} << 60U;
  held.pricing.annotations = [&](const tessera::pipeline::SpanProgram& span) {
    return given_by(run, span);
  };
  held.pricing.runs_again = [&](const tessera::pipeline::SpanProgram& span) {
    return run_again_by(run, span);
  };
  result.by_hand = plan_in_batches(run, run.batch, held);

  for (Extent batch = run.batch;; batch /= 2) {
    PipelinePlan plan = plan_in_batches(run, batch, options);
    if (is_better(plan)) result.found = std::move(plan);
    const bool is_enough = result.found.has_stages() &&
                           result.found.step_time <= result.by_hand.step_time;
    if (is_enough || batch % 2 != 0) break;
  }
  return result;
}

}  // namespace tessera_test
