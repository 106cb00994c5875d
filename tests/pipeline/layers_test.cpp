// SPDX-License-Identifier: Apache-2.0
// Layers: the cut against brute force, and where the rest of a training step goes.
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "support/files.hpp"
#include "support/random.hpp"
#include "tessera/graph/builder.hpp"
#include "tessera/graph/ops.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"
#include "tessera/io/hlo/writer.hpp"
#include "tessera/pipeline/detail/units.hpp"
#include "tessera/pipeline/layers.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;
using namespace tessera::pipeline;
using tessera_test::Random;

// --- The cut -------------------------------------------------------------------------------------

// A row of products, each with a weight of its own, that also read earlier results here and there.
Graph random_forward(Random& random, std::size_t products) {
  Builder b;
  std::vector<Tensor> rows{b.parameter("x", f32, {4, 8})};
  for (std::size_t i = 0; i < products; ++i) {
    const Extent width = 8 << random.below(3);
    const Dims dims{rows.back().dims()[1], width};
    Tensor y = einsum<"mk,kn->mn">(rows.back(), b.parameter("w" + std::to_string(i), f32, dims));
    if (random.once_in(3)) y = exp(y);
    const Tensor& earlier = rows[random.below(rows.size())];
    if (earlier.dims() == y.dims()) y = y + earlier;
    rows.push_back(y);
  }
  b.output(rows.back());
  return b.graph();
}

// What a layer reads from layers before it, by the definition: each result once.
std::vector<Wide> inputs_by_definition(const Graph& graph, const std::vector<LayerId>& layer_of,
                                       std::size_t count) {
  std::vector<std::set<Value>> read(count);
  std::set<OpId> sources;
  for (OpId id = 0; id < graph.op_count(); ++id) {
    if (graph.operand_count(id) == 0) sources.insert(id);
    for (std::size_t i = 0; i < graph.operand_count(id); ++i) {
      const Value operand = graph.operand(id, i);
      if (sources.count(operand.op) == 0 && layer_of[operand.op] < layer_of[id])
        read[layer_of[id]].insert(operand);
    }
  }
  std::vector<Wide> bytes(count, 0);
  for (std::size_t layer = 0; layer < count; ++layer)
    for (const Value value : read[layer]) bytes[layer] += byte_count(graph.type_of(value));
  return bytes;
}

// (how far over the limit, largest input, unevenness): less is better.
using Merit = std::tuple<Wide, Wide, Wide>;

Merit merit_of(const Graph& graph, const std::vector<LayerId>& layer_of, std::size_t count,
               Wide limit) {
  std::vector<Wide> work(count, 0);
  const std::vector<Wide> op_work = heavy_work(graph);
  for (OpId id = 0; id < graph.op_count(); ++id) work[layer_of[id]] += op_work[id];
  Wide most = 0, squares = 0, input = 0;
  for (const Wide w : work) {
    most = std::max(most, w);
    squares += w * w;
  }
  for (const Wide bytes : inputs_by_definition(graph, layer_of, count))
    input = std::max(input, bytes);
  return {std::max<Wide>(most, limit), input, squares};
}

TEST_CASE("property: the cut is the best one, by work, then input, then evenness") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::size_t products = 2 + random.below(6), count = 1 + random.below(products);
    const Graph graph = random_forward(random, products);
    const LayerOptions options{count, random.between(0, 60)};
    const Layers layers = cluster_layers(graph, options);
    Wide total = 0;
    for (const Wide work : heavy_work(graph)) total += work;
    const Wide limit = total * (100 + options.tolerance) / (100 * static_cast<Wide>(count));
    const Merit ours = merit_of(graph, layers.of_op, count, limit);
    const std::vector<Wide> inputs = inputs_by_definition(graph, layers.of_op, count);
    CHECK((layers.input == inputs));

    // Brute force: every way to begin layers at the units' places.
    const pipeline::detail::ForwardPart forward(graph);
    const pipeline::detail::Units units(graph, forward, heavy_work(graph));
    REQUIRE(units.size() == products);
    std::optional<Merit> best;
    for (unsigned cuts = 0; cuts < 1U << (products - 1); ++cuts) {
      std::vector<LayerId> of_unit{0};
      for (std::size_t unit = 1; unit < products; ++unit)
        of_unit.push_back(of_unit.back() + (cuts >> (unit - 1) & 1U));
      if (of_unit.back() + 1 != count) continue;
      std::vector<LayerId> of_op;
      for (OpId id = 0; id < graph.op_count(); ++id) of_op.push_back(of_unit[units.of_op[id]]);
      const Merit merit = merit_of(graph, of_op, count, limit);
      if (!best || merit < *best) best = merit;
    }
    REQUIRE(best.has_value());
    CHECK((ours == *best));
  }
}

TEST_CASE("a residual stream is cut where only it flows") {
  Builder b;
  Tensor x = b.parameter("x", f32, {16, 8});
  std::vector<Tensor> ends;
  for (int layer = 0; layer < 3; ++layer) {
    const std::string number = std::to_string(layer);
    const Tensor h = exp(einsum<"mk,kn->mn">(x, b.parameter("up" + number, f32, {8, 32})));
    x = x + einsum<"mk,kn->mn">(h, b.parameter("down" + number, f32, {32, 8}));
    ends.push_back(x);
  }
  b.output(x);
  const Layers layers = cluster_layers(b.graph(), {.count = 3});
  for (LayerId layer = 0; layer < 3; ++layer) {
    CHECK(layers.of_op[ends[layer].value().op] == layer);
    CHECK(layers.input[layer] == Wide(layer == 0 ? 0 : 16 * 8 * 4));
    CHECK(layers.work[layer] == 2 * 16 * 8 * 32);
  }
}

// --- Training steps ------------------------------------------------------------------------------

// A step of a row of products with a nonlinearity, gradients by hand, updated in place or only
// given out.
struct Step {
  Graph graph;
  std::vector<std::vector<OpId>> ops;  // that belong to each layer
};
Step training_step(std::size_t layers, bool has_updates) {
  Builder b;
  Step step;
  step.ops.resize(layers);
  std::vector<Tensor> inputs{b.parameter("x", f32, {32, 16})}, weights;
  const Tensor target = b.parameter("y", f32, {32, 16});
  for (std::size_t i = 0; i < layers; ++i)
    weights.push_back(b.parameter("w" + std::to_string(i), f32, {16, 16}));
  const auto note = [&](std::size_t layer, const Tensor& tensor) {
    step.ops[layer].push_back(tensor.value().op);
    return tensor;
  };
  for (std::size_t i = 0; i < layers; ++i) {
    note(i, weights[i]);
    const Tensor h = note(i, einsum<"mk,kn->mn">(inputs[i], weights[i]));
    inputs.push_back(tanh(h));
  }
  Tensor gradient = inputs.back() - target;
  for (std::size_t i = layers; i-- > 0;) {
    const Tensor h = inputs[i + 1];
    gradient = note(i, gradient * (h * h));
    const Tensor w = einsum<"mk,mn->kn">(inputs[i], gradient);
    note(i, w);
    if (has_updates)
      b.update(weights[i], note(i, weights[i] - w * constant_like(w, 0.01)));
    else
      b.output(w);
    if (i > 0) gradient = note(i, einsum<"mn,kn->mk">(gradient, weights[i]));
  }
  step.graph = b.graph();
  return step;
}

TEST_CASE("forward and backward ops of a layer stay together, with its weights and their updates") {
  for (const bool has_updates : {true, false})
    for (const std::size_t layers : {1U, 2U, 5U, 12U}) {
      CAPTURE(has_updates);
      CAPTURE(layers);
      const Step step = training_step(layers, has_updates);
      const Layers found = cluster_layers(step.graph, {.count = layers});
      for (std::size_t layer = 0; layer < layers; ++layer)
        for (const OpId id : step.ops[layer]) {
          CAPTURE(step.graph.op(id).name);
          CHECK(found.of_op[id] == layer);
        }
      CHECK(found.shared.empty());
    }
}

TEST_CASE("a tied embedding is owned by the first layer and shared with the last") {
  Builder b;
  const Tensor embedding = b.parameter("embedding", f32, {64, 16});
  const Tensor ids = b.parameter("ids", f32, {32, 64});
  // A look-up: no heavy op, as a gather is none.
  const Dims read[] = {ids.dims(), embedding.dims()};
  const Tensor x = b.apply(graph::Opcode::gather, {ids, embedding}, {f32, {32, 16}},
                           with_sizes(Rule(rule<"mv,vk->mk">), read));
  const Tensor w1 = b.parameter("w1", f32, {16, 16}), w2 = b.parameter("w2", f32, {16, 16});
  const Tensor h1 = tanh(einsum<"mk,kn->mn">(x, w1)), h2 = tanh(einsum<"mk,kn->mn">(h1, w2));
  const Tensor logits = einsum<"mk,vk->mv">(h2, embedding);
  const Tensor error = logits - ids;
  const Tensor late = einsum<"mv,mk->vk">(error, h2);
  const Tensor d2 = einsum<"mv,vk->mk">(error, embedding) * h2;
  b.update(w2, w2 - einsum<"mk,mn->kn">(h1, d2));
  const Tensor d1 = einsum<"mn,kn->mk">(d2, w2) * h1;
  b.update(w1, w1 - einsum<"mk,mn->kn">(x, d1));
  const Tensor dx = einsum<"mn,kn->mk">(d1, w1);
  const Tensor early = einsum<"mv,mk->vk">(ids, dx);  // ids are no weights, so this is not forward
  const Tensor next = embedding - (late + early);
  b.update(embedding, next);

  const Layers layers = cluster_layers(b.graph(), {.count = 3, .tolerance = 300});
  const auto layer_of = [&](const Tensor& tensor) { return layers.of_op[tensor.value().op]; };
  REQUIRE(layers.shared.size() == 1);
  CHECK(layers.shared[0].parameter == embedding.value().op);
  CHECK(layers.shared[0].layers == std::vector<LayerId>{0, 2});
  CHECK(layer_of(embedding) == 0);
  CHECK(layer_of(next) == 0);
  CHECK(layer_of(logits) == 2);
  CHECK(layer_of(late) == 2);
  CHECK(layer_of(early) == 0);
}

const auto import_file = [](const std::string& path) {
  return io::hlo::import_module(io::hlo::read_module(io::read_file(path), path)).graph;
};

TEST_CASE("the example's twelve layers: three products each, but for the first one") {
  const Graph graph =
      import_file(tessera_test::model_file("mlp_12_layer_batch_128_width_1024.hlo"));
  const Layers layers = cluster_layers(graph, {.count = 12});
  std::map<LayerId, int> products;
  for (OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_heavy) ++products[layers.of_op[id]];
  for (const auto& [layer, count] : products) CHECK(count == (layer == 0 ? 2 : 3));
}

TEST_CASE("GPT's two layers: every weight and its update in one place") {
  const Graph graph = import_file(tessera_test::model_file("gpt_2_layer_step.hlo"));
  for (const std::size_t count : {2U, 4U}) {
    const Layers layers = cluster_layers(graph, {.count = count, .tolerance = 60});
    std::set<LayerId> used(layers.of_op.begin(), layers.of_op.end());
    CHECK(used.size() == count);
    for (const Alias& alias : graph.aliases) {
      CAPTURE(graph.op(alias.parameter).name);
      CHECK(layers.of_op[alias.parameter] == layers.of_op[alias.output.op]);
    }
  }
}

// --- What a program itself tells -----------------------------------------------------------------

// Four products in a row, of parameters whose names say nothing; `line(i)` goes before the i-th
// one, `end(i)` at its end.
template<class Line, class End>
io::hlo::Program row_of_four(Line&& line, End&& end) {
  std::string text = "HloModule row\n\nENTRY main {\n  x = f32[8,16] parameter(0)\n";
  for (int i = 0; i < 4; ++i)
    text += "  p" + std::to_string(i) + "x = f32[16,16] parameter(" + std::to_string(i + 1) + ")\n";
  std::string from = "x";
  for (int i = 0; i < 4; ++i) {
    text += line(i, from);
    const std::string name = "y" + std::to_string(i);
    text += std::string(i == 3 ? "  ROOT " : "  ") + name + "x = f32[8,16] dot(" + from + ", p" +
            std::to_string(i) + "x), lhs_contracting_dims={1}, rhs_contracting_dims={0}" + end(i) +
            '\n';
    from = name + 'x';
  }
  return io::hlo::import_module(io::hlo::read_module(text + "}\n", "row"));
}
std::string no_line(int, const std::string&) { return ""; }

std::vector<LayerId> layers_of_products(const Graph& graph, const Layers& layers) {
  std::vector<LayerId> of_products;
  for (OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_heavy) of_products.push_back(layers.of_op[id]);
  return of_products;
}

TEST_CASE("layers are cut where scopes change, outermost numbers first") {
  const auto cut = [](const std::vector<const char*>& scopes) {
    const io::hlo::Program program = row_of_four(no_line, [&](int i) {
      return std::string(", metadata={op_type=\"dot\" op_name=\"jit(step)/jvp(") +
             scopes[static_cast<std::size_t>(i)] + ")/dot_general\"}";
    });
    const std::optional<Layers> layers = named_layers(program.graph);
    return layers ? layers_of_products(program.graph, *layers) : std::vector<LayerId>{};
  };
  using Cut = std::vector<LayerId>;
  CHECK(cut({"block0", "block0", "block1", "block1"}) == Cut{0, 0, 1, 1});
  CHECK(cut({"net/block0/mlp0", "net/block0/mlp1", "net/block0/mlp2", "net/block1"}) ==
        Cut{0, 0, 0, 1});
  CHECK(cut({"encoder/0", "encoder/1", "decoder/0", "decoder/1"}) == Cut{0, 1, 2, 3});
  CHECK(cut({"embed", "block0", "block1", "head"}) == Cut{0, 0, 1, 1});
  CHECK(cut({"block0", "block1", "block0", "block1"}) == Cut{0, 1, 1, 1});
  CHECK(cut({"a", "b", "c", "d"}).empty());
  CHECK(cut({"block0", "block0", "block0", "head"}).empty());
}

TEST_CASE("scopes go before names, and survive being written") {
  Step step = training_step(4, true);
  std::vector<OpId> forward;
  for (OpId id = 0; id < forward_end(step.graph); ++id)
    if (step.graph.op(id).is_heavy) forward.push_back(id);
  REQUIRE(forward.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) step.graph.op(forward[i]).scope = i < 3 ? "part0" : "part1";
  const std::string text = io::hlo::write_hlo(step.graph, "scoped");
  const Graph read = io::hlo::import_module(io::hlo::read_module(text, "scoped")).graph;
  for (const Graph* graph : std::initializer_list<const Graph*>{&step.graph, &read}) {
    const std::optional<Layers> layers = named_layers(*graph);
    REQUIRE(layers.has_value());
    CHECK(layers->count == 2);
    for (std::size_t layer = 0; layer < 4; ++layer)  // the backward pass and updates with them
      for (const OpId id : step.ops[layer]) CHECK(layers->of_op[id] == (layer < 3 ? 0 : 1));
  }
}

TEST_CASE("a marker begins a layer, and is no op") {
  const auto nothing = [](int) { return std::string(); };
  // As Alpa writes them: of a tuple of all that is handed on.
  const auto boxed = [](int i, std::string& from) {
    if (i % 2 != 0) return std::string();
    const std::string number = std::to_string(i), shape = "(f32[8,16])";
    const std::string text =
        "  t" + number + " = " + shape + " tuple(" + from + ")\n  m" + number + " = " + shape +
        " custom-call(t" + number +
        "), custom_call_target=\"pipeline_marker\", metadata={op_type=" + "\"start\" op_name=\"" +
        number + "\"}\n  g" + number + " = f32[8,16] get-tuple-element(m" + number + "), index=0\n";
    from = "g" + number;
    return text;
  };
  const auto bare = [](int i, std::string&) {
    const std::string number = std::to_string(i);
    return "  t" + number + " = () tuple()\n  m" + number + " = () custom-call(t" + number +
           "), custom_call_target=\"pipeline_marker\", metadata={op_type=\"" +
           (i == 2 ? "end" : "boundary") + "\" op_name=\"boundary\"}\n";
  };
  const io::hlo::Program with = row_of_four(boxed, nothing);
  CHECK(with.kept_whole.empty());
  CHECK(with.graph.op_count() == 9);
  REQUIRE(named_layers(with.graph).has_value());
  CHECK(layers_of_products(with.graph, *named_layers(with.graph)) ==
        std::vector<LayerId>{0, 0, 1, 1});
  const io::hlo::Program boundaries = row_of_four(bare, nothing);
  REQUIRE(named_layers(boundaries.graph).has_value());
  CHECK(layers_of_products(boundaries.graph, *named_layers(boundaries.graph)) ==
        std::vector<LayerId>{0, 1, 1, 2});
  CHECK(!named_layers(row_of_four(no_line, nothing).graph).has_value());
  CHECK_THROWS_WITH_AS(row_of_four(
                           [](int i, const std::string&) {
                             return i > 0 ? std::string()
                                          : std::string(
                                                "  m = (f32[8,16]) custom-call(x, x), "
                                                "custom_call_target=\"pipeline_marker\"\n");
                           },
                           nothing),
                       doctest::Contains("'m': the results of a marker must be its operands"),
                       InputError);
}

TEST_CASE("more layers than there are products to part are refused") {
  const Step step = training_step(3, true);
  CHECK_THROWS_WITH(
      cluster_layers(step.graph, {.count = 4}),
      "layers: 4 were asked for, but the program can be cut into 1 to 3, one for each heavy "
      "forward op");
  CHECK_THROWS_WITH(
      cluster_layers(step.graph, {.count = 0}),
      "layers: 0 were asked for, but the program can be cut into 1 to 3, one for each heavy "
      "forward op");
  CHECK_THROWS_AS(cluster_layers(step.graph, {.count = 1}, {}), tessera::InvalidArgument);
}

}  // namespace
