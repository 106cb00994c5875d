// SPDX-License-Identifier: Apache-2.0
//
// expert-pipelines: pipelines that experts ran, and those that are found, under the same prices.
//
//   expert-pipelines [WORD]       only runs whose id has the word
//
// A line per run: predicted seconds of a step as it was run and as it is found, their ratio (above
// 1 where what is found is faster), the schedule that was found, and how long the search took.
#include <cstdio>
#include <exception>
#include <string>

#include "support/expert_pipelines.hpp"

namespace {

using namespace tessera_test;

double seconds_of(const PipelinePlan& plan) {
  return static_cast<double>(plan.step_time) / static_cast<double>(tessera::cost::second);
}

void ask(const ExpertPipeline& run) {
  std::printf("%-40s ", run.id.c_str());
  std::fflush(stdout);
  try {
    const PipelineComparison both = compare(run);
    if (!both.by_hand.has_stages() || !both.found.has_stages()) {
      std::printf("%s\n", both.found.has_stages() ? "can not be priced as it was run"
                                                  : "nothing that fits is found");
      return;
    }
    bool fits = true;
    for (const tessera::plan::PlannedStage& stage : both.by_hand.stages)
      fits = fits && stage.bytes <= both.found.memory_capacity;
    const double by_hand = seconds_of(both.by_hand), found = seconds_of(both.found);
    std::printf("%9.3f %9.3f  x%.3f  %-11s %6.1f s%s%s\n", by_hand, found, by_hand / found,
                tessera::pipeline::to_string(both.found.schedule.kind), both.found.seconds,
                found <= by_hand ? "" : "  DEARER", fits ? "" : "  (by hand it does not fit)");
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "";
  std::printf("%-40s %9s %9s\n", "run", "by hand s", "found s");
  for (const ExpertPipeline& run : expert_pipelines())
    if (run.id.find(word) != std::string::npos) ask(run);
}
