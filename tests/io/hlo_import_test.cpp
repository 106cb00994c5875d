// SPDX-License-Identifier: Apache-2.0
// Import: plumbing dissolves, called computations are taken in, what has no rule is reported.
#include <doctest/doctest.h>

#include <string>

#include "support/files.hpp"
#include "tessera/graph.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo_import.hpp"
#include "tessera/io/hlo_parser.hpp"

namespace {
using namespace tessera;
using namespace tessera::io::hlo;
using tessera_test::shared_file;

Program program_of(const std::string& text, const ImportOptions& options = {}) {
  return import_module(read_module(text, "t.hlo"), options);
}
const graph::Op& op_named(const Program& program, const std::string& name) {
  for (graph::OpId id = 0; id < program.graph.op_count(); ++id)
    if (program.graph.op(id).name == name) return program.graph.op(id);
  FAIL("no op " << name);
  return program.graph.op(0);
}

TEST_CASE("tuples, their elements and barriers are plain data flow") {
  const Program program = program_of(
      "ENTRY e { a = f32[2] parameter(0)\n b = (s32[], (f32[3], f32[4])) parameter(1)\n"
      " c = (f32[3], f32[4]) get-tuple-element(b), index=1\n d = f32[4] get-tuple-element(c), "
      "index=1\n"
      " t = (f32[2], f32[4]) tuple(a, d)\n o = (f32[2], f32[4]) opt-barrier(t)\n"
      " ROOT r = f32[4] get-tuple-element(o), index=1 }");
  CHECK(program.graph.op_count() == 4);  // a and the three arrays of b
  REQUIRE(program.graph.outputs.size() == 1);
  CHECK(program.graph.op(program.graph.outputs[0].op).name == "b{2}");
}

TEST_CASE("aliases tie a parameter to its output, also through tuples") {
  const Program program = program_of(
      "HloModule m, input_output_alias={ {1}: (0, {1}, must-alias) }\n"
      "ENTRY e { p = (f32[2], f32[3]) parameter(0)\n a = f32[3] get-tuple-element(p), index=1\n"
      " b = f32[3] negate(a)\n ROOT t = (f32[3], f32[3]) tuple(a, b) }");
  REQUIRE(program.graph.aliases.size() == 1);
  CHECK(program.graph.op(program.graph.aliases[0].parameter).name == "p{1}");
  CHECK(program.graph.op(program.graph.aliases[0].output.op).name == "b");
}

TEST_CASE("calls are taken in once per call site") {
  const Program program = program_of(
      "twice { a = f32[2] parameter(0)\n ROOT b = f32[2] add(a, a) }\n"
      "ENTRY e { x = f32[2] parameter(0)\n y = f32[2] call(x), to_apply=twice\n"
      " ROOT z = f32[2] call(y), to_apply=twice }");
  CHECK(program.graph.op_count() == 3);
  CHECK(op_named(program, "z/b").kind == "add");
  CHECK(program.values[0][1].size() == 2);
}

TEST_CASE("inside a fusion only the result reaches memory") {
  const Program program = program_of(
      "fused { a = f32[2] parameter(0)\n b = f32[2] negate(a)\n ROOT c = f32[2] add(a, b) }\n"
      "ENTRY e { x = f32[2] parameter(0)\n ROOT f = f32[2] fusion(x), kind=kLoop, calls=fused }");
  CHECK_FALSE(op_named(program, "f/b").has_buffer);
  CHECK(op_named(program, "f/c").has_buffer);
  CHECK(op_named(program, "x").has_buffer);
}

TEST_CASE("a loop's body is taken in once, around states") {
  const Program program = program_of(
      "cond { s = (s32[], f32[8]) parameter(0)\n i = s32[] get-tuple-element(s), index=0\n"
      " ROOT l = pred[] compare(i, s32[] constant(4)), direction=LT }\n"
      "body { s = (s32[], f32[8]) parameter(0)\n i = s32[] get-tuple-element(s), index=0\n"
      " x = f32[8] get-tuple-element(s), index=1\n y = f32[8] exponential(x)\n"
      " j = s32[] add(i, s32[] constant(1))\n ROOT o = (s32[], f32[8]) tuple(j, y) }\n"
      "ENTRY e { x = f32[8] parameter(0)\n t = (s32[], f32[8]) tuple(s32[] constant(0), x)\n"
      " w = (s32[], f32[8]) while(t), condition=cond, body=body\n"
      " ROOT r = f32[8] get-tuple-element(w), index=1 }");
  const graph::Op& state = op_named(program, "w{1}");
  CHECK(state.is_loop_state);
  REQUIRE(program.graph.loops.size() == 1);
  const graph::OpId id = program.graph.outputs[0].op;
  CHECK(program.graph.op(id).name == "w{1}");
  REQUIRE(program.graph.operand_count(id) == 2);
  CHECK(program.graph.op(program.graph.operand(id, 0).op).name == "x");
  CHECK(program.graph.op(program.graph.operand(id, 1).op).name == "w/body/y");
  CHECK(op_named(program, "w/condition/l").kind == "compare");
}

TEST_CASE("every branch of a conditional is taken in") {
  const Program program = program_of(
      "same { ROOT a = f32[8] parameter(0) }\nneg { a = f32[8] parameter(0)\n"
      " ROOT b = f32[8] negate(a) }\nENTRY e { p = pred[] parameter(0)\n x = f32[8] parameter(1)\n"
      " ROOT c = f32[8] conditional(p, x, x), true_computation=same, false_computation=neg }");
  const graph::OpId id = program.graph.outputs[0].op;
  CHECK(program.graph.op(id).kind == "conditional");
  CHECK(program.graph.operand_count(id) == 2);
  CHECK(op_named(program, "c/branch1/b").kind == "negate");
}

TEST_CASE("reducers are recognised, and unknown ones are said to be") {
  const auto reduced_kind = [](const std::string& body) {
    const Program program =
        program_of("r { a = f32[] parameter(0)\n b = f32[] parameter(1)\n" + body +
                   " }\n"
                   "ENTRY e { x = f32[4,6] parameter(0)\n"
                   " ROOT y = f32[4] reduce(x, f32[] constant(0)), dimensions={1}, to_apply=r }");
    const graph::Factor& factor = op_named(program, "y").rule.factor(1);
    CHECK(program.notes.empty() == (factor.kind == graph::FactorKind::reduction));
    return factor.reduction;
  };
  CHECK(reduced_kind("ROOT c = f32[] add(a, b)") == Reduction::sum);
  CHECK(reduced_kind("ROOT c = f32[] add(b, a)") == Reduction::sum);
  CHECK(reduced_kind("ROOT c = f32[] maximum(a, b)") == Reduction::max);
  CHECK(reduced_kind("ROOT c = f32[] minimum(a, b)") == Reduction::min);
  CHECK(reduced_kind("ROOT c = f32[] multiply(a, b)") == Reduction::product);
  CHECK(reduced_kind("ROOT c = f32[] subtract(a, b)") == Reduction::none);
  CHECK(reduced_kind("ROOT c = f32[] add(a, a)") == Reduction::none);
  CHECK(reduced_kind("d = f32[] add(a, b)\n ROOT c = f32[] negate(d)") == Reduction::none);
}

TEST_CASE("what has no rule is kept whole and counted once per kind") {
  const Program program = program_of(
      "ENTRY e { x = f32[4,4] parameter(0)\n a = f32[4,4] cholesky(x)\n b = f32[4,4] cholesky(a)\n"
      " c = f32[4,4] custom-call(b), custom_call_target=\"mystery\"\n"
      " d = f32[4,4] custom-call(c), custom_call_target=\"Sharding\"\n"
      " ROOT r = f32[4,4] custom-call(d), custom_call_target=\"known\" }",
      [] {
        ImportOptions options;
        options.custom_calls["known"] = CustomCall::elementwise;
        return options;
      }());
  CHECK(program.kept_whole.size() == 2);
  CHECK(program.kept_whole.at("cholesky") == 2);
  CHECK(program.kept_whole.at("custom-call mystery") == 1);
  CHECK(op_named(program, "a").rule.factor(0).kind == graph::FactorKind::whole);
  CHECK(op_named(program, "r").rule.factor(0).kind == graph::FactorKind::parallel);
}

TEST_CASE("branches follow their operands in whatever order the attributes stand") {
  const Program program = program_of(
      "same { ROOT a = f32[8] parameter(0) }\nneg { a = f32[8] parameter(0)\n"
      " ROOT b = f32[8] negate(a) }\nENTRY e { p = pred[] parameter(0)\n x = f32[8] parameter(1)\n"
      " ROOT c = f32[8] conditional(p, x, x), false_computation=neg, true_computation=same }");
  CHECK(op_named(program, "c/branch1/b").kind == "negate");
}

TEST_CASE("a tuple of constants is an op for each of its arrays") {
  const Program program = program_of(
      "ENTRY e { c = (f32[], (f32[2], ())) constant((1, ({1, 2}, ())))\n"
      " t = (f32[2], ()) get-tuple-element(c), index=1\n"
      " ROOT b = f32[2] get-tuple-element(t), index=0 }");
  CHECK(program.graph.op_count() == 2);
  CHECK(program.graph.op(program.graph.outputs[0].op).name == "c{1}");
  CHECK(op_named(program, "c{0}").kind == "constant");
}

TEST_CASE("the absolute value of complex numbers is real, and not linear") {
  const Program program =
      program_of("ENTRY e { x = c64[4] parameter(0)\n ROOT y = f32[4] abs(x) }");
  CHECK(op_named(program, "y").rule.pass_count() == 0);
  CHECK(op_named(program, "y").rule.factor(0).kind == graph::FactorKind::parallel);
}

TEST_CASE("a bitcast follows the dims in memory, not as they are numbered") {
  // For each result dim, major first, the operand dims that it shares a factor with.
  const auto corresponding = [](const std::string& from, const std::string& to) {
    const Program program =
        program_of("ENTRY e { x = " + from + " parameter(0)\n ROOT b = " + to + " bitcast(x) }");
    const graph::Rule& rule = op_named(program, "b").rule;
    CHECK(rule.pass_count() == 1);
    std::string text;
    for (std::size_t r = 0; r < rule.rank(1); ++r) {
      for (const graph::FactorId factor : rule.dim(1, r))
        for (std::size_t o = 0; o < rule.rank(0); ++o)
          for (const graph::FactorId other : rule.dim(0, o))
            if (factor == other) text += std::to_string(o);
      text += ' ';
    }
    return text;
  };
  CHECK(corresponding("f32[4,8]", "f32[32]") == "01 ");
  CHECK(corresponding("f32[4,8]{1,0}", "f32[4,8]{1,0}") == "0 1 ");
  CHECK(corresponding("f32[4,8]{0,1}", "f32[8,4]{1,0}") == "1 0 ");  // a transpose
  CHECK(corresponding("f32[4,8]{0,1}", "f32[8,4]{0,1}") != "1 0 ");
  CHECK(corresponding("f32[4,8,16]{1,2,0}", "f32[4,128]{1,0}") == "0 21 ");
  CHECK(corresponding("f32[4,8]{0,1}", "f32[32]{0}") == "10 ");
}

TEST_CASE("every op belongs to one instruction, in one place that it is called from") {
  const Program program = program_of(
      "cond { s = (s32[], f32[8]) parameter(0)\n i = s32[] get-tuple-element(s), index=0\n"
      " ROOT l = pred[] compare(i, s32[] constant(4)), direction=LT }\n"
      "body { s = (s32[], f32[8]) parameter(0)\n i = s32[] get-tuple-element(s), index=0\n"
      " x = f32[8] get-tuple-element(s), index=1\n y = f32[8] exponential(x)\n"
      " ROOT o = (s32[], f32[8]) tuple(i, y) }\n"
      "neg { a = f32[8] parameter(0)\n ROOT b = f32[8] negate(a) }\n"
      "ENTRY e { t = (s32[], f32[8]) parameter(0)\n p = pred[] parameter(1)\n"
      " w = (s32[], f32[8]) while(t), condition=cond, body=body\n"
      " x = f32[8] get-tuple-element(w), index=1\n y = f32[8] call(x), to_apply=neg\n"
      " ROOT z = f32[8] conditional(p, x, y), true_computation=neg, false_computation=neg }");
  std::vector<int> owners(program.graph.op_count(), 0);
  for (const auto& computation : program.own_ops)
    for (const auto& instruction : computation)
      for (const OwnOps& own : instruction)
        for (graph::OpId id = own.begin; id < own.end; ++id) ++owners[id];
  for (const int count : owners) CHECK(count == 1);
  CHECK(program.own_ops[2][1].size() == 3);
  CHECK(program.own_ops[3][2][0].end - program.own_ops[3][2][0].begin == 2);
}

TEST_CASE("narrowing a partial sum is not linear, widening it is; integers divide with rounding") {
  const Program program = program_of(
      "ENTRY e { x = f32[4] parameter(0)\n i = s32[4] parameter(1)\n a = bf16[4] convert(x)\n"
      " b = f64[4] convert(x)\n c = f32[4] divide(x, x)\n d = s32[4] divide(i, i)\n"
      " ROOT t = (bf16[4], f64[4], f32[4], s32[4]) tuple(a, b, c, d) }");
  CHECK(op_named(program, "a").rule.pass_count() == 0);
  CHECK(op_named(program, "b").rule.pass_count() == 1);
  CHECK(op_named(program, "c").rule.pass_count() == 1);
  CHECK(op_named(program, "d").rule.pass_count() == 0);
  // Of one size, but neither holds the other's numbers.
  const Program halves = program_of(
      "ENTRY e { x = f16[4] parameter(0)\n a = bf16[4] convert(x)\n ROOT b = f16[4] convert(a) }");
  CHECK(op_named(halves, "a").rule.pass_count() == 0);
  CHECK(op_named(halves, "b").rule.pass_count() == 0);
}

TEST_CASE("every opcode has a way into a graph") {
  // One line for each, in a module that holds what they need.
  const std::string head =
      "add { a = f32[] parameter(0)\n b = f32[] parameter(1)\n ROOT c = f32[] add(a, b) }\n"
      "lt { a = f32[] parameter(0)\n b = f32[] parameter(1)\n"
      " ROOT c = pred[] compare(a, b), direction=LT }\n"
      "ENTRY e { x = f32[4,4] parameter(0)\n y = f32[4,4] parameter(1)\n v = f32[4] parameter(2)\n"
      " s = f32[] parameter(3)\n i = s32[] parameter(4)\n n = s32[4,4] parameter(5)\n"
      " p = pred[4,4] parameter(6)\n k = token[] parameter(7)\n q = u64[2] parameter(8)\n"
      " im = f32[2,8,8,4] parameter(9)\n ke = f32[3,3,4,6] parameter(10)\n ROOT z = ";
  std::size_t covered = 0;
  for (const auto& info : opcode_infos) {
    std::string line;
    const std::string name(info.name);
    switch (info.op_class) {
      case OpClass::unary:
        line = name == "not" || name == "popcnt" || name == "count-leading-zeros"
                   ? "s32[4,4] " + name + "(n)"
                   : "f32[4,4] " + name + "(x)";
        break;
      case OpClass::binary:
        line = name.starts_with("shift") || name == "and" || name == "or" || name == "xor"
                   ? "s32[4,4] " + name + "(n, n)"
                   : "f32[4,4] " + name + "(x, y)";
        break;
      case OpClass::linear:
      case OpClass::copy: line = "f32[4,4] " + name + "(x)"; break;
      case OpClass::opaque:
        if (name == "after-all")
          line = "token[] after-all(k)";
        else if (name == "partition-id" || name == "replica-id")
          line = "u32[] " + name + "()";
        else if (name == "rng")
          line = "f32[4] rng(s, s), distribution=rng_uniform";
        else if (name == "rng-bit-generator")
          line = "(u64[2], u32[4]) rng-bit-generator(q), algorithm=rng_default";
        else if (name == "rng-get-and-update-state")
          line = "u64[2] " + name + "(), delta=1";
        else if (info.min_operands <= 1)
          line = "f32[4,4] " + name +
                 "(x), dimensions={0}, to_apply=add, source_target_pairs={{0,1}}";
        else if (name == "ragged-dot")
          line = "f32[4,4] ragged-dot(x, y, v)";
        else
          line = "f32[4,4] " + name + "(x, y)";
        break;
      case OpClass::compare: line = "pred[4,4] compare(x, y), direction=LT"; break;
      case OpClass::select: line = "f32[4,4] select(p, x, y)"; break;
      case OpClass::clamp: line = "f32[4,4] clamp(s, x, s)"; break;
      case OpClass::convert: line = "bf16[4,4] convert(x)"; break;
      case OpClass::bitcast_convert: line = "s32[4,4] bitcast-convert(x)"; break;
      case OpClass::bitcast: line = "f32[16] bitcast(x)"; break;
      case OpClass::reduce_precision: line = "f32[4,4] reduce-precision(x), exponent_bits=5"; break;
      case OpClass::is_finite: line = "pred[4,4] is-finite(x)"; break;
      case OpClass::complex: line = "c64[4,4] complex(x, y)"; break;
      case OpClass::real_imag: line = "f32[4,4] " + name + "(c64[4,4] complex(x, y))"; break;
      case OpClass::broadcast: line = "f32[4,4] broadcast(v), dimensions={1}"; break;
      case OpClass::reshape: line = "f32[2,8] reshape(x)"; break;
      case OpClass::transpose: line = "f32[4,4] transpose(x), dimensions={1,0}"; break;
      case OpClass::reverse: line = "f32[4,4] reverse(x), dimensions={1}"; break;
      case OpClass::concatenate: line = "f32[8,4] concatenate(x, y), dimensions={0}"; break;
      case OpClass::slice: line = "f32[2,4] slice(x), slice={[0:2], [0:4]}"; break;
      case OpClass::dynamic_slice:
        line = "f32[2,4] dynamic-slice(x, i, i), dynamic_slice_sizes={2,4}";
        break;
      case OpClass::dynamic_update_slice: line = "f32[4,4] dynamic-update-slice(x, y, i, i)"; break;
      case OpClass::pad: line = "f32[6,4] pad(x, s), padding=1_1x0_0"; break;
      case OpClass::dot:
        line = "f32[4,4] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}";
        break;
      case OpClass::convolution:
        line =
            "f32[2,8,8,6] convolution(im, ke), window={size=3x3 pad=1_1x1_1}, "
            "dim_labels=b01f_01io->b01f";
        break;
      case OpClass::reduce: line = "f32[4] reduce(x, s), dimensions={1}, to_apply=add"; break;
      case OpClass::reduce_window:
        line = "f32[2,4] reduce-window(x, s), window={size=2x1 stride=2x1}, to_apply=add";
        break;
      case OpClass::select_and_scatter:
        line = "f32[4,4] select-and-scatter(x, y, s), window={size=1x1}, select=lt, scatter=add";
        break;
      case OpClass::gather:
        line =
            "f32[4] gather(x, i), offset_dims={0}, collapsed_slice_dims={0}, "
            "start_index_map={0}, index_vector_dim=0, slice_sizes={1,4}";
        break;
      case OpClass::scatter:
        line =
            "f32[4,4] scatter(x, i, v), update_window_dims={0}, inserted_window_dims={0}, "
            "scatter_dims_to_operand_dims={0}, index_vector_dim=0, to_apply=add";
        break;
      case OpClass::sort: line = "f32[4,4] sort(x), dimensions={1}, to_apply=lt"; break;
      case OpClass::topk: line = "(f32[4,2], s32[4,2]) topk(x), k=2, largest=true"; break;
      case OpClass::batch_norm_training:
        line =
            "(f32[4,4], f32[4], f32[4]) batch-norm-training(x, v, v), epsilon=1, feature_index=1";
        break;
      case OpClass::batch_norm_inference:
        line = "f32[4,4] batch-norm-inference(x, v, v, v, v), epsilon=1, feature_index=1";
        break;
      case OpClass::batch_norm_grad:
        line =
            "(f32[4,4], f32[4], f32[4]) batch-norm-grad(x, v, v, v, y), epsilon=1, "
            "feature_index=1";
        break;
      case OpClass::map: line = "f32[4,4] map(x, y), dimensions={0,1}, to_apply=add"; break;
      case OpClass::iota: line = "s32[4,4] iota(), iota_dimension=0"; break;
      case OpClass::constant: line = "f32[] constant(1)"; break;
      case OpClass::parameter: line = "f32[] parameter(11)"; break;
      case OpClass::tuple: line = "(f32[4,4]) tuple(x)"; break;
      case OpClass::barrier:
        line = name == "add-dependency" ? "f32[4,4] add-dependency(x, k)"
                                        : "f32[4,4] " + name + "(x)";
        break;
      case OpClass::call: line = "f32[] call(s, s), to_apply=add"; break;
      case OpClass::fusion: line = "f32[] fusion(s, s), kind=kLoop, calls=add"; break;
      case OpClass::custom_call: line = "f32[4] custom-call(x), custom_call_target=\"t\""; break;
      default: continue;  // tuples' elements, loops and branches have cases of their own
    }
    CAPTURE(line);
    ++covered;
    CHECK_NOTHROW(program_of(head + line + "\n}"));
  }
  CHECK(covered + 3 == opcode_infos.size());
}

TEST_CASE("the real dumps become graphs, and only what has no rule is kept whole") {
  const auto kept = [](const std::string& name) -> std::map<std::string, std::size_t> {
    const auto path = shared_file(name);
    if (!path) return {};
    return import_module(read_module(io::read_file(*path), *path)).kept_whole;
  };
  CHECK(kept("hlo/mlp_train_step.hlo").empty());
  CHECK(kept("hlo/gpt2_2layer_inference.hlo").empty());
  for (const auto& [what, count] : kept("hlo/bert_forward_backward.hlo")) {
    CHECK(what == "rng-bit-generator");
    CHECK(count == 4);
  }
}

}  // namespace
