// SPDX-License-Identifier: Apache-2.0
//
// The prices between the shardings of one tensor, by number.
//
// An op has thousands of strategies, but its tensors have few shardings.  Pruning and edges ask for
// the price between two of them many millions of times: what is asked for again is one load.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "tessera/cost/resharding.hpp"

namespace tessera::strategy {

class PriceTable {
 public:
  using Number = std::uint32_t;

  explicit PriceTable(cost::TensorResharding& tensor) : tensor_(tensor) {}

  Number number_of(DynamicSharding sharding) {
    if (const auto known = numbers_.find(sharding); known != numbers_.end()) return known->second;
    const auto number = static_cast<Number>(shardings_.size());
    bytes_.push_back(tensor_.local_bytes(sharding));
    shardings_.push_back(sharding);
    rows_.emplace_back();
    numbers_.emplace(sharding, number);
    return number;
  }
  // How many numbers there are so far.
  std::size_t size() const noexcept { return shardings_.size(); }
  DynamicSharding sharding(Number number) const { return shardings_[number]; }
  cost::TensorResharding& tensor() noexcept { return tensor_; }

  // Of the whole tensor.
  Extent bytes() const noexcept { return tensor_.bytes(); }
  // As TensorResharding has them, and throws as it does.
  Extent local_bytes(Number sharding) const { return bytes_[sharding]; }
  Cost price(Number from, Number to) {
    std::vector<Cost>& row = rows_[from];
    if (to >= row.size()) row.resize(shardings_.size(), unknown);
    if (row[to] == unknown) row[to] = tensor_.price(shardings_[from], shardings_[to]);
    return row[to];
  }

 private:
  static constexpr Cost unknown = -1;  // a price is never negative

  cost::TensorResharding& tensor_;
  std::unordered_map<DynamicSharding, Number> numbers_;
  std::vector<DynamicSharding> shardings_;
  std::vector<Extent> bytes_;
  std::vector<std::vector<Cost>> rows_;  // by the sharding that is left; filled when asked for
};

// The same for every tensor of a program.
class PriceTables {
 public:
  explicit PriceTables(cost::Resharding& resharding) : resharding_(resharding) {}

  // Valid as long as this object lives.
  PriceTable& of(const graph::TensorType& type) {
    auto& tensor = resharding_.of(type);
    return tables_.try_emplace(&tensor, tensor).first->second;
  }

 private:
  cost::Resharding& resharding_;
  std::unordered_map<const void*, PriceTable> tables_;
};

}  // namespace tessera::strategy
