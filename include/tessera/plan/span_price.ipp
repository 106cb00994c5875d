// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of span_price.hpp.
#pragma once
#include "tessera/plan/span_price.hpp"

#include <algorithm>

#include "tessera/core/integer.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/plan/memory.hpp"

namespace tessera::plan {
namespace detail {

// The memory of a span: which results stay, and for how long.
class SpanMemory {
 public:
  SpanMemory(const pipeline::SpanProgram& span, std::int64_t microbatches)
      : span_(span),
        graph_(span.graph),
        sums_are_wide_(microbatches > 1),
        lifetimes_(buffers_of(span.graph)),
        is_saved_(SavedValues(span).where_nothing_is_rematerialized()),
        is_summed_(span.graph.op_count()) {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) find_sums(id);
  }

  // Sets the bytes under a plan.
  void fill(const Plan& plan, SpanPrice& price) const {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      for (std::size_t r = 0; r < op(id).results.size(); ++r)
        add(id, r, plan.ops[id].result_bytes[r], price);
    price.transient = peak(plan);
  }

  // The least bytes of any plan on so many devices: everything split over all of them.
  SpanPrice least(Extent devices) const {
    SpanPrice price;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      for (std::size_t r = 0; r < op(id).results.size(); ++r) {
        const Extent bytes = (graph::byte_count(op(id).results[r]) + devices - 1) / devices;
        add(id, r, bytes, price);
      }
    return price;
  }

  // The bytes that count against a budget, before there is a plan.
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
  // Adds a result of so many bytes, unless it is transient.
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
  // Whether it comes with a microbatch's forward pass.
  bool is_given(graph::OpId id) const {
    return op(id).is_parameter && !is_permanent(id) && part(id) == pipeline::Phase::forward;
  }
  // Neither permanent nor saved.  Values that are given and read by the forward pass only are
  // transient, too: a stage that rematerializes keeps them as well, and is counted as having them
  // once more than it has.
  bool is_transient(graph::OpId id) const {
    const auto is_set = [](char flag) { return flag != 0; };
    return part(id) != pipeline::Phase::update && !is_permanent(id) && is_saved_[id] == 0 &&
           std::none_of(is_summed_[id].begin(), is_summed_[id].end(), is_set);
  }

  // The gradients of an op that are summed over the microbatches.
  void find_sums(graph::OpId id) {
    is_summed_[id].assign(op(id).results.size(), 0);
    if (op(id).is_parameter || part(id) == pipeline::Phase::update) return;
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
      if (part(reader) == pipeline::Phase::update) is_summed_[id][use.result] = 1;
    });
  }
  // How many times larger the sum is than the gradient; 0 where there is no sum.
  Extent copies_of_sum(graph::OpId id, std::size_t result) const {
    if (is_summed_[id][result] == 0) return 0;
    const Extent element = graph::bytes_of(op(id).results[result].element);
    return sums_are_wide_ && element < 4 ? 4 / element : 1;
  }

  // Of transient values.
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

TESSERA_INLINE OpCosts costs_of(const pipeline::SpanProgram& span, const Plan& plan) {
  OpCosts costs;
  const Extent devices = plan.mesh.device_count();
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    Cost time = plan.ops[id].work;
    for (const PlannedStep& step : plan.ops[id].steps) time = saturating_add(time, step.price);
    Extent bytes = 0, least = 0;
    for (const Extent result : plan.ops[id].result_bytes) bytes += result;
    for (const graph::TensorType& type : span.graph.op(id).results)
      least += (graph::byte_count(type) + devices - 1) / devices;
    costs.time.push_back(time);
    costs.bytes.push_back(bytes);
    costs.least.push_back(least);
  }
  return costs;
}

TESSERA_INLINE void add_times(const pipeline::SpanProgram& span, const OpCosts& costs,
                              SpanPrice& price) {
  const std::vector<char> is_waited_for = pipeline::ops_before_sent_gradients(span);
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
    const Cost time = costs.time[id];
    const bool is_backward = span.phases[id] == pipeline::Phase::backward;
    Cost& part = span.phases[id] == pipeline::Phase::forward ? price.forward
                 : is_backward                               ? price.backward
                                                             : price.per_step;
    part = saturating_add(part, time);
    if (is_backward && is_waited_for[id] == 0)
      price.weight_backward = saturating_add(price.weight_backward, time);
  }
}

TESSERA_INLINE std::vector<strategy::Annotation> annotations_of(const pipeline::SpanProgram& span,
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

TESSERA_INLINE void add_flops(const pipeline::SpanProgram& span, const Plan& plan,
                              std::int64_t microbatches, SpanPrice& price) {
  for (graph::OpId id = 0; id < span.graph.op_count(); ++id)
    price.model_flops += cost::flops_of(span.graph.op(id));
  if (!plan.utilisation) return;
  price.hardware_flops = plan.utilisation->hardware_flops / microbatches;
  price.peak = plan.utilisation->peak;
}

TESSERA_INLINE std::vector<DynamicSharding> shardings_of(
    const std::vector<pipeline::BoundaryValue>& boundaries, const Plan& plan) {
  std::vector<DynamicSharding> shardings;
  for (const pipeline::BoundaryValue& boundary : boundaries)
    shardings.push_back(plan.ops[boundary.value.op].results[boundary.value.result]);
  return shardings;
}

}  // namespace detail

TESSERA_INLINE Cost least_work(const pipeline::SpanProgram& span, const Formulation& formulation,
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

TESSERA_INLINE Plan plan_span(const pipeline::SpanProgram& span, const DynamicMesh& mesh,
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

TESSERA_INLINE SpanPrice price_of(const pipeline::SpanProgram& span, const Plan& plan,
                                  std::int64_t microbatches,
                                  const std::vector<char>& rematerialized) {
  SpanPrice price;
  price.is_proven = plan.status == solver::Status::optimal;
  const detail::OpCosts costs = detail::costs_of(span, plan);
  detail::add_times(span, costs, price);
  detail::SpanMemory(span, microbatches).fill(plan, price);
  const detail::SavedValues values(span);
  price.rematerializations =
      rematerialized.empty()
          ? detail::thinned(detail::rematerializations_of(values, costs))
          : std::vector{detail::given_rematerialization(values, costs, rematerialized)};
  detail::add_flops(span, plan, microbatches, price);
  price.received = detail::shardings_of(span.received, plan);
  price.sent = detail::shardings_of(span.sent, plan);
  return price;
}

TESSERA_INLINE SpanPrice least_memory(const pipeline::SpanProgram& span, Extent devices,
                                      std::int64_t microbatches) {
  return detail::SpanMemory(span, microbatches).least(devices);
}

}  // namespace tessera::plan
