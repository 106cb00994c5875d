// SPDX-License-Identifier: Apache-2.0
// HLO text: everything valid is read whole, whatever its layout on the page.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "support/files.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/detail/opcode_table.hpp"
#include "tessera/io/hlo/reader.hpp"

namespace {
using namespace tessera;
using namespace tessera::io::hlo;
using tessera::io::hlo::detail::find_opcode;
using tessera::io::hlo::detail::opcode_entries;
using tessera_test::shared_file;

Module read(const std::string& text, const ReadOptions& options = {}) {
  return read_module(text, "t.hlo", options);
}

// A module whose entry has parameters x: f32[4,6] and s: f32[], then the given line as root.
Module read_op(const std::string& line) {
  return read("ENTRY e {\n  x = f32[4,6] parameter(0)\n  s = f32[] parameter(1)\n  ROOT r = " +
              line + "\n}");
}
std::string shape_of_root(const Module& module) {
  const Computation& entry = module.computations[module.entry];
  return to_string(entry.instructions[entry.root].shape);
}

TEST_CASE("the smallest module, and one without its header") {
  const Module module = read(
      "HloModule m\nENTRY e {\n  p = f32[2] parameter(0)\n"
      "  ROOT n = f32[2] negate(p)\n}");
  CHECK(module.name == "m");
  CHECK(module.computations.size() == 1);
  CHECK(shape_of_root(module) == "f32[2]");
  CHECK(read("e { ROOT p = f32[] parameter(0) }").computations[0].name == "e");
}

TEST_CASE("without ENTRY the last computation, without ROOT the last instruction") {
  const Module module = read(
      "a { p = f32[] parameter(0) }\nb { p = f32[] parameter(0)\n"
      "q = f32[] negate(p) }");
  CHECK(module.entry == 1);
  CHECK(module.computations[1].root == 1);
}

TEST_CASE("space, newlines and comments may stand anywhere between pieces") {
  const Module module = read(
      "/* a */HloModule  m // b\n,is_scheduled=true\nENTRY e(p:f32[])->f32[]{\n"
      "p /* a */ =f32[] /* no */ parameter( 0 ) ROOT\n n = f32[]\n negate\n(\np )\n}",
      {});
  CHECK(shape_of_root(module) == "f32[]");
}

TEST_CASE("names may hold dots and dashes, start with %, and equal an opcode") {
  const Module module = read(
      "ENTRY %e.1-x {\n  %add = f32[] parameter(0)\n"
      "  %get-tuple-element.5 = f32[] add(%add, f32[] %add)\n"
      "  ROOT %0 = f32[] negate(get-tuple-element.5)\n}");
  CHECK(module.computations[0].instructions[1].name == "get-tuple-element.5");
  CHECK(module.computations[0].instructions[2].operands[0] == 1);
}

TEST_CASE("shapes of every kind") {
  const Module module = read(
      "ENTRY e {\n  a = f32[] parameter(0)\n  b = bf16[2,3]{0,1:T(8,128)(2,1)S(5)} parameter(1)\n"
      "  c = () parameter(2)\n  d = (f32[2]{0}, (s32[], pred[0]), token[]) parameter(3)\n"
      "  f = f32[<=10,3] parameter(4)\n  g = b(f32[4]) parameter(5)\n"
      "  h = f32[0]{0} parameter(6)\n  i = f32[2,3]{:T(4)} parameter(7)\n"
      "  ROOT r = f32[] copy(a)\n}");
  const auto& instructions = module.computations[0].instructions;
  CHECK(to_string(instructions[2].shape) == "()");
  CHECK(instructions[3].shape.leaf_count() == 4);
  CHECK(to_string(instructions[4].shape) == "f32[10,3]");
  CHECK(to_string(instructions[5].shape) == "f32[4]");
}

TEST_CASE("literals of every kind") {
  for (const char* line :
       {"f32[] constant(-inf)", "f32[] constant(nan)", "f32[] constant(nan(0x400000))",
        "pred[] constant(true)", "pred[2] constant({1, 0})",
        "f32[2,2] constant({ { 1, 2.5 }, { nan, -1e-05 } })", "c64[] constant((1, -2))",
        "f32[1000] constant({...})", "f32[2,1000] constant({...})",
        "(f32[], s32[2]) constant((1, {2, 3}))", "s64[] constant(-100)", "f32[0] constant({})",
        "f32[2,1,2] constant({ /*i0=0*/ { {1, 2} }, /*i0=1*/ { {3, 4} } })",
        "f32[2,0] constant({})", "f32[2,0] constant({ { }, { } })",
        "f32[9000000000000,0] constant({})", "f32[] constant(-nan(0x7fc00001))",
        "c64[2] constant({(1, 2), (nan, -inf)})", "() constant(())"}) {
    CAPTURE(line);
    CHECK_NOTHROW(read_op(line));
  }
}

TEST_CASE("nested instructions come before the one that holds them") {
  const Module module = read_op("f32[] add(s, f32[] negate(f32[] constant(7)))");
  const auto& instructions = module.computations[0].instructions;
  CHECK(instructions.size() == 5);
  CHECK(instructions[2].opcode == Opcode::constant);
  CHECK(instructions[3].opcode == Opcode::negate);
  CHECK(instructions[4].operands[1] == 3);
}

TEST_CASE("result shapes that follow from the operands may be left out") {
  CHECK(shape_of_root(read_op("add(x, x)")) == "f32[4,6]");
  CHECK(shape_of_root(read_op("compare(x, x), direction=LT")) == "pred[4,6]");
  CHECK(shape_of_root(read_op("dot(x, x), lhs_contracting_dims={0}, rhs_contracting_dims={0}")) ==
        "f32[6,6]");
  CHECK(shape_of_root(read_op("transpose(x), dimensions={1,0}")) == "f32[6,4]");
  CHECK(shape_of_root(read_op("pad(x, s), padding=1_2_1x-1_0")) == "f32[10,5]");
  CHECK(shape_of_root(read_op("concatenate(x, x), dimensions={1}")) == "f32[4,12]");
  CHECK(shape_of_root(read_op("tuple(x, s)")) == "(f32[4,6], f32[])");
}

TEST_CASE("shapes with an attribute to them") {
  for (const char* line : {"f32[2,3] slice(x), slice={[0:4:2], [3:6]}",
                           "f32[24] reshape(x)",
                           "f32[24] bitcast(x)",
                           "s32[4,6,2] broadcast(s32[4,6] convert(x)), dimensions={0,1}",
                           "f32[4,6] reverse(x), dimensions={0,1}",
                           "f32[2,6] dynamic-slice(x, s32[] constant(0), s32[] constant(0)), "
                           "dynamic_slice_sizes={2,6}",
                           "f32[4,6] clamp(s, x, s)",
                           "f32[4,6] select(pred[] constant(true), x, x)",
                           "u8[4,6,4] bitcast-convert(x)",
                           "(f32[4,2], s32[4,2]) topk(x), k=2, largest=true",
                           "c64[4,6] complex(x, x)",
                           "f32[4,6] reduce-precision(x), exponent_bits=5, mantissa_bits=10",
                           "(f32[4,6], f32[6], f32[6]) batch-norm-training(x, f32[6] broadcast(s), "
                           "f32[6] broadcast(s)), epsilon=1e-05, feature_index=1",
                           "f32[3,4,6] custom-call(x, s), custom_call_target=\"anything, really\", "
                           "backend_config={\"a\":[1,{\"b\":\"}\"}]}",
                           "f32[4,6] cholesky(x), lower=true",
                           "f32[4,6] copy(x), sharding={devices=[2,1]<=[2]}",
                           "f32[4,6] copy(x), frontend_attributes={k.v-1=\"a b\",j={\"q\":[1,2]}}, "
                           "metadata={op_name=\"sum\" source_line=3}",
                           "f32[16,6] all-gather(x), replica_groups=[2,4]<=[8], dimensions={0}",
                           "f32[4,6] collective-permute(x), source_target_pairs={{0,1},{1,0}}",
                           "f32[4,6] custom-call(x), custom_call_target='single', "
                           "api_version=API_VERSION_UNSPECIFIED",
                           "f32[4,6] custom-call(x), custom_call_target=\"c\", literal=s64[1] {0}, "
                           "api_version=API_VERSION_UNSPECIFIED",
                           "f32[4,6] custom-call(x), literal=(s64[], f32[2]) (1, {2, 3}), "
                           "custom_call_target=\"c\"",
                           "f32[4,6] all-reduce(x), replica_groups=mesh[x=2,y=2] {x}, "
                           "to_apply={ a = f32[] parameter(0)\n ROOT b = f32[] copy(a) }",
                           "((f32[4,6]), f32[2,6]) reduce-scatter-start(x), dimensions={0}",
                           "f32[2,6] reduce-scatter-done(((f32[4,6]), f32[2,6]) "
                           "reduce-scatter-update(x))",
                           "f32[4,6] negate(x), metadata={ // } \n op_name=\"x\" /* } */ }",
                           "f32[4,6] negate(x), metadata={a=1}// }",
                           "f32[4,6] negate(x), a=b/* , */, c=d"}) {
    CAPTURE(line);
    // A nested broadcast carries no attributes: a scalar needs none.
    CHECK_NOTHROW(read_op(line));
  }
}

TEST_CASE("headers: aliases, layouts, frontend attributes, stack tables") {
  const Module module = read(
      "HloModule jit_step, entry_computation_layout={(f32[2]{0})->(f32[2]{0})}, "
      "input_output_alias={ {0}: (0, {}, must-alias), {1}: (1, {0}) }, num_partitions=4,\n"
      "frontend_attributes={xla.sdy.meshes={mesh = #sdy.mesh<[\"x\"=2, \"y\"=4]>}}\n\n"
      "FileNames\n1 \"a.py\"\n2 \"b.py\"\n\nFunctionNames\n1 \"main\"\n\n"
      "FileLocations\n1 {file_name_id=1 line=3}\n\nStackFrames\n1 {file_location_id=1}\n\n"
      "ENTRY e {\n  a = f32[2] parameter(0)\n  b = (f32[2], s32[]) parameter(1)\n"
      "  c = f32[2] get-tuple-element((f32[2]{0}, s32[]) b), index=0\n"
      "  ROOT t = (f32[2], f32[2]) tuple(a, /*index=1*/c)\n}, execution_thread=\"main\"");
  REQUIRE(module.aliases.size() == 2);
  CHECK(module.aliases[0].parameter == 0);
  CHECK(module.aliases[1].parameter_index == std::vector<std::int64_t>{0});
  CHECK(module.attributes.size() == 4);
}

TEST_CASE("called computations: reducers, loops, branches, fusions, and one written in place") {
  const Module module = read(
      "add { a = f32[] parameter(0)\n b = f32[] parameter(1)\n ROOT c = f32[] add(a, b) }\n"
      "cond { s = (s32[], f32[4]) parameter(0)\n i = s32[] get-tuple-element(s), index=0\n"
      " ROOT l = pred[] compare(i, s32[] constant(4)), direction=LT }\n"
      "body { s = (s32[], f32[4]) parameter(0)\n ROOT o = (s32[], f32[4]) copy(s) }\n"
      "ENTRY e { x = f32[4] parameter(0)\n"
      " r = f32[] reduce(x, f32[] constant(0)), dimensions={0}, to_apply=add\n"
      " q = f32[] reduce(x, r), dimensions={0}, to_apply={ m = f32[] parameter(0)\n"
      "   n = f32[] parameter(1)\n ROOT o = f32[] maximum(m, n) }\n"
      " ROOT c = f32[] call(r, q), to_apply=%add }");
  const auto& entry = module.computations[module.entry];
  CHECK(entry.instructions[2].called.size() == 1);
  CHECK(module.computations.size() == 5);
}

TEST_CASE("a lenient reading accepts hand-edited dumps, with a warning for each fault") {
  const std::string text =
      "HloModule m\n%main (x: f32[2]) -> f32[2] {\n  %x = f32[2] parameter(0)\n"
      "  %y = f32[2] add(f32[2] %x, f32[2] %lost)\n"
      "  %z = f32[] reduce(f32[2] %y, f32[] constant(0)), dimensions={0}, to_apply=%gone\n"
      "  ROOT %w = f32[2] negate(%y)\n";
  CHECK_THROWS_AS(read(text), InputError);
  const Module module = read(text, {.lenient = true});
  REQUIRE(module.warnings.size() == 3);
  CHECK(module.warnings[0].find("'lost' is not defined") != std::string::npos);
  CHECK(module.warnings[1].find("'gone' is not defined") != std::string::npos);
  CHECK(module.warnings[2].find("never closed") != std::string::npos);
}

TEST_CASE("the parts of an asynchronous op are known by the op's own name") {
  CHECK(find_opcode("reduce-scatter-start") != nullptr);
  CHECK(find_opcode("custom-call-done") != nullptr);
  CHECK(find_opcode("add-update") != nullptr);
  CHECK(find_opcode("adds-start") == nullptr);
  CHECK(find_opcode("-start") == nullptr);
}

TEST_CASE("a byte order mark is passed over") {
  CHECK(read("\xef\xbb\xbfHloModule m\nENTRY e { ROOT p = f32[] parameter(0) }").name == "m");
}

TEST_CASE("layouts are kept, minor dim first") {
  const Module module =
      read("ENTRY e { a = f32[2,3]{0,1:T(8,128)} parameter(0)\n ROOT b = f32[2,3] copy(a) }");
  const auto& instructions = module.computations[0].instructions;
  CHECK(instructions[0].shape.memory_order() == std::vector<std::size_t>{1, 0});
  CHECK(instructions[1].shape.memory_order() == std::vector<std::size_t>{0, 1});
  CHECK(instructions[0].shape == instructions[1].shape);
}

TEST_CASE("tensors of mixed floating types are reduced to the reducer's") {
  const std::string head =
      "add { a = f32[] parameter(0)\n b = f32[] parameter(1)\n ROOT c = f32[] add(a, b) }\n"
      "ENTRY e { x = bf16[4,6] parameter(0)\n ROOT r = ";
  CHECK(shape_of_root(read(head + "f32[4] reduce(x, f32[] constant(0)), dimensions={1}, "
                                  "to_apply=add }")) == "f32[4]");
  CHECK(shape_of_root(read(head + "reduce-window(x, bf16[] constant(0)), window={size=1x6}, "
                                  "to_apply=add }")) == "f32[4,1]");
}

TEST_CASE("called computations go by their attribute, not by their order") {
  const std::string head =
      "t { x = f32[4] parameter(0)\n ROOT y = f32[2] slice(x), slice={[0:2]} }\n"
      "f { x = f32[8] parameter(0)\n ROOT y = f32[2] slice(x), slice={[0:2]} }\n"
      "ENTRY e { p = pred[] parameter(0)\n a = f32[4] parameter(1)\n b = f32[8] parameter(2)\n"
      " ROOT r = ";
  CHECK_NOTHROW(
      read(head + "f32[2] conditional(p, a, b), false_computation=f, true_computation=t }"));
  CHECK_NOTHROW(read(head + "f32[2] call(b), called_computations={t}, to_apply=f }"));
  CHECK_NOTHROW(read(head + "f32[2] fusion(b), called_computations={t}, kind=kLoop, calls=f }"));
}

TEST_CASE("a lenient reading: a late definition takes its name back from the stand-in") {
  const Module module = read(
      "ENTRY e { x = f32[4] parameter(0)\n a = f32[4] negate(f32[4] b)\n b = f32[4] negate(x)\n"
      " ROOT r = f32[4] add(a, b) }",
      {.lenient = true});
  REQUIRE(module.warnings.size() == 1);
  CHECK(module.warnings[0].starts_with("t.hlo:2:27: operand 'b' is not defined"));
  const auto& instructions = module.computations[0].instructions;
  CHECK(instructions[1].name == "b.undefined");
  CHECK(instructions[4].operands[1] == 3);
  CHECK(instructions[3].name == "b");
}

TEST_CASE("a hundred thousand warnings are found as fast as one") {
  std::string text = "ENTRY e { x0 = f32[2] parameter(0)\n";
  for (int i = 0; i < 100'000; ++i)
    text += "y" + std::to_string(i) + " = f32[2] negate(f32[2] lost" + std::to_string(i) + ")\n";
  const Module module = read(text + "}", {.lenient = true});
  CHECK(module.warnings.size() == 100'000);
  CHECK(module.warnings.back().starts_with("t.hlo:100001:"));
}

TEST_CASE("the real dumps are read whole") {
  for (const auto& [name, instructions, aliases] :
       {std::tuple("hlo/bert_forward_backward.hlo", 847, 1),
        std::tuple("hlo/gpt2_2layer_inference.hlo", 356, 4),
        std::tuple("hlo/mlp_train_step.hlo", 183, 8)}) {
    const auto path = shared_file(name);
    if (!path) continue;
    const Module module = read_module(io::read_file(*path), *path);
    std::size_t count = 0, attributes = 0;
    for (const Computation& computation : module.computations)
      for (const Instruction& instruction : computation.instructions) {
        ++count;
        attributes += instruction.attributes.size();
        for (const Attribute& attribute : instruction.attributes)
          CHECK_FALSE(module.text_of(attribute.value).empty());
      }
    CHECK(count == static_cast<std::size_t>(instructions));
    CHECK(module.aliases.size() == static_cast<std::size_t>(aliases));
    // Every "name=value" of the text that is an attribute was taken.
    CHECK(attributes > count / 2);
    CHECK(module.warnings.empty());
  }
}

TEST_CASE("every opcode of the table is known, with its attributes") {
  for (const auto& entry : opcode_entries())
    CHECK(find_opcode(graph::to_string(entry.opcode)) == &entry);
  CHECK(find_opcode("adds") == nullptr);
  CHECK(find_opcode("") == nullptr);
}

}  // namespace
