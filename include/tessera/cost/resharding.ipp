// SPDX-License-Identifier: Apache-2.0
//
// The bodies of resharding.hpp.
#pragma once
#include "tessera/cost/resharding.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/cost/detail/relaxed_prices.hpp"
#include "tessera/cost/detail/resharding_search.hpp"
#include "tessera/cost/detail/step_prices.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::cost {

namespace detail {

// A path whose search is not kept.
struct KnownPath {
  Cost price = 0;
  std::vector<PricedStep> steps;
};

struct TensorPaths {
  StepPrices steps;
  std::unordered_map<DynamicSharding, DynamicSharding> admitted;
  std::map<graph::ReductionSet, ShardingGraph> graphs;
  std::map<std::pair<DynamicSharding, DynamicSharding>, KnownPath> guided;
  std::map<std::pair<DynamicSharding, graph::ReductionSet>, RelaxedPrices> relaxed;
};

// A path needs no partial sums of a reduction that neither end has.
TESSERA_INLINE graph::ReductionSet reductions_between(DynamicSharding from, DynamicSharding to) {
  return static_cast<graph::ReductionSet>(
      (graph::reduction_set(from.reduction()) | graph::reduction_set(to.reduction())) &
      graph::any_reduction);
}

TESSERA_INLINE void check_rank(const StepPrices& steps, DynamicSharding sharding) {
  if (sharding.rank() == steps.dims.size()) return;
  throw InvalidSharding(
      "sharding " + to_string(sharding) + " of a tensor " + to_string(steps.dims),
      ShardingFault{ShardingRule::ranks_differ, static_cast<std::int64_t>(sharding.rank()),
                    static_cast<std::int64_t>(steps.dims.size())});
}

// The sharding without axes of one device, which place nothing and take no steps.
TESSERA_INLINE DynamicSharding admitted(TensorPaths& paths, DynamicSharding sharding) {
  const auto known = paths.admitted.find(sharding);
  if (known != paths.admitted.end()) return known->second;
  const StepPrices& steps = paths.steps;
  check_rank(steps, sharding);
  tessera::check_axes(sharding, steps.mesh);
  DynamicSharding result = DynamicSharding::replicated(sharding.rank());
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
    for (const Axis axis : sharding.axes(dim)) {
      if (!can_split(result, steps.mesh, steps.dims, dim, axis))
        throw InvalidArgument("sharding " + to_string(sharding) + " does not fit the tensor " +
                              to_string(steps.dims) + " on mesh " + to_string(steps.mesh));
      if (steps.mesh.extent(axis) > 1) result = result.with_split(dim, axis);
    }
  for (const Axis axis : sharding.partial_axes().to_list())
    if (steps.mesh.extent(axis) > 1) result = result.with_partial(axis, sharding.reduction());
  paths.admitted.emplace(sharding, result);
  return result;
}

// The graph of all shardings that a path may need; null where they are too many.
TESSERA_INLINE ShardingGraph* small_graph(TensorPaths& paths, DynamicSharding from,
                                          DynamicSharding to) {
  const graph::ReductionSet reductions = reductions_between(from, to);
  auto [at, is_new] = paths.graphs.try_emplace(reductions);
  if (is_new) {
    at->second.reductions = reductions;
    at->second.is_small = has_few_shardings(paths.steps, reductions);
  }
  return at->second.is_small ? &at->second : nullptr;
}

TESSERA_INLINE const RelaxedPrices& relaxed_of(TensorPaths& paths, DynamicSharding to,
                                               graph::ReductionSet reductions) {
  constexpr std::size_t max_kept = 64;  // they are large
  const std::pair key(to, reductions);
  if (const auto known = paths.relaxed.find(key); known != paths.relaxed.end())
    return known->second;
  if (paths.relaxed.size() == max_kept) paths.relaxed.clear();
  return paths.relaxed.emplace(key, relaxed_prices(paths.steps, to, reductions)).first->second;
}

TESSERA_INLINE const KnownPath& guided_path(TensorPaths& paths, DynamicSharding from,
                                            DynamicSharding to) {
  const std::pair ends(from, to);
  if (const auto known = paths.guided.find(ends); known != paths.guided.end()) return known->second;
  ShardingGraph graph;
  graph.reductions = reductions_between(from, to);
  graph.interchange = interchange_between(paths.steps, from, to);
  const RelaxedPrices& relaxed = relaxed_of(paths, to, graph.reductions);
  PathSearch search;
  search.has_overflowed = relaxed.has_overflowed;
  search.bounds = &relaxed;
  start(search, vertex_of(graph, from), lower_bound(relaxed, from));
  const Vertex target = vertex_of(graph, to);
  KnownPath found{settle(graph, search, paths.steps, target), {}};
  if (is_finite(found.price)) found.steps = steps_to(graph, search, paths.steps, target);
  return paths.guided.emplace(ends, std::move(found)).first->second;
}

[[noreturn]] TESSERA_INLINE void refuse_forbidden(DynamicSharding from, DynamicSharding to) {
  throw InvalidArgument("the cost model forbids every path from " + to_string(from) + " to " +
                        to_string(to));
}

}  // namespace detail

TESSERA_INLINE TensorResharding::TensorResharding(const DynamicMesh& mesh,
                                                  std::shared_ptr<const Prices> prices,
                                                  const Dims& dims, Extent element_bytes)
    : paths_(std::make_unique<detail::TensorPaths>()) {
  check_axis_count(*prices, mesh);
  const Extent bytes = checked_mul(element_count(dims), element_bytes);
  paths_->steps = {mesh, std::move(prices), dims, bytes, {}, {}};
}
TESSERA_INLINE TensorResharding::~TensorResharding() = default;

TESSERA_INLINE Extent TensorResharding::bytes() const noexcept { return paths_->steps.bytes; }

TESSERA_INLINE Extent TensorResharding::local_bytes(DynamicSharding sharding) const {
  const detail::StepPrices& steps = paths_->steps;
  const Extent count = element_count(steps.dims);
  if (count == 0) return 0;
  return element_count(local_shape(sharding, steps.mesh, steps.dims)) * (steps.bytes / count);
}

TESSERA_INLINE Cost TensorResharding::price(DynamicSharding from, DynamicSharding to) {
  from = admitted(*paths_, from);
  to = admitted(*paths_, to);
  if (from == to) return 0;
  if (detail::ShardingGraph* const graph = small_graph(*paths_, from, to))
    return settle(*graph, search_from(*graph, from), paths_->steps, vertex_of(*graph, to));
  return guided_path(*paths_, from, to).price;
}

TESSERA_INLINE std::vector<PricedStep> TensorResharding::path(DynamicSharding from,
                                                              DynamicSharding to) {
  from = admitted(*paths_, from);
  to = admitted(*paths_, to);
  if (from == to) return {};
  detail::ShardingGraph* const graph = small_graph(*paths_, from, to);
  if (graph == nullptr) {
    const detail::KnownPath& found = guided_path(*paths_, from, to);
    if (!is_finite(found.price)) detail::refuse_forbidden(from, to);
    return found.steps;
  }
  detail::PathSearch& search = search_from(*graph, from);
  const detail::Vertex target = vertex_of(*graph, to);
  if (!is_finite(settle(*graph, search, paths_->steps, target))) detail::refuse_forbidden(from, to);
  return steps_to(*graph, search, paths_->steps, target);
}

TESSERA_INLINE Resharding::Resharding(const DynamicMesh& mesh, std::shared_ptr<const Prices> prices)
    : mesh_(mesh), prices_(std::move(prices)) {
  check_axis_count(*prices_, mesh_);
}

TESSERA_INLINE TensorResharding& Resharding::of(const graph::TensorType& type) {
  std::vector<Extent> key(type.dims.begin(), type.dims.end());
  key.push_back(bytes_of(type.element));
  std::unique_ptr<TensorResharding>& slot = tensors_[key];
  if (!slot)
    slot = std::make_unique<TensorResharding>(mesh_, prices_, type.dims, bytes_of(type.element));
  return *slot;
}

}  // namespace tessera::cost
