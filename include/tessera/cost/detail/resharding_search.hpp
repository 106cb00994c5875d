// SPDX-License-Identifier: Apache-2.0
//
// Shortest paths between the shardings of one tensor.
//
// The shardings are vertices and single steps are arcs, but the graph is never built beyond what
// searches meet.  Dijkstra's algorithm goes out from a sharding as far as it is asked for, and goes
// on from there when it is asked again.  Where there are too many shardings for that (six axes and
// more), lower bounds steer a search towards its target, as in A*, and of shardings that differ
// only in the names of interchangeable axes it looks at one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/cost/detail/interchange.hpp"
#include "tessera/cost/detail/relaxed_prices.hpp"
#include "tessera/cost/detail/step_prices.hpp"
#include "tessera/cost/detail/vertex_queue.hpp"
#include "tessera/cost/priced_step.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::cost::detail {

struct Arc {
  Vertex end = 0;
  Step step;
  Cost price = 0;
};

// One search, which can go on.
struct PathSearch {
  Vertex source = 0;
  VertexQueue queue;
  std::vector<Cost> distances;  // by vertex; infinite where it has not been met
  std::vector<Vertex> predecessors;
  std::size_t settled_count = 0;
  bool has_overflowed = false;            // some path's price does not fit in 64 bits
  const RelaxedPrices* bounds = nullptr;  // that steer it; null: nothing does
};

// The shardings met so far, whose partial sums have one of these reductions.
struct ShardingGraph {
  graph::ReductionSet reductions = 0;
  bool is_small = false;  // searches from every sharding can be kept, and all arcs
  std::vector<DynamicSharding> shardings;
  std::unordered_map<DynamicSharding, Vertex> index;
  std::vector<Arc> arcs;                                     // those of one vertex together
  std::vector<std::pair<std::size_t, std::size_t>> arcs_of;  // empty until they are asked for
  std::unordered_map<Vertex, PathSearch> searches;
  Interchange interchange;  // none where it is small
};

// How many shardings one search may look at: two seconds' work, and two hundred megabytes.
inline constexpr std::size_t max_settled = std::size_t{1} << 19U;

Vertex vertex_of(ShardingGraph& graph, DynamicSharding sharding);

// Whether a tensor has so few shardings that a search may look at all of them.
bool has_few_shardings(const StepPrices& steps, graph::ReductionSet reductions);

// The search from a sharding, as far as it has come.
PathSearch& search_from(ShardingGraph& graph, DynamicSharding from);

// Begins a search.
void start(PathSearch& search, Vertex source, Cost to_come);

// Goes on until the target is reached, and returns the price: infinite where every path is
// forbidden.  Throws Overflow, CapacityExceeded.
Cost settle(ShardingGraph& graph, PathSearch& search, StepPrices& steps, Vertex target);

// The steps to a target that is reached.
std::vector<PricedStep> steps_to(ShardingGraph& graph, const PathSearch& search, StepPrices& steps,
                                 Vertex target);

// The axes that may trade places on the way from one sharding to another.
Interchange interchange_between(StepPrices& steps, DynamicSharding from, DynamicSharding to);

}  // namespace tessera::cost::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/detail/resharding_search.ipp"
#endif
