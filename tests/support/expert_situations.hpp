// SPDX-License-Identifier: Apache-2.0
// Programs and devices on which experts have something to say: for a test, and for a benchmark.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/experts.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/models/catalogue.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera_test {

struct Expert {
  std::string name;
  std::function<Annotations(const TrainingStep&)> annotate;
};

// A program on devices, and who would have something to say there.
struct Situation {
  std::string model, cluster;
  std::vector<Extent> mesh;
  Extent budget = 0;  // percent of what one of the experts needs; 0: none
  std::vector<Expert> experts;
  std::vector<std::string> expected;  // words that a cheapest plan's resemblance has
  std::size_t budget_of = 0;          // which one: data parallelism comes first
};

inline std::vector<Expert> data_experts(Axis axis, Extent ways) {
  std::vector<Expert> result;
  for (int stage = 0; stage <= 3; ++stage)
    result.push_back({stage == 0 ? "data parallelism" : "ZeRO-" + std::to_string(stage),
                      [=](const TrainingStep& step) { return zero(step, stage, axis, ways); }});
  return result;
}
inline std::vector<Expert> megatron_experts(Axis axis) {
  std::vector<Expert> result;
  const auto add = [&](const char* name, Megatron how) {
    result.push_back({name, [=](const TrainingStep& step) { return megatron(step, how, axis); }});
  };
  add("Megatron", {});
  add("Megatron, sequence", {true, false});
  add("Megatron, vocabulary", {false, true});
  add("Megatron, sequence, vocabulary", {true, true});
  return result;
}
inline std::vector<Expert> transformer_experts(Axis axis, Extent ways) {
  std::vector<Expert> result = data_experts(axis, ways);
  for (Expert& expert : megatron_experts(axis)) result.push_back(std::move(expert));
  return result;
}
inline Expert convolution_expert(const char* name, std::vector<Split> splits,
                                 std::vector<Extent> mesh) {
  return {name, [=](const TrainingStep& step) { return convolutional(step, name, splits, mesh); }};
}
inline std::vector<Expert> convolution_experts() {
  return {convolution_expert("batch", {{0, 0}}, {8}), convolution_expert("space", {{1, 0}}, {8}),
          convolution_expert("features", {{3, 0}}, {8})};
}
inline std::vector<Expert> image_experts() {
  const std::vector<Extent> mesh{2, 4};
  return {convolution_expert("batch", {{0, 0}, {0, 1}}, {8, 8}),
          convolution_expert("batch by features", {{0, 0}, {3, 1}}, mesh),
          convolution_expert("features by batch", {{3, 0}, {0, 1}}, mesh),
          convolution_expert("batch by space", {{0, 0}, {1, 1}}, mesh),
          convolution_expert("features", {{3, 0}, {3, 1}}, {8, 8})};
}

// The experts of a torus: two axes, both of which split weights.
inline std::vector<Expert> product_experts() {
  const auto by = [](const char* name, std::vector<Split> activations, std::vector<Split> weights) {
    return Expert{name, [=](const TrainingStep& step) {
                    Hand hand(step, name);
                    for (OpId id = 0; id < step.graph().op_count(); ++id) {
                      if (step.is_weight(id) && step.dims(id).size() == 2) hand.keep(id, weights);
                      if (step.is_forward_product(id)) hand.keep(id, activations);
                    }
                    return hand.take();
                  }};
  };
  return {by("data parallelism", {{0, 0}, {0, 1}}, {}),
          by("data and columns", {{0, 0}, {1, 1}}, {{1, 1}}),
          by("2-D tensor parallelism", {{0, 0}, {1, 1}}, {{0, 0}, {1, 1}})};
}

// Transformers have so many layers.
inline std::vector<Situation> situations(int layers) {
  const std::string gpt = "gpt:layers=" + std::to_string(layers) + ",vocab=8192,heads=16,";
  const auto a100 = "dgx-a100-80gb-selene:8";
  std::vector<Expert> mixture_experts = data_experts(0, 8);
  mixture_experts.push_back(
      {"expert parallelism", [](const TrainingStep& step) { return expert_parallel(step, 0); }});
  return {
      // Many tokens, few weights.
      {gpt + "hidden=1024,seq=512,batch=64", a100, {8}, 0, transformer_experts(0, 8), {"batch"}},
      // The same where memory is short, and where it is very short.
      {gpt + "hidden=1024,seq=512,batch=16",
       a100,
       {8},
       75,
       transformer_experts(0, 8),
       {"batch", "state"}},
      {gpt + "hidden=2048,seq=512,batch=32",
       a100,
       {8},
       101,
       transformer_experts(0, 8),
       {"batch", "state", "weights"},
       3},
      // Few tokens, many weights; of one sequence no other axis can be cut.
      {gpt + "hidden=2048,seq=128,batch=8",
       a100,
       {8},
       40,
       transformer_experts(0, 8),
       {"tensor", "vocabulary"}},
      {gpt + "hidden=4096,seq=2048,batch=1",
       a100,
       {8},
       0,
       megatron_experts(0),
       {"tensor", "vocabulary"}},
      // The same with long sequences: what is not in blocks is cut by positions.  The vocabulary is
      // longer than a sequence: else the loss had better be cut by positions, too.
      {gpt + "hidden=4096,seq=8192,vocab=16384,batch=1",
       a100,
       {8},
       0,
       megatron_experts(0),
       {"sequence", "tensor", "vocabulary"}},
      {"moe:layers=2,hidden=768,heads=16,experts=16,vocab=8192,seq=512,batch=32,group=2048",
       a100,
       {8},
       0,
       mixture_experts,
       {"experts"}},
      {"unet:channels=32,depth=3,image=512,batch=1",
       a100,
       {8},
       0,
       convolution_experts(),
       {"space"}},
      {"unet:channels=32,depth=3,image=128,batch=64",
       a100,
       {8},
       0,
       convolution_experts(),
       {"batch"}},
      // Large products on a torus.
      {"mlp:layers=2,width=16384,classes=16384,batch=8192",
       "tpu-v5e-pod:16",
       {4, 4},
       0,
       product_experts(),
       {"tensor"}},
  };
}

// What takes longer.
inline std::vector<Situation> large_situations() {
  return {{"wide-resnet:channels=64,width=2,image=64,batch=64",
           "dgx-a100-80gb-selene:8",
           {2, 4},
           0,
           image_experts(),
           {"features"}},
          {"wide-resnet:channels=64,width=2,image=224,batch=64",
           "dgx-a100-80gb-selene:8",
           {2, 4},
           0,
           image_experts(),
           {"batch"}}};
}

// A situation's program, prices and budget.
struct Priced {
  tessera::graph::Graph graph;
  tessera::DynamicMesh mesh;
  tessera::cost::ClusterModel model;
  std::optional<Extent> budget;

  tessera::plan::Plan plan(Annotations annotations, double time_limit = 120) const {
    tessera::plan::Options options;
    options.memory_budget = budget;
    options.annotations = std::move(annotations);
    options.solver.time_limit = time_limit;
    return tessera::plan::plan(graph, mesh, model, options);
  }
};

inline Priced price(const Situation& situation) {
  const tessera::DynamicMesh mesh{std::span<const Extent>(situation.mesh)};
  Priced priced{tessera::models::build(situation.model), mesh,
                tessera::cost::ClusterModel(tessera::cost::find_cluster(situation.cluster), mesh),
                std::nullopt};
  if (situation.budget == 0) return priced;
  const TrainingStep step(priced.graph);
  const tessera::plan::Plan by_hand =
      priced.plan(situation.experts[situation.budget_of].annotate(step));
  priced.budget = static_cast<Extent>(by_hand.memory_with_buffers * situation.budget / 100);
  return priced;
}

}  // namespace tessera_test
