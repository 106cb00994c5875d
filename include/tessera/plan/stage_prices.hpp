// SPDX-License-Identifier: Apache-2.0
//
// What a run of layers takes as a stage: its spans' prices added up, and the way into it.
//
// A stage is run in one way: on a view, at one of the view's levels of prices (span_prices.hpp),
// with all that its backward pass reads saved, or some of it computed again (span_reruns.hpp).
// Where the stage before it will be is not known when stages are priced; a transfer into a stage is
// priced as if the one before were alike and next to it.  In a row of stages that are parts of
// hosts some have theirs on the next host: so there is a transfer on average, and the worst.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/pipeline/in_flight.hpp"
#include "tessera/pipeline/stage_problem.hpp"
#include "tessera/pipeline/transfer.hpp"
#include "tessera/plan/span_prices.hpp"

namespace tessera::plan {

// A host is a unit of a cluster's innermost level.
inline pipeline::Submesh hosts_of(const cost::Cluster& cluster) {
  const Extent per_host = cluster.levels.empty() ? 1 : cluster.levels[0].fan_out;
  return {cluster.device_count() / per_host, per_host};
}

// How a stage is run.
struct StageConfig {
  std::size_t view = 0, level = 0, rematerialization = 0;  // of SpanPrices
};

// What the layers of a span come to together, extended layer by layer.
struct SpanSum {
  Cost forward = 0, backward = 0, again = 0;  // backward with what runs again
  Cost weight_backward = 0, per_step = 0, least_work = 0;
  Extent fixed = 0, saved = 0, transient = 0;

  void add(const SpanPrice& price, const Rematerialization& rematerialization) {
    forward = saturating_add(forward, price.forward);
    backward = saturating_add(backward, saturating_add(price.backward, rematerialization.time));
    again = saturating_add(again, rematerialization.time);
    weight_backward = saturating_add(weight_backward, price.weight_backward);
    per_step = saturating_add(per_step, price.per_step);
    least_work = saturating_add(least_work, price.least_work);
    fixed = saturating_add(fixed, price.fixed);
    saved = saturating_add(saved, rematerialization.saved);
    transient = std::max(transient, transient_with(price, rematerialization));
  }
  Cost time() const { return saturating_add(forward, backward); }
  pipeline::StageMemory memory() const { return {saturating_add(fixed, transient), saved}; }
};

// What no plan of the layers of a span takes less of, whatever the view.
struct LeastMemory {
  Extent fixed = 0, saved = 0, again = 0;

  void add(const SpanPrice& least, const Rematerialization& rematerialization) {
    fixed = saturating_add(fixed, least.fixed);
    saved = saturating_add(saved, rematerialization.least_saved);
    again = std::max(again, least.saved - rematerialization.least_saved);
  }
  pipeline::StageMemory memory() const { return {saturating_add(fixed, again), saved}; }
};

// What goes from one stage to the next, where some are neighbours on a host and some are not.
struct StageTransfer {
  Cost average = 0, worst = 0;

  void add(const StageTransfer& other) {
    average = saturating_add(average, other.average);
    worst = saturating_add(worst, other.worst);
  }
};

class StagePrices {
 public:
  // A run of layers, in some config.
  struct Run {
    std::size_t first = 0, last = 0;
    SpanSum sum;                  // its per_step with what crosses once per step
    pipeline::StageMemory least;  // whatever the plan
    StageTransfer receive;        // a microbatch, and the gradient of what came with it
  };

  // Keeps references to the first three.
  StagePrices(const pipeline::LayeredProgram& program, const cost::Cluster& cluster,
              SpanPrices& prices)
      : program_(program),
        cluster_(cluster),
        prices_(prices),
        hosts_(hosts_of(cluster)),
        enlarged_(cluster),
        ends_(prices.views().size()) {
    if (!enlarged_.levels.empty()) enlarged_.levels[enlarged_.levels.size() - 1].fan_out *= 2;
    for (std::size_t layer = 0; layer < program.layers(); ++layer)
      if (!prices.is_layered() || crosses_once(layer)) crossing_once_.push_back(layer);
  }

  SpanPrices& spans() const noexcept { return prices_; }
  const cost::Cluster& cluster() const noexcept { return cluster_; }
  const pipeline::Submesh& hosts() const noexcept { return hosts_; }
  const pipeline::LayeredProgram& program() const noexcept { return program_; }
  const View& view(std::size_t number) const noexcept { return prices_.views()[number]; }

  // Calls visit(run) for every run of layers, by first layer, then by last; those that have no
  // price are left out, and those that have none with such a rematerialization.
  template<class Visit>
  void for_each_run(const StageConfig& config, Visit&& visit) {
    const std::vector<Ends>& ends = ends_of(config.view, config.level);
    const bool is_layered = prices_.is_layered();
    std::vector<Term> of_layers;
    if (is_layered)
      for (std::size_t layer = 0; layer < program_.layers(); ++layer)
        of_layers.push_back(term(config, layer, layer));
    for (std::size_t first = 0; first < program_.layers(); ++first) {
      SpanSum sum;
      LeastMemory least;
      for (std::size_t last = first; last < program_.layers(); ++last) {
        const Term next = is_layered ? of_layers[last] : term(config, first, last);
        if (next.rematerialization == nullptr && is_layered) break;
        if (next.rematerialization == nullptr) continue;
        if (!is_layered) {
          sum = {};
          least = {};
        }
        sum.add(*next.price, *next.rematerialization);
        least.add(*next.least, *next.rematerialization);
        const Ends& at = ends[pipeline::StageProblem::span_number(first, last)];
        Run run{first, last, sum, least.memory(), at.receive};
        run.sum.per_step = saturating_add(sum.per_step, at.once_per_step);
        visit(run);
      }
    }
  }

  // @pre it has prices
  Run run(const StageConfig& config, std::size_t first, std::size_t last) const {
    Run run{first, last, {}, {}, {}};
    LeastMemory least;
    prices_.for_each_span(first, last, [&](std::size_t from, std::size_t to) {
      const Term next = term(config, from, to);
      run.sum.add(*next.price, *next.rematerialization);
      least.add(*next.least, *next.rematerialization);
    });
    run.sum.per_step = saturating_add(run.sum.per_step, once_per_step(config, first, last));
    run.least = least.memory();
    run.receive = receive_time(config, first, prices_.is_layered() ? first : last);
    return run;
  }

  // How many choices there are of what runs again, on a view at one of its levels.
  std::size_t rematerializations(std::size_t view, std::size_t level,
                                 Rematerialize rematerialize) const {
    const std::size_t all = prices_.rematerializations(view, level);
    return rematerialize == Rematerialize::never ? std::min<std::size_t>(all, 1) : all;
  }

  // What crosses once per step between a span and the rest: gradients of shared weights, and the
  // weights.  Whoever is at the other end waits as well.
  Cost once_per_step(const StageConfig& config, std::size_t first, std::size_t last) const {
    if (!prices_.is_layered()) return once_per_step_of(config, first, last, first, last);
    Cost total = 0;
    for (const std::size_t layer : crossing_once_)
      if (first <= layer && layer <= last)
        total = saturating_add(total, once_per_step_of(config, layer, layer, first, last));
    return total;
  }

  // A tensor from one place to another.
  Cost transfer(const graph::TensorType& type, const pipeline::PlacedSharding& from,
                const pipeline::PlacedSharding& to) const {
    return transfer(type, from, to, cluster_);
  }

 private:
  // What a span that is priced by itself adds to a run; no rematerialization where it has no price.
  struct Term {
    const SpanPrice* price = nullptr;
    const SpanPrice* least = nullptr;
    const Rematerialization* rematerialization = nullptr;
  };
  Term term(const StageConfig& config, std::size_t first, std::size_t last) const {
    const Rematerialization* rematerialization =
        prices_.rematerialization(config.view, first, last, config.level, config.rematerialization);
    if (rematerialization == nullptr) return {};
    return {prices_.price(config.view, first, last, config.level).get(),
            &prices_.least(first, last, view(config.view).mesh.device_count()), rematerialization};
  }

  Cost transfer(const graph::TensorType& type, const pipeline::PlacedSharding& from,
                const pipeline::PlacedSharding& to, const cost::Cluster& cluster) const {
    const auto key = std::tuple(type.dims.size(), graph::byte_count(type), from.sharding.bits(),
                                tessera::to_string(type.dims) + tessera::to_string(from.mesh) +
                                    '>' + tessera::to_string(to.mesh),
                                to.sharding.bits(), from.first, to.first, &cluster);
    const auto [at, is_new] = transfers_.try_emplace(key, 0);
    if (is_new)
      at->second =
          pipeline::transfer_time(pipeline::transfer_between(type.dims, from, to, hosts_.per_host),
                                  graph::bytes_of(type.element), cluster);
    return at->second;
  }
  // As if the stage before were alike, and next to it.
  StageTransfer transfer_alike(const graph::TensorType& type, const View& view,
                               DynamicSharding sharding) const {
    const Extent devices = view.mesh.device_count();
    if (cluster_.device_count() == devices) return {};
    const auto to = [&](Device first) {
      return transfer(type, {view.mesh, sharding, 0}, {view.mesh, sharding, first}, enlarged_);
    };
    const Cost near = to(devices);
    if (devices >= hosts_.per_host || hosts_.hosts == 1) return {near, near};
    const Cost far = to(hosts_.per_host);
    const Wide in_a_row = hosts_.per_host / devices;  // on one host
    const Wide sum = Wide(near) * (in_a_row - 1) + far;
    return {static_cast<Cost>((sum + in_a_row - 1) / in_a_row), std::max(near, far)};
  }

  // What goes in and out at the ends of a run of layers.
  struct Ends {
    StageTransfer receive;
    Cost once_per_step = 0;
  };

  // By number of the span.
  const std::vector<Ends>& ends_of(std::size_t view, std::size_t level) {
    std::vector<std::vector<Ends>>& of_view = ends_[view];
    while (of_view.size() <= level) of_view.push_back(ends_at({view, of_view.size()}));
    return of_view[level];
  }
  std::vector<Ends> ends_at(const StageConfig& config) const {
    std::vector<Ends> ends(program_.layers() * (program_.layers() + 1) / 2);
    const bool is_layered = prices_.is_layered();
    for (std::size_t first = 0; first < program_.layers(); ++first) {
      const StageTransfer receive = is_layered ? receive_time(config, first, first)
                                               : StageTransfer{};
      for (std::size_t last = first; last < program_.layers(); ++last) {
        const bool has_price =
            prices_.price(config.view, is_layered ? last : first, last, config.level) != nullptr;
        if (!has_price && is_layered) break;
        if (!has_price) continue;
        ends[pipeline::StageProblem::span_number(first, last)] = {
            is_layered ? receive : receive_time(config, first, last),
            once_per_step(config, first, last)};
      }
    }
    return ends;
  }

  // What it takes a stage that begins as this span does to be given a microbatch, and to give its
  // gradient back.
  StageTransfer receive_time(const StageConfig& config, std::size_t first, std::size_t last) const {
    const auto& price = prices_.price(config.view, first, last, config.level);
    if (first == 0 || !price) return {};
    StageTransfer total;
    const pipeline::SpanProgram& span = prices_.program(first, last);
    const auto add = [&](const std::vector<pipeline::BoundaryValue>& boundaries,
                         const std::vector<DynamicSharding>& shardings, pipeline::Phase part) {
      for (std::size_t i = 0; i < boundaries.size(); ++i)
        if (boundaries[i].phase == part && comes_from_before(boundaries[i], first))
          total.add(transfer_alike(span.graph.type_of(boundaries[i].value),
                                   prices_.views()[config.view], shardings[i]));
    };
    add(span.received, price->received, pipeline::Phase::forward);
    add(span.sent, price->sent, pipeline::Phase::backward);
    return total;
  }
  // Whether its other end is in a layer before `first`, or, of several readers, some is.
  bool comes_from_before(const pipeline::BoundaryValue& boundary, std::size_t first) const {
    if (program_.layer_of(boundary.origin.op) < first) return true;
    bool any = false;
    program_.graph().for_each_use(boundary.origin.op, [&](graph::OpId reader, const graph::Use&) {
      any = any || program_.layer_of(reader) < first;
    });
    return any;
  }

  bool crosses_once(std::size_t layer) const {
    const pipeline::SpanProgram& span = prices_.program(layer, layer);
    const auto is_once = [](const pipeline::BoundaryValue& boundary) {
      return boundary.phase == pipeline::Phase::update;
    };
    return std::any_of(span.received.begin(), span.received.end(), is_once) ||
           std::any_of(span.sent.begin(), span.sent.end(), is_once);
  }

  // The part of it that layers `from` to `to` of the span have.
  Cost once_per_step_of(const StageConfig& config, std::size_t from, std::size_t to,
                        std::size_t first, std::size_t last) const {
    Cost total = 0;
    const pipeline::SpanProgram& span = prices_.program(from, to);
    const SpanPrice& price = *prices_.price(config.view, from, to, config.level);
    const auto add = [&](const std::vector<pipeline::BoundaryValue>& boundaries,
                         const std::vector<DynamicSharding>& shardings, bool is_received) {
      for (std::size_t i = 0; i < boundaries.size(); ++i) {
        if (boundaries[i].phase != pipeline::Phase::update) continue;
        if (stays_inside(boundaries[i].origin, first, last, is_received)) continue;
        total = saturating_add(total, transfer_alike(span.graph.type_of(boundaries[i].value),
                                                     prices_.views()[config.view], shardings[i])
                                          .worst);
      }
    };
    add(span.received, price.received, true);
    add(span.sent, price.sent, false);
    return total;
  }
  bool stays_inside(graph::Value value, std::size_t first, std::size_t last,
                    bool is_received) const {
    const auto is_inside = [&](graph::OpId id) {
      return program_.layer_of(id) >= first && program_.layer_of(id) <= last;
    };
    if (is_received) return is_inside(value.op);
    bool all = true;
    program_.graph().for_each_use(
        value.op, [&](graph::OpId reader, const graph::Use&) { all = all && is_inside(reader); });
    return all;
  }

  using TransferKey = std::tuple<std::size_t, Extent, std::uint64_t, std::string, std::uint64_t,
                                 Device, Device, const cost::Cluster*>;

  const pipeline::LayeredProgram& program_;
  const cost::Cluster& cluster_;
  SpanPrices& prices_;
  pipeline::Submesh hosts_;
  cost::Cluster enlarged_;                  // room for a neighbour of whatever stage
  std::vector<std::size_t> crossing_once_;  // layers with something that crosses once per step
  std::vector<std::vector<std::vector<Ends>>> ends_;  // by view, by level
  mutable std::map<TransferKey, Cost> transfers_;
};

}  // namespace tessera::plan
