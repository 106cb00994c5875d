// SPDX-License-Identifier: Apache-2.0
//
// The price of a span of layers as a stage: the prices of its spans added up, and the transfer into
// it.
//
// A stage has a configuration: a view, one of the view's price tables, and a choice of ops to
// rematerialize.  When stages are priced it is not known where the stage before will be; a transfer
// into a stage is priced as if the stage before were equal and next to it.  In a row of stages that
// are parts of hosts some have the stage before on another host: so there is an average transfer,
// and a worst one.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/pipeline/stage_problem.hpp"
#include "tessera/pipeline/transfer.hpp"
#include "tessera/plan/detail/pipeline/span_prices.hpp"

namespace tessera::plan::detail {

// The sum over the layers of a span, extended layer by layer.
struct SpanSum {
  Cost forward = 0, backward = 0, again = 0;  // backward includes again, the rematerialization
  Cost weight_backward = 0, per_step = 0, least_work = 0;
  Extent fixed = 0, saved = 0, transient = 0;

  void add(const SpanPrice& price, const Rematerialization& rematerialization);
  Cost time() const { return saturating_add(forward, backward); }
  pipeline::StageMemory memory() const { return {saturating_add(fixed, transient), saved}; }
};

// A lower bound on the memory of the layers of a span, on any view.
struct LeastMemory {
  Extent fixed = 0, saved = 0, again = 0;

  void add(const SpanPrice& least, const Rematerialization& rematerialization);
  pipeline::StageMemory memory() const { return {saturating_add(fixed, again), saved}; }
};

// The time of a transfer between stages, some of which are neighbours on a host and some are not.
struct StageTransfer {
  Cost average = 0, worst = 0;

  void add(const StageTransfer& other) {
    average = saturating_add(average, other.average);
    worst = saturating_add(worst, other.worst);
  }
};

class StagePrices {
 public:
  // A span of layers in some configuration.
  struct Span {
    std::size_t first = 0, last = 0;
    SpanSum sum;                  // its per_step includes the transfers once per step
    pipeline::StageMemory least;  // whatever the plan
    StageTransfer receive;        // a microbatch, and the gradient of its input
  };

  // Keeps references to the first three.
  StagePrices(const pipeline::LayeredProgram& program, const cost::Cluster& cluster,
              SpanPrices& prices);

  SpanPrices& spans() const noexcept { return prices_; }
  const cost::Cluster& cluster() const noexcept { return cluster_; }
  const pipeline::Submesh& hosts() const noexcept { return hosts_; }
  const pipeline::LayeredProgram& program() const noexcept { return program_; }
  const View& view(std::size_t number) const noexcept { return prices_.views()[number]; }

  // Calls visit(span) for every span of layers, by first layer, then by last; without those that
  // have no price, or no such rematerialization.
  template<class Visit>
  void for_each_span(const StageConfig& config, Visit&& visit) {
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
        if (!is_layered) sum = {}, least = {};
        sum.add(*next.price, *next.rematerialization);
        least.add(*next.least, *next.rematerialization);
        const Ends& at = ends[pipeline::StageProblem::span_number(first, last)];
        Span span{first, last, sum, least.memory(), at.receive};
        span.sum.per_step = saturating_add(sum.per_step, at.once_per_step);
        visit(span);
      }
    }
  }

  // @pre it has prices
  Span span(const StageConfig& config, std::size_t first, std::size_t last) const;

  // The number of choices of ops to rematerialize, on a view by one of its price tables.
  std::size_t rematerializations(std::size_t view, std::size_t level,
                                 Rematerialize rematerialize) const;

  // The transfers once per step between a span and the rest: gradients of shared weights, and the
  // weights.  The stage at the other end waits as well.
  Cost once_per_step(const StageConfig& config, std::size_t first, std::size_t last) const;

  // A tensor from one place to another.
  Cost transfer(const graph::TensorType& type, const pipeline::PlacedSharding& from,
                const pipeline::PlacedSharding& to) const {
    return transfer(type, from, to, cluster_);
  }

 private:
  // A span that is priced by itself, in a sum; no rematerialization where it has no price.
  struct Term {
    const SpanPrice* price = nullptr;
    const SpanPrice* least = nullptr;
    const Rematerialization* rematerialization = nullptr;
  };
  // The transfers at the ends of a span of layers.
  struct Ends {
    StageTransfer receive;
    Cost once_per_step = 0;
  };
  using TransferKey = std::tuple<std::size_t, Extent, std::uint64_t, std::string, std::uint64_t,
                                 Device, Device, const cost::Cluster*>;

  Term term(const StageConfig& config, std::size_t first, std::size_t last) const;
  Cost transfer(const graph::TensorType& type, const pipeline::PlacedSharding& from,
                const pipeline::PlacedSharding& to, const cost::Cluster& cluster) const;
  StageTransfer transfer_from_equal_stage(const graph::TensorType& type, const View& view,
                                          DynamicSharding sharding) const;
  const std::vector<Ends>& ends_of(std::size_t view, std::size_t level);
  std::vector<Ends> ends_at(const StageConfig& config) const;
  StageTransfer receive_time(const StageConfig& config, std::size_t first, std::size_t last) const;
  bool comes_from_before(const pipeline::BoundaryValue& boundary, std::size_t first) const;
  bool has_transfers_once(std::size_t layer) const;
  Cost once_per_step_of(const StageConfig& config, std::size_t from, std::size_t to,
                        std::size_t first, std::size_t last) const;
  bool stays_inside(graph::Value value, std::size_t first, std::size_t last,
                    bool is_received) const;

  const pipeline::LayeredProgram& program_;
  const cost::Cluster& cluster_;
  SpanPrices& prices_;
  pipeline::Submesh hosts_;
  cost::Cluster enlarged_;  // with capacity for a neighbour of any stage
  std::vector<std::size_t> layers_with_transfers_once_;
  std::vector<std::vector<std::vector<Ends>>> ends_;  // by view, by price table
  mutable std::map<TransferKey, Cost> transfers_;
};

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/pipeline/stage_prices.ipp"
#endif
