// SPDX-License-Identifier: Apache-2.0
//
// The price of a span of layers on a mesh: time, memory, and the plan behind it.
//
// The plan is the one that keeps a stage busy for the least time in one step: all its microbatches,
// and once the work that is done once.  Each device sums gradients for itself, in single precision
// where there is more than one microbatch, and they are reduced at the end; so their reduction is
// part of `per_step`, like the update.
//
// Memory counts what must be there at the same time: weights, the optimizer's state and sums of
// gradients; for each microbatch in flight the values that the backward pass will read; and the
// largest rest that one microbatch has at a time.  Only values that reach memory count
// (cost/workload.hpp).  A value that the backward pass reads is saved, or rematerialized.  Under a
// memory budget the plan is the best of those that keep to it: states, weights or activations are
// then split further, where that costs the least time, as ZeRO does by hand.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/prices.hpp"
#include "tessera/pipeline/span_program.hpp"
#include "tessera/plan/detail/pipeline/rematerializations.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::plan {

/// The price of a span.  Times are picoseconds, memory is bytes on each device.
struct SpanPrice {
  Cost forward = 0, backward = 0;  ///< of one microbatch
  Cost weight_backward = 0;  ///< the part of the backward pass that no gradient sent on waits for
  Cost per_step = 0;         ///< once per step: the update, and the reduction of gradients
  /// A lower bound on the time of a microbatch in any plan of the span on this mesh, or of a longer
  /// span: its heavy ops, each as fast as it can be.
  Cost least_work = 0;
  Extent fixed = 0;      ///< weights, optimizer state, sums of gradients
  Extent saved = 0;      ///< of a microbatch in flight: what its backward pass reads, all saved
  Extent given = 0;      ///< of a microbatch in flight: what comes into the span
  Extent transient = 0;  ///< the most that one microbatch has at once besides
  /// The choices of ops to rematerialize: the more time one takes, the less is saved.  The first is
  /// none; or else the only one is the choice that was asked for.
  std::vector<Rematerialization> rematerializations;
  Wide model_flops = 0, hardware_flops = 0;  ///< of one microbatch, on all devices
  cost::Rate peak = 0;                       ///< FLOP/s of one device
  bool is_proven = false;                    ///< that no plan keeps the stage busy for less
  /// The shardings of the values that come in and go out, in the program's order.
  std::vector<DynamicSharding> received, sent;

  friend bool operator==(const SpanPrice&, const SpanPrice&) = default;
};

/// The memory that a span may take on each device, where several equal layers share a stage:
///   layers * (fixed + in_flight * saved) + transient <= bytes,
/// or, where all but the values that come in are rematerialized,
///   layers * (fixed + in_flight * given) + saved + transient <= bytes.
struct SpanBudget {
  std::int64_t layers = 1, in_flight = 1;
  bool recomputes = false;
  Extent bytes = 0;
};

/// The bytes that a stage has once for each layer.
inline Wide held_by_layer(const SpanPrice& price, const SpanBudget& budget) {
  return price.fixed + Wide(budget.recomputes ? price.given : price.saved) * budget.in_flight;
}
inline bool fits(const SpanPrice& price, const SpanBudget& budget) {
  const Extent once = price.transient + (budget.recomputes ? price.saved : 0);
  return held_by_layer(price, budget) * budget.layers + once <= budget.bytes;
}

/// A request for the plan of a span.
struct SpanRequest {
  std::int64_t microbatches = 1;
  /// Given shardings of the values that come in, or go out; by number, empty for none at all.
  std::vector<std::optional<DynamicSharding>> received = {}, sent = {};
  /// Pairs of a value that comes in and one that goes out, by their numbers, which must have the
  /// same sharding, so that the span can follow on itself.
  std::vector<std::pair<std::size_t, std::size_t>> ties = {};
  std::vector<strategy::Annotation> annotations = {};  ///< given shardings of the program's ops
  std::optional<SpanBudget> budget = {};
  std::function<void(const Formulation&)> on_formulated = {};  ///< as plan() calls it
  solver::Options solver = {};
};

/// Plans a span on a mesh.  Throws as plan() does.
Plan plan_span(const pipeline::SpanProgram& span, const DynamicMesh& mesh,
               const cost::Prices& prices, const SpanRequest& request);
template<cost::CostModel Model>
Plan plan_span(const pipeline::SpanProgram& span, const DynamicMesh& mesh, const Model& model,
               const SpanRequest& request) {
  return plan_span(span, mesh, *cost::prices_of(model), request);
}

/// The price of a span under a plan of it.  `rematerialized`, by op: the forward ops that run a
/// second time; empty: all choices that are worth it.  @pre plan.has_ops()
SpanPrice price_of(const pipeline::SpanProgram& span, const Plan& plan, std::int64_t microbatches,
                   const std::vector<char>& rematerialized = {});

/// SpanPrice::least_work, from the problem whose solution is the plan.
///
/// The price of a heavy op depends on nothing around it, since its operands and results are in
/// memory.  But where its result goes to another layer, a sharding that is given there may have
/// left it expensive strategies only; so such ops count 0.
Cost least_work(const pipeline::SpanProgram& span, const Formulation& formulation,
                std::int64_t microbatches);

/// A lower bound on the memory of every plan of a span on so many devices, as if every tensor were
/// split over all of them.  Only fixed, saved and given are set.
SpanPrice least_memory(const pipeline::SpanProgram& span, Extent devices,
                       std::int64_t microbatches);

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/span_price.ipp"
#endif
