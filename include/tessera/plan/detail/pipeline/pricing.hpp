// SPDX-License-Identifier: Apache-2.0
//
// Prices the spans of a program on views of submeshes.
//
// There are two ways:
//
//   whole    every span as a program of its own, whose boundary values may have any shardings:
//            exact, and for programs of few layers
//   layered  every layer by itself, each boundary value with one sharding on both sides; a span is
//            then the sum of its layers.  The repeated layers (span_set.hpp) come first; all others
//            are planned outwards from them, with the shardings of their neighbours.  The plan of a
//            span is one of those that whole spans choose from, for a hundredth of the time.
//
// The first price table of a view has the plans that keep a stage busy for the least time.  Where
// those do not fit, the same spans are priced under memory budgets (SpanBudget), for stages of
// about the view's share of the layers, each further table trading time for memory.
//
// Views are priced side by side, by as many threads as are asked for, each with its own memory of
// reshardings.  A PriceStore keeps prices from run to run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/plan/detail/pipeline/span_set.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/solver/deadline.hpp"

namespace tessera::plan::detail {

using Price = std::shared_ptr<const SpanPrice>;  // null: none on this view

// The prices of all spans on a view, under one memory budget or none.
struct PriceTable {
  std::vector<Price> prices;                       // by span
  std::vector<std::optional<SpanBudget>> budgets;  // under which they were asked for

  explicit PriceTable(std::size_t spans) : prices(spans), budgets(spans) {}
};

// The memory that stages must keep to.
struct MemoryNeeds {
  Extent bytes = 0;  // on each device
  Rematerialize rematerialize = Rematerialize::allowed;
  // The numbers of microbatches that a stage on a view may have in flight, rising; where their
  // values are saved, and where they are rematerialized.
  std::function<std::vector<std::int64_t>(const View& view, bool recomputes)> in_flight;
};

// Everything that pricing reads and writes.
struct Pricing {
  cost::Cluster cluster;
  std::vector<View> views;
  PricingOptions options;
  solver::Deadline deadline;
  SpanSet set;
  std::map<std::pair<std::size_t, Extent>, SpanPrice> least;  // memory, by span and devices

  // By view; a view is priced by one thread at a time.
  std::vector<std::vector<PriceTable>> tables;
  std::vector<std::map<std::vector<std::int64_t>, Price>> known;  // by class and request

  std::mutex mutex;  // of what follows
  PricingStatistics statistics;
  std::size_t done = 0, total = 0;  // views

  Pricing(const cost::Cluster& on, std::vector<View> of, PricingOptions by, SpanSet spans);
};

// Fills the first price table of every view.  Spans that are not priced when time is over have no
// price.  Throws the exceptions of plan() that concern all views.
void price_views(Pricing& pricing);

// Prices views under memory budgets; a table that differs from those of its view is added to them.
// Not to be called by two threads at a time.
void add_budgeted_tables(Pricing& pricing, const std::vector<std::size_t>& views,
                         const MemoryNeeds& needs);

// The plan behind a price: solved once more, with the same result.  @pre it has a price
Plan plan_behind(const Pricing& pricing, std::size_t view, std::size_t level, std::size_t span);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/pipeline/pricing.ipp"
#endif
