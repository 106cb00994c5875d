// SPDX-License-Identifier: Apache-2.0
//
// The reductions that finish a partial sum.
#pragma once
#include <cstdint>

namespace tessera {

/// How the partial tensors of several devices combine into one.
enum class Reduction : std::uint8_t { none, sum, product, max, min, logical_and, logical_or };

constexpr const char* to_string(Reduction reduction) noexcept {
  switch (reduction) {
    case Reduction::sum: return "sum";
    case Reduction::product: return "product";
    case Reduction::max: return "max";
    case Reduction::min: return "min";
    case Reduction::logical_and: return "and";
    case Reduction::logical_or: return "or";
    case Reduction::none: break;
  }
  return "none";
}

/// The reductions as types, for shardings that are types: Partial<Sum, 1>.
template<Reduction R>
struct ReductionType {
  static constexpr Reduction reduction = R;
};
using Sum = ReductionType<Reduction::sum>;
using Product = ReductionType<Reduction::product>;
using Max = ReductionType<Reduction::max>;
using Min = ReductionType<Reduction::min>;
using And = ReductionType<Reduction::logical_and>;
using Or = ReductionType<Reduction::logical_or>;

}  // namespace tessera
