// SPDX-License-Identifier: Apache-2.0
//
// The bodies of min_cut.hpp.
#pragma once
#include <version>  // tells which standard library this is

// Boost 1.74 derives from std::unary_function, which libc++ no longer has in C++20.
#if defined(_LIBCPP_VERSION) && !defined(BOOST_NO_CXX98_FUNCTION_BASE)
#define BOOST_NO_CXX98_FUNCTION_BASE
#endif

#include "tessera/plan/detail/rematerialization/min_cut.hpp"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/boykov_kolmogorov_max_flow.hpp>

namespace tessera::plan::detail {

// Of Boost's algorithms this one asks for no numeric_limits of the capacities, which 128-bit
// integers lack in strict C++.
TESSERA_INLINE std::vector<char> min_cut(const CutGraph& graph, std::size_t source,
                                         std::size_t sink) {
  using Traits = boost::adjacency_list_traits<boost::vecS, boost::vecS, boost::directedS>;
  struct Arc {
    Wide capacity = 0, residual = 0;
    Traits::edge_descriptor reverse;
  };
  struct Vertex {
    boost::default_color_type color;
    long distance;
    Traits::edge_descriptor predecessor;
  };
  using Flow = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, Vertex, Arc>;
  Flow flow(graph.node_count);
  for (const CutEdge& edge : graph.edges) {
    if (edge.from == edge.to) continue;  // no cut has it
    const auto forward = boost::add_edge(edge.from, edge.to, flow).first;
    const auto backward = boost::add_edge(edge.to, edge.from, flow).first;
    flow[forward] = {edge.capacity, 0, backward};
    flow[backward] = {0, 0, forward};
  }
  boost::boykov_kolmogorov_max_flow(
      flow, boost::get(&Arc::capacity, flow), boost::get(&Arc::residual, flow),
      boost::get(&Arc::reverse, flow), boost::get(&Vertex::predecessor, flow),
      boost::get(&Vertex::color, flow), boost::get(&Vertex::distance, flow),
      boost::get(boost::vertex_index, flow), source, sink);
  // The half of the source: the nodes that can be reached where capacity is left.
  std::vector<char> side(graph.node_count, 0);
  std::vector<std::size_t> todo{source};
  side[source] = 1;
  while (!todo.empty()) {
    const std::size_t node = todo.back();
    todo.pop_back();
    for (auto [arc, end] = boost::out_edges(node, flow); arc != end; ++arc) {
      const std::size_t next = boost::target(*arc, flow);
      if (flow[*arc].residual == 0 || side[next] != 0) continue;
      side[next] = 1;
      todo.push_back(next);
    }
  }
  return side;
}

}  // namespace tessera::plan::detail
