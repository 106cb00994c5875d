// SPDX-License-Identifier: Apache-2.0
//
// The table of opcode_table.hpp, and how it is read.
#pragma once
#include "tessera/io/hlo/detail/opcode_table.hpp"

#include "tessera/io/hlo/detail/ops/calls.hpp"
#include "tessera/io/hlo/detail/ops/devices.hpp"
#include "tessera/io/hlo/detail/ops/elementwise.hpp"
#include "tessera/io/hlo/detail/ops/linear_algebra.hpp"
#include "tessera/io/hlo/detail/ops/lookups.hpp"
#include "tessera/io/hlo/detail/ops/movement.hpp"
#include "tessera/io/hlo/detail/ops/normalisation.hpp"
#include "tessera/io/hlo/detail/ops/ordering.hpp"
#include "tessera/io/hlo/detail/ops/products.hpp"
#include "tessera/io/hlo/detail/ops/reductions.hpp"

namespace tessera::io::hlo::detail {

// The words of the table.
namespace rows {
inline constexpr std::int8_t any = -1;
inline constexpr bool inferred = true, given = false;
inline constexpr std::nullptr_t none = nullptr;

// The columns: operands, at least and at most; whether the text has to give the shape; the
// functions for shape, rule and attributes; the attributes that the text has to give.
// clang-format off
inline constexpr auto table = std::to_array<OpcodeEntry>({
    {Opcode::abs, 1, 1, inferred, magnitude_shape, elementwise_rule},
    {Opcode::acos, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::acosh, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::add, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::add_dependency, 2, 2, inferred, first_operand_shape},
    {Opcode::after_all, 0, any, given, none, whole_rule},
    {Opcode::all_gather, 1, any, given, none, foreign_collective_rule, none, {"dimensions"}},
    {Opcode::all_gather_done, 1, 1, given},
    {Opcode::all_gather_start, 1, any, given, none, none, none, {"dimensions"}},
    {Opcode::all_reduce, 1, any, given, none, foreign_collective_rule, none, {"to_apply"}},
    {Opcode::all_reduce_done, 1, 1, given},
    {Opcode::all_reduce_start, 1, any, given, none, none, none, {"to_apply"}},
    {Opcode::all_to_all, 1, any, given, none, foreign_collective_rule},
    {Opcode::logical_and, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::asin, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::asinh, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::async_done, 1, 1, given},
    {Opcode::async_start, 0, any, given},
    {Opcode::async_update, 1, 1, given},
    {Opcode::atan2, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::atanh, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::batch_norm_grad, 5, 5, inferred, batch_norm_grad_shape, none, batch_norm_attributes, {"epsilon", "feature_index"}},
    {Opcode::batch_norm_inference, 5, 5, inferred, batch_norm_inference_shape, batch_norm_inference_rule, batch_norm_attributes, {"epsilon", "feature_index"}},
    {Opcode::batch_norm_training, 3, 3, inferred, batch_norm_training_shape, none, batch_norm_attributes, {"epsilon", "feature_index"}},
    {Opcode::bitcast, 1, 1, given, bitcast_shape, bitcast_rule},
    {Opcode::bitcast_convert, 1, 1, given, bitcast_convert_shape, bitcast_convert_rule},
    {Opcode::broadcast, 1, 1, given, broadcast_shape, broadcast_rule, dim_list_attributes},
    {Opcode::call, 0, any, inferred, call_shape, none, none, {"to_apply"}},
    {Opcode::cbrt, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::ceil, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::cholesky, 1, 1, inferred, cholesky_shape, cholesky_rule},
    {Opcode::clamp, 3, 3, inferred, clamp_shape, elementwise_rule},
    {Opcode::collective_broadcast, 1, any, given, none, foreign_collective_rule},
    {Opcode::collective_permute, 1, any, given, none, foreign_collective_rule, none, {"source_target_pairs"}},
    {Opcode::collective_permute_done, 1, 1, given},
    {Opcode::collective_permute_start, 1, any, given, none, none, none, {"source_target_pairs"}},
    {Opcode::compare, 2, 2, inferred, compare_shape, elementwise_rule, compare_attributes, {"direction"}},
    {Opcode::complex, 2, 2, inferred, complex_shape, complex_rule},
    {Opcode::concatenate, 1, any, inferred, concatenate_shape, concatenate_rule, concatenate_attributes, {"dimensions"}},
    {Opcode::conditional, 1, any, inferred, conditional_shape},
    {Opcode::constant, 0, 0, given, none, none, constant_attributes},
    {Opcode::convert, 1, 1, given, convert_shape, convert_rule},
    {Opcode::convolution, 2, 2, inferred, convolution_shape, convolution_rule, convolution_attributes, {"dim_labels"}},
    {Opcode::copy, 1, 1, inferred, copy_shape, copy_rule},
    {Opcode::copy_done, 1, 1, given},
    {Opcode::copy_start, 1, 1, given},
    {Opcode::cosh, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::cosine, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::count_leading_zeros, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::custom_call, 0, any, given, none, custom_call_rule, custom_call_attributes, {"custom_call_target"}},
    {Opcode::divide, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::domain, 1, 1, inferred, first_operand_shape},
    {Opcode::dot, 2, 2, inferred, dot_shape, dot_rule, dot_attributes},
    {Opcode::dynamic_reshape, 1, any, given},
    {Opcode::dynamic_slice, 1, any, given, dynamic_slice_shape, dynamic_slice_rule, none, {"dynamic_slice_sizes"}},
    {Opcode::dynamic_update_slice, 2, any, given, dynamic_update_slice_shape, dynamic_update_slice_rule},
    {Opcode::erf, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::exponential, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::exponential_minus_one, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::fft, 1, 1, given, none, fft_rule},
    {Opcode::floor, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::fusion, 0, any, given, fusion_shape, none, none, {"kind", "calls"}},
    {Opcode::gather, 2, 2, inferred, gather_shape, gather_rule, gather_attributes, {"offset_dims", "collapsed_slice_dims", "start_index_map", "index_vector_dim", "slice_sizes"}},
    {Opcode::get_dimension_size, 1, 1, given, none, dimension_size_rule},
    {Opcode::get_tuple_element, 1, 1, inferred, get_tuple_element_shape, none, none, {"index"}},
    {Opcode::imag, 1, 1, inferred, magnitude_shape, linear_rule},
    {Opcode::infeed, 1, 1, given, none, whole_rule},
    {Opcode::iota, 0, 0, given, iota_shape, iota_rule, iota_attributes, {"iota_dimension"}},
    {Opcode::is_finite, 1, 1, inferred, predicate_shape, elementwise_rule},
    {Opcode::log, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::log_plus_one, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::logistic, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::map, 1, any, inferred, map_shape, elementwise_rule, none, {"to_apply"}},
    {Opcode::maximum, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::minimum, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::multiply, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::negate, 1, 1, inferred, unary_shape, linear_rule},
    {Opcode::logical_not, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::opt_barrier, 1, any, inferred, barrier_shape},
    {Opcode::optimization_barrier, 1, any, inferred, barrier_shape},
    {Opcode::logical_or, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::outfeed, 2, 2, given, none, whole_rule},
    {Opcode::pad, 2, 2, inferred, pad_shape, pad_rule, pad_attributes, {"padding"}},
    {Opcode::parameter, 0, 0, given},
    {Opcode::partition_id, 0, 0, given, none, whole_rule},
    {Opcode::popcnt, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::power, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::ragged_all_to_all, 1, any, given},
    {Opcode::ragged_dot, 3, 3, given},
    {Opcode::real, 1, 1, inferred, magnitude_shape, linear_rule},
    {Opcode::recv, 1, 1, given, none, whole_rule},
    {Opcode::recv_done, 1, 1, given, none, whole_rule},
    {Opcode::reduce, 2, any, inferred, reduce_shape, reduce_rule, reduce_attributes, {"dimensions", "to_apply"}},
    {Opcode::reduce_precision, 1, 1, given, convert_shape, elementwise_rule},
    {Opcode::reduce_scatter, 1, any, given, none, foreign_collective_rule, none, {"dimensions", "to_apply"}},
    {Opcode::reduce_window, 2, any, inferred, reduce_window_shape, reduce_window_rule, reduce_window_attributes, {"to_apply"}},
    {Opcode::remainder, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::replica_id, 0, 0, given, none, whole_rule},
    {Opcode::reshape, 1, 1, given, reshape_shape, reshape_rule},
    {Opcode::reverse, 1, 1, inferred, reverse_shape, reverse_rule, dim_list_attributes, {"dimensions"}},
    {Opcode::rng, 2, 2, given, none, elementwise_rule, none, {"distribution"}},
    {Opcode::rng_bit_generator, 1, 1, given, none, random_bits_rule, none, {"algorithm"}},
    {Opcode::rng_get_and_update_state, 0, 0, given, none, whole_rule, none, {"delta"}},
    {Opcode::round_nearest_afz, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::round_nearest_even, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::rsqrt, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::scaled_dot, 2, any, given},
    {Opcode::scatter, 3, any, inferred, scatter_shape, scatter_rule, scatter_attributes, {"update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims", "index_vector_dim", "to_apply"}},
    {Opcode::select, 3, 3, inferred, select_shape, select_rule},
    {Opcode::select_and_scatter, 3, 3, inferred, select_and_scatter_shape, select_and_scatter_rule, select_and_scatter_attributes, {"select", "scatter"}},
    {Opcode::send, 2, 2, given, none, whole_rule},
    {Opcode::send_done, 1, 1, given, none, whole_rule},
    {Opcode::set_dimension_size, 2, 2, given, none, set_dimension_size_rule},
    {Opcode::shift_left, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::shift_right_arithmetic, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::shift_right_logical, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::sign, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::sine, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::sinh, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::slice, 1, 1, given, slice_shape, slice_rule, slice_attributes, {"slice"}},
    {Opcode::sort, 1, any, inferred, sort_shape, sort_rule, sort_attributes, {"dimensions", "to_apply"}},
    {Opcode::sqrt, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::stochastic_convert, 2, 2, given, none, elementwise_rule},
    {Opcode::subtract, 2, 2, inferred, binary_shape, binary_rule},
    {Opcode::tan, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::tanh, 1, 1, inferred, unary_shape, elementwise_rule},
    {Opcode::topk, 1, 1, given, topk_shape, topk_rule, topk_attributes, {"k"}},
    {Opcode::transpose, 1, 1, inferred, transpose_shape, transpose_rule, dim_list_attributes, {"dimensions"}},
    {Opcode::triangular_solve, 2, 2, inferred, triangular_solve_shape, triangular_solve_rule},
    {Opcode::tuple, 0, any, inferred, tuple_shape},
    {Opcode::while_loop, 1, 1, inferred, while_shape, none, none, {"condition", "body"}},
    {Opcode::logical_xor, 2, 2, inferred, binary_shape, binary_rule},
});
// clang-format on
}  // namespace rows

// The place of each opcode in the table; none has the table's size.
inline constexpr auto opcode_places = [] {
  std::array<std::uint8_t, graph::opcode_count> places{};
  places.fill(static_cast<std::uint8_t>(rows::table.size()));
  for (std::size_t i = 0; i < rows::table.size(); ++i)
    places[static_cast<std::size_t>(rows::table[i].opcode)] = static_cast<std::uint8_t>(i);
  return places;
}();

// All but Opcode::unknown and Opcode::sharding, which stands for the importer's own copies.
static_assert(rows::table.size() + 2 == graph::opcode_count);

// The parts of an op that runs asynchronously: X-start, and X-update and X-done.
inline constexpr OpcodeEntry async_start{Opcode::unknown, 0, rows::any};
inline constexpr OpcodeEntry async_rest{Opcode::unknown, 1, 1};

TESSERA_INLINE std::span<const OpcodeEntry> opcode_entries() { return rows::table; }

TESSERA_INLINE const OpcodeEntry* entry_for(Opcode opcode) {
  const std::size_t place = opcode_places[static_cast<std::size_t>(opcode)];
  return place == rows::table.size() ? nullptr : &rows::table[place];
}

TESSERA_INLINE const OpcodeEntry* find_opcode(std::string_view spelling) {
  if (const OpcodeEntry* const entry = entry_for(graph::opcode_named(spelling))) return entry;
  for (const std::string_view part : {"-start", "-update", "-done"})
    if (spelling.ends_with(part) &&
        entry_for(graph::opcode_named(spelling.substr(0, spelling.size() - part.size()))))
      return part == "-start" ? &async_start : &async_rest;
  return nullptr;
}

TESSERA_INLINE const OpcodeEntry& entry_of(const Instruction& instruction) {
  const OpcodeEntry* const entry = entry_for(instruction.opcode);
  return entry == nullptr ? *find_opcode(instruction.spelling) : *entry;
}

TESSERA_INLINE bool is_opaque(const OpcodeEntry& entry) {
  return entry.shape == nullptr && entry.rule == nullptr && entry.opcode != Opcode::parameter &&
         entry.opcode != Opcode::constant;
}

TESSERA_INLINE std::optional<graph::Rule> rule_of(const RuleSite& site) {
  const RuleFunction rule = entry_of(site.instruction).rule;
  return rule == nullptr ? std::nullopt : rule(site);
}

TESSERA_INLINE graph::Attributes attributes_of(const Module& module, const Instruction& instruction,
                                               std::size_t operand_rank) {
  const AttributesFunction attributes = entry_of(instruction).attributes;
  return attributes == nullptr ? graph::Attributes()
                               : attributes(AttributesSite(module, instruction, operand_rank));
}

}  // namespace tessera::io::hlo::detail
