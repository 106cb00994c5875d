// SPDX-License-Identifier: Apache-2.0
//
// plan_pipeline(): a program, its layers and a cluster in; stages out, with everything that a step
// of them takes.
//
//   const auto layers = *pipeline::named_layers(graph);  // graph: one microbatch, and the update
//   const plan::PipelinePlan plan = plan::plan_pipeline(graph, layers, cluster, {.microbatches =
//   64}); plan.stages[i].first ... last, .submesh, .mesh, .first_device plan.cost, plan.lower_bound
//   // picoseconds a step, by the prices of spans plan.timeline                 // the step as its
//   schedule plays, transfers as they go
//
// The choice is the cheapest in this space: contiguous layers; submeshes of the sizes that are
// given, all devices in use; each seen as any mesh of two axes; of each span the plan that keeps
// its stage busy for the least time (span_price.hpp, and span_prices.hpp for what is restricted
// between layers); activations kept, or computed again layer by layer; memory as the schedule has
// it in flight.  A transfer into a stage is priced as if the stage before it were alike and next to
// it; the timeline has the real ones.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/pipeline/ranks.hpp"
#include "tessera/pipeline/simulate.hpp"
#include "tessera/pipeline/stage_search.hpp"
#include "tessera/pipeline/transfer.hpp"
#include "tessera/plan/span_prices.hpp"

namespace tessera::plan {

struct PipelineOptions {
  std::int64_t microbatches = 1;
  pipeline::ScheduleKind schedule = pipeline::ScheduleKind::one_f_one_b;  // or gpipe
  pipeline::Submeshes submeshes = {};        // empty: default_submeshes()
  std::optional<Extent> memory_budget = {};  // bytes per device; nothing: what a device has
  bool may_recompute = true;
  PricingOptions pricing = {};  // but for its microbatches
};

// Parts of a host that divide it, and numbers of hosts that divide the cluster's.
inline pipeline::Submeshes default_submeshes(const pipeline::Submesh& cluster) {
  pipeline::Submeshes result;
  for (Extent part = 1; part < cluster.per_host; ++part)
    if (cluster.per_host % part == 0) result.push_back({1, part});
  for (Extent hosts = 1; hosts <= cluster.hosts; ++hosts)
    if (cluster.hosts % hosts == 0) result.push_back({hosts, cluster.per_host});
  return result;
}

// A host is a unit of a cluster's innermost level.
inline pipeline::Submesh hosts_of(const cost::Cluster& cluster) {
  const Extent per_host = cluster.levels.empty() ? 1 : cluster.levels[0].fan_out;
  return {cluster.device_count() / per_host, per_host};
}

struct PlannedStage {
  std::size_t first = 0, last = 0;  // layers
  pipeline::Submesh submesh;
  Device first_device = 0;
  std::size_t view = 0;  // of PipelinePlan::prices
  DynamicMesh mesh;
  pipeline::Roles roles;  // of the mesh's axes: data where one splits what comes with a microbatch
  bool recomputes = false;
  Cost forward = 0, backward = 0;   // of one microbatch; backward with what is computed again
  Cost receive = 0, send_back = 0;  // of one microbatch: its input, and its input's gradient
  Cost per_step = 0;
  pipeline::StageMemory memory;
  std::int64_t in_flight = 0;  // microbatches
  Wide bytes() const noexcept { return memory.fixed + Wide(memory.per_microbatch) * in_flight; }
};

enum class PipelineStatus : std::uint8_t {
  optimal,     // nothing in the space costs less
  feasible,    // some span was priced by a plan that is not proven the best
  infeasible,  // nothing fits
  unknown,     // cancelled, or out of time
};

struct PipelinePlan {
  PipelineStatus status = PipelineStatus::unknown;
  std::vector<PlannedStage> stages;  // empty unless optimal or feasible; so is what follows
  std::int64_t microbatches = 1;
  Wide cost = 0;         // picoseconds a step, by the formula of stage_problem.hpp
  Wide lower_bound = 0;  // of that, over the prices of the spans
  pipeline::Schedule schedule;
  pipeline::Timeline timeline;  // of all microbatches, without what comes once per step
  Cost step_time = 0;           // the timeline's end, and the longest per_step after it
  cost::Utilisation utilisation;
  Extent memory_capacity = 0;  // of a device, or the budget
  PricingStatistics pricing;
  pipeline::StageStatistics choice;
  double seconds = 0;
  std::shared_ptr<const SpanPrices> prices;  // of which each stage has its view and its layers

  bool has_stages() const noexcept { return !stages.empty(); }
  // Which process is which.  @pre has_stages()
  pipeline::Ranks ranks() const {
    std::vector<pipeline::RankBlock> blocks;
    for (const PlannedStage& stage : stages)
      blocks.push_back({stage.first_device, stage.mesh, stage.roles});
    return pipeline::Ranks::of_stages(std::move(blocks));
  }
};

namespace detail {

// All meshes of two axes, and of one; those with an axis of one device are the latter.
inline std::vector<View> views_of(const pipeline::Submeshes& submeshes) {
  std::vector<View> views;
  for (std::size_t size = 0; size < submeshes.size(); ++size) {
    bool has_line = false;
    for (const DynamicMesh& mesh : pipeline::logical_views(submeshes[size])) {
      if (mesh.extent(0) > 1 && mesh.extent(1) > 1) {
        views.push_back({submeshes[size], size, mesh});
      } else if (!has_line) {
        views.push_back({submeshes[size], size, DynamicMesh{mesh.device_count()}});
        has_line = true;
      }
    }
  }
  return views;
}

// What the layers of a span come to together, extended layer by layer.
struct SpanSum {
  Cost forward = 0, backward = 0, per_step = 0;
  Extent fixed = 0, saved = 0, given = 0, transient = 0, recomputing = 0;

  void add(const SpanPrice& price) {
    forward = saturating_add(forward, price.forward);
    backward = saturating_add(backward, price.backward);
    per_step = saturating_add(per_step, price.per_step);
    fixed = saturating_add(fixed, price.fixed);
    saved = saturating_add(saved, price.saved);
    given = saturating_add(given, price.given);
    transient = std::max(transient, price.transient);
    recomputing = std::max(recomputing, saturating_add(price.transient, price.saved));
  }
  Cost time(bool recomputes) const {
    const Cost once = saturating_add(forward, backward);
    return recomputes ? saturating_add(once, forward) : once;
  }
  pipeline::StageMemory memory(bool recomputes) const {
    return recomputes ? pipeline::StageMemory{saturating_add(fixed, recomputing), given}
                      : pipeline::StageMemory{saturating_add(fixed, transient), saved};
  }
};

class PipelinePlanner {
 public:
  PipelinePlanner(const graph::Graph& graph, const pipeline::Layers& layers,
                  const cost::Cluster& cluster, const PipelineOptions& options)
      : program_(graph, layers),
        cluster_(cluster),
        hosts_(hosts_of(cluster)),
        options_(options),
        submeshes_(options.submeshes.empty() ? default_submeshes(hosts_) : options.submeshes),
        deadline_(options.pricing.solver) {
    for (const pipeline::Submesh& submesh : submeshes_)
      pipeline::detail::check_part(hosts_, submesh);
    plan_.microbatches = options.microbatches;
    plan_.memory_capacity = options.memory_budget.value_or(cluster.device.memory_bytes);
    enlarged_ = cluster;
    if (!enlarged_.levels.empty()) enlarged_.levels[enlarged_.levels.size() - 1].fan_out *= 2;
  }

  PipelinePlan run() {
    PricingOptions pricing = options_.pricing;
    pricing.microbatches = options_.microbatches;
    prices_ = std::make_shared<SpanPrices>(program_, cluster_, views_of(submeshes_), pricing);
    plan_.prices = prices_;
    plan_.pricing = prices_->statistics();
    if (!deadline_.is_over()) choose();
    plan_.seconds = deadline_.seconds();
    return std::move(plan_);
  }

 private:
  // A tag says which view it is, and whether activations are computed again.
  static std::uint32_t tag_of(std::size_t view, bool recomputes) {
    return static_cast<std::uint32_t>(2 * view + (recomputes ? 1 : 0));
  }

  void choose() {
    std::vector<Extent> sizes;
    for (const pipeline::Submesh& submesh : submeshes_) sizes.push_back(submesh.devices());
    pipeline::StageProblem problem(program_.layers(), cluster_.device_count(),
                                   options_.microbatches, sizes);
    for (std::size_t view = 0; view < prices_->views().size(); ++view) add_options(problem, view);
    const pipeline::StageAnswer answer = pipeline::find_stages(problem);
    plan_.choice = answer.statistics;
    plan_.status = answer.is_feasible ? PipelineStatus::optimal : PipelineStatus::infeasible;
    if (!answer.is_feasible) return;
    plan_.cost = answer.cost;
    plan_.lower_bound = answer.lower_bound;
    if (plan_.pricing.unproven > 0) plan_.status = PipelineStatus::feasible;
    place(answer.stages);
    play();
  }

  void add_options(pipeline::StageProblem& problem, std::size_t view) {
    for (std::size_t first = 0; first < program_.layers(); ++first) {
      SpanSum sum;
      Cost receive = receive_time(view, first, first);
      for (std::size_t last = first; last < program_.layers(); ++last) {
        if (!prices_->is_layered()) {
          sum = {};
          receive = receive_time(view, first, last);
        }
        const auto& price = prices_->price(view, prices_->is_layered() ? last : first, last);
        if (!price && prices_->is_layered()) break;
        if (!price) continue;
        sum.add(*price);
        for (const bool recomputes : {false, true}) {
          if (recomputes && !options_.may_recompute) continue;
          pipeline::StageOption option;
          option.time = sum.time(recomputes);
          option.receive = receive;
          option.per_step = saturating_add(sum.per_step, once_per_step(view, first, last));
          option.max_successors =
              pipeline::most_successors(sum.memory(recomputes), plan_.memory_capacity,
                                        options_.schedule, options_.microbatches);
          option.tag = tag_of(view, recomputes);
          problem.add(first, last, prices_->views()[view].size, option);
        }
      }
    }
  }

  // --- Transfers ---------------------------------------------------------------------------------

  // A tensor from one place to another.
  Cost transfer(const graph::TensorType& type, const pipeline::Placed& from,
                const pipeline::Placed& to, const cost::Cluster& cluster) const {
    const auto key = std::tuple(type.dims.size(), graph::byte_count(type), from.sharding.bits(),
                                tessera::to_string(type.dims) + tessera::to_string(from.mesh) +
                                    '>' + tessera::to_string(to.mesh),
                                to.sharding.bits(), from.first, to.first);
    const auto [at, is_new] = transfers_.try_emplace(key, 0);
    if (is_new)
      at->second =
          pipeline::transfer_time(pipeline::transfer_between(type.dims, from, to, hosts_.per_host),
                                  graph::bytes_of(type.element), cluster);
    return at->second;
  }
  // As if the stage before were alike, and next to it.
  Cost transfer_alike(const graph::TensorType& type, const View& view,
                      DynamicSharding sharding) const {
    const Extent devices = view.mesh.device_count();
    if (cluster_.device_count() == devices) return 0;
    return transfer(type, {view.mesh, sharding, 0}, {view.mesh, sharding, devices}, enlarged_);
  }

  // What it takes a stage that begins as this span does to be given a microbatch, and to give its
  // gradient back.
  Cost receive_time(std::size_t view, std::size_t first, std::size_t last) const {
    const auto& price = prices_->price(view, first, last);
    if (first == 0 || !price) return 0;
    Cost total = 0;
    const pipeline::SpanProgram& span = prices_->program(first, last);
    const auto add = [&](const std::vector<pipeline::Crossing>& crossings,
                         const std::vector<DynamicSharding>& shardings, pipeline::OpPart part) {
      for (std::size_t i = 0; i < crossings.size(); ++i)
        if (crossings[i].part == part && comes_from_before(crossings[i], first))
          total = saturating_add(total, transfer_alike(span.graph.type_of(crossings[i].value),
                                                       prices_->views()[view], shardings[i]));
    };
    add(span.received, price->received, pipeline::OpPart::forward);
    add(span.sent, price->sent, pipeline::OpPart::backward);
    return total;
  }
  // Whether its other end is in a layer before `first`, or, of several readers, some is.
  bool comes_from_before(const pipeline::Crossing& crossing, std::size_t first) const {
    if (program_.layer_of(crossing.origin.op) < first) return true;
    bool any = false;
    program_.graph().for_each_use(crossing.origin.op, [&](graph::OpId reader, const graph::Use&) {
      any = any || program_.layer_of(reader) < first;
    });
    return any;
  }

  // What crosses once per step between a span and the rest: gradients of shared weights, and the
  // weights.  Whoever is at the other end waits as well.
  Cost once_per_step(std::size_t view, std::size_t first, std::size_t last) const {
    Cost total = 0;
    prices_->for_each_span(first, last, [&](std::size_t from, std::size_t to) {
      const pipeline::SpanProgram& span = prices_->program(from, to);
      const SpanPrice& price = *prices_->price(view, from, to);
      const auto add = [&](const std::vector<pipeline::Crossing>& crossings,
                           const std::vector<DynamicSharding>& shardings, bool is_received) {
        for (std::size_t i = 0; i < crossings.size(); ++i) {
          if (crossings[i].part != pipeline::OpPart::update) continue;
          if (stays_inside(crossings[i].origin, first, last, is_received)) continue;
          total = saturating_add(total, transfer_alike(span.graph.type_of(crossings[i].value),
                                                       prices_->views()[view], shardings[i]));
        }
      };
      add(span.received, price.received, true);
      add(span.sent, price.sent, false);
    });
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

  // --- The stages that were chosen ---------------------------------------------------------------

  void place(const pipeline::Stages& stages) {
    pipeline::Submeshes chosen;
    for (const pipeline::Stage& stage : stages) chosen.push_back(submeshes_[stage.size]);
    const std::optional<pipeline::Placement> placement = pipeline::place(hosts_, chosen);
    if (!placement)
      throw std::invalid_argument("stages of " + std::to_string(chosen.size()) +
                                  " submeshes can not be placed on hosts of " +
                                  std::to_string(hosts_.per_host) +
                                  " devices; allow submeshes that divide a host");
    for (std::size_t i = 0; i < stages.size(); ++i) {
      PlannedStage stage;
      stage.first = stages[i].first;
      stage.last = stages[i].last;
      stage.submesh = chosen[i];
      stage.first_device = (*placement)[i];
      stage.view = stages[i].option.tag / 2;
      stage.mesh = prices_->views()[stage.view].mesh;
      stage.recomputes = stages[i].option.tag % 2 != 0;
      SpanSum sum;
      prices_->for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
        sum.add(*prices_->price(stage.view, from, to));
      });
      stage.forward = sum.forward;
      stage.backward = sum.time(stage.recomputes) - sum.forward;
      stage.per_step = stages[i].option.per_step;
      stage.memory = sum.memory(stage.recomputes);
      stage.in_flight = pipeline::in_flight(options_.schedule,
                                            static_cast<std::int64_t>(stages.size() - 1 - i),
                                            options_.microbatches);
      stage.roles = roles_of(stage);
      plan_.stages.push_back(std::move(stage));
    }
    for (std::size_t i = 1; i < plan_.stages.size(); ++i) time_transfers(i);
  }

  // An axis that splits the first dim of what comes with a microbatch works on different data.
  pipeline::Roles roles_of(const PlannedStage& stage) const {
    pipeline::Roles roles(stage.mesh.rank(), pipeline::Role::tensor);
    prices_->for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
      const pipeline::SpanProgram& span = prices_->program(from, to);
      const SpanPrice& price = *prices_->price(stage.view, from, to);
      const auto note = [&](const pipeline::Crossing& crossing, DynamicSharding sharding) {
        if (crossing.part == pipeline::OpPart::update || sharding.rank() == 0) return;
        for (const Axis axis : sharding.axes(0)) roles[axis] = pipeline::Role::data;
      };
      for (std::size_t i = 0; i < span.received.size(); ++i)
        note(span.received[i], price.received[i]);
      for (std::size_t i = 0; i < span.sent.size(); ++i) note(span.sent[i], price.sent[i]);
    });
    return roles;
  }

  // Where the value is that a stage reads, or writes, at one of its ends.
  std::optional<DynamicSharding> sharding_in(const PlannedStage& stage, graph::Value origin,
                                             bool is_received) const {
    std::optional<DynamicSharding> sharding;
    prices_->for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
      const pipeline::SpanProgram& span = prices_->program(from, to);
      const SpanPrice& price = *prices_->price(stage.view, from, to);
      const auto& crossings = is_received ? span.received : span.sent;
      for (std::size_t i = 0; i < crossings.size() && !sharding; ++i)
        if (crossings[i].origin == origin)
          sharding = is_received ? price.received[i] : price.sent[i];
    });
    return sharding;
  }

  std::size_t stage_of(std::size_t layer) const {
    std::size_t stage = 0;
    while (plan_.stages[stage].last < layer) ++stage;
    return stage;
  }

  // Everything that stage `at` gets from stages before it, and what it hands back.
  void time_transfers(std::size_t at) {
    PlannedStage& stage = plan_.stages[at];
    std::set<graph::Value> seen;
    const auto add = [&](graph::Value origin, bool is_received, Cost& total) {
      if (!seen.insert(origin).second) return;
      std::size_t other = at;
      if (is_received) {
        other = stage_of(program_.layer_of(origin.op));
      } else {
        program_.graph().for_each_use(origin.op, [&](graph::OpId reader, const graph::Use& use) {
          if (use.result == origin.result)
            other = std::min(other, stage_of(program_.layer_of(reader)));
        });
      }
      if (other >= at) return;
      const PlannedStage& peer = plan_.stages[other];
      const auto here = sharding_in(stage, origin, is_received);
      const auto there = sharding_in(peer, origin, !is_received);
      if (!here || !there) return;
      const pipeline::Placed placed_here{stage.mesh, *here, stage.first_device};
      const pipeline::Placed placed_there{peer.mesh, *there, peer.first_device};
      const graph::TensorType& type = program_.graph().type_of(origin);
      total = saturating_add(total, is_received
                                        ? transfer(type, placed_there, placed_here, cluster_)
                                        : transfer(type, placed_here, placed_there, cluster_));
    };
    prices_->for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
      const pipeline::SpanProgram& span = prices_->program(from, to);
      for (const pipeline::Crossing& crossing : span.received)
        if (crossing.part == pipeline::OpPart::forward) add(crossing.origin, true, stage.receive);
      for (const pipeline::Crossing& crossing : span.sent)
        if (crossing.part == pipeline::OpPart::backward)
          add(crossing.origin, false, stage.send_back);
    });
  }

  void play() {
    const auto count = static_cast<std::int64_t>(plan_.stages.size());
    plan_.schedule = options_.schedule == pipeline::ScheduleKind::gpipe
                         ? pipeline::gpipe(count, options_.microbatches)
                         : pipeline::one_f_one_b(count, options_.microbatches);
    std::vector<pipeline::ChunkTimes> times;
    Cost longest = 0;
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      const PlannedStage& stage = plan_.stages[i];
      times.push_back({.forward = stage.forward,
                       .input_backward = stage.backward,
                       .send_backward = stage.send_back,
                       .bytes = stage.memory.per_microbatch});
      if (i > 0) times[i - 1].send_forward = stage.receive;
      longest = std::max(longest, stage.per_step);
    }
    plan_.timeline = pipeline::simulate(plan_.schedule, times);
    plan_.step_time = saturating_add(plan_.timeline.step_time, longest);
    count_flops();
  }

  void count_flops() {
    cost::Utilisation& use = plan_.utilisation;
    use.time = plan_.step_time;
    use.devices = cluster_.device_count();
    for (const PlannedStage& stage : plan_.stages)
      prices_->for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
        const SpanPrice& price = *prices_->price(stage.view, from, to);
        use.peak = std::max(use.peak, price.peak);
        use.model_flops += price.model_flops * options_.microbatches;
        Wide hardware = price.hardware_flops;
        // What is computed again is as spread as the rest.
        if (stage.recomputes && price.model_flops > 0)
          hardware += price.hardware_flops / 1000 *
                      (price.forward_flops * 1000 / price.model_flops);
        use.hardware_flops += hardware * options_.microbatches;
      });
  }

  using TransferKey =
      std::tuple<std::size_t, Extent, std::uint64_t, std::string, std::uint64_t, Device, Device>;

  pipeline::LayeredProgram program_;
  const cost::Cluster& cluster_;
  cost::Cluster enlarged_;  // room for a neighbour of whatever stage
  pipeline::Submesh hosts_;
  const PipelineOptions& options_;
  pipeline::Submeshes submeshes_;
  solver::Deadline deadline_;
  std::shared_ptr<SpanPrices> prices_;
  mutable std::map<TransferKey, Cost> transfers_;
  PipelinePlan plan_;
};

}  // namespace detail

// The best stages for a step of `options.microbatches` microbatches, of which the program is one
// (forward and backward ops) and the update after the last.  Throws std::invalid_argument for
// schedules whose memory does not follow from a stage's place, for submeshes that the cluster does
// not have, for programs with loops; and what plan() throws.
inline PipelinePlan plan_pipeline(const graph::Graph& graph, const pipeline::Layers& layers,
                                  const cost::Cluster& cluster, const PipelineOptions& options) {
  if (options.microbatches < 1)
    throw std::invalid_argument("pipeline: " + std::to_string(options.microbatches) +
                                " microbatches; there must be 1 at least");
  pipeline::in_flight(options.schedule, 0, options.microbatches);  // throws for the other two
  return detail::PipelinePlanner(graph, layers, cluster, options).run();
}

}  // namespace tessera::plan
