// SPDX-License-Identifier: Apache-2.0
//
// Elements as numbers, and slices.
#pragma once
#include "tessera/executor/tensor.hpp"

#include <algorithm>

#include "tessera/executor/detail/kernels/storage.hpp"

namespace tessera::executor {

TESSERA_INLINE double Tensor::number(std::size_t i) const {
  return detail::with_storage(
      element(), [&]<class T>(std::type_identity<T>) { return static_cast<double>(data<T>()[i]); });
}
TESSERA_INLINE void Tensor::set_number(std::size_t i, double value) {
  detail::with_storage(
      element(), [&]<class T>(std::type_identity<T>) { data<T>()[i] = static_cast<T>(value); });
}

TESSERA_INLINE Dims dims_of(const Slice& slice) {
  Dims dims;
  for (const Range& range : slice) dims.push_back(range.size());
  return dims;
}
TESSERA_INLINE Slice whole_slice(const Dims& dims) {
  Slice slice;
  for (const Extent size : dims) slice.push_back({0, size});
  return slice;
}
TESSERA_INLINE Slice intersection(const Slice& a, const Slice& b) {
  Slice both;
  for (std::size_t d = 0; d < a.size(); ++d) {
    const Extent begin = std::max(a[d].begin, b[d].begin);
    both.push_back({begin, std::max(begin, std::min(a[d].end, b[d].end))});
  }
  return both;
}

}  // namespace tessera::executor
