// SPDX-License-Identifier: Apache-2.0
//
// Spans of layers as programs: what comes in, what goes out, and which of them are alike.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tessera/graph/functions.hpp"
#include "tessera/models/gpt.hpp"
#include "tessera/models/mlp.hpp"
#include "tessera/pipeline/span_program.hpp"

namespace {

using namespace tessera;
using namespace tessera::pipeline;

graph::Graph small_gpt(Extent layers, Extent batch = 2) {
  return models::build(
      models::Gpt{
          .layers = layers, .hidden = 16, .heads = 2, .seq = 8, .vocab = 32, .batch = batch},
      {});
}

std::size_t heavy_ops(const graph::Graph& graph) {
  std::size_t count = 0;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) count += graph.op(id).is_heavy ? 1 : 0;
  return count;
}

TEST_CASE("layers are told by the names of parameters") {
  const graph::Graph graph = small_gpt(5);
  const std::optional<Layers> layers = named_layers(graph);
  REQUIRE(layers);
  CHECK(layers->count == 5);
  REQUIRE(layers->shared.size() == 1);
  CHECK(graph.op(layers->shared[0].parameter).name == "embedding");
  CHECK(layers->shared[0].layers == std::vector<LayerId>{0, 4});
  graph::Builder plain;
  const auto x = plain.parameter("x", graph::f32, {4, 4}),
             w = plain.parameter("w", graph::f32, {4, 4});
  plain.output(graph::einsum<"mk,kn->mn">(x, w));
  CHECK(!named_layers(plain.graph()));
}

TEST_CASE("between a transformer's layers one activation goes up and one gradient comes down") {
  const graph::Graph graph = small_gpt(5);
  const Layers layers = *named_layers(graph);
  const LayeredProgram program(graph, layers);
  for (std::size_t layer = 1; layer + 1 < 5; ++layer) {
    CAPTURE(layer);
    const SpanProgram span = program.span(layer, layer);
    REQUIRE(span.received.size() == 2);
    REQUIRE(span.sent.size() == 2);
    CHECK(span.received[0].phase == Phase::forward);
    CHECK(span.received[1].phase == Phase::backward);
    for (const auto* boundaries : {&span.received, &span.sent})
      for (const BoundaryValue& boundary : *boundaries)
        CHECK(to_string(span.graph.type_of(boundary.value)) == "bf16[2,8,16]");
  }
}

TEST_CASE("a shared weight's gradient is sent once per step, and so is the weight") {
  const graph::Graph graph = small_gpt(4);
  const Layers layers = *named_layers(graph);
  const LayeredProgram program(graph, layers);
  const SpanProgram first = program.span(0, 0), last = program.span(3, 3);
  const auto updates = [](const std::vector<BoundaryValue>& boundaries) {
    std::size_t count = 0;
    for (const BoundaryValue& boundary : boundaries)
      count += boundary.phase == Phase::update ? 1 : 0;
    return count;
  };
  CHECK(updates(first.sent) == 1);
  CHECK(updates(first.received) == 1);
  CHECK(updates(last.sent) == 1);
  CHECK(updates(last.received) == 1);
  // What is sent once is an op of its own, that runs once.
  for (const BoundaryValue& boundary : first.sent)
    if (boundary.phase == Phase::update) CHECK(first.phases[boundary.op] == Phase::update);
  std::size_t copies = 0;
  for (graph::OpId id = 0; id < last.graph.op_count(); ++id)
    if (last.graph.op(id).name == "embedding")
      copies += last.parameter_kinds[id] == ParameterKind::copy ? 1 : 0;
  CHECK(copies == 1);
  CHECK(program.span(0, 3).received.empty());
  CHECK(program.span(0, 3).sent.empty());
}

TEST_CASE("every op that is not made where it is read is in one layer") {
  const graph::Graph graph = small_gpt(4);
  const Layers layers = *named_layers(graph);
  const LayeredProgram program(graph, layers);
  std::vector<int> seen(graph.op_count(), 0);
  std::size_t heavy = 0;
  for (std::size_t layer = 0; layer < 4; ++layer) {
    const SpanProgram span = program.span(layer, layer);
    heavy += heavy_ops(span.graph);
    for (graph::OpId id = 0; id < span.graph.op_count(); ++id)
      if (span.graph.op(id).opcode != graph::Opcode::copy && !span.graph.op(id).is_parameter &&
          span.graph.op(id).rule.operand_count() > 0)
        ++seen[span.origin[id]];
  }
  CHECK(heavy == heavy_ops(graph));
  CHECK(heavy_ops(program.span(0, 3).graph) == heavy);
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_heavy) {
      CAPTURE(graph.op(id).name);
      CHECK(seen[id] == 1);
      CHECK(program.phase(id) != Phase::update);
    }
}

TEST_CASE("the update is what stands between gradients and parameters") {
  const graph::Graph graph = small_gpt(2);
  const Layers layers = *named_layers(graph);
  const LayeredProgram program(graph, layers);
  for (const graph::Alias& alias : graph.aliases) {
    CAPTURE(graph.op(alias.parameter).name);
    CHECK(program.phase(alias.output.op) == Phase::update);
  }
  // A loss is no update, and neither is what leads to it.
  for (const graph::Value output : graph.outputs) {
    const bool takes_a_place =
        std::any_of(graph.aliases.begin(), graph.aliases.end(),
                    [&](const graph::Alias& alias) { return alias.output == output; });
    if (!takes_a_place) CHECK(program.phase(output.op) != Phase::update);
  }
}

TEST_CASE("layers that are alike have one signature, others have others") {
  const graph::Graph graph = small_gpt(6), wider = small_gpt(6, 4);
  const Layers layers = *named_layers(graph), wider_layers = *named_layers(wider);
  const LayeredProgram program(graph, layers), wider_program(wider, wider_layers);
  const Signature middle = signature_of(program.span(1, 1));
  for (std::size_t layer = 2; layer < 5; ++layer)
    CHECK(signature_of(program.span(layer, layer)) == middle);
  CHECK(signature_of(program.span(1, 2)) == signature_of(program.span(3, 4)));
  CHECK(signature_of(program.span(0, 0)) != middle);
  CHECK(signature_of(program.span(5, 5)) != middle);
  CHECK(signature_of(program.span(1, 2)) != middle);
  CHECK(signature_of(wider_program.span(1, 1)) != middle);
  CHECK(hash_of(middle) == hash_of(signature_of(program.span(4, 4))));
}

TEST_CASE("a program with a loop is refused") {
  graph::Graph graph = small_gpt(2);
  const Layers layers = *named_layers(graph);
  graph.loops.push_back({0, 2});
  CHECK_THROWS_WITH(LayeredProgram(graph, layers),
                    "a program with loops can not be cut into pipeline stages; unroll its loops");
}

}  // namespace
