// SPDX-License-Identifier: Apache-2.0
//
// expert-pipelines: pipelines that experts ran, and those that are found, under the same prices.
//
//   expert-pipelines [WORD]       only runs whose id has the word
//
// A line per run: predicted seconds of a step as it was run and as it is found, their ratio (above
// 1 where what is found is faster), the schedule that was found, and how long both took to plan, by
// as many threads as there are processors.  At the end how many runs were compared, and how; the
// exit code is 1 where what was found is slower, or a run could not be compared.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "support/expert_pipelines.hpp"

namespace {

using namespace tessera_test;

double seconds_of(const PipelinePlan& plan) {
  return static_cast<double>(plan.step_time) / static_cast<double>(tessera::cost::second);
}

struct Summary {
  int faster = 0, equal = 0, slower = 0, not_compared = 0;
  std::vector<double> ratios;

  void add(double ratio) {
    ratios.push_back(ratio);
    ++(ratio > 1 ? faster : ratio < 1 ? slower : equal);
  }
  void print(double seconds) {
    const std::size_t all = ratios.size() + static_cast<std::size_t>(not_compared);
    std::printf("%zu of %zu runs compared: found faster %d, as fast %d, SLOWER %d", ratios.size(),
                all, faster, equal, slower);
    if (!ratios.empty()) {
      std::sort(ratios.begin(), ratios.end());
      std::printf("; x%.3f to x%.3f, in the middle x%.3f", ratios.front(), ratios.back(),
                  ratios[ratios.size() / 2]);
    }
    std::printf("; in %.0f s\n", seconds);
  }
};

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Prints all of a run's line but for its id.
void ask(const ExpertPipeline& run, int threads, Summary& summary) {
  const Stopwatch watch;
  const PipelineComparison both = compare(run, threads);
  if (!both.by_hand.has_stages() || !both.found.has_stages()) {
    ++summary.not_compared;
    std::printf(
        "%s, %.1f s\n",
        both.found.has_stages() ? "can not be priced as it was run" : "nothing that fits is found",
        watch.seconds());
    return;
  }
  bool fits = true;
  for (const tessera::plan::PlannedStage& stage : both.by_hand.stages)
    fits = fits && stage.bytes <= both.found.memory_capacity;
  const double by_hand = seconds_of(both.by_hand), found = seconds_of(both.found);
  summary.add(both.by_hand.step_time == both.found.step_time ? 1 : by_hand / found);
  std::printf("%9.3f %9.3f  x%.3f  %-11s %6.1f s%s%s\n", by_hand, found, by_hand / found,
              tessera::pipeline::to_string(both.found.schedule.kind), watch.seconds(),
              found <= by_hand ? "" : "  SLOWER", fits ? "" : "  (by hand it does not fit)");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "";
  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const Stopwatch watch;
  Summary summary;
  std::printf("%-40s %9s %9s\n", "run", "by hand s", "found s");
  for (const ExpertPipeline& run : expert_pipelines()) {
    if (run.id.find(word) == std::string::npos) continue;
    std::printf("%-40s ", run.id.c_str());
    std::fflush(stdout);
    try {
      ask(run, threads, summary);
    } catch (const std::exception& error) {
      ++summary.not_compared;
      std::printf("%s\n", error.what());
    }
    std::fflush(stdout);
  }
  summary.print(watch.seconds());
  return summary.slower + summary.not_compared == 0 ? 0 : 1;
}
