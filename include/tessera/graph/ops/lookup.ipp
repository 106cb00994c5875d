// SPDX-License-Identifier: Apache-2.0
//
// Rules, builders and adjoints of gather and scatter.
#pragma once
#include "tessera/graph/ops/lookup.hpp"

#include "tessera/graph/detail/adjoint.hpp"
#include "tessera/graph/detail/checks.hpp"
#include "tessera/graph/ops/source.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

namespace detail {

// The factors of the dims of a gather or scatter: of the operand, of the index tensor, and of the
// result or the updates.
struct LookupFactors {
  std::vector<FactorId> operand, indices, slices;

  LookupFactors(const Dims& operand_dims, const Dims& index_dims, const Dims& slice_dims)
      : operand(operand_dims.size(), no_factor),
        indices(index_dims.size(), no_factor),
        slices(slice_dims.size(), no_factor) {}

  // Operand dims that are batches are the index tensor's.
  void share_batches(const std::vector<Extent>& of_operand, const std::vector<Extent>& of_indices) {
    for (std::size_t i = 0; i < of_operand.size(); ++i)
      operand[static_cast<std::size_t>(of_operand[i])] =
          indices[static_cast<std::size_t>(of_indices[i])];
  }
};

// The result's batch dims are the index tensor's, in order.
TESSERA_INLINE void add_gather_batches(RuleWriter& writer, LookupFactors& factors,
                                       const Dims& indices, const GatherDims& dims) {
  std::size_t out = 0;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<Extent>(d) == dims.index_vector_dim) {
      factors.indices[d] = writer.whole(indices[d]);
      continue;
    }
    while (contains(dims.offset_dims, out)) ++out;
    factors.indices[d] = factors.slices[out++] = writer.parallel(indices[d]);
  }
  factors.share_batches(dims.operand_batching_dims, dims.start_indices_batching_dims);
}

// Its other dims are the operand's that are neither collapsed nor batches, in order.
TESSERA_INLINE void add_gather_slices(RuleWriter& writer, LookupFactors& factors,
                                      const Dims& operand, const Dims& result,
                                      const GatherDims& dims) {
  std::size_t offset = 0;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    if (factors.operand[d] != no_factor) continue;
    if (contains(dims.collapsed_slice_dims, d)) {
      factors.operand[d] = writer.reduction(operand[d], Reduction::sum);
      continue;
    }
    const auto at = static_cast<std::size_t>(dims.offset_dims[offset++]);
    const bool is_full = result[at] == operand[d];
    factors.operand[d] = is_full ? writer.parallel(operand[d])
                                 : writer.reduction(operand[d], Reduction::sum);
    factors.slices[at] = is_full ? factors.operand[d] : writer.whole(result[at]);
  }
}

TESSERA_INLINE void add_scatter_batches(RuleWriter& writer, LookupFactors& factors,
                                        const Dims& indices, const ScatterDims& dims,
                                        Reduction reduction) {
  std::size_t in = 0;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<Extent>(d) == dims.index_vector_dim) {
      factors.indices[d] = writer.whole(indices[d]);
      continue;
    }
    while (contains(dims.update_window_dims, in)) ++in;
    const bool is_batch = contains(dims.scatter_indices_batching_dims, d);
    factors.indices[d] = factors.slices[in++] =
        is_batch ? writer.parallel(indices[d]) : writer.reduction(indices[d], reduction, 0);
  }
  factors.share_batches(dims.input_batching_dims, dims.scatter_indices_batching_dims);
}

TESSERA_INLINE void add_scatter_windows(RuleWriter& writer, LookupFactors& factors,
                                        const Dims& operand, const Dims& updates,
                                        const ScatterDims& dims) {
  std::size_t window = 0;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    if (factors.operand[d] != no_factor) continue;
    factors.operand[d] = writer.parallel(operand[d]);
    if (contains(dims.inserted_window_dims, d)) continue;
    const auto at = static_cast<std::size_t>(dims.update_window_dims[window++]);
    factors.slices[at] = updates[at] == operand[d] ? factors.operand[d] : writer.whole(updates[at]);
  }
}

}  // namespace detail

TESSERA_INLINE Rule gather_rule(const Dims& operand, const Dims& indices, const Dims& result,
                                const GatherDims& dims) {
  RuleWriter writer;
  detail::LookupFactors factors(operand, indices, result);
  detail::add_gather_batches(writer, factors, indices, dims);
  detail::add_gather_slices(writer, factors, operand, result, dims);
  writer.operand(factors.operand);
  writer.operand(factors.indices);
  writer.result(factors.slices);
  writer.pass({0}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

TESSERA_INLINE Dims gather_shape(const Dims& indices, const GatherDims& dims) {
  Dims batch, slice, result;
  for (std::size_t d = 0; d < indices.size(); ++d)
    if (static_cast<Extent>(d) != dims.index_vector_dim) batch.push_back(indices[d]);
  for (std::size_t d = 0; d < dims.slice_sizes.size(); ++d)
    if (!contains(dims.collapsed_slice_dims, d) && !contains(dims.operand_batching_dims, d))
      slice.push_back(dims.slice_sizes[d]);
  std::size_t next_batch = 0, next_slice = 0;
  while (result.size() < batch.size() + slice.size())
    result.push_back(contains(dims.offset_dims, result.size()) ? slice[next_slice++]
                                                               : batch[next_batch++]);
  return result;
}

TESSERA_INLINE Rule scatter_rule(const Dims& operand, const Dims& indices, const Dims& updates,
                                 const ScatterDims& dims, Reduction reduction, std::size_t count) {
  RuleWriter writer;
  if (count != 1) reduction = Reduction::none;
  detail::LookupFactors factors(operand, indices, updates);
  detail::add_scatter_batches(writer, factors, indices, dims, reduction);
  detail::add_scatter_windows(writer, factors, operand, updates, dims);
  for (std::size_t i = 0; i < count; ++i) writer.operand(factors.operand);
  writer.operand(factors.indices);
  for (std::size_t i = 0; i < count; ++i) writer.operand(factors.slices);
  for (std::size_t i = 0; i < count; ++i) writer.result(factors.operand);
  if (reduction == Reduction::sum) writer.pass({0, 2}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

namespace detail {

// The dims behind the first one of a table, as dims of what `indices` takes from it.
TESSERA_INLINE std::vector<Extent> row_dims(const Tensor& table, const Tensor& indices) {
  std::vector<Extent> dims;
  for (std::size_t d = 1; d < table.dims().size(); ++d)
    dims.push_back(static_cast<Extent>(indices.dims().size() + d - 1));
  return dims;
}

TESSERA_INLINE Dims rows_shape(const Tensor& table, const Tensor& indices) {
  Dims dims = indices.dims();
  for (std::size_t d = 1; d < table.dims().size(); ++d) dims.push_back(table.dims()[d]);
  return dims;
}

TESSERA_INLINE GatherDims lookup_dims(const Tensor& table, const Tensor& indices) {
  GatherDims how;
  how.offset_dims = row_dims(table, indices);
  how.collapsed_slice_dims = how.start_index_map = {0};
  const Dims dims = table.dims();
  how.slice_sizes.assign(dims.begin(), dims.end());
  how.slice_sizes[0] = 1;
  how.index_vector_dim = static_cast<Extent>(indices.dims().size());
  return how;
}

TESSERA_INLINE ScatterDims scatter_add_dims(const Tensor& table, const Tensor& indices) {
  ScatterDims how;
  how.update_window_dims = row_dims(table, indices);
  how.inserted_window_dims = how.scatter_dims_to_operand_dims = {0};
  how.index_vector_dim = static_cast<Extent>(indices.dims().size());
  return how;
}

TESSERA_INLINE void require_rows(const char* kind, const Tensor& table, const Tensor& indices) {
  require(!table.dims().empty() && is_integer(indices.type().element),
          std::string(kind) + ": " + to_string(indices.type()) + " is no list of rows of " +
              to_string(table.type()));
}

}  // namespace detail

TESSERA_INLINE Tensor lookup(const Tensor& table, const Tensor& indices) {
  detail::require_rows("lookup", table, indices);
  GatherDims how = detail::lookup_dims(table, indices);
  const Dims dims = gather_shape(indices.dims(), how);
  Rule rule = gather_rule(table.dims(), indices.dims(), dims, how);
  return table.builder().apply(Opcode::gather, {table, indices}, {table.type().element, dims},
                               std::move(rule), std::move(how));
}

TESSERA_INLINE Tensor scatter_add(const Tensor& table, const Tensor& indices, const Tensor& rows) {
  detail::require_same_element("scatter", table, rows);
  detail::require_rows("scatter", table, indices);
  require(rows.dims() == detail::rows_shape(table, indices),
          "scatter: " + to_string(rows.type()) + " are not the rows of " + to_string(table.type()) +
              " that " + to_string(indices.type()) + " names");
  Scattering how{detail::scatter_add_dims(table, indices), Reduction::sum};
  Rule rule = scatter_rule(table.dims(), indices.dims(), rows.dims(), how.dims, how.reduction);
  return table.builder().apply(Opcode::scatter, {table, indices, rows}, table.type(),
                               std::move(rule), std::move(how));
}

namespace detail {

TESSERA_INLINE Tensor gather_adjoint(const OpAdjoint& at, std::size_t) {
  const Tensor table = at.operand(0), indices = at.operand(1);
  if (at.attributes().get<GatherDims>() != lookup_dims(table, indices))
    at.fail("is no lookup of rows, and has no derivative here");
  return scatter_add(constant_like(table, 0), indices, at.adjoint);
}

TESSERA_INLINE Tensor scatter_adjoint(const OpAdjoint& at, std::size_t i) {
  const Tensor table = at.operand(0), indices = at.operand(1);
  const Scattering how = at.attributes().get<Scattering>();
  if (how != Scattering{scatter_add_dims(table, indices), Reduction::sum})
    at.fail("adds no rows to a table, and has no derivative here");
  return i == 0 ? at.adjoint : lookup(at.adjoint, indices);
}

TESSERA_INLINE std::span<const AdjointEntry> lookup_adjoints() {
  static constexpr AdjointEntry entries[] = {
      {Opcode::gather, gather_adjoint},
      {Opcode::scatter, scatter_adjoint},
  };
  return entries;
}

}  // namespace detail

}  // namespace tessera::graph
