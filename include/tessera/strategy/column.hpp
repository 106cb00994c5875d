// SPDX-License-Identifier: Apache-2.0
//
// The priced strategies of one op: its column in the 0-1 program, and what may be left out of it.
//
// A strategy may go when another one can always stand in for it: the other's operands can be had
// from this one's, and this one's results from the other's, at no higher price in all.  That is
// safe because reshardings are shortest paths, so going through a third sharding is never a gain.
// Where the buffers of reshardings count against a budget, none of them may grow by it, either.
// Where memory has no limit, a result that is read once need not be finished by its own op either:
// its reader pays the same.  (Three axes make hundreds of ways to finish one partial result.)
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/strategy/annotation.hpp"
#include "tessera/strategy/buffer_table.hpp"
#include "tessera/strategy/enumerate.hpp"
#include "tessera/strategy/price_table.hpp"

namespace tessera::strategy {

// A halo exchange that an op needs before it can run.
struct PricedHalo {
  std::uint32_t operand = 0;
  std::uint8_t dim = 0;
  Axis axis = 0;  // of those that split the dim, the one over which it takes longest
  cost::Message message;
  Cost price = 0;
};

// A strategy with all that follows from it.
struct Choice {
  Strategy strategy;
  std::vector<DynamicSharding> operands, results;
  Cost price = 0;  // of the op's work, of its halos, and of the collectives that finish its result
  Cost work = 0;   // of the work alone
  std::vector<Extent> result_bytes;  // per device
  std::vector<PricedHalo> halos;
};

using Column = std::vector<Choice>;

// What the rest of the program asks of an op's results, and leaves of its work.
struct ColumnNeeds {
  std::vector<std::size_t> uses;    // of each result: how many operands read it
  std::vector<char> must_be_whole;  // of each result: no partial results (program outputs)
  // Some result's sharding must equal another op's: what hands on another one can not stand in.
  bool is_tied = false;
  // Of each result: what is asked of it, if anything.  Empty: nothing is asked of any.
  std::vector<const Annotation*> annotations = {};

  const Annotation* annotation(std::size_t result) const {
    return result < annotations.size() ? annotations[result] : nullptr;
  }
  cost::Workload workload = {};
};

// What may be left out of columns.
enum class Pruning : std::uint8_t {
  none,
  within_buffers,  // what costs neither money nor memory to leave out, buffers included
  within_memory,   // the same, but tensors are all that takes memory
  full,            // what costs no money; for problems in which memory has no limit
};

class ColumnMaker {
 public:
  // `checkpoint`, where there is one, is called often; what it throws ends the work.
  ColumnMaker(cost::Resharding& resharding, graph::ReductionSet passes, Pruning pruning,
              std::function<void()> checkpoint = {})
      : resharding_(resharding),
        tables_(resharding),
        buffers_(resharding.mesh(), passes),
        passes_(passes),
        pruning_(pruning),
        checkpoint_(std::move(checkpoint)) {}

  // Every strategy of the op, priced; pruned if asked for.  Where a heavy op can use every axis
  // only by handing on partial results that must be whole, it need not use every axis, and an idle
  // op is a strategy: so it is never empty, unless what is asked of several results can not be had.
  //
  // An annotated result is handed on as it is asked for by the strategies that do so anyway.  Where
  // there are none, each reshards it first.
  // @pre annotations fit their tensors
  Column make(const graph::Graph& graph, graph::OpId id, const ColumnNeeds& needs) {
    const graph::Op& op = graph.op(id);
    bind(graph, id);
    EnumerateOptions options;
    options.use_every_axis = op.is_heavy && resharding_.prices().spreads_heavy_ops();
    options.passes = passes_;
    options.skip_unit_axes = pruning_ != Pruning::none;
    options.finish = pruning_ != Pruning::full || !is_finished_by_reader(needs);
    gathers_late_ = gathers_late(graph, id, needs);
    Column column = allowed(op, options, needs);
    if (column.empty()) {
      options.use_every_axis = false;
      column = allowed(op, options, needs);
    }
    if (column.empty() && op.results.size() == 1 && needs.annotation(0) != nullptr)
      column = resharded(op, options, needs);
    if (pruning_ != Pruning::none) drop_replaceable(op.rule, column, needs);
    return column;
  }

  // What columns are priced by, for others to go on with.
  PriceTables& tables() noexcept { return tables_; }

 private:
  using Table = PriceTable;
  using Number = Table::Number;

  void check() const {
    if (checkpoint_) checkpoint_();
  }

  Column allowed(const graph::Op& op, const EnumerateOptions& options, const ColumnNeeds& needs) {
    Column column;
    const auto add = [&](const Strategy& strategy) {
      check();
      Choice choice = priced(op, strategy, needs.workload);
      for (std::size_t r = 0; r < choice.results.size(); ++r)
        if (!may_hand_on(choice.results[r], r, needs)) return;
      column.push_back(std::move(choice));
    };
    for_each_strategy(op.rule, resharding_.mesh(), options, [&](const Strategy& strategy) {
      add(strategy);
      if (gathers_late_) for_each_gathered(strategy, 0, add);
    });
    return column;
  }

  // Whether a result may be handed on less split than it is computed.  Readers gather what they
  // need, but nobody reads an output, whose sharding is given; and where it is smaller than what it
  // is made of, it had better be gathered afterwards: by ZeRO, a weight once it is converted.
  static bool gathers_late(const graph::Graph& graph, graph::OpId id, const ColumnNeeds& needs) {
    const graph::Op& op = graph.op(id);
    const bool is_given = needs.is_tied || !needs.annotations.empty();
    if (op.results.size() != 1 || needs.uses[0] != 0 || !is_given) return false;
    const auto is_larger = [&](std::size_t i) {
      return graph::byte_count(graph.type_of(graph.operand(id, i))) >
             graph::byte_count(op.results[0]);
    };
    for (std::size_t i = 0; i < graph.operand_count(id); ++i)
      if (is_larger(i)) return true;
    return false;
  }
  // Calls visit(strategy) for each way to gather the result before it is handed on: of every dim
  // from `dim` on no, one or more of the minor axes that split it.
  template<class Visit>
  static void for_each_gathered(Strategy strategy, std::size_t dim, Visit&& visit) {
    for (; dim < strategy.handed_on.rank(); ++dim) {
      Strategy gathered = strategy;
      for (AxisList axes = strategy.handed_on.axes(dim); !axes.empty(); axes.pop_back()) {
        gathered.handed_on = gathered.handed_on.without(axes.back());
        visit(gathered);
        for_each_gathered(gathered, dim + 1, visit);
      }
    }
  }

  static bool is_finished_by_reader(const ColumnNeeds& needs) {
    return !needs.is_tied && needs.annotations.empty() && needs.uses.size() == 1 &&
           needs.uses[0] == 1 && needs.must_be_whole[0] == 0;
  }

  bool may_hand_on(DynamicSharding sharding, std::size_t result, const ColumnNeeds& needs) const {
    if (needs.must_be_whole[result] != 0 && !sharding.partial_axes().empty()) return false;
    const Annotation* const asked = needs.annotation(result);
    return asked == nullptr || allows(*asked, sharding, resharding_.mesh());
  }

  // Every strategy of an op with one result, which is then made what is asked for.
  Column resharded(const graph::Op& op, const EnumerateOptions& options, const ColumnNeeds& needs) {
    Column column;
    for_each_strategy(op.rule, resharding_.mesh(), options, [&](const Strategy& strategy) {
      check();
      Strategy asked = strategy;
      asked.handed_on =
          applied(*needs.annotation(0), strategy.handed_on, resharding_.mesh(), op.results[0].dims);
      if (!may_hand_on(asked.handed_on, 0, needs)) return;
      Choice choice = priced(op, asked, needs.workload);
      if (is_finite(choice.price)) column.push_back(std::move(choice));
    });
    return column;
  }

  void bind(const graph::Graph& graph, graph::OpId id) {
    operands_.clear();
    results_.clear();
    for (std::size_t i = 0; i < graph.operand_count(id); ++i)
      operands_.push_back(&tables_.of(graph.type_of(graph.operand(id, i))));
    for (const graph::TensorType& type : graph.op(id).results)
      results_.push_back(&tables_.of(type));
    operand_buffers_.clear();
    result_buffers_.clear();
    if (pruning_ != Pruning::within_buffers) return;
    for (std::size_t i = 0; i < operands_.size(); ++i)
      operand_buffers_.push_back(
          &buffers_.of(*operands_[i], graph.type_of(graph.operand(id, i)).dims));
    for (std::size_t r = 0; r < results_.size(); ++r)
      result_buffers_.push_back(&buffers_.of(*results_[r], graph.op(id).results[r].dims));
  }

  Choice priced(const graph::Op& op, const Strategy& strategy, const cost::Workload& load) {
    Choice choice{strategy, {}, {}, 0, 0, {}, {}};
    for (std::size_t i = 0; i < op.rule.operand_count(); ++i)
      choice.operands.push_back(sharding_of(op.rule, strategy, i));
    for (std::size_t r = 0; r < op.rule.result_count(); ++r) {
      choice.results.push_back(result_sharding(op.rule, strategy, r));
      choice.result_bytes.push_back(
          results_[r]->local_bytes(results_[r]->number_of(choice.results[r])));
    }
    if (op.rule.result_count() == 1) {
      const DynamicSharding computed = sharding_of(op.rule, strategy, op.rule.operand_count());
      choice.price = results_[0]->price(results_[0]->number_of(computed),
                                        results_[0]->number_of(strategy.handed_on));
    }
    for (std::uint32_t i = 0; i < op.rule.operand_count(); ++i) add_halos(op.rule, i, choice);
    if (resharding_.prices().prices_work()) {
      choice.work = resharding_.prices().work_price(work_of(op, choice, load));
      choice.price = saturating_add(choice.price, choice.work);
    }
    return choice;
  }

  // What one device does: the one with the largest shards.
  cost::Work work_of(const graph::Op& op, const Choice& choice, const cost::Workload& load) {
    cost::Work work{{}, load.element, 0, load.launches, load.merged, load.is_fused, load.halves};
    if (load.is_product)
      work.product = cost::product_of(op.rule, [&](std::size_t factor) {
        return local_size(op.rule, resharding_.mesh(), choice.strategy, factor);
      });
    for (std::size_t t = 0; t < load.passes.size(); ++t) {
      if (load.passes[t] == 0) continue;
      const bool is_operand = t < choice.operands.size();
      Table& table = is_operand ? *operands_[t] : *results_[t - choice.operands.size()];
      const DynamicSharding sharding = is_operand ? choice.operands[t]
                                                  : sharding_of(op.rule, choice.strategy, t);
      work.bytes += Wide(load.passes[t]) * table.local_bytes(table.number_of(sharding));
    }
    return work;
  }

  // Dims exchange their rims one after the other, so that corners arrive: a later one's rim is as
  // long as the shard with the rims that it has got before.
  void add_halos(const graph::Rule& rule, std::uint32_t operand, Choice& choice) {
    const DynamicMesh& mesh = resharding_.mesh();
    const DynamicSharding sharding = choice.operands[operand];
    cost::Message shard{operands_[operand]->bytes(), extent_of(mesh, sharding.split_axes())};
    for (std::size_t dim = 0; dim < rule.rank(operand); ++dim) {
      const Extent tiles = shard_count(sharding, mesh, dim);
      const auto factors = rule.dim(operand, dim);
      if (tiles == 1 || factors.size() != 1) continue;
      const graph::Factor& factor = rule.factor(factors[0]);
      if (factor.kind != FactorKind::window) continue;
      const Halo halo = halo_of(rule, factors[0], tiles);
      if (halo.width() == 0) continue;
      const cost::Message row{shard.bytes / factor.size, shard.divided_by / tiles};
      add_halo({operand,
                static_cast<std::uint8_t>(dim),
                0,
                {row.bytes * halo.width(), row.divided_by},
                -1},
               sharding.axes(dim), choice);
      const Extent extended = std::min(factor.size, ceil_div(factor.size, tiles) + halo.width());
      shard = {row.bytes * extended, row.divided_by};
    }
  }
  void add_halo(PricedHalo dearest, const AxisList& axes, Choice& choice) {
    dearest.axis = axes[0];
    for (const Axis axis : axes) {
      if (resharding_.mesh().extent(axis) == 1) continue;
      const Cost price = resharding_.prices().price(
          StepKind::halo_exchange, axis, resharding_.mesh().extent(axis), dearest.message);
      if (price <= dearest.price) continue;
      dearest.axis = axis;
      dearest.price = price;
    }
    choice.price = saturating_add(choice.price, dearest.price);
    choice.halos.push_back(dearest);
  }

  // --- Pruning -----------------------------------------------------------------------------------

  // Strategies that hand on the same.  What one of them could hand on in place of another's is
  // asked once for all, since there are thousands of strategies but only hundreds of these.
  struct Group {
    std::vector<std::uint32_t> members;
    Cost least = 0;  // of their prices
  };
  // A group that could hand on in place of another one, and what its readers would pay for that.
  struct Substitute {
    std::uint32_t group = 0;
    Cost extra = 0;
  };

  void drop_replaceable(const graph::Rule& rule, Column& column, const ColumnNeeds& needs) {
    number_shardings(column);
    find_rooms(rule, column);
    const std::vector<Group> groups = groups_of(column);
    std::vector<char> gone(column.size(), 0);
    for (const Group& group : groups) {
      const std::vector<Substitute> substitutes = substitutes_for(group, groups, needs);
      for (const std::uint32_t x : group.members) {
        check();
        gone[x] = is_replaceable(x, groups, substitutes, gone) ? 1 : 0;
      }
    }
    std::size_t kept = 0;
    for (std::size_t x = 0; x < column.size(); ++x)
      if (gone[x] == 0) {
        if (kept != x) column[kept] = std::move(column[x]);
        ++kept;
      }
    column.resize(kept);
  }

  // Strategies are compared by number, since there are so many pairs of them.
  void number_shardings(const Column& column) {
    result_numbers_.clear();
    operand_numbers_.clear();
    prices_.clear();
    for (const Choice& choice : column) {
      prices_.push_back(choice.price);
      for (std::size_t r = 0; r < results_.size(); ++r)
        result_numbers_.push_back(results_[r]->number_of(choice.results[r]));
      for (std::size_t i = 0; i < operands_.size(); ++i)
        operand_numbers_.push_back(operands_[i]->number_of(choice.operands[i]));
    }
  }
  // What it takes to hand on each result, where that counts.
  void find_rooms(const graph::Rule& rule, const Column& column) {
    rooms_.assign(column.size(), Room());
    if (result_buffers_.size() != 1) return;
    for (std::size_t x = 0; x < column.size(); ++x) {
      const DynamicSharding computed = sharding_of(rule, column[x].strategy, rule.operand_count());
      rooms_[x] = result_buffers_[0]->of_result(results_[0]->number_of(computed), results_of(x)[0]);
    }
  }
  std::span<const Number> results_of(std::size_t x) const {
    return {result_numbers_.data() + x * results_.size(), results_.size()};
  }

  std::vector<Group> groups_of(const Column& column) const {
    std::map<std::vector<Number>, std::size_t> numbers;
    std::vector<Group> groups;
    for (std::uint32_t x = 0; x < column.size(); ++x) {
      const auto results = results_of(x);
      const auto [at, is_new] =
          numbers.try_emplace({results.begin(), results.end()}, groups.size());
      if (is_new) groups.push_back({{}, prices_[x]});
      Group& group = groups[at->second];
      group.members.push_back(x);
      group.least = std::min(group.least, prices_[x]);
    }
    return groups;
  }

  std::vector<Substitute> substitutes_for(const Group& group, const std::vector<Group>& groups,
                                          const ColumnNeeds& needs) {
    std::vector<Substitute> substitutes;
    Cost most = 0;
    for (const std::uint32_t x : group.members) most = std::max(most, prices_[x]);
    for (std::uint32_t other = 0; other < groups.size(); ++other) {
      if (groups[other].least > most) continue;
      const auto extra = extra_for_readers(results_of(groups[other].members[0]),
                                           results_of(group.members[0]), needs);
      if (extra && saturating_add(groups[other].least, *extra) <= most &&
          leaves_no_more(results_of(groups[other].members[0]), results_of(group.members[0]), needs))
        substitutes.push_back({other, *extra});
    }
    return substitutes;
  }

  // Whether those who read what y hands on never need larger buffers for that.
  bool leaves_no_more(std::span<const Number> y, std::span<const Number> x,
                      const ColumnNeeds& needs) {
    for (std::size_t r = 0; r < result_buffers_.size(); ++r)
      if (needs.uses[r] != 0 && !result_buffers_[r]->leaves_no_more(y[r], x[r])) return false;
    return true;
  }
  // Whether the op itself never does.
  bool needs_no_more(std::uint32_t y, std::uint32_t x) {
    if (!fits(rooms_[y], rooms_[x])) return false;
    const Number* const at_y = operand_numbers_.data() + y * operands_.size();
    const Number* const at_x = operand_numbers_.data() + x * operands_.size();
    for (std::size_t i = 0; i < operand_buffers_.size(); ++i)
      if (!operand_buffers_[i]->needs_no_more(at_y[i], at_x[i])) return false;
    return true;
  }

  // What it costs those who read to get what x would hand on from what y does; nothing where that
  // can not stand in, or takes more memory.
  std::optional<Cost> extra_for_readers(std::span<const Number> y, std::span<const Number> x,
                                        const ColumnNeeds& needs) {
    Cost total = 0;
    for (std::size_t r = 0; r < x.size(); ++r) {
      Table& table = *results_[r];
      if (needs.is_tied && y[r] != x[r]) return std::nullopt;
      if (table.local_bytes(y[r]) > table.local_bytes(x[r])) return std::nullopt;
      if (needs.uses[r] == 0) continue;
      const Cost each = table.price(y[r], x[r]);
      for (std::size_t use = 0; each != 0 && use < needs.uses[r] && is_finite(total); ++use)
        total = saturating_add(total, each);
    }
    return total;
  }

  bool is_replaceable(std::uint32_t x, const std::vector<Group>& groups,
                      const std::vector<Substitute>& substitutes, const std::vector<char>& gone) {
    const Number* const at_x = operand_numbers_.data() + x * operands_.size();
    for (const Substitute& substitute : substitutes) {
      if (saturating_add(groups[substitute.group].least, substitute.extra) > prices_[x]) continue;
      for (const std::uint32_t y : groups[substitute.group].members) {
        if (y == x || gone[y] != 0) continue;
        const Number* const at_y = operand_numbers_.data() + y * operands_.size();
        Cost total = saturating_add(prices_[y], substitute.extra);
        for (std::size_t i = 0; i < operands_.size() && total <= prices_[x]; ++i)
          total = saturating_add(total, operands_[i]->price(at_x[i], at_y[i]));
        if (total <= prices_[x] && needs_no_more(y, x)) return true;
      }
    }
    return false;
  }

  cost::Resharding& resharding_;
  PriceTables tables_;
  BufferTables buffers_;
  graph::ReductionSet passes_;
  Pruning pruning_;
  std::function<void()> checkpoint_;
  bool gathers_late_ = false;                                   // the op at hand
  std::vector<Table*> operands_, results_;                      // of the op at hand
  std::vector<BufferTable*> operand_buffers_, result_buffers_;  // where buffers count
  std::vector<Number> result_numbers_, operand_numbers_;        // of each of its strategies in turn
  std::vector<Cost> prices_;                                    // of each of its strategies
  std::vector<Room> rooms_;                                     // that handing on its result takes
};

}  // namespace tessera::strategy
