// SPDX-License-Identifier: Apache-2.0
//
// Pipelines that experts ran: for a test, and for a benchmark.
//
// The runs of GPTs whose configuration was published in full by Megatron-LM's authors (2020, SC'21,
// Korthikanti et al. 2022) and Alpa's.  Each is priced by the planner itself, held to what was
// published: stages of so many devices, seen as data x tensor parallel devices, weights cut as
// Megatron-LM does, the schedule, what is computed again.  What was not said is as is best: where
// layers are cut, how activations are cut between layers, and whether all of it fits; selective
// recomputation is priced as none.  So an expert's plan is priced no higher than it was run.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "instances/pipelines.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/models/catalogue.hpp"
#include "tessera/plan/pipeline_plan.hpp"

namespace tessera_test {

using tessera::Axis, tessera::DynamicMesh, tessera::DynamicSharding, tessera::Extent;
using tessera::plan::PipelineOptions, tessera::plan::PipelinePlan, tessera::plan::Recomputing;

struct ExpertPipeline {
  std::string id, model, cluster;
  Extent batch = 1;  // of a microbatch, on all replicas
  std::int64_t microbatches = 1;
  Extent data = 1, tensor = 1, stages = 1;
  std::int64_t chunks = 1;  // of a stage; 0: interleaved, how often was not said
  Recomputing recomputing = Recomputing::never;
  int zero_stage = 0;
};

inline std::vector<ExpertPipeline> expert_pipelines() {
  return {
      {"megatron-sc21-t1-1.7B",
       "gpt:layers=24,hidden=2304,heads=24,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:32", 512, 1, 32, 1, 1, 1, Recomputing::always, 0},
      {"megatron-sc21-t1-3.6B",
       "gpt:layers=30,hidden=3072,heads=32,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:64", 512, 1, 32, 2, 1, 1, Recomputing::always, 0},
      {"megatron-sc21-t1-7.5B",
       "gpt:layers=36,hidden=4096,heads=32,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:128", 512, 1, 32, 4, 1, 1, Recomputing::always, 0},
      {"megatron-sc21-t1-18B",
       "gpt:layers=40,hidden=6144,heads=48,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:256", 256, 4, 32, 8, 1, 1, Recomputing::always, 0},
      {"megatron-sc21-t1-39B",
       "gpt:layers=48,hidden=8192,heads=64,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:512", 128, 12, 32, 8, 2, 1, Recomputing::always, 0},
      {"megatron-sc21-t1-76B",
       "gpt:layers=60,hidden=10240,heads=80,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:1024", 64, 28, 32, 8, 4, 3, Recomputing::always, 0},
      {"megatron-sc21-t1-145B",
       "gpt:layers=80,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:1536", 48, 48, 24, 8, 8, 2, Recomputing::always, 0},
      {"megatron-sc21-t1-310B",
       "gpt:layers=96,hidden=16384,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:1920", 15, 144, 15, 8, 16, 2, Recomputing::always, 0},
      {"megatron-sc21-t1-530B",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:2520", 9, 280, 9, 8, 35, 3, Recomputing::always, 0},
      {"megatron-sc21-t1-1T",
       "gpt:layers=128,hidden=25600,heads=160,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:3072", 6, 512, 6, 8, 64, 1, Recomputing::always, 0},
      {"megatron-sc21-t2-ZeRO-3-175B-384",
       "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:384", 1536, 1, 384, 1, 1, 1, Recomputing::always, 3},
      {"megatron-sc21-t2-ZeRO-3-175B-768",
       "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:768", 1536, 1, 768, 1, 1, 1, Recomputing::always, 3},
      {"megatron-sc21-t2-ZeRO-3-175B-1536",
       "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:1536", 1536, 1, 1536, 1, 1, 1, Recomputing::always, 3},
      {"megatron-sc21-t2-ZeRO-3-530B-640",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:640", 2560, 1, 640, 1, 1, 1, Recomputing::always, 3},
      {"megatron-sc21-t2-ZeRO-3-530B-1120",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:1120", 2240, 1, 1120, 1, 1, 1, Recomputing::always, 3},
      {"megatron-sc21-t2-ZeRO-3-530B-2240",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:2240", 2240, 1, 2240, 1, 1, 1, Recomputing::always, 3},
      {"megatron-sc21-t2-PTD-175B-384",
       "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:384", 4, 384, 4, 8, 12, 0, Recomputing::always, 0},
      {"megatron-sc21-t2-PTD-175B-768",
       "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:768", 8, 192, 8, 8, 12, 0, Recomputing::always, 0},
      {"megatron-sc21-t2-PTD-175B-1536",
       "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:1536", 16, 96, 16, 8, 12, 0, Recomputing::always, 0},
      {"megatron-sc21-t2-PTD-530B-560",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:560", 2, 1120, 2, 8, 35, 0, Recomputing::always, 0},
      {"megatron-sc21-t2-PTD-530B-1120",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:1120", 4, 560, 4, 8, 35, 0, Recomputing::always, 0},
      {"megatron-sc21-t2-PTD-530B-2240",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:2240", 8, 280, 8, 8, 35, 0, Recomputing::always, 0},
      {"megatron-sc21-fig13-pp2-tp32",
       "gpt:layers=32,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:64", 1, 128, 1, 32, 2, 1, Recomputing::always, 0},
      {"megatron-sc21-fig13-pp4-tp16",
       "gpt:layers=32,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:64", 1, 128, 1, 16, 4, 1, Recomputing::always, 0},
      {"megatron-sc21-fig13-pp8-tp8",
       "gpt:layers=32,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:64", 1, 128, 1, 8, 8, 1, Recomputing::always, 0},
      {"megatron-sc21-fig13-pp16-tp4",
       "gpt:layers=32,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:64", 1, 128, 1, 4, 16, 1, Recomputing::always, 0},
      {"megatron-sc21-fig13-pp32-tp2",
       "gpt:layers=32,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:64", 1, 128, 1, 2, 32, 1, Recomputing::always, 0},
      {"korthikanti-t5-22B-sel+sp",
       "gpt:layers=48,hidden=6144,heads=64,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:8", 4, 1, 1, 8, 1, 1, Recomputing::never, 0},
      {"korthikanti-t5-22B-full",
       "gpt:layers=48,hidden=6144,heads=64,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:8", 4, 1, 1, 8, 1, 1, Recomputing::always, 0},
      {"korthikanti-t5-175B-sel+sp",
       "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:64", 1, 64, 1, 8, 8, 3, Recomputing::never, 0},
      {"korthikanti-t5-175B-full",
       "gpt:layers=96,hidden=12288,heads=96,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:64", 1, 64, 1, 8, 8, 3, Recomputing::always, 0},
      {"korthikanti-t5-530B-sel+sp",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:280", 1, 280, 1, 8, 35, 3, Recomputing::never, 0},
      {"korthikanti-t5-530B-full",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:280", 1, 280, 1, 8, 35, 3, Recomputing::always, 0},
      {"korthikanti-t5-1T-sel+sp",
       "gpt:layers=128,hidden=25600,heads=160,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:512", 1, 512, 1, 8, 64, 1, Recomputing::never, 0},
      {"korthikanti-t5-1T-full",
       "gpt:layers=128,hidden=25600,heads=160,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:512", 1, 512, 1, 8, 64, 1, Recomputing::always, 0},
      {"korthikanti-530B-dp8",
       "gpt:layers=105,hidden=20480,heads=128,seq=2048,vocab=51200,precision=f16",
       "dgx-a100-80gb-selene:2240", 8, 280, 8, 8, 35, 3, Recomputing::never, 0},
      {"megatron-2020-dgx2-1B",
       "gpt:layers=24,hidden=1920,heads=15,seq=1024,vocab=51200,precision=f16", "dgx-2:1", 8, 1, 1,
       1, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgxa100-1B",
       "gpt:layers=24,hidden=1920,heads=15,seq=1024,vocab=51200,precision=f16", "dgx-a100-40gb:1",
       16, 1, 1, 1, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgx2-2B",
       "gpt:layers=30,hidden=2304,heads=18,seq=1024,vocab=51200,precision=f16", "dgx-2:2", 8, 1, 1,
       2, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgxa100-2B",
       "gpt:layers=30,hidden=2304,heads=18,seq=1024,vocab=51200,precision=f16", "dgx-a100-40gb:2",
       16, 1, 1, 2, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgx2-4B",
       "gpt:layers=36,hidden=3072,heads=24,seq=1024,vocab=51200,precision=f16", "dgx-2:4", 8, 1, 1,
       4, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgxa100-4B",
       "gpt:layers=36,hidden=3072,heads=24,seq=1024,vocab=51200,precision=f16", "dgx-a100-40gb:4",
       16, 1, 1, 4, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgx2-8B",
       "gpt:layers=42,hidden=4096,heads=32,seq=1024,vocab=51200,precision=f16", "dgx-2:8", 8, 1, 1,
       8, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgxa100-8B",
       "gpt:layers=42,hidden=4096,heads=32,seq=1024,vocab=51200,precision=f16", "dgx-a100-40gb:8",
       16, 1, 1, 8, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgxa100-dp128-1B",
       "gpt:layers=24,hidden=1920,heads=15,seq=1024,vocab=51200,precision=f16", "dgx-a100-40gb:128",
       2048, 1, 128, 1, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgxa100-dp128-2B",
       "gpt:layers=30,hidden=2304,heads=18,seq=1024,vocab=51200,precision=f16", "dgx-a100-40gb:256",
       2048, 1, 128, 2, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgxa100-dp128-4B",
       "gpt:layers=36,hidden=3072,heads=24,seq=1024,vocab=51200,precision=f16", "dgx-a100-40gb:512",
       2048, 1, 128, 4, 1, 1, Recomputing::always, 0},
      {"megatron-2020-dgxa100-dp128-8B",
       "gpt:layers=42,hidden=4096,heads=32,seq=1024,vocab=51200,precision=f16",
       "dgx-a100-40gb:1024", 2048, 1, 128, 8, 1, 1, Recomputing::always, 0},
      {"alpa-e2e-gpt-350M-1-megatron",
       "gpt:layers=24,hidden=1024,heads=16,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:1", 16, 8, 1, 1, 1, 1, Recomputing::always, 0},
      {"alpa-e2e-gpt-1.3B-4-megatron",
       "gpt:layers=24,hidden=2048,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:4", 8, 128, 2, 1, 2, 1, Recomputing::always, 0},
      {"alpa-e2e-gpt-2.6B-8-megatron",
       "gpt:layers=32,hidden=2560,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:8", 8, 128, 1, 1, 8, 1, Recomputing::always, 0},
      {"alpa-e2e-gpt-6.7B-16-megatron",
       "gpt:layers=32,hidden=4096,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:16", 4, 256, 1, 2, 8, 1, Recomputing::always, 0},
      {"alpa-e2e-gpt-15B-32-megatron",
       "gpt:layers=48,hidden=5120,heads=40,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:32", 4, 256, 1, 4, 8, 1, Recomputing::always, 0},
      {"alpa-e2e-gpt-350M-1-alpa.intra_only",
       "gpt:layers=24,hidden=1024,heads=16,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:1", 16, 64, 1, 1, 1, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-760M-2-alpa.intra_only",
       "gpt:layers=24,hidden=1536,heads=16,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:2", 16, 64, 2, 1, 1, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-1.3B-4-alpa.intra_only",
       "gpt:layers=24,hidden=2048,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:4", 16, 64, 4, 1, 1, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-2.6B-8-alpa.intra_only",
       "gpt:layers=32,hidden=2560,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:8", 32, 32, 4, 2, 1, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-6.7B-16-alpa.intra_only",
       "gpt:layers=32,hidden=4096,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:16", 16, 64, 2, 8, 1, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-350M-1-alpa.auto",
       "gpt:layers=24,hidden=1024,heads=16,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:1", 2, 512, 1, 1, 1, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-760M-2-alpa.auto",
       "gpt:layers=24,hidden=1536,heads=16,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:2", 8, 128, 1, 1, 2, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-1.3B-4-alpa.auto",
       "gpt:layers=24,hidden=2048,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:4", 8, 128, 2, 1, 2, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-6.7B-16-alpa.auto",
       "gpt:layers=32,hidden=4096,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:16", 16, 64, 2, 4, 2, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-15B-32-alpa.auto",
       "gpt:layers=48,hidden=5120,heads=40,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:32", 8, 128, 2, 4, 4, 1, Recomputing::always, 2},
      {"alpa-e2e-gpt-39B-64-alpa.auto",
       "gpt:layers=48,hidden=8192,heads=64,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:64", 1, 1024, 1, 4, 16, 1, Recomputing::always, 2},
      {"alpa-readme-2.6B-dp2op2pp2",
       "gpt:layers=32,hidden=2560,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:8", 8, 4, 2, 2, 2, 1, Recomputing::always, 2},
      {"alpa-readme-2.6B-dp2op2pp2-megatron",
       "gpt:layers=32,hidden=2560,heads=32,seq=1024,vocab=51200,precision=f16",
       "alpa-p3.16xlarge:8", 8, 4, 2, 2, 2, 1, Recomputing::always, 0},
  };
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
  using tessera::pipeline::Held;
  std::vector<tessera::strategy::Annotation> annotations;
  const Axis tensor_axis = run.data > 1 ? 1 : 0;
  for (tessera::graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    const tessera::graph::Op& op = span.graph.op(id);
    if (!op.is_parameter || span.held[id] == Held::received || op.results[0].dims.empty()) continue;
    const std::string_view name = op.name;
    const bool is_state = name.ends_with(".master") || name.ends_with(".mean") ||
                          name.ends_with(".variance");
    DynamicSharding sharding = DynamicSharding::replicated(op.results[0].dims.size());
    if (span.held[id] == Held::data) {
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

// A step of the same samples, in microbatches of `batch`.
inline PipelinePlan plan_in_batches(const ExpertPipeline& run, Extent batch,
                                    PipelineOptions options) {
  const tessera::graph::Graph graph =
      tessera::models::build(run.model + ",batch=" + std::to_string(batch));
  const auto layers = *tessera::pipeline::named_layers(graph);
  options.microbatches = run.batch * run.microbatches / batch;
  return tessera::plan::plan_pipeline(graph, layers, tessera::cost::find_cluster(run.cluster),
                                      options);
}

struct PipelineComparison {
  PipelinePlan found, by_hand;
};

// The run as it was published, and what is found for it; by_hand has all the memory that it wants.
// What is found may have smaller microbatches where those of the run are too large for its memory,
// or not the best.
inline PipelineComparison compare(const ExpertPipeline& run) {
  using tessera::pipeline::ScheduleKind;
  PipelineComparison result;
  PipelineOptions options;
  options.schedule = std::nullopt;
  options.gap = 0.01;
  const auto is_better = [&](const PipelinePlan& plan) {
    return plan.has_stages() &&
           (!result.found.has_stages() || plan.step_time < result.found.step_time);
  };

  PipelineOptions held = options;
  const Extent devices = run.data * run.tensor;
  const Extent per_host =
      tessera::plan::hosts_of(tessera::cost::find_cluster(run.cluster)).per_host;
  held.submeshes = {devices <= per_host ? tessera::pipeline::Submesh{1, devices}
                                        : tessera::pipeline::Submesh{devices / per_host, per_host}};
  held.meshes = {run.data > 1 && run.tensor > 1 ? DynamicMesh{run.data, run.tensor}
                                                : DynamicMesh{devices}};
  held.schedule = run.chunks == 1 ? ScheduleKind::one_f_one_b : ScheduleKind::interleaved;
  held.chunks = run.chunks;
  held.recomputing = run.recomputing;
  held.memory_budget = Extent{1} << 60U;
  held.pricing.annotations = [&](const tessera::pipeline::SpanProgram& span) {
    return given_by(run, span);
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
