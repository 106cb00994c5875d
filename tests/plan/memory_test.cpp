// SPDX-License-Identifier: Apache-2.0
// Memory: what takes it, for how long, and what for.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/experts.hpp"
#include "support/programs.hpp"
#include "tessera/cost.hpp"
#include "tessera/graph.hpp"
#include "tessera/models.hpp"
#include "tessera/pipeline.hpp"
#include "tessera/plan.hpp"
#include "tessera/plan/detail/rematerialization/candidates.hpp"
#include "tessera/plan/stage_memory.hpp"
#include "tessera/solver.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;
using plan::MemoryKind;

// --- What takes memory, and for how long ---------------------------------------------------------

TEST_CASE("what is computed where it is read takes no memory, and holds what it reads") {
  Builder b;
  const auto x = b.parameter("x", f32, {8, 8}), w = b.parameter("w", f32, {8, 8});
  const auto y = einsum<"mk,kn->mn">(x, w);  // 2
  const auto e = exp(y);                     // 3: read by 5 alone
  const auto z = einsum<"mk,kn->mn">(x, w);  // 4
  b.output(e * z);                           // 5
  const Lifetimes lifetimes = plan::buffers_of(b.graph());
  CHECK(lifetimes[e.value().op][0].empty());
  CHECK(lifetimes[y.value().op][0] == Lifetime{2, 6});  // not only until 3
  CHECK(lifetimes[z.value().op][0] == Lifetime{4, 6});
  CHECK(lifetimes[5][0] == Lifetime{5, 6});
  CHECK(lifetimes_of(b.graph())[y.value().op][0] == Lifetime{2, 4});  // where nothing is fused
}

TEST_CASE("a view is its operand's memory") {
  Builder b;
  const auto x = b.parameter("x", f32, {8, 8});
  const auto y = einsum<"mk,kn->mn">(x, x);
  const auto flat = reshape(y, {64});
  b.output(exp(x));
  b.output(flat);
  const Lifetimes lifetimes = plan::buffers_of(b.graph());
  CHECK(lifetimes[flat.value().op][0].empty());
  CHECK(lifetimes[y.value().op][0] == Lifetime{1, b.graph().op_count()});
}

TEST_CASE("a parameter is updated in place where its old value is no longer needed") {
  const auto life_of_update = [](auto&& write) {
    Builder b;
    const auto x = b.parameter("x", f32, {8, 8}), w = b.parameter("w", f32, {8, 8});
    const auto slope = einsum<"mk,mn->kn">(x, x);
    const Tensor next = write(b, w, slope);
    return plan::buffers_of(b.graph())[next.value().op][0];
  };
  CHECK(life_of_update([](Builder& b, const Tensor& w, const Tensor& slope) {
          const auto next = w - slope * 0.1;
          b.update(w, next);
          return next;
        }).empty());
  // In another order, an element would be overwritten before it is read.
  const Lifetime turned = life_of_update([](Builder& b, const Tensor& w, const Tensor& slope) {
    const auto next = transpose(w, {1, 0}) - slope;
    b.update(w, next);
    return next;
  });
  CHECK(turned.end == turned.begin + 1);
  // The old weight is read once more, by the next op.
  const Lifetime beside = life_of_update([](Builder& b, const Tensor& w, const Tensor& slope) {
    const auto next = w - slope;
    b.update(w, next);
    b.output(einsum<"mk,kn->mn">(slope, exp(w)));
    return next;
  });
  CHECK(beside.end == beside.begin + 2);
  // The new weight is a product of the old one.
  const Lifetime product = life_of_update([](Builder& b, const Tensor& w, const Tensor& slope) {
    const auto next = einsum<"mk,kn->mn">(w, slope);
    b.update(w, next);
    return next;
  });
  CHECK(product.end == product.begin + 1);
}

TEST_CASE("property: whatever an op reads is in memory while it runs, and nothing longer") {
  constexpr tessera_test::ProgramSizes small{f32, 4, 3, 4, 4};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    const Graph graph = tessera_test::random_program(seed, small);
    const Lifetimes lifetimes = plan::buffers_of(graph);
    const std::vector<char> in_memory = cost::ops_in_memory(graph);
    const auto is_held = [&](OpId id) { return graph.op(id).is_parameter || in_memory[id] != 0; };
    std::vector<std::size_t> last_read(graph.op_count(), 0);
    for (OpId id = 0; id < graph.op_count(); ++id) {
      bool is_read = false;
      graph.for_each_use(id, [&](OpId, const Use&) { is_read = true; });
      if (!is_held(id) && is_read) continue;  // runs where it is read
      std::set<OpId> reads;
      std::vector<OpId> todo{id};
      while (!todo.empty()) {
        const OpId at = todo.back();
        todo.pop_back();
        for (std::size_t i = 0; i < graph.operand_count(at); ++i)
          if (const OpId from = graph.operand(at, i).op;
              reads.insert(from).second && !is_held(from))
            todo.push_back(from);
      }
      for (const OpId from : reads) last_read[from] = id + 1;
    }
    std::vector<std::size_t> end = last_read;
    for (const Value output : graph.outputs) end[output.op] = graph.op_count();
    for (const Alias& alias : graph.aliases)
      if (alias.output.op != alias.parameter) end[alias.output.op] = last_read[alias.parameter];
    for (OpId id = 0; id < graph.op_count(); ++id) {
      if (!is_held(id)) CHECK(lifetimes[id][0].empty());
      if (!is_held(id) || graph.op(id).is_parameter) continue;
      const bool is_update = std::any_of(graph.aliases.begin(), graph.aliases.end(),
                                         [&](const Alias& a) { return a.output.op == id; });
      CAPTURE(id);
      if (is_update)
        CHECK((lifetimes[id][0].end == end[id] || lifetimes[id][0].empty()));
      else
        CHECK(lifetimes[id][0].end == std::max(end[id], id + 1));
    }
  }
}

// --- What for ------------------------------------------------------------------------------------

Wide of_kind(const plan::MemoryPeak& peak, MemoryKind kind) {
  return peak.of_kind[static_cast<std::size_t>(kind)];
}

plan::MemoryPeak peak_on_one_device(const Graph& graph) {
  return plan::memory_peak(graph, plan::buffers_of(graph),
                           [&](Value value) { return byte_count(graph.type_of(value)); });
}

Wide parameter_count(const std::string& model) {
  const Graph graph = models::build(model + ",step=infer");
  Wide count = 0;
  for (OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_parameter && is_floating(graph.op(id).results[0].element))
      count += element_count(graph.op(id).results[0].dims);
  return count;
}

// As far as a number with one digit after its point says.
doctest::Approx to_a_decimal(double printed) {
  return doctest::Approx(printed).epsilon(0.05 / (1 + printed));
}

TEST_CASE("weights and what optimizers remember take the bytes that ZeRO's authors count") {
  const std::string size = "gpt:layers=2,hidden=64,heads=4,seq=32,vocab=128,batch=4";
  const Wide count = parameter_count(size);
  struct Case {
    std::string settings;
    Wide weights, state;  // bytes per parameter; Adam counts its steps in four more
  };
  for (const Case& test :
       {Case{",optimizer=adam", 2, 12}, Case{",optimizer=momentum", 2, 8},
        Case{",optimizer=sgd", 2, 4}, Case{",optimizer=adam,precision=f32", 4, 8},
        Case{",optimizer=sgd,precision=f32", 4, 0}}) {
    CAPTURE(test.settings);
    const plan::MemoryPeak peak = peak_on_one_device(models::build(size + test.settings));
    CHECK(of_kind(peak, MemoryKind::weight) == test.weights * count);
    const bool counts_steps = test.settings.find("adam") != std::string::npos;
    CHECK(of_kind(peak, MemoryKind::state) == test.state * count + (counts_steps ? 4 : 0));
    CHECK(of_kind(peak, MemoryKind::input) == 2 * 4 * 32 * 4);  // tokens and labels
    CHECK(of_kind(peak, MemoryKind::activation) > 0);
  }
  // Where nothing updates the weights, they are as much an input as the data.
  const plan::MemoryPeak peak = peak_on_one_device(models::build(size + ",step=accumulate"));
  CHECK(of_kind(peak, MemoryKind::state) == 4 * count);
  CHECK(of_kind(peak, MemoryKind::input) == 2 * count + 2 * 4 * 32 * 4);
  // And the optimizer alone has weights, its own, and the sums; nothing is written beside them.
  const plan::MemoryPeak apply = peak_on_one_device(models::build(size + ",step=apply"));
  CHECK(of_kind(apply, MemoryKind::state) == (2 + 12 + 4) * count + 4);
  CHECK(of_kind(apply, MemoryKind::input) == 0);
  CHECK(of_kind(apply, MemoryKind::activation) == 0);
}

TEST_CASE("Megatron's distributed optimizer over eight: 7.5 bytes a parameter in bf16, 9 in f32") {
  // 6 + 12/d and 8 + 8/d: weights and sums of gradients are whole, what the optimizer keeps is not.
  // (Its 4 + 16/d is of sums in f16, with a copy in f32; ours are in f32 from the beginning.)
  struct Case {
    const char* settings;
    double whole, shared;
  };
  const std::string size = "gpt:layers=1,hidden=64,heads=8,seq=64,vocab=128,batch=8";
  const auto count = static_cast<double>(parameter_count(size));
  for (const Case& test :
       {Case{",step=apply", 18, 7.5}, Case{",step=apply,precision=f32", 16, 9}}) {
    CAPTURE(test.settings);
    const Graph graph = models::build(size + test.settings);
    const tessera_test::TrainingStep step(graph);
    for (const bool is_distributed : {false, true}) {
      tessera_test::Hand hand(step, "Megatron");
      for (OpId id = 0; id < graph.op_count(); ++id) {
        if (!graph.op(id).is_parameter) continue;
        const bool is_split =
            is_distributed &&
            tessera_test::ends_in(graph.op(id).name, {".master", ".mean", ".variance"});
        hand.keep(id, is_split ? tessera_test::first_divisible(step, id, 0, 8)
                               : std::vector<tessera_test::Split>{});
      }
      plan::Options options;
      options.annotations = hand.take();
      const plan::Plan plan =
          plan::plan(graph, DynamicMesh{8}, cost::Alpa::with_defaults(1), options);
      REQUIRE(plan.has_ops());
      Wide bytes = 0;
      for (OpId id = 0; id < graph.op_count(); ++id)
        if (graph.op(id).is_parameter && !step.dims(id).empty())
          bytes += plan.ops[id].result_bytes[0];
      CHECK(static_cast<double>(bytes) == (is_distributed ? test.shared : test.whole) * count);
    }
  }
}

// Bytes that a device sends in a step, by whatever ring or tree: of all but its own share, and
// twice that for an all-reduce.
double sent_by_a_device(const plan::Plan& plan) {
  const auto devices = static_cast<double>(plan.mesh.device_count());
  double bytes = 0;
  for (const plan::PlannedOp& op : plan.ops)
    for (const plan::PlannedStep& step : op.steps)
      if (step.is_collective())
        bytes += (step.step.kind == StepKind::all_reduce ? 2 : 1) *
                 static_cast<double>(step.bytes()) * (devices - 1) / devices;
  return bytes;
}

TEST_CASE("ZeRO's stages: of 7.5 billion parameters on 64 devices 105, 16.4, 16.4 and 1.6 GB") {
  // The authors' 120, 31.4, 16.6 and 1.9 GB but for gradients, which do not all live at once here:
  // two bytes for each parameter, from stage 2 on in shares.
  const double kept[] = {105, 16.40625, 16.40625, 1.640625};
  const double with_gradients[] = {120, 31.4, 16.6, 1.9};
  // Per device and step, in section 7: of gradients that are reduced and weights that are gathered,
  // which stage 3 does once more for the backward pass.  Here stages 0 and 1 have all gradients
  // whole, which takes an all-reduce even where shares would do, and in stage 0 one for each of the
  // two parts that an embedding's gradient has whose table makes the logits, too.
  double sent[] = {30, 45, 30, 45};
  const std::string size = "gpt:layers=1,hidden=64,heads=64,seq=64,vocab=128,batch=64";
  const Graph graph = models::build(size);
  const auto count = static_cast<double>(parameter_count(size));
  sent[0] *= 1 + 128 * 64 / count;
  const tessera_test::TrainingStep step(graph);
  for (int stage = 0; stage <= 3; ++stage) {
    CAPTURE(stage);
    plan::Options options;
    options.annotations = tessera_test::zero(step, stage, 0, 64);
    const plan::Plan plan =
        plan::plan(graph, DynamicMesh{64}, cost::Alpa::with_defaults(1), options);
    REQUIRE(plan.has_ops());
    Wide bytes = 0;
    for (OpId id = 0; id < graph.op_count(); ++id)
      if (step.is_weight(id) || (step.is_state(id) && !step.dims(id).empty()))
        bytes += plan.ops[id].result_bytes[0];
    const double gigabytes = 7.5 * static_cast<double>(bytes) / count;
    CHECK(gigabytes == doctest::Approx(kept[stage]));
    CHECK(gigabytes + 7.5 * (stage < 2 ? 2 : 2.0 / 64) == to_a_decimal(with_gradients[stage]));
    CHECK(7.5 * sent_by_a_device(plan) / count ==
          doctest::Approx(sent[stage] * 63 / 64).epsilon(0.02));
  }
}

TEST_CASE("tensor parallelism of a layer of GPT-3 over eight: 352 MB from each device") {
  // Four sums of 2 s b h bytes, two in each direction; by the authors of Megatron at SC'21.
  double sent = 0;
  for (const int layers : {2, 1}) {
    const Graph graph = models::build(
        "gpt:hidden=12288,heads=96,seq=2048,vocab=512,batch=1,layers=" + std::to_string(layers));
    plan::Options options;
    options.annotations = tessera_test::megatron(tessera_test::TrainingStep(graph), {}, 0);
    const plan::Plan plan =
        plan::plan(graph, DynamicMesh{8}, cost::Alpa::with_defaults(1), options);
    REQUIRE(plan.status == solver::Status::optimal);
    sent += layers == 2 ? sent_by_a_device(plan) : -sent_by_a_device(plan);
  }
  CHECK(sent / 1e6 == doctest::Approx(352.3).epsilon(0.001));
}

// What one layer more keeps until the loss is known: bytes by dims.
using BytesByDims = std::map<std::vector<Extent>, Wide>;
BytesByDims kept_by_a_layer(const std::string& size) {
  BytesByDims kept;
  for (const int layers : {4, 3}) {
    const Graph graph = models::build(size + ",layers=" + std::to_string(layers));
    const std::vector<MemoryKind> kinds = plan::memory_kinds_of(graph);
    const Lifetimes lifetimes = plan::buffers_of(graph);
    const OpId loss = graph.outputs[0].op;
    for (OpId id = 0; id < loss; ++id) {
      if (kinds[id] != MemoryKind::activation || lifetimes[id][0].end <= loss) continue;
      const TensorType& type = graph.op(id).results[0];
      const Extent bytes = byte_count(type);
      kept[{type.dims.begin(), type.dims.end()}] += layers == 4 ? bytes : -bytes;
    }
  }
  std::erase_if(kept, [](const auto& entry) { return entry.second == 0; });
  return kept;
}
std::string size_of_gpt(Extent h, Extent a, Extent s, Extent b, Extent f) {
  return "gpt:hidden=" + std::to_string(h) + ",heads=" + std::to_string(a) +
         ",seq=" + std::to_string(s) + ",batch=" + std::to_string(b) + ",ffn=" + std::to_string(f) +
         ",vocab=512";
}

TEST_CASE("a layer keeps what Korthikanti et al. count, tensor by tensor, but for dropout") {
  // s b (18 h + 4 f) + 5 a s^2 b, of which dropout's masks are 2 s b h + a s^2 b, and what it makes
  // of the softmax is 2 a s^2 b.  The paper leaves out the norms' means and roots.  And where its
  // kernel goes back by the shares alone, our derivative, op by op and in f32, reads the scores and
  // each row's largest and sum too: as much again as the softmax.
  struct Case {
    Extent h, a, b, f;
  };
  constexpr Extent s = 2048;
  for (const Case& test :
       {Case{6144, 64, 4, 4 * 6144}, Case{12288, 96, 1, 4 * 12288}, Case{1024, 8, 2, 3 * 1024}}) {
    CAPTURE(test.h);
    const Extent h = test.h, a = test.a, b = test.b, f = test.f;
    const std::string size = size_of_gpt(h, a, s, b, f);
    const Wide sbh = s * b * h;
    BytesByDims expected{
        {{b, s, h}, (2 + 2 + 4) * sbh},  // what the queries, the MLP and two norms are made of
        {{b, s, a, h / a}, (2 + 2 + 2) * sbh},        // queries, keys, values
        {{b, a, s, h / a}, 2 * sbh},                  // what the output projection reads
        {{b, s, f}, Wide(2 + 2) * s * b * f},         // what GELU and the second linear layer read
        {{b, a, s, s}, Wide(2 + 2) * a * s * s * b},  // the softmax, and the scores
        {{b, a, s}, Wide(4 + 4) * a * s * b},         // each row's largest and sum
        {{b, s}, Wide(2) * (4 + 4) * s * b},          // two norms' means and roots
    };
    CHECK(kept_by_a_layer(size) == expected);
    Wide bytes = 0;
    for (const auto& [dims, of_dims] : expected) bytes += of_dims;
    const Wide dropout = 2 * sbh + Wide(3) * a * s * s * b, norms = expected.at({b, s});
    const Wide scores = Wide(2) * a * s * s * b + expected.at({b, a, s});
    CHECK(bytes + dropout - norms - scores == s * b * (Wide(18) * h + 4 * f + Wide(5) * a * s));
    // Fused attention has scores and softmax again where they are read, by each row's sum.
    expected.erase({b, a, s, s});
    expected[{b, a, s}] = Wide(4) * a * s * b;
    CHECK(kept_by_a_layer(size + ",attention=fused") == expected);
  }
}

TEST_CASE("the first stages of Korthikanti et al.: what they keep, however it is split") {
  struct Row {
    Extent layers, h, a, b, p, v;
    double tensor, sequence, selective, selective_sequence, full;  // GiB
  };
  constexpr Extent s = 2048, t = 8;
  for (const Row& row : {Row{48, 6144, 64, 4, 1, 1, 59.2, 39.6, 29.2, 9.6, 4.5},
                         Row{96, 12288, 96, 1, 8, 3, 66.8, 41.4, 37.8, 12.4, 5.8},
                         Row{105, 20480, 128, 1, 35, 3, 114.0, 66.5, 70.6, 23.1, 10.9},
                         Row{128, 25600, 160, 1, 64, 1, 131.2, 76.6, 81.2, 26.6, 12.5}}) {
    CAPTURE(row.h);
    const Extent h = row.h, a = row.a, b = row.b;
    const BytesByDims kept = kept_by_a_layer(size_of_gpt(h, a, s, b, 4 * h));
    // Every device has all of what is [b, s, h], and of the rest its heads and features; dropout
    // and the scores that their kernel does not keep, 3 - 2 = 1 a s^2 b, are as in the test above.
    const Wide sbh = s * b * h, scores = kept.at({b, a, s, s}) + Wide(1) * a * s * s * b;
    const Wide whole = kept.at({b, s, h}) + 2 * sbh;
    const Wide split = kept.at({b, s, a, h / a}) + kept.at({b, a, s, h / a}) +
                       kept.at({b, s, 4 * h});
    // So many microbatches of a chunk of layers (tests/pipeline/schedule_test.cpp).
    const Extent chunks = row.v == 1 ? row.p : 2 * (row.p - 1) + (row.v - 1) * row.p + 1;
    const auto gibibytes = [&](Wide of_layer, Extent ways) {
      const double layers = static_cast<double>(row.layers * chunks) /
                            static_cast<double>(row.p * row.v);
      return static_cast<double>(of_layer) / static_cast<double>(ways) * layers / (1 << 30);
    };
    CHECK(gibibytes(t * whole + split + scores, t) == to_a_decimal(row.tensor));
    CHECK(gibibytes(whole + split + scores, t) == to_a_decimal(row.sequence));
    CHECK(gibibytes(t * whole + split, t) == to_a_decimal(row.selective));
    CHECK(gibibytes(whole + split, t) == to_a_decimal(row.selective_sequence));
    CHECK(gibibytes(2 * sbh, 1) == to_a_decimal(row.full));
  }
}

TEST_CASE("checkpoints of twelve layers of GPT-3: 26.2 would be best, and ours are near") {
  // Megatron at SC'21, section 3.5: c of them take c A_input, and what is computed again between
  // two, 12 / c A_intermediate.  As in the test above but for norms, dropout and scores.
  constexpr Extent h = 12288, a = 96, s = 2048;
  const std::string size = size_of_gpt(h, a, s, 1, 4 * h);
  const BytesByDims kept = kept_by_a_layer(size);
  const Wide sbh = s * h, dropout = 2 * sbh + Wide(3) * a * s * s;
  Wide intermediate = dropout - kept.at({1, s}) - Wide(2) * a * s * s - kept.at({1, a, s});
  for (const auto& [dims, bytes] : kept) intermediate += bytes;
  CHECK(intermediate == 114 * sbh);
  const auto bytes_with = [&](double checkpoints) {
    return checkpoints * 2 * static_cast<double>(sbh) +
           12 / checkpoints * static_cast<double>(intermediate);
  };
  constexpr double best = 26.2;
  CHECK(bytes_with(best) < bytes_with(best - 0.1));
  CHECK(bytes_with(best) < bytes_with(best + 0.1));

  const Graph graph = models::build(size + ",layers=12");
  const plan::detail::Candidates runs =
      plan::detail::candidates_of(graph, cost::ops_in_memory(graph));
  std::set<OpId> places;  // of a segment each
  for (OpId id = 0; id < graph.op_count(); ++id)
    if (runs.may_run[id] != 0) places.insert(runs.place[id]);
  CHECK(places.size() >= 12);  // theirs is one for each layer
  CHECK(bytes_with(static_cast<double>(places.size())) < 1.1 * bytes_with(best));
}

TEST_CASE("what a stage sends is let go: 2.73 GiB for the first of 35 stages of 530B") {
  constexpr Extent stages = 35;
  const Graph graph = models::build(size_of_gpt(20480, 128, 2048, 1, 4 * 20480) + ",layers=3");
  const pipeline::Layers layers = *pipeline::named_layers(graph);
  const pipeline::SpanProgram span = pipeline::LayeredProgram(graph, layers).span(0, 0);
  const auto sent = std::find_if(span.sent.begin(), span.sent.end(), [](const auto& boundary) {
    return boundary.phase == pipeline::Phase::forward;
  });
  REQUIRE(sent != span.sent.end());
  const Wide bytes = pipeline::in_flight(pipeline::ScheduleKind::one_f_one_b, stages - 1, stages) *
                     byte_count(span.graph.type_of(sent->value));
  CHECK(static_cast<double>(bytes) / (1 << 30) == doctest::Approx(2.73).epsilon(0.002));
  const plan::PassEnds ends(span, {}, false);
  bool is_let_go = false;
  for (OpId id = 0; id < span.graph.op_count(); ++id)
    for (const Value& value : ends.after(id, false))
      if (value == sent->value) is_let_go = ends.is_in(pipeline::PassKind::forward, id);
  CHECK(is_let_go);
}

TEST_CASE("gradients are told from what the backward pass hands on") {
  Builder b;
  const auto x = b.parameter("x", f32, {64, 8}), w = b.parameter("w", f32, {8, 8});
  const auto y = einsum<"mk,kn->mn">(x, w);
  const auto loss = mean(y * y);
  b.output(loss);
  train(loss, std::vector{w}, Optimizer{Optimizer::Kind::sgd, 0.1});
  const Graph& graph = b.graph();
  const std::vector<MemoryKind> kinds = plan::memory_kinds_of(graph);
  CHECK(kinds[x.value().op] == MemoryKind::input);
  CHECK(kinds[w.value().op] == MemoryKind::weight);
  CHECK(kinds[y.value().op] == MemoryKind::activation);
  CHECK(kinds[loss.value().op] == MemoryKind::activation);
  for (OpId id = loss.value().op + 1; id < graph.op_count(); ++id)
    if (graph.op(id).is_heavy) {
      CHECK(kinds[id] == MemoryKind::gradient);
      CHECK(kinds[graph.operand(id, 1).op] == MemoryKind::backward);
    }
}

// --- What stands beside it for a while -----------------------------------------------------------

TEST_CASE(
    "an operand that is gathered, or a result that is scattered, is told beside the tensors") {
  constexpr Wide mib = 1 << 20;
  Builder b;
  const auto x = b.parameter("x", f32, {1024, 1024}), w = b.parameter("w", f32, {1024, 1024});
  const auto y = einsum<"mk,kn->mn">(x, w);
  b.output(y);
  const auto planned = [&](DynamicSharding of_x, DynamicSharding of_w, DynamicSharding of_y) {
    plan::Options options;
    options.annotations = {
        {x.value(), of_x, 0, "x"}, {w.value(), of_w, 0, "w"}, {y.value(), of_y, 0, "y"}};
    return plan::plan(b.graph(), DynamicMesh{2}, cost::Alpa({{1, 1}}, {{1, 1}}), options);
  };
  const auto whole = DynamicSharding::replicated(2);
  const auto rows = whole.with_split(0, 0), columns = whole.with_split(1, 0);
  const plan::Plan still = planned(rows, whole, rows);
  CHECK(still.memory.bytes == 8 * mib);
  CHECK(still.memory_with_buffers == still.memory.bytes);
  const plan::Plan gathered = planned(rows, rows, rows);
  CHECK(gathered.memory.bytes == 6 * mib);
  CHECK(gathered.memory_with_buffers == 10 * mib);  // all of w
  const plan::Plan scattered = planned(columns, rows, rows);
  CHECK(scattered.memory.bytes == 6 * mib);
  CHECK(scattered.memory_with_buffers == 10 * mib);  // all of y, as a partial sum
}

}  // namespace
