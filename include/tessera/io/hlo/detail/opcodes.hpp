// SPDX-License-Identifier: Apache-2.0
//
// The opcodes of HLO: how many operands each takes, which attributes it needs, and how far its
// result shape follows from them.  One table; what each does is detail/shapes.hpp's and
// detail/rules.hpp's.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace tessera::io::hlo::detail {

// Opcodes that the reader treats alike.
// clang-format off
enum class OpClass : std::uint8_t {
  parameter, constant, iota,
  unary,      // element by element
  stochastic_convert,
  binary,     // element by element, on equal shapes
  linear,     // unary, and f(a + b) = f(a) + f(b)
  compare, select, clamp, convert, bitcast_convert, bitcast, reduce_precision, is_finite, complex,
  real_imag, copy,
  broadcast, reshape, transpose, reverse, concatenate, slice, dynamic_slice, dynamic_update_slice,
  pad, dot, convolution, reduce, reduce_window, select_and_scatter, gather, scatter, sort, topk,
  batch_norm_training, batch_norm_inference, batch_norm_grad, map,
  tuple, get_tuple_element, while_loop, conditional, call, fusion, custom_call,
  barrier,    // passes its operands through
  collective, // among devices outside of the plan: the program was split before, by other means
  random, random_bits, cholesky, triangular_solve, fft, get_size, set_size,
  host,       // whole by nature: input and output, tokens, who one is
  opaque,     // known, but without a rule: kept whole, and reported
};
// clang-format on

struct OpcodeInfo {
  std::string_view name;
  OpClass op_class;
  std::int8_t min_operands;
  std::int8_t max_operands;                    // or any_number
  bool infers_shape;                           // the result shape may be left out of the text
  std::array<std::string_view, 6> required{};  // attributes
};

inline constexpr std::int8_t any_number = -1;

// Every opcode, sorted by name.
inline constexpr auto opcode_infos = std::to_array<OpcodeInfo>({
    {"abs", OpClass::unary, 1, 1, true},
    {"acos", OpClass::unary, 1, 1, true},
    {"acosh", OpClass::unary, 1, 1, true},
    {"add", OpClass::binary, 2, 2, true},
    {"add-dependency", OpClass::barrier, 2, 2, true},
    {"after-all", OpClass::host, 0, any_number, false},
    {"all-gather", OpClass::collective, 1, any_number, false, {"dimensions"}},
    {"all-gather-done", OpClass::opaque, 1, 1, false},
    {"all-gather-start", OpClass::opaque, 1, any_number, false, {"dimensions"}},
    {"all-reduce", OpClass::collective, 1, any_number, false, {"to_apply"}},
    {"all-reduce-done", OpClass::opaque, 1, 1, false},
    {"all-reduce-start", OpClass::opaque, 1, any_number, false, {"to_apply"}},
    {"all-to-all", OpClass::collective, 1, any_number, false},
    {"and", OpClass::binary, 2, 2, true},
    {"asin", OpClass::unary, 1, 1, true},
    {"asinh", OpClass::unary, 1, 1, true},
    {"async-done", OpClass::opaque, 1, 1, false},
    {"async-start", OpClass::opaque, 0, any_number, false},
    {"async-update", OpClass::opaque, 1, 1, false},
    {"atan2", OpClass::binary, 2, 2, true},
    {"atanh", OpClass::unary, 1, 1, true},
    {"batch-norm-grad", OpClass::batch_norm_grad, 5, 5, true, {"epsilon", "feature_index"}},
    {"batch-norm-inference",
     OpClass::batch_norm_inference,
     5,
     5,
     true,
     {"epsilon", "feature_index"}},
    {"batch-norm-training", OpClass::batch_norm_training, 3, 3, true, {"epsilon", "feature_index"}},
    {"bitcast", OpClass::bitcast, 1, 1, false},
    {"bitcast-convert", OpClass::bitcast_convert, 1, 1, false},
    {"broadcast", OpClass::broadcast, 1, 1, false},
    {"call", OpClass::call, 0, any_number, true, {"to_apply"}},
    {"cbrt", OpClass::unary, 1, 1, true},
    {"ceil", OpClass::unary, 1, 1, true},
    {"cholesky", OpClass::cholesky, 1, 1, true},
    {"clamp", OpClass::clamp, 3, 3, true},
    {"collective-broadcast", OpClass::collective, 1, any_number, false},
    {"collective-permute", OpClass::collective, 1, any_number, false, {"source_target_pairs"}},
    {"collective-permute-done", OpClass::opaque, 1, 1, false},
    {"collective-permute-start", OpClass::opaque, 1, any_number, false, {"source_target_pairs"}},
    {"compare", OpClass::compare, 2, 2, true, {"direction"}},
    {"complex", OpClass::complex, 2, 2, true},
    {"concatenate", OpClass::concatenate, 1, any_number, true, {"dimensions"}},
    {"conditional", OpClass::conditional, 1, any_number, true},
    {"constant", OpClass::constant, 0, 0, false},
    {"convert", OpClass::convert, 1, 1, false},
    {"convolution", OpClass::convolution, 2, 2, true, {"dim_labels"}},
    {"copy", OpClass::copy, 1, 1, true},
    {"copy-done", OpClass::opaque, 1, 1, false},
    {"copy-start", OpClass::opaque, 1, 1, false},
    {"cosh", OpClass::unary, 1, 1, true},
    {"cosine", OpClass::unary, 1, 1, true},
    {"count-leading-zeros", OpClass::unary, 1, 1, true},
    {"custom-call", OpClass::custom_call, 0, any_number, false, {"custom_call_target"}},
    {"divide", OpClass::binary, 2, 2, true},
    {"domain", OpClass::barrier, 1, 1, true},
    {"dot", OpClass::dot, 2, 2, true},
    {"dynamic-reshape", OpClass::opaque, 1, any_number, false},
    {"dynamic-slice", OpClass::dynamic_slice, 1, any_number, false, {"dynamic_slice_sizes"}},
    {"dynamic-update-slice", OpClass::dynamic_update_slice, 2, any_number, false},
    {"erf", OpClass::unary, 1, 1, true},
    {"exponential", OpClass::unary, 1, 1, true},
    {"exponential-minus-one", OpClass::unary, 1, 1, true},
    {"fft", OpClass::fft, 1, 1, false},
    {"floor", OpClass::unary, 1, 1, true},
    {"fusion", OpClass::fusion, 0, any_number, false, {"kind", "calls"}},
    {"gather",
     OpClass::gather,
     2,
     2,
     true,
     {"offset_dims", "collapsed_slice_dims", "start_index_map", "index_vector_dim", "slice_sizes"}},
    {"get-dimension-size", OpClass::get_size, 1, 1, false},
    {"get-tuple-element", OpClass::get_tuple_element, 1, 1, true, {"index"}},
    {"imag", OpClass::real_imag, 1, 1, true},
    {"infeed", OpClass::host, 1, 1, false},
    {"iota", OpClass::iota, 0, 0, false, {"iota_dimension"}},
    {"is-finite", OpClass::is_finite, 1, 1, true},
    {"log", OpClass::unary, 1, 1, true},
    {"log-plus-one", OpClass::unary, 1, 1, true},
    {"logistic", OpClass::unary, 1, 1, true},
    {"map", OpClass::map, 1, any_number, true, {"to_apply"}},
    {"maximum", OpClass::binary, 2, 2, true},
    {"minimum", OpClass::binary, 2, 2, true},
    {"multiply", OpClass::binary, 2, 2, true},
    {"negate", OpClass::linear, 1, 1, true},
    {"not", OpClass::unary, 1, 1, true},
    {"opt-barrier", OpClass::barrier, 1, any_number, true},
    {"optimization-barrier", OpClass::barrier, 1, any_number, true},
    {"or", OpClass::binary, 2, 2, true},
    {"outfeed", OpClass::host, 2, 2, false},
    {"pad", OpClass::pad, 2, 2, true, {"padding"}},
    {"parameter", OpClass::parameter, 0, 0, false},
    {"partition-id", OpClass::host, 0, 0, false},
    {"popcnt", OpClass::unary, 1, 1, true},
    {"power", OpClass::binary, 2, 2, true},
    {"ragged-all-to-all", OpClass::opaque, 1, any_number, false},
    {"ragged-dot", OpClass::opaque, 3, 3, false},
    {"real", OpClass::real_imag, 1, 1, true},
    {"recv", OpClass::host, 1, 1, false},
    {"recv-done", OpClass::host, 1, 1, false},
    {"reduce", OpClass::reduce, 2, any_number, true, {"dimensions", "to_apply"}},
    {"reduce-precision", OpClass::reduce_precision, 1, 1, false},
    {"reduce-scatter", OpClass::collective, 1, any_number, false, {"dimensions", "to_apply"}},
    {"reduce-window", OpClass::reduce_window, 2, any_number, true, {"to_apply"}},
    {"remainder", OpClass::binary, 2, 2, true},
    {"replica-id", OpClass::host, 0, 0, false},
    {"reshape", OpClass::reshape, 1, 1, false},
    {"reverse", OpClass::reverse, 1, 1, true, {"dimensions"}},
    {"rng", OpClass::random, 2, 2, false, {"distribution"}},
    {"rng-bit-generator", OpClass::random_bits, 1, 1, false, {"algorithm"}},
    {"rng-get-and-update-state", OpClass::host, 0, 0, false, {"delta"}},
    {"round-nearest-afz", OpClass::unary, 1, 1, true},
    {"round-nearest-even", OpClass::unary, 1, 1, true},
    {"rsqrt", OpClass::unary, 1, 1, true},
    {"scaled-dot", OpClass::opaque, 2, any_number, false},
    {"scatter",
     OpClass::scatter,
     3,
     any_number,
     true,
     {"update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims",
      "index_vector_dim", "to_apply"}},
    {"select", OpClass::select, 3, 3, true},
    {"select-and-scatter", OpClass::select_and_scatter, 3, 3, true, {"select", "scatter"}},
    {"send", OpClass::host, 2, 2, false},
    {"send-done", OpClass::host, 1, 1, false},
    {"set-dimension-size", OpClass::set_size, 2, 2, false},
    {"shift-left", OpClass::binary, 2, 2, true},
    {"shift-right-arithmetic", OpClass::binary, 2, 2, true},
    {"shift-right-logical", OpClass::binary, 2, 2, true},
    {"sign", OpClass::unary, 1, 1, true},
    {"sine", OpClass::unary, 1, 1, true},
    {"sinh", OpClass::unary, 1, 1, true},
    {"slice", OpClass::slice, 1, 1, false, {"slice"}},
    {"sort", OpClass::sort, 1, any_number, true, {"dimensions", "to_apply"}},
    {"sqrt", OpClass::unary, 1, 1, true},
    {"stochastic-convert", OpClass::stochastic_convert, 2, 2, false},
    {"subtract", OpClass::binary, 2, 2, true},
    {"tan", OpClass::unary, 1, 1, true},
    {"tanh", OpClass::unary, 1, 1, true},
    {"topk", OpClass::topk, 1, 1, false, {"k"}},
    {"transpose", OpClass::transpose, 1, 1, true, {"dimensions"}},
    {"triangular-solve", OpClass::triangular_solve, 2, 2, true},
    {"tuple", OpClass::tuple, 0, any_number, true},
    {"while", OpClass::while_loop, 1, 1, true, {"condition", "body"}},
    {"xor", OpClass::binary, 2, 2, true},
});
static_assert(std::is_sorted(opcode_infos.begin(), opcode_infos.end(),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));

constexpr const OpcodeInfo* find_opcode(std::string_view name) {
  const auto at =
      std::lower_bound(opcode_infos.begin(), opcode_infos.end(), name,
                       [](const OpcodeInfo& info, std::string_view n) { return info.name < n; });
  return at != opcode_infos.end() && at->name == name ? &*at : nullptr;
}

// The parts of an op that runs asynchronously: X-start, X-update, X-done.
inline constexpr OpcodeInfo async_start{"-start", OpClass::opaque, 0, any_number, false};
inline constexpr OpcodeInfo async_rest{"-done", OpClass::opaque, 1, 1, false};

// Nothing where HLO has no such opcode.  Any opcode may also be started and awaited: X-start,
// X-update and X-done are known for every X that is.  O(log opcodes)
constexpr const OpcodeInfo* opcode_info(std::string_view name) {
  if (const OpcodeInfo* const info = find_opcode(name)) return info;
  for (const std::string_view part : {"-start", "-update", "-done"})
    if (name.ends_with(part) && find_opcode(name.substr(0, name.size() - part.size())) != nullptr)
      return part == "-start" ? &async_start : &async_rest;
  return nullptr;
}

}  // namespace tessera::io::hlo::detail
