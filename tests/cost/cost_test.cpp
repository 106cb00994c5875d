// SPDX-License-Identifier: Apache-2.0
// Cost: Alpa's prices to the thousandth, and reshardings as shortest paths.
#include <doctest/doctest.h>

#include <initializer_list>
#include <map>
#include <stdexcept>
#include <vector>

#include "support/random.hpp"
#include "tessera/cost.hpp"

namespace {
using namespace tessera;
using cost::Alpa;
using cost::Message;
using graph::ElementType;

TEST_CASE("Alpa's prices are exact") {
  const Alpa model({{1, 1}, {1, 1}}, {{1, 1}, {1, 100}});
  // One all-reduce of a 128x128 float matrix over four devices: 98305.01.
  CHECK(model.price(StepKind::all_reduce, 0, 4, {65536, 1}) == 98305010);
  CHECK(model.price(StepKind::all_gather, 0, 4, {65536, 1}) == 49153100);
  CHECK(model.price(StepKind::reduce_scatter, 0, 4, {65536, 1}) == 49153001);
  CHECK(model.price(StepKind::all_to_all, 0, 4, {65536, 1}) == 18433001);
  // floor(1 + 0.01 * 2 * 7/8 * 131072) is 2294, not what a double rounds to.
  CHECK(model.price(StepKind::all_reduce, 1, 8, {524288, 4}) == 2294010);
  // A million bytes over eight devices of the inner axis, as Alpa's defaults have it.
  const Alpa defaults = Alpa::with_defaults(2);
  CHECK(defaults.price(StepKind::all_gather, 1, 8, {1'000'000, 1}) == 87501100);
  CHECK(defaults.price(StepKind::all_reduce, 1, 8, {1'000'000, 1}) == 175001010);
  // A third of a tensor is an exact third.
  CHECK(model.price(StepKind::all_reduce, 1, 4, {524288, 3}) == 2622010);
  CHECK(model.price(StepKind::slice, 0, 4, {65536, 1}) == 0);
  CHECK(model.price(StepKind::mask, 0, 4, {65536, 1}) == 0);
}

TEST_CASE("a price too large for 64 bits is reported") {
  const Alpa model({{1, 1}}, {{1'000'000'000'000, 1}});
  CHECK_THROWS_AS(model.price(StepKind::all_reduce, 0, 4, {1LL << 50, 1}), tessera::Overflow);
}

TEST_CASE("coefficients that say nothing, or nonsense, are refused") {
  CHECK_THROWS_WITH(Alpa({{1, 1}, {1, 1}}, {{1, 1}}),
                    "Alpa: 2 alphas and 1 betas; give each axis one of each");
  CHECK_THROWS_AS(Alpa({{-1, 1}}, {{1, 1}}), tessera::InvalidArgument);
  CHECK_THROWS_AS(Alpa({{1, 1}}, {{-1, 10}}), tessera::InvalidArgument);
  CHECK_THROWS_AS(Alpa({{1, 0}}, {{1, 1}}), tessera::InvalidArgument);
  const Alpa one({{1, 1}}, {{1, 1}});
  CHECK_THROWS_AS(one.price(StepKind::all_reduce, 1, 4, {64, 1}), tessera::InvalidArgument);
  // A mesh with more axes than coefficients: links would be free.
  using Grid = DynamicMesh;
  CHECK_THROWS_WITH((cost::Resharding(Grid{2, 4}, one)),
                    "the cost model has coefficients for 1 mesh axes, and mesh 2x4 has 2");
  CHECK_THROWS_AS((cost::TensorResharding(Grid{2, 4}, one, {8}, 4)),
                  tessera::InvalidArgument);
  CHECK_NOTHROW((cost::Resharding(Grid{2}, Alpa::with_defaults(2))));
}

TEST_CASE("costs print as people write them") {
  CHECK(cost::to_decimal(26872030, 1000) == "26872.03");
  CHECK(cost::to_decimal(0, 1000) == "0");
  CHECK(cost::to_decimal(5, 1000) == "0.005");
  CHECK(cost::to_decimal(-1500, 1000) == "-1.5");
  CHECK(cost::to_decimal(7, 1) == "7");
}

TEST_CASE("the message of a step is local to the other axes") {
  const DynamicMesh mesh{4, 8};
  const DynamicSharding sharding(mesh, {{0}, {1}});
  CHECK(cost::message_of(0, sharding, mesh, 1024) == Message{1024, 8});
  CHECK(cost::message_of(1, sharding, mesh, 1024) == Message{1024, 4});
  CHECK(Message{10, 4}.rounded_up() == 3);
}

class OnGrid {
 public:
  const DynamicMesh mesh{4, 8};
  cost::Resharding resharding{mesh, Alpa({{1, 1}, {1, 1}}, {{1, 1}, {1, 100}})};
  cost::TensorResharding& matrix = resharding.of({ElementType::f32, {128, 128}});

  std::vector<StepKind> kinds(DynamicSharding from, DynamicSharding to) {
    std::vector<StepKind> result;
    for (const cost::PricedStep& step : matrix.path(from, to)) result.push_back(step.step.kind);
    return result;
  }
};

TEST_CASE_FIXTURE(OnGrid, "a reduction over a slow axis is cut over a fast one first") {
  const DynamicSharding partial(mesh, {{}, {}}, {Reduction::sum, {0}});
  const DynamicSharding whole(mesh, {{}, {}});
  CHECK(kinds(partial, whole) ==
        std::vector<StepKind>{StepKind::slice, StepKind::all_reduce, StepKind::all_gather});
  CHECK(matrix.price(partial, whole) == 12289010 + 574100);
}

TEST_CASE_FIXTURE(OnGrid, "slices and masks are free, and so is staying") {
  const DynamicSharding whole(mesh, {{}, {}});
  CHECK(matrix.price(whole, DynamicSharding(mesh, {{0, 1}, {}})) == 0);
  CHECK(matrix.price(whole, DynamicSharding(mesh, {{}, {}}, {Reduction::max, {0, 1}})) == 0);
  CHECK(matrix.price(whole, whole) == 0);
  CHECK(matrix.path(whole, whole).empty());
}

TEST_CASE_FIXTURE(OnGrid, "partial sums become partial maxima only by way of the whole") {
  const DynamicSharding sums(mesh, {{}, {}}, {Reduction::sum, {1}});
  const DynamicSharding maxima(mesh, {{}, {}}, {Reduction::max, {1}});
  CHECK(matrix.price(sums, maxima) == matrix.price(sums, DynamicSharding(mesh, {{}, {}})));
}

TEST_CASE_FIXTURE(OnGrid, "memory is that of the largest shard") {
  CHECK(matrix.local_bytes(DynamicSharding(mesh, {{0}, {1}})) == 32 * 16 * 4);
  CHECK(matrix.local_bytes(DynamicSharding(mesh, {{}, {}}, {Reduction::sum, {0, 1}})) == 65536);
  auto& uneven = resharding.of({ElementType::bf16, {10}});
  CHECK(uneven.local_bytes(DynamicSharding(mesh, {{0}})) == 6);
}

TEST_CASE_FIXTURE(OnGrid, "a sharding that does not fit the tensor is refused") {
  auto& small = resharding.of({ElementType::f32, {3}});
  CHECK_THROWS_AS(small.price(DynamicSharding(mesh, {{0}}), DynamicSharding(mesh, {{}})),
                  tessera::InvalidArgument);
}

TEST_CASE_FIXTURE(OnGrid,
                  "a sharding of another mesh or another rank is refused, also for itself") {
  const DynamicMesh cube{4, 8, 2};
  const DynamicSharding whole(mesh, {{}, {}}), foreign(cube, {{2}, {}});
  const DynamicSharding foreign_sum(cube, {{}, {}}, {Reduction::sum, {2}}), flat(mesh, {{0}});
  const auto rule_broken = [&](DynamicSharding from, DynamicSharding to) {
    for (const bool asks_path : {false, true}) try {
        asks_path ? static_cast<void>(matrix.path(from, to))
                  : static_cast<void>(matrix.price(from, to));
        FAIL("accepted");
      } catch (const InvalidSharding& error) {
        if (asks_path) return error.fault().rule;
      }
    return ShardingRule::none;
  };
  CHECK(rule_broken(foreign, whole) == ShardingRule::no_such_axis);
  CHECK(rule_broken(whole, foreign_sum) == ShardingRule::no_such_axis);
  CHECK(rule_broken(foreign, foreign) == ShardingRule::no_such_axis);
  CHECK(rule_broken(flat, whole) == ShardingRule::ranks_differ);
  CHECK(rule_broken(flat, flat) == ShardingRule::ranks_differ);
  auto& small = resharding.of({ElementType::f32, {3}});
  CHECK_THROWS_AS(small.price(DynamicSharding(mesh, {{0}}), DynamicSharding(mesh, {{0}})),
                  tessera::InvalidArgument);
  // Not even where the mesh has an axis of one device.
  const DynamicMesh line{4, 1};
  cost::TensorResharding tensor(line, Alpa::with_defaults(2), {8}, 4);
  CHECK_THROWS_AS(tensor.price(DynamicSharding(cube, {{2}}), DynamicSharding(line, {{}})),
                  InvalidSharding);
  CHECK(tensor.price(DynamicSharding(line, {{1}}), DynamicSharding(line, {{}})) == 0);
}

TEST_CASE("a path whose price does not fit in 64 bits is refused, not forbidden or negative") {
  const DynamicMesh mesh{2, 2, 2, 2, 2, 2};
  Alpa::Coefficients alpha(6, Decimal{2'300'000'000'000'000, 1}), beta(6, Decimal{0, 1});
  cost::TensorResharding wide(mesh, Alpa(alpha, beta), {2, 2, 2, 2, 2, 2}, 4);
  const DynamicSharding all(mesh, {{0}, {1}, {2}, {3}, {4}, {5}});
  const DynamicSharding three(mesh, {{0}, {1}, {2}, {}, {}, {}});
  const DynamicSharding whole(mesh, {{}, {}, {}, {}, {}, {}});
  CHECK(wide.price(three, whole) == 3 * Cost{2'300'000'000'000'000'100});
  CHECK_THROWS_AS(wide.price(all, whole), tessera::Overflow);
  CHECK_THROWS_AS(wide.path(all, whole), tessera::Overflow);
  // The same on a mesh small enough to search without guidance.
  const DynamicMesh small{2, 2, 2, 2, 2};
  alpha.pop_back(), beta.pop_back();
  cost::TensorResharding line(small, Alpa(alpha, beta), {32}, 4);
  CHECK_THROWS_AS(
      line.price(DynamicSharding(small, {{0, 1, 2, 3, 4}}), DynamicSharding(small, {{}})),
      tessera::Overflow);
}

// Prices as Alpa's, but no all-gather over axis 0 is allowed, nor any all-to-all.
struct Forbidding {
  Cost price(StepKind kind, Axis axis, Extent, Message) const {
    if (kind == StepKind::all_to_all || (kind == StepKind::all_gather && axis == 0))
      return infinite;
    return 1;
  }
  Cost denominator() const { return 1; }
  const char* unit() const { return "steps"; }
  bool spreads_heavy_ops() const { return false; }
};

TEST_CASE("what a model forbids has no price and no path") {
  const DynamicMesh mesh{2, 2};
  cost::TensorResharding tensor(mesh, Forbidding{}, {4, 4}, 4);
  const DynamicSharding whole(mesh, {{}, {}});
  CHECK(tensor.price(DynamicSharding(mesh, {{0}, {}}), whole) == infinite);
  CHECK(tensor.price(DynamicSharding(mesh, {{1}, {}}), whole) == 1);
  CHECK_THROWS_AS(tensor.path(DynamicSharding(mesh, {{0}, {}}), whole), tessera::InvalidArgument);
}

TEST_CASE("eight axes and three dims: typical pairs are priced at once") {
  const DynamicMesh mesh{2, 2, 2, 2, 2, 2, 2, 2};
  cost::TensorResharding tensor(mesh, Alpa::with_defaults(8), {256, 256, 256},
                                                   4);
  const auto on = [&](std::initializer_list<std::initializer_list<std::size_t>> dims,
                      PartialAxes partial = {}) { return DynamicSharding(mesh, dims, partial); };
  const DynamicSharding whole = on({{}, {}, {}}), split = on({{0, 1, 2}, {3, 4}, {5, 6, 7}});
  CHECK(tensor.price(whole, split) == 0);
  CHECK(tensor.path(whole, split).size() == 8);
  const auto adds_up = [&](DynamicSharding from, DynamicSharding to) {
    DynamicSharding at = from;
    Cost sum = 0;
    for (const cost::PricedStep& step : tensor.path(from, to)) {
      at = apply(step.step, at, to.reduction());
      sum += step.price;
    }
    CHECK(at == to);
    CHECK(sum == tensor.price(from, to));
    CHECK(sum > 0);
  };
  adds_up(split, whole);
  adds_up(on({{0}, {}, {}}), on({{}, {0}, {}}));
  adds_up(on({{0, 1}, {2}, {}}), on({{}, {0, 1}, {2}}));
  adds_up(on({{2}, {3}, {}}, {Reduction::sum, {0, 1, 7}}), on({{2}, {}, {3}}));
  adds_up(on({{}, {}, {}}, {Reduction::sum, {0, 1}}), whole);
  adds_up(on({{}, {}, {}}, {Reduction::sum, {0, 1}}), on({{}, {}, {}}, {Reduction::max, {2, 3}}));
}

// The same shortest paths by another algorithm: relaxing every step until nothing improves.
std::map<DynamicSharding, Cost> prices_from(DynamicSharding source, const DynamicMesh& mesh,
                                            const Alpa& model, const Dims& dims, Extent bytes) {
  std::map<DynamicSharding, Cost> price{{source, 0}};
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& entry : std::map(price)) {
      const DynamicSharding at = entry.first;
      const Cost so_far = entry.second;
      for_each_step(at, mesh, dims, Reduction::sum, [&](Step step, DynamicSharding after) {
        const Cost total = so_far + model.price(step.kind, step.axis, mesh.extent(step.axis),
                                                cost::message_of(step.axis, at, mesh, bytes));
        const auto [there, is_new] = price.emplace(after, total);
        if (is_new || total < there->second) {
          there->second = total;
          changed = true;
        }
      });
    }
  }
  return price;
}

TEST_CASE("property: prices are shortest paths, so they obey the triangle inequality") {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    const DynamicMesh mesh{random.between(1, 4), random.between(2, 5)};
    const Dims dims{random.between(1, 12), random.between(1, 40)};
    const Alpa model({{1, 1}, {random.between(0, 9), 1}}, {{1, 1}, {random.between(1, 100), 100}});
    cost::TensorResharding tensor(mesh, model, dims, 4);
    const DynamicSharding source = DynamicSharding::replicated(2);
    const auto reachable = prices_from(source, mesh, model, dims, element_count(dims) * 4);
    std::vector<DynamicSharding> all;
    for (const auto& [sharding, price] : reachable) all.push_back(sharding);
    const DynamicSharding from = random.pick(all);
    for (const auto& entry : prices_from(from, mesh, model, dims, element_count(dims) * 4)) {
      const DynamicSharding to = entry.first;
      const Cost price = entry.second;
      CAPTURE(to_string(from));
      CAPTURE(to_string(to));
      CHECK(tensor.price(from, to) == price);
      Cost sum = 0;
      DynamicSharding at = from;
      for (const cost::PricedStep& step : tensor.path(from, to)) {
        sum += step.price;
        at = apply(step.step, at, Reduction::sum);
      }
      CHECK(sum == price);
      CHECK(at == to);
      const DynamicSharding between = random.pick(all);
      CHECK(tensor.price(from, to) <= tensor.price(from, between) + tensor.price(between, to));
    }
  }
}

TEST_CASE("property: on meshes too large to search everywhere, guided paths are shortest too") {
  // Six axes; small dims keep the other algorithm's work small.
  const DynamicMesh mesh{2, 2, 2, 2, 2, 2};
  const Dims dims{4, 2, 2};
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    Alpa::Coefficients alpha, beta;
    for (int axis = 0; axis < 6; ++axis) {  // with each seed more axes are unlike others
      const bool is_unlike = axis < static_cast<int>(2 * seed);
      alpha.push_back({is_unlike ? random.between(0, 5) : 1, 1});
      beta.push_back({is_unlike ? random.between(1, 30) : 10, 10});
    }
    const Alpa model(alpha, beta);
    cost::TensorResharding tensor(mesh, model, dims, 4);
    std::vector<DynamicSharding> all;
    for (const auto& entry : prices_from(DynamicSharding::replicated(3), mesh, model, dims, 64))
      all.push_back(entry.first);
    const DynamicSharding from = random.pick(all);
    const auto prices = prices_from(from, mesh, model, dims, 64);
    for (int i = 0; i < 40; ++i) {
      const DynamicSharding to = random.pick(all);
      CAPTURE(to_string(from));
      CAPTURE(to_string(to));
      CHECK(tensor.price(from, to) == prices.at(to));
      DynamicSharding at = from;
      Cost sum = 0;
      for (const cost::PricedStep& step : tensor.path(from, to)) {
        CHECK(step.message == cost::message_of(step.step.axis, at, mesh, 64));
        at = apply(step.step, at, Reduction::sum);
        sum += step.price;
      }
      CHECK(at == to);
      CHECK(sum == prices.at(to));
    }
  }
}

}  // namespace
