// SPDX-License-Identifier: Apache-2.0
//
// The bodies of pricing.hpp.
#pragma once
#include "tessera/strategy/detail/pricing.hpp"

#include <algorithm>

#include "tessera/strategy/halo.hpp"

namespace tessera::strategy::detail {

// The work of the device with the largest shards.
TESSERA_INLINE cost::Work work_of(const PricedOp& of, const Choice& choice) {
  const graph::Rule& rule = of.op.rule;
  const cost::Workload& load = of.workload;
  cost::Work work{{}, load.element, 0, load.launches, load.merged, load.is_fused, load.halves};
  if (load.is_product)
    work.product = cost::product_of(rule, [&](std::size_t factor) {
      return local_size(rule, of.resharding.mesh(), choice.strategy, factor);
    });
  for (std::size_t t = 0; t < load.passes.size(); ++t) {
    if (load.passes[t] == 0) continue;
    const bool is_operand = t < choice.operands.size();
    PriceTable& table = is_operand ? *of.tables.operands[t]
                                   : *of.tables.results[t - choice.operands.size()];
    const DynamicSharding sharding = is_operand ? choice.operands[t]
                                                : sharding_of(rule, choice.strategy, t);
    work.bytes += Wide(load.passes[t]) * table.local_bytes(table.number_of(sharding));
  }
  return work;
}

// Adds a halo exchange over the axis on which it takes longest, of those that split the dim.
TESSERA_INLINE void add_halo(const cost::Resharding& resharding, PricedHalo halo,
                             const AxisList& axes, Choice& choice) {
  const DynamicMesh& mesh = resharding.mesh();
  halo.axis = axes[0];
  halo.price = -1;
  for (const Axis axis : axes) {
    if (mesh.extent(axis) == 1) continue;
    const Cost price =
        resharding.prices().price(StepKind::halo_exchange, axis, mesh.extent(axis), halo.message);
    if (price <= halo.price) continue;
    halo.axis = axis;
    halo.price = price;
  }
  choice.price = saturating_add(choice.price, halo.price);
  choice.halos.push_back(halo);
}

// Dims exchange their halos one after the other, so that corners arrive: the shard whose halo a
// later dim exchanges has the halos of the dims before.
TESSERA_INLINE void add_halos(const PricedOp& of, std::uint32_t operand, Choice& choice) {
  const graph::Rule& rule = of.op.rule;
  const DynamicMesh& mesh = of.resharding.mesh();
  const DynamicSharding sharding = choice.operands[operand];
  cost::Message shard{of.tables.operands[operand]->bytes(), extent_of(mesh, sharding.split_axes())};
  for (std::size_t dim = 0; dim < rule.rank(operand); ++dim) {
    const Extent tiles = shard_count(sharding, mesh, dim);
    const auto factors = rule.dim(operand, dim);
    if (tiles == 1 || factors.size() != 1) continue;
    const graph::Factor& factor = rule.factor(factors[0]);
    if (factor.kind != FactorKind::window) continue;
    const Halo halo = halo_of(rule, factors[0], tiles);
    if (halo.width() == 0) continue;
    const cost::Message row{shard.bytes / factor.size, shard.divided_by / tiles};
    const cost::Message message{row.bytes * halo.width(), row.divided_by};
    add_halo(of.resharding, {operand, static_cast<std::uint8_t>(dim), 0, message, 0},
             sharding.axes(dim), choice);
    const Extent extended = std::min(factor.size, ceil_div(factor.size, tiles) + halo.width());
    shard = {row.bytes * extended, row.divided_by};
  }
}

// The collectives that finish a single result.
TESSERA_INLINE Cost finish_price(const PricedOp& of, const Strategy& strategy) {
  const graph::Rule& rule = of.op.rule;
  if (rule.result_count() != 1) return 0;
  PriceTable& table = *of.tables.results[0];
  const DynamicSharding computed = sharding_of(rule, strategy, rule.operand_count());
  const PriceTable::Number from = table.number_of(computed);
  return table.price(from, table.number_of(strategy.output_sharding));
}

TESSERA_INLINE Choice priced(const PricedOp& of, const Strategy& strategy) {
  const graph::Rule& rule = of.op.rule;
  Choice choice{strategy, {}, {}, 0, 0, {}, {}};
  for (std::size_t i = 0; i < rule.operand_count(); ++i)
    choice.operands.push_back(sharding_of(rule, strategy, i));
  for (std::size_t r = 0; r < rule.result_count(); ++r) {
    PriceTable& table = *of.tables.results[r];
    choice.results.push_back(result_sharding(rule, strategy, r));
    choice.result_bytes.push_back(table.local_bytes(table.number_of(choice.results[r])));
  }
  choice.price = finish_price(of, strategy);
  for (std::uint32_t i = 0; i < rule.operand_count(); ++i) add_halos(of, i, choice);
  if (of.resharding.prices().prices_work()) {
    choice.work = of.resharding.prices().work_price(work_of(of, choice));
    choice.price = saturating_add(choice.price, choice.work);
  }
  return choice;
}

}  // namespace tessera::strategy::detail
