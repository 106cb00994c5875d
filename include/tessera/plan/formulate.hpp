// SPDX-License-Identifier: Apache-2.0
//
// A program on a mesh under a cost model, as a 0-1 program.
//
// One node per op, its strategies the op's column; a further node for each further result, so that
// every result has a lifetime of its own, tied to the first.  One edge per operand, whose costs are
// the reshardings between what is produced and what is needed.  A parameter and the output that
// aliases it are tied: they share one sharding.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tessera/cost/resharding.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/strategy/column.hpp"

namespace tessera::plan {

struct Formulation {
  solver::Problem problem;
  std::vector<strategy::Column> columns;           // by op
  std::vector<std::vector<solver::NodeId>> nodes;  // by op, then by result; the first decides
  graph::Lifetimes lifetimes;
};

struct FormulateOptions {
  std::optional<Extent> memory_budget;  // bytes per device
  // Off: every strategy and every placement takes part, also those that can not be in a cheapest
  // plan unless another plan costs the same.
  bool prune = true;
};

namespace detail {

// The reductions that some op of the program ends in.
inline graph::ReductionSet reductions_of(const graph::Graph& graph) {
  graph::ReductionSet set = 0;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (std::size_t f = 0; f < graph.op(id).rule.factor_count(); ++f)
      if (const graph::Factor& factor = graph.op(id).rule.factor(f);
          factor.kind == graph::FactorKind::reduction)
        set = static_cast<graph::ReductionSet>(set | graph::reduction_set(factor.reduction));
  return set;
}

inline std::vector<strategy::ColumnNeeds> needs_of(const graph::Graph& graph) {
  std::vector<strategy::ColumnNeeds> needs(graph.op_count());
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const std::size_t results = graph.op(id).results.size();
    needs[id].uses.assign(results, 0);
    needs[id].must_be_whole.assign(results, 0);
    graph.for_each_use(id,
                       [&](graph::OpId, const graph::Use& use) { ++needs[id].uses[use.result]; });
  }
  for (const graph::Value output : graph.outputs) needs[output.op].must_be_whole[output.result] = 1;
  for (const graph::Alias& alias : graph.aliases)
    needs[alias.parameter].is_tied = needs[alias.output.op].is_tied = true;
  return needs;
}

template<cost::CostModel Model, MeshLike M>
class Formulator {
 public:
  Formulator(const graph::Graph& graph, cost::Resharding<Model, M>& resharding,
             const FormulateOptions& options)
      : graph_(graph), resharding_(resharding), options_(options) {}

  Formulation run() {
    result_.problem.usage_limit = options_.memory_budget;
    result_.lifetimes = graph::lifetimes_of(graph_);
    make_columns();
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) add_nodes(id);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i) add_operand_edge(id, i);
    for (const graph::Alias& alias : graph_.aliases) add_alias_edge(alias);
    return std::move(result_);
  }

 private:
  void make_columns() {
    strategy::ColumnMaker<Model, M> maker(resharding_, reductions_of(graph_), options_.prune);
    const std::vector<strategy::ColumnNeeds> needs = needs_of(graph_);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      result_.columns.push_back(maker.make(graph_, id, needs[id]));
  }

  void add_nodes(graph::OpId id) {
    const strategy::Column& column = result_.columns[id];
    std::vector<solver::NodeId> nodes;
    std::vector<Cost> costs(column.size());
    std::vector<solver::Usage> usages(column.size());
    const std::size_t results = graph_.op(id).results.size();
    for (std::size_t r = 0; r < std::max<std::size_t>(results, 1); ++r) {
      for (std::size_t s = 0; s < column.size(); ++s) {
        costs[s] = r == 0 ? column[s].price : 0;
        usages[s] = r < results ? column[s].result_bytes[r] : 0;
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
    std::vector<Cost> costs(size * size, infinite);
    for (std::size_t s = 0; s < size; ++s) costs[s * size + s] = 0;
    const solver::NodeId nodes[] = {a, b};
    result_.problem.add_edge(nodes, costs);
  }

  void add_operand_edge(graph::OpId reader, std::size_t i) {
    const graph::Value value = graph_.operand(reader, i);
    auto& tensor = resharding_.of(graph_.type_of(value));
    add_edge(value.op, reader, [&](const strategy::Choice& from, const strategy::Choice& to) {
      return tensor.price(from.results[value.result], to.operands[i]);
    });
  }

  void add_alias_edge(const graph::Alias& alias) {
    if (alias.output.op == alias.parameter) return;  // the parameter itself is handed through
    add_edge(alias.parameter, alias.output.op,
             [&](const strategy::Choice& parameter, const strategy::Choice& output) {
               return parameter.results[0] == output.results[alias.output.result] ? 0 : infinite;
             });
  }

  template<class Price>
  void add_edge(graph::OpId from, graph::OpId to, Price&& price) {
    const strategy::Column& rows = result_.columns[from];
    const strategy::Column& columns = result_.columns[to];
    std::vector<Cost> costs;
    costs.reserve(rows.size() * columns.size());
    bool any = false;
    for (const strategy::Choice& row : rows)
      for (const strategy::Choice& column : columns) {
        costs.push_back(price(row, column));
        any = any || costs.back() != 0;
      }
    if (!any) return;  // nothing depends on this pair
    const solver::NodeId nodes[] = {result_.nodes[from][0], result_.nodes[to][0]};
    result_.problem.add_edge(nodes, costs);
  }

  const graph::Graph& graph_;
  cost::Resharding<Model, M>& resharding_;
  const FormulateOptions& options_;
  Formulation result_;
};

}  // namespace detail

template<cost::CostModel Model, MeshLike M>
Formulation formulate(const graph::Graph& graph, cost::Resharding<Model, M>& resharding,
                      const FormulateOptions& options = {}) {
  return detail::Formulator<Model, M>(graph, resharding, options).run();
}

}  // namespace tessera::plan
