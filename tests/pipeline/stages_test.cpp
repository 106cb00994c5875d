// SPDX-License-Identifier: Apache-2.0
// The choice of stages: against brute force, against its own proof, and against the mistakes that
// are known to lose optima.
#include <doctest/doctest.h>

#include <functional>
#include <optional>

#include "support/random.hpp"
#include "tessera/pipeline/paper_stages.hpp"
#include "tessera/pipeline/stage_proof.hpp"
#include "tessera/pipeline/stage_search.hpp"

namespace {
using namespace tessera;
using namespace tessera::pipeline;
using tessera_test::Random;

// Every choice there is.  Knows nothing of thresholds.
std::optional<StageValue> brute_force(const StageProblem& problem, Goal goal) {
  std::optional<StageValue> best;
  Stages stages;
  const Weights weights = weights_of(problem, goal);
  const std::function<void(std::size_t, Extent)> extend = [&](std::size_t first, Extent left) {
    if (first == problem.layers()) {
      if (left != 0) return;
      for (std::size_t i = 0; i < stages.size(); ++i)
        if (stages[i].option.max_successors < static_cast<std::int64_t>(stages.size() - 1 - i))
          return;
      const StageValue value = evaluate(problem, stages);
      const Wide cost = weighted(value, weights);
      const bool is_better = !best || cost < weighted(*best, weights) ||
                             (cost == weighted(*best, weights) && value.latency < best->latency);
      if (is_better) best = value;
      return;
    }
    for (std::size_t last = first; last < problem.layers(); ++last)
      for (const StageProblem::Entry& entry : problem.entries(first, last)) {
        const Extent size = problem.sizes()[entry.size];
        if (size > left) continue;
        stages.push_back({first, last, entry.size, entry.option});
        extend(last + 1, left - size);
        stages.pop_back();
      }
  };
  extend(0, problem.devices());
  return best;
}

struct Shape {
  std::size_t max_layers = 7;
  Extent max_devices = 8;
  std::vector<Cost> tops{0, 3, 20, 1000, 1'000'000'000'000};  // times up to one of these
  bool has_extras = true;                                     // transfers and per-step times
  bool has_limits = true;
};

StageProblem random_problem(std::uint64_t seed, const Shape& shape) {
  Random random(seed);
  const std::size_t layers = 1 + random.below(shape.max_layers);
  const Extent devices = random.between(1, shape.max_devices);
  std::vector<Extent> sizes;
  for (Extent size = 1; size <= devices; size *= 2) sizes.push_back(size);
  if (random.once_in(3)) sizes.push_back(3);
  if (random.once_in(4)) std::reverse(sizes.begin(), sizes.end());
  StageProblem problem(layers, devices, random.between(1, 64), sizes);
  const Cost top = random.pick(shape.tops);
  const std::uint64_t missing = random.pick(std::vector<std::uint64_t>{2, 3, 10, 1000});
  const bool has_limits = shape.has_limits && !random.once_in(3);
  const bool has_extras = shape.has_extras && random.once_in(2);
  for (std::size_t first = 0; first < layers; ++first)
    for (std::size_t last = first; last < layers; ++last)
      for (std::size_t size = 0; size < sizes.size(); ++size)
        for (std::size_t option = 0; option < 1 + random.below(2); ++option) {
          StageOption added;
          added.time = random.once_in(missing) ? infinite : random.between(0, top);
          if (has_limits) added.max_successors = random.between(-1, 4);
          if (has_extras) {
            added.receive = random.between(0, top / 2);
            added.per_step = random.between(0, std::min(top, infinite / 9) * 8);
          }
          problem.add(first, last, size, added);
        }
  return problem;
}

void check_against_brute_force(const StageProblem& problem, Goal goal) {
  const std::optional<StageValue> best = brute_force(problem, goal);
  const StageAnswer answer = find_stages(problem, {.goal = goal});
  const StageVerdict verdict = check_stage_proof(problem, goal, answer.proof);
  REQUIRE(verdict.fault == "");
  REQUIRE(answer.is_feasible == best.has_value());
  CHECK(verdict.lower_bound.has_value() == best.has_value());
  if (!best) return;
  const StageValue value = evaluate(problem, answer.stages);
  const Weights weights = weights_of(problem, goal);
  CHECK(tessera::to_string(answer.cost) == tessera::to_string(weighted(*best, weights)));
  CHECK(weighted(value, weights) == answer.cost);
  CHECK(answer.lower_bound == answer.cost);
  CHECK(*verdict.lower_bound == answer.cost);
  if (goal == Goal::throughput) CHECK(value.latency == best->latency);
}

TEST_CASE("property: a thousand small problems are solved to the optimum, and proven") {
  int infeasible = 0, counted = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    const StageProblem problem = random_problem(seed, {});
    check_against_brute_force(problem, Goal::step_time);
    check_against_brute_force(problem, Goal::throughput);
    const StageAnswer answer = find_stages(problem);
    infeasible += !answer.is_feasible;
    counted += answer.statistics.counted > 0;
  }
  CHECK(infeasible > 20);  // the generator reaches what it is there for
  CHECK(counted > 20);
}

TEST_CASE("property: sums that leave 64 bits") {
  Shape shape;
  shape.tops = {infinite - 1};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    check_against_brute_force(random_problem(seed, shape), Goal::step_time);
  }
}

TEST_CASE("property: the paper's algorithm agrees where nothing is asked that it does not know") {
  Shape shape;
  shape.has_extras = false;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const StageProblem problem = random_problem(seed, shape);
    const PaperAnswer paper = paper_stages(problem);
    const StageAnswer ours = find_stages(problem);
    REQUIRE(paper.is_finished);
    REQUIRE(paper.is_feasible == ours.is_feasible);
    if (ours.is_feasible) CHECK(paper.cost == ours.cost);
  }
}

// --- What loses optima elsewhere -----------------------------------------------------------------

// Two layers, two devices: both on one submesh, or each on its own.
StageProblem two_layers(std::int64_t microbatches, Cost together, Cost apart) {
  StageProblem problem(2, 2, microbatches, {1, 2});
  problem.add(0, 1, 1, {.time = together});
  problem.add(0, 0, 0, {.time = apart});
  problem.add(1, 1, 0, {.time = apart});
  return problem;
}

TEST_CASE("candidate periods that are close together are all tried") {
  // In picoseconds, where a microsecond is a million.  The slower period is the better choice, and
  // who tries no two values within a microsecond never sees it.
  constexpr Cost apart = 500'000, together = 500'001;
  const StageProblem problem = two_layers(1, together, apart);
  CHECK(find_stages(problem).cost == together);
  CHECK(paper_stages(problem).cost == together);
  CHECK(paper_stages(problem, {.skip = 1'000'000}).cost == 2 * apart);
}

TEST_CASE("times that single precision can not tell apart are told apart") {
  constexpr Cost base = 1 << 30;  // a float's neighbours are 64 apart here
  CHECK(find_stages(two_layers(1, 2 * base + 1, base)).cost == 2 * base);
  CHECK(find_stages(two_layers(1, 2 * base - 1, base)).cost == 2 * base - 1);
  CHECK(find_stages(two_layers(1000, base + 1, base)).value.largest_period == base + 1);
}

TEST_CASE("zero is a time like any other") {
  const StageAnswer answer = find_stages(two_layers(8, 1, 0));
  REQUIRE(answer.is_feasible);
  CHECK(answer.cost == 0);
  CHECK(answer.stages.size() == 2);
}

TEST_CASE("every device is used, even where a stage runs no faster for it") {
  StageProblem problem(1, 3, 4, {1, 2});
  problem.add(0, 0, 0, {.time = 5});
  problem.add(0, 0, 1, {.time = 5});
  CHECK(!find_stages(problem).is_feasible);
}

// --- What a step is made of ----------------------------------------------------------------------

TEST_CASE("a slow transfer holds up the pipeline, a fast one only adds to the latency") {
  StageProblem problem(2, 2, 10, {1});
  problem.add(0, 0, 0, {.time = 100});
  problem.add(1, 1, 0, {.time = 100, .receive = 30});
  CHECK(find_stages(problem).cost == 230 + 9 * 100);
  StageProblem slow(2, 2, 10, {1});
  slow.add(0, 0, 0, {.time = 100});
  slow.add(1, 1, 0, {.time = 100, .receive = 130});
  CHECK(find_stages(slow).cost == 330 + 9 * 130);
}

TEST_CASE("what happens once per step is paid once, by the slowest stage") {
  StageProblem problem(2, 2, 10, {1});
  problem.add(0, 0, 0, {.time = 100, .per_step = 70});
  problem.add(1, 1, 0, {.time = 100, .per_step = 50});
  CHECK(find_stages(problem).cost == 200 + 9 * 100 + 70);
}

TEST_CASE("memory limits count the microbatches that a schedule keeps in flight") {
  const StageMemory memory{.fixed = 10, .per_microbatch = 20};
  constexpr std::int64_t few = 4, many = 1000;
  CHECK(most_successors(memory, 9, ScheduleKind::one_f_one_b, many) == -1);
  CHECK(most_successors(memory, 29, ScheduleKind::one_f_one_b, many) == -1);
  CHECK(most_successors(memory, 30, ScheduleKind::one_f_one_b, many) == 0);
  CHECK(most_successors(memory, 89, ScheduleKind::one_f_one_b, many) == 2);
  CHECK(most_successors(memory, 90, ScheduleKind::one_f_one_b, few) == any_successors);
  CHECK(most_successors(memory, 89, ScheduleKind::one_f_one_b, few) == 2);
  CHECK(most_successors(memory, 30, ScheduleKind::eager_one_f_one_b, many) == 0);
  CHECK(most_successors(memory, 69, ScheduleKind::eager_one_f_one_b, many) == 0);
  CHECK(most_successors(memory, 70, ScheduleKind::eager_one_f_one_b, many) == 1);
  CHECK(most_successors(memory, 90, ScheduleKind::eager_one_f_one_b, few) == any_successors);
  CHECK(most_successors(memory, 89, ScheduleKind::gpipe, few) == -1);
  CHECK(most_successors(memory, 90, ScheduleKind::gpipe, few) == any_successors);
  CHECK(most_successors({.fixed = 10}, 10, ScheduleKind::one_f_one_b, many) == any_successors);
  CHECK_THROWS_WITH(
      most_successors(memory, 90, ScheduleKind::interleaved, few),
      "in_flight: under the schedule interleaved the number of microbatches in flight depends "
      "on all stages; simulate the schedule to find it");
}

TEST_CASE("stages can be limited in number") {
  for (const std::int64_t most : {1, 2, 3}) {
    StageProblem problem(4, 4, 100, {1, 2, 3, 4});
    for (std::size_t first = 0; first < 4; ++first)
      for (std::size_t last = first; last < 4; ++last)
        for (std::size_t size = 0; size < 4; ++size)  // devices are in each other's way
          problem.add(first, last, size,
                      {.time = static_cast<Cost>(60 * (last - first + 1) * (size + 1)),
                       .max_successors = first == 0 ? most - 1 : any_successors});
    CHECK(static_cast<std::int64_t>(find_stages(problem).stages.size()) == most);
  }
}

TEST_CASE("a gap that is asked for is kept, and the bound stays true") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    const StageProblem problem = random_problem(seed, {});
    const std::optional<StageValue> best = brute_force(problem, Goal::step_time);
    const StageAnswer answer = find_stages(problem, {.gap = 0.25});
    const StageVerdict verdict = check_stage_proof(problem, Goal::step_time, answer.proof);
    REQUIRE(verdict.fault == "");
    REQUIRE(answer.is_feasible == best.has_value());
    if (!best) continue;
    const Wide optimum = weighted(*best, weights_of(problem, Goal::step_time));
    CHECK(answer.lower_bound <= optimum);
    CHECK(answer.cost >= optimum);
    CHECK(4 * (answer.cost - answer.lower_bound) <= answer.lower_bound);
  }
}

// It is told to end after so many questions, whatever it is doing then.
TEST_CASE("property: a search that is cut short has a choice or none, and a bound that is proven") {
  int without = 0, with = 0, whole = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    const StageProblem problem = random_problem(seed, {});
    const std::optional<StageValue> best = brute_force(problem, Goal::step_time);
    for (int most = 0; most < 200; most = 2 * most + 1) {
      CAPTURE(most);
      int asked = 0;
      const StageAnswer answer = find_stages(problem, {.is_over = [&] { return asked++ >= most; }});
      CHECK(asked <= most + 2);  // in the sweep, and by the search
      const StageVerdict verdict = check_stage_proof(problem, Goal::step_time, answer.proof);
      REQUIRE(verdict.fault == "");
      if (!answer.is_cut_short) CHECK(answer.is_feasible == best.has_value());
      if (answer.is_feasible) CHECK(best.has_value());
      whole += !answer.is_cut_short;
      (answer.is_feasible ? with : without) += answer.is_cut_short;
      if (!best) continue;
      const Weights weights = weights_of(problem, Goal::step_time);
      const Wide optimum = weighted(*best, weights);
      CHECK(answer.lower_bound <= optimum);
      CHECK(*verdict.lower_bound >= answer.lower_bound);
      if (!answer.is_feasible) continue;
      CHECK(answer.cost >= optimum);
      CHECK(weighted(evaluate(problem, answer.stages), weights) == answer.cost);
      if (!answer.is_cut_short) CHECK(answer.cost == optimum);
    }
  }
  CHECK(without > 20);
  CHECK(with > 20);
  CHECK(whole > 20);
}

// --- Proofs --------------------------------------------------------------------------------------

TEST_CASE("a proof that is tampered with is refused") {
  const StageProblem problem = two_layers(8, 10, 7);
  StageProof proof = find_stages(problem).proof;
  REQUIRE(check_stage_proof(problem, Goal::step_time, proof).fault == "");
  for (std::size_t i = 0; i < proof.size(); ++i) {
    StageProof holed = proof;
    holed.erase(holed.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(check_stage_proof(problem, Goal::step_time, holed).fault != "");
    StageProof boasting = proof;
    boasting[i].latency_at_least = 1'000'000;
    const bool has_stages = pipeline::plain_least_sum(problem, proof[i].to).has_value();
    CHECK((check_stage_proof(problem, Goal::step_time, boasting).fault != "") == has_stages);
  }
}

// --- Misuse --------------------------------------------------------------------------------------

TEST_CASE("numbers out of range are refused by name") {
  CHECK_THROWS_WITH(StageProblem(0, 8, 1, {1}), "stage problem: there are no layers");
  CHECK_THROWS_WITH(StageProblem(1, 0, 1, {1}),
                    "stage problem: devices: 0 given, must be from 1 to 2^31 - 2");
  CHECK_THROWS_WITH(StageProblem(1, 8, 0, {1}),
                    "stage problem: microbatches: 0 given, must be at least 1");
  CHECK_THROWS_WITH(StageProblem(1, 8, 1, {0}),
                    "stage problem: a submesh's devices: 0 given, must be at least 1");
  StageProblem problem(2, 2, 1, {1});
  CHECK_THROWS_WITH(problem.add(1, 2, 0, {}),
                    "stage problem: span 1..2 on size 0: there are 2 layers and 1 sizes");
  CHECK_THROWS_WITH(problem.add(0, 0, 0, {.time = -1}),
                    "stage problem: span 0..0 has a negative time");
  problem.add(0, 0, 0, {.time = 1});
  CHECK_THROWS_WITH(evaluate(problem, {{0, 0, 0, {.time = 2}}}),
                    "stages: stage 0 has an option that is none of the problem's");
  CHECK_THROWS_WITH(evaluate(problem, {{0, 0, 0, {.time = 1}}}), "stages: layer 1 is in no stage");
}

}  // namespace
