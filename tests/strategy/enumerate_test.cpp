// SPDX-License-Identifier: Apache-2.0
// The enumerator: at compile time and at run time alike, complete and without repetition.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tessera/cost.hpp"
#include "tessera/graph.hpp"
#include "tessera/strategy.hpp"
#include "tessera/strategy/detail/buffer_table.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;
using strategy::EnumerateOptions;
using strategy::Strategy;

// --- Decided by the compiler ---------------------------------------------------------------------
constexpr auto& product = rule_of<"mk,kn->mn", Shape<8, 8>, Shape<8, 8>>;
static_assert(strategy::count(product, Mesh<4>()) == 7);
static_assert(strategy::count(product, Mesh<1>()) == 1);
static_assert(strategy::count(product, Mesh<1>(), {.skip_unit_axes = false}) == 7);
static_assert(strategy::count(product, Mesh<4>(), {.use_every_axis = true}) == 6);
static_assert(strategy::table<product, Mesh<4>>.size() == 7);
static_assert(strategy::sharding_of(product, strategy::table<product, Mesh<4>>[1], 0) ==
              DynamicSharding(Mesh<4>(), {{0}, {}}));
// Dims smaller than the axis can not be cut.
static_assert(strategy::count(rule_of<"mk,kn->mn", Shape<2, 8>, Shape<8, 3>>, Mesh<4>()) == 3);
// Two axes may share a dim, in either order, only where the second cuts the first one's tiles
// evenly.
static_assert(strategy::count(rule_of<"i->i", Shape<8>>, Mesh<2, 4>()) == 5);
static_assert(strategy::count(rule_of<"i->i", Shape<10>>, Mesh<2, 4>()) == 3);

// --- Decided by running --------------------------------------------------------------------------
std::string key(const auto& rule, const Strategy& strategy) {
  std::string text;
  for (std::size_t t = 0; t < rule.tensor_count(); ++t)
    text += to_string(strategy::sharding_of(rule, strategy, t)) + ' ';
  return text + to_string(strategy.output_sharding);
}

TEST_CASE("static and dynamic rules and meshes give the same strategies in the same order") {
  const Rule dynamic_rule(product);
  const DynamicMesh dynamic_mesh = Mesh<2, 4>();
  const auto dynamic = strategy::enumerate(dynamic_rule, dynamic_mesh);
  const auto fixed = strategy::enumerate(product, Mesh<2, 4>());
  CHECK(dynamic == fixed);
}

TEST_CASE("no strategy is listed twice, and every one is valid") {
  const std::vector<PartialPass> passes{{reduction_set(Reduction::sum), 0b11}};
  const Dims two[] = {{8, 6}, {8, 6}};
  const Rule rules[] = {Rule(product), elementwise_rule(two, two[0], passes),
                        reshape_rule({8, 6}, {2, 4, 6}),
                        dot_rule({2, 8, 4}, {2, 4, 8}, {{2}, {1}, {0}, {0}})};
  for (const Rule& rule : rules)
    for (const DynamicMesh& mesh : {DynamicMesh{4}, DynamicMesh{2, 4}, DynamicMesh{2, 1, 2}}) {
      std::set<std::string> seen;
      for (const Strategy& strategy : strategy::enumerate(rule, mesh)) {
        CHECK(strategy::is_valid(rule, mesh, strategy));
        CHECK(seen.insert(key(rule, strategy)).second);
      }
    }
}

TEST_CASE("the axes of one dim stand in either order, wherever they come from") {
  std::set<std::string> texts;
  for (const Strategy& s : strategy::enumerate(product, Mesh<2, 4>()))
    texts.insert(to_string(s.output_sharding));
  for (const char* const text : {"[[0, 1], []]", "[[1, 0], []]", "[[], [0, 1]]", "[[], [1, 0]]"})
    CHECK(texts.contains(text));
  // Of two partial axes either may be scattered first.
  std::set<std::string> finished;
  const Rule sums = dot_rule({8}, {8, 8}, {{0}, {0}, {}, {}});
  for (const Strategy& s : strategy::enumerate(sums, DynamicMesh{2, 4}, {.passes = 0}))
    if (strategy::sharding_of(sums, s, 2).partial_axes().size() == 2)
      finished.insert(to_string(s.output_sharding));
  CHECK(finished.contains("[[0, 1]]"));
  CHECK(finished.contains("[[1, 0]]"));
}

TEST_CASE("merged dims are cut from the major side, evenly, or not at all") {
  const Rule merge = reshape_rule({3, 4}, {12});
  // Three rows can not be cut in two; cutting the four columns would interleave the merged dim.
  const EnumerateOptions splits_only{.passes = 0};
  CHECK(strategy::count(merge, DynamicMesh{2}, splits_only) == 1);
  CHECK(strategy::count(merge, DynamicMesh{3}, splits_only) == 2);
  // Once the rows are used up, the columns follow.
  CHECK(strategy::count(merge, DynamicMesh{3, 2}, splits_only) == 3);
}

TEST_CASE("a heavy op uses every axis that it can") {
  const EnumerateOptions heavy{.use_every_axis = true};
  for (const Strategy& strategy : strategy::enumerate(product, Mesh<2, 4>(), heavy))
    CHECK(strategy.uses.size() == 2);
  // A product of a row and a matrix leaves the second axis nothing to cut.
  const Rule thin = dot_rule({1, 2}, {2, 1}, {{1}, {0}, {}, {}});
  const auto strategies =
      strategy::enumerate(thin, DynamicMesh{2, 4}, {.use_every_axis = true, .passes = 0});
  CHECK(strategies.size() > 0);
  for (const Strategy& strategy : strategies) CHECK(strategy.uses.size() == 1);
}

TEST_CASE("a heavy op's strategy is refused only where another one extends it") {
  const std::vector<std::vector<Dims>> operands{{{10, 1}, {1, 1}},
                                                {{10, 12}, {12, 9}},
                                                {{6, 10}, {10, 10}},
                                                {{1, 2}, {2, 1}},
                                                {{15, 4}, {4, 7}}};
  for (const std::vector<Dims>& dims : operands)
    for (const DynamicMesh& mesh : {DynamicMesh{2, 3}, DynamicMesh{3, 2}, DynamicMesh{2, 5},
                                    DynamicMesh{2, 1, 3}, DynamicMesh{2, 3, 2}}) {
      CAPTURE(to_string(mesh));
      CAPTURE(to_string(dims[0]));
      const Rule rule = dot_rule(dims[0], dims[1], {{1}, {0}, {}, {}});
      const auto all = strategy::enumerate(rule, mesh, {.passes = 0});
      const auto kept = strategy::enumerate(rule, mesh, {.use_every_axis = true, .passes = 0});
      const auto extends = [](const Strategy& more, const Strategy& less) {
        for (const strategy::AxisUse& use : less.uses)
          if (std::find(more.uses.begin(), more.uses.end(), use) == more.uses.end()) return false;
        return more.uses.size() > less.uses.size();
      };
      for (const Strategy& strategy : all) {
        if (std::find(kept.begin(), kept.end(), strategy) != kept.end()) continue;
        CHECK(std::any_of(kept.begin(), kept.end(),
                          [&](const Strategy& other) { return extends(other, strategy); }));
      }
    }
}

TEST_CASE("what passes through is partial in every operand that takes part") {
  const Dims two[] = {{8}, {8}};
  const std::vector<PartialPass> passes{{reduction_set(Reduction::sum), 0b11}};
  const Rule add = elementwise_rule(two, two[0], passes);
  bool found = false;
  for (const Strategy& strategy : strategy::enumerate(add, DynamicMesh{4})) {
    const DynamicSharding left = strategy::sharding_of(add, strategy, 0);
    CHECK(left == strategy::sharding_of(add, strategy, 1));
    found = found || left.is_partial(0);
  }
  CHECK(found);
}

// --- How many there are --------------------------------------------------------------------------

// The ways to choose k of n things.
std::size_t choose(std::size_t n, std::size_t k) {
  std::size_t result = 1;
  for (std::size_t i = 0; i < k; ++i) result = result * (n - i) / (i + 1);
  return result;
}
// The ways to put k things into f lists, where the order in a list counts: f (f+1) ... (f+k-1).
std::size_t lists(std::size_t f, std::size_t k) {
  std::size_t result = 1;
  for (std::size_t i = 0; i < k; ++i) result *= f + i;
  return result;
}
std::size_t power(std::size_t base, std::size_t exponent) {
  std::size_t result = 1;
  while (exponent-- > 0) result *= base;
  return result;
}

// The strategies of an op on n axes, where all dims are large enough.  Of m axes that leave the
// result whole, some stand in the lists of the parallel factors and the others are idle.  Of k that
// leave it partial, some stand in those of the reduction factors and the others pass through; and
// then some are scattered over the result's dims, and each of the others reduced or left partial.
std::size_t strategy_count(std::size_t n, std::size_t parallel, std::size_t reduction,
                           std::size_t passes, std::size_t result_dims) {
  std::size_t count = 0;
  for (std::size_t k = 0; k <= n; ++k) {
    std::size_t whole = 0, partial = 0, finished = 0;
    for (std::size_t j = 0; j <= n - k; ++j) whole += choose(n - k, j) * lists(parallel, j);
    for (std::size_t j = 0; j <= k; ++j) {
      partial += choose(k, j) * lists(reduction, j) * power(passes, k - j);
      finished += choose(k, j) * lists(result_dims, j) * power(2, k - j);
    }
    count += choose(n, k) * whole * partial * finished;
  }
  return count;
}

TEST_CASE("the number of strategies is that of a closed formula") {
  const Extent large = Extent{1} << 20U;
  const DynamicMesh meshes[] = {DynamicMesh{2},         DynamicMesh{8},       DynamicMesh{2, 4},
                                DynamicMesh{4, 4},      DynamicMesh{2, 2, 2}, DynamicMesh{2, 4, 8},
                                DynamicMesh{2, 2, 2, 2}};
  const Dims cube{large, large, large}, square{large, large};
  const std::vector<Extent> over{1};
  const std::vector<PartialPass> one{{reduction_set(Reduction::sum), 0b11}};
  const Dims two[] = {square, square};
  const Rule sum_dot = dot_rule(square, square, {{1}, {0}, {}, {}});
  const Rule batched = dot_rule(cube, cube, {{2}, {1}, {0}, {0}});
  const Rule reduce = reduce_rule(cube, over, Reduction::sum);
  const Rule add = elementwise_rule(two, square, one), exp = elementwise_rule(two, square);
  for (const DynamicMesh& mesh : meshes) {
    CAPTURE(to_string(mesh));
    const std::size_t n = mesh.rank();
    CHECK(strategy::count(exp, mesh) == strategy_count(n, 2, 0, 0, 2));
    CHECK(strategy::count(add, mesh) == strategy_count(n, 2, 0, 1, 2));
    CHECK(strategy::count(reduce, mesh) == strategy_count(n, 2, 1, 1, 2));
    CHECK(strategy::count(sum_dot, mesh, {.passes = 0}) == strategy_count(n, 2, 1, 0, 2));
    if (n > 3) continue;  // there are many
    CHECK(strategy::count(sum_dot, mesh) == strategy_count(n, 2, 1, 2, 2));
    CHECK(strategy::count(batched, mesh) == strategy_count(n, 3, 1, 2, 3));
  }
  // Axes of one device count where they are asked for.
  CHECK(strategy::count(exp, DynamicMesh{1, 4}) == strategy_count(1, 2, 0, 0, 2));
  CHECK(strategy::count(exp, DynamicMesh{1, 4}, {.skip_unit_axes = false}) ==
        strategy_count(2, 2, 0, 0, 2));
}

class OneOp {
 public:
  Builder b;
  Tensor x = b.parameter("x", f32, {64, 64}), w = b.parameter("w", f32, {64, 64});
  Tensor h = einsum<"mk,kn->mn">(x, w);
  cost::Resharding resharding{DynamicMesh{2, 4}, cost::Alpa::with_defaults(2)};

  strategy::Column column(bool prune, std::size_t uses, bool whole = false) {
    strategy::ColumnMaker maker(resharding, reduction_set(Reduction::sum),
                                prune ? strategy::Pruning::within_memory : strategy::Pruning::none);
    return maker.make(b.graph(), h.value().op, {{uses}, {static_cast<char>(whole)}, false});
  }
};

TEST_CASE_FIXTURE(OneOp, "pruning leaves out what another strategy can stand in for") {
  const auto all = column(false, 1), kept = column(true, 1);
  CHECK(kept.size() < all.size());
  // Judged by brute force: each one left out has a stand-in that costs no more from any sharding of
  // the operands to any sharding of the result.
  auto& tensor = resharding.of({f32, {64, 64}});
  std::vector<DynamicSharding> ends;
  for (const auto& choice : all) ends.push_back(choice.results[0]);
  const auto total = [&](const strategy::Choice& choice, DynamicSharding from, DynamicSharding to) {
    return tensor.price(from, choice.operands[0]) + tensor.price(from, choice.operands[1]) +
           choice.price + tensor.price(choice.results[0], to);
  };
  for (const DynamicSharding from : {DynamicSharding::replicated(2), ends[3], ends.back()})
    for (const DynamicSharding to : ends) {
      Cost best_all = infinite, best_kept = infinite;
      for (const auto& choice : all) best_all = std::min(best_all, total(choice, from, to));
      for (const auto& choice : kept) best_kept = std::min(best_kept, total(choice, from, to));
      CHECK(best_all == best_kept);
    }
}

// What pruning is to find, pair by pair and without any shortcut.
class StandIn {
 public:
  StandIn(const Graph& graph, OpId id, cost::Resharding& resharding,
          const strategy::ColumnNeeds& needs)
      : graph_(graph), id_(id), resharding_(resharding), needs_(needs) {}

  bool can_replace(const strategy::Choice& y, const strategy::Choice& x) const {
    Cost total = y.price;
    for (std::size_t r = 0; r < x.results.size(); ++r) {
      if (needs_.is_tied && y.results[r] != x.results[r]) return false;
      if (y.result_bytes[r] > x.result_bytes[r]) return false;
      const Cost each = resharding_.of(graph_.op(id_).results[r]).price(y.results[r], x.results[r]);
      total += each * static_cast<Cost>(needs_.uses[r]);
    }
    for (std::size_t i = 0; i < x.operands.size(); ++i)
      total += resharding_.of(graph_.type_of(graph_.operand(id_, i)))
                   .price(x.operands[i], y.operands[i]);
    return total <= x.price;
  }

 private:
  const Graph& graph_;
  OpId id_;
  cost::Resharding& resharding_;
  const strategy::ColumnNeeds& needs_;
};

// All that steps lead to from copies on every device.
std::set<DynamicSharding, bool (*)(DynamicSharding, DynamicSharding)> reachable(
    const DynamicMesh& mesh, const Dims& dims) {
  std::set<DynamicSharding, bool (*)(DynamicSharding, DynamicSharding)> met(
      [](DynamicSharding a, DynamicSharding b) { return a.bits() < b.bits(); });
  std::vector<DynamicSharding> open{DynamicSharding::replicated(dims.size())};
  while (!open.empty()) {
    const DynamicSharding at = open.back();
    open.pop_back();
    if (!met.insert(at).second) continue;
    for_each_step(at, mesh, dims, Reduction::sum,
                  [&](Step, DynamicSharding after) { open.push_back(after); });
  }
  return met;
}

TEST_CASE("every sharding of a tensor is met once, and no other") {
  for (const DynamicMesh& mesh :
       {DynamicMesh{4}, DynamicMesh{2, 1, 3}, DynamicMesh{2, 2, 2}, DynamicMesh{2, 3, 2}})
    for (const Dims& dims : {Dims{}, Dims{8}, Dims{6, 8}, Dims{4, 1, 8}}) {
      CAPTURE(to_string(mesh));
      CAPTURE(to_string(dims));
      const auto expected = reachable(mesh, dims);
      std::size_t count = 0;
      strategy::detail::for_each_sharding(mesh, dims, reduction_set(Reduction::sum),
                                          [&](DynamicSharding sharding) {
                                            ++count;
                                            CHECK(expected.contains(sharding));
                                          });
      CHECK(count == expected.size());
    }
}

// Whether y could stand in for x where the room that reshardings take counts as well.
class RoomyStandIn {
 public:
  RoomyStandIn(const Graph& graph, OpId id, cost::Resharding& resharding,
               const strategy::ColumnNeeds& needs)
      : graph_(graph),
        id_(id),
        resharding_(resharding),
        needs_(needs),
        judge_(graph, id, resharding, needs) {}

  bool can_replace(const strategy::Choice& y, const strategy::Choice& x) const {
    if (!judge_.can_replace(y, x)) return false;
    for (const bool owns : {false, true}) {
      auto& result = resharding_.of(graph_.op(id_).results[0]);
      const auto finish = [&](const strategy::Choice& choice) {
        const Rule& rule = graph_.op(id_).rule;
        return cost::result_buffers(result,
                                    sharding_of(rule, choice.strategy, rule.operand_count()),
                                    choice.results[0], owns);
      };
      if (!fits(finish(y), finish(x))) return false;
      for (const DynamicSharding to : reachable(resharding_.mesh(), graph_.op(id_).results[0].dims))
        if (needs_.uses[0] != 0 && !fits(cost::operand_buffers(result, y.results[0], to, owns),
                                         cost::operand_buffers(result, x.results[0], to, owns)))
          return false;
      for (std::size_t i = 0; i < x.operands.size(); ++i) {
        const TensorType& type = graph_.type_of(graph_.operand(id_, i));
        auto& operand = resharding_.of(type);
        for (const DynamicSharding from : reachable(resharding_.mesh(), type.dims))
          if (!fits(cost::operand_buffers(operand, from, y.operands[i], owns),
                    cost::operand_buffers(operand, from, x.operands[i], owns)))
            return false;
      }
    }
    return true;
  }

 private:
  static bool fits(cost::ReshardingBuffers y, cost::ReshardingBuffers x) {
    return y.during <= x.during && y.after <= x.after;
  }

  const Graph& graph_;
  OpId id_;
  cost::Resharding& resharding_;
  const strategy::ColumnNeeds& needs_;
  StandIn judge_;
};

// What was left out has a stand-in among what was kept, and nothing that was kept has one.
template<class Judge>
void check_kept(const strategy::Column& all, const strategy::Column& kept, const Judge& judge) {
  for (const auto& choice : all)
    CHECK(std::any_of(kept.begin(), kept.end(), [&](const strategy::Choice& other) {
      return other.strategy == choice.strategy || judge.can_replace(other, choice);
    }));
  std::size_t replaceable = 0;
  for (const auto& choice : kept)
    for (const auto& other : kept)
      if (&choice != &other && judge.can_replace(other, choice)) ++replaceable;
  CHECK(replaceable == 0);
}

TEST_CASE("what buffers need is left out only for what takes no larger ones") {
  Builder b;
  const Tensor x = b.parameter("x", f32, {16, 8}), w = b.parameter("w", f32, {8, 8});
  const Tensor h = einsum<"mk,kn->mn">(x, w);
  const DynamicMesh mesh{2, 4};
  cost::Resharding resharding(mesh, cost::Alpa::with_defaults(2));
  const auto column = [&](OpId id, const strategy::ColumnNeeds& needs, strategy::Pruning pruning) {
    return strategy::ColumnMaker(resharding, reduction_set(Reduction::sum), pruning)
        .make(b.graph(), id, needs);
  };
  for (const OpId id : {h.value().op, exp(h).value().op, (h * h).value().op, x.value().op})
    for (std::size_t uses = 0; uses < 3; ++uses) {
      CAPTURE(std::string(opcode_text(b.graph().op(id))));
      CAPTURE(uses);
      const strategy::ColumnNeeds needs{{uses}, {0}, false};
      const RoomyStandIn judge(b.graph(), id, resharding, needs);
      const auto all = column(id, needs, strategy::Pruning::none);
      const auto kept = column(id, needs, strategy::Pruning::within_buffers);
      CHECK(kept.size() >= column(id, needs, strategy::Pruning::within_memory).size());
      check_kept(all, kept, judge);
    }
}

TEST_CASE("a pruned column is what comparing all pairs leaves, on three axes too") {
  Builder b;
  const Tensor x = b.parameter("x", f32, {16, 64}), w = b.parameter("w", f32, {64, 8});
  const Tensor h = einsum<"mk,kn->mn">(x, w);
  const OpId ids[] = {h.value().op,
                      exp(h).value().op,
                      (h * h).value().op,
                      reduce_sum(x, {1}).value().op,
                      transpose(x, {1, 0}).value().op,
                      x.value().op};
  for (const DynamicMesh& mesh : {DynamicMesh{2, 4}, DynamicMesh{2, 2, 2}}) {
    cost::Resharding resharding(mesh, cost::Alpa::with_defaults(mesh.rank()));
    const auto column = [&](OpId id, const strategy::ColumnNeeds& needs,
                            strategy::Pruning pruning) {
      return strategy::ColumnMaker(resharding, reduction_set(Reduction::sum), pruning)
          .make(b.graph(), id, needs);
    };
    for (const OpId id : ids)
      for (std::size_t uses = 0; uses < 4; ++uses)
        for (const bool is_tied : {false, true}) {
          CAPTURE(to_string(mesh));
          CAPTURE(std::string(opcode_text(b.graph().op(id))));
          CAPTURE(uses);
          CAPTURE(is_tied);
          const strategy::ColumnNeeds needs{{uses}, {0}, is_tied};
          const StandIn judge(b.graph(), id, resharding, needs);
          const auto all = column(id, needs, strategy::Pruning::none);
          const auto kept = column(id, needs, strategy::Pruning::within_memory);
          check_kept(all, kept, judge);
        }
  }
}

TEST_CASE_FIXTURE(OneOp, "an output is never left partial") {
  for (const auto& choice : column(false, 0, true)) CHECK(choice.results[0].partial_axes().empty());
}

TEST_CASE_FIXTURE(OneOp, "strategies read like Alpa's") {
  std::set<std::string> texts;
  for (const auto& choice : column(false, 1))
    texts.insert(strategy::to_string(b.graph().op(h.value().op).rule, choice));
  CHECK(texts.contains("S0R x RS1 -> S0S1"));
  CHECK(texts.contains("S0S1 x S1R -> S0R (allreduce @ [1])"));
  CHECK(texts.contains("S0S1 x S1R -> S01R (reducescatter @ [1])"));
  CHECK(texts.contains("S0S1 x S1R -> S0R+sum[1]"));
}

}  // namespace
