// SPDX-License-Identifier: Apache-2.0
//
// The bodies of formulate.hpp.
#pragma once
#include "tessera/plan/formulate.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/plan/buffers.hpp"

namespace tessera::plan {

namespace detail {

// Runs what concerns one op, and names the op in what it throws for the caller's sake.
template<class Run>
void with_op(const graph::Graph& graph, graph::OpId op, Run&& run) {
  try {
    run();
  } catch (Error& error) {
    error.name_op(graph.op(op).name);
    throw;
  }
}

// The reductions that some op of the program ends in.
TESSERA_INLINE graph::ReductionSet reductions_of(const graph::Graph& graph) {
  graph::ReductionSet set = 0;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (std::size_t f = 0; f < graph.op(id).rule.factor_count(); ++f)
      if (const graph::Factor& factor = graph.op(id).rule.factor(f);
          factor.kind == graph::FactorKind::reduction)
        set = static_cast<graph::ReductionSet>(set | graph::reduction_set(factor.reduction));
  return set;
}

TESSERA_INLINE void add_annotation(const graph::Graph& graph,
                                   const strategy::Annotation& annotation,
                                   std::vector<strategy::ColumnNeeds>& needs) {
  if (!graph.has(annotation.value)) throw InvalidAnnotation(annotation, "there is no such result");
  with_op(graph, annotation.value.op, [&] {
    const Dims& dims = graph.type_of(annotation.value).dims;
    if (annotation.sharding.rank() != dims.size())
      throw InvalidAnnotation(annotation, "the tensor is " + to_string(dims));
    auto& of_op = needs[annotation.value.op].annotations;
    of_op.resize(graph.op(annotation.value.op).results.size(), nullptr);
    const strategy::Annotation*& asked = of_op[annotation.value.result];
    if (asked != nullptr && !agree(*asked, annotation))
      throw InvalidAnnotation(annotation, "there is another one, " + asked->text);
    asked = &annotation;
  });
}

// What is asked of a parameter is asked of the output in its place, and the other way round.
TESSERA_INLINE void share_annotation(const graph::Graph& graph, const graph::Alias& alias,
                                     std::vector<strategy::ColumnNeeds>& needs) {
  strategy::ColumnNeeds &parameter = needs[alias.parameter], &output = needs[alias.output.op];
  const strategy::Annotation* const of_parameter = parameter.annotation(0);
  const strategy::Annotation* const of_output = output.annotation(alias.output.result);
  if (of_parameter == nullptr && of_output != nullptr) {
    parameter.annotations.assign(1, of_output);
  } else if (of_parameter != nullptr && of_output == nullptr) {
    output.annotations.resize(graph.op(alias.output.op).results.size(), nullptr);
    output.annotations[alias.output.result] = of_parameter;
  }
}

TESSERA_INLINE std::vector<strategy::ColumnNeeds> needs_of(
    const graph::Graph& graph, std::span<const strategy::Annotation> annotations) {
  std::vector<strategy::ColumnNeeds> needs(graph.op_count());
  std::vector<cost::Workload> workloads = cost::workloads_of(graph);
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const std::size_t results = graph.op(id).results.size();
    needs[id].uses.assign(results, 0);
    needs[id].must_be_whole.assign(results, 0);
    needs[id].workload = std::move(workloads[id]);
    graph.for_each_use(id,
                       [&](graph::OpId, const graph::Use& use) { ++needs[id].uses[use.result]; });
  }
  for (const graph::Value output : graph.outputs) needs[output.op].must_be_whole[output.result] = 1;
  for (const graph::Alias& alias : graph.aliases)
    needs[alias.parameter].is_tied = needs[alias.output.op].is_tied = true;
  for (const strategy::Annotation& annotation : annotations)
    add_annotation(graph, annotation, needs);
  for (const graph::Alias& alias : graph.aliases) share_annotation(graph, alias, needs);
  return needs;
}

// All that a column depends on, as numbers: ops of equal keys have equal columns.
TESSERA_INLINE std::vector<Extent> column_key(const graph::Graph& graph, graph::OpId id,
                                              const strategy::ColumnNeeds& needs) {
  const graph::Op& op = graph.op(id);
  const graph::Rule& rule = op.rule;
  std::vector<Extent> key;
  const auto put = [&](auto number) { key.push_back(static_cast<Extent>(number)); };
  put(op.is_heavy);
  put(needs.is_tied);
  graph::for_each_number(rule, put);
  for (std::size_t i = 0; i < graph.operand_count(id); ++i)
    put(bytes_of(graph.type_of(graph.operand(id, i)).element));
  for (std::size_t r = 0; r < op.results.size(); ++r) {
    put(bytes_of(op.results[r].element));
    put(needs.uses[r]);
    put(needs.must_be_whole[r]);
    const strategy::Annotation* const asked = needs.annotation(r);
    put(asked != nullptr);
    if (asked == nullptr) continue;
    put(asked->sharding.bits());
    put(asked->open_dims);
  }
  return key;
}

// The same of what an op asks of memory, for models that give that a price.
TESSERA_INLINE void add_workload(std::vector<Extent>& key, const cost::Workload& load) {
  key.push_back(static_cast<Extent>(load.element));
  key.push_back(load.launches ? 1 : 0);
  for (const std::uint8_t passes : load.passes) key.push_back(passes);
}

class Formulator {
 public:
  Formulator(const graph::Graph& graph, cost::Resharding& resharding,
             const FormulateOptions& options)
      : graph_(graph),
        options_(options),
        mesh_(resharding.mesh()),
        prices_work_(resharding.prices().prices_work()),
        maker_(resharding, reductions_of(graph), pruning_of(options), options.checkpoint) {
    if (!options.runs.empty() && options.runs.size() != graph.op_count())
      throw InvalidArgument("runs of " + std::to_string(options.runs.size()) +
                            " ops for a program of " + std::to_string(graph.op_count()));
    if (!options.holdings.empty() && options.holdings.size() != graph.op_count())
      throw InvalidArgument("holdings of " + std::to_string(options.holdings.size()) +
                            " ops for a program of " + std::to_string(graph.op_count()));
  }

  Formulation run() {
    result_.problem.usage_limit = options_.memory_budget;
    result_.lifetimes = buffers_of(graph_);
    for (graph::OpId id = 0; id < options_.holdings.size(); ++id)
      for (std::size_t r = 0; r < options_.holdings[id].size(); ++r)
        result_.lifetimes[id][r] = options_.holdings[id][r].life;
    make_columns();
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      with_op(graph_, id, [&] { add_nodes(id); });
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      with_op(graph_, id, [&] {
        for (std::size_t i = 0; i < graph_.operand_count(id); ++i) add_operand_edge(id, i);
      });
    for (const graph::Alias& alias : graph_.aliases) add_alias_edge(alias);
    return std::move(result_);
  }

 private:
  using Number = strategy::PriceTable::Number;

  static strategy::Pruning pruning_of(const FormulateOptions& options) {
    if (!options.prune) return strategy::Pruning::none;
    if (!options.memory_budget) return strategy::Pruning::full;
    return options.prune_buffers ? strategy::Pruning::within_memory
                                 : strategy::Pruning::within_buffers;
  }

  void check() const {
    if (options_.checkpoint) options_.checkpoint();
  }

  std::int64_t runs_of(graph::OpId id) const {
    return options_.runs.empty() ? 1 : options_.runs[id];
  }
  Extent times_of(graph::OpId id, std::size_t result) const {
    return options_.holdings.empty() ? 1 : options_.holdings[id][result].times;
  }
  static Cost repeated(Cost price, std::int64_t runs) {
    Cost product = 0;
    if (!is_finite(price)) return infinite;
    if (__builtin_mul_overflow(price, runs, &product) || !is_finite(product))
      throw Overflow("its price, counted " + std::to_string(runs) +
                     " times, does not fit in 64 bits");
    return product;
  }

  void make_columns() {
    const std::vector<strategy::ColumnNeeds> needs = needs_of(graph_, options_.annotations);
    std::map<std::vector<Extent>, graph::OpId> first_with;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      std::vector<Extent> key = column_key(graph_, id, needs[id]);
      if (prices_work_) add_workload(key, needs[id].workload);
      const auto [at, is_new] = first_with.emplace(std::move(key), id);
      alike_.push_back(at->second);
      if (is_new)
        with_op(graph_, id, [&] { make_column(id, needs[id]); });
      else
        result_.columns.push_back(result_.columns[at->second]);
    }
  }

  void make_column(graph::OpId id, const strategy::ColumnNeeds& needs) {
    const strategy::Annotation* last = nullptr;
    for (std::size_t r = 0; r < needs.annotations.size(); ++r) {
      if (needs.annotations[r] == nullptr) continue;
      last = needs.annotations[r];
      if (!fits(*last, mesh_, graph_.op(id).results[r].dims))
        throw InvalidAnnotation(*last, to_string(graph_.op(id).results[r].dims) +
                                           " can not be cut so on mesh " + to_string(mesh_));
      if (needs.must_be_whole[r] != 0 && !last->sharding.partial_axes().empty())
        throw InvalidAnnotation(*last, "an output is never partial");
    }
    auto column = std::make_shared<const strategy::Column>(maker_.make(graph_, id, needs));
    if (column->empty() && last != nullptr)
      throw InvalidAnnotation(*last, "no way to run the op has such results");
    result_.columns.push_back(std::move(column));
  }

  void add_nodes(graph::OpId id) {
    const strategy::Column& column = *result_.columns[id];
    std::vector<solver::NodeId> nodes;
    std::vector<Cost> costs(column.size());
    std::vector<solver::Usage> usages(column.size());
    const std::size_t results = graph_.op(id).results.size();
    for (std::size_t r = 0; r < std::max<std::size_t>(results, 1); ++r) {
      for (std::size_t s = 0; s < column.size(); ++s) {
        costs[s] = r == 0 ? repeated(column[s].price, runs_of(id)) : 0;
        usages[s] = r < results ? checked_mul(column[s].result_bytes[r], times_of(id, r)) : 0;
      }
      const graph::Lifetime life = r < results ? result_.lifetimes[id][r] : graph::Lifetime{};
      nodes.push_back(result_.problem.add_node(
          costs, usages,
          {static_cast<std::int64_t>(life.begin), static_cast<std::int64_t>(life.end)}));
      if (r > 0) add_tie(nodes[0], nodes[r], column.size());
    }
    result_.nodes.push_back(std::move(nodes));
  }

  // Both take the same strategy.
  void add_tie(solver::NodeId a, solver::NodeId b, std::size_t size) {
    costs_.assign(size * size, infinite);
    for (std::size_t s = 0; s < size; ++s) costs_[s * size + s] = 0;
    add_edge(a, b);
  }

  solver::EdgeId add_edge(solver::NodeId a, solver::NodeId b) {
    const solver::NodeId nodes[] = {a, b};
    return result_.problem.add_edge(nodes, costs_);
  }

  void add_operand_edge(graph::OpId reader, std::size_t i) {
    const graph::Value value = graph_.operand(reader, i);
    check();
    // What the costs depend on: the two columns, which of their tensors it is, and how often.
    const std::array<std::size_t, 5> key{alike_[value.op], value.result, alike_[reader], i,
                                         static_cast<std::size_t>(runs_of(reader))};
    const solver::NodeId nodes[] = {result_.nodes[value.op][0], result_.nodes[reader][0]};
    const auto [at, is_new] = edges_.try_emplace(key, std::nullopt);
    if (!is_new) {
      if (at->second) result_.problem.add_edge(nodes, *at->second);
      return;
    }
    price_operand(value, reader, i);
    if (const std::int64_t runs = runs_of(reader); runs != 1)
      for (Cost& cost : costs_) cost = repeated(cost, runs);
    if (std::any_of(costs_.begin(), costs_.end(), [](Cost cost) { return cost != 0; }))
      at->second = result_.problem.edge_costs_id(add_edge(nodes[0], nodes[1]));
  }

  // Of every pair of strategies, into costs_.
  void price_operand(graph::Value value, graph::OpId reader, std::size_t i) {
    auto& table = maker_.tables().of(graph_.type_of(value));
    const strategy::Column& rows = *result_.columns[value.op];
    const strategy::Column& columns = *result_.columns[reader];
    std::vector<Number> to;
    for (const strategy::Choice& choice : columns)
      to.push_back(table.number_of(choice.operands[i]));
    costs_.resize(rows.size() * columns.size());
    // Rows that hand on the same sharding are equal.
    std::map<Number, const Cost*> row_of;
    Cost* row = costs_.data();
    for (const strategy::Choice& choice : rows) {
      check();
      const Number from = table.number_of(choice.results[value.result]);
      const auto [at, is_new] = row_of.emplace(from, row);
      if (is_new)
        for (std::size_t s = 0; s < to.size(); ++s) row[s] = table.price(from, to[s]);
      else
        std::copy_n(at->second, to.size(), row);
      row += to.size();
    }
  }

  void add_alias_edge(const graph::Alias& alias) {
    if (alias.output.op == alias.parameter) return;  // the parameter itself is handed through
    costs_.clear();
    bool restricts = false, is_possible = false;
    for (const strategy::Choice& parameter : *result_.columns[alias.parameter])
      for (const strategy::Choice& output : *result_.columns[alias.output.op]) {
        const bool agree = parameter.results[0] == output.results[alias.output.result];
        costs_.push_back(agree ? 0 : infinite);
        restricts = restricts || !agree;
        is_possible = is_possible || agree;
      }
    if (!is_possible) refuse_alias(alias);
    if (restricts) add_edge(result_.nodes[alias.parameter][0], result_.nodes[alias.output.op][0]);
  }

  // Without annotations a parameter and its output always have a sharding in common.
  [[noreturn]] void refuse_alias(const graph::Alias& alias) const {
    for (const strategy::Annotation& annotation : options_.annotations)
      if (annotation.value == alias.output || annotation.value == graph::Value{alias.parameter, 0})
        with_op(graph_, annotation.value.op, [&] {
          throw InvalidAnnotation(annotation, "parameter " + graph_.op(alias.parameter).name +
                                                  " and the output in its place share a sharding");
        });
    throw InternalError("an aliased output has no sharding in common with its parameter");
  }

  const graph::Graph& graph_;
  const FormulateOptions& options_;
  DynamicMesh mesh_;
  bool prices_work_ = false;
  strategy::ColumnMaker maker_;
  std::vector<graph::OpId> alike_;  // by op: the first one that has the same column
  // By what its costs depend on: what an edge costs, if anything.
  std::map<std::array<std::size_t, 5>, std::optional<solver::CostsId>> edges_;
  std::vector<Cost> costs_;  // of the edge at hand
  Formulation result_;
};

}  // namespace detail

TESSERA_INLINE Formulation formulate(const graph::Graph& graph, cost::Resharding& resharding,
                                     const FormulateOptions& options) {
  return detail::Formulator(graph, resharding, options).run();
}

}  // namespace tessera::plan
