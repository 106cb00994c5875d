// SPDX-License-Identifier: Apache-2.0
//
// Keeps a memory budget with all that stands beside tensors while they are resharded.
//
// What a node of a problem uses follows from its strategy alone; what a resharding takes, from both
// its ends.  So a buffer becomes a node of its own, which follows those two: it has a strategy for
// each number of bytes that one end's sharding can make it take, and the other end's allows only
// those that are enough.  There are more buffers than anything else in a program, and few of them
// matter: a problem is solved without any, then again with those that the answer had when it held
// too much, until it does not.  Each of these problems allows all that the next one does.  So their
// lower bounds hold, and an answer that fits is the cheapest that does.
#pragma once
#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/moments.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/solve.hpp"
#include "tessera/strategy/column.hpp"
#include "tessera/strategy/strategy.hpp"

namespace tessera::plan {

// One end of a resharding: a node, and which strategy of an op each of its strategies stands for.
struct ReshardingEnd {
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  solver::NodeId node = 0;
  const strategy::Column* column = nullptr;
  std::size_t tensor = 0;  // which of its results, or of its operands
  // By the node's strategies; none: hands nothing on, or needs nothing.  Empty: the same ones.
  std::vector<std::uint32_t> strategies = {};

  std::uint32_t strategy(std::uint32_t of_node) const {
    return strategies.empty() ? of_node : strategies[of_node];
  }
  std::size_t size() const { return strategies.empty() ? column->size() : strategies.size(); }
  // All that tells what it hands on or needs, whatever the node.
  auto key() const { return std::tuple(column, tensor, strategies); }
};

// A buffer, or what becomes of one: in which moments, and for whom.
struct BufferUse {
  const graph::Op* op = nullptr;  // that needs an operand, or hands on a result
  const graph::TensorType* type = nullptr;
  bool owns = false;                  // whether what is handed on has memory of its own
  std::optional<ReshardingEnd> from;  // of an operand
  ReshardingEnd to;
  solver::Interval interval;
  bool is_during = false;  // the most while it is on its way; else what is held from then on
  // Where there is one: a node that says by its strategy whether the buffer is there at all.
  struct Gate {
    solver::NodeId node = 0;
    std::vector<char> is_open;
  };
  std::optional<Gate> gate = {};
};

// Adds those of an operand of an op; `from` and `to` are the ends, `to` of no tensor yet.
inline void add_operand_uses(std::vector<BufferUse>& uses, const graph::Graph& graph,
                             const Moments& moments, graph::OpId reader, std::size_t operand,
                             bool owns, const ReshardingEnd& from, ReshardingEnd to) {
  to.tensor = operand;
  const graph::TensorType& type = graph.type_of(graph.operand(reader, operand));
  const graph::Op* const op = &graph.op(reader);
  uses.push_back({op, &type, owns, from, to, moments.bringing(reader, operand), true});
  uses.push_back({op, &type, owns, from, to, moments.brought(reader, operand), false});
}

// Adds those of an op's result, where it has one.
inline void add_result_uses(std::vector<BufferUse>& uses, const graph::Graph& graph,
                            const Moments& moments, graph::OpId id, bool owns,
                            const ReshardingEnd& to) {
  const graph::Op& op = graph.op(id);
  if (op.results.size() != 1) return;
  uses.push_back({&op, &op.results[0], owns, {}, to, moments.finishing(id), true});
  uses.push_back({&op, &op.results[0], owns, {}, to, moments.finished(id), false});
}

namespace detail {

// The tables of a node that is a buffer.
struct BufferNodeTables {
  std::vector<solver::Usage> usages;
  std::vector<Cost> from, to;  // forbidden pairs of an end's strategy and the buffer's; or empty
};

// The shardings that an end's strategies come down to, and the number of the one of each.
struct EndClasses {
  std::vector<std::uint32_t> of;              // by the node's strategies
  std::vector<std::uint32_t> representative;  // a strategy of the column, or none
};

// Makes the tables from bytes[row][column].
class BufferTabulator {
 public:
  using Matrix = std::vector<std::vector<Extent>>;

  static BufferNodeTables tabulate(const std::vector<std::uint32_t>& rows,
                                   const std::vector<std::uint32_t>& columns, const Matrix& bytes) {
    Matrix turned(columns.empty() ? 0 : bytes[0].size(), std::vector<Extent>(bytes.size()));
    for (std::size_t r = 0; r < bytes.size(); ++r)
      for (std::size_t c = 0; c < turned.size(); ++c) turned[c][r] = bytes[r][c];
    const Levels by_row = levels_of(bytes), by_column = levels_of(turned);
    BufferNodeTables result;
    if (by_row.states.size() < by_column.states.size())
      fill(by_row, bytes, rows, columns, result, result.from, result.to);
    else
      fill(by_column, turned, columns, rows, result, result.to, result.from);
    return result;
  }

 private:
  // A buffer's strategies: of lines of bytes that differ, each number that is in them.
  struct Levels {
    std::vector<std::size_t> pattern_of;  // by line
    std::vector<std::pair<std::size_t, Extent>> states;
    std::vector<std::size_t> line_of;  // by pattern: one that has it
  };

  static Levels levels_of(const Matrix& lines) {
    Levels result;
    std::map<std::vector<Extent>, std::size_t> patterns;
    for (std::size_t line = 0; line < lines.size(); ++line) {
      const auto [at, is_new] = patterns.try_emplace(lines[line], result.line_of.size());
      result.pattern_of.push_back(at->second);
      if (!is_new) continue;
      result.line_of.push_back(line);
      for (const Extent bytes : std::set<Extent>(lines[line].begin(), lines[line].end()))
        result.states.emplace_back(at->second, bytes);
    }
    return result;
  }

  // `leading` knows by its line which pattern it is, `bounding` how many bytes are enough.
  static void fill(const Levels& levels, const Matrix& lines,
                   const std::vector<std::uint32_t>& leading,
                   const std::vector<std::uint32_t>& bounding, BufferNodeTables& result,
                   std::vector<Cost>& of_leading, std::vector<Cost>& of_bounding) {
    for (const auto& [pattern, bytes] : levels.states) result.usages.push_back(bytes);
    for (const std::uint32_t line : leading)
      for (const auto& [pattern, bytes] : levels.states)
        of_leading.push_back(levels.pattern_of[line] == pattern ? 0 : infinite);
    for (const std::uint32_t place : bounding)
      for (const auto& [pattern, bytes] : levels.states)
        of_bounding.push_back(lines[levels.line_of[pattern]][place] <= bytes ? 0 : infinite);
    for (std::vector<Cost>* costs : {&of_leading, &of_bounding})
      if (std::all_of(costs->begin(), costs->end(), [](Cost cost) { return cost == 0; }))
        costs->clear();
  }
};

}  // namespace detail

// The buffers of a problem's program, and those among them that have become nodes so far.
class BufferBudget {
 public:
  // `uses` are of the program's moments and name nodes of its problem.
  BufferBudget(cost::Resharding& resharding, Moments moments, std::vector<BufferUse> uses)
      : resharding_(resharding),
        moments_(std::move(moments)),
        uses_(std::move(uses)),
        is_node_(uses_.size(), 0) {}

  // Bytes at each moment.  @pre the assignment is one of the problem's
  std::vector<Wide> in_use(const solver::Problem& problem, const solver::Assignment& assignment) {
    MomentUsage usage(moments_);
    for (solver::NodeId v = 0; v < problem.node_count(); ++v)
      usage.add(moments_.of(problem.interval(v)), problem.usages(v)[assignment[v]]);
    for (const BufferUse& use : uses_) usage.add(use.interval, bytes_of(use, assignment));
    return usage.in_use();
  }
  Wide peak(const solver::Problem& problem, const solver::Assignment& assignment) {
    const std::vector<Wide> bytes = in_use(problem, assignment);
    return bytes.empty() ? Wide(0) : *std::max_element(bytes.begin(), bytes.end());
  }
  bool fits(const solver::Problem& problem, const solver::Assignment& assignment) {
    return !problem.usage_limit || peak(problem, assignment) <= *problem.usage_limit;
  }

  // As solver::solve() does, but what is found fits with its buffers.  Which of them matter is
  // found out by trials, which need not be exact; each begins where the last one left off.
  // `ends_with_trials`: where some do, that is all that is wanted, and a plan that fits.
  solver::Result solve(const solver::Problem& problem, const solver::Options& options,
                       bool ends_with_trials = false) {
    const solver::Deadline deadline(options);
    solver::Result best;
    solver::Options round = options;
    std::uint64_t nodes = 0;
    for (bool is_trial = problem.usage_limit.has_value();;) {
      set_limits(round, options, deadline, is_trial);
      const bool is_of_tensors = nodes_.empty();
      solver::Result found = solve_with_buffers(problem, round);
      if (is_of_tensors) bound_of_tensors_ = std::max(bound_of_tensors_, found.lower_bound);
      found.statistics.nodes = nodes += found.statistics.nodes;
      best.statistics = found.statistics;
      best.lower_bound = std::max(best.lower_bound, found.lower_bound);
      if (!found.shadow_prices.empty()) round.shadow_prices = best.shadow_prices = found.shadow_prices;
      const bool fits = found.has_assignment() && keep_or_refine(problem, found, best);
      if (found.status == solver::Status::infeasible) best.status = found.status;
      const bool goes_on = found.has_assignment() ? !fits || is_trial : is_trial;
      const bool is_over = found.status == solver::Status::infeasible || deadline.is_over() ||
                           (fits && solver::is_near_enough(found, options)) || !goes_on;
      is_trial = is_trial && found.has_assignment() && !fits;
      if (is_over || (ends_with_trials && !is_trial && has_counted_buffers())) break;
      if (found.has_assignment())
        round.start = best.has_assignment() ? best.assignment : std::move(found.assignment);
    }
    if (best.has_assignment() && best.cost == best.lower_bound)
      best.status = solver::Status::optimal;
    return best;
  }

  // What bounds every plan within the limit, were there no buffers; and whether some were counted.
  Wide bound_of_tensors() const noexcept { return bound_of_tensors_; }
  bool has_counted_buffers() const noexcept { return !nodes_.empty(); }

  // Counts the buffers that another budget of the same program came to count, from the beginning.
  void count_as(const BufferBudget& other) {
    for (std::size_t u = 0; u < uses_.size(); ++u)
      if (other.is_node_[u] != 0) count(u);
  }

 private:
  using Tables = detail::BufferNodeTables;
  using EndKey = decltype(ReshardingEnd().key());
  using TablesKey = std::tuple<EndKey, EndKey, bool, bool, std::vector<Extent>>;
  struct Node {
    std::size_t use = 0;
    std::shared_ptr<const Tables> tables;
  };

  // --- Bytes -------------------------------------------------------------------------------------

  Extent bytes_of(const BufferUse& use, const solver::Assignment& assignment) {
    if (use.gate && use.gate->is_open[assignment[use.gate->node]] == 0) return 0;
    const std::uint32_t from = use.from ? use.from->strategy(assignment[use.from->node])
                                        : ReshardingEnd::none;
    return bytes_between(use, from, use.to.strategy(assignment[use.to.node]));
  }
  Extent bytes_between(const BufferUse& use, std::uint32_t from, std::uint32_t to) {
    if (to == ReshardingEnd::none) return 0;
    const strategy::Choice& needed = (*use.to.column)[to];
    auto& tensor = resharding_.of(*use.type);
    cost::ReshardingBuffers buffers;
    if (!use.from) {
      const graph::Rule& rule = use.op->rule;
      buffers = cost::result_buffers(
          tensor, strategy::sharding_of(rule, needed.strategy, rule.operand_count()),
          needed.results[0], use.owns);
    } else if (from != ReshardingEnd::none) {
      const DynamicSharding given = (*use.from->column)[from].results[use.from->tensor];
      const DynamicSharding wanted = needed.operands[use.to.tensor];
      if (!is_finite(tensor.price(given, wanted))) return 0;
      buffers = cost::operand_buffers(tensor, given, wanted, use.owns);
    }
    return use.is_during ? buffers.during : buffers.after;
  }

  // --- Rounds ------------------------------------------------------------------------------------

  // A trial is told from another one by a thousandth, and ends where that would take too long.
  static constexpr double gap_of_trial = 1e-3, work_of_trial = 1e10;

  static void set_limits(solver::Options& round, const solver::Options& options,
                         const solver::Deadline& deadline, bool is_trial) {
    round.time_limit = deadline.seconds_left() / (is_trial ? 4 : 1);
    round.gap_limit = std::max(options.gap_limit, is_trial ? gap_of_trial : 0);
    round.work_limit = std::min(options.work_limit,
                                is_trial ? work_of_trial : std::numeric_limits<double>::infinity());
  }

  // An assignment of the problem, cheapest as far as buffers are counted.  `options.start` is one
  // of the problem's, too.
  solver::Result solve_with_buffers(const solver::Problem& problem,
                                    const solver::Options& options) {
    if (!problem.usage_limit) return solver::solve(problem, options);
    solver::Options round = options;
    round.start = with_buffers(options.start);
    solver::Result found = solver::solve(with_buffers(problem), round);
    found.assignment.resize(found.has_assignment() ? problem.node_count() : 0);
    return found;
  }

  // --- Nodes -------------------------------------------------------------------------------------

  solver::Problem with_buffers(const solver::Problem& problem) {
    solver::Problem result;
    result.name = problem.name;
    result.usage_limit = problem.usage_limit;
    for (solver::NodeId v = 0; v < problem.node_count(); ++v)
      result.add_node(problem.costs(v), problem.usages(v), moments_.of(problem.interval(v)));
    std::map<solver::CostsId, solver::CostsId> known;
    for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
      const auto ends = problem.edge_nodes(e);
      const auto [at, is_new] = known.try_emplace(problem.edge_costs_id(e), 0);
      if (is_new)
        at->second = result.edge_costs_id(result.add_edge(ends, problem.edge_costs(e)));
      else
        result.add_edge(ends, at->second);
    }
    for (const Node& node : nodes_) add_node(result, node);
    return result;
  }

  void add_node(solver::Problem& problem, const Node& node) const {
    const BufferUse& use = uses_[node.use];
    std::vector<solver::Usage> usages = node.tables->usages;
    std::vector<Cost> of_from = node.tables->from, of_to = node.tables->to;
    const std::size_t states = usages.size();
    if (use.gate) {  // one more, for when it is closed
      usages.push_back(0);
      for (std::vector<Cost>* costs : {&of_from, &of_to}) *costs = with_free_column(*costs, states);
    }
    const std::vector<Cost> free(usages.size(), 0);
    const solver::NodeId buffer = problem.add_node(free, usages, use.interval);
    const auto add_edge = [&](solver::NodeId end, const std::vector<Cost>& costs) {
      const solver::NodeId ends[] = {end, buffer};
      if (!costs.empty()) problem.add_edge(ends, costs);
    };
    if (use.from) add_edge(use.from->node, of_from);
    add_edge(use.to.node, of_to);
    if (!use.gate) return;
    std::vector<Cost> of_gate;
    for (const char is_open : use.gate->is_open) {
      of_gate.insert(of_gate.end(), states, 0);
      of_gate.push_back(is_open != 0 ? infinite : 0);
    }
    add_edge(use.gate->node, of_gate);
  }
  static std::vector<Cost> with_free_column(const std::vector<Cost>& costs, std::size_t columns) {
    std::vector<Cost> result;
    for (std::size_t i = 0; i < costs.size(); ++i) {
      result.push_back(costs[i]);
      if ((i + 1) % columns == 0) result.push_back(0);
    }
    return result;
  }

  // The same assignment with what its buffers take.
  solver::Assignment with_buffers(solver::Assignment assignment) {
    if (assignment.empty()) return assignment;
    for (const Node& node : nodes_) {
      const BufferUse& use = uses_[node.use];
      const Tables& tables = *node.tables;
      const std::size_t states = tables.usages.size();
      const bool is_closed = use.gate && use.gate->is_open[assignment[use.gate->node]] == 0;
      const auto allows = [&](const std::vector<Cost>& costs, solver::NodeId end, std::size_t s) {
        return costs.empty() || costs[assignment[end] * states + s] == 0;
      };
      std::size_t best = states;
      for (std::size_t s = 0; s < states && !is_closed; ++s)
        if (allows(tables.to, use.to.node, s) &&
            (!use.from || allows(tables.from, use.from->node, s)) &&
            (best == states || tables.usages[s] < tables.usages[best]))
          best = s;
      assignment.push_back(static_cast<std::uint32_t>(best));
    }
    return assignment;
  }

  // Keeps what was found where it fits and is the cheapest so far; where it does not fit, makes
  // nodes of the buffers that it has at the moments when it does not.
  bool keep_or_refine(const solver::Problem& problem, const solver::Result& found,
                      solver::Result& best) {
    if (!problem.usage_limit) {
      keep(found, best);
      return true;
    }
    const std::vector<Wide> bytes = in_use(problem, found.assignment);
    std::vector<std::size_t> exceeded(bytes.size() + 1, 0);  // moments before this one
    for (std::size_t at = 0; at < bytes.size(); ++at)
      exceeded[at + 1] = exceeded[at] + (bytes[at] > *problem.usage_limit ? 1 : 0);
    if (exceeded.back() == 0) {
      if (!best.has_assignment() || found.cost <= best.cost) keep(found, best);
      return true;
    }
    const std::size_t before = nodes_.size();
    for (std::size_t u = 0; u < uses_.size(); ++u) {
      const solver::Interval interval = uses_[u].interval;
      const bool matters = !interval.empty() &&
                           exceeded[static_cast<std::size_t>(interval.begin)] !=
                               exceeded[static_cast<std::size_t>(interval.end)];
      if (is_node_[u] == 0 && matters && bytes_of(uses_[u], found.assignment) > 0) count(u);
    }
    if (nodes_.size() == before)
      throw InternalError("a plan takes more than its problem says: this is a defect");
    return false;
  }
  void count(std::size_t u) {
    is_node_[u] = 1;
    std::shared_ptr<const Tables> tables = tables_of(uses_[u]);
    if (tables->usages != std::vector<solver::Usage>{0}) nodes_.push_back({u, std::move(tables)});
  }
  static void keep(const solver::Result& found, solver::Result& best) {
    best.status = found.status;
    best.cost = found.cost;
    best.assignment = found.assignment;
  }

  // --- Tables ------------------------------------------------------------------------------------

  std::shared_ptr<const Tables> tables_of(const BufferUse& use) {
    const TablesKey key(use.from ? use.from->key() : EndKey(), use.to.key(), use.owns,
                        use.is_during, key_of(*use.type));
    auto& known = tables_[key];
    if (known) return known;
    const detail::EndClasses to = classes_of(use, use.to, !use.from);
    detail::EndClasses from{{}, {ReshardingEnd::none}};
    if (use.from) from = classes_of(use, *use.from, false);
    detail::BufferTabulator::Matrix bytes;
    for (const std::uint32_t row : from.representative) {
      bytes.emplace_back();
      for (const std::uint32_t column : to.representative)
        bytes.back().push_back(bytes_between(use, row, column));
    }
    return known = std::make_shared<const Tables>(
               detail::BufferTabulator::tabulate(from.of, to.of, bytes));
  }
  static std::vector<Extent> key_of(const graph::TensorType& type) {
    std::vector<Extent> key(type.dims.begin(), type.dims.end());
    key.push_back(graph::bytes_of(type.element));
    return key;
  }

  // `is_result`: of one that hands on, where how it computed that matters too.
  detail::EndClasses classes_of(const BufferUse& use, const ReshardingEnd& end, bool is_result) {
    const graph::Rule& rule = use.op->rule;
    detail::EndClasses result;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t> known;
    std::optional<std::uint32_t> of_none;
    const auto add = [&](std::uint32_t strategy) {
      result.representative.push_back(strategy);
      return static_cast<std::uint32_t>(result.representative.size() - 1);
    };
    for (std::uint32_t s = 0; s < end.size(); ++s) {
      const std::uint32_t strategy = end.strategy(s);
      if (strategy == ReshardingEnd::none) {
        if (!of_none) of_none = add(strategy);
        result.of.push_back(*of_none);
        continue;
      }
      const strategy::Choice& choice = (*end.column)[strategy];
      const DynamicSharding sharding = is_result || &end != &use.to ? choice.results[end.tensor]
                                                                    : choice.operands[end.tensor];
      const std::uint64_t before =
          is_result ? strategy::sharding_of(rule, choice.strategy, rule.operand_count()).bits() : 0;
      const auto [at, is_new] = known.try_emplace({sharding.bits(), before}, 0);
      if (is_new) at->second = add(strategy);
      result.of.push_back(at->second);
    }
    return result;
  }

  cost::Resharding& resharding_;
  Moments moments_;
  std::vector<BufferUse> uses_;
  std::vector<char> is_node_;  // by use: whether it has been made one, if it needs one at all
  std::vector<Node> nodes_;
  Wide bound_of_tensors_ = 0;
  std::map<TablesKey, std::shared_ptr<const Tables>> tables_;
};

// The buffers of a program whose problem is the formulation's.
inline std::vector<BufferUse> buffer_uses_of(const graph::Graph& graph,
                                             const Formulation& formulation,
                                             const std::vector<char>& owns,
                                             const Moments& moments) {
  std::vector<BufferUse> uses;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const ReshardingEnd to{formulation.nodes[id][0], formulation.columns[id].get()};
    for (std::size_t i = 0; i < graph.operand_count(id); ++i) {
      const graph::Value value = graph.operand(id, i);
      const ReshardingEnd from{formulation.nodes[value.op][0], formulation.columns[value.op].get(),
                               value.result};
      add_operand_uses(uses, graph, moments, id, i, owns[value.op] != 0, from, to);
    }
    add_result_uses(uses, graph, moments, id, owns[id] != 0, to);
  }
  return uses;
}

}  // namespace tessera::plan
