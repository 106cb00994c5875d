// SPDX-License-Identifier: Apache-2.0
// Work: the roofline and its curve, what reaches memory, FLOPs, and utilisation as papers print it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "tessera/cost.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/graph.hpp"
#include "tessera/models/gpt.hpp"

namespace {
using namespace tessera;
using cost::Accelerator;
using cost::Product;
using cost::Rematerialized;
using cost::Transformer;
using cost::Work;
using graph::ElementType;

constexpr double tera = 1e12;

// --- Roofline ------------------------------------------------------------------------------------

TEST_CASE("AutoParallel's worked product: 397 us of arithmetic against 72 us of memory") {
  // 8192x4096 by 4096x4096 in bfloat16 on an H100, at seven tenths of either peak.
  const Wide flops = Wide(2) * 8192 * 4096 * 4096;
  const Wide bytes = 2 * (Wide(8192) * 4096 + 4096 * 4096 + 8192 * 4096);
  const cost::Rate rate = cost::devices::h100.peak.bf16 / 10 * 7;
  const cost::Rate bandwidth = cost::devices::h100.memory_bandwidth / 10 * 7;
  CHECK(cost::roofline(flops, rate, 0, bandwidth) / cost::microsecond == 397);
  CHECK(cost::roofline(0, rate, bytes, bandwidth) / cost::microsecond == 71);  // 71.6
  CHECK(cost::roofline(flops, rate, bytes, bandwidth) / cost::microsecond == 397);
}

TEST_CASE("products come as near to cuBLAS's measured rates as a fifth, small ones included") {
  // TFLOP/s of an n by n product in half precision on an A100, as Triton's tutorial prints them.
  struct Row {
    Extent n;
    double measured;
  };
  constexpr Row rows[] = {{256, 4.096},    {384, 12.288},   {512, 26.214},   {640, 42.667},
                          {768, 63.195},   {896, 78.052},   {1024, 110.376}, {1152, 135.727},
                          {1280, 157.538}, {1408, 155.765}, {1536, 176.947}, {1664, 183.651},
                          {1792, 172.914}, {1920, 200.348}, {2048, 223.696}, {2176, 211.828},
                          {2304, 228.592}, {2432, 203.583}, {2560, 224.438}, {2688, 200.704},
                          {2816, 212.752}, {2944, 222.482}, {3072, 209.715}, {3200, 216.216},
                          {3328, 207.468}, {3456, 217.309}, {3584, 219.306}, {3712, 206.399},
                          {3840, 210.251}, {3968, 208.588}, {4096, 219.669}};
  for (const Row& row : rows) {
    CAPTURE(row.n);
    const Wide n = row.n;
    const Work work{{1, n, n, n}, ElementType::f16, 6 * n * n, true};
    const double seconds = static_cast<double>(time_of(work, cost::devices::a100_40)) / 1e12;
    const double ours = static_cast<double>(work.product.flops()) / seconds / tera;
    CHECK(ours > row.measured / 1.2);
    CHECK(ours < row.measured * 1.2);
    if (row.n < 2560) continue;
    CHECK(ours > row.measured / 1.11);
    CHECK(ours < row.measured * 1.11);
  }
}

TEST_CASE("rates by element type") {
  const Accelerator &a100 = cost::devices::a100_80, &h100 = cost::devices::h100,
                    &v100 = cost::devices::v100_32, &tpu = cost::devices::tpu_v5e;
  CHECK(a100.peak_rate(ElementType::bf16) == 312'000'000'000'000);
  CHECK(a100.peak_rate(ElementType::f32) == 156'000'000'000'000);  // TF32
  CHECK(a100.peak_rate(ElementType::f64) == 19'500'000'000'000);
  CHECK(a100.peak_rate(ElementType::f8e4m3fn) == 312'000'000'000'000);  // it has no such unit
  CHECK(h100.peak_rate(ElementType::f8e5m2) == 1'979'000'000'000'000);
  CHECK(v100.peak_rate(ElementType::bf16) == 15'700'000'000'000);
  CHECK(v100.peak_rate(ElementType::f16) == 125'000'000'000'000);
  CHECK(v100.peak_rate(ElementType::c64) == 15'700'000'000'000 / 4);
  CHECK(tpu.peak_rate(ElementType::f32) == 197'000'000'000'000);
  CHECK(tpu.peak_rate(ElementType::s8) == 394'000'000'000'000);
  CHECK(cost::devices::b200.peak_rate(ElementType::f64) == 40'000'000'000'000);
  // The best measured: 271.2 of 312.
  CHECK(a100.best_rate(ElementType::bf16) == 271'200'000'000'000);
  CHECK(a100.best_rate(ElementType::f32) == 135'600'000'000'000);
  CHECK(h100.best_rate(ElementType::f8e4m3fn) == 1'402'600'000'000'000);
  CHECK(v100.best_rate(ElementType::f16) == 112'700'000'000'000);
  for (const cost::Preset& preset : cost::presets())
    for (int type = 0; type <= static_cast<int>(ElementType::opaque); ++type) {
      const auto element = static_cast<ElementType>(type);
      CHECK(preset.device->peak_rate(element) > 0);
      CHECK(preset.device->best_rate(element) > 0);
      CHECK(preset.device->best_rate(element) <= preset.device->peak_rate(element));
    }
}

TEST_CASE("property: less work never takes longer, and nothing takes no time") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    const Accelerator& device = *cost::presets()[random.below(cost::presets().size())].device;
    const auto size = [&] { return Wide(random.between(1, 20'000)); };
    const Work work{{size(), size(), size(), size()}, ElementType::bf16, size() * size(), true};
    const Cost time = time_of(work, device);
    CHECK(time > 0);
    Work less = work;
    Wide* const dims[] = {&less.product.batch, &less.product.rows, &less.product.columns,
                          &less.product.depth, &less.bytes};
    Wide& dim = *dims[random.below(5)];
    dim = (dim + 1) / 2;
    CHECK(time_of(less, device) <= time);
    // Never faster than the published peak.
    CHECK(static_cast<double>(work.product.flops()) / (static_cast<double>(time) / 1e12) <
          static_cast<double>(device.peak_rate(ElementType::bf16)));
  }
  CHECK(time_of(Work{}, cost::devices::h100) == 0);
}

// --- What an op asks for -------------------------------------------------------------------------

Product product_of(const graph::Rule& rule) {
  return cost::product_of(rule, [&](std::size_t f) { return Wide(rule.factor(f).size); });
}

TEST_CASE("products and convolutions as matrix products") {
  graph::Builder b;
  const auto x = b.parameter("x", ElementType::bf16, {4, 16, 32}),
             w = b.parameter("w", ElementType::bf16, {4, 32, 8});
  const auto y = graph::einsum<"bmk,bkn->bmn">(x, w);
  CHECK(product_of(b.graph().op(y.value().op).rule) == Product{4, 16, 8, 32});
  CHECK(cost::flops_of(b.graph().op(y.value().op)) == 2 * 4 * 16 * 8 * 32);
  CHECK(cost::flops_of(b.graph().op(x.value().op)) == 0);

  // ResNet's first: 7x7 over 3 channels to 64, 112x112 places, a batch of 2.
  graph::ConvolutionDims dims;
  dims.input_feature = 3;
  dims.kernel_input = 2;
  dims.kernel_output = 3;
  dims.output_feature = 3;
  dims.input_space = dims.kernel_space = dims.output_space = {};
  dims.input_space = {1, 2};
  dims.kernel_space = {0, 1};
  dims.output_space = {1, 2};
  const std::vector<graph::WindowDim> halving(2, {7, 2, 3, 2});
  const graph::Rule convolution =
      graph::convolution_rule({2, 224, 224, 3}, {7, 7, 3, 64}, {2, 112, 112, 64}, dims, halving);
  CHECK(product_of(convolution) == Product{1, 2 * 112 * 112, 64, 7 * 7 * 3});
  // Depthwise: each of 64 channels by itself.
  dims.feature_groups = 64;
  const std::vector<graph::WindowDim> around(2, {3, 1, 1, 1});
  const graph::Rule depthwise =
      graph::convolution_rule({2, 112, 112, 64}, {3, 3, 1, 64}, {2, 112, 112, 64}, dims, around);
  CHECK(product_of(depthwise).flops() == Wide(2) * 2 * 112 * 112 * 64 * 9);
}

TEST_CASE("a chain of elementwise ops is read once and written once") {
  graph::Builder b;
  const auto x = b.parameter("x", ElementType::f32, {64, 64});
  const auto first = exp(x), second = tanh(first), last = second * second;
  b.output(last);
  const auto loads = cost::workloads_of(b.graph());
  const auto of = [&](const graph::Tensor& t) { return loads[t.value().op]; };
  using Passes = std::vector<std::uint8_t>;
  CHECK(of(x).passes == Passes{0});
  CHECK(of(first).passes == Passes{1, 0});
  CHECK(!of(first).launches);                // it is part of what reads it
  CHECK(of(second).passes == Passes{0, 0});  // read twice, by an op of the same kernel
  CHECK(of(last).passes == Passes{0, 0, 1});
  CHECK(of(last).launches);
}

TEST_CASE("a product's operands and result are in memory; broadcasts and constants are not") {
  graph::Builder b;
  const auto x = b.parameter("x", ElementType::f32, {64, 64}),
             w = b.parameter("w", ElementType::f32, {64, 64});
  const auto scaled = x * b.constant(ElementType::f32);
  const auto y = graph::einsum<"mk,kn->mn">(scaled, w);
  const auto z = exp(y);
  b.output(z);
  const auto loads = cost::workloads_of(b.graph());
  using Passes = std::vector<std::uint8_t>;
  CHECK(loads[scaled.value().op].passes == Passes{1, 0, 1});
  CHECK(loads[y.value().op].passes == Passes{1, 1, 1});
  CHECK(loads[y.value().op].is_product);
  CHECK(loads[z.value().op].passes == Passes{1, 1});
  for (graph::OpId id = 0; id < b.graph().op_count(); ++id)
    if (b.graph().op(id).opcode == graph::Opcode::constant ||
        b.graph().op(id).opcode == graph::Opcode::broadcast) {
      CHECK(!loads[id].launches);
      for (const auto passes : loads[id].passes) CHECK(passes == 0);
    }
}

TEST_CASE("views move nothing, and the values that they show are fused through them") {
  graph::Builder b;
  const auto x = b.parameter("x", ElementType::f32, {8, 64}),
             w = b.parameter("w", ElementType::f32, {64, 64});
  const auto fused = exp(x), seen = reshape(fused, {512});
  const auto last = tanh(seen);
  b.output(last);
  const auto factor = exp(x), shown = reshape(reshape(factor, {512}), {8, 64});
  const auto y = graph::einsum<"mk,kn->mn">(shown, w);
  const auto flat = reshape(y, {512});
  b.output(tanh(flat));
  b.output(reshape(exp(flat), {8, 64}));
  const auto loads = cost::workloads_of(b.graph());
  const auto passes = [&](const graph::Tensor& t) { return loads[t.value().op].passes; };
  using Passes = std::vector<std::uint8_t>;
  CHECK(passes(fused) == Passes{1, 0});
  CHECK(passes(seen) == Passes{0, 0});
  CHECK(passes(last) == Passes{0, 1});
  CHECK(passes(factor) == Passes{0, 1});  // a product reads it; x is read for the first already
  CHECK(passes(y) == Passes{1, 1, 1});
  for (const graph::Value output : b.graph().outputs) {
    const bool is_view = b.graph().op(output.op).opcode == graph::Opcode::reshape;
    const graph::OpId id = is_view ? b.graph().operand(output.op, 0).op : output.op;
    CHECK(loads[id].passes.back() == 1);
  }
}

TEST_CASE("a softmax reads its rows once; what it divides by is kept for the backward pass") {
  graph::Builder b;
  const auto x = b.parameter("x", ElementType::bf16, {16, 1024, 64}),
             w = b.parameter("w", ElementType::bf16, {16, 64, 1024});
  const auto scores = graph::einsum<"bmk,bkn->bmn">(x, w);
  const auto share = graph::softmax(scores);
  b.output(graph::einsum<"bmn,bkn->bmk">(share, w));
  const auto loads = cost::workloads_of(b.graph());
  const auto fusion = cost::fusion_of(b.graph());
  int reads = 0, kernels = 0;
  for (graph::OpId id = scores.value().op + 1; id < share.value().op + 1; ++id) {
    for (std::size_t i = 0; i < b.graph().operand_count(id); ++i)
      if (b.graph().operand(id, i) == scores.value()) reads += loads[id].passes[i];
    kernels += loads[id].launches ? 1 : 0;
    if (b.graph().op(id).rule.operand_count() == 0 || id == share.value().op) continue;
    CHECK(fusion.in_memory[id] == 0);
  }
  CHECK(reads == 1);
  CHECK(kernels == 1);
  CHECK(fusion.in_memory[share.value().op] == 1);
}

TEST_CASE("a cast or a bias is rematerialized where it is read, from its operands") {
  graph::Builder b;
  const auto x = b.parameter("x", ElementType::bf16, {512, 256}),
             w = b.parameter("w", ElementType::bf16, {256, 256}),
             bias = b.parameter("bias", ElementType::bf16, {256});
  const auto y = graph::einsum<"mk,kn->mn">(x, w);
  const auto biased = graph::add_bias(y, bias);  // read by two kernels with a product between
  const auto bent = tanh(biased);
  const auto z = graph::einsum<"mk,kn->mn">(bent, w);
  b.output(z * biased);
  const auto sum = y + x;  // of two as large: worth keeping
  b.output(graph::einsum<"mk,kn->mn">(tanh(sum), w) * sum);
  const auto in_memory = cost::ops_in_memory(b.graph());
  const auto loads = cost::workloads_of(b.graph());
  CHECK(in_memory[biased.value().op] == 0);
  CHECK(in_memory[bent.value().op] == 1);
  CHECK(in_memory[sum.value().op] == 1);
  CHECK(loads[biased.value().op].passes[0] == 2);  // by the kernel of tanh, and by the last one
}

TEST_CASE("rows too long for the chip are read again") {
  for (const Extent row : {Extent{1024}, Extent{65536}}) {
    graph::Builder b;
    const auto x = b.parameter("x", ElementType::f32, {64, row});
    b.output(graph::softmax(x));
    int reads = 0;
    const auto loads = cost::workloads_of(b.graph());
    for (graph::OpId id = 0; id < b.graph().op_count(); ++id)
      for (std::size_t i = 0; i < b.graph().operand_count(id); ++i)
        if (b.graph().type_of(b.graph().operand(id, i)).dims == x.dims())
          reads += loads[id].passes[i];
    CHECK(reads == (row == 1024 ? 1 : 3));
  }
}

TEST_CASE("fused attention: no scores in memory, half of them computed, and once more behind") {
  const models::Gpt size{1, 256, 4, 512, 1024, 2};
  models::StepOptions step;
  int products = 0;
  Wide plain_bytes = 0;
  for (const bool is_fused : {false, true}) {
    step.fuses_attention = is_fused;
    const graph::Graph graph = models::build(size, step);
    const auto loads = cost::workloads_of(graph);
    const auto in_memory = cost::ops_in_memory(graph);
    Wide bytes = 0;
    std::vector<int> halves;
    for (graph::OpId id = 0; id < graph.op_count(); ++id) {
      const Dims& dims = graph.op(id).results[0].dims;
      const bool is_score = dims.size() == 4 && dims[2] == 512 && dims[3] == 512;
      if (is_score && in_memory[id] != 0) bytes += byte_count(graph.op(id).results[0]);
      if (loads[id].is_product && loads[id].halves != 2) halves.push_back(loads[id].halves);
      products += loads[id].is_product && is_score ? 1 : 0;
    }
    if (!is_fused) plain_bytes = bytes;
    if (is_fused) CHECK(bytes == 0);
    // Scores are computed twice; the product with values, its derivatives and those of scores once.
    if (is_fused) CHECK(std::count(halves.begin(), halves.end(), 1) == 5);
    CHECK(halves.size() == (is_fused ? 5U : 0U));  // the scores' two halves are a whole
  }
  CHECK(plain_bytes > 0);
  CHECK(products == 4);
}

TEST_CASE("fused attention reaches what FlashAttention does") {
  const auto rate = [](Extent features, const Accelerator& device) {
    Work work{{64, 4096, 4096, features}, ElementType::f16, 0, false};
    work.is_fused = true;
    const double seconds = static_cast<double>(time_of(work, device)) / 1e12;
    return static_cast<double>(work.product.flops()) / seconds / tera;
  };
  CHECK(rate(128, cost::devices::a100_80) == doctest::Approx(120).epsilon(0.02));
  CHECK(rate(64, cost::devices::a100_80) == doctest::Approx(98).epsilon(0.02));
  CHECK(rate(128, cost::devices::h100) == doctest::Approx(350).epsilon(0.02));
}

TEST_CASE("training in FP8: products are faster, less what casts take, and attention is not") {
  const cost::Cluster cluster = cost::find_cluster("dgx-h100-eos:8");
  const cost::ClusterModel half(cluster, DynamicMesh{8});
  cost::ClusterModel eighth = half;
  eighth.multiply_in(ElementType::f8e4m3fn);
  Work work{{1, 8192, 8192, 8192}, ElementType::bf16, 0, true};
  CHECK(eighth.work_price(work) < half.work_price(work));
  CHECK(2 * eighth.work_price(work) > half.work_price(work));
  work.product = {64, 4096, 4096, 128};
  CHECK(eighth.work_price(work) == half.work_price(work));
}

TEST_CASE("queries, keys and values are one product, forward and backward") {
  const graph::Graph graph = models::build(models::Gpt{1, 256, 4, 512, 1024, 2}, {});
  const auto loads = cost::workloads_of(graph);
  int columns = 0, depth = 0;
  for (const cost::Workload& load : loads) {
    columns += load.merged.columns == 3 || load.merged.rows == 3 ? 1 : 0;
    depth += load.merged.depth == 3 ? 1 : 0;
  }
  CHECK(columns == 6);  // forward, and the weights' derivatives
  CHECK(depth == 3);    // the input's
  Work alone{{1, 2048, 256, 256}, ElementType::bf16, 0, false}, merged = alone;
  merged.merged.columns = 3;
  const Work whole{{1, 2048, 768, 256}, ElementType::bf16, 0, false};
  const Cost three = 3 * time_of(merged, cost::devices::h100);
  CHECK(static_cast<double>(three) ==
        doctest::Approx(static_cast<double>(time_of(whole, cost::devices::h100))).epsilon(0.002));
  CHECK(3 * time_of(alone, cost::devices::h100) > three);
}

// --- FLOPs and utilisation as published ----------------------------------------------------------

TEST_CASE("Megatron-LM, SC'21: 145.6 billion parameters, 5.642 exaFLOP, 24.8 s") {
  const Transformer gpt{80, 12288, 2048, 51200};
  CHECK(static_cast<double>(parameter_count(gpt)) == doctest::Approx(145.6e9).epsilon(0.001));
  const Wide flops = step_flops(gpt, 2304, Rematerialized::layers);
  CHECK(static_cast<double>(flops) == doctest::Approx(5.642e18).epsilon(0.0002));
  const double seconds = static_cast<double>(flops) / (1536 * 148e12);
  CHECK(seconds == doctest::Approx(24.82).epsilon(0.0005));
  // Hardware utilisation 47.4%, of the model 35.6%.
  const cost::Rate peak = cost::devices::a100_80.peak.bf16;
  CHECK(cost::utilisation(flops, seconds, 1536, peak) == doctest::Approx(0.474).epsilon(0.001));
  CHECK(cost::utilisation(step_flops(gpt, 2304), seconds, 1536, peak) ==
        doctest::Approx(0.356).epsilon(0.001));
  // GPT-3 in 34 days on 1024 devices, a trillion parameters in 84 on 3072.
  CHECK(cost::training_days(300e9, 175e9, 1024, 140e12) == doctest::Approx(33.9).epsilon(0.001));
  CHECK(cost::training_days(450e9, 1e12, 3072, 163e12) == doctest::Approx(83.2).epsilon(0.001));
  // The closed forms, as the papers write them.
  const double L = 80, h = 12288, s = 2048, V = 51200, B = 2304;
  CHECK(static_cast<double>(flops) ==
        doctest::Approx(96 * B * s * L * h * h * (1 + s / (6 * h) + V / (16 * L * h))));
  CHECK(static_cast<double>(step_flops(gpt, 2304)) ==
        doctest::Approx(72 * B * s * L * h * h * (1 + s / (6 * h) + V / (12 * L * h))));
}

TEST_CASE("Korthikanti et al.: GPT-3 on 64 A100s, MFU 51.4% and HFU 52.8%") {
  const Transformer gpt{96, 12288, 2048, 51200};
  cost::Utilisation use;
  use.model_flops = step_flops(gpt, 64);
  use.hardware_flops = step_flops(gpt, 64, Rematerialized::attention);
  use.time = Wide(13'750) * cost::second / 1000;
  use.devices = 64;
  use.peak = cost::devices::a100_80.peak_rate(ElementType::bf16);
  CHECK(static_cast<double>(use.model_flops) == doctest::Approx(1.411e17).epsilon(0.0005));
  CHECK(use.mfu() == doctest::Approx(0.514).epsilon(0.001));
  CHECK(use.hfu() == doctest::Approx(0.528).epsilon(0.001));
  CHECK(use.hfu() / use.mfu() == doctest::Approx(1.0278).epsilon(0.002));
}

TEST_CASE("PaLM, appendix B: 46.2%, and 45.7% without attention; MT-NLG 30.2% and 29.7%") {
  const auto mfu = [](Wide token_flops, double tokens_per_second, Extent devices, cost::Rate peak) {
    return tokens_per_second * cost::utilisation(token_flops, 1, devices, peak);
  };
  const Extent N = 540'350'000'000;
  const Wide palm = cost::palm_token_flops(N, 118, 48, 256, 2048);
  const cost::Rate tpu = cost::devices::tpu_v4.peak.bf16;
  CHECK(static_cast<double>(palm) == doctest::Approx(3.278e12).epsilon(0.0005));
  CHECK(1 / cost::utilisation(palm, 1, 6144, tpu) == doctest::Approx(515.5e3).epsilon(0.0005));
  CHECK(mfu(palm, 238.3e3, 6144, tpu) == doctest::Approx(0.462).epsilon(0.001));
  CHECK(mfu(6 * Wide(N), 238.3e3, 6144, tpu) == doctest::Approx(0.457).epsilon(0.001));
  const cost::Rate a100 = cost::devices::a100_80.peak.bf16;
  const Wide nlg = cost::palm_token_flops(530'000'000'000, 105, 128, 160, 2048);
  CHECK(mfu(nlg, 65.43e3, 2240, a100) == doctest::Approx(0.302).epsilon(0.005));
  CHECK(mfu(6 * Wide(530'000'000'000), 65.43e3, 2240, a100) ==
        doctest::Approx(0.297).epsilon(0.005));
}

TEST_CASE("MosaicML: 42.2% for seven billion parameters on 512 H100s") {
  // Three times (2 N s + 4 L d s^2) for a sequence: PaLM's count, with L H Q = L d.
  const Wide token = cost::palm_token_flops(6'659'000'000, 32, 32, 128, 2048);
  const double mfu = 4'951'479 * cost::utilisation(token, 1, 512, 989'000'000'000'000);
  CHECK(mfu == doctest::Approx(0.4220).epsilon(0.002));
}

TEST_CASE("Alpa: 333.7 petaFLOP for GPT-39B, 39.80 TFLOP/s for a MoE of 2.4B") {
  const Transformer gpt{48, 8192, 1024, 51200};
  const double step = static_cast<double>(step_flops(gpt, 1024, Rematerialized::layers));
  CHECK(step == doctest::Approx(333.7e15).epsilon(0.0005));
  CHECK(step / 91.85 / 64 == doctest::Approx(56.8e12).epsilon(0.001));
  const Transformer moe{16, 1024, 1024, 32000};
  const double moe_step = static_cast<double>(cost::alpa_moe_step_flops(moe, 16, 2048, 1024, true));
  CHECK(moe_step == doctest::Approx(4.993e15).epsilon(0.0005));
  CHECK(moe_step / 15.682 / 8 == doctest::Approx(39.80e12).epsilon(0.0005));
}

}  // namespace
