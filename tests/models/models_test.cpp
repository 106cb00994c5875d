// SPDX-License-Identifier: Apache-2.0
// Models: they have the published numbers of parameters and operations, their training steps follow
// the derivatives, and they are read back as they were written.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/evaluate.hpp"
#include "tessera/cost/alpa.hpp"
#include "tessera/graph/difference.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"
#include "tessera/io/hlo/writer.hpp"
#include "tessera/models.hpp"
#include "tessera/models/detail/families.hpp"
#include "tessera/plan/plan.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;
using namespace tessera::models;
using tessera_test::Array;
using tessera_test::Evaluator;
using tessera_test::Random;

// Of an inference step, where every floating parameter but the images is a weight.
Extent weight_count(const std::string& text) {
  const char separator = text.find(':') == std::string::npos ? ':' : ',';
  const Graph graph = build(text + separator + "step=infer");
  Extent count = 0;
  for (OpId id = 0; id < graph.op_count(); ++id) {
    const Op& op = graph.op(id);
    if (op.is_parameter && is_floating(op.results[0].element) && op.name != "images" &&
        op.name != "x")
      count += element_count(op.results[0].dims);
  }
  return count;
}

// Two for each multiplication and addition of the program's matrix products.
Wide product_flops(const Graph& graph) {
  Wide total = 0;
  for (OpId id = 0; id < graph.op_count(); ++id) {
    if (graph.op(id).opcode != graph::Opcode::dot) continue;
    Wide flops = 2;
    const Rule& rule = graph.op(id).rule;
    for (std::size_t f = 0; f < rule.factor_count(); ++f) flops *= rule.factor(f).size;
    total += flops;
  }
  return total;
}

io::hlo::Program reread(const Graph& graph) {
  return io::hlo::import_module(io::hlo::read_module(io::hlo::write_hlo(graph), "written.hlo"));
}

// --- Published counts ----------------------------------------------------------------------------

TEST_CASE("GPT has the parameters that Megatron-LM and Alpa print") {
  // Their formula leaves out the last norm: two per hidden unit.
  struct Published {
    const char* name;
    Extent parameters, hidden;
  };
  for (const Published& published :
       {Published{"gpt-1.7b", 1652226048, 2304}, Published{"gpt-3.6b", 3562162176, 3072},
        Published{"gpt-7.5b", 7467778048, 4096}, Published{"gpt-18b", 18449743872, 6144},
        Published{"gpt-39b", 39096025088, 8192}, Published{"gpt-76b", 76050718720, 10240},
        Published{"gpt-145b", 145622237184, 12288}, Published{"gpt-310b", 310130507776, 16384},
        Published{"gpt-530b", 529600778240, 20480}, Published{"gpt-1t", 1008038707200, 25600},
        Published{"gpt-22b", 22074261504, 6144}, Published{"gpt-175b", 174615822336, 12288},
        Published{"gpt-350m", 355786752, 1024}, Published{"gpt-760m", 760172544, 1536},
        Published{"gpt-1.3b", 1315553280, 2048}, Published{"gpt-2.6b", 2651340800, 2560},
        Published{"gpt-6.7b", 6658064384, 4096}, Published{"gpt-15b", 15370076160, 5120}}) {
    CAPTURE(published.name);
    CHECK(weight_count(published.name) == published.parameters + 2 * published.hidden);
  }
}

TEST_CASE("Llama has the parameters of its model cards") {
  CHECK(weight_count("llama2-7b") == 6738415616);
  CHECK(weight_count("llama3-8b") == 8030261248);
  CHECK(weight_count("llama3-70b") == 70553706496);
  CHECK(weight_count("llama3-405b") == 405853388800);
}

TEST_CASE("Wide-ResNet has the parameters that Alpa prints") {
  struct Published {
    const char* name;
    double millions;
  };
  for (const Published& published :
       {Published{"wide-resnet-250m", 254.123}, Published{"wide-resnet-500m", 495.046},
        Published{"wide-resnet-1b", 1005.7}, Published{"wide-resnet-2b", 1965.011},
        Published{"wide-resnet-4b", 4000.9}, Published{"wide-resnet-6.8b", 6727.7}}) {
    CAPTURE(published.name);
    CHECK(static_cast<double>(weight_count(published.name)) / 1e6 ==
          doctest::Approx(published.millions).epsilon(1e-4));
  }
}

TEST_CASE("mixtures of experts have the parameters that Alpa prints") {
  // Alpa counts one bias of a projection where there are three, a bias of the vocabulary, and
  // neither gates nor positions.
  struct Published {
    const char* text;
    double parameters;
  };
  for (const Published& published :
       {Published{"moe:layers=8,hidden=1024,heads=32,experts=8,vocab=51200,group=1024", 690.395e6},
        Published{"moe:layers=8,hidden=1280,heads=40,experts=16,vocab=51200,group=1024", 1901.44e6},
        Published{"moe:layers=8,hidden=1536,heads=24,experts=32,vocab=51200,group=1024",
                  5138.924e6}}) {
    CAPTURE(published.text);
    CHECK(static_cast<double>(weight_count(published.text)) ==
          doctest::Approx(published.parameters).epsilon(2e-3));
  }
  CHECK(static_cast<double>(weight_count("moe-2.4b")) == doctest::Approx(2.4e9).epsilon(0.05));
  CHECK(static_cast<double>(weight_count("moe-70b")) == doctest::Approx(70e9).epsilon(0.05));
}

TEST_CASE("U-Net has the parameters of its usual implementation") {
  // Without the normalisations that others add, which hold two for each of 5888 features.
  CHECK(weight_count("unet-31m") == 31031810);
  CHECK(weight_count("unet:inputs=1,classes=1") == 31030593);
}

TEST_CASE("a GPT step does the work of the Megatron formula") {
  // 72 B L s h^2 (1 + s/(6h) + V/(12hL)), exactly.
  for (const Gpt& size : {Gpt{.layers = 3, .hidden = 64, .heads = 4, .seq = 32, .vocab = 96},
                          Gpt{.layers = 24, .hidden = 2304, .heads = 24, .seq = 2048}}) {
    const Wide B = size.batch, L = size.layers, s = size.seq, h = size.hidden, V = size.vocab;
    const Wide expected = 72 * B * L * s * h * h + 12 * B * L * s * s * h + 6 * B * s * h * V;
    CHECK(product_flops(build(size, StepOptions{})) == expected);
    StepOptions forward;
    forward.purpose = Purpose::inference;
    CHECK(3 * product_flops(build(size, forward)) == expected);
  }
}

TEST_CASE("a Llama step does six operations per weight and token, and attention") {
  const Llama size{.layers = 2, .seq = 128, .vocab = 512, .batch = 2};
  const Wide tokens = size.batch * size.seq, h = size.hidden;
  const Wide keys = h * size.kv_heads / size.heads;
  const Wide weights = size.layers * (2 * h * h + 2 * h * keys + 3 * h * size.ffn) + h * size.vocab;
  CHECK(product_flops(build(size, StepOptions{})) ==
        6 * tokens * weights + 12 * size.layers * tokens * size.seq * h);
}

TEST_CASE("a step of a mixture of experts does the work of Alpa's formula, but for gating") {
  const Moe size{.layers = 4,
                 .hidden = 256,
                 .heads = 4,
                 .seq = 256,
                 .vocab = 512,
                 .batch = 8,
                 .experts = 8,
                 .group = 512};
  const Wide T = size.batch * size.seq, h = size.hidden, s = size.seq, g = size.group,
             E = size.experts;
  const Wide dense = 40 * T * h * h + 4 * T * s * h;
  const Wide expert = 8 * T * h * h + 4 * T * s * h + 64 * T * h * h + 2 * T * h * E +
                      8 * T * h * g;
  const Wide formula = 3 * (size.layers / 2 * (dense + expert)) + 6 * T * h * size.vocab;
  // The formula has all products three times.  The dispatch tensor is not differentiated by, so
  // there it is twice; and each choice's weights are put in places by a product, which goes back to
  // the weights alone.
  const Wide dispatch = size.layers / 2 * (4 * T * h * g);
  const Wide places = size.layers / 2 * size.choices * (2 * (2 * T * size.choices * g));
  CHECK(product_flops(build(size, StepOptions{})) == formula - dispatch + places);
}

// --- What is computed ----------------------------------------------------------------------------

const std::map<std::string, std::string> small_models{
    {"gpt", "gpt:layers=1,hidden=4,heads=2,seq=3,vocab=5,batch=2"},
    {"llama", "llama:layers=1,hidden=8,heads=4,kv_heads=2,ffn=6,seq=3,vocab=5,batch=2"},
    {"moe", "moe:layers=2,hidden=4,heads=2,seq=4,vocab=5,batch=2,experts=3,ffn=5,group=4"},
    {"wide-resnet", "wide-resnet:layers=50,channels=1,width=2,image=64,classes=3,batch=2"},
    {"unet", "unet:channels=2,depth=2,image=8,inputs=1,classes=3,batch=1"},
    {"mlp", "mlp:layers=3,width=4,classes=3,batch=3"},
};

TEST_CASE("weights move against the derivative of the loss") {
  for (const auto& model : small_models) {
    const std::string &name = model.first, &text = model.second;
    CAPTURE(name);
    const Graph graph = build(text + ",optimizer=sgd,precision=f32");
    Random random(7);
    std::map<std::string, Array> parameters = random_parameters(graph, random, 3);
    const auto loss_at = [&] {
      return Evaluator(graph).run(parameters)[graph.outputs[0].op].data[0];
    };
    const std::vector<Array> values = Evaluator(graph).run(parameters);
    for (const Alias& alias : graph.aliases) {
      if (name == "wide-resnet" && !random.once_in(10)) continue;  // it has many, and is slow
      const std::string weight = graph.op(alias.parameter).name;
      CAPTURE(weight);
      Array& at = parameters.at(weight);
      const Array& next = values[alias.output.op];
      // Along one random direction per weight.
      Array direction(at.dims);
      double slope = 0;
      for (std::size_t i = 0; i < at.data.size(); ++i) {
        direction.data[i] = static_cast<double>(random.between(-100, 100)) / 100;
        slope += (at.data[i] - next.data[i]) / 1e-3 * direction.data[i];
      }
      const auto move = [&](double step) {
        for (std::size_t i = 0; i < at.data.size(); ++i) at.data[i] += step * direction.data[i];
      };
      constexpr double step = 1e-6;
      move(step);
      const double above = loss_at();
      move(-2 * step);
      const double below = loss_at();
      move(step);
      // Fifty layers of rectifiers are rough: some turn within the chord.
      const double tolerance = name == "wide-resnet" ? 1e-2 : 1e-4;
      CHECK(slope == doctest::Approx((above - below) / (2 * step)).epsilon(tolerance).scale(1));
    }
  }
}

TEST_CASE("experts take no more tokens than they have places, first choices first") {
  Builder b;
  const Tensor gates = b.parameter("gates", f32, {1, 4, 2});
  const Routing routing = route(gates, 2, 2);
  Array preferences({1, 4, 2});
  preferences.data = {0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.4, 0.6};
  const std::vector<Array> values = Evaluator(b.graph()).run({{"gates", preferences}});
  const Array& combine = values[routing.combine.value().op];
  REQUIRE(combine.dims == Dims{1, 4, 2, 2});
  // Expert 0: tokens 0 and 1.  Token 2 comes too late there.  Expert 1: token 3, who prefers it,
  // then token 0 by its second choice.
  Array expected({1, 4, 2, 2});
  expected({0, 0, 0, 0}) = 0.9;
  expected({0, 1, 0, 1}) = 0.8;
  expected({0, 3, 1, 0}) = 0.6;
  expected({0, 0, 1, 1}) = 0.1;
  for (std::size_t i = 0; i < combine.data.size(); ++i)
    CHECK(combine.data[i] == doctest::Approx(expected.data[i]));
}

// --- Written down --------------------------------------------------------------------------------

TEST_CASE("every model is read back as it was written, and planned equally") {
  const DynamicMesh mesh{2, 2};
  for (const auto& model : small_models)
    for (const char* settings :
         {"", ",step=infer", ",step=accumulate", ",step=apply", ",step=apply,microbatches=3",
          ",optimizer=momentum", ",precision=f16", ",optimizer=sgd,precision=f32",
          ",attention=fused", ",attention=fused,step=infer", ",attention=fused,step=accumulate",
          ",attention=fused,precision=f32", ",attention=plain,precision=bf16"}) {
      const std::string &name = model.first, &text = model.second;
      CAPTURE(text + settings);
      const Graph graph = build(text + settings);
      const io::hlo::Program program = reread(graph);
      CHECK(difference(graph, program.graph) == "");
      CHECK(program.kept_whole.empty());
      CHECK(program.notes.empty());
      if (*settings != '\0' || name == "wide-resnet") continue;
      const cost::Alpa prices = cost::Alpa::with_defaults(2);
      const plan::Plan ours = plan::plan(graph, mesh, prices);
      const plan::Plan theirs = plan::plan(program.graph, mesh, prices);
      CHECK(ours.status == solver::Status::optimal);
      CHECK(ours.cost == theirs.cost);
      REQUIRE(ours.ops.size() == theirs.ops.size());
      for (std::size_t id = 0; id < ours.ops.size(); ++id)
        CHECK(ours.ops[id].results == theirs.ops[id].results);
    }
}

// Every size that a family has, away from what the small model says of it.
const std::map<std::string, std::vector<std::string>> other_sizes{
    {"gpt", {"layers=2", "hidden=6", "heads=1", "ffn=7", "seq=2", "vocab=6", "batch=3"}},
    {"llama",
     {"layers=2", "hidden=16", "heads=2", "kv_heads=4", "ffn=5", "seq=2", "vocab=6", "batch=3"}},
    {"moe",
     {"layers=4", "hidden=6", "heads=1", "ffn=4", "experts=2", "choices=1", "choices=3", "group=8",
      "seq=2", "vocab=6", "batch=4"}},
    {"wide-resnet",
     {"layers=101", "layers=152", "channels=2", "width=1", "image=32", "classes=2", "batch=1"}},
    {"unet", {"channels=1", "depth=1", "image=16", "inputs=2", "classes=2", "batch=2"}},
    {"mlp", {"layers=1", "width=3", "classes=2", "batch=2"}},
};

template<class Size, std::size_t N>
std::vector<std::string_view> keys_of(const models::detail::Field<Size> (&fields)[N]) {
  std::vector<std::string_view> keys;
  for (const auto& field : fields) keys.push_back(field.key);
  return keys;
}

TEST_CASE("every size of every family is read back as it was written, and has rules throughout") {
  namespace fields = models::detail;
  const std::map<std::string, std::vector<std::string_view>> keys{
      {"gpt", keys_of(fields::gpt_fields)},   {"llama", keys_of(fields::llama_fields)},
      {"moe", keys_of(fields::moe_fields)},   {"wide-resnet", keys_of(fields::wide_resnet_fields)},
      {"unet", keys_of(fields::unet_fields)}, {"mlp", keys_of(fields::mlp_fields)},
  };
  REQUIRE(keys.size() == std::size(fields::families));
  for (const auto& other : other_sizes) {
    const std::string& family = other.first;
    const std::vector<std::string>& sizes = other.second;
    CAPTURE(family);
    for (const std::string_view key : keys.at(family))  // a new one must be in the table
      CHECK(std::any_of(sizes.begin(), sizes.end(), [&, wanted = key](const std::string& size) {
        return size.starts_with(std::string(wanted) + '=');
      }));
    const std::string& small = small_models.at(family);
    const Graph usual = build(small);
    for (const std::string& size : sizes) {
      CAPTURE(size);
      const Graph graph = build(small + ',' + size);
      CHECK(difference(graph, usual) != "");
      const io::hlo::Program program = reread(graph);
      CHECK(difference(graph, program.graph) == "");
      CHECK(program.kept_whole.empty());
      CHECK(program.notes.empty());
    }
  }
}

TEST_CASE("fused attention leaves its scores on the chip, and they are all that it leaves there") {
  for (const char* const text :
       {"gpt:layers=2,hidden=16,heads=4,seq=8,vocab=32,batch=8,attention=fused",
        "llama:layers=1,hidden=16,heads=4,kv_heads=2,ffn=24,seq=8,vocab=32,batch=8,attention=fused",
        "moe:layers=2,hidden=16,heads=4,seq=8,vocab=32,batch=8,experts=4,ffn=8,group=16,"
        "attention=fused",
        // As many features as positions: queries, keys and values have the dims of scores.
        "gpt:layers=1,hidden=16,heads=2,seq=8,vocab=32,batch=8,attention=fused",
        "llama:layers=1,hidden=32,heads=4,kv_heads=2,ffn=24,seq=8,vocab=32,batch=8,"
        "attention=fused"}) {
    CAPTURE(text);
    const Graph fused = build(text);
    const Graph plain = build(std::string(text) + ",attention=plain");
    REQUIRE(fused.op_count() == plain.op_count());
    std::size_t products = 0;
    for (OpId id = 0; id < fused.op_count(); ++id) {
      const Op& op = fused.op(id);
      CHECK(plain.op(id).has_buffer);
      if (op.has_buffer) continue;
      CAPTURE(op.name);
      const Dims& dims = op.results[0].dims;
      CHECK(std::count(dims.begin(), dims.end(), 8) >= 2);  // queries against keys
      if (op.opcode != graph::Opcode::dot) continue;
      ++products;
      for (std::size_t i = 0; i < 2; ++i) CHECK(fused.op(fused.operand(id, i).op).has_buffer);
    }
    // Of each layer the scores, and what the backward pass is asked of them.
    CHECK(products == (std::string_view(text).find("layers=2") != std::string_view::npos ? 4 : 2));
    const DynamicMesh mesh{2, 4};
    const cost::Alpa prices = cost::Alpa::with_defaults(2);
    const plan::Plan plan = plan::plan(reread(fused).graph, mesh, prices);
    CHECK(plan.status == solver::Status::optimal);
    // Where nothing is short of memory, buffers change no price of Alpa's.
    const plan::Plan other = plan::plan(plain, mesh, prices);
    CHECK(plan.cost == other.cost);
    CHECK(plan.memory.bytes <= other.memory.bytes);
  }
}

TEST_CASE("Llama-3-8B's step is built in well under a second") {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const Graph graph = build("llama3-8b");
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  MESSAGE("built ", graph.op_count(), " ops in ", seconds, " s");
  CHECK(graph.op_count() > 5000);
  CHECK(difference(graph, reread(graph).graph) == "");
}

// --- Names ---------------------------------------------------------------------------------------

TEST_CASE("every name in the catalogue can be built") {
  for (const std::string& name : names()) {
    CAPTURE(name);
    CHECK(build(name + ":step=infer,batch=1").op_count() > 0);
  }
}

TEST_CASE("settings replace those of the named size, and the last one counts") {
  const Graph graph = build("gpt-39b:layers=1,layers=2,batch=3,step=infer");
  CHECK(difference(graph, build("gpt:layers=2,hidden=8192,heads=64,seq=2048,vocab=51200,batch=3,"
                                "step=infer")) == "");
}

TEST_CASE("an unknown name, setting or value is refused with the list of known ones") {
  CHECK_THROWS_WITH(build("bert", "--model"), doctest::Contains("--model: there is no model"));
  CHECK_THROWS_WITH(build("bert"), doctest::Contains("there is no model 'bert'; there are gpt, "));
  CHECK_THROWS_WITH(build(""), doctest::Contains("there is no model ''; there are gpt, "));
  CHECK_THROWS_WITH(build("gpt:width=4"),
                    "model: 'width' is no setting of gpt; there are layers, hidden, heads, ffn, "
                    "seq, vocab, batch, step, precision, optimizer, attention, microbatches");
  CHECK_THROWS_WITH(build("gpt:layers"), "model: 'layers' is no setting, such as layers=24");
  CHECK_THROWS_WITH(build("gpt:layers=0"), "model: layers='0' is no integer from 1 to 1000");
  CHECK_THROWS_WITH(build("gpt:layers=4x"), doctest::Contains("'4x' is no integer"));
  CHECK_THROWS_WITH(build("gpt:precision=fp4"), "model: precision='fp4': there are f32, bf16, f16");
  CHECK_THROWS_WITH(build("gpt:hidden=10,heads=4"),
                    "model: 'gpt:hidden=10,heads=4': gpt: hidden is no multiple of heads");
  CHECK_THROWS_WITH(build("llama3-8b:kv_heads=3"), doctest::Contains("no multiple of kv_heads"));
  CHECK_THROWS_WITH(build("moe:group=48,batch=1"), doctest::Contains("no multiple of group"));
  CHECK_THROWS_WITH(build("unet:image=100"), doctest::Contains("halved depth times"));
  CHECK_THROWS_WITH(build("wide-resnet:layers=34"), doctest::Contains("50, 101 or 152"));
  // Sizes that overflow are an error like any other.
  CHECK_THROWS_WITH(build("gpt:layers=1,hidden=12,batch=100000000,seq=100000000,vocab=9"),
                    doctest::Contains("does not fit in 64 bits"));
}

}  // namespace
