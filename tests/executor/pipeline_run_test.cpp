// SPDX-License-Identifier: Apache-2.0
// Pipelines, run: a step on stages is the step on one device, and microbatches are the batch.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tessera/cost/presets.hpp"
#include "tessera/executor/detail/kernels/movement.hpp"
#include "tessera/executor/detail/running/microbatches.hpp"
#include "tessera/executor/detail/verification/tolerances.hpp"
#include "tessera/executor/inputs.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/threads.hpp"
#include "tessera/executor/verify_pipeline.hpp"
#include "tessera/models.hpp"
#include "tessera/tessera.hpp"

namespace {
using namespace tessera;
using executor::PipelineProgram;
using executor::PipelineReport;
using executor::StepInputs;
using executor::Tensor;

constexpr const char* eight_devices = "alpa-p3.16xlarge:8";  // of one host

struct Setting {
  const char* model;
  std::int64_t microbatches = 1;
  Extent devices = 1;  // of a stage
  pipeline::ScheduleKind schedule = pipeline::ScheduleKind::one_f_one_b;
  bool whole_spans = false;
  std::optional<Extent> budget = {};
  const char* cluster = eight_devices;
  std::function<std::vector<char>(const pipeline::SpanProgram&)> runs_again = {};
};

// A cluster without latencies, and with links that are fast beside its devices: tensors as small as
// these would not be spread over any other one.
cost::Cluster nimble(cost::Cluster cluster) {
  cluster.collective_start = 0;
  cluster.device.launch = 0;
  for (cost::LinkLevel& level : cluster.levels) {
    level.latency = 0;
    level.bandwidth *= 1000;
    level.peer_bandwidth *= 1000;
  }
  return cluster;
}

// A program, its stages of so many devices each, and the microbatches of a step.
struct Piped {
  graph::Graph graph;
  PipelineProgram program;
  StepInputs inputs;

  explicit Piped(const Setting& setting) : graph(models::build(setting.model)) {
    const cost::Cluster cluster = nimble(cost::find_cluster(setting.cluster));
    plan::PipelineOptions options;
    options.microbatches = setting.microbatches;
    options.schedule = setting.schedule;
    options.submeshes = {{1, setting.devices}};
    options.memory_budget = setting.budget;
    options.pricing.whole_spans = setting.whole_spans;
    options.pricing.runs_again = setting.runs_again;
    const plan::PipelinePlan plan =
        plan::plan_pipeline(graph, *pipeline::named_layers(graph), cluster, options);
    REQUIRE(plan.has_stages());
    program = executor::pipeline_program(graph, plan, cluster);
    for (std::int64_t m = 0; m < setting.microbatches; ++m)
      inputs.push_back(executor::random_inputs(graph, static_cast<std::uint64_t>(5 + m)));
    for (std::vector<Tensor>& tensors : inputs)  // weights are alike; data is not
      for (const graph::Alias& alias : graph.aliases)
        tensors[number_of(alias.parameter)] = inputs[0][number_of(alias.parameter)];
  }
  std::size_t number_of(graph::OpId parameter) const {
    const std::vector<graph::OpId> ids = executor::parameters_of(graph);
    return static_cast<std::size_t>(std::lower_bound(ids.begin(), ids.end(), parameter) -
                                    ids.begin());
  }
};

// Everything that is not as it should be, by name.
std::string faults_of(const Piped& piped, const PipelineReport& report) {
  std::string faults;
  for (const auto& [output, it] : report.outputs)
    if (!it.agrees())
      faults += piped.graph.op(it.value.op).name + " of microbatch " +
                std::to_string(output.microbatch) + " is off by " + std::to_string(it.difference) +
                ", in double by " + std::to_string(it.difference_in_double) + '\n';
  for (const executor::StageCollectiveReport& it : report.collectives)
    if (!it.report.agrees)
      faults += it.label + " predicted " + std::to_string(it.report.predicted) + " counted " +
                std::to_string(it.report.counted) + '\n';
  for (const executor::TransferReport& it : report.transfers)
    if (!it.agrees())
      faults += piped.program.routes[it.route].label + " predicted " +
                std::to_string(it.predicted) + " counted " + std::to_string(it.counted) + '\n';
  for (const executor::StageMemoryReport& it : report.stages)
    if (!it.agrees() || it.predicted * 10 > Wide(it.held) * 11)
      faults += "memory predicted " + to_string(it.predicted) + " (planned " +
                to_string(it.planned) + ") held " + std::to_string(it.held) + '\n';
  return faults;
}

TEST_CASE("a step on stages is the step of its microbatches on one device") {
  using enum pipeline::ScheduleKind;
  const Setting settings[] = {
      {"gpt:layers=4,hidden=8,heads=2,seq=4,vocab=12,batch=4,precision=f32", 5, 2},
      {"gpt:layers=2,hidden=8,heads=2,seq=4,vocab=12,batch=4", 4, 4, gpipe, true},  // bf16
      {"gpt:layers=2,hidden=8,heads=2,seq=4,vocab=12,batch=4", 1, 4},  // a sum of one, in bf16
      {"mlp:layers=8,width=12,classes=5,batch=7", 3, 1, gpipe},
      {"moe:layers=2,hidden=8,heads=2,seq=4,vocab=8,batch=4,precision=f32", 3, 4},
      {"unet:channels=2,depth=1,image=8,batch=4", 2, 4},
      {"mlp:layers=6,width=12,classes=5,batch=8",
       4,
       4,
       one_f_one_b,
       false,
       {},
       "alpa-p3.16xlarge:16"},
      {"gpt:layers=4,hidden=8,heads=2,seq=4,vocab=12,batch=4,precision=f32", 4, 4, interleaved},
      {"gpt:layers=4,hidden=8,heads=2,seq=4,vocab=12,batch=4,precision=f32", 6, 4,
       eager_one_f_one_b},
      {"mlp:layers=8,width=12,classes=5,batch=8", 4, 4, interleaved},
      {"gpt:layers=4,hidden=8,heads=2,seq=4,vocab=12,batch=4,precision=f32", 5, 2, zero_bubble},
      {"moe:layers=2,hidden=8,heads=2,seq=4,vocab=8,batch=4,precision=f32", 3, 4, zero_bubble},
  };
  for (const Setting& setting : settings) {
    CAPTURE(setting.model);
    CAPTURE(to_string(setting.schedule));
    const Piped piped(setting);
    CHECK(piped.program.stages.size() > 1);
    const auto expected = executor::step_expectation_of(piped.graph, piped.inputs);
    const PipelineReport report = executor::verify_on_threads(piped.program, expected);
    CHECK(faults_of(piped, report) == "");
    CHECK(report.is_true());
    CHECK_FALSE(report.transfers.empty());
  }
}

TEST_CASE("activations are computed again where the plan says so") {
  Setting setting{"gpt:layers=2,hidden=16,heads=4,seq=8,vocab=32,batch=4,precision=f32", 4, 4,
                  pipeline::ScheduleKind::gpipe};
  setting.budget = 60'000;
  const Piped piped(setting);
  const auto is_again = [](const executor::StageRun& stage) {
    return std::any_of(stage.spans.begin(), stage.spans.end(),
                       [](const executor::SpanRun& span) { return !span.rematerialized.empty(); });
  };
  CHECK(std::any_of(piped.program.stages.begin(), piped.program.stages.end(), is_again));
  const auto expected = executor::step_expectation_of(piped.graph, piped.inputs);
  CHECK(faults_of(piped, executor::verify_on_threads(piped.program, expected)) == "");
}

// Whatever runs a second time, the step is the same, and so is what it holds as it was predicted.
TEST_CASE("any activations can be computed again") {
  using enum pipeline::ScheduleKind;
  for (const auto schedule : {gpipe, one_f_one_b, interleaved, zero_bubble})
    for (const std::uint32_t share : {0U, 2U}) {
      CAPTURE(to_string(schedule));
      CAPTURE(share);
      Setting setting{"gpt:layers=4,hidden=8,heads=2,seq=4,vocab=12,batch=4,precision=f32", 4, 4,
                      schedule};
      std::mt19937 random(share);
      setting.runs_again = [&](const pipeline::SpanProgram& span) {
        std::vector<char> again(span.graph.op_count(), 0);
        for (graph::OpId id = 0; id < again.size(); ++id)
          if (span.phases[id] == pipeline::Phase::forward && !span.graph.op(id).is_parameter)
            again[id] = share == 0 || random() % 3 < share ? 1 : 0;
        return again;
      };
      const Piped piped(setting);
      const auto expected = executor::step_expectation_of(piped.graph, piped.inputs);
      CHECK(faults_of(piped, executor::verify_on_threads(piped.program, expected)) == "");
    }
}

// --- Microbatches and the batch ------------------------------------------------------------------

// Each microbatch's rows of what has more of them in the whole program.
StepInputs cut_into(const graph::Graph& part, const graph::Graph& whole,
                    const std::vector<Tensor>& inputs, std::int64_t microbatches) {
  StepInputs result(static_cast<std::size_t>(microbatches));
  const std::vector<graph::OpId> ids = executor::parameters_of(part);
  REQUIRE(ids.size() == executor::parameters_of(whole).size());
  for (std::size_t m = 0; m < result.size(); ++m)
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const Dims& dims = part.op(ids[i]).results[0].dims;
      Slice rows = executor::whole_slice(dims);
      if (dims != inputs[i].dims())
        rows[0] = {static_cast<Extent>(m) * dims[0], static_cast<Extent>(m + 1) * dims[0]};
      result[m].push_back(executor::detail::cut(executor::whole_view(inputs[i]), rows).tensor);
    }
  return result;
}

std::size_t loss_of(const graph::Graph& graph) {
  return static_cast<std::size_t>(
      std::find_if(graph.outputs.begin(), graph.outputs.end(),
                   [&](graph::Value v) { return graph.type_of(v).dims.empty(); }) -
      graph.outputs.begin());
}

TEST_CASE("a step of microbatches is the step of one batch") {
  for (const std::string& model :
       {std::string("gpt:layers=2,hidden=8,heads=2,seq=4,vocab=12,precision=f32"),
        std::string("mlp:layers=3,width=12,classes=5")}) {
    CAPTURE(model);
    constexpr std::int64_t microbatches = 3;
    const graph::Graph part = models::build(model + ",batch=2");
    const graph::Graph whole = models::build(model + ",batch=6");
    const std::vector<Tensor> inputs = executor::random_inputs(whole, 1);
    const std::vector<Tensor> expected = executor::interpret(
        executor::with_floats(whole, graph::f64), executor::with_floats(inputs, graph::f64));
    const executor::detail::StepOnOneDevice step(executor::with_floats(part, graph::f64));
    StepInputs rows = cut_into(part, whole, inputs, microbatches);
    for (auto& tensors : rows) tensors = executor::with_floats(tensors, graph::f64);
    const std::vector<Tensor> outputs = step.run(rows);
    const std::vector<executor::StepOutput> names = step.outputs(microbatches);
    double loss = 0;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (names[i].output == loss_of(part)) loss += outputs[i].number(0) / microbatches;
      if (names[i].microbatch < 0)
        CHECK(executor::detail::whole_difference(outputs[i], expected[names[i].output]) < 1e-9);
    }
    CHECK(loss == doctest::Approx(expected[loss_of(whole)].number(0)));
  }
}

// The losses of ten steps under a schedule, and on one device.
void check_losses(const std::string& model, pipeline::ScheduleKind schedule, std::size_t chunks) {
  const std::string part = model + ",batch=2";
  const Piped piped({part.c_str(), 4, 4, schedule});
  const graph::Graph whole = models::build(model + ",batch=8");
  REQUIRE(piped.program.stages.size() == chunks);
  REQUIRE(piped.program.devices() == 8);
  const std::vector<Tensor> inputs = executor::random_inputs(whole, 9);
  constexpr std::size_t count = 10;
  std::vector<double> expected, seen(count, 0);
  std::vector<Tensor> parameters = inputs;
  for (std::size_t step = 0; step < count; ++step) {
    std::vector<Tensor> outputs = executor::interpret(whole, parameters);
    expected.push_back(outputs[loss_of(whole)].number(0));
    executor::advance(whole, parameters, outputs);
  }
  const StepInputs rows = cut_into(piped.graph, whole, inputs, 4);
  executor::run_on_threads(8, [&](executor::Communicator& comm) {
    executor::DevicePipeline device(piped.program, comm);
    device.load(rows[0]);
    for (std::size_t step = 0; step < count; ++step) {
      const auto& outputs = device.step(rows);
      for (std::size_t p = 0; p < outputs.size(); ++p)
        if (piped.program.outputs[p].output == loss_of(piped.graph) && comm.device() == 7)
          for (const executor::TensorPart& loss : outputs[p])
            seen[step] += loss.tensor.number(0) / 4;
    }
  });
  for (std::size_t step = 0; step < count; ++step) {
    CAPTURE(step);
    CHECK(seen[step] == doctest::Approx(expected[step]).epsilon(1e-4));
  }
  CHECK(expected.front() > expected.back());
}

TEST_CASE(
    "ten steps of a small GPT, sharded and pipelined over eight devices, follow the loss of "
    "one device") {
  using enum pipeline::ScheduleKind;
  check_losses("gpt:layers=2,hidden=16,heads=4,seq=8,vocab=32,precision=f32", one_f_one_b, 2);
  check_losses("gpt:layers=2,hidden=16,heads=4,seq=8,vocab=32,precision=f32", zero_bubble, 2);
  check_losses("gpt:layers=4,hidden=8,heads=2,seq=4,vocab=16,precision=f32", interleaved, 4);
}

// --- What is wrong is found ----------------------------------------------------------------------

TEST_CASE("a pipeline that forgets to send, or to reduce, is found out") {
  const Piped piped({"gpt:layers=2,hidden=16,heads=4,seq=8,vocab=32,batch=4,precision=f32", 3, 4});
  const auto expected = executor::step_expectation_of(piped.graph, piped.inputs);

  PipelineProgram silent = piped.program;
  const auto has_sends = [](const executor::TransferRoute& route) {
    return !route.transfer.within.empty();
  };
  auto route = std::find_if(silent.routes.begin(), silent.routes.end(), has_sends);
  REQUIRE(route != silent.routes.end());
  route->transfer.within.clear();
  const PipelineReport unsent = executor::verify_on_threads(silent, expected);
  CHECK_FALSE(unsent.outputs_agree());

  PipelineProgram forgetful = piped.program;
  bool is_forgotten = false;
  for (executor::StageRun& stage : forgetful.stages)
    for (executor::SpanRun& span : stage.spans)
      for (plan::PlannedOp& op : span.plan.ops)
        if (!is_forgotten && !op.steps.empty() &&
            op.steps.back().step.kind == StepKind::all_reduce) {
          op.steps.pop_back();
          is_forgotten = true;
        }
  REQUIRE(is_forgotten);
  CHECK_FALSE(executor::verify_on_threads(forgetful, expected).outputs_agree());

  PipelineProgram optimistic = piped.program;
  optimistic.stages[1].predicted_bytes = 100;
  CHECK_FALSE(executor::verify_on_threads(optimistic, expected).memory_agrees());

  const auto run_on_two = [&] {
    executor::run_on_threads(
        2, [&](executor::Communicator& comm) { executor::verify(piped.program, expected, comm); });
  };
  CHECK_THROWS_WITH_AS(run_on_two(),
                       doctest::Contains("the pipeline is for 8 devices, and there are 2"),
                       executor::DeviceError);
}

}  // namespace
