// SPDX-License-Identifier: Apache-2.0
// Instructions of every opcode of HLO, in modules that hold what they need.
#pragma once
#include <string>
#include <vector>

#include "tessera/io/hlo/detail/opcodes.hpp"

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
inline std::vector<std::string> opcode_samples(const tessera::io::hlo::detail::OpcodeInfo& info) {
  using tessera::io::hlo::detail::OpClass;
  const std::string name(info.name);
  switch (info.op_class) {
    case OpClass::unary:
      if (name == "not" || name == "popcnt" || name == "count-leading-zeros")
        return {"s32[4,4] " + name + "(n)"};
      return {"f32[4,4] " + name + "(x)"};
    case OpClass::binary:
      if (name.starts_with("shift") || name == "and" || name == "or" || name == "xor")
        return {"s32[4,4] " + name + "(n, n)"};
      return {"f32[4,4] " + name + "(x, y)"};
    case OpClass::linear:
    case OpClass::copy: return {"f32[4,4] " + name + "(x)"};
    case OpClass::stochastic_convert: return {"s32[4,4] stochastic-convert(x, n)"};
    case OpClass::compare: return {"pred[4,4] compare(x, y), direction=LT"};
    case OpClass::select: return {"f32[4,4] select(p, x, y)"};
    case OpClass::clamp: return {"f32[4,4] clamp(s, x, s)"};
    case OpClass::convert:
      return {"f64[4,4] convert(x)", "bf16[4,4] convert(x)", "f32[4,4] convert(x)"};
    case OpClass::bitcast_convert:
      return {"s32[4,4] bitcast-convert(x)", "s8[4,4,4] bitcast-convert(x)"};
    case OpClass::bitcast: return {"f32[16] bitcast(x)", "f32[8,6] bitcast(m)"};
    case OpClass::reduce_precision: return {"f32[4,4] reduce-precision(x), exponent_bits=5"};
    case OpClass::is_finite: return {"pred[4,4] is-finite(x)"};
    case OpClass::complex: return {"c64[4,4] complex(x, y)"};
    case OpClass::real_imag: return {"f32[4,4] " + name + "(c64[4,4] complex(x, y))"};
    case OpClass::iota: return {"s32[4,4] iota(), iota_dimension=0"};
    case OpClass::constant: return {"f32[4] constant({1, 2, 3, 4})"};
    case OpClass::parameter: return {"f32[4] parameter(15)"};
    case OpClass::broadcast: return {"f32[4,4] broadcast(v), dimensions={1}"};
    case OpClass::reshape: return {"f32[2,8] reshape(x)", "f32[8,6] reshape(m)"};
    case OpClass::transpose: return {"f32[4,4] transpose(x), dimensions={1,0}"};
    case OpClass::reverse: return {"f32[4,4] reverse(x), dimensions={1}"};
    case OpClass::concatenate: return {"f32[8,4] concatenate(x, y), dimensions={0}"};
    case OpClass::slice:
      return {"f32[3,4] slice(x), slice={[1:4], [0:4]}", "f32[1,4] slice(x), slice={[1:2], [0:4]}"};
    case OpClass::dynamic_slice:
      return {"f32[2,4] dynamic-slice(x, i, i), dynamic_slice_sizes={2,4}"};
    case OpClass::dynamic_update_slice:
      return {"f32[4,4] dynamic-update-slice(x, u, i, i)",
              "f32[4,4] dynamic-update-slice(x, y, i, i)"};
    case OpClass::pad:
      return {"f32[6,4] pad(x, s), padding=1_1x0_0", "f32[12,4] pad(x, s), padding=4_4x0_0"};
    case OpClass::dot:
      return {"f32[4,4] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}"};
    case OpClass::convolution:
      return {
          "f32[2,8,8,6] convolution(im, ke), window={size=3x3 pad=1_1x1_1}, "
          "dim_labels=b01f_01io->b01f"};
    case OpClass::reduce:
      return {"f32[4] reduce(x, s), dimensions={1}, to_apply=add",
              "(f32[4], f32[4]) reduce(x, y, s, s), dimensions={1}, to_apply=least"};
    case OpClass::reduce_window:
      return {"f32[2,4] reduce-window(x, s), window={size=2x1 stride=2x1}, to_apply=add"};
    case OpClass::select_and_scatter:
      return {
          "f32[4,4] select-and-scatter(x, u, s), window={size=2x1 stride=2x1}, "
          "select=lt, scatter=add",
          "f32[4,4] select-and-scatter(x, y, s), window={size=1x1}, select=lt, scatter=add"};
    case OpClass::gather:
      return {
          "f32[4,4] gather(x, is), offset_dims={1}, collapsed_slice_dims={0}, "
          "start_index_map={0}, index_vector_dim=1, slice_sizes={1,4}",
          "f32[2,4] gather(x, i), offset_dims={0,1}, collapsed_slice_dims={}, "
          "start_index_map={0}, index_vector_dim=0, slice_sizes={2,4}"};
    case OpClass::scatter:
      return {
          "f32[4,4] scatter(x, is, y), update_window_dims={1}, inserted_window_dims={0}, "
          "scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add",
          "f32[4,4] scatter(x, is, y), update_window_dims={1}, inserted_window_dims={0}, "
          "scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=lt"};
    case OpClass::sort: return {"f32[4,4] sort(x), dimensions={1}, to_apply=lt"};
    case OpClass::topk: return {"(f32[4,2], s32[4,2]) topk(x), k=2, largest=true"};
    case OpClass::batch_norm_training:
      return {
          "(f32[4,4], f32[4], f32[4]) batch-norm-training(x, v, v), epsilon=1, feature_index=1"};
    case OpClass::batch_norm_inference:
      return {"f32[4,4] batch-norm-inference(x, v, v, v, v), epsilon=1, feature_index=1"};
    case OpClass::batch_norm_grad:
      return {
          "(f32[4,4], f32[4], f32[4]) batch-norm-grad(x, v, v, v, y), epsilon=1, "
          "feature_index=1"};
    case OpClass::map: return {"f32[4,4] map(x, y), dimensions={0,1}, to_apply=add"};
    case OpClass::tuple: return {"(f32[4,4]) tuple(x)"};
    case OpClass::get_tuple_element:
      return {"f32[4,4] get-tuple-element((f32[4,4]) tuple(x)), index=0"};
    case OpClass::while_loop: return {"f32[4,4] while(x), condition=stop, body=next"};
    case OpClass::conditional:
      return {"f32[4,4] conditional(b, x, y), true_computation=next, false_computation=next"};
    case OpClass::call: return {"f32[] call(s, s), to_apply=add"};
    case OpClass::fusion: return {"f32[] fusion(s, s), kind=kLoop, calls=add"};
    case OpClass::custom_call:
      return {"f32[4,4] custom-call(x), custom_call_target=\"Sharding\"",
              "f32[4,4] custom-call(x), custom_call_target=\"Qr\""};
    case OpClass::barrier:
      return {name == "add-dependency" ? "f32[4,4] add-dependency(x, k)"
                                       : "f32[4,4] " + name + "(x)"};
    case OpClass::collective:
      if (name == "all-gather") return {"f32[8,4] all-gather(x), dimensions={0}"};
      if (name == "reduce-scatter")
        return {"f32[2,4] reduce-scatter(x), dimensions={0}, to_apply=add"};
      if (name == "all-to-all")
        return {"f32[4,4] all-to-all(x), dimensions={0}", "(f32[4,4], f32[4,4]) all-to-all(x, y)"};
      return {"f32[4,4] " + name + "(x), to_apply=add, source_target_pairs={{0,1}}"};
    case OpClass::random: return {"f32[4] rng(s, s), distribution=rng_uniform"};
    case OpClass::random_bits:
      return {"(u64[2], u32[4]) rng-bit-generator(q), algorithm=rng_default"};
    case OpClass::cholesky: return {"f32[3,4,4] cholesky(m)"};
    case OpClass::triangular_solve: return {"f32[4,4] triangular-solve(x, y), left_side=true"};
    case OpClass::fft: return {"c64[4,4] fft(c64[4,4] complex(x, y)), fft_length={4}"};
    case OpClass::get_size: return {"s32[] get-dimension-size(x), dimensions={0}"};
    case OpClass::set_size: return {"f32[4,4] set-dimension-size(x, i), dimensions={0}"};
    case OpClass::host:
      if (name == "after-all") return {"token[] after-all(k)"};
      if (name == "partition-id" || name == "replica-id") return {"u32[] " + name + "()"};
      if (name == "rng-get-and-update-state") return {"u64[2] " + name + "(), delta=1"};
      if (name == "outfeed" || name == "send") return {"token[] " + name + "(x, k)"};
      return {"(f32[4,4], token[]) " + name + "(k)"};
    case OpClass::opaque:
      if (name == "ragged-dot") return {"f32[4,4] ragged-dot(x, y, v)"};
      if (info.min_operands <= 1)
        return {"f32[4,4] " + name +
                "(x), dimensions={0}, to_apply=add, source_target_pairs={{0,1}}"};
      return {"f32[4,4] " + name + "(x, y)"};
  }
  return {};
}

}  // namespace tessera_test
