// SPDX-License-Identifier: Apache-2.0
//
// Names and entries of a request, as its validation, conversion and evaluation all need them.
#pragma once
#include <cstddef>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/io/xla_request/request.hpp"

namespace tessera::io::xla::detail {

// "dot.3", or "3" if the node has no name.
inline std::string short_name(const Request& request, RequestNode v) {
  const std::string& name = request.nodes[v].name;
  return name.empty() ? std::to_string(v) : name;
}

// "node 3 (dot.3)", for messages, since names need not be unique.
inline std::string full_name(const Request& request, RequestNode v) {
  const std::string& name = request.nodes[v].name;
  return "node " + std::to_string(v) + (name.empty() ? "" : " (" + name + ")");
}

inline bool is_forbidden(const Request& request, double cost) { return cost >= request.infinity; }
inline bool is_forbidden(const Request& request, const Request::Node& node, std::size_t s) {
  const double computation = node.computation_costs[s], communication = node.communication_costs[s];
  return is_forbidden(request, computation) || is_forbidden(request, communication) ||
         is_forbidden(request, computation + communication);
}

// The entry of an edge or alias for two strategies.
template<class Pair>  // Edge or Alias
std::size_t index_of(const Request& request, const Pair& pair, std::size_t s, std::size_t t) {
  return s * request.nodes[pair.second].strategy_count + t;
}
template<class Pair>
std::size_t index_of(const Request& request, const Pair& pair, const Strategies& strategies) {
  return index_of(request, pair, strategies[pair.first], strategies[pair.second]);
}

inline void check_strategies(const Request& request, const Strategies& strategies) {
  if (strategies.size() != request.nodes.size())
    throw InvalidArgument("there are " + std::to_string(strategies.size()) + " strategies for " +
                          std::to_string(request.nodes.size()) + " nodes");
  for (RequestNode v = 0; v < strategies.size(); ++v)
    if (strategies[v] >= request.nodes[v].strategy_count)
      throw InvalidArgument(full_name(request, v) + " has no strategy " +
                            std::to_string(strategies[v]));
}

}  // namespace tessera::io::xla::detail
