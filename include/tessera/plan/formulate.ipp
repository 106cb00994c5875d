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
#include "tessera/plan/memory.hpp"
#include "tessera/strategy/column.hpp"
#include "tessera/strategy/price_table.hpp"

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

// The annotation of a parameter holds for the output in its place, and the other way round.
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

// A formulation in the making.
struct Formulating {
  const graph::Graph& graph;
  const FormulateOptions& options;
  cost::Resharding& resharding;
  strategy::ColumnMaker maker;
  Formulation result;
  std::vector<graph::OpId> first_equal = {};  // by op: the first one that has the same column
};

TESSERA_INLINE strategy::Pruning pruning_of(const FormulateOptions& options) {
  if (!options.prune) return strategy::Pruning::none;
  if (!options.memory_budget) return strategy::Pruning::full;
  return options.prune_buffers ? strategy::Pruning::within_memory
                               : strategy::Pruning::within_buffers;
}

TESSERA_INLINE void check_sizes(const graph::Graph& graph, const FormulateOptions& options) {
  const auto check = [&](const char* what, std::size_t size) {
    if (size != 0 && size != graph.op_count())
      throw InvalidArgument(std::string(what) + " of " + std::to_string(size) +
                            " ops for a program of " + std::to_string(graph.op_count()));
  };
  check("runs", options.runs.size());
  check("holdings", options.holdings.size());
}

TESSERA_INLINE graph::Lifetimes lifetimes_of(const graph::Graph& graph,
                                             const FormulateOptions& options) {
  graph::Lifetimes lifetimes = buffers_of(graph);
  for (graph::OpId id = 0; id < options.holdings.size(); ++id)
    for (std::size_t r = 0; r < options.holdings[id].size(); ++r)
      lifetimes[id][r] = options.holdings[id][r].life;
  return lifetimes;
}

TESSERA_INLINE void check_time(const FormulateOptions& options) {
  if (options.checkpoint) options.checkpoint();
}

TESSERA_INLINE std::int64_t runs_of(const FormulateOptions& options, graph::OpId id) {
  return options.runs.empty() ? 1 : options.runs[id];
}

TESSERA_INLINE Cost repeated(Cost price, std::int64_t runs) {
  Cost product = 0;
  if (!is_finite(price)) return infinite;
  if (__builtin_mul_overflow(price, runs, &product) || !is_finite(product))
    throw Overflow("its price, counted " + std::to_string(runs) +
                   " times, does not fit in 64 bits");
  return product;
}

// --- Columns
// ---------------------------------------------------------------------------------------

// The last annotation of an op's results; null where there is none.  Throws InvalidAnnotation where
// a result can not be cut as it is asked for.
TESSERA_INLINE const strategy::Annotation* checked_annotation(const graph::Op& op,
                                                              const strategy::ColumnNeeds& needs,
                                                              const DynamicMesh& mesh) {
  const strategy::Annotation* last = nullptr;
  for (std::size_t r = 0; r < needs.annotations.size(); ++r) {
    if (needs.annotations[r] == nullptr) continue;
    last = needs.annotations[r];
    if (!fits(*last, mesh, op.results[r].dims))
      throw InvalidAnnotation(
          *last, to_string(op.results[r].dims) + " can not be cut so on mesh " + to_string(mesh));
    if (needs.must_be_whole[r] != 0 && !last->sharding.partial_axes().empty())
      throw InvalidAnnotation(*last, "an output is never partial");
  }
  return last;
}

TESSERA_INLINE void make_column(Formulating& f, graph::OpId id,
                                const strategy::ColumnNeeds& needs) {
  const strategy::Annotation* const asked =
      checked_annotation(f.graph.op(id), needs, f.resharding.mesh());
  auto column = std::make_shared<const strategy::Column>(f.maker.make(f.graph, id, needs));
  if (column->empty() && asked != nullptr)
    throw InvalidAnnotation(*asked, "no way to run the op has such results");
  f.result.columns.push_back(std::move(column));
}

TESSERA_INLINE void make_columns(Formulating& f) {
  const std::vector<strategy::ColumnNeeds> needs = needs_of(f.graph, f.options.annotations);
  std::map<std::vector<Extent>, graph::OpId> first_with;
  for (graph::OpId id = 0; id < f.graph.op_count(); ++id) {
    std::vector<Extent> key = column_key(f.graph, id, needs[id]);
    if (f.resharding.prices().prices_work()) add_workload(key, needs[id].workload);
    const auto [at, is_new] = first_with.emplace(std::move(key), id);
    f.first_equal.push_back(at->second);
    if (is_new)
      with_op(f.graph, id, [&] { make_column(f, id, needs[id]); });
    else
      f.result.columns.push_back(f.result.columns[at->second]);
  }
}

// --- Nodes
// -----------------------------------------------------------------------------------------

TESSERA_INLINE solver::EdgeId connect(solver::Problem& problem, solver::NodeId a, solver::NodeId b,
                                      const std::vector<Cost>& costs) {
  const solver::NodeId nodes[] = {a, b};
  return problem.add_edge(nodes, costs);
}

// Both take the same strategy.
TESSERA_INLINE void add_tie(solver::Problem& problem, solver::NodeId a, solver::NodeId b,
                            std::size_t size) {
  std::vector<Cost> costs(size * size, infinite);
  for (std::size_t s = 0; s < size; ++s) costs[s * size + s] = 0;
  connect(problem, a, b, costs);
}

// The node of one result; of an op without results that of the op.
TESSERA_INLINE solver::NodeId add_result_node(Formulating& f, graph::OpId id, std::size_t r) {
  const strategy::Column& column = *f.result.columns[id];
  const bool is_result = r < f.graph.op(id).results.size();
  const Extent times = !is_result || f.options.holdings.empty() ? 1
                                                                : f.options.holdings[id][r].times;
  std::vector<Cost> costs(column.size(), 0);
  std::vector<solver::Usage> usages(column.size(), 0);
  for (std::size_t s = 0; s < column.size(); ++s) {
    if (r == 0) costs[s] = repeated(column[s].price, runs_of(f.options, id));
    if (is_result) usages[s] = checked_mul(column[s].result_bytes[r], times);
  }
  const graph::Lifetime life = is_result ? f.result.lifetimes[id][r] : graph::Lifetime{};
  return f.result.problem.add_node(
      costs, usages, {static_cast<std::int64_t>(life.begin), static_cast<std::int64_t>(life.end)});
}

TESSERA_INLINE void add_nodes(Formulating& f, graph::OpId id) {
  std::vector<solver::NodeId> nodes;
  const std::size_t count = std::max<std::size_t>(f.graph.op(id).results.size(), 1);
  for (std::size_t r = 0; r < count; ++r) {
    nodes.push_back(add_result_node(f, id, r));
    if (r > 0) add_tie(f.result.problem, nodes[0], nodes[r], f.result.columns[id]->size());
  }
  f.result.nodes.push_back(std::move(nodes));
}

// --- Edges
// -----------------------------------------------------------------------------------------

// All that an operand's costs depend on: the two columns, which of their tensors it is, and how
// often it is read; and the costs, if there are any.
using EdgeKey = std::array<std::size_t, 5>;
using KnownEdges = std::map<EdgeKey, std::optional<solver::CostsId>>;

// The costs of an operand, of every pair of strategies.
TESSERA_INLINE std::vector<Cost> operand_costs(Formulating& f, graph::Value value,
                                               graph::OpId reader, std::size_t i) {
  using Number = strategy::PriceTable::Number;
  strategy::PriceTable& table = f.maker.tables().of(f.graph.type_of(value));
  const strategy::Column& rows = *f.result.columns[value.op];
  const strategy::Column& columns = *f.result.columns[reader];
  std::vector<Number> to;
  for (const strategy::Choice& choice : columns) to.push_back(table.number_of(choice.operands[i]));
  std::vector<Cost> costs(rows.size() * columns.size());
  std::map<Number, const Cost*> row_of;  // rows of the same output sharding are equal
  Cost* row = costs.data();
  for (const strategy::Choice& choice : rows) {
    check_time(f.options);
    const Number from = table.number_of(choice.results[value.result]);
    const auto [at, is_new] = row_of.emplace(from, row);
    if (is_new)
      for (std::size_t s = 0; s < to.size(); ++s) row[s] = table.price(from, to[s]);
    else
      std::copy_n(at->second, to.size(), row);
    row += to.size();
  }
  if (const std::int64_t runs = runs_of(f.options, reader); runs != 1)
    for (Cost& cost : costs) cost = repeated(cost, runs);
  return costs;
}

TESSERA_INLINE void add_operand_edge(Formulating& f, KnownEdges& known, graph::OpId reader,
                                     std::size_t i) {
  const graph::Value value = f.graph.operand(reader, i);
  check_time(f.options);
  const EdgeKey key{f.first_equal[value.op], value.result, f.first_equal[reader], i,
                    static_cast<std::size_t>(runs_of(f.options, reader))};
  const solver::NodeId nodes[] = {f.result.nodes[value.op][0], f.result.nodes[reader][0]};
  const auto [at, is_new] = known.try_emplace(key, std::nullopt);
  if (!is_new) {
    if (at->second) f.result.problem.add_edge(nodes, *at->second);
    return;
  }
  const std::vector<Cost> costs = operand_costs(f, value, reader, i);
  if (std::any_of(costs.begin(), costs.end(), [](Cost cost) { return cost != 0; }))
    at->second = f.result.problem.edge_costs_id(f.result.problem.add_edge(nodes, costs));
}

// Without annotations a parameter and its output always have a sharding in common.
[[noreturn]] TESSERA_INLINE void refuse_alias(const Formulating& f, const graph::Alias& alias) {
  for (const strategy::Annotation& annotation : f.options.annotations)
    if (annotation.value == alias.output || annotation.value == graph::Value{alias.parameter, 0})
      with_op(f.graph, annotation.value.op, [&] {
        throw InvalidAnnotation(annotation, "parameter " + f.graph.op(alias.parameter).name +
                                                " and the output in its place share a sharding");
      });
  throw InternalError("an aliased output has no sharding in common with its parameter");
}

TESSERA_INLINE void add_alias_edge(Formulating& f, const graph::Alias& alias) {
  if (alias.output.op == alias.parameter) return;  // the parameter itself is an output
  std::vector<Cost> costs;
  bool restricts = false, is_possible = false;
  for (const strategy::Choice& parameter : *f.result.columns[alias.parameter])
    for (const strategy::Choice& output : *f.result.columns[alias.output.op]) {
      const bool agree = parameter.results[0] == output.results[alias.output.result];
      costs.push_back(agree ? 0 : infinite);
      restricts = restricts || !agree;
      is_possible = is_possible || agree;
    }
  if (!is_possible) refuse_alias(f, alias);
  if (restricts)
    connect(f.result.problem, f.result.nodes[alias.parameter][0],
            f.result.nodes[alias.output.op][0], costs);
}

}  // namespace detail

TESSERA_INLINE Formulation formulate(const graph::Graph& graph, cost::Resharding& resharding,
                                     const FormulateOptions& options) {
  detail::check_sizes(graph, options);
  detail::Formulating f{graph,
                        options,
                        resharding,
                        strategy::ColumnMaker(resharding, detail::reductions_of(graph),
                                              detail::pruning_of(options), options.checkpoint),
                        Formulation(),
                        {}};
  f.result.problem.usage_limit = options.memory_budget;
  f.result.lifetimes = detail::lifetimes_of(graph, options);
  detail::make_columns(f);
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    detail::with_op(graph, id, [&] { detail::add_nodes(f, id); });
  detail::KnownEdges known;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    detail::with_op(graph, id, [&] {
      for (std::size_t i = 0; i < graph.operand_count(id); ++i)
        detail::add_operand_edge(f, known, id, i);
    });
  for (const graph::Alias& alias : graph.aliases) detail::add_alias_edge(f, alias);
  return std::move(f.result);
}

TESSERA_INLINE solver::Problem with_replaced_costs(const solver::Problem& problem,
                                                   const std::function<Cost()>& cost) {
  solver::Problem result;
  for (solver::NodeId v = 0; v < problem.node_count(); ++v) {
    std::vector<Cost> costs;
    for (const Cost old : problem.costs(v)) costs.push_back(is_finite(old) ? cost() : infinite);
    result.add_node(costs, problem.usages(v), problem.interval(v));
  }
  std::map<solver::CostsId, std::optional<solver::CostsId>> known;  // nothing: forbids nothing
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
    const auto nodes = problem.edge_nodes(e);
    const auto [at, is_new] = known.try_emplace(problem.edge_costs_id(e));
    if (!is_new) {
      if (at->second) result.add_edge(nodes, *at->second);
      continue;
    }
    std::vector<Cost> costs;
    for (const Cost old : problem.edge_costs(e)) costs.push_back(is_finite(old) ? 0 : infinite);
    if (std::find(costs.begin(), costs.end(), infinite) != costs.end())
      at->second = result.edge_costs_id(result.add_edge(nodes, costs));
  }
  return result;
}

}  // namespace tessera::plan
