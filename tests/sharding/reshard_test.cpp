// SPDX-License-Identifier: Apache-2.0
// Resharding steps: each does what it says, is offered when it may be taken, and can be undone.
#include <doctest/doctest.h>

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "support/random.hpp"
#include "tessera/sharding.hpp"

namespace {
using namespace tessera;

// --- Decided by the compiler ---------------------------------------------------------------------
static_assert(nests(8, 1, 4) && nests(10, 1, 4));   // anything nests in the whole
static_assert(nests(8, 2, 4) && !nests(10, 2, 4));  // tiles of 5 hold no whole number of tiles of 2
static_assert(!nests(3, 1, 4) && nests(3, 2, 1));   // fewer elements than tiles; one way is no cut

constexpr int step_count(DynamicSharding sharding, Reduction reduction) {
  int count = 0;
  for_each_step(sharding, Mesh<2, 4>(), Dims{8, 8}, reduction,
                [&](Step, DynamicSharding) { ++count; });
  return count;
}
static_assert(step_count(DynamicSharding::replicated(2), Reduction::none) == 4);  // slices
static_assert(step_count(DynamicSharding::replicated(2), Reduction::sum) == 6);   // and masks

// --- Decided by running --------------------------------------------------------------------------
std::vector<Step> steps_of(DynamicSharding sharding, const DynamicMesh& mesh, const Dims& dims) {
  std::vector<Step> steps;
  for_each_step(sharding, mesh, dims, Reduction::sum,
                [&](Step step, DynamicSharding) { steps.push_back(step); });
  return steps;
}

bool offers(const std::vector<Step>& steps, StepKind kind, Axis axis) {
  return std::any_of(steps.begin(), steps.end(),
                     [&](const Step& step) { return step.kind == kind && step.axis == axis; });
}

TEST_CASE("only the minor-most axis of a dim can be gathered or moved") {
  const DynamicMesh mesh{2, 4};
  const auto steps = steps_of(DynamicSharding(mesh, {{0, 1}, {}}), mesh, {16, 16});
  CHECK(offers(steps, StepKind::all_gather, 1));
  CHECK(offers(steps, StepKind::all_to_all, 1));
  CHECK_FALSE(offers(steps, StepKind::all_gather, 0));
  CHECK_FALSE(offers(steps, StepKind::all_to_all, 0));
}

TEST_CASE("partial sums are reduced or scattered, and never sliced") {
  const DynamicMesh mesh{2, 4};
  const auto steps =
      steps_of(DynamicSharding(mesh, {{}, {}}, {Reduction::sum, {0}}), mesh, {16, 16});
  CHECK(offers(steps, StepKind::all_reduce, 0));
  CHECK(offers(steps, StepKind::reduce_scatter, 0));
  CHECK_FALSE(offers(steps, StepKind::slice, 0));
  CHECK(offers(steps, StepKind::mask, 1));
}

TEST_CASE("axes of one device take no steps, and dims too small are not cut") {
  const DynamicMesh mesh{1, 4};
  const auto steps = steps_of(DynamicSharding(mesh, {{}, {}}), mesh, {3, 8});
  CHECK(steps == std::vector<Step>{{StepKind::slice, 1, 0, 1}, {StepKind::mask, 1}});
}

// The effect of a step on what each device holds, judged by slices alone.
void check_step(const Step& step, DynamicSharding before, DynamicSharding after,
                const DynamicMesh& mesh, const Dims& dims) {
  for (Device device = 0; device < mesh.device_count(); ++device) {
    const Slice old_slice = slice_of(before, mesh, dims, device);
    const Slice new_slice = slice_of(after, mesh, dims, device);
    for (std::size_t dim = 0; dim < dims.size(); ++dim) {
      const bool within = new_slice[dim].size() == 0 ||
                          (old_slice[dim].begin <= new_slice[dim].begin &&
                           new_slice[dim].end <= old_slice[dim].end);
      // A slice needs nothing that the device does not have.
      if (step.kind == StepKind::slice) CHECK(within);
      // A gather over one axis needs only what the devices of its group have.
      if (step.kind == StepKind::all_gather && dim == step.from_dim) {
        std::vector<char> have(static_cast<std::size_t>(dims[dim]), 0);
        const Coordinates here = coordinates_of(mesh, device);
        for (Extent c = 0; c < mesh.extent(step.axis); ++c) {
          Coordinates there = here;
          there[step.axis] = c;
          const Range range = slice_of(before, mesh, dims, device_at(mesh, there))[dim];
          for (Extent i = range.begin; i < range.end; ++i) have[static_cast<std::size_t>(i)] = 1;
        }
        for (Extent i = new_slice[dim].begin; i < new_slice[dim].end; ++i)
          CHECK(have[static_cast<std::size_t>(i)] == 1);
      }
    }
  }
}

TEST_CASE("property: every step offered is local to its axis, on even and uneven dims") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    const DynamicMesh mesh{random.between(1, 4), random.between(2, 3)};
    const Dims dims{random.between(1, 13), random.between(1, 13)};
    // Walk at random from the replicated sharding.
    DynamicSharding at = DynamicSharding::replicated(2);
    for (int walked = 0; walked < 12; ++walked) {
      std::vector<std::pair<Step, DynamicSharding>> choices;
      for_each_step(at, mesh, dims, Reduction::sum,
                    [&](Step step, DynamicSharding after) { choices.emplace_back(step, after); });
      if (choices.empty()) break;
      const auto& choice = random.pick(choices);
      const DynamicSharding after = choice.second;
      CAPTURE(to_string(at));
      CAPTURE(to_string(after));
      check_step(choice.first, at, after, mesh, dims);
      at = after;
    }
  }
}

}  // namespace
