// SPDX-License-Identifier: Apache-2.0
//
// Index vectors become walks (movement.hpp), and rows are sorted by keys.
#pragma once
#include "tessera/executor/detail/kernels/lookup.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <optional>
#include <type_traits>
#include <vector>

#include "tessera/executor/detail/kernels/movement.hpp"
#include "tessera/executor/detail/kernels/reduction.hpp"
#include "tessera/executor/detail/kernels/storage.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::executor::detail {

TESSERA_INLINE Extent integer_at(const Tensor& tensor, std::size_t i) {
  return with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) -> Extent {
    if constexpr (std::is_integral_v<T>)
      return static_cast<Extent>(tensor.data<T>()[i]);
    else
      throw Unsupported("indices must be integers");
  });
}

// The element of a part at these coordinates of the whole.  @pre it is held
inline std::size_t place_in(const TensorView& part, const Dims& at) {
  Extent index = 0;
  for (std::size_t d = 0; d < at.size(); ++d)
    index = index * part.slice[d].size() + (at[d] - part.slice[d].begin);
  return static_cast<std::size_t>(index);
}

// The index vector of one batch position.  `batch` has the coordinates of the index tensor without
// the dim that vectors lie along.
inline Dims index_vector(const TensorView& indices, const Dims& batch, Extent vector_dim) {
  const auto along = static_cast<std::size_t>(vector_dim);
  Dims at;
  for (std::size_t d = 0; d < along && d < batch.size(); ++d) at.push_back(batch[d]);
  const bool is_implied = along == indices.whole.size();  // vectors of one index
  if (!is_implied) at.push_back(0);
  for (std::size_t d = along; d < batch.size(); ++d) at.push_back(batch[d]);
  Dims vector;
  const Extent count = is_implied ? 1 : indices.whole[along];
  for (Extent i = 0; i < count; ++i) {
    if (!is_implied) at[along] = i;
    vector.push_back(integer_at(*indices.tensor, place_in(indices, at)));
  }
  return vector;
}

// Which batch coordinate an index tensor's dim is.
inline std::size_t batch_place(Extent dim, Extent vector_dim) {
  return static_cast<std::size_t>(dim > vector_dim ? dim - 1 : dim);
}

// The common part of the indices of a gather and of a scatter.
struct Starts {
  std::span<const Extent> index_map;      // index i of a vector is a coordinate of this dim
  std::span<const Extent> batching_dims;  // of the tensor looked up in,
  std::span<const Extent> indices_dims;   // and of the indices
  Extent vector_dim;
};

// Where the slice of one batch position starts in a tensor of this rank.
inline Dims start_of(const TensorView& indices, const Dims& batch, const Starts& how,
                     std::size_t rank) {
  const Dims vector = index_vector(indices, batch, how.vector_dim);
  Dims start(rank, 0);
  for (std::size_t i = 0; i < how.index_map.size(); ++i)
    start[static_cast<std::size_t>(how.index_map[i])] = vector[i];
  for (std::size_t i = 0; i < how.batching_dims.size(); ++i)
    start[static_cast<std::size_t>(how.batching_dims[i])] =
        batch[batch_place(how.indices_dims[i], how.vector_dim)];
  return start;
}

// From the slice of x that starts there, whose start is kept inside the tensor.
inline std::vector<Walk> walks_of_gather(const graph::GatherDims& how, const TensorView& x,
                                         const Dims& start) {
  std::vector<Walk> walks;
  std::size_t offset = 0;
  for (std::size_t d = 0; d < x.whole.size(); ++d) {
    const Extent size = how.slice_sizes[d];
    Walk walk{{0, size}, d};
    walk.from_begin = std::clamp<Extent>(start[d], 0, x.whole[d] - size);
    if (!graph::contains(how.collapsed_slice_dims, d) &&
        !graph::contains(how.operand_batching_dims, d))
      walk.to = static_cast<std::size_t>(how.offset_dims[offset++]);
    walks.push_back(walk);
  }
  return walks;
}

TESSERA_INLINE void run_gather(const graph::GatherDims& how, const TensorView& x,
                               const TensorView& indices, TensorPart& result) {
  std::vector<std::size_t> batch_dims;  // of the result
  for (std::size_t d = 0; d < result.whole.size(); ++d)
    if (!graph::contains(how.offset_dims, d)) batch_dims.push_back(d);
  Slice batches;
  for (const std::size_t d : batch_dims) batches.push_back(result.slice[d]);
  const Starts starts{how.start_index_map, how.operand_batching_dims,
                      how.start_indices_batching_dims, how.index_vector_dim};
  for_each_place(batches, [&](const Dims& batch) {
    std::vector<Walk> walks =
        walks_of_gather(how, x, start_of(indices, batch, starts, x.whole.size()));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Walk walk{{0, 1}};
      walk.to = batch_dims[i];
      walk.to_begin = batch[i];
      walks.push_back(walk);
    }
    move(x, result, walks, Missing::is_left_out);
  });
}

// Into the slice of the result that starts there; nothing for an update that does not fit.
inline std::optional<std::vector<Walk>> walks_of_scatter(const graph::ScatterDims& how,
                                                         const TensorView& updates,
                                                         const Dims& start, const Dims& whole) {
  std::vector<Walk> walks;
  std::size_t window = 0;
  for (std::size_t d = 0; d < whole.size(); ++d) {
    Walk walk{{0, 1}};
    walk.to = d;
    walk.to_begin = start[d];
    if (!graph::contains(how.inserted_window_dims, d) &&
        !graph::contains(how.input_batching_dims, d)) {
      walk.from = static_cast<std::size_t>(how.update_window_dims[window++]);
      walk.range = {0, updates.whole[walk.from]};
    }
    if (start[d] < 0 || start[d] + walk.range.size() > whole[d]) return std::nullopt;
    walks.push_back(walk);
  }
  return walks;
}

TESSERA_INLINE void run_scatter(const graph::Scattering& scattering, const TensorView& indices,
                                const TensorView& updates, TensorPart& result) {
  const graph::ScatterDims& how = scattering.dims;
  std::vector<std::size_t> batch_dims;  // of the updates
  for (std::size_t d = 0; d < updates.whole.size(); ++d)
    if (!graph::contains(how.update_window_dims, d)) batch_dims.push_back(d);
  Slice batches;
  for (const std::size_t d : batch_dims) batches.push_back(updates.slice[d]);
  const Starts starts{how.scatter_dims_to_operand_dims, how.input_batching_dims,
                      how.scatter_indices_batching_dims, how.index_vector_dim};
  for_each_place(batches, [&](const Dims& batch) {
    std::optional<std::vector<Walk>> walks = walks_of_scatter(
        how, updates, start_of(indices, batch, starts, result.whole.size()), result.whole);
    if (!walks) return;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Walk walk{{0, 1}, batch_dims[i]};
      walk.from_begin = batch[i];
      walks->push_back(walk);
    }
    combine(scattering.reduction, updates, result, *walks);
  });
}

// Where a slice of `sizes` begins: kept inside the tensor, as HLO asks.
inline Dims start_of(const Dims& whole, const Dims& sizes, std::span<const TensorView> indices) {
  Dims start;
  for (std::size_t d = 0; d < whole.size(); ++d) {
    // One scalar for each dim; older programs have one vector of all.
    const bool is_vector = indices.size() == 1 && !indices[0].whole.empty();
    const Extent asked = is_vector ? integer_at(*indices[0].tensor, d)
                                   : integer_at(*indices[d].tensor, 0);
    start.push_back(std::clamp<Extent>(asked, 0, whole[d] - sizes[d]));
  }
  return start;
}

TESSERA_INLINE void run_dynamic_slice(const TensorView& x, std::span<const TensorView> indices,
                                      TensorPart& result) {
  const Dims start = start_of(x.whole, result.whole, indices);
  std::vector<Walk> walks = walks_over(result.slice);
  for (std::size_t d = 0; d < start.size(); ++d) walks[d].from_begin = start[d];
  move(x, result, walks, Missing::is_left_out);
}

TESSERA_INLINE void run_dynamic_update_slice(const TensorView& update,
                                             std::span<const TensorView> indices,
                                             TensorPart& result) {
  const Dims start = start_of(result.whole, update.whole, indices);
  std::vector<Walk> walks = walks_over(update.slice);
  for (std::size_t d = 0; d < start.size(); ++d) walks[d].to_begin = start[d];
  move(update, result, walks);
}

// --- Orders --------------------------------------------------------------------------------------

// Calls visit(first element, distance between neighbours) for each row along `dim`.
template<class Visit>
void for_each_row(const Dims& dims, std::size_t dim, Visit&& visit) {
  const Dims strides = strides_of(dims);
  const Extent count = dims[dim];
  const Extent size = element_count(dims);
  const Extent stride = strides[dim];
  for (Extent outer = 0; outer < size; outer += stride * count)
    for (Extent inner = 0; inner < stride; ++inner)
      visit(static_cast<std::size_t>(outer + inner), static_cast<std::size_t>(stride));
}

// A number that is ordered among unsigned integers as the element is among its like: equal elements
// (0 and -0 too) have equal keys.  NaN comes last in either order.
template<class T>
std::uint64_t order_key(T element, bool is_ascending) noexcept {
  constexpr std::uint64_t sign = std::uint64_t{1} << 63U;
  std::uint64_t key = 0;
  if constexpr (std::is_integral_v<T>) {
    key = static_cast<std::uint64_t>(element) ^ (std::is_signed_v<T> ? sign : 0);
  } else {
    const auto number = static_cast<double>(element) + 0.0;  // -0 becomes 0
    if (number != number) return ~std::uint64_t{0};
    const auto bits = std::bit_cast<std::uint64_t>(number);
    key = (bits & sign) != 0 ? ~bits : bits | sign;
  }
  return is_ascending ? key : ~key;
}

// The order of a row's elements: their places, first to last.  Stable.
inline void sort_row(const Tensor& keys, std::size_t first, std::size_t stride, bool is_ascending,
                     std::vector<std::size_t>& places) {
  std::vector<std::uint64_t> order(places.size());
  with_storage(keys.element(), [&]<class T>(std::type_identity<T>) {
    const T* const row = keys.data<T>() + first;
    for (std::size_t i = 0; i < order.size(); ++i)
      order[i] = order_key(row[i * stride], is_ascending);
  });
  std::iota(places.begin(), places.end(), std::size_t{0});
  std::stable_sort(places.begin(), places.end(),
                   [&](std::size_t a, std::size_t b) { return order[a] < order[b]; });
}

// to[i] = from[j]
inline void copy_element(const Tensor& from, std::size_t j, Tensor& to, std::size_t i) {
  const auto width = static_cast<std::size_t>(graph::bytes_of(from.element()));
  std::memcpy(to.bytes() + i * width, from.bytes() + j * width, width);
}

TESSERA_INLINE void run_sort(const graph::Sorting& how, std::span<const TensorView> operands,
                             std::span<TensorPart> results) {
  if (how.order == graph::Direction::eq || how.order == graph::Direction::ne)
    throw Unsupported("sorting by equality can not be computed");
  const auto dim = static_cast<std::size_t>(how.dim);
  const bool is_ascending = how.order == graph::Direction::lt || how.order == graph::Direction::le;
  const Tensor& keys = *operands[0].tensor;
  std::vector<std::size_t> places(static_cast<std::size_t>(keys.dims()[dim]));
  for_each_row(keys.dims(), dim, [&](std::size_t first, std::size_t stride) {
    sort_row(keys, first, stride, is_ascending, places);
    for (std::size_t i = 0; i < operands.size(); ++i)
      for (std::size_t k = 0; k < places.size(); ++k)
        copy_element(*operands[i].tensor, first + places[k] * stride, results[i].tensor,
                     first + k * stride);
  });
}

TESSERA_INLINE void run_topk(const graph::TopK& how, const TensorView& x,
                             std::span<TensorPart> results) {
  const Tensor& keys = *x.tensor;
  const std::size_t dim = keys.dims().size() - 1;
  std::vector<std::size_t> places(static_cast<std::size_t>(keys.dims()[dim]));
  const auto k = static_cast<std::size_t>(how.k);
  std::size_t next = 0;
  for_each_row(keys.dims(), dim, [&](std::size_t first, std::size_t stride) {
    sort_row(keys, first, stride, !how.is_largest, places);
    for (std::size_t i = 0; i < k; ++i, ++next) {
      copy_element(keys, first + places[i] * stride, results[0].tensor, next);
      if (results.size() > 1) results[1].tensor.set_number(next, static_cast<double>(places[i]));
    }
  });
}

}  // namespace tessera::executor::detail
