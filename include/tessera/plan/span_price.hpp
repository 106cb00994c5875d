// SPDX-License-Identifier: Apache-2.0
//
// What a span of layers takes on a mesh: time, memory, and the plan behind it.
//
// The plan is the one that keeps a stage busy for the least time in one step: all its microbatches,
// and once what is done once.  Gradients are added up by each device for itself, in single
// precision where there is more than one microbatch, and reduced at the end; so their reduction is
// part of `per_step`, like the update.
//
// Memory is counted by what must be there at once: weights and the optimizer's state, sums of
// gradients; for each microbatch in flight what the backward pass will read of the forward pass;
// and the most that one microbatch has besides.  Only what reaches memory counts
// (cost/workload.hpp). Either everything that is read again is kept, or only what comes into the
// span, and the rest is computed a second time.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/cost/workload.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/pipeline/span_program.hpp"
#include "tessera/plan/buffers.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::plan {

struct SpanPrice {
  Cost forward = 0, backward = 0;  // of one microbatch
  Cost per_step = 0;
  // Bytes on each device.
  Extent fixed = 0;      // weights, what an optimizer remembers, sums of gradients
  Extent saved = 0;      // of a microbatch in flight: what its backward pass reads
  Extent given = 0;      // of a microbatch in flight: what comes into the span
  Extent transient = 0;  // the most that one microbatch has at once besides
  // Of one microbatch, on all devices; what the model needs, and of that the forward passes.
  Wide model_flops = 0, forward_flops = 0, hardware_flops = 0;
  cost::Rate peak = 0;
  bool is_proven = false;  // that no plan keeps the stage busy for less
  // The shardings of what comes in and of what goes out, in the program's order.
  std::vector<DynamicSharding> received, sent;

  friend bool operator==(const SpanPrice&, const SpanPrice&) = default;
};

struct SpanRequest {
  std::int64_t microbatches = 1;
  // What comes in, or goes out, in a sharding that is given; by number, empty for none at all.
  std::vector<std::optional<DynamicSharding>> received = {}, sent = {};
  // What comes in and what goes out that must have one sharding, whatever it is: by their numbers.
  // So the span can follow on itself.
  std::vector<std::pair<std::size_t, std::size_t>> ties = {};
  std::vector<strategy::Annotation> annotations = {};  // what else is given, of the program's ops
  solver::Options solver = {};
};

namespace detail {

// What a span keeps, and for how long, under a plan.
class SpanMemory {
 public:
  SpanMemory(const pipeline::SpanProgram& span, const Plan& plan, std::int64_t microbatches)
      : span_(span),
        graph_(span.graph),
        plan_(plan),
        sums_are_wide_(microbatches > 1),
        reaches_(cost::ops_in_memory(span.graph)),
        is_saved_(span.graph.op_count(), 0),
        is_seen_(span.graph.op_count(), 0) {}

  void fill(SpanPrice& price) {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (part(id) == pipeline::OpPart::backward) save_operands(id);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      if (is_permanent(id)) price.fixed += bytes_of(id);
      if (is_given(id)) price.given += bytes_of(id);
      if (is_saved_[id] != 0) price.saved += bytes_of(id);
      price.fixed += sum_bytes(id);
    }
    price.transient = peak();
  }

 private:
  pipeline::OpPart part(graph::OpId id) const { return span_.parts[id]; }
  const graph::Op& op(graph::OpId id) const { return graph_.op(id); }

  bool is_permanent(graph::OpId id) const {
    return op(id).is_parameter &&
           (span_.held[id] == pipeline::Held::state || span_.held[id] == pipeline::Held::copy);
  }
  // What comes with a microbatch's forward pass.
  bool is_given(graph::OpId id) const {
    return op(id).is_parameter && !is_permanent(id) && part(id) == pipeline::OpPart::forward;
  }
  Extent bytes_of(graph::OpId id) const {
    Extent total = 0;
    for (const Extent bytes : plan_.ops[id].result_bytes) total += bytes;
    return total;
  }

  // What a backward op reads of the forward pass; what is computed where it is read is read itself.
  void save_operands(graph::OpId id) {
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::OpId from = graph_.operand(id, i).op;
      if (part(from) != pipeline::OpPart::forward || is_permanent(from) || is_seen_[from] != 0)
        continue;
      is_seen_[from] = 1;
      if (op(from).is_parameter || (reaches_[from] != 0 && !is_view(from)))
        is_saved_[from] = 1;
      else
        save_operands(from);
    }
  }
  bool is_view(graph::OpId id) const { return cost::detail::is_view(op(id)); }

  // Of the gradients that an op leaves to be added up.
  Extent sum_bytes(graph::OpId id) const {
    if (op(id).is_parameter || part(id) == pipeline::OpPart::update) return 0;
    std::vector<char> is_summed(op(id).results.size(), 0);
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
      if (part(reader) == pipeline::OpPart::update) is_summed[use.result] = 1;
    });
    Extent total = 0;
    for (std::size_t r = 0; r < is_summed.size(); ++r) {
      if (is_summed[r] == 0) continue;
      const Extent element = graph::bytes_of(op(id).results[r].element);
      const Extent bytes = plan_.ops[id].result_bytes[r];
      total += sums_are_wide_ ? bytes / element * std::max<Extent>(element, 4) : bytes;
    }
    return total;
  }

  // Of what is neither there for good nor saved.
  Extent peak() const {
    const graph::Lifetimes lifetimes = buffers_of(graph_);
    std::vector<Extent> change(graph_.op_count() + 1, 0);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const bool counts = part(id) != pipeline::OpPart::update && !is_permanent(id) &&
                          !is_given(id) && is_saved_[id] == 0 && sum_bytes(id) == 0;
      if (!counts) continue;
      for (std::size_t r = 0; r < op(id).results.size(); ++r) {
        change[lifetimes[id][r].begin] += plan_.ops[id].result_bytes[r];
        change[std::max(lifetimes[id][r].begin, lifetimes[id][r].end)] -=
            plan_.ops[id].result_bytes[r];
      }
    }
    Extent now = 0, most = 0;
    for (const Extent bytes : change) most = std::max(most, now += bytes);
    return most;
  }

  const pipeline::SpanProgram& span_;
  const graph::Graph& graph_;
  const Plan& plan_;
  bool sums_are_wide_;
  std::vector<char> reaches_, is_saved_, is_seen_;
};

inline void add_times(const pipeline::SpanProgram& span, const Plan& plan, SpanPrice& price) {
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    Cost time = plan.ops[id].work;
    for (const PlannedStep& step : plan.ops[id].steps) time = saturating_add(time, step.price);
    Cost& part = span.parts[id] == pipeline::OpPart::forward    ? price.forward
                 : span.parts[id] == pipeline::OpPart::backward ? price.backward
                                                                : price.per_step;
    part = saturating_add(part, time);
  }
}

inline std::vector<strategy::Annotation> annotations_of(const pipeline::SpanProgram& span,
                                                        const SpanRequest& request) {
  std::vector<strategy::Annotation> annotations = request.annotations;
  const auto add = [&](const auto& wanted, const std::vector<pipeline::Crossing>& crossings) {
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (wanted[i])
        annotations.push_back(
            {crossings[i].value, *wanted[i], 0,
             "of " + span.graph.op(crossings[i].op).name + ", " + tessera::to_string(*wanted[i])});
  };
  add(request.received, span.received);
  add(request.sent, span.sent);
  return annotations;
}

}  // namespace detail

// A span on a mesh: its plan, op by op.  Ties are taken for aliases.
// Throws as plan() does.
template<cost::CostModel Model, MeshLike M>
Plan plan_span(const pipeline::SpanProgram& span, const M& mesh, const Model& model,
               const SpanRequest& request) {
  Options options;
  options.solver = request.solver;
  options.annotations = detail::annotations_of(span, request);
  for (const pipeline::OpPart part : span.parts)
    options.runs.push_back(part == pipeline::OpPart::update ? 1 : request.microbatches);
  if (request.ties.empty()) return plan(span.graph, mesh, model, options);
  graph::Graph tied = span.graph;
  for (const auto& [received, sent] : request.ties)
    tied.aliases.push_back({span.received[received].op, span.sent[sent].value});
  return plan(tied, mesh, model, options);
}

// What a span takes under a plan.  @pre plan.has_ops()
inline SpanPrice price_of(const pipeline::SpanProgram& span, const Plan& plan,
                          std::int64_t microbatches) {
  SpanPrice price;
  price.is_proven = plan.status == solver::Status::optimal;
  detail::add_times(span, plan, price);
  detail::SpanMemory(span, plan, microbatches).fill(price);
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    const Wide flops = cost::flops_of(span.graph.op(id));
    price.model_flops += flops;
    if (span.parts[id] == pipeline::OpPart::forward) price.forward_flops += flops;
  }
  if (plan.utilisation) {
    price.hardware_flops = plan.utilisation->hardware_flops / microbatches;
    price.peak = plan.utilisation->peak;
  }
  const auto sharding_of = [&](graph::Value value) {
    return plan.ops[value.op].results[value.result];
  };
  for (const pipeline::Crossing& crossing : span.received)
    price.received.push_back(sharding_of(crossing.value));
  for (const pipeline::Crossing& crossing : span.sent)
    price.sent.push_back(sharding_of(crossing.value));
  return price;
}

}  // namespace tessera::plan
