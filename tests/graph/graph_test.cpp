// SPDX-License-Identifier: Apache-2.0
// Graph, builder and liveness.
#include <doctest/doctest.h>

#include <boost/graph/topological_sort.hpp>
#include <stdexcept>
#include <vector>

#include "tessera/graph.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;

TEST_CASE("a built program keeps its operands in order, and Boost's algorithms run on it") {
  Builder b;
  const auto x = b.parameter("x", f32, {4, 8}), y = b.parameter("y", f32, {4, 8});
  const auto difference = y - x;
  b.output(difference);
  const Graph& graph = b.graph();
  const OpId id = difference.value().op;
  CHECK(graph.operand_count(id) == 2);
  CHECK(graph.operand(id, 0) == y.value());
  CHECK(graph.operand(id, 1) == x.value());
  CHECK(graph.op(id).kind == "subtract");
  std::vector<Graph::BoostGraph::vertex_descriptor> order;
  boost::topological_sort(graph.boost_graph(), std::back_inserter(order));
  CHECK(order.size() == graph.op_count());
  std::size_t uses = 0;
  graph.for_each_use(x.value().op, [&](OpId reader, const Use& use) {
    ++uses;
    CHECK(reader == id);
    CHECK(use.operand == 1);
  });
  CHECK(uses == 1);
}

TEST_CASE("shapes that do not fit are refused at the call") {
  Builder b, other;
  const auto x = b.parameter("x", f32, {4, 8}), y = b.parameter("y", f32, {8, 4});
  CHECK_THROWS_WITH(x + y, "add: operands f32[4,8] and f32[8,4] differ");
  CHECK_THROWS_WITH(x + other.parameter("z", f32, {4, 8}),
                    "add: an operand belongs to another builder");
  CHECK_THROWS_AS((einsum<"mk,kn->mn">(x, x)), InvalidRule);
  CHECK_THROWS_AS(reshape(x, {5, 5}), std::invalid_argument);
  CHECK_THROWS_AS(transpose(x, {0}), std::invalid_argument);
  CHECK_THROWS_AS(transpose(x, {0, 2}), std::invalid_argument);
  CHECK_THROWS_AS(broadcast(x, {4, 8, 2}, {0}), std::invalid_argument);
  CHECK_THROWS_AS(broadcast(x, {8, 4}, {0, 1}), std::invalid_argument);
  CHECK_THROWS_AS(b.update(x, y), std::invalid_argument);
  CHECK_THROWS_AS(b.update(x + x, x), std::invalid_argument);
}

TEST_CASE("a scalar operand is broadcast, as on paper") {
  Builder b;
  const auto x = b.parameter("x", f32, {4, 8});
  CHECK((x * b.constant(f32)).dims() == Dims{4, 8});
  CHECK((b.constant(f32) - x).dims() == Dims{4, 8});
  CHECK(reduce_sum(x, {0}).dims() == Dims{8});
  CHECK(reduce_max(x, {0, 1}).dims() == Dims{});
  CHECK(select(x > x, x, x).type() == x.type());
}

TEST_CASE("a rule that does not fit its tensors is a defect, and said to be") {
  Graph graph;
  CHECK_THROWS_AS(graph.add({"bad", "add", {{f32, {4}}}, source_rule({5})}, {}), std::logic_error);
}

TEST_CASE("results live from their op to their last reader") {
  Builder b;
  const auto x = b.parameter("x", f32, {4});  // op 0
  const auto y = exp(x);                      // op 1, last read by op 3
  const auto z = exp(y);                      // op 2, never read
  const auto w = y + y;                       // op 3, the output
  b.output(w);
  const Lifetimes lifetimes = lifetimes_of(b.graph());
  CHECK(lifetimes[x.value().op][0] == Lifetime{0, 4});  // the caller's, throughout
  CHECK(lifetimes[y.value().op][0] == Lifetime{1, 4});
  CHECK(lifetimes[z.value().op][0] == Lifetime{2, 3});
  CHECK(lifetimes[w.value().op][0] == Lifetime{3, 4});
}

TEST_CASE("an output in a parameter's place is counted only while the old value is read") {
  Builder b;
  const auto w = b.parameter("w", f32, {4});  // op 0
  const auto next = exp(w);                   // op 1
  const auto late = w + next;                 // op 2 still reads the old value
  const auto last = exp(late);                // op 3
  b.update(w, next);
  b.output(last);
  const Lifetimes lifetimes = lifetimes_of(b.graph());
  CHECK(lifetimes[next.value().op][0] == Lifetime{1, 3});

  Builder c;
  const auto v = c.parameter("v", f32, {4});
  const auto after = exp(v);
  const auto other = exp(after);
  c.update(v, other);
  CHECK(lifetimes_of(c.graph())[other.value().op][0].empty());
}

TEST_CASE("inside a fusion nothing reaches memory") {
  Graph graph;
  const OpId id = graph.add({"x", "iota", {{f32, {4}}}, source_rule({4})}, {});
  graph.op(id).has_buffer = false;
  CHECK(lifetimes_of(graph)[id][0].empty());
}

TEST_CASE("what a loop carries lives until it ends") {
  Graph graph;
  const Dims dims{4};
  const Value start{graph.add({"start", "iota", {{f32, dims}}, source_rule(dims)}, {}), 0};
  const Dims both[] = {dims, dims};
  Op state{"state", "while", {{f32, dims}}, elementwise_rule(both, dims)};
  state.is_loop_state = true;
  const Value carried{graph.add(state, std::span(&start, 1)), 0};
  const Value next{
      graph.add({"next", "exp", {{f32, dims}}, elementwise_rule(std::span(&dims, 1), dims)},
                std::span(&carried, 1)),
      0};
  const Value idle{
      graph.add({"idle", "exp", {{f32, dims}}, elementwise_rule(std::span(&dims, 1), dims)},
                std::span(&carried, 1)),
      0};
  graph.close_loop(carried.op, next);
  graph.loops.push_back({carried.op, graph.op_count()});
  const Lifetimes lifetimes = lifetimes_of(graph);
  CHECK(lifetimes[carried.op][0] == Lifetime{1, 4});
  CHECK(lifetimes[next.op][0] == Lifetime{2, 4});
  CHECK(lifetimes[idle.op][0] == Lifetime{3, 4});
  CHECK(graph.operand(carried.op, 1) == next);
}

}  // namespace
