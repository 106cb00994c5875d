// SPDX-License-Identifier: Apache-2.0
// Memory: what takes it, for how long, and what for.
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "support/programs.hpp"
#include "tessera/cost.hpp"
#include "tessera/graph.hpp"
#include "tessera/models.hpp"
#include "tessera/plan.hpp"

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
