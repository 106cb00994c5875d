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
// (cost/workload.hpp).  What the backward pass reads is saved, or some of it computed a second time
// (span_reruns.hpp).  A budget for all that makes the plan the best of those that keep to it:
// states, weights or activations are then cut further, where time is lost least.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/cost/workload.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/pipeline/span_program.hpp"
#include "tessera/plan/buffers.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/plan/span_reruns.hpp"
#include "tessera/solver/result.hpp"

namespace tessera::plan {

struct SpanPrice {
  Cost forward = 0, backward = 0;  // of one microbatch
  Cost weight_backward = 0;        // of the backward pass: what no gradient sent on waits for
  Cost per_step = 0;
  // What no plan of it on this mesh, nor of a longer span, takes less than for a microbatch: its
  // heavy ops, each as fast as it can be.
  Cost least_work = 0;
  // Bytes on each device.
  Extent fixed = 0;      // weights, what an optimizer remembers, sums of gradients
  Extent saved = 0;      // of a microbatch in flight: what its backward pass reads, if all is saved
  Extent given = 0;      // of a microbatch in flight: what comes into the span
  Extent transient = 0;  // the most that one microbatch has at once besides
  // What may run again in place of being saved: the more time it takes, the less is saved.  The
  // first is that nothing does, or else the only one is what was asked for.
  std::vector<Rematerialization> rematerializations;
  Wide model_flops = 0, hardware_flops = 0;  // of one microbatch, on all devices
  cost::Rate peak = 0;
  bool is_proven = false;  // that no plan keeps the stage busy for less
  // The shardings of what comes in and of what goes out, in the program's order.
  std::vector<DynamicSharding> received, sent;

  friend bool operator==(const SpanPrice&, const SpanPrice&) = default;
};

// The most that a microbatch has at once besides what is saved, where some of it is computed again.
inline Extent transient_with(const SpanPrice& price, const Rematerialization& rematerialization) {
  return saturating_add(price.transient, rematerialization.restored);
}

// What a span may take on each device, where layers like it share a stage:
//   layers * (fixed + in_flight * saved) + transient <= bytes,
// or, where all but what is given is computed again,
//   layers * (fixed + in_flight * given) + saved + transient <= bytes.
struct SpanBudget {
  std::int64_t layers = 1, in_flight = 1;
  bool recomputes = false;
  Extent bytes = 0;
};

// Of one layer's worth, what a stage has once for every layer.
inline Wide held_by_layer(const SpanPrice& price, const SpanBudget& budget) {
  return price.fixed + Wide(budget.recomputes ? price.given : price.saved) * budget.in_flight;
}
inline bool fits(const SpanPrice& price, const SpanBudget& budget) {
  const Extent once = price.transient + (budget.recomputes ? price.saved : 0);
  return held_by_layer(price, budget) * budget.layers + once <= budget.bytes;
}

struct SpanRequest {
  std::int64_t microbatches = 1;
  // What comes in, or goes out, in a sharding that is given; by number, empty for none at all.
  std::vector<std::optional<DynamicSharding>> received = {}, sent = {};
  // What comes in and what goes out that must have one sharding, whatever it is: by their numbers.
  // So the span can follow on itself.
  std::vector<std::pair<std::size_t, std::size_t>> ties = {};
  std::vector<strategy::Annotation> annotations = {};  // what else is given, of the program's ops
  std::optional<SpanBudget> budget = {};
  std::function<void(const Formulation&)> on_formulated = {};  // as plan() calls it
  solver::Options solver = {};
};

namespace detail {

// What a span keeps, and for how long.
class SpanMemory {
 public:
  SpanMemory(const pipeline::SpanProgram& span, std::int64_t microbatches)
      : span_(span),
        graph_(span.graph),
        sums_are_wide_(microbatches > 1),
        lifetimes_(buffers_of(span.graph)),
        is_saved_(SavedValues(span).where_nothing_runs_again()),
        is_summed_(span.graph.op_count()) {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) find_sums(id);
  }

  // The bytes, under a plan.
  void fill(const Plan& plan, SpanPrice& price) const {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      for (std::size_t r = 0; r < op(id).results.size(); ++r)
        add(id, r, plan.ops[id].result_bytes[r], price);
    price.transient = peak(plan);
  }

  // What no plan on so many devices can do with less of: everything cut over all of them.
  SpanPrice least(Extent devices) const {
    SpanPrice price;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      for (std::size_t r = 0; r < op(id).results.size(); ++r) {
        const Extent bytes = (graph::byte_count(op(id).results[r]) + devices - 1) / devices;
        add(id, r, bytes, price);
      }
    return price;
  }

  // The same before there is a plan, as what counts against a budget.
  std::vector<std::vector<Holding>> holdings(const SpanBudget& budget) const {
    std::vector<std::vector<Holding>> result(graph_.op_count());
    const graph::Lifetime always{0, graph_.op_count()};
    const Extent flights = checked_mul(budget.layers, budget.in_flight);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      for (std::size_t r = 0; r < op(id).results.size(); ++r) {
        Extent times = budget.layers * (is_permanent(id) ? 1 : copies_of_sum(id, r));
        if (is_given(id) && budget.recomputes) times += flights;
        if (is_saved_[id] != 0) times += budget.recomputes ? 1 : flights;
        if (is_transient(id) && times == 0)
          result[id].push_back({1, lifetimes_[id][r]});
        else
          result[id].push_back({times, always});
      }
    return result;
  }

 private:
  // A result of so many bytes, but for what is transient.
  void add(graph::OpId id, std::size_t result, Extent bytes, SpanPrice& price) const {
    if (is_permanent(id)) price.fixed += bytes;
    if (is_given(id)) price.given += bytes;
    if (is_saved_[id] != 0) price.saved += bytes;
    price.fixed += bytes * copies_of_sum(id, result);
  }

  pipeline::Phase part(graph::OpId id) const { return span_.phases[id]; }
  const graph::Op& op(graph::OpId id) const { return graph_.op(id); }

  bool is_permanent(graph::OpId id) const {
    return op(id).is_parameter && (span_.parameter_kinds[id] == pipeline::ParameterKind::state ||
                                   span_.parameter_kinds[id] == pipeline::ParameterKind::copy);
  }
  // What comes with a microbatch's forward pass.
  bool is_given(graph::OpId id) const {
    return op(id).is_parameter && !is_permanent(id) && part(id) == pipeline::Phase::forward;
  }
  // Neither there for good nor saved.  What is given and only read by the forward pass is, too: a
  // stage that recomputes keeps it as well, and is said to have it once more than it has.
  bool is_transient(graph::OpId id) const {
    const auto is_set = [](char flag) { return flag != 0; };
    return part(id) != pipeline::Phase::update && !is_permanent(id) && is_saved_[id] == 0 &&
           std::none_of(is_summed_[id].begin(), is_summed_[id].end(), is_set);
  }

  // The gradients that an op leaves to be added up.
  void find_sums(graph::OpId id) {
    is_summed_[id].assign(op(id).results.size(), 0);
    if (op(id).is_parameter || part(id) == pipeline::Phase::update) return;
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
      if (part(reader) == pipeline::Phase::update) is_summed_[id][use.result] = 1;
    });
  }
  // How much larger the sum is than the gradient; nothing where none is kept.
  Extent copies_of_sum(graph::OpId id, std::size_t result) const {
    if (is_summed_[id][result] == 0) return 0;
    const Extent element = graph::bytes_of(op(id).results[result].element);
    return sums_are_wide_ && element < 4 ? 4 / element : 1;
  }

  // Of what is transient.
  Extent peak(const Plan& plan) const {
    std::vector<Extent> change(graph_.op_count() + 1, 0);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      if (!is_transient(id)) continue;
      for (std::size_t r = 0; r < op(id).results.size(); ++r) {
        const graph::Lifetime life = lifetimes_[id][r];
        change[life.begin] += plan.ops[id].result_bytes[r];
        change[std::max(life.begin, life.end)] -= plan.ops[id].result_bytes[r];
      }
    }
    Extent now = 0, most = 0;
    for (const Extent bytes : change) most = std::max(most, now += bytes);
    return most;
  }

  const pipeline::SpanProgram& span_;
  const graph::Graph& graph_;
  bool sums_are_wide_;
  graph::Lifetimes lifetimes_;
  std::vector<char> is_saved_;
  std::vector<std::vector<char>> is_summed_;
};

// By op, whether a gradient that goes to the layers before is made of it.
inline std::vector<char> ops_waited_for(const pipeline::SpanProgram& span) {
  std::vector<char> is_waited_for(span.graph.op_count(), 0);
  for (const pipeline::BoundaryValue& boundary : span.sent)
    if (boundary.phase == pipeline::Phase::backward) is_waited_for[boundary.value.op] = 1;
  for (graph::OpId id = span.graph.op_count(); id-- > 0;)
    for (std::size_t i = 0; is_waited_for[id] != 0 && i < span.graph.operand_count(id); ++i)
      is_waited_for[span.graph.operand(id, i).op] = 1;
  return is_waited_for;
}

inline SpanTaken taken_by(const pipeline::SpanProgram& span, const Plan& plan) {
  SpanTaken taken;
  const Extent devices = plan.mesh.device_count();
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    Cost time = plan.ops[id].work;
    for (const PlannedStep& step : plan.ops[id].steps) time = saturating_add(time, step.price);
    Extent bytes = 0, least = 0;
    for (const Extent result : plan.ops[id].result_bytes) bytes += result;
    for (const graph::TensorType& type : span.graph.op(id).results)
      least += (graph::byte_count(type) + devices - 1) / devices;
    taken.time.push_back(time);
    taken.bytes.push_back(bytes);
    taken.least.push_back(least);
  }
  return taken;
}

inline void add_times(const pipeline::SpanProgram& span, const SpanTaken& taken, SpanPrice& price) {
  const std::vector<char> is_waited_for = ops_waited_for(span);
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    const Cost time = taken.time[id];
    const bool is_backward = span.phases[id] == pipeline::Phase::backward;
    Cost& part = span.phases[id] == pipeline::Phase::forward ? price.forward
                 : is_backward                               ? price.backward
                                                             : price.per_step;
    part = saturating_add(part, time);
    if (is_backward && is_waited_for[id] == 0)
      price.weight_backward = saturating_add(price.weight_backward, time);
  }
}

inline std::vector<strategy::Annotation> annotations_of(const pipeline::SpanProgram& span,
                                                        const SpanRequest& request) {
  std::vector<strategy::Annotation> annotations = request.annotations;
  const auto add = [&](const auto& wanted, const std::vector<pipeline::BoundaryValue>& boundaries) {
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (wanted[i])
        annotations.push_back(
            {boundaries[i].value, *wanted[i], 0,
             "of " + span.graph.op(boundaries[i].op).name + ", " + tessera::to_string(*wanted[i])});
  };
  add(request.received, span.received);
  add(request.sent, span.sent);
  return annotations;
}

}  // namespace detail

// SpanPrice::least_work, by what is to be solved for it.  The price of a heavy op depends on
// nothing around it, since what it reads and leaves is in memory; but where its result crosses to
// another layer, what is asked of it there may have left it dear strategies only, so there it
// counts for nothing.
inline Cost least_work(const pipeline::SpanProgram& span, const Formulation& formulation,
                       std::int64_t microbatches) {
  std::vector<char> counts(span.graph.op_count(), 0);
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id)
    counts[id] = span.graph.op(id).is_heavy && span.phases[id] != pipeline::Phase::update ? 1 : 0;
  for (const pipeline::BoundaryValue& boundary : span.sent) counts[boundary.value.op] = 0;
  Cost total = 0;
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    if (counts[id] == 0) continue;
    const auto costs = formulation.problem.costs(formulation.nodes[id][0]);
    total = saturating_add(total, *std::min_element(costs.begin(), costs.end()) / microbatches);
  }
  return total;
}

// A span on a mesh: its plan, op by op.  Ties are taken for aliases.
// Throws as plan() does.
inline Plan plan_span(const pipeline::SpanProgram& span, const DynamicMesh& mesh,
                      const cost::Prices& prices, const SpanRequest& request) {
  Options options;
  options.solver = request.solver;
  options.annotations = detail::annotations_of(span, request);
  options.on_formulated = request.on_formulated;
  for (const pipeline::Phase part : span.phases)
    options.runs.push_back(part == pipeline::Phase::update ? 1 : request.microbatches);
  if (request.budget) {
    options.memory_budget = request.budget->bytes;
    options.holdings = detail::SpanMemory(span, request.microbatches).holdings(*request.budget);
  }
  if (request.ties.empty()) return plan(span.graph, mesh, prices, options);
  graph::Graph tied = span.graph;
  for (const auto& [received, sent] : request.ties)
    tied.aliases.push_back({span.received[received].op, span.sent[sent].value});
  return plan(tied, mesh, prices, options);
}
template<cost::CostModel Model>
Plan plan_span(const pipeline::SpanProgram& span, const DynamicMesh& mesh, const Model& model,
               const SpanRequest& request) {
  return plan_span(span, mesh, *cost::prices_of(model), request);
}

// What a span takes under a plan.  `runs_again`, by op: which forward ops run a second time; empty:
// as is best.  @pre plan.has_ops()
inline SpanPrice price_of(const pipeline::SpanProgram& span, const Plan& plan,
                          std::int64_t microbatches, const std::vector<char>& runs_again = {}) {
  SpanPrice price;
  price.is_proven = plan.status == solver::Status::optimal;
  const SpanTaken taken = detail::taken_by(span, plan);
  detail::add_times(span, taken, price);
  detail::SpanMemory(span, microbatches).fill(plan, price);
  const SavedValues values(span);
  price.rematerializations =
      runs_again.empty()
          ? thinned(rematerializations_of(values, taken))
          : std::vector<Rematerialization>{given_rematerialization(values, taken, runs_again)};
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id)
    price.model_flops += cost::flops_of(span.graph.op(id));
  if (plan.utilisation) {
    price.hardware_flops = plan.utilisation->hardware_flops / microbatches;
    price.peak = plan.utilisation->peak;
  }
  const auto sharding_of = [&](graph::Value value) {
    return plan.ops[value.op].results[value.result];
  };
  for (const pipeline::BoundaryValue& boundary : span.received)
    price.received.push_back(sharding_of(boundary.value));
  for (const pipeline::BoundaryValue& boundary : span.sent)
    price.sent.push_back(sharding_of(boundary.value));
  return price;
}

}  // namespace tessera::plan
