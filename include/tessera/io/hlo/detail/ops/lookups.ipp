// SPDX-License-Identifier: Apache-2.0
//
// The bodies of lookups.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/lookups.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/graph/ops.hpp"

namespace tessera::io::hlo::detail {

// --- Dynamic slices
// -------------------------------------------------------------------------------

// The start indices, from operand `first` on: a scalar for each dim, or one vector of all.
TESSERA_INLINE void check_indices(const ShapeSite& site, std::size_t first, std::size_t wanted) {
  const std::size_t count = operand_count(site) - first;
  if (count == 1 && rank(site, first) == 1) return;
  if (count != wanted)
    fail_with(site,
              {std::to_string(count), " start indices for ", std::to_string(wanted), " dims"});
  for (std::size_t i = first; i < operand_count(site); ++i)
    require_scalar(site, i, "a start index");
}

// Throws InputError where a slice of this size does not fit into dim d of operand 0.
TESSERA_INLINE void require_size_in_dim(const ShapeSite& site, std::int64_t size, std::size_t d) {
  if (size < 0 || size > dims(site, 0)[d])
    fail_with(site, {"slice size ", std::to_string(size), " is not within dim ", std::to_string(d),
                     " of ", to_string(shape(site, 0))});
}

TESSERA_INLINE std::optional<Shape> dynamic_slice_shape(const ShapeSite& site) {
  const std::vector<std::int64_t> sizes = site.attributes.ints("dynamic_slice_sizes");
  require_count(site, "dynamic_slice_sizes", sizes.size(), "entries", rank(site, 0));
  check_indices(site, 1, rank(site, 0));
  Dims result;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    require_size_in_dim(site, sizes[d], d);
    result.push_back(sizes[d]);
  }
  return array_of(element_type(site, 0), result);
}

TESSERA_INLINE std::optional<Shape> dynamic_update_slice_shape(const ShapeSite& site) {
  if (rank(site, 1) != rank(site, 0) || element_type(site, 1) != element_type(site, 0))
    fail_with(site, {"an update ", to_string(shape(site, 1)), " does not fit ",
                     to_string(shape(site, 0))});
  for (std::size_t d = 0; d < rank(site, 0); ++d)
    if (dims(site, 1)[d] > dims(site, 0)[d])
      fail_with(site, {"an update ", to_string(shape(site, 1)), " is larger than ",
                       to_string(shape(site, 0))});
  check_indices(site, 2, rank(site, 0));
  return array(site, 0);
}

TESSERA_INLINE std::optional<graph::Rule> dynamic_slice_rule(const RuleSite& site) {
  const std::vector<Dims>& in = site.tensors.operand_dims;
  return graph::dynamic_slice_rule(in[0], site.tensors.out(), std::span(in).subspan(1));
}

TESSERA_INLINE std::optional<graph::Rule> dynamic_update_slice_rule(const RuleSite& site) {
  const std::vector<Dims>& in = site.tensors.operand_dims;
  return graph::dynamic_update_slice_rule(in[0], in[1], std::span(in).subspan(2));
}

// --- Dims of gathers and scatters
// -----------------------------------------------------------------

// Each op's names for the same things.
struct LookupNames {
  std::string_view dropped, batching, index_batching, index_map;
};
inline constexpr LookupNames gather_names{"collapsed_slice_dims", "operand_batching_dims",
                                          "start_indices_batching_dims", "start_index_map"};
inline constexpr LookupNames scatter_names{"inserted_window_dims", "input_batching_dims",
                                           "scatter_indices_batching_dims",
                                           "scatter_dims_to_operand_dims"};

// The operand's dims that index vectors point into, and those that it shares with the indices.
struct LookupDims {
  std::vector<std::int64_t> dropped, batching;
  std::size_t vector_dim = 0;  // of the indices
};

TESSERA_INLINE void check_batching(const ShapeSite& site, const LookupNames& names,
                                   const LookupDims& lookup, const Dims& operand,
                                   const Dims& indices) {
  const auto index_batching = dims_in_range(site, names.index_batching, indices.size());
  if (lookup.batching.size() != index_batching.size()) fail(site, "batching dims do not pair up");
  for (std::size_t i = 0; i < index_batching.size(); ++i) {
    const std::size_t in = index(lookup.batching[i]), of_indices = index(index_batching[i]);
    if (of_indices == lookup.vector_dim) fail(site, "a batching dim is the index_vector_dim");
    if (operand[in] != indices[of_indices])
      fail_with(site, {"batching dims ", std::to_string(in), " of the operand and ",
                       std::to_string(of_indices), " of the indices differ in size"});
    if (contains(lookup.dropped, in))
      fail_with(site, {"dim ", std::to_string(in), " is in both ", names.dropped, " and ",
                       names.batching});
  }
}

TESSERA_INLINE void check_index_map(const ShapeSite& site, const LookupNames& names,
                                    const LookupDims& lookup, const Dims& operand,
                                    const Dims& indices) {
  const auto index_map = dims_in_range(site, names.index_map, operand.size());
  const Extent wanted = lookup.vector_dim < indices.size() ? indices[lookup.vector_dim] : 1;
  if (static_cast<Extent>(index_map.size()) != wanted)
    fail_with(site, {names.index_map, " has ", std::to_string(index_map.size()),
                     " entries for index vectors of ", std::to_string(wanted)});
  for (const std::int64_t dim : index_map)
    if (contains(lookup.batching, index(dim)))
      fail_with(site, {"dim ", std::to_string(dim), " is in both ", names.index_map, " and ",
                       names.batching});
}

TESSERA_INLINE LookupDims lookup_dims(const ShapeSite& site, const LookupNames& names,
                                      const Dims& operand, const Dims& indices) {
  LookupDims result;
  result.dropped = dims_in_range(site, names.dropped, operand.size());
  result.batching = dims_in_range(site, names.batching, operand.size());
  require_ascending(site, names.dropped, result.dropped);
  require_ascending(site, names.batching, result.batching);
  result.vector_dim = dim_in_range(site, "index_vector_dim", indices.size() + 1);
  check_batching(site, names, result, operand, indices);
  check_index_map(site, names, result, operand, indices);
  return result;
}

// --- Gather
// ---------------------------------------------------------------------------------------

// The sizes of a slice without the dims that are dropped.
TESSERA_INLINE Dims offset_sizes(const ShapeSite& site, const LookupDims& lookup) {
  const std::vector<std::int64_t> sizes = site.attributes.ints("slice_sizes");
  require_count(site, "slice_sizes", sizes.size(), "entries", rank(site, 0));
  Dims offset;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    require_size_in_dim(site, sizes[d], d);
    const bool is_dropped = contains(lookup.dropped, d) || contains(lookup.batching, d);
    if (is_dropped && sizes[d] > 1) fail(site, "a collapsed or batching dim has slice size over 1");
    if (!is_dropped) offset.push_back(sizes[d]);
  }
  return offset;
}

TESSERA_INLINE std::optional<Shape> gather_shape(const ShapeSite& site) {
  const Dims& indices = dims(site, 1);
  const LookupDims lookup = lookup_dims(site, gather_names, dims(site, 0), indices);
  const Dims offset = offset_sizes(site, lookup);
  Dims batch;
  for (std::size_t d = 0; d < indices.size(); ++d)
    if (d != lookup.vector_dim) batch.push_back(indices[d]);
  const std::size_t result_rank = batch.size() + offset.size();
  const auto offset_dims = dims_in_range(site, "offset_dims", result_rank);
  require_ascending(site, "offset_dims", offset_dims);
  if (offset_dims.size() != offset.size())
    fail_with(site, {"offset_dims has ", std::to_string(offset_dims.size()), " entries for ",
                     std::to_string(offset.size()), " slice dims"});
  Dims result;
  for (std::size_t d = 0, next_batch = 0, next_offset = 0; d < result_rank; ++d)
    result.push_back(contains(offset_dims, d) ? offset[next_offset++] : batch[next_batch++]);
  return array_of(element_type(site, 0), result);
}

TESSERA_INLINE graph::GatherDims gather_dims(const AttributeAccess& attributes) {
  return {attributes.ints("offset_dims"),           attributes.ints("collapsed_slice_dims"),
          attributes.ints("start_index_map"),       attributes.ints("slice_sizes"),
          attributes.ints("operand_batching_dims"), attributes.ints("start_indices_batching_dims"),
          attributes.integer("index_vector_dim", 0)};
}

TESSERA_INLINE graph::Attributes gather_attributes(const AttributesSite& site) {
  return gather_dims(site.attributes);
}

// --- Scatter
// --------------------------------------------------------------------------------------

// Throws InputError where a dim of the updates fits neither the operand nor the indices.
TESSERA_INLINE void check_update(const ShapeSite& site, const LookupDims& lookup,
                                 const Dims& updates, const std::vector<std::int64_t>& window,
                                 const Dims& indices, const Dims& operand) {
  std::size_t next_index = 0, next_operand = 0;
  for (std::size_t d = 0; d < updates.size(); ++d) {
    if (contains(window, d)) {
      while (contains(lookup.dropped, next_operand) || contains(lookup.batching, next_operand))
        ++next_operand;
      if (updates[d] > operand[next_operand++])
        fail(site, "an update's window exceeds the operand");
    } else {
      if (next_index == lookup.vector_dim) ++next_index;
      if (updates[d] != indices[next_index++])
        fail_with(site, {"dim ", std::to_string(d), " of the updates does not fit the indices"});
    }
  }
}

// Throws InputError where operand i of `count` and its updates do not fit.
TESSERA_INLINE void check_scattered(const ShapeSite& site, const LookupDims& lookup, std::size_t i,
                                    std::size_t count) {
  const Dims& updates = dims(site, count + 1 + i);
  const Dims& indices = dims(site, count);
  if (dims(site, i) != dims(site, 0) || updates != dims(site, count + 1))
    fail(site, "the operands, or the updates, differ in their dims");
  const auto window = dims_in_range(site, "update_window_dims", updates.size());
  require_ascending(site, "update_window_dims", window);
  if (window.size() + lookup.dropped.size() + lookup.batching.size() != rank(site, i))
    fail(site, "window, inserted and batching dims do not make up " + to_string(shape(site, i)));
  const std::size_t index_dims = indices.size() - (lookup.vector_dim < indices.size() ? 1 : 0);
  if (updates.size() != window.size() + index_dims)
    fail_with(site, {"updates ", to_string(shape(site, count + 1 + i)), " do not fit indices ",
                     to_string(shape(site, count))});
  check_update(site, lookup, updates, window, indices, dims(site, i));
}

TESSERA_INLINE std::optional<Shape> scatter_shape(const ShapeSite& site) {
  if (operand_count(site) % 2 != 1) fail(site, "operands, indices and as many updates are needed");
  const std::size_t count = operand_count(site) / 2;
  const LookupDims lookup = lookup_dims(site, scatter_names, dims(site, 0), dims(site, count));
  std::vector<Shape> results;
  for (std::size_t i = 0; i < count; ++i) {
    check_scattered(site, lookup, i, count);
    results.push_back(array(site, i));
  }
  return tuple_of(std::move(results));
}

TESSERA_INLINE graph::ScatterDims scatter_dims(const AttributeAccess& attributes) {
  return {attributes.ints("update_window_dims"),
          attributes.ints("inserted_window_dims"),
          attributes.ints("scatter_dims_to_operand_dims"),
          attributes.ints("input_batching_dims"),
          attributes.ints("scatter_indices_batching_dims"),
          attributes.integer("index_vector_dim", 0)};
}

TESSERA_INLINE graph::Attributes scatter_attributes(const AttributesSite& site) {
  const Computation* const combiner = computation_called_by(site, "to_apply");
  if (combiner == nullptr) return {};
  // An assignment returns its second parameter.
  const bool assigns = combiner->parameters.size() == 2 &&
                       combiner->root == combiner->parameters[1];
  const Reduction reduction = reducer_of(*combiner);
  if (reduction == Reduction::none && !assigns) return {};
  return graph::Scattering{scatter_dims(site.attributes), reduction};
}

// --- Rules of gathers and scatters
// ----------------------------------------------------------------

// The dim that a reshape, which only adds or drops dims of size 1, makes of dim `dim`.
TESSERA_INLINE std::optional<std::size_t> kept_dim(const Dims& from, const Dims& to,
                                                   std::size_t dim) {
  std::vector<std::size_t> kept_from, kept_to;
  for (std::size_t d = 0; d < from.size(); ++d)
    if (from[d] != 1) kept_from.push_back(d);
  for (std::size_t d = 0; d < to.size(); ++d)
    if (to[d] != 1) kept_to.push_back(d);
  if (kept_from.size() != kept_to.size()) return std::nullopt;
  for (std::size_t i = 0; i < kept_from.size(); ++i) {
    if (from[kept_from[i]] != to[kept_to[i]]) return std::nullopt;
    if (kept_from[i] == dim) return kept_to[i];
  }
  return std::nullopt;
}

// The dim along which an instruction's elements are 0, 1, 2 and so on, if there is one.  At most
// `steps` instructions are followed.
TESSERA_INLINE std::optional<std::size_t> counted_dim(const RuleSite& site, std::uint32_t id,
                                                      int steps = 16) {
  const Instruction& instruction = site.computation.instructions[id];
  const AttributeAccess attributes(site.module, instruction);
  if (instruction.opcode == Opcode::iota) return index(attributes.integer("iota_dimension", 0));
  if (steps == 0 || instruction.operands.size() != 1 || instruction.shape.is_tuple)
    return std::nullopt;
  const Opcode opcode = instruction.opcode;
  const bool is_same = opcode == Opcode::convert || opcode == Opcode::copy;
  if (!is_same && opcode != Opcode::broadcast && opcode != Opcode::reshape) return std::nullopt;
  const std::uint32_t operand = instruction.operands[0];
  const std::optional<std::size_t> dim = counted_dim(site, operand, steps - 1);
  if (!dim || is_same) return dim;
  if (opcode == Opcode::broadcast) return index(attributes.ints("dimensions")[*dim]);
  return kept_dim(site.computation.instructions[operand].shape.array.dims,
                  instruction.shape.array.dims, *dim);
}

// The lists of dims that gathers and scatters have under different names.
struct BatchLists {
  const std::vector<Extent>& index_map;
  const std::vector<Extent>& single;  // the operand's dims of which one element is read or written
  std::vector<Extent>& operand_batches;
  std::vector<Extent>& index_batches;
};

// Entry `place` of the index vectors counts along dim `along` of the indices.
TESSERA_INLINE void add_counted_batch(const BatchLists& lists, std::size_t place, std::size_t along,
                                      const Dims& operand, Extent indices) {
  if (place >= lists.index_map.size()) return;
  const std::size_t dim = index(lists.index_map[place]);
  if (contains(lists.index_batches, along) || contains(lists.operand_batches, dim) ||
      !contains(lists.single, dim) || operand[dim] != indices)
    return;
  lists.operand_batches.push_back(lists.index_map[place]);
  lists.index_batches.push_back(static_cast<Extent>(along));
}

// Before gathers had batches, programs counted them: an index vector is a concatenation, and one
// of its parts an iota along a dim of the indices.  (So a loss picks each row's target.)  Where
// that part names a dim of the operand of the same size, a row is read by the index of the same
// number, and both split in the same way.
TESSERA_INLINE void add_counted_batches(const RuleSite& site, std::uint32_t indices,
                                        Extent vector_dim, const BatchLists& lists) {
  const Instruction& vectors = site.computation.instructions[indices];
  if (vectors.opcode != Opcode::concatenate ||
      AttributeAccess(site.module, vectors).ints("dimensions") != std::vector{vector_dim})
    return;
  std::size_t place = 0;  // in the index vector
  for (const std::uint32_t part : vectors.operands) {
    const Dims& dims = site.computation.instructions[part].shape.array.dims;
    const std::optional<std::size_t> along = counted_dim(site, part);
    const Extent entries = dims[index(vector_dim)];
    if (along && entries == 1)
      add_counted_batch(lists, place, *along, site.tensors.operand_dims[0], dims[*along]);
    place += static_cast<std::size_t>(entries);
  }
}

TESSERA_INLINE std::optional<graph::Rule> gather_rule(const RuleSite& site) {
  graph::GatherDims dims = gather_dims(site.attributes);
  add_counted_batches(site, site.instruction.operands[1], dims.index_vector_dim,
                      {dims.start_index_map, dims.collapsed_slice_dims, dims.operand_batching_dims,
                       dims.start_indices_batching_dims});
  return graph::gather_rule(site.tensors.operand_dims[0], site.tensors.operand_dims[1],
                            site.tensors.result_dims[0], dims);
}

TESSERA_INLINE std::optional<graph::Rule> scatter_rule(const RuleSite& site) {
  const std::size_t count = site.tensors.operands.size() / 2;
  graph::ScatterDims dims = scatter_dims(site.attributes);
  add_counted_batches(site, site.instruction.operands[count], dims.index_vector_dim,
                      {dims.scatter_dims_to_operand_dims, dims.inserted_window_dims,
                       dims.input_batching_dims, dims.scatter_indices_batching_dims});
  return graph::scatter_rule(site.tensors.operand_dims[0], site.tensors.operand_dims[count],
                             site.tensors.operand_dims[count + 1], dims,
                             reducer_of(site, "to_apply"), count);
}

}  // namespace tessera::io::hlo::detail
