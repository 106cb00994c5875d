// SPDX-License-Identifier: Apache-2.0
// What experts do by hand, written down as shardings that a plan must keep: of parameters and of
// the products that read them.  What an expert leaves open, the solver completes, so that each is
// priced at its best.  And how to tell from a plan which of these it resembles.
#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/cost/workload.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/pipeline/layers.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/strategy/annotation.hpp"

namespace tessera_test {

using tessera::Axis;
using tessera::DynamicSharding;
using tessera::Extent;
using tessera::graph::Graph;
using tessera::graph::Opcode;
using tessera::graph::OpId;
using tessera::graph::Value;
using tessera::plan::MemoryKind;
using Annotations = std::vector<tessera::strategy::Annotation>;

// A dim, and the axis that splits it.
struct Split {
  std::size_t dim = 0;
  Axis axis = 0;
};

// What of a training step experts speak of.
class TrainingStep {
 public:
  explicit TrainingStep(const Graph& graph)
      : graph_(graph),
        kinds_(tessera::plan::memory_kinds_of(graph)),
        forward_end_(tessera::pipeline::forward_end(graph)) {}

  const Graph& graph() const noexcept { return graph_; }
  OpId forward_end() const noexcept { return forward_end_; }
  bool is_weight(OpId id) const { return kinds_[id] == MemoryKind::weight; }
  bool is_state(OpId id) const { return kinds_[id] == MemoryKind::state; }
  bool is_data(OpId id) const { return kinds_[id] == MemoryKind::input; }
  const std::string& name(OpId id) const { return graph_.op(id).name; }
  const tessera::Dims& dims(OpId id) const { return graph_.op(id).results[0].dims; }
  bool is_forward_product(OpId id) const { return id < forward_end_ && graph_.op(id).is_heavy; }

  // The weight whose state this is, by name.
  std::string_view weight_of(OpId state) const {
    const std::string_view text = name(state);
    return text.substr(0, text.rfind('.'));
  }
  // The weight that a forward product reads, if any; converted or not.
  std::optional<OpId> weight_read(OpId product) const {
    for (std::size_t i = 0; i < graph_.operand_count(product); ++i) {
      OpId from = graph_.operand(product, i).op;
      while (graph_.op(from).opcode == Opcode::convert) from = graph_.operand(from, 0).op;
      if (is_weight(from)) return from;
    }
    return std::nullopt;
  }

 private:
  const Graph& graph_;
  std::vector<MemoryKind> kinds_;
  OpId forward_end_;
};

inline bool ends_in(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

// --- Plans by hand -------------------------------------------------------------------------------

class Hand {
 public:
  Hand(const TrainingStep& step, std::string expert) : step_(step), expert_(std::move(expert)) {}

  void keep(OpId id, std::initializer_list<Split> splits) { keep(id, std::vector<Split>(splits)); }
  void keep(OpId id, const std::vector<Split>& splits) {
    DynamicSharding sharding = DynamicSharding::replicated(step_.dims(id).size());
    for (const Split split : splits) sharding = sharding.with_split(split.dim, split.axis);
    annotations_.push_back({{id, 0}, sharding, 0, expert_ + " of " + step_.name(id)});
  }
  Annotations take() { return std::move(annotations_); }

 private:
  const TrainingStep& step_;
  std::string expert_;
  Annotations annotations_;
};

// How an expert splits a weight, by its name and dims; and its optimizer's state alike.
using WeightRule = std::function<std::vector<Split>(OpId weight)>;

inline std::vector<Split> first_divisible(const TrainingStep& step, OpId id, Axis axis,
                                          Extent ways) {
  for (std::size_t d = 0; d < step.dims(id).size(); ++d)
    if (step.dims(id)[d] % ways == 0) return {{d, axis}};
  return {};
}

// Data, and what products make of it, split by `batch` splits of dim 0.
inline void split_batch(const TrainingStep& step, Axis axis, Hand& hand) {
  std::optional<Extent> batch;
  for (OpId id = 0; id < step.graph().op_count(); ++id) {
    const bool is_data = step.graph().op(id).is_parameter && step.is_data(id);
    if (is_data) batch = step.dims(id)[0];
    const auto weight = step.is_forward_product(id) ? step.weight_read(id) : std::nullopt;
    const bool is_activation =
        step.is_forward_product(id) && step.dims(id)[0] == batch &&
        !(weight && step.name(*weight).find(".experts.") != std::string::npos);
    if (is_data || is_activation) hand.keep(id, {{0, axis}});
  }
}

// The axis's devices have shares of the batch; ZeRO's stages split the optimizer's state (1), the
// gradients (2), the weights (3) as well.  Stage 0 is plain data parallelism.
inline Annotations zero(const TrainingStep& step, int stage, Axis axis, Extent ways) {
  Hand hand(step, stage == 0 ? "data parallelism" : "ZeRO-" + std::to_string(stage));
  split_batch(step, axis, hand);
  for (OpId id = 0; id < step.graph().op_count(); ++id) {
    const auto split = [&](bool is_split) {
      hand.keep(id, is_split ? first_divisible(step, id, axis, ways) : std::vector<Split>{});
    };
    if (step.is_weight(id)) split(stage >= 3);
    if (step.is_state(id)) split(stage >= 1);
    // A gradient as it comes: all-reduced before stage 2, and from then on as the state needs it.
    const bool is_gradient = id >= step.forward_end() && step.graph().op(id).is_heavy &&
                             tessera::plan::memory_kinds_of(step.graph())[id] ==
                                 MemoryKind::gradient;
    if (is_gradient && stage < 2) split(false);
  }
  return hand.take();
}

struct Megatron {
  bool splits_sequence = false;
  bool splits_vocabulary = false;
};

// Transformers: the first product of a block split by columns, the second by rows.
inline Annotations megatron(const TrainingStep& step, const Megatron& how, Axis axis) {
  Hand hand(step, "Megatron");
  const auto split_of = [&](std::string_view weight) -> std::vector<Split> {
    if (ends_in(weight, {".query.weight", ".key.weight", ".value.weight", ".up.weight"}))
      return {{1, axis}};
    if (ends_in(weight, {".query.bias", ".key.bias", ".value.bias", ".up.bias",
                         ".attention.output.weight", ".down.weight"}))
      return {{0, axis}};
    if (weight == "embedding" && how.splits_vocabulary) return {{0, axis}};
    return {};
  };
  for (OpId id = 0; id < step.graph().op_count(); ++id) {
    if (step.is_weight(id)) hand.keep(id, split_of(step.name(id)));
    if (step.is_state(id) && !step.dims(id).empty()) hand.keep(id, split_of(step.weight_of(id)));
    if (step.graph().op(id).is_parameter && step.is_data(id)) hand.keep(id, {});
    if (!step.is_forward_product(id)) continue;
    const auto weight = step.weight_read(id);
    if (!weight) continue;
    const std::string& name = step.name(*weight);
    if (ends_in(name, {".query.weight", ".key.weight", ".value.weight", ".up.weight"}))
      hand.keep(id, {{2, axis}});
    if (ends_in(name, {".attention.output.weight", ".down.weight"}))
      hand.keep(id, how.splits_sequence ? std::vector<Split>{{1, axis}} : std::vector<Split>{});
    if (name == "embedding")
      hand.keep(id, how.splits_vocabulary ? std::vector<Split>{{2, axis}} : std::vector<Split>{});
  }
  return hand.take();
}

// Whether a tensor, by name, is of the experts themselves and not of the gate in front of them.
inline bool is_of_experts(std::string_view name) {
  return name.find(".experts.") != std::string_view::npos &&
         name.find(".gate") == std::string_view::npos;
}

// GShard: shares of the batch everywhere but in the experts, of which each device has some.
inline Annotations expert_parallel(const TrainingStep& step, Axis axis) {
  Hand hand(step, "expert parallelism");
  split_batch(step, axis, hand);
  for (OpId id = 0; id < step.graph().op_count(); ++id) {
    const bool is_theirs = is_of_experts(step.name(id));
    if (step.is_weight(id) || step.is_state(id))
      hand.keep(id, is_theirs ? std::vector<Split>{{0, axis}} : std::vector<Split>{});
    if (!step.is_forward_product(id)) continue;
    const auto weight = step.weight_read(id);
    if (weight && is_of_experts(step.name(*weight))) hand.keep(id, {{0, axis}});
  }
  return hand.take();
}

// Convolutions: what every one hands on is split in these dims, where it can be; weights are whole,
// or split by output features where those are.
inline Annotations convolutional(const TrainingStep& step, std::string name,
                                 const std::vector<Split>& splits,
                                 const std::vector<Extent>& mesh) {
  Hand hand(step, std::move(name));
  for (OpId id = 0; id < step.graph().op_count(); ++id) {
    const auto keep = [&](bool is_weight) {
      std::vector<Split> kept;
      for (const Split split : splits)
        if ((!is_weight || split.dim == 3) && step.dims(id)[split.dim] % mesh[split.axis] == 0)
          kept.push_back(split);
      hand.keep(id, kept);
    };
    if (step.graph().op(id).opcode == Opcode::convolution && step.is_forward_product(id))
      keep(false);
    if (step.is_weight(id) && step.dims(id).size() == 4) keep(true);
  }
  return hand.take();
}

// --- What a plan resembles -----------------------------------------------------------------------

// The words: "batch" (most of the forward work is on shares of the batch), "tensor" (most of it
// reads a share of its weight), "sequence" (most of what is as large as the hidden state is split
// by positions), "vocabulary", "state" (the optimizer's is split where products read whole
// weights), "weights" (those are stored in shares, too), "experts", "space", "features".
class Resemblance {
 public:
  Resemblance(const TrainingStep& step, const tessera::plan::Plan& plan)
      : step_(step), plan_(plan) {}

  std::set<std::string> words() const {
    std::set<std::string> result;
    const auto say = [&](const char* word, bool holds) {
      if (holds) result.insert(word);
    };
    say("batch", most([&](OpId id) { return is_data_dim(id) && splits(id, 0); }, all_));
    say("tensor", most([&](OpId id) { return reads_share(id); },
                       [&](OpId id) { return step_.weight_read(id) && !reads_experts(id); }));
    say("experts",
        most([&](OpId id) { return splits(id, 0); }, [&](OpId id) { return reads_experts(id); }));
    const auto is_image = [&](OpId id) {
      return step_.graph().op(id).opcode == Opcode::convolution;
    };
    say("space", most([&](OpId id) { return splits(id, 1) || splits(id, 2); }, is_image));
    say("features", most([&](OpId id) { return splits(id, 3); }, is_image));
    say("vocabulary", most([&](OpId id) { return splits(id, 2); },
                           [&](OpId id) { return id + 1 == step_.forward_end(); }) &&
                          stored_in_shares("embedding"));
    say("sequence", most_of_hidden_by_positions());
    const auto [weights, used, states] = shares();
    say("state", states < 0.5 * used);
    say("weights", weights < 0.5 * used);
    return result;
  }

 private:
  bool splits(OpId id, std::size_t dim) const {
    const DynamicSharding sharding = plan_.ops[id].results[0];
    return dim < sharding.rank() && !sharding.axes(dim).empty();
  }
  bool is_data_dim(OpId id) const {
    for (OpId p = 0; p < step_.graph().op_count(); ++p)
      if (step_.graph().op(p).is_parameter && step_.is_data(p) &&
          step_.dims(p)[0] == step_.dims(id)[0])
        return true;
    return false;
  }
  bool reads_experts(OpId product) const {
    const auto weight = step_.weight_read(product);
    return weight && is_of_experts(step_.name(*weight));
  }
  bool reads_share(OpId product) const {
    for (std::size_t i = 0; i < step_.graph().operand_count(product); ++i) {
      OpId from = step_.graph().operand(product, i).op;
      while (step_.graph().op(from).opcode == Opcode::convert)
        from = step_.graph().operand(from, 0).op;
      if (step_.is_weight(from)) return !plan_.ops[product].operands[i].split_axes().empty();
    }
    return false;
  }
  // Whether what holds of a forward product holds of most of their work.
  template<class Holds, class Among>
  bool most(Holds&& holds, Among&& among) const {
    tessera::Wide yes = 0, all = 0;
    for (OpId id = 0; id < step_.forward_end(); ++id) {
      if (!step_.graph().op(id).is_heavy || !among(id)) continue;
      const tessera::Wide flops = tessera::cost::flops_of(step_.graph().op(id));
      all += flops;
      if (holds(id)) yes += flops;
    }
    return 2 * yes > all;
  }
  bool stored_in_shares(std::string_view name) const {
    for (OpId id = 0; id < step_.graph().op_count(); ++id)
      if (step_.name(id) == name) return splits(id, 0);
    return false;
  }
  // Of what blocks add to the hidden state; a norm may come before or after it is gathered again.
  bool most_of_hidden_by_positions() const {
    std::size_t yes = 0, all = 0;
    for (OpId id = 0; id < step_.forward_end(); ++id) {
      const auto weight = step_.graph().op(id).is_heavy ? step_.weight_read(id) : std::nullopt;
      if (!weight || !(step_.name(*weight).ends_with("output.weight") ||
                       step_.name(*weight).ends_with("down.weight")))
        continue;
      ++all;
      if (splits(id, 1)) ++yes;
    }
    return 2 * yes > all;
  }
  // What a device has of all weights in store, of all as products read them, of all states.
  struct Shares {
    double weights = 1, used = 1, states = 1;
  };
  Shares shares() const {
    double stored = 0, used = 0, states = 0, all_weights = 0, all_states = 0, all_used = 0;
    for (OpId id = 0; id < step_.graph().op_count(); ++id) {
      const auto whole = static_cast<double>(byte_count(step_.graph().op(id).results[0]));
      if (step_.is_weight(id)) {
        all_weights += whole;
        stored += static_cast<double>(plan_.ops[id].result_bytes[0]);
      }
      if (step_.is_state(id)) {
        all_states += whole;
        states += static_cast<double>(plan_.ops[id].result_bytes[0]);
      }
      if (id >= step_.forward_end() || !step_.graph().op(id).is_heavy) continue;
      const auto weight = step_.weight_read(id);
      if (!weight) continue;
      for (std::size_t i = 0; i < step_.graph().operand_count(id); ++i) {
        OpId from = step_.graph().operand(id, i).op;
        while (step_.graph().op(from).opcode == Opcode::convert)
          from = step_.graph().operand(from, 0).op;
        if (from != *weight) continue;
        const auto bytes = static_cast<double>(byte_count(step_.graph().op(from).results[0]));
        all_used += bytes;
        used += bytes /
                static_cast<double>(extent_of(plan_.mesh, plan_.ops[id].operands[i].split_axes()));
      }
    }
    return {stored / std::max(all_weights, 1.0), used / std::max(all_used, 1.0),
            states / std::max(all_states, 1.0)};
  }

  static constexpr auto all_ = [](OpId) { return true; };

  const TrainingStep& step_;
  const tessera::plan::Plan& plan_;
};

inline std::set<std::string> resemblance(const TrainingStep& step,
                                         const tessera::plan::Plan& plan) {
  return Resemblance(step, plan).words();
}

}  // namespace tessera_test
