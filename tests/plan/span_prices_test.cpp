// SPDX-License-Identifier: Apache-2.0
//
// Prices of spans against pricing each by itself, and pipelines against every choice of stages.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tessera/cost/presets.hpp"
#include "tessera/models/gpt.hpp"
#include "tessera/plan/detail/pipeline/span_prices.hpp"
#include "tessera/plan/plan_pipeline.hpp"
#include "tessera/plan/staged_ops.hpp"
#include "tessera/tessera.hpp"

namespace {

using namespace tessera;
using plan::PipelineOptions, plan::PipelinePlan, plan::PipelineStatus, plan::SpanPrice;
using Kind = pipeline::ScheduleKind;

// Layers of one product each, and no transformer: few strategies, solved in no time.
graph::Graph chain(Extent layers, Extent batch, Extent width) {
  graph::Builder b;
  graph::Tensor x = b.parameter("x", graph::bf16, {batch, width});
  std::vector<graph::Tensor> weights;
  for (Extent layer = 0; layer < layers; ++layer) {
    weights.push_back(
        b.parameter("layer" + std::to_string(layer) + ".weight", graph::bf16, {width, width}));
    x = gelu(graph::einsum<"bm,mf->bf">(x, weights.back()));
  }
  const graph::Tensor labels = b.parameter("labels", graph::s32, {batch});
  const graph::Tensor loss = cross_entropy(x, labels);
  b.output(loss);
  graph::train(loss, weights, {.kind = graph::Optimizer::Kind::sgd});
  return b.graph();
}

struct Case {
  graph::Graph graph;
  pipeline::Layers layers;
  cost::Cluster cluster;

  Case(graph::Graph program, const char* cluster_name)
      : graph(std::move(program)),
        layers(*pipeline::named_layers(graph)),
        cluster(cost::find_cluster(cluster_name)) {}
};

// --- Prices --------------------------------------------------------------------------------------

TEST_CASE("what a span takes is what its plan takes, each op as often as it runs") {
  const Case c(chain(3, 32, 64), "alpa-p3.16xlarge:4");
  const pipeline::LayeredProgram program(c.graph, c.layers);
  const DynamicMesh mesh{2, 2};
  const cost::ClusterModel model(c.cluster, mesh);
  for (const std::int64_t microbatches : {1, 4, 64}) {
    CAPTURE(microbatches);
    const pipeline::SpanProgram span = program.span(0, 1);
    const plan::Plan plan = plan::plan_span(span, mesh, model, {.microbatches = microbatches});
    REQUIRE(plan.status == solver::Status::optimal);
    const SpanPrice price = plan::price_of(span, plan, microbatches);
    CHECK(microbatches * (Wide(price.forward) + price.backward) + price.per_step == plan.cost);
    // Weights of two layers at least, and no more than all of them on every device.
    CHECK(price.fixed >= 2 * 64 * 64 * 2 / 4);
    CHECK(price.received.size() == span.received.size());
    CHECK(price.sent.size() == span.sent.size());
  }
}

TEST_CASE("more microbatches never make a gradient's reduction more expensive per microbatch") {
  // Eight replicas: gradients are reduced once per step, so the price per microbatch has none of
  // it.
  const Case c(chain(2, 64, 64), "alpa-p3.16xlarge:8");
  const pipeline::LayeredProgram program(c.graph, c.layers);
  const DynamicMesh mesh{8};
  const cost::ClusterModel model(c.cluster, mesh);
  const pipeline::SpanProgram span = program.span(0, 0);
  Cost before = infinite;
  for (const std::int64_t microbatches : {1, 2, 8, 1000}) {
    const plan::Plan plan = plan::plan_span(span, mesh, model, {.microbatches = microbatches});
    const SpanPrice price = plan::price_of(span, plan, microbatches);
    CHECK(price.forward + price.backward <= before);
    before = price.forward + price.backward;
  }
}

TEST_CASE("equal layers are priced once, and as each would be by itself") {
  const Case c(chain(6, 16, 32), "alpa-p3.16xlarge:8");
  const pipeline::LayeredProgram program(c.graph, c.layers);
  const std::vector<plan::View> views{{{1, 4}, 0, DynamicMesh{2, 2}}, {{1, 8}, 1, DynamicMesh{8}}};
  plan::PricingOptions options;
  options.microbatches = 8;
  options.whole_spans = true;
  options.threads = 2;
  const plan::detail::SpanPrices prices(program, c.cluster, views, options);
  CHECK(prices.statistics().distinct_layers < 21);
  CHECK(prices.statistics().solved == 2 * prices.statistics().distinct_layers);
  for (std::size_t view = 0; view < views.size(); ++view)
    for (std::size_t last = 0; last < 6; ++last)
      for (std::size_t first = 0; first <= last; ++first) {
        CAPTURE(view);
        CAPTURE(first);
        CAPTURE(last);
        const cost::ClusterModel model(cost::subcluster(c.cluster, views[view].mesh.device_count()),
                                       views[view].mesh);
        const pipeline::SpanProgram span = program.span(first, last);
        const plan::Plan alone =
            plan::plan_span(span, views[view].mesh, model, {.microbatches = 8});
        REQUIRE(prices.price(view, first, last));
        const SpanPrice& found = *prices.price(view, first, last);
        SpanPrice expected = plan::price_of(span, alone, 8);
        CHECK(found.least_work > 0);
        CHECK(found.least_work <= expected.forward + expected.backward);
        expected.least_work = found.least_work;  // of what was to be solved, not of the plan
        CHECK(found == expected);
      }
}

// Layer by layer is one of the plans of a whole span: never cheaper, and of a transformer's the
// same, but for what the span's ends may have as they please.
TEST_CASE("layer by layer costs no less than whole, and hardly more") {
  const Case c(
      models::build(
          models::Gpt{
              .layers = 4, .hidden = 512, .heads = 8, .seq = 256, .vocab = 1024, .batch = 8},
          {}),
      "dgx-a100-80gb-selene:4");
  const pipeline::LayeredProgram program(c.graph, c.layers);
  const std::vector<plan::View> views{{{1, 4}, 0, DynamicMesh{4}}};
  plan::PricingOptions options;
  options.microbatches = 8;
  const plan::detail::SpanPrices layered(program, c.cluster, views, options);
  CHECK(layered.statistics().distinct_layers == 3);
  CHECK(layered.statistics().solved == 3);
  const auto busy = [](const SpanPrice& price) {
    return 8 * (Wide(price.forward) + price.backward) + price.per_step;
  };
  const cost::ClusterModel model(c.cluster, views[0].mesh);
  for (std::size_t last = 1; last < 4; ++last) {
    CAPTURE(last);
    Wide sum = 0;
    for (std::size_t layer = 1; layer <= last; ++layer)
      sum += busy(*layered.price(0, layer, layer));
    const pipeline::SpanProgram span = program.span(1, last);
    const plan::Plan whole = plan::plan_span(span, views[0].mesh, model, {.microbatches = 8});
    REQUIRE(whole.status == solver::Status::optimal);
    CHECK(whole.cost <= sum);
    CHECK(static_cast<double>(sum) < 1.05 * static_cast<double>(whole.cost));
  }
}

TEST_CASE("the plan behind a price is the one that was priced") {
  const Case c(chain(4, 16, 32), "alpa-p3.16xlarge:4");
  const pipeline::LayeredProgram program(c.graph, c.layers);
  const std::vector<plan::View> views{{{1, 4}, 0, DynamicMesh{2, 2}}};
  for (const bool whole : {false, true}) {
    plan::PricingOptions options;
    options.microbatches = 4;
    options.whole_spans = whole;
    const plan::detail::SpanPrices prices(program, c.cluster, views, options);
    for (std::size_t layer = 0; layer < 4; ++layer) {
      CAPTURE(layer);
      const SpanPrice again =
          plan::price_of(prices.program(layer, layer), prices.plan(0, layer, layer), 4);
      CHECK(again.forward + again.backward ==
            prices.price(0, layer, layer)->forward + prices.price(0, layer, layer)->backward);
      CHECK(again.sent == prices.price(0, layer, layer)->sent);
    }
  }
}

// --- Stages --------------------------------------------------------------------------------------

struct Question {
  std::int64_t microbatches = 1;
  Extent memory = 0;
  Kind schedule = Kind::one_f_one_b;  // or eager, or zero-bubble
  pipeline::Submeshes submeshes{{1, 1}, {1, 2}};
};

// The definition, by trying everything: every cut, stages of the question's submeshes, with every
// choice of ops to rematerialize (rematerializations_test.cpp judges those), at the least time or
// at the least within the memory that so many microbatches in flight leave; each span priced by
// itself.
class EveryChoice {
 public:
  EveryChoice(const Case& c, const Question& question)
      : schedule_(question.schedule),
        case_(c),
        program_(c.graph, c.layers),
        hosts_(plan::hosts_of(c.cluster)),
        submeshes_(question.submeshes),
        microbatches_(question.microbatches),
        memory_(question.memory) {}

  std::optional<Wide> run() {
    extend(0, 0, {});
    return best_;
  }

 private:
  struct Station {
    Cost time = 0, weights = 0, receive = 0, per_step = 0;
    pipeline::StageMemory memory;

    auto numbers() const {
      return std::tuple(time, weights, receive, per_step, memory.fixed, memory.per_microbatch);
    }
    friend bool operator==(const Station& a, const Station& b) {
      return a.numbers() == b.numbers();
    }
  };

  void extend(std::size_t first, Extent used, std::vector<Station> stations) {
    if (first == case_.layers.count) {
      if (used == case_.cluster.device_count()) judge(stations);
      return;
    }
    for (std::size_t last = first; last < case_.layers.count; ++last)
      for (const pipeline::Submesh& submesh : submeshes_) {
        if (used + submesh.devices() > case_.cluster.device_count()) continue;
        for (const Station& station : ways(first, last, submesh)) {
          stations.push_back(station);
          extend(last + 1, used + submesh.devices(), stations);
          stations.pop_back();
        }
      }
  }

  void judge(const std::vector<Station>& stations) {
    Wide latency = 0;
    Cost period = 0, per_step = 0;
    for (std::size_t i = 0; i < stations.size(); ++i) {
      const Station& s = stations[i];
      const auto after = static_cast<std::int64_t>(stations.size() - 1 - i);
      const auto count = static_cast<std::int64_t>(stations.size());
      const std::int64_t held = std::min(microbatches_, schedule_ == Kind::zero_bubble ? count
                                                        : schedule_ == Kind::one_f_one_b
                                                            ? after + 1
                                                            : 2 * after + 1);
      if (s.memory.fixed + Wide(s.memory.per_microbatch) * held > memory_) return;
      const Cost overlap = schedule_ == Kind::zero_bubble ? std::min(s.time, 2 * s.weights) : 0;
      // Under 1F1B both stages wait for what is on its way, under the zero-bubble schedule the
      // weights' half is there to be done; and the eager one does not wait.
      const Cost wait = schedule_ == Kind::one_f_one_b   ? s.receive
                        : schedule_ == Kind::zero_bubble ? std::max<Cost>(0, s.receive - s.weights)
                                                         : 0;
      latency += s.time + s.receive - overlap;
      period = std::max({period, s.time + wait, s.receive});
      per_step = std::max(per_step, s.per_step + overlap);
    }
    const Wide total = latency + Wide(microbatches_ - 1) * period + per_step;
    if (!best_ || total < *best_) best_ = total;
  }

  const std::vector<Station>& ways(std::size_t first, std::size_t last,
                                   const pipeline::Submesh& submesh) {
    const auto [at, is_new] =
        ways_.try_emplace({first, last, submesh.hosts * 100 + submesh.per_host});
    if (!is_new) return at->second;
    const Extent devices = submesh.devices();
    const pipeline::SpanProgram span = program_.span(first, last);
    for (const DynamicMesh& mesh : pipeline::logical_views(submesh)) {
      if (mesh.extent(0) > 1 && mesh.extent(1) == 1) continue;  // the same line twice
      const DynamicMesh view = mesh.extent(0) == 1 ? DynamicMesh{devices} : mesh;
      const cost::ClusterModel model(cost::subcluster(case_.cluster, devices), view);
      add_station(at->second, span, view, plan::plan_span(span, view, model, {microbatches_}));
      for (const bool recomputes : {false, true})
        for (std::int64_t held = 1; held <= std::min<std::int64_t>(microbatches_, 3); ++held) {
          if (memory_ == 100'000'000) continue;  // where all fits
          plan::SpanRequest request{.microbatches = microbatches_};
          request.budget = plan::SpanBudget{1, held, recomputes, memory_};
          const plan::Plan within = plan::plan_span(span, view, model, request);
          if (within.has_ops()) add_station(at->second, span, view, within);
        }
    }
    return at->second;
  }

  // With every choice of ops to rematerialize.
  void add_station(std::vector<Station>& stations, const pipeline::SpanProgram& span,
                   const DynamicMesh& view, const plan::Plan& plan) const {
    const SpanPrice price = plan::price_of(span, plan, microbatches_);
    const Extent devices = view.device_count();
    Cost receive = 0;
    if (devices < case_.cluster.device_count()) {
      cost::Cluster room = case_.cluster;
      room.levels[room.levels.size() - 1].fan_out *= 2;
      const auto add = [&](const pipeline::BoundaryValue& boundary, DynamicSharding sharding) {
        const graph::TensorType& type = span.graph.type_of(boundary.value);
        receive += pipeline::transfer_time(
            pipeline::transfer_between(type.dims, {view, sharding, 0}, {view, sharding, devices},
                                       hosts_.per_host),
            graph::bytes_of(type.element), room);
      };
      for (std::size_t i = 0; i < span.received.size(); ++i)
        if (span.received[i].phase == pipeline::Phase::forward)
          add(span.received[i], price.received[i]);
      for (std::size_t i = 0; i < span.sent.size(); ++i)
        if (span.sent[i].phase == pipeline::Phase::backward) add(span.sent[i], price.sent[i]);
    }
    for (const plan::Rematerialization& rematerialization : price.rematerializations) {
      const Station station{
          price.forward + price.backward + rematerialization.time,
          price.weight_backward,
          receive,
          price.per_step,
          {price.fixed + price.transient + rematerialization.restored, rematerialization.saved}};
      if (std::find(stations.begin(), stations.end(), station) == stations.end())
        stations.push_back(station);
    }
  }

  Kind schedule_;
  const Case& case_;
  pipeline::LayeredProgram program_;
  pipeline::Submesh hosts_;
  pipeline::Submeshes submeshes_;
  std::int64_t microbatches_;
  Extent memory_;
  std::map<std::tuple<std::size_t, std::size_t, Extent>, std::vector<Station>> ways_;
  std::optional<Wide> best_;
};

// The pipeline that is found, which is the best of all there are.
PipelinePlan check_best(const Case& c, const Question& question) {
  CAPTURE(question.microbatches);
  CAPTURE(question.memory);
  CAPTURE(std::string(pipeline::to_string(question.schedule)));
  PipelineOptions options;
  options.microbatches = question.microbatches;
  options.memory_budget = question.memory;
  options.pricing.whole_spans = true;
  options.pricing.budget_work = 6e10;
  options.submeshes = question.submeshes;
  options.schedule = question.schedule;
  PipelinePlan found = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
  const std::optional<Wide> best = EveryChoice(c, question).run();
  CHECK(found.has_stages() == best.has_value());
  if (!best || !found.has_stages()) {
    CHECK(found.status == PipelineStatus::infeasible);
    return found;
  }
  CHECK(found.status == PipelineStatus::optimal);
  CHECK(to_string(found.cost) == to_string(*best));
  CHECK(found.lower_bound == found.cost);
  CHECK(found.work_bound <= found.cost);
  CHECK(found.work_bound > 0);
  for (const plan::PlannedStage& stage : found.stages) CHECK(stage.bytes <= question.memory);
  return found;
}

TEST_CASE("stages are the best of all there are, within memory") {
  const Case c(chain(3, 64, 256), "alpa-p3.16xlarge:4");
  const pipeline::LayeredProgram program(c.graph, c.layers);
  for (std::size_t layer = 0; layer < 3; ++layer)  // nothing is sent but activations
    for (const pipeline::BoundaryValue& boundary : program.span(layer, layer).sent)
      CHECK(boundary.phase != pipeline::Phase::update);
  bool any_infeasible = false, any_pipeline = false, any_within = false;
  std::vector<Question> questions{{32, 100'000'000},
                                  {32, 100'000'000, Kind::zero_bubble},
                                  {32, 100'000'000, Kind::eager_one_f_one_b},
                                  {1, 400'000},
                                  {2, 1'200'000, Kind::zero_bubble},
                                  {2, 1'000'000, Kind::zero_bubble},
                                  {2, 1'000'000, Kind::eager_one_f_one_b}};
  for (const Extent memory : {1'400'000, 1'200'000, 1'000'000, 850'000, 700'000})
    questions.push_back({2, memory});
  for (const Question& question : questions) {
    const PipelinePlan found = check_best(c, question);
    any_infeasible = any_infeasible || !found.has_stages();
    any_pipeline = any_pipeline || found.stages.size() > 1;
    for (const plan::PlannedStage& stage : found.stages)
      any_within = any_within || stage.config.level > 0;
  }
  CHECK(any_infeasible);
  CHECK(any_pipeline);
  CHECK(any_within);
}

// One device has nothing to spread its tensors over: it rematerializes what it can not keep.
TEST_CASE("stages of one device are the best of all there are, and recompute for want of memory") {
  const Case c(chain(4, 512, 64), "alpa-p3.16xlarge:2");
  std::vector<std::size_t> rematerialize;
  for (const Extent memory : {900'000, 800'000, 700'000, 600'000}) {
    const PipelinePlan found = check_best(c, {32, memory, Kind::one_f_one_b, {{1, 1}}});
    rematerialize.push_back(static_cast<std::size_t>(
        std::count_if(found.stages.begin(), found.stages.end(),
                      [](const plan::PlannedStage& stage) { return stage.again > 0; })));
  }
  CHECK(rematerialize == std::vector<std::size_t>{0, 1, 1, 0});  // in 600'000 nothing fits
}

// Equal layers, free transfers: what stages are chosen by is what their schedule takes.
TEST_CASE("each schedule's stages fit as it holds them, and the fastest is the one for auto") {
  const Case c(chain(8, 16, 512), "alpa-p3.16xlarge:4");
  PipelineOptions options;
  options.microbatches = 8;
  options.submeshes = {{1, 1}};
  Cost least = infinite;
  for (const Kind kind : {Kind::gpipe, Kind::one_f_one_b, Kind::eager_one_f_one_b,
                          Kind::zero_bubble, Kind::interleaved}) {
    CAPTURE(std::string(pipeline::to_string(kind)));
    options.schedule = kind;
    for (const Extent memory : {Extent{100'000'000}, Extent{6'000'000}}) {
      CAPTURE(memory);
      options.memory_budget = memory;
      const PipelinePlan found = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
      REQUIRE(found.has_stages());
      CHECK(found.schedule.kind == kind);
      CHECK(found.work_bound > 0);
      CHECK(found.work_bound <= found.step_time);
      CHECK(found.stage_count() == 4);
      CHECK(found.ranks().count() == 4);
      std::size_t next = 0;
      for (std::size_t i = 0; i < found.stages.size(); ++i) {
        const plan::PlannedStage& stage = found.stages[i];
        CHECK(stage.first == next);
        next = stage.last + 1;
        CHECK(stage.first_device == static_cast<Device>(i % 4));
        CHECK(stage.bytes <= memory);
        if (kind == Kind::gpipe) CHECK(stage.in_flight == 8);
        if (kind == Kind::one_f_one_b) CHECK(stage.in_flight == 4 - static_cast<int>(i));
        if (kind == Kind::eager_one_f_one_b) CHECK(stage.in_flight == 7 - 2 * static_cast<int>(i));
        if (kind == Kind::zero_bubble) CHECK(stage.in_flight == 4);
      }
      CHECK(next == 8);
      if (kind == Kind::interleaved) CHECK(found.stages.size() == 8);
      if (memory == 100'000'000) least = std::min(least, found.step_time);
    }
  }
  options.schedule = std::nullopt;
  options.memory_budget = 100'000'000;
  CHECK(plan::plan_pipeline(c.graph, c.layers, c.cluster, options).step_time == least);
}

TEST_CASE("a pipeline's stages tile the cluster, and its step plays") {
  const Case c(
      models::build(
          models::Gpt{.layers = 6, .hidden = 256, .heads = 4, .seq = 128, .vocab = 512, .batch = 2},
          {}),
      "alpa-p3.16xlarge:16");
  for (const auto schedule : {pipeline::ScheduleKind::one_f_one_b, pipeline::ScheduleKind::gpipe}) {
    PipelineOptions options;
    options.microbatches = 16;
    options.schedule = schedule;
    options.pricing.threads = 2;
    const PipelinePlan found = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
    REQUIRE(found.has_stages());
    CHECK(found.stages.front().first == 0);
    CHECK(found.stages.back().last == 5);
    std::vector<int> used(16, 0);
    Cost busiest = 0;
    for (const plan::PlannedStage& stage : found.stages) {
      for (Device d = 0; d < stage.mesh.device_count(); ++d)
        ++used[static_cast<std::size_t>(stage.first_device + d)];
      busiest = std::max(busiest, stage.forward + stage.backward);
      CHECK(stage.roles.size() == stage.mesh.rank());
    }
    CHECK(used == std::vector<int>(16, 1));
    CHECK(found.step_time >= 16 * busiest);
    CHECK(found.ranks().count() == 16);
    CHECK(found.utilisation.mfu() > 0);
    CHECK(found.utilisation.mfu() <= found.utilisation.hfu());
    CHECK(found.utilisation.hfu() < 1);

    const std::vector<plan::StagedOp> ops = plan::staged_ops(found, c.graph.op_count());
    for (graph::OpId id = 0; id < c.graph.op_count(); ++id) {
      if (ops[id].op.results.empty()) continue;
      CAPTURE(c.graph.op(id).name);
      REQUIRE(ops[id].op.results.size() == c.graph.op(id).results.size());
      CHECK(ops[id].op.results[0].rank() == c.graph.op(id).results[0].dims.size());
      const plan::PlannedStage& stage = found.stages[ops[id].stage];
      CHECK(ops[id].first_device == stage.first_device);
    }
    for (graph::OpId id = 0; id < c.graph.op_count(); ++id)
      if (c.graph.op(id).is_heavy) CHECK(!ops[id].op.results.empty());
  }
}

// --- Progress, cancellation, what is kept --------------------------------------------------------

TEST_CASE("progress is told view by view, and a cancelled pipeline has what there was by then") {
  const Case c(chain(4, 16, 32), "alpa-p3.16xlarge:8");
  PipelineOptions options;
  options.microbatches = 4;
  options.pricing.threads = 2;
  std::vector<std::size_t> done;
  options.pricing.on_progress = [&](const plan::PricingProgress& progress) {
    done.push_back(progress.done);
    CHECK(progress.total >= progress.done);
  };
  const PipelinePlan whole = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
  CHECK(whole.status == PipelineStatus::optimal);
  REQUIRE(done.size() == whole.pricing.views);
  for (std::size_t i = 0; i < done.size(); ++i) CHECK(done[i] == i + 1);

  options.pricing.on_progress = [&](const plan::PricingProgress&) {
    options.pricing.solver.cancellation.cancel();
  };
  for (const Kind kind : {Kind::one_f_one_b, Kind::gpipe, Kind::zero_bubble}) {
    CAPTURE(std::string(pipeline::to_string(kind)));
    options.schedule = kind;
    options.pricing.solver.cancellation = {};
    const PipelinePlan cut_short = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
    CHECK(cut_short.pricing.solved < whole.pricing.solved);
    CHECK(cut_short.pricing.left_out > 0);
    CHECK(cut_short.status == PipelineStatus::feasible);
    REQUIRE(cut_short.has_stages());
    CHECK(cut_short.schedule.kind == kind);
    CHECK(cut_short.stages.back().last == 3);
    CHECK(cut_short.lower_bound == 0);
    if (kind == Kind::one_f_one_b) CHECK(cut_short.step_time >= whole.step_time);
  }

  options.pricing.solver.cancellation = {};
  options.pricing.solver.cancellation.cancel();
  const PipelinePlan nothing = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
  CHECK(nothing.status == PipelineStatus::unknown);
  CHECK(!nothing.has_stages());
}

// All prices of a pipeline, as text would be: by view, level and layer.
std::vector<std::optional<SpanPrice>> all_prices(const PipelinePlan& plan, std::size_t layers) {
  std::vector<std::optional<SpanPrice>> prices;
  for (std::size_t view = 0; view < plan.prices->views().size(); ++view)
    for (std::size_t level = 0; level < plan.prices->levels(view); ++level)
      for (std::size_t layer = 0; layer < layers; ++layer) {
        const auto& price = plan.prices->price(view, layer, layer, level);
        prices.push_back(price ? std::optional(*price) : std::nullopt);
      }
  return prices;
}

// Two threads that only take time from others, while this lives.
class Load {
 public:
  Load() {
    for (std::thread& thread : threads_)
      thread = std::thread([this] {
        while (!is_over_.load(std::memory_order_relaxed)) std::this_thread::yield();
      });
  }
  ~Load() {
    is_over_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> is_over_{false};
  std::array<std::thread, 2> threads_;
};

TEST_CASE("what is priced to a limit is the same with any threads, and on a busy machine") {
  const Case c(
      models::build(
          models::Gpt{
              .layers = 3, .hidden = 512, .heads = 8, .seq = 256, .vocab = 1024, .batch = 8},
          {}),
      "alpa-p3.16xlarge:16");
  PipelineOptions options;
  options.microbatches = 16;
  options.memory_budget = 56 << 20;
  options.pricing.problem_work = 1e8;
  options.pricing.budget_work = 1e6;
  const PipelinePlan alone = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
  REQUIRE(alone.has_stages());
  CHECK(alone.pricing.unproven > 0);
  CHECK(alone.pricing.levels > 0);
  const Load load;
  options.pricing.threads = 3;
  const PipelinePlan beside = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
  CHECK(beside.step_time == alone.step_time);
  CHECK(beside.pricing.unproven == alone.pricing.unproven);
  CHECK(beside.pricing.solved == alone.pricing.solved);
  CHECK((all_prices(beside, 3) == all_prices(alone, 3)));
}

TEST_CASE("what a store has kept is not solved again, and is the same") {
  const Case c(chain(4, 16, 32), "alpa-p3.16xlarge:4");
  std::mutex mutex;
  std::map<std::vector<std::int64_t>, SpanPrice> kept;
  PipelineOptions options;
  options.microbatches = 4;
  options.pricing.store.find = [&](const std::vector<std::int64_t>& key) {
    const std::lock_guard lock(mutex);
    const auto at = kept.find(key);
    return at == kept.end() ? std::nullopt : std::optional(at->second);
  };
  options.pricing.store.keep = [&](const std::vector<std::int64_t>& key, const SpanPrice& price) {
    const std::lock_guard lock(mutex);
    kept.emplace(key, price);
  };
  const PipelinePlan first = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
  CHECK(first.pricing.kept == 0);
  const PipelinePlan second = plan::plan_pipeline(c.graph, c.layers, c.cluster, options);
  CHECK(second.pricing.solved == 0);
  CHECK(second.pricing.kept == first.pricing.solved);
  CHECK(second.cost == first.cost);
  options.microbatches = 5;  // another question
  CHECK(plan::plan_pipeline(c.graph, c.layers, c.cluster, options).pricing.kept == 0);
}

TEST_CASE("what can not be asked for is refused") {
  const Case c(chain(2, 16, 32), "alpa-p3.16xlarge:2");
  CHECK_THROWS_WITH(plan::plan_pipeline(c.graph, c.layers, c.cluster, {.microbatches = 0}),
                    "pipeline: 0 microbatches; there must be 1 at least");
  CHECK_THROWS_AS(plan::plan_pipeline(c.graph, c.layers, c.cluster, {.submeshes = {{3, 3}}}),
                  tessera::InvalidArgument);
}

}  // namespace
