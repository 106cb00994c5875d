// SPDX-License-Identifier: Apache-2.0
//
// The prices between the shardings of one tensor, by number.
//
// An op has thousands of strategies, but its tensors have few shardings.  Pruning and edges ask for
// the price between two of them many millions of times: each after the first is one load.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/resharding.hpp"

namespace tessera::strategy {

/// The shardings of one tensor that have been met, and the prices between them.
class PriceTable {
 public:
  using Number = std::uint32_t;

  /// @pre `tensor` outlives it
  explicit PriceTable(cost::TensorResharding& tensor) : tensor_(tensor) {}

  /// The number of a sharding, which gets the next one where it is new.
  Number number_of(DynamicSharding sharding);
  /// How many numbers there are so far.
  std::size_t size() const noexcept { return shardings_.size(); }
  DynamicSharding sharding(Number number) const { return shardings_[number]; }
  cost::TensorResharding& tensor() noexcept { return tensor_; }

  /// Of the whole tensor.
  Extent bytes() const noexcept { return tensor_.bytes(); }
  /// As TensorResharding has them, and throws as it does.
  Extent local_bytes(Number sharding) const { return bytes_[sharding]; }
  Cost price(Number from, Number to) {
    const std::vector<Cost>& row = rows_[from];
    return to < row.size() && row[to] != unknown ? row[to] : find_price(from, to);
  }

 private:
  static constexpr Cost unknown = -1;  // a price is never negative

  Cost find_price(Number from, Number to);

  cost::TensorResharding& tensor_;
  std::unordered_map<DynamicSharding, Number> numbers_;
  std::vector<DynamicSharding> shardings_;
  std::vector<Extent> bytes_;
  std::vector<std::vector<Cost>> rows_;  // by the first sharding; filled when asked for
};

/// The tables of all tensors of a program; those of equal dims and element size share one.
class PriceTables {
 public:
  /// @pre `resharding` outlives it
  explicit PriceTables(cost::Resharding& resharding) : resharding_(resharding) {}

  /// Valid as long as this object lives.
  PriceTable& of(const graph::TensorType& type);

 private:
  cost::Resharding& resharding_;
  std::unordered_map<const void*, PriceTable> tables_;
};

}  // namespace tessera::strategy

#ifdef TESSERA_HEADER_ONLY
#include "tessera/strategy/price_table.ipp"
#endif
