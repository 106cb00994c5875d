// SPDX-License-Identifier: Apache-2.0
//
// The bodies of price_table.hpp.
#pragma once
#include "tessera/strategy/price_table.hpp"

namespace tessera::strategy {

TESSERA_INLINE PriceTable::Number PriceTable::number_of(DynamicSharding sharding) {
  if (const auto known = numbers_.find(sharding); known != numbers_.end()) return known->second;
  const auto number = static_cast<Number>(shardings_.size());
  bytes_.push_back(tensor_.local_bytes(sharding));
  shardings_.push_back(sharding);
  rows_.emplace_back();
  numbers_.emplace(sharding, number);
  return number;
}

TESSERA_INLINE Cost PriceTable::find_price(Number from, Number to) {
  std::vector<Cost>& row = rows_[from];
  if (to >= row.size()) row.resize(shardings_.size(), unknown);
  if (row[to] == unknown) row[to] = tensor_.price(shardings_[from], shardings_[to]);
  return row[to];
}

TESSERA_INLINE PriceTable& PriceTables::of(const graph::TensorType& type) {
  cost::TensorResharding& tensor = resharding_.of(type);
  return tables_.try_emplace(&tensor, tensor).first->second;
}

}  // namespace tessera::strategy
