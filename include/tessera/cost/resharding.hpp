// SPDX-License-Identifier: Apache-2.0
//
// The price of turning one sharding of a tensor into another: the shortest path over single steps.
//
// There is no table of special cases.  All-reduce, all-gather after reduce-scatter, a slice over a
// fast axis before a reduction over a slow one: each is found because it is cheapest.
//
// The shardings of one tensor shape are vertices and steps are arcs, but the graph is never built:
// Dijkstra's algorithm goes out from each sharding that is asked for, as far as it is asked for,
// and goes on from there when it is asked again.  Where there are too many shardings for that (six
// axes and more), it is steered towards each target by lower bounds (relaxed.hpp), as A* is, and
// passes over what differs only in the names of axes (interchange.hpp).
#pragma once
#include <bit>
#include <boost/graph/detail/d_ary_heap.hpp>  // the queue of Boost's own Dijkstra
#include <boost/property_map/vector_property_map.hpp>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/cost/interchange.hpp"
#include "tessera/cost/prices.hpp"
#include "tessera/cost/relaxed.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/graph/tensor.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost {

// A step of a resharding, and what it costs.
struct PricedStep {
  Step step;
  Message message;
  Cost price = 0;
};

// All shardings of a tensor of one size, and the prices between them.
class TensorResharding {
 public:
  // Throws InvalidArgument where the model has no coefficients for some axis.
  template<CostModel Model>
  TensorResharding(const DynamicMesh& mesh, const Model& model, const Dims& dims,
                   Extent element_bytes)
      : TensorResharding(mesh, prices_of(model), dims, element_bytes) {}
  TensorResharding(const DynamicMesh& mesh, std::shared_ptr<const Prices> prices, const Dims& dims,
                   Extent element_bytes)
      : mesh_(mesh),
        prices_(std::move(prices)),
        dims_(dims),
        bytes_(checked_mul(element_count(dims), element_bytes)) {
    check_axis_count(*prices_, mesh_);
  }

  // Of the whole tensor.
  Extent bytes() const noexcept { return bytes_; }
  // Memory per device: the bytes of the largest shard.
  Extent local_bytes(DynamicSharding sharding) const {
    const Extent count = element_count(dims_);
    if (count == 0) return 0;
    return element_count(local_shape(sharding, mesh_, dims_)) * (bytes_ / count);
  }

  // The least price.  0 where the two place the tensor alike; `infinite` where the model forbids
  // every path.  Throws InvalidArgument where a sharding is none of this tensor's on this
  // mesh (InvalidSharding where it is so by its rank or its axes), Overflow where the
  // price does not fit in 64 bits, CapacityExceeded where a path is not found within max_settled.
  Cost price(DynamicSharding from, DynamicSharding to) {
    from = admitted(from);
    to = admitted(to);
    if (from == to) return 0;
    Space* const space = unguided_space(from, to);
    if (space != nullptr) return settle(*space, run_from(*space, from), space->vertex_of(to));
    return guided(from, to).price;
  }

  // The steps of a cheapest path, slices and masks included.  Throws as price() does, and
  // InvalidArgument where there is no path.
  std::vector<PricedStep> path(DynamicSharding from, DynamicSharding to) {
    from = admitted(from);
    to = admitted(to);
    if (from == to) return {};
    Space* const space = unguided_space(from, to);
    if (space == nullptr) {
      const GuidedPath& found = guided(from, to);
      if (!is_finite(found.price)) refuse_forbidden(from, to);
      return found.steps;
    }
    Run& run = run_from(*space, from);
    const Vertex target = space->vertex_of(to);
    if (!is_finite(settle(*space, run, target))) refuse_forbidden(from, to);
    return steps_to(*space, run, target);
  }

  // How many shardings one search may look at: two seconds' work, and two hundred megabytes.
  static constexpr std::size_t max_settled = std::size_t{1} << 19U;

 private:
  // --- What may be asked for ---------------------------------------------------------------------

  // The sharding without axes of one device, which place nothing and take no steps.
  DynamicSharding admitted(DynamicSharding sharding) {
    const auto known = admitted_.find(sharding);
    if (known != admitted_.end()) return known->second;
    if (sharding.rank() != dims_.size())
      throw InvalidSharding(
          "sharding " + to_string(sharding) + " of a tensor " + to_string(dims_),
          ShardingFault{ShardingRule::ranks_differ, static_cast<std::int64_t>(sharding.rank()),
                        static_cast<std::int64_t>(dims_.size())});
    check_axes(sharding, mesh_);
    DynamicSharding result = DynamicSharding::replicated(sharding.rank());
    for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
      for (const Axis axis : sharding.axes(dim)) {
        if (!can_split(result, mesh_, dims_, dim, axis))
          throw InvalidArgument("sharding " + to_string(sharding) + " does not fit the tensor " +
                                to_string(dims_) + " on mesh " + to_string(mesh_));
        if (mesh_.extent(axis) > 1) result = result.with_split(dim, axis);
      }
    for (const Axis axis : sharding.partial_axes().to_list())
      if (mesh_.extent(axis) > 1) result = result.with_partial(axis, sharding.reduction());
    admitted_.emplace(sharding, result);
    return result;
  }

  // --- Shardings and steps -----------------------------------------------------------------------

  using Vertex = std::uint32_t;
  struct Arc {
    Vertex end = 0;
    Step step;
    Cost price = 0;
  };
  // Where a search stands with a sharding: the price so far and the least that must follow, then
  // that least alone, so that of equals the one nearer to the target goes first.
  struct Rank {
    Cost in_all = 0;
    Cost to_come = 0;
    friend constexpr auto operator<=>(const Rank&, const Rank&) = default;
  };
  using Ranks = boost::vector_property_map<Rank>;
  using Places = boost::vector_property_map<std::size_t>;
  // With this queue and this order of arcs, ties fall as in Boost's dijkstra_shortest_paths.
  using Queue = boost::d_ary_heap_indirect<Vertex, 4, Places, Ranks, std::less<Rank>>;

  // One run of Dijkstra's algorithm, which can go on.
  struct Run {
    Vertex source = 0;
    Ranks ranks;
    Queue queue{ranks, Places()};
    std::vector<Cost> distances;  // infinite where not met yet
    std::vector<Vertex> predecessors;
    std::size_t settled_count = 0;
    bool has_overflowed = false;  // some path's price did not fit

    bool is_settled(Vertex v) const {
      return v < distances.size() && is_finite(distances[v]) && !queue.contains(v);
    }
  };

  // The shardings met so far; their partial results have one of these reductions.
  struct Space {
    graph::ReductionSet reductions = 0;
    bool is_small = false;  // so small that runs from every sharding can be kept, and all arcs
    std::vector<DynamicSharding> shardings;
    std::unordered_map<DynamicSharding, Vertex> index;
    std::vector<Arc> arcs;                                     // those of one vertex together
    std::vector<std::pair<std::size_t, std::size_t>> arcs_of;  // empty until they are asked for
    std::unordered_map<Vertex, Run> runs;
    Interchange interchange;  // none where it is small

    Vertex vertex_of(DynamicSharding sharding) {
      const auto [at, is_new] = index.try_emplace(sharding, static_cast<Vertex>(shardings.size()));
      if (is_new) {
        shardings.push_back(sharding);
        arcs_of.emplace_back();
      }
      return at->second;
    }
  };

  // A path needs no partial results of a reduction that neither end has.
  static graph::ReductionSet reductions_of(DynamicSharding from, DynamicSharding to) {
    return static_cast<graph::ReductionSet>(
        (graph::reduction_set(from.reduction()) | graph::reduction_set(to.reduction())) &
        graph::any_reduction);
  }

  // Where the shardings are few enough to look at all: what is known of them.
  Space* unguided_space(DynamicSharding from, DynamicSharding to) {
    constexpr Extent max_shardings = 1 << 15;
    const graph::ReductionSet reductions = reductions_of(from, to);
    auto [at, is_new] = spaces_.try_emplace(reductions);
    if (is_new) {
      at->second.reductions = reductions;
      at->second.is_small = sharding_count(reductions) <= max_shardings;
    }
    return at->second.is_small ? &at->second : nullptr;
  }

  // How many shardings there are at most, if every dim can be cut along every axis: so many axes in
  // ordered lists, one for each dim; of the others each holds copies or partial results.
  Extent sharding_count(graph::ReductionSet reductions) const {
    Extent axes = 0;
    for (std::size_t axis = 0; axis < mesh_.rank(); ++axis) axes += mesh_.extent(axis) > 1;
    Extent count = 0, choices = 1, lists = 1;  // of `split` axes
    for (Extent split = 0; split <= axes; ++split) {
      const Extent partial = (Extent{1} << (axes - split)) - 1;
      count += choices * lists * (1 + std::popcount(reductions) * partial);
      choices = choices * (axes - split) / (split + 1);
      lists *= static_cast<Extent>(dims_.size()) + split;
    }
    return count;
  }

  std::pair<std::size_t, std::size_t> arcs_out_of(Space& space, Vertex at) {
    if (space.arcs_of[at].second != 0) return space.arcs_of[at];
    if (!space.is_small) space.arcs.clear();
    const std::size_t begin = space.arcs.size();
    const DynamicSharding before = space.shardings[at];
    const auto add = [&](Step step, DynamicSharding after) {
      AxisSet others = before.split_axes();
      others.erase(step.axis);
      AxisNames names;
      const Vertex end = space.vertex_of(space.interchange.representative(after, names));
      space.arcs.push_back({end, step, price_of(step.kind, step.axis, others)});
    };
    for_each_step(before, mesh_, dims_, Reduction::none, add);
    for (unsigned r = 1; r < 8; ++r)
      if ((space.reductions & (1U << r)) != 0)
        for_each_step(before, mesh_, dims_, static_cast<Reduction>(r),
                      [&](Step step, DynamicSharding after) {
                        if (step.kind == StepKind::mask) add(step, after);
                      });
    const std::pair bounds(begin, space.arcs.size());
    if (space.is_small) space.arcs_of[at] = bounds;
    return bounds;
  }

  // Of a step over `axis` while the axes `others` split the tensor.
  Cost price_of(StepKind kind, Axis axis, AxisSet others) {
    if (!is_collective(kind)) return 0;
    const unsigned key = static_cast<unsigned>(kind) << 16U | unsigned{axis} << 8U | others.bits();
    const auto known = step_prices_.find(key);
    if (known != step_prices_.end()) return known->second;
    const Cost price =
        prices_->price(kind, axis, mesh_.extent(axis), Message{bytes_, extent_of(mesh_, others)});
    if (price < 0) throw InvalidArgument("a cost model gives a step a negative price");
    step_prices_.emplace(key, price);
    return price;
  }

  // --- Search ------------------------------------------------------------------------------------

  Run& run_from(Space& space, DynamicSharding from) {
    const Vertex source = space.vertex_of(from);
    const auto [at, is_new] = space.runs.try_emplace(source);
    if (is_new) start(at->second, source, 0);
    return at->second;
  }

  static void start(Run& run, Vertex source, Cost to_come) {
    run.source = source;
    meet(run, source, 0, to_come, source);
  }

  static void meet(Run& run, Vertex v, Cost distance, Cost to_come, Vertex predecessor) {
    const Cost in_all = saturating_add(distance, to_come);
    if (!is_finite(in_all)) return;
    if (v >= run.distances.size()) {
      run.distances.resize(v + 1, infinite);
      run.predecessors.resize(v + 1, v);
    }
    const bool is_queued = is_finite(run.distances[v]) && run.queue.contains(v);
    run.distances[v] = distance;
    run.predecessors[v] = predecessor;
    run.ranks[v] = {in_all, to_come};
    is_queued ? run.queue.update(v) : run.queue.push(v);
  }

  // The price of getting to `target`.  bound(sharding) is the least that must follow from there.
  template<class Bound>
  Cost settle(Space& space, Run& run, Vertex target, Bound&& bound) {
    while (!run.is_settled(target)) {
      if (run.queue.empty()) {
        if (run.has_overflowed)
          throw Overflow("the price of a resharding " + ends_text(space, run, target) +
                         " does not fit in 64 bits; choose smaller prices");
        return infinite;  // every path is forbidden
      }
      if (run.settled_count++ == max_settled)
        throw CapacityExceeded("a resharding " + ends_text(space, run, target) +
                               " was not found among " + std::to_string(max_settled) +
                               " shardings on mesh " + to_string(mesh_) + "; merge mesh axes");
      const Vertex at = run.queue.top();
      const auto [begin, end] = arcs_out_of(space, at);  // before popping, since it may throw
      run.queue.pop();
      for (std::size_t i = begin; i < end; ++i) {
        const Arc& arc = space.arcs[i];
        if (!is_finite(arc.price)) continue;  // forbidden
        const Cost distance = saturating_add(run.distances[at], arc.price);
        run.has_overflowed = run.has_overflowed || !is_finite(distance);
        if (arc.end < run.distances.size() && distance >= run.distances[arc.end]) continue;
        meet(run, arc.end, distance, bound(space.shardings[arc.end]), at);
      }
    }
    return run.distances[target];
  }
  Cost settle(Space& space, Run& run, Vertex target) {
    return settle(space, run, target, [](DynamicSharding) { return Cost{0}; });
  }

  struct GuidedPath {
    Cost price = 0;
    std::vector<PricedStep> steps;
  };
  const GuidedPath& guided(DynamicSharding from, DynamicSharding to) {
    const std::pair ends(from, to);
    if (const auto known = guided_.find(ends); known != guided_.end()) return known->second;
    const graph::ReductionSet reductions = reductions_of(from, to);
    const RelaxedPrices& relaxed = relaxed_prices(to, reductions);
    Space space;
    space.reductions = reductions;
    space.interchange = interchange_between(from, to);
    Run run;
    run.has_overflowed = relaxed.has_overflowed();
    start(run, space.vertex_of(from), relaxed[from]);
    const Vertex target = space.vertex_of(to);
    const Cost price =
        settle(space, run, target, [&](DynamicSharding sharding) { return relaxed[sharding]; });
    GuidedPath found{price, {}};
    if (is_finite(price)) found.steps = steps_to(space, run, target);
    return guided_.emplace(ends, std::move(found)).first->second;
  }

  Interchange interchange_between(DynamicSharding from, DynamicSharding to) {
    Interchange interchange;
    AxisSet left;
    for (std::size_t axis = 0; axis < mesh_.rank(); ++axis)
      if (mesh_.extent(axis) > 1 && from.is_replicated(axis) && to.is_replicated(axis))
        left.insert(axis);
    while (!left.empty()) {
      const AxisList candidates = left.to_list();
      AxisList group;
      for (const Axis axis : candidates)
        if (group.empty() || are_alike(group[0], axis)) group.push_back(axis);
      for (const Axis axis : group) left.erase(axis);
      if (group.size() > 1) interchange.add_group(group);
    }
    return interchange;
  }

  // Whether steps over the one always cost what they cost over the other.
  bool are_alike(Axis a, Axis b) {
    if (mesh_.extent(a) != mesh_.extent(b)) return false;
    const std::pair key(a, b);
    if (const auto known = alike_.find(key); known != alike_.end()) return known->second;
    bool alike = true;
    for (const StepKind kind : {StepKind::all_gather, StepKind::all_reduce,
                                StepKind::reduce_scatter, StepKind::all_to_all})
      for (unsigned bits = 0; alike && bits <= all_axes(mesh_).bits(); ++bits) {
        const AxisSet others = AxisSet::from_bits(static_cast<std::uint8_t>(bits));
        if (others.contains(a)) continue;
        AxisSet exchanged = others;
        exchanged.erase(b);
        if (others.contains(b)) exchanged.insert(a);
        alike = price_of(kind, a, others) == price_of(kind, b, exchanged);
      }
    alike_.emplace(key, alike);
    return alike;
  }

  const RelaxedPrices& relaxed_prices(DynamicSharding to, graph::ReductionSet reductions) {
    constexpr std::size_t max_kept = 64;  // they are large
    const std::pair key(to, reductions);
    if (const auto known = relaxed_.find(key); known != relaxed_.end()) return known->second;
    if (relaxed_.size() == max_kept) relaxed_.clear();
    const auto price = [this](StepKind kind, Axis axis, AxisSet others) {
      return price_of(kind, axis, others);
    };
    return relaxed_.emplace(key, RelaxedPrices(mesh_, to, reductions, price)).first->second;
  }

  // --- Answers -----------------------------------------------------------------------------------

  std::vector<PricedStep> steps_to(Space& space, const Run& run, Vertex target) {
    std::vector<Vertex> met{target};
    while (met.back() != run.source) met.push_back(run.predecessors[met.back()]);
    std::vector<PricedStep> steps;
    AxisNames original = own_names();  // what the axes of a representative stand for
    for (std::size_t i = met.size() - 1; i > 0; --i) {
      PricedStep priced = cheapest_step(space, met[i], met[i - 1]);
      AxisNames names;
      const DynamicSharding after =
          apply(priced.step, space.shardings[met[i]], space.shardings[met[i - 1]].reduction());
      space.interchange.representative(after, names);
      priced.step.axis = original[priced.step.axis];
      steps.push_back(priced);
      const AxisNames before = original;
      for (std::size_t axis = 0; axis < max_axes; ++axis) original[names[axis]] = before[axis];
    }
    return steps;
  }

  PricedStep cheapest_step(Space& space, Vertex from, Vertex to) {
    const Arc* best = nullptr;
    const auto [begin, end] = arcs_out_of(space, from);
    for (std::size_t i = begin; i < end; ++i)
      if (const Arc& here = space.arcs[i];
          here.end == to && (best == nullptr || here.price < best->price))
        best = &here;
    return {best->step, message_of(best->step.axis, space.shardings[from], mesh_, bytes_),
            best->price};
  }

  std::string ends_text(const Space& space, const Run& run, Vertex target) const {
    return "of a tensor " + to_string(dims_) + " from " + to_string(space.shardings[run.source]) +
           " to " + to_string(space.shardings[target]);
  }

  [[noreturn]] static void refuse_forbidden(DynamicSharding from, DynamicSharding to) {
    throw InvalidArgument("the cost model forbids every path from " + to_string(from) + " to " +
                          to_string(to));
  }

  DynamicMesh mesh_;
  std::shared_ptr<const Prices> prices_;
  Dims dims_;
  Extent bytes_;
  std::unordered_map<DynamicSharding, DynamicSharding> admitted_;
  std::unordered_map<unsigned, Cost> step_prices_;
  std::map<std::pair<Axis, Axis>, bool> alike_;  // axes that cost the same
  std::map<graph::ReductionSet, Space> spaces_;
  std::map<std::pair<DynamicSharding, DynamicSharding>, GuidedPath> guided_;
  std::map<std::pair<DynamicSharding, graph::ReductionSet>, RelaxedPrices> relaxed_;
};

// The same for every tensor of a program; tensors of equal dims and element size share one.
class Resharding {
 public:
  // Throws InvalidArgument where the model has no coefficients for some axis.
  template<CostModel Model>
  Resharding(const DynamicMesh& mesh, const Model& model) : Resharding(mesh, prices_of(model)) {}
  Resharding(const DynamicMesh& mesh, std::shared_ptr<const Prices> prices)
      : mesh_(mesh), prices_(std::move(prices)) {
    check_axis_count(*prices_, mesh_);
  }

  // Valid as long as this object lives.
  TensorResharding& of(const graph::TensorType& type) {
    std::vector<Extent> key(type.dims.begin(), type.dims.end());
    key.push_back(bytes_of(type.element));
    auto& slot = tensors_[key];
    if (!slot)
      slot = std::make_unique<TensorResharding>(mesh_, prices_, type.dims, bytes_of(type.element));
    return *slot;
  }

  const DynamicMesh& mesh() const noexcept { return mesh_; }
  const Prices& prices() const noexcept { return *prices_; }

 private:
  DynamicMesh mesh_;
  std::shared_ptr<const Prices> prices_;
  std::map<std::vector<Extent>, std::unique_ptr<TensorResharding>> tensors_;
};

}  // namespace tessera::cost
