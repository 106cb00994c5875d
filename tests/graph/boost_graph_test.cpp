// SPDX-License-Identifier: Apache-2.0
#include "tessera/graph/boost_graph.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/graph/connected_components.hpp>
#include <boost/graph/graph_concepts.hpp>
#include <boost/graph/reverse_graph.hpp>
#include <boost/graph/strong_components.hpp>
#include <boost/graph/topological_sort.hpp>
#include <iterator>
#include <vector>

#include "tessera/graph/builder.hpp"
#include "tessera/graph/functions.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;

BOOST_CONCEPT_ASSERT((boost::VertexListGraphConcept<Graph>));
BOOST_CONCEPT_ASSERT((boost::BidirectionalGraphConcept<Graph>));

TEST_CASE("Boost's algorithms run on a program: every op comes before its readers") {
  Builder b;
  const auto x = b.parameter("x", f32, {4, 8}), y = b.parameter("y", f32, {4, 8});
  b.output(softmax(y - x) * exp(x));
  const Graph& graph = b.graph();
  std::vector<OpId> order;
  boost::topological_sort(graph, std::back_inserter(order));  // last op first
  std::reverse(order.begin(), order.end());
  REQUIRE(order.size() == graph.op_count());
  std::vector<std::size_t> place(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  for (OpId id = 0; id < graph.op_count(); ++id)
    for (std::size_t i = 0; i < graph.operand_count(id); ++i)
      CHECK(place[graph.operand(id, i).op] < place[id]);
}

TEST_CASE("an edge leads from an op to its reader, in both directions, one for each use") {
  Builder b;
  const auto x = b.parameter("x", f32, {4});
  const auto square = x * x;
  b.output(square);
  const Graph& graph = b.graph();
  CHECK(out_degree(x.value().op, graph) == 2);
  CHECK(in_degree(square.value().op, graph) == 2);
  std::uint32_t operand = 0;
  for (auto [edge, end] = in_edges(square.value().op, graph); edge != end; ++edge, ++operand) {
    CHECK(source(*edge, graph) == x.value().op);
    CHECK(target(*edge, graph) == square.value().op);
    CHECK((*edge).operand == operand);
  }
}

TEST_CASE("a loop is a cycle: its ops are one strong component") {
  Graph graph;
  const Dims dims{4}, both[] = {dims, dims};
  const Value start{graph.add({"start", Opcode::iota, {{f32, dims}}, source_rule(dims)}, {}), 0};
  Op state{"state", Opcode::while_loop, {{f32, dims}}, elementwise_rule(both, dims)};
  state.is_loop_state = true;
  const Value carried{graph.add(state, std::span(&start, 1)), 0};
  Op body{"body", Opcode::negate, {{f32, dims}}, elementwise_rule(std::span(&dims, 1), dims)};
  const Value next{graph.add(body, std::span(&carried, 1)), 0};
  graph.close_loop(carried.op, next);
  std::vector<std::size_t> component(graph.op_count());
  const auto map =
      boost::make_iterator_property_map(component.begin(), get(boost::vertex_index, graph));
  CHECK(boost::strong_components(graph, map) == 2);
  CHECK(component[carried.op] == component[next.op]);
  CHECK(component[start.op] != component[next.op]);
}
}  // namespace
