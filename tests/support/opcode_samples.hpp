// SPDX-License-Identifier: Apache-2.0
// Instructions of every opcode of HLO, in modules that hold what they need.
#pragma once
#include <string>
#include <vector>

#include "tessera/io/hlo/detail/opcode_table.hpp"

namespace tessera_test {

// A module whose root is the given instruction of the name z.
inline std::string sample_module(const std::string& instruction) {
  return "add { a = f32[] parameter(0)\n b = f32[] parameter(1)\n ROOT c = f32[] add(a, b) }\n"
         "lt { a = f32[] parameter(0)\n b = f32[] parameter(1)\n"
         " ROOT c = pred[] compare(a, b), direction=LT }\n"
         "least { a = f32[] parameter(0)\n b = f32[] parameter(1)\n c = f32[] parameter(2)\n"
         " d = f32[] parameter(3)\n ROOT t = (f32[], f32[]) tuple(a, b) }\n"
         "stop { a = f32[4,4] parameter(0)\n ROOT c = pred[] constant(1) }\n"
         "next { a = f32[4,4] parameter(0)\n ROOT b = f32[4,4] negate(a) }\n"
         "ENTRY e { x = f32[4,4] parameter(0)\n y = f32[4,4] parameter(1)\n"
         " v = f32[4] parameter(2)\n s = f32[] parameter(3)\n i = s32[] parameter(4)\n"
         " n = s32[4,4] parameter(5)\n p = pred[4,4] parameter(6)\n k = token[] parameter(7)\n"
         " q = u64[2] parameter(8)\n im = f32[2,8,8,4] parameter(9)\n"
         " ke = f32[3,3,4,6] parameter(10)\n b = pred[] parameter(11)\n"
         " is = s32[4] parameter(12)\n u = f32[2,4] parameter(13)\n"
         " m = f32[3,4,4] parameter(14)\n ROOT z = " +
         instruction + "\n}";
}

// All that makes a difference to an opcode's rule occurs in one of them.
inline std::vector<std::string> opcode_samples(const tessera::io::hlo::detail::OpcodeEntry& entry) {
  using tessera::graph::Opcode;
  const std::string name(tessera::graph::to_string(entry.opcode));
  switch (entry.opcode) {
    case Opcode::abs:
    case Opcode::acos:
    case Opcode::acosh:
    case Opcode::asin:
    case Opcode::asinh:
    case Opcode::atanh:
    case Opcode::cbrt:
    case Opcode::ceil:
    case Opcode::cosh:
    case Opcode::cosine:
    case Opcode::count_leading_zeros:
    case Opcode::erf:
    case Opcode::exponential:
    case Opcode::exponential_minus_one:
    case Opcode::floor:
    case Opcode::log:
    case Opcode::log_plus_one:
    case Opcode::logistic:
    case Opcode::logical_not:
    case Opcode::popcnt:
    case Opcode::round_nearest_afz:
    case Opcode::round_nearest_even:
    case Opcode::rsqrt:
    case Opcode::sign:
    case Opcode::sine:
    case Opcode::sinh:
    case Opcode::sqrt:
    case Opcode::tan:
    case Opcode::tanh:
      if (name == "not" || name == "popcnt" || name == "count-leading-zeros")
        return {"s32[4,4] " + name + "(n)"};
      return {"f32[4,4] " + name + "(x)"};
    case Opcode::add:
    case Opcode::logical_and:
    case Opcode::atan2:
    case Opcode::divide:
    case Opcode::maximum:
    case Opcode::minimum:
    case Opcode::multiply:
    case Opcode::logical_or:
    case Opcode::power:
    case Opcode::remainder:
    case Opcode::shift_left:
    case Opcode::shift_right_arithmetic:
    case Opcode::shift_right_logical:
    case Opcode::subtract:
    case Opcode::logical_xor:
      if (name.starts_with("shift") || name == "and" || name == "or" || name == "xor")
        return {"s32[4,4] " + name + "(n, n)"};
      return {"f32[4,4] " + name + "(x, y)"};
    case Opcode::negate:
    case Opcode::copy: return {"f32[4,4] " + name + "(x)"};
    case Opcode::stochastic_convert: return {"s32[4,4] stochastic-convert(x, n)"};
    case Opcode::compare: return {"pred[4,4] compare(x, y), direction=LT"};
    case Opcode::select: return {"f32[4,4] select(p, x, y)"};
    case Opcode::clamp: return {"f32[4,4] clamp(s, x, s)"};
    case Opcode::convert:
      return {"f64[4,4] convert(x)", "bf16[4,4] convert(x)", "f32[4,4] convert(x)"};
    case Opcode::bitcast_convert:
      return {"s32[4,4] bitcast-convert(x)", "s8[4,4,4] bitcast-convert(x)"};
    case Opcode::bitcast: return {"f32[16] bitcast(x)", "f32[8,6] bitcast(m)"};
    case Opcode::reduce_precision: return {"f32[4,4] reduce-precision(x), exponent_bits=5"};
    case Opcode::is_finite: return {"pred[4,4] is-finite(x)"};
    case Opcode::complex: return {"c64[4,4] complex(x, y)"};
    case Opcode::imag:
    case Opcode::real: return {"f32[4,4] " + name + "(c64[4,4] complex(x, y))"};
    case Opcode::iota: return {"s32[4,4] iota(), iota_dimension=0"};
    case Opcode::constant: return {"f32[4] constant({1, 2, 3, 4})"};
    case Opcode::parameter: return {"f32[4] parameter(15)"};
    case Opcode::broadcast: return {"f32[4,4] broadcast(v), dimensions={1}"};
    case Opcode::reshape: return {"f32[2,8] reshape(x)", "f32[8,6] reshape(m)"};
    case Opcode::transpose: return {"f32[4,4] transpose(x), dimensions={1,0}"};
    case Opcode::reverse: return {"f32[4,4] reverse(x), dimensions={1}"};
    case Opcode::concatenate: return {"f32[8,4] concatenate(x, y), dimensions={0}"};
    case Opcode::slice:
      return {"f32[3,4] slice(x), slice={[1:4], [0:4]}", "f32[1,4] slice(x), slice={[1:2], [0:4]}"};
    case Opcode::dynamic_slice:
      return {"f32[2,4] dynamic-slice(x, i, i), dynamic_slice_sizes={2,4}"};
    case Opcode::dynamic_update_slice:
      return {"f32[4,4] dynamic-update-slice(x, u, i, i)",
              "f32[4,4] dynamic-update-slice(x, y, i, i)"};
    case Opcode::pad:
      return {"f32[6,4] pad(x, s), padding=1_1x0_0", "f32[12,4] pad(x, s), padding=4_4x0_0"};
    case Opcode::dot:
      return {"f32[4,4] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}"};
    case Opcode::convolution:
      return {
          "f32[2,8,8,6] convolution(im, ke), window={size=3x3 pad=1_1x1_1}, "
          "dim_labels=b01f_01io->b01f"};
    case Opcode::reduce:
      return {"f32[4] reduce(x, s), dimensions={1}, to_apply=add",
              "(f32[4], f32[4]) reduce(x, y, s, s), dimensions={1}, to_apply=least"};
    case Opcode::reduce_window:
      return {"f32[2,4] reduce-window(x, s), window={size=2x1 stride=2x1}, to_apply=add"};
    case Opcode::select_and_scatter:
      return {
          "f32[4,4] select-and-scatter(x, u, s), window={size=2x1 stride=2x1}, "
          "select=lt, scatter=add",
          "f32[4,4] select-and-scatter(x, y, s), window={size=1x1}, select=lt, scatter=add"};
    case Opcode::gather:
      return {
          "f32[4,4] gather(x, is), offset_dims={1}, collapsed_slice_dims={0}, "
          "start_index_map={0}, index_vector_dim=1, slice_sizes={1,4}",
          "f32[2,4] gather(x, i), offset_dims={0,1}, collapsed_slice_dims={}, "
          "start_index_map={0}, index_vector_dim=0, slice_sizes={2,4}"};
    case Opcode::scatter:
      return {
          "f32[4,4] scatter(x, is, y), update_window_dims={1}, inserted_window_dims={0}, "
          "scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add",
          "f32[4,4] scatter(x, is, y), update_window_dims={1}, inserted_window_dims={0}, "
          "scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=lt"};
    case Opcode::sort: return {"f32[4,4] sort(x), dimensions={1}, to_apply=lt"};
    case Opcode::topk: return {"(f32[4,2], s32[4,2]) topk(x), k=2, largest=true"};
    case Opcode::batch_norm_training:
      return {
          "(f32[4,4], f32[4], f32[4]) batch-norm-training(x, v, v), epsilon=1, feature_index=1"};
    case Opcode::batch_norm_inference:
      return {"f32[4,4] batch-norm-inference(x, v, v, v, v), epsilon=1, feature_index=1"};
    case Opcode::batch_norm_grad:
      return {
          "(f32[4,4], f32[4], f32[4]) batch-norm-grad(x, v, v, v, y), epsilon=1, "
          "feature_index=1"};
    case Opcode::map: return {"f32[4,4] map(x, y), dimensions={0,1}, to_apply=add"};
    case Opcode::tuple: return {"(f32[4,4]) tuple(x)"};
    case Opcode::get_tuple_element:
      return {"f32[4,4] get-tuple-element((f32[4,4]) tuple(x)), index=0"};
    case Opcode::while_loop: return {"f32[4,4] while(x), condition=stop, body=next"};
    case Opcode::conditional:
      return {"f32[4,4] conditional(b, x, y), true_computation=next, false_computation=next"};
    case Opcode::call: return {"f32[] call(s, s), to_apply=add"};
    case Opcode::fusion: return {"f32[] fusion(s, s), kind=kLoop, calls=add"};
    case Opcode::custom_call:
      return {"f32[4,4] custom-call(x), custom_call_target=\"Sharding\"",
              "f32[4,4] custom-call(x), custom_call_target=\"Qr\""};
    case Opcode::add_dependency:
    case Opcode::domain:
    case Opcode::opt_barrier:
    case Opcode::optimization_barrier:
      return {name == "add-dependency" ? "f32[4,4] add-dependency(x, k)"
                                       : "f32[4,4] " + name + "(x)"};
    case Opcode::all_gather:
    case Opcode::all_reduce:
    case Opcode::all_to_all:
    case Opcode::collective_broadcast:
    case Opcode::collective_permute:
    case Opcode::reduce_scatter:
      if (name == "all-gather") return {"f32[8,4] all-gather(x), dimensions={0}"};
      if (name == "reduce-scatter")
        return {"f32[2,4] reduce-scatter(x), dimensions={0}, to_apply=add"};
      if (name == "all-to-all")
        return {"f32[4,4] all-to-all(x), dimensions={0}", "(f32[4,4], f32[4,4]) all-to-all(x, y)"};
      return {"f32[4,4] " + name + "(x), to_apply=add, source_target_pairs={{0,1}}"};
    case Opcode::rng: return {"f32[4] rng(s, s), distribution=rng_uniform"};
    case Opcode::rng_bit_generator:
      return {"(u64[2], u32[4]) rng-bit-generator(q), algorithm=rng_default"};
    case Opcode::cholesky: return {"f32[3,4,4] cholesky(m)"};
    case Opcode::triangular_solve: return {"f32[4,4] triangular-solve(x, y), left_side=true"};
    case Opcode::fft: return {"c64[4,4] fft(c64[4,4] complex(x, y)), fft_length={4}"};
    case Opcode::get_dimension_size: return {"s32[] get-dimension-size(x), dimensions={0}"};
    case Opcode::set_dimension_size: return {"f32[4,4] set-dimension-size(x, i), dimensions={0}"};
    case Opcode::after_all:
    case Opcode::infeed:
    case Opcode::outfeed:
    case Opcode::partition_id:
    case Opcode::recv:
    case Opcode::recv_done:
    case Opcode::replica_id:
    case Opcode::rng_get_and_update_state:
    case Opcode::send:
    case Opcode::send_done:
      if (name == "after-all") return {"token[] after-all(k)"};
      if (name == "partition-id" || name == "replica-id") return {"u32[] " + name + "()"};
      if (name == "rng-get-and-update-state") return {"u64[2] " + name + "(), delta=1"};
      if (name == "outfeed" || name == "send") return {"token[] " + name + "(x, k)"};
      return {"(f32[4,4], token[]) " + name + "(k)"};
    case Opcode::all_gather_done:
    case Opcode::all_gather_start:
    case Opcode::all_reduce_done:
    case Opcode::all_reduce_start:
    case Opcode::async_done:
    case Opcode::async_start:
    case Opcode::async_update:
    case Opcode::collective_permute_done:
    case Opcode::collective_permute_start:
    case Opcode::copy_done:
    case Opcode::copy_start:
    case Opcode::dynamic_reshape:
    case Opcode::ragged_all_to_all:
    case Opcode::ragged_dot:
    case Opcode::scaled_dot:
      if (name == "ragged-dot") return {"f32[4,4] ragged-dot(x, y, v)"};
      if (entry.min_operands <= 1)
        return {"f32[4,4] " + name +
                "(x), dimensions={0}, to_apply=add, source_target_pairs={{0,1}}"};
      return {"f32[4,4] " + name + "(x, y)"};
    case Opcode::unknown:
    case Opcode::sharding: break;  // not in HLO
  }
  return {};
}

}  // namespace tessera_test
