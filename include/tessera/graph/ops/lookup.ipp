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

TESSERA_INLINE Rule gather_rule(const Dims& operand, const Dims& indices, const Dims& result,
                                const GatherDims& dims) {
  RuleWriter writer;
  std::vector<FactorId> from(operand.size(), no_factor);
  std::vector<FactorId> index(indices.size(), no_factor);
  std::vector<FactorId> to(result.size(), no_factor);

  // The result's batch dims are the index tensor's, in order.
  std::size_t out = 0;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<Extent>(d) == dims.index_vector_dim) {
      index[d] = writer.whole(indices[d]);
      continue;
    }
    while (contains(dims.offset_dims, out)) ++out;
    index[d] = to[out++] = writer.parallel(indices[d]);
  }
  for (std::size_t i = 0; i < dims.operand_batching_dims.size(); ++i)
    from[static_cast<std::size_t>(dims.operand_batching_dims[i])] =
        index[static_cast<std::size_t>(dims.start_indices_batching_dims[i])];
  // Its other dims are the operand's that are neither collapsed nor batching, in order.
  std::size_t offset = 0;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    if (from[d] != no_factor) continue;
    if (contains(dims.collapsed_slice_dims, d)) {
      from[d] = writer.reduction(operand[d], Reduction::sum);
      continue;
    }
    const auto at = static_cast<std::size_t>(dims.offset_dims[offset++]);
    if (result[at] == operand[d]) {
      from[d] = to[at] = writer.parallel(operand[d]);
    } else {
      from[d] = writer.reduction(operand[d], Reduction::sum);
      to[at] = writer.whole(result[at]);
    }
  }
  writer.operand(from);
  writer.operand(index);
  writer.result(to);
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
  std::vector<FactorId> to(operand.size(), no_factor);
  std::vector<FactorId> index(indices.size(), no_factor);
  std::vector<FactorId> from(updates.size(), no_factor);

  std::size_t in = 0;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<Extent>(d) == dims.index_vector_dim) {
      index[d] = writer.whole(indices[d]);
      continue;
    }
    while (contains(dims.update_window_dims, in)) ++in;
    const bool is_batch = contains(dims.scatter_indices_batching_dims, d);
    index[d] = from[in++] = is_batch ? writer.parallel(indices[d])
                                     : writer.reduction(indices[d], reduction, 0);
  }
  for (std::size_t i = 0; i < dims.input_batching_dims.size(); ++i)
    to[static_cast<std::size_t>(dims.input_batching_dims[i])] =
        index[static_cast<std::size_t>(dims.scatter_indices_batching_dims[i])];
  std::size_t window = 0;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    if (to[d] != no_factor) continue;
    to[d] = writer.parallel(operand[d]);
    if (contains(dims.inserted_window_dims, d)) continue;
    const auto at = static_cast<std::size_t>(dims.update_window_dims[window++]);
    from[at] = updates[at] == operand[d] ? to[d] : writer.whole(updates[at]);
  }
  for (std::size_t i = 0; i < count; ++i) writer.operand(to);
  writer.operand(index);
  for (std::size_t i = 0; i < count; ++i) writer.operand(from);
  for (std::size_t i = 0; i < count; ++i) writer.result(to);
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
