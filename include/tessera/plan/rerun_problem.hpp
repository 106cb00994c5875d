// SPDX-License-Identifier: Apache-2.0
//
// The 0-1 program in which tensors are kept for the backward pass, or computed again.
//
// It is made of the program's own (formulate.hpp).  Each op that may run again (second_run.hpp) has
// one more node, for what the backward pass reads:
//
//   kept, in each sharding in which the op hands its result on     held in between
//   computed again, by each strategy of the op                     at that strategy's price
//   absent                                                         where nobody reads it
//
// Readers in the backward part have their edges from that node; and from such nodes have theirs the
// ops that run again, since they may read kept tensors as well as others that were computed again.
// What later segments read is never computed again, but has such a node too, without that choice,
// where it is held longer only in order to be read by second runs.
//
// Everything is in the time of the program in which all that may run again does.  A tensor is held
// until the last op that might read it, whether that one does run or not, and a second run costs
// what the first one did.  Of all such plans the problem has the cheapest that fits; to keep all is
// one of them, at the price and in the memory of the program itself.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/plan/budget.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/second_run.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::plan {

enum class Recompute : std::uint8_t {
  none,       // all that the backward pass reads is kept
  full,       // all that may run again does, but for what nobody would read
  automatic,  // what is cheapest within the memory budget
};

struct RerunProblem {
  // What becomes of a tensor for the backward pass; `strategy` of the op, one that hands the tensor
  // on as it is kept, or the one by which it is computed again.
  struct Fate {
    enum class Kind : std::uint8_t { kept, again, absent } kind;
    std::uint32_t strategy = 0;

    friend constexpr bool operator==(const Fate&, const Fate&) noexcept = default;
  };
  struct Later {
    solver::NodeId node = 0;
    std::vector<Fate> fates;                  // its strategies
    std::optional<solver::NodeId> wait = {};  // a node that follows it
  };

  solver::Problem problem;                  // its first nodes are the formulation's
  std::vector<std::optional<Later>> later;  // by op
  RerunProgram all;                         // in which all that may run again does
};

namespace detail {

class RerunFormulator {
 public:
  RerunFormulator(const graph::Graph& graph, const Formulation& formulation, const SecondRuns& runs,
                  const std::vector<char>& in_memory, Recompute mode)
      : graph_(graph),
        formulation_(formulation),
        runs_(runs),
        mode_(mode),
        owns_(owners_of(graph, in_memory)),
        all_(with_second_runs(graph, runs, runs.may_run)) {
    std::vector<char> in_memory_of_all;
    for (const graph::OpId origin : all_.origin) in_memory_of_all.push_back(in_memory[origin]);
    lifetimes_ = buffers_of(all_.graph, in_memory_of_all);
    result_.later.resize(graph.op_count());
    result_.problem.usage_limit = formulation.problem.usage_limit;
    result_.problem.name = formulation.problem.name;
  }

  RerunProblem run() {
    find_end_without_second_runs();
    add_first_nodes();
    for (graph::OpId id = 0; id < runs_.forward_end; ++id) add_later(id);
    gather_edges();
    for (const auto& [ends, costs] : forward_costs_) add_edges(ends.first, ends.second, costs);
    result_.all = std::move(all_);
    return std::move(result_);
  }

 private:
  using Fate = RerunProblem::Fate;
  using Kind = Fate::Kind;

  // --- Time --------------------------------------------------------------------------------------

  // By op of the program in which all run again: until when first runs read it.
  void find_end_without_second_runs() {
    const graph::Graph& all = all_.graph;
    std::vector<std::size_t> end(all.op_count());
    end_without_.resize(all.op_count());
    std::vector<char> is_output(all.op_count(), 0);
    for (const graph::Value output : all.outputs) is_output[output.op] = 1;
    for (graph::OpId id = all.op_count(); id-- > 0;) {
      end[id] = end_without_[id] = is_output[id] != 0 ? all.op_count() : id + 1;
      all.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
        if (use.is_next) return;
        const std::size_t until = owns_[all_.origin[reader]] != 0 ? reader + 1 : end[reader];
        end[id] = std::max(end[id], until);
        if (all_.first[all_.origin[reader]] == reader)
          end_without_[id] = std::max(end_without_[id], until);
      });
    }
  }

  // What is held for second runs alone; empty for what may run again itself.
  graph::Lifetime extension_of(graph::OpId id) const {
    const graph::Op& op = graph_.op(id);
    const graph::OpId first = all_.first[id];
    if (op.is_parameter || op.results.size() != 1 || owns_[id] == 0 || runs_.may_run[id] != 0 ||
        id >= runs_.forward_end)
      return {};
    const graph::Lifetime life = lifetimes_[first][0];
    return {std::min(std::max(life.begin, end_without_[first]), life.end), life.end};
  }

  static solver::Interval interval_of(graph::Lifetime life) {
    return {static_cast<std::int64_t>(life.begin), static_cast<std::int64_t>(life.end)};
  }

  // --- Nodes -------------------------------------------------------------------------------------

  void add_first_nodes() {
    const solver::Problem& problem = formulation_.problem;
    op_of_.assign(problem.node_count(), graph_.op_count());
    std::vector<graph::Lifetime> lives(problem.node_count());
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      op_of_[formulation_.nodes[id][0]] = id;
      for (std::size_t r = 0; r < graph_.op(id).results.size(); ++r) {
        graph::Lifetime life = lifetimes_[all_.first[id]][r];
        if (const graph::Lifetime extension = extension_of(id); !extension.empty())
          life.end = extension.begin;
        lives[formulation_.nodes[id][r]] = life;
      }
    }
    for (solver::NodeId v = 0; v < problem.node_count(); ++v)
      result_.problem.add_node(problem.costs(v), problem.usages(v), interval_of(lives[v]));
  }

  // What becomes of a tensor for the backward pass, and what is held of it in between.
  void add_later(graph::OpId id) {
    const bool may_run = runs_.may_run[id] != 0;
    const graph::Lifetime extension = extension_of(id);
    if (!may_run && extension.empty()) return;
    const strategy::Column& column = *formulation_.columns[id];
    RerunProblem::Later later;
    std::vector<Cost> costs;
    std::vector<solver::Usage> usages;
    const auto add = [&](Kind kind, std::uint32_t strategy) {
      later.fates.push_back({kind, strategy});
      costs.push_back(kind == Kind::again ? column[strategy].price : 0);
      usages.push_back(kind == Kind::absent ? 0 : column[strategy].result_bytes[0]);
    };
    add(Kind::absent, 0);
    if (!may_run || mode_ != Recompute::full)
      for (const std::uint32_t strategy : representatives(column)) add(Kind::kept, strategy);
    if (may_run && mode_ != Recompute::none)
      for (std::uint32_t s = 0; s < column.size(); ++s) add(Kind::again, s);
    const graph::Lifetime life = may_run ? lifetimes_[all_.second[id]][0] : extension;
    later.node = result_.problem.add_node(costs, usages, interval_of(life));
    tie_kept(id, later, column);
    if (may_run && owns_[id] != 0)
      later.wait = add_wait(later, column, {lifetimes_[all_.first[id]][0].end, life.begin});
    result_.later[id] = std::move(later);
  }

  // One strategy for each sharding in which the result is handed on.
  static std::vector<std::uint32_t> representatives(const strategy::Column& column) {
    std::vector<std::uint32_t> result;
    for (std::uint32_t s = 0; s < column.size(); ++s)
      if (std::none_of(result.begin(), result.end(), [&](std::uint32_t other) {
            return column[other].results[0] == column[s].results[0];
          }))
        result.push_back(s);
    return result;
  }

  // What is kept is what was handed on.
  void tie_kept(graph::OpId id, const RerunProblem::Later& later, const strategy::Column& column) {
    std::vector<Cost> costs;
    for (const strategy::Choice& choice : column)
      for (const Fate fate : later.fates)
        costs.push_back(fate.kind == Kind::kept &&
                                column[fate.strategy].results[0] != choice.results[0]
                            ? infinite
                            : 0);
    add_edge(formulation_.nodes[id][0], later.node, costs);
  }

  // What is kept takes memory also from its last forward reader on.
  std::optional<solver::NodeId> add_wait(const RerunProblem::Later& later,
                                         const strategy::Column& column, graph::Lifetime gap) {
    if (gap.empty()) return std::nullopt;
    std::vector<solver::Usage> usages;
    for (const Fate fate : later.fates)
      usages.push_back(fate.kind == Kind::kept ? column[fate.strategy].result_bytes[0] : 0);
    const std::vector<Cost> free(usages.size(), 0);
    const solver::NodeId wait = result_.problem.add_node(free, usages, interval_of(gap));
    std::vector<Cost> tie(usages.size() * usages.size(), infinite);
    for (std::size_t f = 0; f < usages.size(); ++f) tie[f * usages.size() + f] = 0;
    add_edge(later.node, wait, tie);
    return wait;
  }

  void add_edge(solver::NodeId a, solver::NodeId b, const std::vector<Cost>& costs) {
    const solver::NodeId nodes[] = {a, b};
    if (std::any_of(costs.begin(), costs.end(), [](Cost c) { return c != 0; }))
      result_.problem.add_edge(nodes, costs);
  }

  // --- Edges -------------------------------------------------------------------------------------

  // Edges into the backward part from what may run again are taken out; what those and edges into
  // what may run again cost is remembered, by their ends.
  void gather_edges() {
    for (graph::OpId reader = 0; reader < graph_.op_count(); ++reader)
      for (std::size_t i = 0; i < graph_.operand_count(reader); ++i)
        if (const graph::OpId from = graph_.operand(reader, i).op; is_concerned(from, reader))
          forward_costs_[{from, reader}].assign(
              formulation_.columns[from]->size() * formulation_.columns[reader]->size(), 0);
    const solver::Problem& problem = formulation_.problem;
    for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
      const auto nodes = problem.edge_nodes(e);
      const auto costs = problem.edge_costs(e);
      const auto found = nodes.size() == 2
                             ? forward_costs_.find({op_of_[nodes[0]], op_of_[nodes[1]]})
                             : forward_costs_.end();
      if (found != forward_costs_.end())
        for (std::size_t i = 0; i < costs.size(); ++i)
          found->second[i] = saturating_add(found->second[i], costs[i]);
      if (found == forward_costs_.end() || found->first.second < runs_.forward_end)
        result_.problem.add_edge(nodes, costs);
    }
  }
  bool is_concerned(graph::OpId from, graph::OpId reader) const {
    return reader < runs_.forward_end ? runs_.may_run[reader] != 0 : runs_.may_run[from] != 0;
  }

  // From what the backward pass has of `from`, to a backward op or to what runs again.
  void add_edges(graph::OpId from, graph::OpId reader, const std::vector<Cost>& forward) {
    const std::size_t columns = formulation_.columns[reader]->size();
    const auto& source = result_.later[from];
    const auto& target = result_.later[reader];
    const bool is_second = reader < runs_.forward_end;
    std::vector<Fate> rows, fates;
    if (source)
      rows = source->fates;
    else
      for (std::uint32_t s = 0; s < formulation_.columns[from]->size(); ++s)
        rows.push_back({Kind::kept, s});
    if (is_second)
      fates = target->fates;
    else
      for (std::uint32_t s = 0; s < columns; ++s) fates.push_back({Kind::again, s});
    std::vector<Cost> costs;
    for (const Fate row : rows)
      for (const Fate fate : fates)
        costs.push_back(
            fate.kind == Kind::again ? row.kind == Kind::absent
                                           ? infinite
                                           : forward[row.strategy * columns + fate.strategy]
            // A view, or what is computed where it is read, is kept as long as what
            // it is made of.
            : fate.kind == Kind::kept && owns_[reader] == 0 && row.kind != Kind::kept ? infinite
                                                                                      : 0);
    add_edge(source ? source->node : formulation_.nodes[from][0],
             is_second ? target->node : formulation_.nodes[reader][0], costs);
  }

  const graph::Graph& graph_;
  const Formulation& formulation_;
  const SecondRuns& runs_;
  Recompute mode_;
  std::vector<char> owns_;  // by op: whether its results take memory of their own
  RerunProgram all_;        // in which all that may run again does
  graph::Lifetimes lifetimes_;
  std::vector<std::size_t> end_without_;
  std::vector<graph::OpId> op_of_;  // by first node of an op; the number of ops for other nodes
  std::map<std::pair<graph::OpId, graph::OpId>, std::vector<Cost>> forward_costs_;
  RerunProblem result_;
};

}  // namespace detail

// The same in another problem of the same program, with other fates to choose from.
// @pre it has those that are taken
inline solver::Assignment moved(const RerunProblem& from, const solver::Assignment& assignment,
                                const RerunProblem& to) {
  solver::Assignment result = assignment;
  for (std::size_t id = 0; id < to.later.size(); ++id) {
    if (!to.later[id]) continue;
    const RerunProblem::Later &old = *from.later[id], &later = *to.later[id];
    const auto at =
        std::find(later.fates.begin(), later.fates.end(), old.fates[assignment[old.node]]);
    result[later.node] = static_cast<std::uint32_t>(at - later.fates.begin());
    if (later.wait) result[*later.wait] = result[later.node];
  }
  return result;
}

// @pre the formulation is the graph's; `runs` and `in_memory` are too
inline RerunProblem formulate_rerun(const graph::Graph& graph, const Formulation& formulation,
                                    const SecondRuns& runs, const std::vector<char>& in_memory,
                                    Recompute mode) {
  return detail::RerunFormulator(graph, formulation, runs, in_memory, mode).run();
}

namespace detail {

// The buffers of the program in which all that may run again does: those of second runs are there
// where they run.
class RerunBuffers {
 public:
  using Fate = RerunProblem::Fate;

  RerunBuffers(const Formulation& formulation, const SecondRuns& runs, const RerunProblem& rerun,
               const std::vector<char>& owns, const Moments& moments)
      : formulation_(formulation),
        runs_(runs),
        rerun_(rerun),
        program_(rerun.all),
        owns_(owns),
        moments_(moments) {}

  std::vector<BufferUse> run() {
    for (graph::OpId id = 0; id < program_.graph.op_count(); ++id) {
      const graph::OpId origin = program_.origin[id];
      const ReshardingEnd to = is_second(id) ? end_of_later(origin, false) : end_of_first(origin);
      const std::size_t before = uses_.size();
      for (std::size_t i = 0; i < program_.graph.operand_count(id); ++i) add_operand(id, i, to);
      add_result_uses(uses_, program_.graph, moments_, id, owns_[origin] != 0, to);
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
    add_operand_uses(uses_, program_.graph, moments_, id, operand, owns_[from] != 0, end, to);
  }

  ReshardingEnd end_of_first(graph::OpId origin) const {
    return {formulation_.nodes[origin][0], formulation_.columns[origin].get()};
  }
  // As the one who hands on what is kept or computed again, or as the one who computes it again.
  ReshardingEnd end_of_later(graph::OpId origin, bool hands_on) const {
    const RerunProblem::Later& later = *rerun_.later[origin];
    ReshardingEnd end{later.node, formulation_.columns[origin].get()};
    for (const Fate fate : later.fates)
      end.strategies.push_back(fate.kind == Fate::Kind::again ||
                                       (hands_on && fate.kind == Fate::Kind::kept)
                                   ? fate.strategy
                                   : ReshardingEnd::none);
    return end;
  }

  // What an op needs that runs where it is read is held for the backward pass, too, where that
  // reads it as it is.  The op's uses are those from `begin` on.
  void hold_longer(graph::OpId id, std::size_t begin) {
    const RerunProblem::Later& later = *rerun_.later[program_.origin[id]];
    BufferUse::Gate gate{later.node, {}};
    for (const Fate fate : later.fates) gate.is_open.push_back(fate.kind == Fate::Kind::kept);
    const solver::Interval longer{moments_.end_of(id),
                                  moments_.end_of(program_.second[program_.origin[id]])};
    for (std::size_t u = begin, end = uses_.size(); u < end; ++u) {
      if (uses_[u].is_during) continue;
      BufferUse use = uses_[u];
      use.interval = longer;
      use.gate = gate;
      uses_.push_back(std::move(use));
    }
  }

  const Formulation& formulation_;
  const SecondRuns& runs_;
  const RerunProblem& rerun_;
  const RerunProgram& program_;
  const std::vector<char>& owns_;  // by op of the program that was given
  const Moments& moments_;
  std::vector<BufferUse> uses_;
};

}  // namespace detail

// The moments of the program in which all that may run again does.  `owns`: by op of the program
// that was given, whether its results have memory of their own.
inline Moments moments_of(const RerunProgram& program, const std::vector<char>& owns) {
  std::vector<char> owns_of_all;
  for (const graph::OpId origin : program.origin) owns_of_all.push_back(owns[origin]);
  return Moments(program.graph, owns_of_all);
}
// The buffers of a rerun problem, in those moments; they point into it.
inline std::vector<BufferUse> buffer_uses_of(const Formulation& formulation, const SecondRuns& runs,
                                             const RerunProblem& rerun,
                                             const std::vector<char>& owns,
                                             const Moments& moments) {
  return detail::RerunBuffers(formulation, runs, rerun, owns, moments).run();
}

}  // namespace tessera::plan
