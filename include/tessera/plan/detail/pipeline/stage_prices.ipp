// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of stage_prices.hpp.
#pragma once
#include "tessera/plan/detail/pipeline/stage_prices.hpp"

#include <utility>

namespace tessera::plan::detail {

TESSERA_INLINE void SpanSum::add(const SpanPrice& price,
                                 const Rematerialization& rematerialization) {
  forward = saturating_add(forward, price.forward);
  backward = saturating_add(backward, saturating_add(price.backward, rematerialization.time));
  again = saturating_add(again, rematerialization.time);
  weight_backward = saturating_add(weight_backward, price.weight_backward);
  per_step = saturating_add(per_step, price.per_step);
  least_work = saturating_add(least_work, price.least_work);
  fixed = saturating_add(fixed, price.fixed);
  saved = saturating_add(saved, rematerialization.saved);
  transient = std::max(transient, saturating_add(price.transient, rematerialization.restored));
}

TESSERA_INLINE void LeastMemory::add(const SpanPrice& least,
                                     const Rematerialization& rematerialization) {
  fixed = saturating_add(fixed, least.fixed);
  saved = saturating_add(saved, rematerialization.least_saved);
  again = std::max(again, least.saved - rematerialization.least_saved);
}

TESSERA_INLINE StagePrices::StagePrices(const pipeline::LayeredProgram& program,
                                        const cost::Cluster& cluster, SpanPrices& prices)
    : program_(program),
      cluster_(cluster),
      prices_(prices),
      hosts_(hosts_of(cluster)),
      enlarged_(cluster),
      ends_(prices.views().size()) {
  if (!enlarged_.levels.empty()) enlarged_.levels[enlarged_.levels.size() - 1].fan_out *= 2;
  for (std::size_t layer = 0; layer < program.layers(); ++layer)
    if (!prices.is_layered() || has_transfers_once(layer))
      layers_with_transfers_once_.push_back(layer);
}

TESSERA_INLINE StagePrices::Span StagePrices::span(const StageConfig& config, std::size_t first,
                                                   std::size_t last) const {
  Span span{first, last, {}, {}, {}};
  LeastMemory least;
  prices_.for_each_span(first, last, [&](std::size_t from, std::size_t to) {
    const Term next = term(config, from, to);
    span.sum.add(*next.price, *next.rematerialization);
    least.add(*next.least, *next.rematerialization);
  });
  span.sum.per_step = saturating_add(span.sum.per_step, once_per_step(config, first, last));
  span.least = least.memory();
  span.receive = receive_time(config, first, prices_.is_layered() ? first : last);
  return span;
}

TESSERA_INLINE std::size_t StagePrices::rematerializations(std::size_t view, std::size_t level,
                                                           Rematerialize rematerialize) const {
  const std::size_t all = prices_.rematerializations(view, level);
  return rematerialize == Rematerialize::never ? std::min<std::size_t>(all, 1) : all;
}

TESSERA_INLINE Cost StagePrices::once_per_step(const StageConfig& config, std::size_t first,
                                               std::size_t last) const {
  if (!prices_.is_layered()) return once_per_step_of(config, first, last, first, last);
  Cost total = 0;
  for (const std::size_t layer : layers_with_transfers_once_)
    if (first <= layer && layer <= last)
      total = saturating_add(total, once_per_step_of(config, layer, layer, first, last));
  return total;
}

TESSERA_INLINE StagePrices::Term StagePrices::term(const StageConfig& config, std::size_t first,
                                                   std::size_t last) const {
  const Rematerialization* rematerialization =
      prices_.rematerialization(config.view, first, last, config.level, config.rematerialization);
  if (rematerialization == nullptr) return {};
  return {prices_.price(config.view, first, last, config.level).get(),
          &prices_.least(first, last, view(config.view).mesh.device_count()), rematerialization};
}

TESSERA_INLINE Cost StagePrices::transfer(const graph::TensorType& type,
                                          const pipeline::PlacedSharding& from,
                                          const pipeline::PlacedSharding& to,
                                          const cost::Cluster& cluster) const {
  const auto key = std::tuple(type.dims.size(), graph::byte_count(type), from.sharding.bits(),
                              tessera::to_string(type.dims) + tessera::to_string(from.mesh) + '>' +
                                  tessera::to_string(to.mesh),
                              to.sharding.bits(), from.first, to.first, &cluster);
  const auto [at, is_new] = transfers_.try_emplace(key, 0);
  if (is_new)
    at->second =
        pipeline::transfer_time(pipeline::transfer_between(type.dims, from, to, hosts_.per_host),
                                graph::bytes_of(type.element), cluster);
  return at->second;
}

// As if the stage before were equal, and next to it.
TESSERA_INLINE StageTransfer StagePrices::transfer_from_equal_stage(
    const graph::TensorType& type, const View& view, DynamicSharding sharding) const {
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

TESSERA_INLINE const std::vector<StagePrices::Ends>& StagePrices::ends_of(std::size_t view,
                                                                          std::size_t level) {
  std::vector<std::vector<Ends>>& of_view = ends_[view];
  while (of_view.size() <= level) of_view.push_back(ends_at({view, of_view.size()}));
  return of_view[level];
}

TESSERA_INLINE std::vector<StagePrices::Ends> StagePrices::ends_at(
    const StageConfig& config) const {
  std::vector<Ends> ends(program_.layers() * (program_.layers() + 1) / 2);
  const bool is_layered = prices_.is_layered();
  for (std::size_t first = 0; first < program_.layers(); ++first) {
    const StageTransfer receive = is_layered ? receive_time(config, first, first) : StageTransfer{};
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

// The time until a stage that begins as this span does has received a microbatch, and has sent its
// gradient back.
TESSERA_INLINE StageTransfer StagePrices::receive_time(const StageConfig& config, std::size_t first,
                                                       std::size_t last) const {
  const auto& price = prices_.price(config.view, first, last, config.level);
  if (first == 0 || !price) return {};
  StageTransfer total;
  const pipeline::SpanProgram& span = prices_.program(first, last);
  const auto add = [&](const std::vector<pipeline::BoundaryValue>& boundaries,
                       const std::vector<DynamicSharding>& shardings, pipeline::Phase part) {
    for (std::size_t i = 0; i < boundaries.size(); ++i)
      if (boundaries[i].phase == part && comes_from_before(boundaries[i], first))
        total.add(transfer_from_equal_stage(span.graph.type_of(boundaries[i].value),
                                            prices_.views()[config.view], shardings[i]));
  };
  add(span.received, price->received, pipeline::Phase::forward);
  add(span.sent, price->sent, pipeline::Phase::backward);
  return total;
}

// Whether its other end is in a layer before `first`, or, of several readers, some is.
TESSERA_INLINE bool StagePrices::comes_from_before(const pipeline::BoundaryValue& boundary,
                                                   std::size_t first) const {
  if (program_.layer_of(boundary.origin.op) < first) return true;
  bool any = false;
  program_.graph().for_each_use(boundary.origin.op, [&](graph::OpId reader, const graph::Use&) {
    any = any || program_.layer_of(reader) < first;
  });
  return any;
}

TESSERA_INLINE bool StagePrices::has_transfers_once(std::size_t layer) const {
  const pipeline::SpanProgram& span = prices_.program(layer, layer);
  const auto is_once = [](const pipeline::BoundaryValue& boundary) {
    return boundary.phase == pipeline::Phase::update;
  };
  return std::any_of(span.received.begin(), span.received.end(), is_once) ||
         std::any_of(span.sent.begin(), span.sent.end(), is_once);
}

// The part of once_per_step() that layers `from` to `to` of the span have.
TESSERA_INLINE Cost StagePrices::once_per_step_of(const StageConfig& config, std::size_t from,
                                                  std::size_t to, std::size_t first,
                                                  std::size_t last) const {
  Cost total = 0;
  const pipeline::SpanProgram& span = prices_.program(from, to);
  const SpanPrice& price = *prices_.price(config.view, from, to, config.level);
  const auto add = [&](const std::vector<pipeline::BoundaryValue>& boundaries,
                       const std::vector<DynamicSharding>& shardings, bool is_received) {
    for (std::size_t i = 0; i < boundaries.size(); ++i) {
      if (boundaries[i].phase != pipeline::Phase::update) continue;
      if (stays_inside(boundaries[i].origin, first, last, is_received)) continue;
      total = saturating_add(total,
                             transfer_from_equal_stage(span.graph.type_of(boundaries[i].value),
                                                       prices_.views()[config.view], shardings[i])
                                 .worst);
    }
  };
  add(span.received, price.received, true);
  add(span.sent, price.sent, false);
  return total;
}

TESSERA_INLINE bool StagePrices::stays_inside(graph::Value value, std::size_t first,
                                              std::size_t last, bool is_received) const {
  const auto is_inside = [&](graph::OpId id) {
    return program_.layer_of(id) >= first && program_.layer_of(id) <= last;
  };
  if (is_received) return is_inside(value.op);
  bool all = true;
  program_.graph().for_each_use(
      value.op, [&](graph::OpId reader, const graph::Use&) { all = all && is_inside(reader); });
  return all;
}

}  // namespace tessera::plan::detail
