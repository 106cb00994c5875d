// SPDX-License-Identifier: Apache-2.0
//
// A program as Boost.Graph sees it: ops are vertices, uses of a result are edges.
//
// Include this header, and Boost's algorithms run on a Graph as it is: nothing is copied.  A Graph
// models VertexListGraph, EdgeListGraph is left out (nothing needs it), and BidirectionalGraph.
// A loop makes a cycle: its state reads the value that is computed last (Use::is_next).
#pragma once
#include <boost/graph/graph_traits.hpp>
#include <boost/graph/properties.hpp>
#include <boost/iterator/counting_iterator.hpp>
#include <boost/iterator/transform_iterator.hpp>
#include <boost/property_map/property_map.hpp>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "tessera/graph/graph.hpp"

namespace tessera::graph {

/// An edge: operand `operand` of `reader` is a result of `op`.
struct UseEdge {
  OpId op = 0;
  OpId reader = 0;
  std::uint32_t operand = 0;

  friend constexpr bool operator==(const UseEdge&, const UseEdge&) noexcept = default;
};

namespace detail {

// The edges of an op by number: of its uses, or of its operands.
struct OutEdge {
  const Graph* graph = nullptr;
  OpId op = 0;
  UseEdge operator()(std::size_t i) const {
    const auto& [reader, use] = graph->uses(op)[i];
    return {op, reader, use.operand};
  }
};
struct InEdge {
  const Graph* graph = nullptr;
  OpId reader = 0;
  UseEdge operator()(std::size_t i) const {
    return {graph->operand(reader, i).op, reader, static_cast<std::uint32_t>(i)};
  }
};
using Number = boost::counting_iterator<std::size_t>;

}  // namespace detail
}  // namespace tessera::graph

namespace boost {

template<>
struct graph_traits<tessera::graph::Graph> {
  using vertex_descriptor = tessera::graph::OpId;
  using edge_descriptor = tessera::graph::UseEdge;
  using directed_category = bidirectional_tag;
  using edge_parallel_category = allow_parallel_edge_tag;
  struct traversal_category : vertex_list_graph_tag, bidirectional_graph_tag {};
  using vertex_iterator = tessera::graph::detail::Number;
  using out_edge_iterator =
      transform_iterator<tessera::graph::detail::OutEdge, tessera::graph::detail::Number>;
  using in_edge_iterator =
      transform_iterator<tessera::graph::detail::InEdge, tessera::graph::detail::Number>;
  using vertices_size_type = std::size_t;
  using edges_size_type = std::size_t;
  using degree_size_type = std::size_t;

  static vertex_descriptor null_vertex() { return static_cast<vertex_descriptor>(-1); }
};

template<>
struct property_map<tessera::graph::Graph, vertex_index_t> {
  using type = typed_identity_property_map<std::size_t>;
  using const_type = type;
};

}  // namespace boost

namespace tessera::graph {

using BoostTraits = boost::graph_traits<Graph>;

inline std::size_t num_vertices(const Graph& graph) { return graph.op_count(); }
inline std::pair<BoostTraits::vertex_iterator, BoostTraits::vertex_iterator> vertices(
    const Graph& graph) {
  return {detail::Number(0), detail::Number(graph.op_count())};
}

inline OpId source(const UseEdge& edge, const Graph&) { return edge.op; }
inline OpId target(const UseEdge& edge, const Graph&) { return edge.reader; }

inline std::size_t out_degree(OpId id, const Graph& graph) { return graph.uses(id).size(); }
inline std::pair<BoostTraits::out_edge_iterator, BoostTraits::out_edge_iterator> out_edges(
    OpId id, const Graph& graph) {
  const detail::OutEdge edge{&graph, id};
  return {{detail::Number(0), edge}, {detail::Number(graph.uses(id).size()), edge}};
}

inline std::size_t in_degree(OpId id, const Graph& graph) { return graph.operand_count(id); }
inline std::pair<BoostTraits::in_edge_iterator, BoostTraits::in_edge_iterator> in_edges(
    OpId id, const Graph& graph) {
  const detail::InEdge edge{&graph, id};
  return {{detail::Number(0), edge}, {detail::Number(graph.operand_count(id)), edge}};
}
inline std::size_t degree(OpId id, const Graph& graph) {
  return in_degree(id, graph) + out_degree(id, graph);
}

inline boost::typed_identity_property_map<std::size_t> get(boost::vertex_index_t, const Graph&) {
  return {};
}

}  // namespace tessera::graph
