// SPDX-License-Identifier: Apache-2.0
//
// Ops whose places are known only when they run: gathers, scatters, dynamic slices; and sorting.
//
// Indices are coordinates of the whole tensor, whatever part of it a device holds.  Where it lacks
// what an index names, others have it: a gather's and a dynamic slice's result is zero there (they
// are partial sums), and a scatter's update is not its to make.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <stdexcept>
#include <vector>

#include "tessera/executor/movement.hpp"
#include "tessera/executor/reduction.hpp"
#include "tessera/graph/attributes.hpp"

namespace tessera::executor {

namespace detail {

inline Extent integer_at(const Tensor& tensor, std::size_t i) {
  return with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) -> Extent {
    if constexpr (std::is_integral_v<T>)
      return static_cast<Extent>(tensor.data<T>()[i]);
    else
      throw Unsupported("indices must be integers");
  });
}

// The element of a part at these coordinates of the whole.  @pre it is held
inline std::size_t place_in(const Part& part, const Dims& at) {
  Extent index = 0;
  for (std::size_t d = 0; d < at.size(); ++d)
    index = index * part.slice[d].size() + (at[d] - part.slice[d].begin);
  return static_cast<std::size_t>(index);
}

// The index vector of one batch position.  `batch` has the coordinates of the index tensor without
// the dim that vectors lie along.
inline Dims index_vector(const Part& indices, const Dims& batch, Extent vector_dim) {
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

// What the indices of a gather and of a scatter have in common.
struct Starts {
  std::span<const Extent> index_map;      // index i of a vector is a coordinate of this dim
  std::span<const Extent> batching_dims;  // of the tensor looked up in,
  std::span<const Extent> indices_dims;   // and of the indices
  Extent vector_dim;
};

// Where the slice of one batch position starts in a tensor of this rank.
inline Dims start_of(const Part& indices, const Dims& batch, const Starts& how, std::size_t rank) {
  const Dims vector = index_vector(indices, batch, how.vector_dim);
  Dims start(rank, 0);
  for (std::size_t i = 0; i < how.index_map.size(); ++i)
    start[static_cast<std::size_t>(how.index_map[i])] = vector[i];
  for (std::size_t i = 0; i < how.batching_dims.size(); ++i)
    start[static_cast<std::size_t>(how.batching_dims[i])] =
        batch[batch_place(how.indices_dims[i], how.vector_dim)];
  return start;
}

inline bool lists(std::span<const Extent> list, std::size_t value) {
  return graph::contains(list, value);
}

}  // namespace detail

// @pre the device holds the indices of its part of the result
inline void run_gather(const graph::GatherDims& how, const Part& x, const Part& indices,
                       OwnedPart& result) {
  std::vector<std::size_t> batch_dims;  // of the result
  for (std::size_t d = 0; d < result.whole.size(); ++d)
    if (!detail::lists(how.offset_dims, d)) batch_dims.push_back(d);
  Slice batches;
  for (const std::size_t d : batch_dims) batches.push_back(result.slice[d]);
  for_each_place(batches, [&](const Dims& batch) {
    const Dims start = detail::start_of(indices, batch,
                                        {how.start_index_map, how.operand_batching_dims,
                                         how.start_indices_batching_dims, how.index_vector_dim},
                                        x.whole.size());
    std::vector<Walk> walks;
    std::size_t offset = 0;
    for (std::size_t d = 0; d < x.whole.size(); ++d) {
      const Extent size = how.slice_sizes[d];
      Walk walk{{0, size}, d};
      walk.from_begin = std::clamp<Extent>(start[d], 0, x.whole[d] - size);
      if (!detail::lists(how.collapsed_slice_dims, d) &&
          !detail::lists(how.operand_batching_dims, d))
        walk.to = static_cast<std::size_t>(how.offset_dims[offset++]);
      walks.push_back(walk);
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Walk walk{{0, 1}};
      walk.to = batch_dims[i];
      walk.to_begin = batch[i];
      walks.push_back(walk);
    }
    move(x, result, walks, Missing::is_left_out);
  });
}

// @pre result holds what the operand has of its part
inline void run_scatter(const graph::Scattering& scattering, const Part& indices,
                        const Part& updates, OwnedPart& result) {
  const graph::ScatterDims& how = scattering.dims;
  std::vector<std::size_t> batch_dims;  // of the updates
  for (std::size_t d = 0; d < updates.whole.size(); ++d)
    if (!detail::lists(how.update_window_dims, d)) batch_dims.push_back(d);
  Slice batches;
  for (const std::size_t d : batch_dims) batches.push_back(updates.slice[d]);
  for_each_place(batches, [&](const Dims& batch) {
    const Dims start = detail::start_of(indices, batch,
                                        {how.scatter_dims_to_operand_dims, how.input_batching_dims,
                                         how.scatter_indices_batching_dims, how.index_vector_dim},
                                        result.whole.size());
    std::vector<Walk> walks;
    std::size_t window = 0;
    for (std::size_t d = 0; d < result.whole.size(); ++d) {
      Walk walk{{0, 1}};
      walk.to = d;
      walk.to_begin = start[d];
      if (!detail::lists(how.inserted_window_dims, d) &&
          !detail::lists(how.input_batching_dims, d)) {
        walk.from = static_cast<std::size_t>(how.update_window_dims[window++]);
        walk.range = {0, updates.whole[walk.from]};
      }
      // An update that does not fit is not made at all.
      if (start[d] < 0 || start[d] + walk.range.size() > result.whole[d]) return;
      walks.push_back(walk);
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Walk walk{{0, 1}, batch_dims[i]};
      walk.from_begin = batch[i];
      walks.push_back(walk);
    }
    combine(scattering.reduction, updates, result, walks);
  });
}

namespace detail {

// Where a slice of `sizes` begins: kept inside the tensor, as HLO asks.
inline Dims start_of(const Dims& whole, const Dims& sizes, std::span<const Part> indices) {
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

}  // namespace detail

// Of what `x` lacks the result keeps what it has.
inline void run_dynamic_slice(const Part& x, std::span<const Part> indices, OwnedPart& result) {
  const Dims start = detail::start_of(x.whole, result.whole, indices);
  std::vector<Walk> walks = walks_over(result.slice);
  for (std::size_t d = 0; d < start.size(); ++d) walks[d].from_begin = start[d];
  move(x, result, walks, Missing::is_left_out);
}

// @pre result holds what the operand has of its part
inline void run_dynamic_update_slice(const Part& update, std::span<const Part> indices,
                                     OwnedPart& result) {
  const Dims start = detail::start_of(result.whole, update.whole, indices);
  std::vector<Walk> walks = walks_over(update.slice);
  for (std::size_t d = 0; d < start.size(); ++d) walks[d].to_begin = start[d];
  move(update, result, walks);
}

// --- Orders --------------------------------------------------------------------------------------

namespace detail {

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

// The order of a row's elements.  Numbers that are none come last.
template<class T>
void sort_row(const T* row, std::size_t stride, graph::Direction order,
              std::vector<std::size_t>& places) {
  using A = Accumulator<T>;
  std::stable_sort(places.begin(), places.end(), [&](std::size_t a, std::size_t b) {
    const A left = static_cast<A>(row[a * stride]), right = static_cast<A>(row[b * stride]);
    if (left != left || right != right) return left == left;
    const bool strict = order == graph::Direction::lt || order == graph::Direction::le;
    return strict ? left < right : left > right;
  });
}

}  // namespace detail

// Stable, whether asked to be or not.  By the first operand; the others are carried along.
inline void run_sort(const graph::Sorting& how, std::span<const Part> operands,
                     std::span<OwnedPart> results) {
  if (how.order == graph::Direction::eq || how.order == graph::Direction::ne)
    throw Unsupported("sorting by equality can not be computed");
  const auto dim = static_cast<std::size_t>(how.dim);
  const Tensor& keys = *operands[0].tensor;
  std::vector<std::size_t> places(static_cast<std::size_t>(keys.dims()[dim]));
  detail::for_each_row(keys.dims(), dim, [&](std::size_t first, std::size_t stride) {
    std::iota(places.begin(), places.end(), std::size_t{0});
    with_storage(keys.element(), [&]<class T>(std::type_identity<T>) {
      detail::sort_row(keys.data<T>() + first, stride, how.order, places);
    });
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const auto width = static_cast<std::size_t>(graph::bytes_of(operands[i].element()));
      for (std::size_t k = 0; k < places.size(); ++k)
        std::memcpy(results[i].tensor.bytes() + (first + k * stride) * width,
                    operands[i].tensor->bytes() + (first + places[k] * stride) * width, width);
    }
  });
}

// The k largest (or smallest) of the last dim, and where they were.
inline void run_topk(const graph::TopK& how, const Part& x, std::span<OwnedPart> results) {
  const Tensor& keys = *x.tensor;
  const std::size_t dim = keys.dims().size() - 1;
  std::vector<std::size_t> places(static_cast<std::size_t>(keys.dims()[dim]));
  const auto k = static_cast<std::size_t>(how.k);
  std::size_t row = 0;
  detail::for_each_row(keys.dims(), dim, [&](std::size_t first, std::size_t stride) {
    std::iota(places.begin(), places.end(), std::size_t{0});
    with_storage(keys.element(), [&]<class T>(std::type_identity<T>) {
      detail::sort_row(keys.data<T>() + first, stride,
                       how.is_largest ? graph::Direction::gt : graph::Direction::lt, places);
      for (std::size_t i = 0; i < k; ++i)
        results[0].tensor.data<T>()[row * k + i] = keys.data<T>()[first + places[i] * stride];
    });
    for (std::size_t i = 0; i < k && results.size() > 1; ++i)
      results[1].tensor.set_number(row * k + i, static_cast<double>(places[i]));
    ++row;
  });
}

}  // namespace tessera::executor
