// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of pricing.hpp.
#pragma once
#include "tessera/plan/detail/pipeline/pricing.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "tessera/cost/cluster_model.hpp"

namespace tessera::plan::detail {

// --- Keys ----------------------------------------------------------------------------------------

// The numbers that prices depend on besides program and mesh.
TESSERA_INLINE std::vector<std::int64_t> numbers_of(const cost::Cluster& cluster) {
  const cost::Accelerator& d = cluster.device;
  std::vector<std::int64_t> numbers{d.peak.fp64,
                                    d.peak.fp32,
                                    d.peak.tf32,
                                    d.peak.bf16,
                                    d.peak.fp16,
                                    d.peak.fp8,
                                    d.peak.int8,
                                    d.best_bf16,
                                    d.best_fp8,
                                    d.memory_bytes,
                                    d.memory_bandwidth,
                                    d.launch,
                                    cluster.collective_start};
  for (const auto& level : cluster.levels)
    for (const std::int64_t number :
         {level.fan_out, static_cast<std::int64_t>(level.wiring), level.bandwidth,
          level.peer_bandwidth, level.latency, std::int64_t{level.achieved_percent},
          std::int64_t{level.is_closed}, std::int64_t{level.reduces_in_switch}})
      numbers.push_back(number);
  return numbers;
}

TESSERA_INLINE std::vector<std::int64_t> numbers_of(const SpanBudget& budget) {
  return {budget.layers, budget.in_flight, budget.recomputes ? 1 : 0, budget.bytes};
}

// The part of a key that is the view's.
TESSERA_INLINE std::vector<std::int64_t> numbers_of(const Pricing& pricing, const View& view) {
  std::vector<std::int64_t> key = numbers_of(pricing.cluster);
  key.push_back(view.mesh.device_count());
  key.push_back(static_cast<std::int64_t>(view.mesh.rank()));
  for (std::size_t axis = 0; axis < view.mesh.rank(); ++axis) key.push_back(view.mesh.extent(axis));
  key.push_back(pricing.options.microbatches);
  key.push_back(pricing.options.hidden_percent);
  return key;
}

// The shardings that are asked of a span's boundary values, as numbers.
TESSERA_INLINE std::vector<std::int64_t> boundary_numbers_of(const SpanRequest& request) {
  std::vector<std::int64_t> key;
  for (const auto* wanted : {&request.received, &request.sent}) {
    key.push_back(static_cast<std::int64_t>(wanted->size()));
    for (const auto& sharding : *wanted)
      key.push_back(sharding ? static_cast<std::int64_t>(sharding->bits()) : -1);
  }
  for (const auto& [received, sent] : request.ties) {
    key.push_back(static_cast<std::int64_t>(received));
    key.push_back(static_cast<std::int64_t>(sent));
  }
  return key;
}

// --- One price -----------------------------------------------------------------------------------

// A view that is being priced.
struct ViewPricing {
  Pricing& all;
  std::size_t view;
  std::shared_ptr<const cost::Prices> prices;
  std::vector<std::int64_t> key;                          // the part that is the view's
  std::map<graph::Value, DynamicSharding> boundary = {};  // of the layers that have a price

  const View& of() const { return all.views[view]; }
};

TESSERA_INLINE std::shared_ptr<const cost::Prices> prices_on(const Pricing& pricing,
                                                             const View& view) {
  return cost::prices_of(
      cost::ClusterModel(cost::subcluster(pricing.cluster, view.mesh.device_count()), view.mesh,
                         pricing.options.hidden_percent));
}

TESSERA_INLINE ViewPricing pricing_of(Pricing& pricing, std::size_t view) {
  return {pricing, view, prices_on(pricing, pricing.views[view]),
          numbers_of(pricing, pricing.views[view])};
}

TESSERA_INLINE SpanRequest request_within(const Pricing& pricing,
                                          const std::optional<SpanBudget>& budget) {
  const PricingOptions& options = pricing.options;
  SpanRequest request;
  request.budget = budget;
  request.microbatches = options.microbatches;
  request.solver = options.solver;
  request.solver.threads = 1;
  request.solver.on_progress = nullptr;
  request.solver.time_limit = pricing.deadline.seconds_left();
  request.solver.work_limit =
      std::min(options.solver.work_limit, budget ? options.budget_work : options.problem_work);
  return request;
}

// Counts an event of one thread.
TESSERA_INLINE void count(Pricing& pricing, std::size_t PricingStatistics::*counter) {
  const std::lock_guard lock(pricing.mutex);
  ++(pricing.statistics.*counter);
}

// The price of a span under a plan.
TESSERA_INLINE Price price_under(Pricing& all, const pipeline::SpanProgram& span, const Plan& plan,
                                 Cost least_work) {
  std::vector<char> rematerialized;
  if (all.options.runs_again) rematerialized = all.options.runs_again(span);
  SpanPrice price = price_of(span, plan, all.options.microbatches, rematerialized);
  price.least_work = least_work;
  if (!price.is_proven) count(all, &PricingStatistics::unproven);
  return std::make_shared<const SpanPrice>(std::move(price));
}

// Null where the view can not hold the span as it is asked for, or time is over.
TESSERA_INLINE Price solved(const ViewPricing& pricing, std::size_t number, SpanRequest request) {
  Pricing& all = pricing.all;
  const pipeline::SpanProgram& span = all.set.spans[number];
  if (all.deadline.is_over()) {
    count(all, &PricingStatistics::left_out);
    return nullptr;
  }
  if (all.options.annotations) request.annotations = all.options.annotations(span);
  Cost least = 0;
  request.on_formulated = [&](const Formulation& formulation) {
    least = least_work(span, formulation, all.options.microbatches);
  };
  try {
    const Plan plan = plan_span(span, pricing.of().mesh, *pricing.prices, request);
    count(all, &PricingStatistics::solved);
    if (!plan.has_ops()) {
      if (plan.status == solver::Status::unknown && all.deadline.is_over())
        count(all, &PricingStatistics::left_out);
      return nullptr;
    }
    return price_under(all, span, plan, least);
  } catch (const InvalidAnnotation&) {
    return nullptr;
  }
}

// The price from the store, or else solved and put into the store.
TESSERA_INLINE Price stored_or_solved(const ViewPricing& pricing, std::size_t span,
                                      const SpanRequest& request,
                                      const std::vector<std::int64_t>& boundary) {
  const PricingOptions& options = pricing.all.options;
  if (options.annotations || options.runs_again) return solved(pricing, span, request);
  std::vector<std::int64_t> key;
  if (options.store.find || options.store.keep) {
    key = pricing.all.set.signatures[pricing.all.set.class_of[span]];
    for (const auto* more : {&pricing.key, &boundary})
      key.insert(key.end(), more->begin(), more->end());
  }
  if (options.store.find)
    if (std::optional<SpanPrice> kept = options.store.find(key)) {
      count(pricing.all, &PricingStatistics::kept);
      return std::make_shared<const SpanPrice>(std::move(*kept));
    }
  const Price price = solved(pricing, span, request);
  if (price && price->is_proven && options.store.keep) options.store.keep(key, *price);
  return price;
}

// The price of a span, remembered by its class and by what is asked of it.
TESSERA_INLINE Price priced(const ViewPricing& pricing, std::size_t span,
                            const SpanRequest& request) {
  const SpanSet& set = pricing.all.set;
  std::vector<std::int64_t> key{static_cast<std::int64_t>(set.class_of[span])};
  std::vector<std::int64_t> boundary = boundary_numbers_of(request);
  key.insert(key.end(), boundary.begin(), boundary.end());
  auto& known = pricing.all.known[pricing.view];
  if (request.budget) {
    // The cheapest price of all, if it fits, is the cheapest one within the budget.
    const auto cheapest = known.find(key);
    if (cheapest != known.end() && cheapest->second && fits(*cheapest->second, *request.budget))
      return cheapest->second;
    const Extent devices = pricing.of().mesh.device_count();
    if (!fits(pricing.all.least.at({span, devices}), *request.budget)) return nullptr;
    for (const std::int64_t number : numbers_of(*request.budget)) {
      key.push_back(number);
      boundary.push_back(number);
    }
  }
  const auto [at, is_new] = known.try_emplace(std::move(key));
  if (is_new) at->second = stored_or_solved(pricing, span, request, boundary);
  return at->second;
}

// --- The table of a view -------------------------------------------------------------------------

// Remembers the shardings of a layer's boundary values for its neighbours.
TESSERA_INLINE void note_boundary(ViewPricing& pricing, std::size_t layer, const SpanPrice& price) {
  const pipeline::SpanProgram& span = pricing.all.set.spans[layer];
  const auto note = [&](const std::vector<pipeline::BoundaryValue>& boundaries,
                        const std::vector<DynamicSharding>& shardings) {
    for (std::size_t i = 0; i < boundaries.size(); ++i)
      if (boundaries[i].phase != pipeline::Phase::update)
        pricing.boundary.emplace(boundaries[i].origin, shardings[i]);
  };
  note(span.received, price.received);
  note(span.sent, price.sent);
}

// The repeated layers.  Returns whether they have a price.
TESSERA_INLINE bool price_repeated(ViewPricing& pricing, PriceTable& table,
                                   const std::optional<SpanBudget>& budget) {
  const RepeatedLayers& repeated = pricing.all.set.repeated;
  SpanRequest request = request_within(pricing.all, budget);
  if (repeated.count > 1) request.ties = repeated.ties;
  const Price price = priced(pricing, repeated.first, request);
  if (!price) return false;
  for (std::size_t layer = repeated.first; repeated.contains(layer); ++layer) {
    table.prices[layer] = price;
    table.budgets[layer] = budget;
    note_boundary(pricing, layer, *price);
  }
  return true;
}

// A layer whose boundary values have the shardings of its neighbours.  Returns whether it has a
// price.
TESSERA_INLINE bool price_layer(ViewPricing& pricing, PriceTable& table, std::size_t layer,
                                const std::optional<SpanBudget>& budget) {
  SpanRequest request = request_within(pricing.all, budget);
  table.budgets[layer] = budget;
  const auto known = [&](const std::vector<pipeline::BoundaryValue>& boundaries) {
    std::vector<std::optional<DynamicSharding>> wanted;
    for (const pipeline::BoundaryValue& boundary : boundaries) {
      const auto at = pricing.boundary.find(boundary.origin);
      wanted.push_back(at == pricing.boundary.end() ? std::nullopt : std::optional(at->second));
    }
    return wanted;
  };
  request.received = known(pricing.all.set.spans[layer].received);
  request.sent = known(pricing.all.set.spans[layer].sent);
  table.prices[layer] = priced(pricing, layer, request);
  if (!table.prices[layer]) return false;
  note_boundary(pricing, layer, *table.prices[layer]);
  return true;
}

// The layers before the repeated ones and after them, outwards, up to one that has no price.
template<class BudgetOf>
void price_others(ViewPricing& pricing, PriceTable& table, BudgetOf&& budget_of) {
  const RepeatedLayers& repeated = pricing.all.set.repeated;
  for (std::size_t layer = repeated.first; layer-- > 0;)
    if (!price_layer(pricing, table, layer, budget_of(layer))) break;
  for (std::size_t layer = repeated.first + repeated.count; layer < table.prices.size(); ++layer)
    if (!price_layer(pricing, table, layer, budget_of(layer))) break;
}

TESSERA_INLINE void price_whole_spans(const ViewPricing& pricing, PriceTable& table,
                                      const std::optional<SpanBudget>& budget) {
  const SpanRequest request = request_within(pricing.all, budget);
  for (std::size_t span = 0; span < table.prices.size(); ++span) {
    table.prices[span] = priced(pricing, span, request);
    table.budgets[span] = budget;
  }
}

TESSERA_INLINE void price_view(Pricing& pricing, std::size_t view) {
  ViewPricing on = pricing_of(pricing, view);
  PriceTable& table = pricing.tables[view][0];
  if (!pricing.set.is_layered)
    price_whole_spans(on, table, std::nullopt);
  else if (price_repeated(on, table, std::nullopt))
    price_others(on, table, [](std::size_t) { return std::nullopt; });
}

// --- Tables under memory budgets -----------------------------------------------------------------

// Returns whether the table has any price; keeps it unless an equal one is there.
TESSERA_INLINE bool keep(Pricing& pricing, std::size_t view, PriceTable table) {
  std::vector<PriceTable>& tables = pricing.tables[view];
  const bool has_any = std::any_of(table.prices.begin(), table.prices.end(),
                                   [](const Price& price) { return price != nullptr; });
  const auto is_equal = [&](const PriceTable& other) { return other.prices == table.prices; };
  if (std::none_of(tables.begin(), tables.end(), is_equal)) {
    tables.push_back(std::move(table));
    count(pricing, &PricingStatistics::levels);
  }
  return has_any;
}

// Each span by itself, within the budget.  Returns whether any has a price.
TESSERA_INLINE bool add_whole_table(Pricing& pricing, std::size_t view, const SpanBudget& budget) {
  PriceTable table(pricing.set.spans.size());
  price_whole_spans(pricing_of(pricing, view), table, budget);
  return keep(pricing, view, std::move(table));
}

// The budget of a layer that is not repeated: it takes the place of as many of the repeated layers
// as have its weight.
TESSERA_INLINE SpanBudget budget_of_other(const Price& cheapest, const SpanBudget& budget,
                                          Wide weight_of_repeated, Wide of_repeated) {
  const Wide reserve = budget.layers / 4 + 1;  // of a stage with fewer layers
  Wide weight = 1;
  if (cheapest)
    weight = std::max<Wide>(
        1, (held_by_layer(*cheapest, budget) + weight_of_repeated / 2) / weight_of_repeated);
  const Wide others = std::max<Wide>(0, budget.layers - weight - reserve) * of_repeated;
  SpanBudget own = budget;
  own.layers = 1;
  own.bytes = static_cast<Extent>(std::max<Wide>(0, budget.bytes - others));
  return own;
}

// Returns whether the repeated layers have a price.
TESSERA_INLINE bool add_layered_table(Pricing& pricing, std::size_t view, const SpanBudget& budget,
                                      Wide weight_of_repeated) {
  ViewPricing on = pricing_of(pricing, view);
  PriceTable table(pricing.set.spans.size());
  if (!price_repeated(on, table, budget)) return false;
  const Wide of_repeated = held_by_layer(*table.prices[pricing.set.repeated.first], budget);
  price_others(on, table, [&](std::size_t layer) {
    return std::optional(budget_of_other(pricing.tables[view][0].prices[layer], budget,
                                         weight_of_repeated, of_repeated));
  });
  return keep(pricing, view, std::move(table));
}

// For stages of the layers that fall to the view if all are spread evenly, and of a quarter more.
// Returns whether any has a price.
TESSERA_INLINE bool add_layered_tables(Pricing& pricing, std::size_t view, SpanBudget budget) {
  const PriceTable& first = pricing.tables[view][0];
  const Price& repeated = first.prices[pricing.set.repeated.first];
  if (!repeated) return false;
  const Wide of_repeated = std::max<Wide>(1, held_by_layer(*repeated, budget));
  Wide of_all = 0;
  for (const Price& price : first.prices)
    if (price) of_all += held_by_layer(*price, budget);
  const Wide whole = of_repeated * pricing.cluster.device_count();
  const Wide share = of_all * pricing.views[view].mesh.device_count();
  const auto count = static_cast<std::int64_t>(std::max<Wide>(1, (share + whole - 1) / whole));
  bool any = false;
  for (const std::int64_t layers : {count, count + (count + 3) / 4}) {
    budget.layers = layers;
    if (!add_layered_table(pricing, view, budget, of_repeated)) break;
    any = true;
  }
  return any;
}

TESSERA_INLINE void add_tables(Pricing& pricing, std::size_t view, const MemoryNeeds& needs) {
  for (const bool recomputes : {false, true}) {
    if (recomputes && needs.rematerialize == Rematerialize::never) break;
    for (const std::int64_t in_flight : needs.in_flight(pricing.views[view], recomputes)) {
      const SpanBudget budget{1, in_flight, recomputes, needs.bytes};
      const bool any = pricing.set.is_layered ? add_layered_tables(pricing, view, budget)
                                              : add_whole_table(pricing, view, budget);
      if (!any) break;  // with more in flight nothing fits either
    }
  }
}

// --- All views -----------------------------------------------------------------------------------

TESSERA_INLINE void note_view(Pricing& pricing) {
  const std::lock_guard lock(pricing.mutex);
  ++pricing.done;
  if (pricing.options.on_progress)
    pricing.options.on_progress(
        {pricing.deadline.seconds(), pricing.done, pricing.total, pricing.statistics.solved});
}

// Visits views by as many threads as there may be.  Rethrows the first exception.
template<class Visit>
void visit_side_by_side(Pricing& pricing, const std::vector<std::size_t>& views, Visit&& visit) {
  std::atomic<std::size_t> next{0}, visited{0};
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < views.size() && !pricing.deadline.is_over(); i = next++) {
      ++visited;
      try {
        visit(views[i]);
      } catch (...) {
        const std::lock_guard lock(pricing.mutex);
        if (!failure) failure = std::current_exception();
        next = views.size();
      }
      note_view(pricing);
    }
  };
  std::vector<std::thread> threads;
  const std::size_t most =
      std::min<std::size_t>(static_cast<std::size_t>(pricing.options.threads), views.size());
  for (std::size_t t = 1; t < most; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  pricing.statistics.left_out += views.size() - visited;
  if (failure) std::rethrow_exception(failure);
}

// Least memory, of every span on every number of devices; equal within a class.
TESSERA_INLINE void find_least_memory(Pricing& pricing) {
  std::map<std::pair<std::size_t, Extent>, SpanPrice> of_class;
  for (std::size_t span = 0; span < pricing.set.spans.size(); ++span)
    for (const View& view : pricing.views) {
      const Extent devices = view.mesh.device_count();
      const auto [at, is_new] = of_class.try_emplace({pricing.set.class_of[span], devices});
      if (is_new)
        at->second = least_memory(pricing.set.spans[span], devices, pricing.options.microbatches);
      pricing.least.emplace(std::pair(span, devices), at->second);
    }
}

TESSERA_INLINE Pricing::Pricing(const cost::Cluster& on, std::vector<View> of, PricingOptions by,
                                SpanSet spans)
    : cluster(on),
      views(std::move(of)),
      options(std::move(by)),
      deadline(options.solver),
      set(std::move(spans)),
      tables(views.size(), {PriceTable(set.spans.size())}),
      known(views.size()) {}

TESSERA_INLINE void price_views(Pricing& pricing) {
  find_least_memory(pricing);
  // Views with most devices have most shardings: they go first.
  std::vector<std::size_t> order(pricing.views.size());
  for (std::size_t v = 0; v < order.size(); ++v) order[v] = v;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return pricing.views[a].mesh.device_count() > pricing.views[b].mesh.device_count();
  });
  pricing.total = order.size();
  visit_side_by_side(pricing, order, [&](std::size_t view) { price_view(pricing, view); });
  pricing.statistics.distinct_layers = pricing.set.signatures.size();
  pricing.statistics.views = pricing.views.size();
  pricing.statistics.seconds = pricing.deadline.seconds();
}

TESSERA_INLINE void add_budgeted_tables(Pricing& pricing, const std::vector<std::size_t>& views,
                                        const MemoryNeeds& needs) {
  pricing.total += views.size();
  const double before = pricing.deadline.seconds();
  visit_side_by_side(pricing, views, [&](std::size_t view) { add_tables(pricing, view, needs); });
  pricing.statistics.seconds += pricing.deadline.seconds() - before;
}

TESSERA_INLINE Plan plan_behind(const Pricing& pricing, std::size_t view, std::size_t level,
                                std::size_t span) {
  const PriceTable& table = pricing.tables[view][level];
  const Price& price = table.prices[span];
  const RepeatedLayers& repeated = pricing.set.repeated;
  SpanRequest request = request_within(pricing, table.budgets[span]);
  if (pricing.options.annotations)
    request.annotations = pricing.options.annotations(pricing.set.spans[span]);
  if (pricing.set.is_layered && repeated.count > 1 && repeated.contains(span)) {
    request.ties = repeated.ties;
  } else if (pricing.set.is_layered) {
    for (const DynamicSharding sharding : price->received) request.received.emplace_back(sharding);
    for (const DynamicSharding sharding : price->sent) request.sent.emplace_back(sharding);
  }
  return plan_span(pricing.set.spans[span], pricing.views[view].mesh,
                   *prices_on(pricing, pricing.views[view]), request);
}

}  // namespace tessera::plan::detail
