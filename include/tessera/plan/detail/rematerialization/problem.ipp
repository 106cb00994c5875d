// SPDX-License-Identifier: Apache-2.0
//
// The bodies of problem.hpp.
#pragma once
#include "tessera/plan/detail/rematerialization/problem.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "tessera/plan/memory.hpp"

namespace tessera::plan::detail {

using Retention = RematerializationProblem::Retention;
using RetentionKind = Retention::Kind;

// All that the problem is made of.  `all` is the program in which every candidate runs again;
// lifetimes and the ends of first reads are of its ops.
struct RematerializationParts {
  const graph::Graph& graph;
  const Formulation& formulation;
  const Candidates& candidates;
  RematerializationMode mode;
  std::vector<char> owns;  // by op: whether its results take memory of their own
  RematerializedProgram all;
  graph::Lifetimes lifetimes;
  std::vector<std::size_t> end_of_first_reads;  // until when ops that run once read it
};

// --- Time
// ------------------------------------------------------------------------------------------

// By op of the program in which every candidate runs again: until when first runs read it.
TESSERA_INLINE std::vector<std::size_t> ends_of_first_reads(const RematerializedProgram& program,
                                                            const std::vector<char>& owns) {
  const graph::Graph& all = program.graph;
  std::vector<std::size_t> end(all.op_count()), result(all.op_count());
  std::vector<char> is_output(all.op_count(), 0);
  for (const graph::Value output : all.outputs) is_output[output.op] = 1;
  for (graph::OpId id = all.op_count(); id-- > 0;) {
    end[id] = result[id] = is_output[id] != 0 ? all.op_count() : id + 1;
    all.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
      if (use.is_next) return;
      const graph::OpId origin = program.origin[reader];
      const std::size_t until = owns[origin] != 0 ? reader + 1 : end[reader];
      end[id] = std::max(end[id], until);
      if (program.first[origin] == reader) result[id] = std::max(result[id], until);
    });
  }
  return result;
}

// The time for which a tensor is held only for ops that run again; empty for candidates themselves.
TESSERA_INLINE graph::Lifetime extension_of(const RematerializationParts& parts, graph::OpId id) {
  const graph::Op& op = parts.graph.op(id);
  const graph::OpId first = parts.all.first[id];
  if (op.is_parameter || op.results.size() != 1 || parts.owns[id] == 0 ||
      parts.candidates.may_run[id] != 0 || id >= parts.candidates.forward_end)
    return {};
  const graph::Lifetime life = parts.lifetimes[first][0];
  return {std::min(std::max(life.begin, parts.end_of_first_reads[first]), life.end), life.end};
}

TESSERA_INLINE solver::Interval interval_of(graph::Lifetime life) {
  return {static_cast<std::int64_t>(life.begin), static_cast<std::int64_t>(life.end)};
}

// --- Nodes
// -----------------------------------------------------------------------------------------

// The formulation's nodes, in the time of the program in which every candidate runs again.
TESSERA_INLINE void add_first_nodes(const RematerializationParts& parts, solver::Problem& result) {
  const solver::Problem& problem = parts.formulation.problem;
  std::vector<graph::Lifetime> lives(problem.node_count());
  for (graph::OpId id = 0; id < parts.graph.op_count(); ++id)
    for (std::size_t r = 0; r < parts.graph.op(id).results.size(); ++r) {
      graph::Lifetime life = parts.lifetimes[parts.all.first[id]][r];
      if (const graph::Lifetime extension = extension_of(parts, id); !extension.empty())
        life.end = extension.begin;
      lives[parts.formulation.nodes[id][r]] = life;
    }
  for (solver::NodeId v = 0; v < problem.node_count(); ++v)
    result.add_node(problem.costs(v), problem.usages(v), interval_of(lives[v]));
}

// Adds the edge, where some pair has a cost.
TESSERA_INLINE void add_costs(solver::Problem& problem, solver::NodeId a, solver::NodeId b,
                              const std::vector<Cost>& costs) {
  const solver::NodeId nodes[] = {a, b};
  if (std::any_of(costs.begin(), costs.end(), [](Cost c) { return c != 0; }))
    problem.add_edge(nodes, costs);
}

// One strategy for each output sharding.
TESSERA_INLINE std::vector<std::uint32_t> representatives(const strategy::Column& column) {
  std::vector<std::uint32_t> result;
  for (std::uint32_t s = 0; s < column.size(); ++s)
    if (std::none_of(result.begin(), result.end(), [&](std::uint32_t other) {
          return column[other].results[0] == column[s].results[0];
        }))
      result.push_back(s);
  return result;
}

TESSERA_INLINE std::vector<Retention> retentions_of(const strategy::Column& column, bool may_run,
                                                    RematerializationMode mode) {
  std::vector<Retention> result{{RetentionKind::absent, 0}};
  if (!may_run || mode != RematerializationMode::full)
    for (const std::uint32_t strategy : representatives(column))
      result.push_back({RetentionKind::kept, strategy});
  if (may_run && mode != RematerializationMode::none)
    for (std::uint32_t s = 0; s < column.size(); ++s)
      result.push_back({RetentionKind::recomputed, s});
  return result;
}

// A tensor is kept in its output sharding.
TESSERA_INLINE void tie_kept(solver::Problem& problem, solver::NodeId first,
                             const RematerializationProblem::BackwardNode& later,
                             const strategy::Column& column) {
  std::vector<Cost> costs;
  for (const strategy::Choice& choice : column)
    for (const Retention retention : later.retentions)
      costs.push_back(retention.kind == RetentionKind::kept &&
                              column[retention.strategy].results[0] != choice.results[0]
                          ? infinite
                          : 0);
  add_costs(problem, first, later.node, costs);
}

// A kept tensor takes memory also from its last forward reader on.
TESSERA_INLINE std::optional<solver::NodeId> add_wait(
    solver::Problem& problem, const RematerializationProblem::BackwardNode& later,
    const strategy::Column& column, graph::Lifetime gap) {
  if (gap.empty()) return std::nullopt;
  std::vector<solver::Usage> usages;
  for (const Retention retention : later.retentions)
    usages.push_back(
        retention.kind == RetentionKind::kept ? column[retention.strategy].result_bytes[0] : 0);
  const std::vector<Cost> free(usages.size(), 0);
  const solver::NodeId wait = problem.add_node(free, usages, interval_of(gap));
  std::vector<Cost> tie(usages.size() * usages.size(), infinite);
  for (std::size_t f = 0; f < usages.size(); ++f) tie[f * usages.size() + f] = 0;
  add_costs(problem, later.node, wait, tie);
  return wait;
}

// The node of the value that the backward pass reads, where there is one.
TESSERA_INLINE void add_later(const RematerializationParts& parts, graph::OpId id,
                              RematerializationProblem& result) {
  const bool may_run = parts.candidates.may_run[id] != 0;
  const graph::Lifetime extension = extension_of(parts, id);
  if (!may_run && extension.empty()) return;
  const strategy::Column& column = *parts.formulation.columns[id];
  RematerializationProblem::BackwardNode later;
  later.retentions = retentions_of(column, may_run, parts.mode);
  std::vector<Cost> costs;
  std::vector<solver::Usage> usages;
  for (const auto [kind, strategy] : later.retentions) {
    costs.push_back(kind == RetentionKind::recomputed ? column[strategy].price : 0);
    usages.push_back(kind == RetentionKind::absent ? 0 : column[strategy].result_bytes[0]);
  }
  const graph::Lifetime life = may_run ? parts.lifetimes[parts.all.second[id]][0] : extension;
  later.node = result.problem.add_node(costs, usages, interval_of(life));
  tie_kept(result.problem, parts.formulation.nodes[id][0], later, column);
  if (may_run && parts.owns[id] != 0)
    later.wait = add_wait(result.problem, later, column,
                          {parts.lifetimes[parts.all.first[id]][0].end, life.begin});
  result.later[id] = std::move(later);
}

// --- Edges
// -----------------------------------------------------------------------------------------

// Costs between an op and a reader of it, by these two.
using EdgeCosts = std::map<std::pair<graph::OpId, graph::OpId>, std::vector<Cost>>;

TESSERA_INLINE bool is_concerned(const Candidates& candidates, graph::OpId from,
                                 graph::OpId reader) {
  return reader < candidates.forward_end ? candidates.may_run[reader] != 0
                                         : candidates.may_run[from] != 0;
}

// By first node of an op; the number of ops for other nodes.
TESSERA_INLINE std::vector<graph::OpId> ops_of_nodes(const RematerializationParts& parts) {
  std::vector<graph::OpId> result(parts.formulation.problem.node_count(), parts.graph.op_count());
  for (graph::OpId id = 0; id < parts.graph.op_count(); ++id)
    result[parts.formulation.nodes[id][0]] = id;
  return result;
}

// Copies edges, but for those into the backward part from candidates; and returns the costs of
// those and of edges into candidates.
TESSERA_INLINE EdgeCosts copy_edges(const RematerializationParts& parts, solver::Problem& result) {
  const Formulation& formulation = parts.formulation;
  EdgeCosts concerned;
  for (graph::OpId reader = 0; reader < parts.graph.op_count(); ++reader)
    for (std::size_t i = 0; i < parts.graph.operand_count(reader); ++i)
      if (const graph::OpId from = parts.graph.operand(reader, i).op;
          is_concerned(parts.candidates, from, reader))
        concerned[{from, reader}].assign(
            formulation.columns[from]->size() * formulation.columns[reader]->size(), 0);
  const std::vector<graph::OpId> op_of = ops_of_nodes(parts);
  const solver::Problem& problem = formulation.problem;
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
    const auto nodes = problem.edge_nodes(e);
    const auto costs = problem.edge_costs(e);
    const auto found = nodes.size() == 2 ? concerned.find({op_of[nodes[0]], op_of[nodes[1]]})
                                         : concerned.end();
    if (found != concerned.end())
      for (std::size_t i = 0; i < costs.size(); ++i)
        found->second[i] = saturating_add(found->second[i], costs[i]);
    if (found == concerned.end() || found->first.second < parts.candidates.forward_end)
      result.add_edge(nodes, costs);
  }
  return concerned;
}

// Every strategy of a column, in the form of a node's retentions.
TESSERA_INLINE std::vector<Retention> all_of(const strategy::Column& column, RetentionKind kind) {
  std::vector<Retention> result;
  for (std::uint32_t s = 0; s < column.size(); ++s) result.push_back({kind, s});
  return result;
}

// From the value of `from` that the backward pass reads, to a backward op or to an op that runs
// again.
TESSERA_INLINE void add_later_edge(const RematerializationParts& parts, graph::OpId from,
                                   graph::OpId reader, const std::vector<Cost>& forward,
                                   RematerializationProblem& result) {
  const strategy::Column& column = *parts.formulation.columns[reader];
  const auto &source = result.later[from], &target = result.later[reader];
  const bool is_second = reader < parts.candidates.forward_end;
  const std::vector<Retention> rows =
      source ? source->retentions : all_of(*parts.formulation.columns[from], RetentionKind::kept);
  const std::vector<Retention> columns = is_second ? target->retentions
                                                   : all_of(column, RetentionKind::recomputed);
  // A view or a fused op's result is kept as long as its operands are.
  const auto cost_of = [&](Retention row, Retention to) {
    if (to.kind == RetentionKind::recomputed)
      return row.kind == RetentionKind::absent
                 ? infinite
                 : forward[row.strategy * column.size() + to.strategy];
    const bool is_impossible = to.kind == RetentionKind::kept && parts.owns[reader] == 0 &&
                               row.kind != RetentionKind::kept;
    return is_impossible ? infinite : Cost{0};
  };
  std::vector<Cost> costs;
  for (const Retention row : rows)
    for (const Retention to : columns) costs.push_back(cost_of(row, to));
  add_costs(result.problem, source ? source->node : parts.formulation.nodes[from][0],
            is_second ? target->node : parts.formulation.nodes[reader][0], costs);
}

TESSERA_INLINE solver::Assignment moved(const RematerializationProblem& from,
                                        const solver::Assignment& assignment,
                                        const RematerializationProblem& to) {
  solver::Assignment result = assignment;
  for (std::size_t id = 0; id < to.later.size(); ++id) {
    if (!to.later[id]) continue;
    const RematerializationProblem::BackwardNode &old = *from.later[id], &later = *to.later[id];
    const auto at = std::find(later.retentions.begin(), later.retentions.end(),
                              old.retentions[assignment[old.node]]);
    result[later.node] = static_cast<std::uint32_t>(at - later.retentions.begin());
    if (later.wait) result[*later.wait] = result[later.node];
  }
  return result;
}

TESSERA_INLINE RematerializationProblem formulate_rematerialization(
    const graph::Graph& graph, const Formulation& formulation, const Candidates& candidates,
    const std::vector<char>& in_memory, RematerializationMode mode) {
  RematerializationParts parts{graph,
                               formulation,
                               candidates,
                               mode,
                               owners_of(graph, in_memory),
                               rematerialized_program(graph, candidates, candidates.may_run),
                               {},
                               {}};
  std::vector<char> in_memory_of_all;
  for (const graph::OpId origin : parts.all.origin) in_memory_of_all.push_back(in_memory[origin]);
  parts.lifetimes = buffers_of(parts.all.graph, in_memory_of_all);
  parts.end_of_first_reads = ends_of_first_reads(parts.all, parts.owns);
  RematerializationProblem result;
  result.later.resize(graph.op_count());
  result.problem.usage_limit = formulation.problem.usage_limit;
  result.problem.name = formulation.problem.name;
  add_first_nodes(parts, result.problem);
  for (graph::OpId id = 0; id < candidates.forward_end; ++id) add_later(parts, id, result);
  for (const auto& [ends, costs] : copy_edges(parts, result.problem))
    add_later_edge(parts, ends.first, ends.second, costs, result);
  result.all = std::move(parts.all);
  return result;
}

// The buffers of the program in which every candidate runs again: those of an op that runs again
// are there where it does.
class RematerializationBuffers {
 public:
  using Retention = RematerializationProblem::Retention;

  RematerializationBuffers(const Formulation& formulation, const Candidates& runs,
                           const RematerializationProblem& rerun, const std::vector<char>& owns,
                           const Timeline& timeline)
      : formulation_(formulation),
        runs_(runs),
        rerun_(rerun),
        program_(rerun.all),
        owns_(owns),
        timeline_(timeline) {}

  std::vector<BufferUse> run() {
    for (graph::OpId id = 0; id < program_.graph.op_count(); ++id) {
      const graph::OpId origin = program_.origin[id];
      const ReshardingEnd to = is_second(id) ? end_of_later(origin, false) : end_of_first(origin);
      const std::size_t before = uses_.size();
      for (std::size_t i = 0; i < program_.graph.operand_count(id); ++i) add_operand(id, i, to);
      add_result_uses(uses_, program_.graph, timeline_, id, owns_[origin] != 0, to);
      if (owns_[origin] == 0 && !is_second(id) && rerun_.later[origin]) hold_longer(id, before);
    }
    return std::move(uses_);
  }

 private:
  bool is_second(graph::OpId id) const { return program_.first[program_.origin[id]] != id; }

  void add_operand(graph::OpId id, std::size_t operand, const ReshardingEnd& to) {
    const graph::Value value = program_.graph.operand(id, operand);
    const graph::OpId from = program_.origin[value.op];
    const bool is_backward = program_.origin[id] >= runs_.forward_end;
    const bool is_later = is_second(id) ? rerun_.later[from].has_value()
                                        : is_backward && runs_.may_run[from] != 0;
    ReshardingEnd end = is_later ? end_of_later(from, true) : end_of_first(from);
    end.tensor = value.result;
    add_operand_uses(uses_, program_.graph, timeline_, id, operand, owns_[from] != 0, end, to);
  }

  ReshardingEnd end_of_first(graph::OpId origin) const {
    return {formulation_.nodes[origin][0], formulation_.columns[origin].get()};
  }
  // As the end that produces a kept or recomputed tensor, or as the end that recomputes it.
  ReshardingEnd end_of_later(graph::OpId origin, bool produces) const {
    const RematerializationProblem::BackwardNode& later = *rerun_.later[origin];
    ReshardingEnd end{later.node, formulation_.columns[origin].get()};
    for (const Retention retention : later.retentions)
      end.strategies.push_back(retention.kind == Retention::Kind::recomputed ||
                                       (produces && retention.kind == Retention::Kind::kept)
                                   ? retention.strategy
                                   : ReshardingEnd::none);
    return end;
  }

  // The operands of a fused op are held for the backward pass, too, where that reads its result as
  // it is.  The op's uses are those from `begin` on.
  void hold_longer(graph::OpId id, std::size_t begin) {
    const RematerializationProblem::BackwardNode& later = *rerun_.later[program_.origin[id]];
    BufferUse::Gate gate{later.node, {}};
    for (const Retention retention : later.retentions)
      gate.is_open.push_back(retention.kind == Retention::Kind::kept);
    const solver::Interval longer{timeline_.end_of(id),
                                  timeline_.end_of(program_.second[program_.origin[id]])};
    for (std::size_t u = begin, end = uses_.size(); u < end; ++u) {
      if (uses_[u].is_during) continue;
      BufferUse use = uses_[u];
      use.interval = longer;
      use.gate = gate;
      uses_.push_back(std::move(use));
    }
  }

  const Formulation& formulation_;
  const Candidates& runs_;
  const RematerializationProblem& rerun_;
  const RematerializedProgram& program_;
  const std::vector<char>& owns_;  // by op of the program that was given
  const Timeline& timeline_;
  std::vector<BufferUse> uses_;
};

TESSERA_INLINE Timeline timeline_of(const RematerializedProgram& program,
                                    const std::vector<char>& owns) {
  std::vector<char> owns_of_all;
  for (const graph::OpId origin : program.origin) owns_of_all.push_back(owns[origin]);
  return Timeline(program.graph, owns_of_all);
}

TESSERA_INLINE std::vector<BufferUse> buffer_uses_of(
    const Formulation& formulation, const Candidates& candidates,
    const RematerializationProblem& rematerialization, const std::vector<char>& owns,
    const Timeline& timeline) {
  return RematerializationBuffers(formulation, candidates, rematerialization, owns, timeline).run();
}

}  // namespace tessera::plan::detail
