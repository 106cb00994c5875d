// SPDX-License-Identifier: Apache-2.0
//
// The price of turning one sharding of a tensor into another: the shortest path over single steps.
//
// There is no table of special cases.  All-reduce, all-gather after reduce-scatter, a slice over a
// fast axis before a reduction over a slow one: each is found because it is cheapest.  The
// shardings of one tensor shape are the vertices of a Boost graph, steps its arcs, and Dijkstra
// runs once from every sharding that is asked for.
#pragma once
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/dijkstra_shortest_paths.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "tessera/cost/model.hpp"
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
template<CostModel Model, MeshLike M>
class TensorResharding {
 public:
  TensorResharding(const M& mesh, const Model& model, const Dims& dims, Extent element_bytes)
      : mesh_(mesh),
        model_(model),
        dims_(dims),
        bytes_(checked_mul(element_count(dims), element_bytes)) {
    for (Axis axis = 0; axis < mesh.rank(); ++axis)
      has_unit_axes_ = has_unit_axes_ || mesh.extent(axis) == 1;
  }

  // Memory per device: the bytes of the largest shard.
  Extent local_bytes(DynamicSharding sharding) const {
    const Extent count = element_count(dims_);
    if (count == 0) return 0;
    return element_count(local_shape(sharding, mesh_, dims_)) * (bytes_ / count);
  }

  // The least price.  0 where the two place the tensor alike.
  // Throws std::invalid_argument where a sharding is none of this tensor's.
  Cost price(DynamicSharding from, DynamicSharding to) {
    from = without_unit_axes(from);
    to = without_unit_axes(to);
    if (from == to) return 0;
    Space& space = space_of(from, to);
    return row_of(space, space.index_of(from)).distances[space.index_of(to)];
  }

  // The steps of a cheapest path, slices and masks included.
  std::vector<PricedStep> path(DynamicSharding from, DynamicSharding to) {
    from = without_unit_axes(from);
    to = without_unit_axes(to);
    std::vector<PricedStep> steps;
    if (from == to) return steps;
    Space& space = space_of(from, to);
    const Vertex source = space.index_of(from);
    const Row& row = row_of(space, source);
    for (Vertex at = space.index_of(to); at != source; at = row.predecessors[at])
      steps.insert(steps.begin(), cheapest_step(space, row.predecessors[at], at));
    return steps;
  }

 private:
  // Axes of one device place nothing, and take no steps.
  DynamicSharding without_unit_axes(DynamicSharding sharding) const {
    if (!has_unit_axes_) return sharding;
    DynamicSharding result = DynamicSharding::replicated(sharding.rank());
    for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
      for (const Axis axis : sharding.axes(dim))
        if (mesh_.extent(axis) > 1) result = result.with_split(dim, axis);
    for (const Axis axis : sharding.partial_axes().to_list())
      if (mesh_.extent(axis) > 1) result = result.with_partial(axis, sharding.reduction());
    return result;
  }

  struct Arc {
    Step step;
    Cost price = 0;
  };
  using StateGraph =
      boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, DynamicSharding, Arc>;
  using Vertex = typename StateGraph::vertex_descriptor;

  // One Dijkstra run.
  struct Row {
    std::vector<Cost> distances;
    std::vector<Vertex> predecessors;
  };
  // The shardings whose partial results have one of these reductions.
  struct Space {
    StateGraph graph;
    std::unordered_map<DynamicSharding, Vertex> index;
    std::unordered_map<Vertex, Row> rows;

    Vertex index_of(DynamicSharding sharding) const {
      const auto found = index.find(sharding);
      if (found == index.end())
        throw std::invalid_argument("sharding " + to_string(sharding) +
                                    " does not fit the tensor on this mesh");
      return found->second;
    }
  };

  // A path needs no partial results of a reduction that neither end has.
  Space& space_of(DynamicSharding from, DynamicSharding to) {
    const auto reductions = static_cast<graph::ReductionSet>(
        (graph::reduction_set(from.reduction()) | graph::reduction_set(to.reduction())) &
        graph::any_reduction);
    auto [at, is_new] = spaces_.try_emplace(reductions);
    if (is_new) build(at->second, reductions);
    return at->second;
  }

  void build(Space& space, graph::ReductionSet reductions) const {
    constexpr std::size_t max_states = std::size_t{1} << 20U;
    const auto vertex_of = [&](DynamicSharding sharding) {
      const auto [at, is_new] = space.index.try_emplace(sharding, boost::num_vertices(space.graph));
      if (is_new) boost::add_vertex(sharding, space.graph);
      return at->second;
    };
    // Slices and masks alone reach every sharding from the replicated one.
    vertex_of(DynamicSharding::replicated(dims_.size()));
    for (Vertex at = 0; at < boost::num_vertices(space.graph); ++at) {
      if (at == max_states)
        throw std::length_error("a tensor " + to_string(dims_) + " has over a million shardings " +
                                "on mesh " + to_string(mesh_) + "; merge mesh axes");
      const DynamicSharding before = space.graph[at];
      const auto add_arc = [&](Step step, DynamicSharding after) {
        boost::add_edge(at, vertex_of(after), Arc{step, price_of(step, before)}, space.graph);
      };
      for_each_step(before, mesh_, dims_, Reduction::none, add_arc);
      for (unsigned r = 1; r < 8; ++r)
        if ((reductions & (1U << r)) != 0)
          for_each_step(before, mesh_, dims_, static_cast<Reduction>(r),
                        [&](Step step, DynamicSharding after) {
                          if (step.kind == StepKind::mask) add_arc(step, after);
                        });
    }
  }

  Cost price_of(Step step, DynamicSharding before) const {
    if (!is_collective(step.kind)) return 0;
    return model_.price(step.kind, step.axis, mesh_.extent(step.axis),
                        message_of(step.axis, before, mesh_, bytes_));
  }

  const Row& row_of(Space& space, Vertex source) const {
    auto [at, is_new] = space.rows.try_emplace(source);
    if (is_new) {
      Row& row = at->second;
      row.distances.resize(boost::num_vertices(space.graph));
      row.predecessors.resize(boost::num_vertices(space.graph));
      boost::dijkstra_shortest_paths(space.graph, source,
                                     boost::predecessor_map(row.predecessors.data())
                                         .distance_map(row.distances.data())
                                         .weight_map(boost::get(&Arc::price, space.graph))
                                         .distance_inf(infinite));
    }
    return at->second;
  }

  PricedStep cheapest_step(const Space& space, Vertex from, Vertex to) const {
    const Arc* best = nullptr;
    for (auto [arc, end] = boost::out_edges(from, space.graph); arc != end; ++arc)
      if (boost::target(*arc, space.graph) == to)
        if (const Arc& here = space.graph[*arc]; best == nullptr || here.price < best->price)
          best = &here;
    return {best->step, message_of(best->step.axis, space.graph[from], mesh_, bytes_), best->price};
  }

  M mesh_;
  Model model_;
  Dims dims_;
  Extent bytes_;
  bool has_unit_axes_ = false;
  std::map<graph::ReductionSet, Space> spaces_;
};

// The same for every tensor of a program; tensors of equal dims and element size share one.
template<CostModel Model, MeshLike M>
class Resharding {
 public:
  Resharding(const M& mesh, const Model& model) : mesh_(mesh), model_(model) {}

  // Valid as long as this object lives.
  TensorResharding<Model, M>& of(const graph::TensorType& type) {
    std::vector<Extent> key(type.dims.begin(), type.dims.end());
    key.push_back(bytes_of(type.element));
    auto& slot = tensors_[key];
    if (!slot)
      slot = std::make_unique<TensorResharding<Model, M>>(mesh_, model_, type.dims,
                                                          bytes_of(type.element));
    return *slot;
  }

  const M& mesh() const noexcept { return mesh_; }
  const Model& model() const noexcept { return model_; }

 private:
  M mesh_;
  Model model_;
  std::map<std::vector<Extent>, std::unique_ptr<TensorResharding<Model, M>>> tensors_;
};

}  // namespace tessera::cost
