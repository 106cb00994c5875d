// SPDX-License-Identifier: Apache-2.0
// Plans that experts make by hand cost no less than what is found, and what is found is of their
// kind where memory, shapes or wires favour it.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

#include "support/expert_pipelines.hpp"
#include "support/expert_situations.hpp"
#include "tessera/core/text.hpp"
#include "tessera/solver/solve.hpp"

namespace {
using namespace tessera_test;
using tessera::solver::Status;

TEST_CASE("no expert's plan is cheaper than the one that is found") {
  for (const Situation& situation : situations(1)) {
    CAPTURE(situation.model);
    CAPTURE(situation.budget);
    const Priced priced = price(situation);
    const TrainingStep step(priced.graph);
    const tessera::plan::Plan found = priced.plan({});
    REQUIRE(found.status == Status::optimal);
    if (priced.budget) CHECK(found.memory_with_buffers <= *priced.budget);
    const std::set<std::string> words = resemblance(step, found);
    const std::string all =
        tessera::joined(words, " ", [](const std::string& word) { return word; });
    CAPTURE(all);
    for (const std::string& expected : situation.expected) {
      CAPTURE(expected);
      CHECK(words.contains(expected));
    }
    int fitting = 0;
    for (const Expert& expert : situation.experts) {
      CAPTURE(expert.name);
      const tessera::plan::Plan by_hand = priced.plan(expert.annotate(step));
      if (by_hand.status == Status::infeasible && priced.budget) continue;
      REQUIRE(by_hand.status == Status::optimal);
      CHECK(found.cost <= by_hand.cost);
      ++fitting;
    }
    CHECK(fitting > 0);
  }
}

// The fast ones of those that the benchmark expert-pipelines goes through.
TEST_CASE("no pipeline that an expert ran is faster than the one that is found") {
  int count = 0;
  for (const ExpertPipeline& run : expert_pipelines()) {
    const bool is_fast = run.data * run.tensor * run.stages <= 4 && run.batch < 16;
    if (!is_fast) continue;
    CAPTURE(run.id);
    const PipelineComparison both = compare(run);
    REQUIRE(both.by_hand.has_stages());
    REQUIRE(both.found.has_stages());
    CHECK(both.by_hand.stages.size() ==
          static_cast<std::size_t>(run.stages * std::max<std::int64_t>(1, run.chunks)));
    CHECK(both.found.step_time <= both.by_hand.step_time);
    for (const tessera::plan::PlannedStage& stage : both.found.stages)
      CHECK(stage.bytes <= both.found.memory_capacity);
    ++count;
  }
  CHECK(count >= 5);
}

TEST_CASE("what an expert does by hand is told from its plan") {
  const Situation situation = situations(1)[1];
  Priced priced = price(situation);
  priced.budget.reset();
  const TrainingStep step(priced.graph);
  const auto words_of = [&](const char* name) {
    for (const Expert& expert : situation.experts)
      if (expert.name == name) return resemblance(step, priced.plan(expert.annotate(step)));
    return std::set<std::string>{};
  };
  using Words = std::set<std::string>;
  CHECK(words_of("data parallelism") == Words{"batch"});
  CHECK(words_of("ZeRO-1") == Words{"batch", "state"});
  CHECK(words_of("ZeRO-2") == Words{"batch", "state"});
  CHECK(words_of("ZeRO-3") == Words{"batch", "state", "weights"});
  CHECK(words_of("Megatron").contains("tensor"));
  CHECK(words_of("Megatron, sequence, vocabulary") == Words{"sequence", "tensor", "vocabulary"});
}

}  // namespace
