// SPDX-License-Identifier: Apache-2.0
// Cost: Alpa's prices to the thousandth, and reshardings as shortest paths.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
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
  // A third of a tensor is an exact third.
  CHECK(model.price(StepKind::all_reduce, 1, 4, {524288, 3}) == 2622010);
  CHECK(model.price(StepKind::slice, 0, 4, {65536, 1}) == 0);
  CHECK(model.price(StepKind::mask, 0, 4, {65536, 1}) == 0);
}

TEST_CASE("a price too large for 64 bits is reported") {
  const Alpa model({{1, 1}}, {{1'000'000'000'000, 1}});
  CHECK_THROWS_AS(model.price(StepKind::all_reduce, 0, 4, {1LL << 50, 1}), std::overflow_error);
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
  cost::Resharding<Alpa, DynamicMesh> resharding{mesh, Alpa({{1, 1}, {1, 1}}, {{1, 1}, {1, 100}})};
  cost::TensorResharding<Alpa, DynamicMesh>& matrix = resharding.of({ElementType::f32, {128, 128}});

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
                  std::invalid_argument);
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
    cost::TensorResharding<Alpa, DynamicMesh> tensor(mesh, model, dims, 4);
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

}  // namespace
