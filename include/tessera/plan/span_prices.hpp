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
  std::size_t done = 0, total = 0;  // views
  std::size_t solved = 0;           // problems
};

struct PricingOptions {
  std::int64_t microbatches = 1;
  bool whole_spans = false;
  int hidden_percent = 0;  // of communication (ClusterModel)
  int threads = 1;
  solver::Options solver;    // its time limit and its cancellation are for all of it
  double problem_limit = 5;  // seconds for one problem; the best plan so far is taken
  PriceStore store;
  std::function<void(const PricingProgress&)> on_progress;  // from one thread at a time
};

struct PricingStatistics {
  std::size_t layers = 0, distinct_layers = 0, views = 0;
  std::size_t solved = 0, kept = 0;  // problems; kept: found in the store
  std::size_t unproven = 0;          // solved to a limit
  double seconds = 0;
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
  for (const cost::Level& level : cluster.levels)
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

  // What crosses between two layers.
  struct Border {
    graph::Value value;            // in the whole program
    std::size_t from = 0, to = 0;  // layers
    pipeline::OpPart part{};
  };

  // Prices everything.  Where cancelled, what is not
  // priced by then has no price.  Throws what plan() throws for reasons that no other view cures.
  SpanPrices(const pipeline::LayeredProgram& program, const cost::Cluster& cluster,
             std::vector<View> views, PricingOptions options)
      : cluster_(cluster),
        views_(std::move(views)),
        options_(std::move(options)),
        deadline_(options_.solver) {
    enter_spans(program);
    if (!options_.whole_spans) find_run();
    prices_.assign(views_.size(), std::vector<Price>(spans_.size()));
    price_all();
    statistics_.layers = program.layers();
    statistics_.distinct_layers = classes_.size();
    statistics_.views = views_.size();
    statistics_.seconds = deadline_.seconds();
  }

  const std::vector<View>& views() const noexcept { return views_; }
  const PricingStatistics& statistics() const noexcept { return statistics_; }
  bool is_layered() const noexcept { return !options_.whole_spans; }

  // Of one layer, or, where spans are priced whole, of layers first to last.
  const Price& price(std::size_t view, std::size_t first, std::size_t last) const {
    return prices_[view][span_number(first, last)];
  }
  const pipeline::SpanProgram& program(std::size_t first, std::size_t last) const {
    return spans_[span_number(first, last)];
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
  Plan plan(std::size_t view, std::size_t first, std::size_t last) const {
    const std::size_t span = span_number(first, last);
    const Price& price = prices_[view][span];
    SpanRequest request = plain_request();
    if (is_in_run(span)) {
      request.ties = ties_;
    } else if (!options_.whole_spans) {
      for (const DynamicSharding sharding : price->received)
        request.received.emplace_back(sharding);
      for (const DynamicSharding sharding : price->sent) request.sent.emplace_back(sharding);
    }
    return plan_span(spans_[span], views_[view].mesh, model_of(views_[view]), request);
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
              sender.sent[s].part != pipeline::OpPart::update)
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
    return {cost::part_of(cluster_, view.mesh.device_count()), view.mesh, options_.hidden_percent};
  }
  SpanRequest plain_request() const {
    SpanRequest request;
    request.microbatches = options_.microbatches;
    request.solver = options_.solver;
    request.solver.threads = 1;
    request.solver.on_progress = nullptr;
    request.solver.time_limit =
        std::min(options_.problem_limit, options_.solver.time_limit - deadline_.seconds());
    return request;
  }

  void price_all() {
    // Views with most devices have most shardings: they go first.
    std::vector<std::size_t> order(views_.size());
    for (std::size_t v = 0; v < order.size(); ++v) order[v] = v;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return views_[a].mesh.device_count() > views_[b].mesh.device_count();
    });
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    const auto work = [&] {
      for (std::size_t i = next++; i < order.size() && !deadline_.is_over(); i = next++) {
        try {
          price_view(order[i]);
        } catch (...) {
          const std::lock_guard lock(mutex_);
          if (!failure) failure = std::current_exception();
          next = order.size();
        }
        note_view();
      }
    };
    std::vector<std::thread> threads;
    for (int t = 1; t < options_.threads; ++t) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
  }

  void note_view() {
    const std::lock_guard lock(mutex_);
    ++done_;
    if (options_.on_progress)
      options_.on_progress({deadline_.seconds(), done_, views_.size(), statistics_.solved});
  }

  // What one view remembers while it is priced.
  struct Pricing {
    std::size_t view;
    cost::ClusterModel model;
    std::vector<std::int64_t> where;  // the part of a key that is the view's
    std::map<graph::Value, DynamicSharding> crossing;
    std::map<std::vector<std::int64_t>, Price> known;
  };

  void price_view(std::size_t v) {
    Pricing pricing{v, model_of(views_[v]), where(views_[v]), {}, {}};
    if (options_.whole_spans) {
      for (std::size_t span = 0; span < spans_.size(); ++span)
        prices_[v][span] = priced(pricing, span, plain_request());
      return;
    }
    SpanRequest request = plain_request();
    if (run_length_ > 1) request.ties = ties_;
    const Price of_run = priced(pricing, run_first_, request);
    if (!of_run) return;
    for (std::size_t layer = run_first_; layer < run_first_ + run_length_; ++layer) {
      prices_[v][layer] = of_run;
      settle(pricing, layer);
    }
    for (std::size_t layer = run_first_; layer-- > 0;)
      if (!price_layer(pricing, layer)) return;
    for (std::size_t layer = run_first_ + run_length_; layer < spans_.size(); ++layer)
      if (!price_layer(pricing, layer)) return;
  }

  // With what crosses as its neighbours have it.
  bool price_layer(Pricing& pricing, std::size_t layer) {
    SpanRequest request = plain_request();
    const auto known = [&](const std::vector<pipeline::Crossing>& crossings, auto& wanted) {
      for (const pipeline::Crossing& crossing : crossings) {
        const auto at = pricing.crossing.find(crossing.origin);
        wanted.push_back(at == pricing.crossing.end() ? std::nullopt : std::optional(at->second));
      }
    };
    known(spans_[layer].received, request.received);
    known(spans_[layer].sent, request.sent);
    prices_[pricing.view][layer] = priced(pricing, layer, request);
    if (!prices_[pricing.view][layer]) return false;
    settle(pricing, layer);
    return true;
  }

  void settle(Pricing& pricing, std::size_t layer) const {
    const SpanPrice& price = *prices_[pricing.view][layer];
    const auto note = [&](const std::vector<pipeline::Crossing>& crossings, const auto& shardings) {
      for (std::size_t i = 0; i < crossings.size(); ++i)
        if (crossings[i].part != pipeline::OpPart::update)
          pricing.crossing.emplace(crossings[i].origin, shardings[i]);
    };
    note(spans_[layer].received, price.received);
    note(spans_[layer].sent, price.sent);
  }

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

  Price priced(Pricing& pricing, std::size_t span, const SpanRequest& request) {
    std::vector<std::int64_t> key{static_cast<std::int64_t>(class_of_[span])};
    const std::vector<std::int64_t> ends = ends_of(request);
    key.insert(key.end(), ends.begin(), ends.end());
    const auto [at, is_new] = pricing.known.try_emplace(std::move(key));
    if (is_new) at->second = stored_or_solved(pricing, span, request, ends);
    return at->second;
  }

  Price stored_or_solved(const Pricing& pricing, std::size_t span, const SpanRequest& request,
                         const std::vector<std::int64_t>& ends) {
    std::vector<std::int64_t> key;
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
  Price solved(const Pricing& pricing, std::size_t span, const SpanRequest& request) {
    if (deadline_.is_over()) return nullptr;
    try {
      const Plan plan = plan_span(spans_[span], views_[pricing.view].mesh, pricing.model, request);
      const std::lock_guard lock(mutex_);
      ++statistics_.solved;
      if (!plan.has_ops()) return nullptr;
      auto price =
          std::make_shared<const SpanPrice>(price_of(spans_[span], plan, options_.microbatches));
      if (!price->is_proven) ++statistics_.unproven;
      return price;
    } catch (const InvalidAnnotation&) {
      return nullptr;
    }
  }

  cost::Cluster cluster_;
  std::vector<View> views_;
  PricingOptions options_;
  solver::Deadline deadline_;
  std::vector<pipeline::SpanProgram> spans_;
  std::vector<std::size_t> class_of_;
  detail::Classes classes_;
  std::size_t run_first_ = 0, run_length_ = 0;
  Ties ties_;
  std::vector<std::vector<Price>> prices_;  // by view, by span
  PricingStatistics statistics_;
  std::mutex mutex_;
  std::size_t done_ = 0;
};

}  // namespace tessera::plan
