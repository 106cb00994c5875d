// SPDX-License-Identifier: Apache-2.0
//
// The prices of all spans of a program's layers, on all views of all submeshes.
//
// Layers that are alike are priced once.  Two ways:
//
//   whole    every span as a program of its own, whose ends may be as they please: exact, and for
//            programs of few layers
//   layered  every layer by itself, what crosses from one to the next having one sharding on both
//            sides; a span is then the sum of its layers.  The longest run of layers that are alike
//            sets it: its layer is planned as one that follows on itself, so that the run repeats
//            it as it is, and all others are planned with what crosses as their neighbours have it,
//            going outwards.  A span's plan is then one that whole spans have among theirs, for a
//            hundredth of the time.
//
// The first level of a view has the plans that keep a stage busy for least.  Where those do not
// fit, add_levels() prices the same spans under budgets (SpanBudget), for stages of about the
// view's share of the layers, each further level trading time for memory.
//
// Views are priced side by side, by as many threads as are asked for, each with what it remembers
// of reshardings.  What a caller wants to keep from run to run goes through a PriceStore.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/cost/cluster_model.hpp"
#include "tessera/pipeline/submesh.hpp"
#include "tessera/plan/span_price.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/result.hpp"

namespace tessera::plan {

// As what mesh a submesh is seen.
struct View {
  pipeline::Submesh submesh;
  std::size_t size = 0;  // the submesh's number
  DynamicMesh mesh;
};

// Prices kept from run to run.  A key is all that a price depends on, spelled out.  Called from
// several threads at a time.
struct PriceStore {
  std::function<std::optional<SpanPrice>(const std::vector<std::int64_t>& key)> find;
  std::function<void(const std::vector<std::int64_t>& key, const SpanPrice& price)> keep;
};

struct PricingProgress {
  double seconds = 0;
  std::size_t done = 0, total = 0;  // views, again where they get further levels
  std::size_t solved = 0;           // problems
};

// plan_span(), by its address: so that who includes this without asking for a price does not
// compile the planner.
using SpanPlanner = Plan (*)(const pipeline::SpanProgram&, const DynamicMesh&,
                             const cost::ClusterModel&, const SpanRequest&);

struct PricingOptions {
  std::int64_t microbatches = 1;
  bool whole_spans = false;
  int hidden_percent = 0;  // of communication (ClusterModel)
  int threads = 1;
  solver::Options solver;  // its time limit and its cancellation are for all of it
  // Work on one problem (solver::Options::work_limit), of which the best plan so far is taken; and
  // on one within a budget of memory, which is harder to prove.  Not seconds: prices are the same
  // on every machine, however busy.
  double problem_work = 5e9, budget_work = 5e8;
  // Shardings that are given, of a span's ops; nothing: none.  Prices are not kept then.
  std::function<std::vector<strategy::Annotation>(const pipeline::SpanProgram&)> annotations;
  // What is given to run a second time, by a span's ops; nothing: as is best.  Prices are not kept
  // then.
  std::function<std::vector<char>(const pipeline::SpanProgram&)> runs_again;
  PriceStore store;
  std::function<void(const PricingProgress&)> on_progress;  // from one thread at a time
};

struct PricingStatistics {
  std::size_t layers = 0, distinct_layers = 0, views = 0;
  std::size_t levels = 0;            // beyond the first one of each view
  std::size_t solved = 0, kept = 0;  // problems; kept: found in the store
  std::size_t unproven = 0;          // solved to a limit
  std::size_t left_out = 0;          // problems, and whole views, for which there was no time
  double seconds = 0;
};

// Whether what the backward pass reads of a stage may be computed again.
enum class Rematerialize : std::uint8_t { never, allowed };
// Both where it is to be decided.
inline std::vector<bool> choices_of(Rematerialize rematerialize) {
  return rematerialize == Rematerialize::never ? std::vector<bool>{false}
                                               : std::vector<bool>{false, true};
}

// What stages must keep to.
struct MemoryNeeds {
  Extent bytes = 0;  // on each device
  Rematerialize rematerialize = Rematerialize::allowed;
  // How many microbatches a stage on a view may have in flight, rising, where they are kept and
  // where they are computed again.
  std::function<std::vector<std::int64_t>(const View& view, bool recomputes)> in_flight;
};

namespace detail {

// Distinct programs, each once.
class Classes {
 public:
  // The number of the class, new or not.
  std::size_t enter(pipeline::SpanProgram program) {
    pipeline::Signature signature = pipeline::signature_of(program);
    std::vector<std::size_t>& candidates = by_hash_[pipeline::hash_of(signature)];
    for (const std::size_t number : candidates)
      if (signatures_[number] == signature) return number;
    candidates.push_back(programs_.size());
    programs_.push_back(std::move(program));
    signatures_.push_back(std::move(signature));
    return programs_.size() - 1;
  }

  std::size_t size() const noexcept { return programs_.size(); }
  const pipeline::SpanProgram& program(std::size_t number) const { return programs_[number]; }
  const pipeline::Signature& signature(std::size_t number) const { return signatures_[number]; }

 private:
  std::unordered_map<std::uint64_t, std::vector<std::size_t>> by_hash_;
  std::vector<pipeline::SpanProgram> programs_;
  std::vector<pipeline::Signature> signatures_;
};

// What prices depend on besides program and mesh, as numbers.
inline std::vector<std::int64_t> numbers_of(const cost::Cluster& cluster) {
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
  for (const cost::LinkLevel& level : cluster.levels)
    for (const std::int64_t number :
         {level.fan_out, static_cast<std::int64_t>(level.wiring), level.bandwidth,
          level.peer_bandwidth, level.latency, std::int64_t{level.achieved_percent},
          std::int64_t{level.is_closed}, std::int64_t{level.reduces_in_switch}})
      numbers.push_back(number);
  return numbers;
}

}  // namespace detail

class SpanPrices {
 public:
  using Price = std::shared_ptr<const SpanPrice>;  // null: it has none on this view

  // Prices everything, by plans of `planner`, which is plan_span.  Where cancelled, what is not
  // priced by then has no price.  Throws what plan() throws for reasons that no other view cures.
  SpanPrices(const pipeline::LayeredProgram& program, const cost::Cluster& cluster,
             std::vector<View> views, PricingOptions options, SpanPlanner planner)
      : cluster_(cluster),
        views_(std::move(views)),
        options_(std::move(options)),
        planner_(planner),
        deadline_(options_.solver) {
    enter_spans(program);
    if (!options_.whole_spans) find_run();
    levels_.assign(views_.size(), {Level(spans_.size())});
    known_.resize(views_.size());
    find_least();
    price_all();
    statistics_.layers = program.layers();
    statistics_.distinct_layers = classes_.size();
    statistics_.views = views_.size();
    statistics_.seconds = deadline_.seconds();
  }

  const std::vector<View>& views() const noexcept { return views_; }
  const PricingStatistics& statistics() const noexcept { return statistics_; }
  bool is_layered() const noexcept { return !options_.whole_spans; }

  // Prices views under budgets as well: only what differs from the levels that they have becomes a
  // level.  Not to be called by two threads at a time.
  void add_levels(const std::vector<std::size_t>& views, const MemoryNeeds& needs) {
    total_ += views.size();
    const double before = deadline_.seconds();
    side_by_side(views, [&](std::size_t view) { add_levels_to(view, needs); });
    statistics_.seconds += deadline_.seconds() - before;
  }
  std::size_t levels(std::size_t view) const noexcept { return levels_[view].size(); }

  // Of one layer, or, where spans are priced whole, of layers first to last.
  const Price& price(std::size_t view, std::size_t first, std::size_t last,
                     std::size_t level = 0) const {
    return levels_[view][level].prices[span_number(first, last)];
  }
  const pipeline::SpanProgram& program(std::size_t first, std::size_t last) const {
    return spans_[span_number(first, last)];
  }

  // How many choices there are of what runs again: as many as the run's layers have, or, where
  // spans are priced whole, as any has.
  std::size_t rematerializations(std::size_t view, std::size_t level) const {
    const std::vector<Price>& prices = levels_[view][level].prices;
    if (is_layered()) return prices[run_first_] ? prices[run_first_]->rematerializations.size() : 0;
    std::size_t most = 0;
    for (const Price& price : prices)
      if (price) most = std::max(most, price->rematerializations.size());
    return most;
  }
  // One of them; null where there is no price, or no such choice.  Layers that are not of the run
  // choose at the run's rate between time and bytes.
  const Rematerialization* rematerialization(std::size_t view, std::size_t first, std::size_t last,
                                             std::size_t level, std::size_t number) const {
    const Price& own = price(view, first, last, level);
    if (!own) return nullptr;
    if (!is_layered())
      return number < own->rematerializations.size() ? &own->rematerializations[number] : nullptr;
    return &rematerialization_at_rate_of(
        own->rematerializations, levels_[view][level].prices[run_first_]->rematerializations,
        number);
  }

  // What no plan of a span on so many devices has less of: fixed, saved and given; the rest is 0.
  const SpanPrice& least(std::size_t first, std::size_t last, Extent devices) const {
    return least_.at({span_number(first, last), devices});
  }

  // Programs with the same number are alike.
  std::size_t class_of(std::size_t first, std::size_t last) const {
    return class_of_[span_number(first, last)];
  }
  // What layers first to last are priced as: one by one, or together.
  template<class Visit>
  void for_each_span(std::size_t first, std::size_t last, Visit&& visit) const {
    if (!is_layered()) return visit(first, last);
    for (std::size_t layer = first; layer <= last; ++layer) visit(layer, layer);
  }

  // The plan behind a price: solved once more, and the same.  @pre it has a price
  Plan plan(std::size_t view, std::size_t first, std::size_t last, std::size_t level = 0) const {
    const std::size_t span = span_number(first, last);
    const Price& price = levels_[view][level].prices[span];
    SpanRequest request = request_within(levels_[view][level].budgets[span]);
    if (options_.annotations) request.annotations = options_.annotations(spans_[span]);
    if (is_in_run(span)) {
      request.ties = ties_;
    } else if (!options_.whole_spans) {
      for (const DynamicSharding sharding : price->received)
        request.received.emplace_back(sharding);
      for (const DynamicSharding sharding : price->sent) request.sent.emplace_back(sharding);
    }
    return planner_(spans_[span], views_[view].mesh, model_of(views_[view]), request);
  }

 private:
  std::size_t span_number(std::size_t first, std::size_t last) const {
    return options_.whole_spans ? last * (last + 1) / 2 + first : first;
  }
  bool is_in_run(std::size_t span) const {
    return !options_.whole_spans && span >= run_first_ && span < run_first_ + run_length_ &&
           run_length_ > 1;
  }

  void enter_spans(const pipeline::LayeredProgram& program) {
    for (std::size_t last = 0; last < program.layers(); ++last)
      for (std::size_t first = options_.whole_spans ? 0 : last; first <= last; ++first) {
        spans_.push_back(program.span(first, last));
        class_of_.push_back(classes_.enter(spans_.back()));
      }
  }

  // --- The run of layers that are alike ----------------------------------------------------------

  using Ties = std::vector<std::pair<std::size_t, std::size_t>>;

  // Which of a layer's incoming values is which of its outgoing ones, one layer on or back.
  Ties ties_between(std::size_t layer, std::size_t next) const {
    Ties ties;
    const auto add = [&](const pipeline::SpanProgram& sender,
                         const pipeline::SpanProgram& receiver) {
      for (std::size_t s = 0; s < sender.sent.size(); ++s)
        for (std::size_t r = 0; r < receiver.received.size(); ++r)
          if (sender.sent[s].origin == receiver.received[r].origin &&
              sender.sent[s].phase != pipeline::Phase::update)
            ties.emplace_back(r, s);
    };
    add(spans_[layer], spans_[next]);
    add(spans_[next], spans_[layer]);
    return ties;
  }

  // The longest run; of equals, the first.  Where all differ, the layer with most ops alone.
  void find_run() {
    run_length_ = 0;
    for (std::size_t first = 0; first < spans_.size();) {
      std::size_t next = first + 1;
      Ties ties;
      while (next < spans_.size() && class_of_[next] == class_of_[first]) {
        Ties here = ties_between(next - 1, next);
        if (next > first + 1 && here != ties) break;
        ties = std::move(here);
        ++next;
      }
      if (next - first > run_length_ ||
          (run_length_ == 1 && next - first == 1 &&
           spans_[first].graph.op_count() > spans_[run_first_].graph.op_count())) {
        run_first_ = first;
        run_length_ = next - first;
        ties_ = std::move(ties);
      }
      first = next;
    }
  }

  // --- Pricing -----------------------------------------------------------------------------------

  cost::ClusterModel model_of(const View& view) const {
    return {cost::subcluster(cluster_, view.mesh.device_count()), view.mesh, options_.hidden_percent};
  }
  SpanRequest request_within(const std::optional<SpanBudget>& budget) const {
    SpanRequest request;
    request.budget = budget;
    request.microbatches = options_.microbatches;
    request.solver = options_.solver;
    request.solver.threads = 1;
    request.solver.on_progress = nullptr;
    request.solver.time_limit = deadline_.seconds_left();
    request.solver.work_limit =
        std::min(options_.solver.work_limit, budget ? options_.budget_work : options_.problem_work);
    return request;
  }

  void price_all() {
    // Views with most devices have most shardings: they go first.
    std::vector<std::size_t> order(views_.size());
    for (std::size_t v = 0; v < order.size(); ++v) order[v] = v;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return views_[a].mesh.device_count() > views_[b].mesh.device_count();
    });
    total_ = views_.size();
    side_by_side(order, [&](std::size_t view) { price_view(view); });
  }

  // Visits views by as many threads as there may be.
  template<class Visit>
  void side_by_side(const std::vector<std::size_t>& views, Visit&& visit) {
    std::atomic<std::size_t> next{0}, visited{0};
    std::exception_ptr failure;
    const auto work = [&] {
      for (std::size_t i = next++; i < views.size() && !deadline_.is_over(); i = next++) {
        ++visited;
        try {
          visit(views[i]);
        } catch (...) {
          const std::lock_guard lock(mutex_);
          if (!failure) failure = std::current_exception();
          next = views.size();
        }
        note_view();
      }
    };
    std::vector<std::thread> threads;
    const std::size_t most =
        std::min<std::size_t>(static_cast<std::size_t>(options_.threads), views.size());
    for (std::size_t t = 1; t < most; ++t) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    statistics_.left_out += views.size() - visited;
    if (failure) std::rethrow_exception(failure);
  }

  void note_view() {
    const std::lock_guard lock(mutex_);
    ++done_;
    if (options_.on_progress)
      options_.on_progress({deadline_.seconds(), done_, total_, statistics_.solved});
  }

  // What is remembered while a level of a view is priced.
  struct Pricing {
    std::size_t view;
    cost::ClusterModel model;
    std::vector<std::int64_t> where;  // the part of a key that is the view's
    std::map<graph::Value, DynamicSharding> boundary = {};
  };
  Pricing pricing_of(std::size_t v) const { return {v, model_of(views_[v]), where(views_[v])}; }

  // The prices of all spans on a view; null where there is none.
  struct Level {
    std::vector<Price> prices;
    std::vector<std::optional<SpanBudget>> budgets;  // under which they were asked for

    explicit Level(std::size_t spans) : prices(spans), budgets(spans) {}
  };

  void price_view(std::size_t v) {
    Pricing pricing = pricing_of(v);
    Level& level = levels_[v][0];
    if (options_.whole_spans) {
      for (std::size_t span = 0; span < spans_.size(); ++span)
        level.prices[span] = priced(pricing, span, request_within(std::nullopt));
    } else if (price_run(pricing, level, std::nullopt)) {
      price_around(pricing, level, [](std::size_t) { return std::nullopt; });
    }
  }

  // The run of layers that are alike.  Returns whether it has a price.
  bool price_run(Pricing& pricing, Level& level, const std::optional<SpanBudget>& budget) {
    SpanRequest request = request_within(budget);
    if (run_length_ > 1) request.ties = ties_;
    const Price of_run = priced(pricing, run_first_, request);
    if (!of_run) return false;
    for (std::size_t layer = run_first_; layer < run_first_ + run_length_; ++layer) {
      level.prices[layer] = of_run;
      level.budgets[layer] = budget;
      settle(pricing, level, layer);
    }
    return true;
  }

  // The layers before the run and after it, going outwards; up to one that has no price.
  template<class BudgetOf>
  void price_around(Pricing& pricing, Level& level, BudgetOf&& budget_of) {
    for (std::size_t layer = run_first_; layer-- > 0;)
      if (!price_layer(pricing, level, layer, budget_of(layer))) break;
    for (std::size_t layer = run_first_ + run_length_; layer < spans_.size(); ++layer)
      if (!price_layer(pricing, level, layer, budget_of(layer))) break;
  }

  // With what crosses as its neighbours have it.
  bool price_layer(Pricing& pricing, Level& level, std::size_t layer,
                   const std::optional<SpanBudget>& budget) {
    SpanRequest request = request_within(budget);
    level.budgets[layer] = budget;
    const auto known = [&](const std::vector<pipeline::BoundaryValue>& boundaries, auto& wanted) {
      for (const pipeline::BoundaryValue& boundary : boundaries) {
        const auto at = pricing.boundary.find(boundary.origin);
        wanted.push_back(at == pricing.boundary.end() ? std::nullopt : std::optional(at->second));
      }
    };
    known(spans_[layer].received, request.received);
    known(spans_[layer].sent, request.sent);
    level.prices[layer] = priced(pricing, layer, request);
    if (!level.prices[layer]) return false;
    settle(pricing, level, layer);
    return true;
  }

  void settle(Pricing& pricing, const Level& level, std::size_t layer) const {
    const SpanPrice& price = *level.prices[layer];
    const auto note = [&](const std::vector<pipeline::BoundaryValue>& boundaries,
                          const auto& shardings) {
      for (std::size_t i = 0; i < boundaries.size(); ++i)
        if (boundaries[i].phase != pipeline::Phase::update)
          pricing.boundary.emplace(boundaries[i].origin, shardings[i]);
    };
    note(spans_[layer].received, price.received);
    note(spans_[layer].sent, price.sent);
  }

  // Of every span on every number of devices; those of a class are the same.
  void find_least() {
    std::map<std::pair<std::size_t, Extent>, SpanPrice> of_class;
    for (std::size_t span = 0; span < spans_.size(); ++span) {
      std::optional<detail::SpanMemory> memory;
      for (const View& view : views_) {
        const Extent devices = view.mesh.device_count();
        const auto [at, is_new] = of_class.try_emplace({class_of_[span], devices});
        if (is_new && !memory) memory.emplace(spans_[span], options_.microbatches);
        if (is_new) at->second = memory->least(devices);
        least_.emplace(std::pair(span, devices), at->second);
      }
    }
  }

  // --- Levels under budgets ----------------------------------------------------------------------

  void add_levels_to(std::size_t v, const MemoryNeeds& needs) {
    for (const bool recomputes : choices_of(needs.rematerialize)) {
      for (const std::int64_t in_flight : needs.in_flight(views_[v], recomputes)) {
        const SpanBudget budget{1, in_flight, recomputes, needs.bytes};
        // What does not fit does not with more in flight.
        if (!(options_.whole_spans ? add_whole_level(v, budget) : add_layered_levels(v, budget)))
          break;
      }
    }
  }

  // Each span by itself, within the budget.  Returns whether any is.
  bool add_whole_level(std::size_t v, const SpanBudget& budget) {
    Pricing pricing = pricing_of(v);
    Level level(spans_.size());
    const SpanRequest request = request_within(budget);
    for (std::size_t span = 0; span < spans_.size(); ++span) {
      level.prices[span] = priced(pricing, span, request);
      level.budgets[span] = budget;
    }
    return keep(v, std::move(level));
  }

  // For stages of the layers that fall to the view if all are spread evenly, and of a quarter more.
  bool add_layered_levels(std::size_t v, SpanBudget budget) {
    const Level& first = levels_[v][0];
    if (!first.prices[run_first_]) return false;
    const Wide of_run = std::max<Wide>(1, held_by_layer(*first.prices[run_first_], budget));
    Wide of_all = 0;
    for (const Price& price : first.prices)
      if (price) of_all += held_by_layer(*price, budget);
    const Wide whole = of_run * cluster_.device_count();
    const Wide share = of_all * views_[v].mesh.device_count();
    const auto count = static_cast<std::int64_t>(std::max<Wide>(1, (share + whole - 1) / whole));
    bool any = false;
    for (const std::int64_t layers : {count, count + (count + 3) / 4}) {
      budget.layers = layers;
      if (!add_layered_level(v, budget, of_run)) break;
      any = true;
    }
    return any;
  }

  // Another layer takes the place of as many of the run as it weighs.
  bool add_layered_level(std::size_t v, const SpanBudget& budget, Wide weight_of_run) {
    Pricing pricing = pricing_of(v);
    Level level(spans_.size());
    if (!price_run(pricing, level, budget)) return false;
    const Wide of_run = held_by_layer(*level.prices[run_first_], budget);
    const Wide room = budget.layers / 4 + 1;  // of a stage with fewer layers
    price_around(pricing, level, [&](std::size_t layer) {
      SpanBudget own = budget;
      own.layers = 1;
      Wide weight = 1;
      if (const Price& cheapest = levels_[v][0].prices[layer])
        weight = std::max<Wide>(
            1, (held_by_layer(*cheapest, budget) + weight_of_run / 2) / weight_of_run);
      const Wide others = std::max<Wide>(0, budget.layers - weight - room) * of_run;
      own.bytes = static_cast<Extent>(std::max<Wide>(0, budget.bytes - others));
      return std::optional(own);
    });
    return keep(v, std::move(level));
  }

  // Returns whether the level has any price; keeps it where it is none of those that there are.
  bool keep(std::size_t v, Level level) {
    const auto is_alike = [&](const Level& other) { return other.prices == level.prices; };
    if (std::none_of(levels_[v].begin(), levels_[v].end(), is_alike)) {
      levels_[v].push_back(level);
      const std::lock_guard lock(mutex_);
      ++statistics_.levels;
    }
    return std::any_of(level.prices.begin(), level.prices.end(),
                       [](const Price& price) { return price != nullptr; });
  }

  // --- One price ---------------------------------------------------------------------------------

  std::vector<std::int64_t> where(const View& view) const {
    std::vector<std::int64_t> key = detail::numbers_of(cluster_);
    key.push_back(view.mesh.device_count());
    key.push_back(static_cast<std::int64_t>(view.mesh.rank()));
    for (std::size_t axis = 0; axis < view.mesh.rank(); ++axis)
      key.push_back(view.mesh.extent(axis));
    key.push_back(options_.microbatches);
    key.push_back(options_.hidden_percent);
    return key;
  }

  // What is asked of a span's ends, as numbers.
  static std::vector<std::int64_t> ends_of(const SpanRequest& request) {
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
  static std::vector<std::int64_t> numbers_of(const SpanBudget& budget) {
    return {budget.layers, budget.in_flight, budget.recomputes ? 1 : 0, budget.bytes};
  }

  Price priced(Pricing& pricing, std::size_t span, const SpanRequest& request) {
    std::vector<std::int64_t> key{static_cast<std::int64_t>(class_of_[span])};
    std::vector<std::int64_t> ends = ends_of(request);
    key.insert(key.end(), ends.begin(), ends.end());
    Known& known = known_[pricing.view];
    if (request.budget) {
      // What is cheapest of all and fits is cheapest of those that fit.
      const auto cheapest = known.find(key);
      if (cheapest != known.end() && cheapest->second && fits(*cheapest->second, *request.budget))
        return cheapest->second;
      const Extent devices = views_[pricing.view].mesh.device_count();
      if (!fits(least_.at({span, devices}), *request.budget)) return nullptr;
      for (const std::int64_t number : numbers_of(*request.budget)) {
        key.push_back(number);
        ends.push_back(number);
      }
    }
    const auto [at, is_new] = known.try_emplace(std::move(key));
    if (is_new) at->second = stored_or_solved(pricing, span, request, ends);
    return at->second;
  }

  Price stored_or_solved(const Pricing& pricing, std::size_t span, const SpanRequest& request,
                         const std::vector<std::int64_t>& ends) {
    std::vector<std::int64_t> key;
    if (options_.annotations || options_.runs_again) return solved(pricing, span, request);
    if (options_.store.find || options_.store.keep) {
      key = classes_.signature(class_of_[span]);
      for (const auto* more : {&pricing.where, &ends})
        key.insert(key.end(), more->begin(), more->end());
    }
    if (options_.store.find)
      if (std::optional<SpanPrice> kept = options_.store.find(key)) {
        const std::lock_guard lock(mutex_);
        ++statistics_.kept;
        return std::make_shared<const SpanPrice>(std::move(*kept));
      }
    const Price price = solved(pricing, span, request);
    if (price && price->is_proven && options_.store.keep) options_.store.keep(key, *price);
    return price;
  }

  // Null where the view can not hold the span as it is asked for, or time is over.
  Price solved(const Pricing& pricing, std::size_t span, SpanRequest request) {
    if (deadline_.is_over()) return left_out();
    if (options_.annotations) request.annotations = options_.annotations(spans_[span]);
    Cost least = 0;
    request.on_formulated = [&](const Formulation& formulation) {
      least = least_work(spans_[span], formulation, options_.microbatches);
    };
    try {
      const Plan plan = planner_(spans_[span], views_[pricing.view].mesh, pricing.model, request);
      const std::lock_guard lock(mutex_);
      ++statistics_.solved;
      if (!plan.has_ops()) {
        if (plan.status == solver::Status::unknown && deadline_.is_over()) ++statistics_.left_out;
        return nullptr;
      }
      std::vector<char> runs_again;
      if (options_.runs_again) runs_again = options_.runs_again(spans_[span]);
      SpanPrice price = price_of(spans_[span], plan, options_.microbatches, runs_again);
      price.least_work = least;
      if (!price.is_proven) ++statistics_.unproven;
      return std::make_shared<const SpanPrice>(std::move(price));
    } catch (const InvalidAnnotation&) {
      return nullptr;
    }
  }

  Price left_out() {
    const std::lock_guard lock(mutex_);
    ++statistics_.left_out;
    return nullptr;
  }

  cost::Cluster cluster_;
  std::vector<View> views_;
  PricingOptions options_;
  SpanPlanner planner_;
  solver::Deadline deadline_;
  std::vector<pipeline::SpanProgram> spans_;
  std::vector<std::size_t> class_of_;
  detail::Classes classes_;
  std::size_t run_first_ = 0, run_length_ = 0;
  Ties ties_;
  std::vector<std::vector<Level>> levels_;  // by view
  using Known = std::map<std::vector<std::int64_t>, Price>;
  std::vector<Known> known_;  // by view: by program and what is asked of it
  std::map<std::pair<std::size_t, Extent>, SpanPrice> least_;  // by span and devices
  PricingStatistics statistics_;
  std::mutex mutex_;
  std::size_t done_ = 0, total_ = 0;
};

}  // namespace tessera::plan
