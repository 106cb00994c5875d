// SPDX-License-Identifier: Apache-2.0
//
// Lesson 6: a pipeline.  Cut a row of layers into stages, give each a submesh, and play the step
// that comes of it.
#include <cstdio>
#include <string>
#include <vector>

#include "tessera/pipeline.hpp"
#include "tessera/report/timeline.hpp"

using namespace tessera;
using namespace tessera::pipeline;

int main() {
  // Eight layers on two hosts of four devices; a step is sixteen microbatches.  A submesh is 1, 2
  // or 4 devices of a host, or both hosts.
  const Submesh cluster{2, 4};
  const Submeshes shapes = paper_submeshes(cluster);
  std::vector<Extent> sizes;
  for (const Submesh& shape : shapes) sizes.push_back(shape.devices());
  constexpr std::size_t layers = 8;
  constexpr std::int64_t microbatches = 16;
  StageProblem problem(layers, cluster.devices(), microbatches, sizes);

  // What a span of layers takes on a submesh is the caller's to say.  Here a layer has 800 us of
  // work (the last one, with the output, twice that), and every device more costs some of it.
  constexpr Cost microsecond = 1'000'000;
  const StageMemory layer{.fixed = 8'000'000'000, .per_microbatch = 500'000'000};
  for (std::size_t first = 0; first < layers; ++first)
    for (std::size_t last = first; last < layers; ++last)
      for (std::size_t size = 0; size < sizes.size(); ++size) {
        const auto count = static_cast<std::int64_t>(last - first + 1);
        const Cost work = (count + (last + 1 == layers ? 1 : 0)) * 800 * microsecond;
        const Extent devices = sizes[size];
        StageOption option;
        option.time = work / devices + count * (devices - 1) * 10 * microsecond;
        option.receive = first == 0 ? 0 : 30 * microsecond;
        // Weights are spread over the stage's devices, activations of what is in flight too.
        option.max_successors =
            most_successors({count * layer.fixed / devices, count * layer.per_microbatch / devices},
                            16'000'000'000, ScheduleKind::one_f_one_b, microbatches);
        problem.add(first, last, size, option);
      }

  const StageAnswer answer = find_stages(problem);
  if (!answer.is_feasible) {
    std::puts("nothing fits");
    return 1;
  }
  Submeshes chosen;
  for (const Stage& stage : answer.stages) chosen.push_back(shapes[stage.size]);
  const Placement placement = *place(cluster, chosen);
  for (std::size_t i = 0; i < chosen.size(); ++i)
    std::printf("stage %zu: layers %zu to %zu on %s, devices %lld and on\n", i,
                answer.stages[i].first, answer.stages[i].last, to_string(chosen[i]).c_str(),
                static_cast<long long>(placement[i]));
  std::printf("chosen by %s ps a step, and nothing is below %s ps\n",
              to_string(answer.cost).c_str(), to_string(answer.lower_bound).c_str());

  // A third of a stage's time is forward.  The step as it runs, and where stages are idle:
  std::vector<ChunkTimes> times;
  for (const Stage& stage : answer.stages) {
    const Cost third = stage.option.time / 3;
    times.push_back({.forward = third, .input_backward = third, .weight_backward = third});
  }
  const auto stages = static_cast<std::int64_t>(answer.stages.size());
  const Schedule schedule = one_f_one_b(stages, microbatches);
  const Timeline timeline = simulate(schedule, times);
  std::printf("1f1b: %lld ps, bubble %.1f %%\n", static_cast<long long>(timeline.step_time),
              100 * timeline.bubble());
  const Timeline faster = simulate(zero_bubble(stages, microbatches), times);
  std::printf("zero-bubble: %lld ps, bubble %.1f %%\n", static_cast<long long>(faster.step_time),
              100 * faster.bubble());

  const std::string picture = report::timeline_svg(schedule, timeline);  // for a browser
  const std::string trace = report::chrome_trace(schedule, timeline);    // for chrome://tracing
  std::printf("a picture of %zu bytes, a trace of %zu\n", picture.size(), trace.size());

  // The proof that no stages are better, checked by code that shares nothing with the search.
  const StageVerdict verdict = check_stage_proof(problem, Goal::step_time, answer.proof);
  return verdict.fault.empty() && verdict.lower_bound == answer.cost ? 0 : 1;
}
