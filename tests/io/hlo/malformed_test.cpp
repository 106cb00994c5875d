// SPDX-License-Identifier: Apache-2.0
// Malformed HLO: one clear error each, at the right place, and never a crash.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "support/random.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"

namespace {
using namespace tessera;
using namespace tessera::io::hlo;

// What reading and importing a text is refused with; empty where it is accepted.
std::string error_of(const std::string& text) {
  try {
    import_module(read_module(text, "t.hlo"));
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

// A module around one line.  x, y: f32[4,6]; v: f32[6]; s: f32[]; i: s32[]; t: (f32[4,6], s32[]).
std::string with_line(const std::string& line) {
  return "add { a = f32[] parameter(0)\n  b = f32[] parameter(1)\n  ROOT c = f32[] add(a, b) }\n"
         "ENTRY e {\n  x = f32[4,6] parameter(0)\n  y = f32[4,6] parameter(1)\n"
         "  v = f32[6] parameter(2)\n  s = f32[] parameter(3)\n  i = s32[] parameter(4)\n"
         "  t = (f32[4,6], s32[]) parameter(5)\n  " +
         line + "\n}\n";
}

TEST_CASE("whole texts") {
  const std::pair<std::string, const char*> cases[] = {
      {"", "expected a computation"},
      {"   // nothing\n", "expected a computation"},
      {"HloModule", "expected the module's name"},
      {"HloModule m", "expected a computation"},
      {"HloModule m, a=1, a=2\nENTRY e { ROOT p = f32[] parameter(0) }", "'a' is repeated"},
      {"HloModule m, a=, b=1\nENTRY e { ROOT p = f32[] parameter(0) }", "expected a value"},
      {"HloModule m\nENTRY e {", "never closed"},
      {"HloModule m\nENTRY e {}", "is empty"},
      {"HloModule m\nENTRY e { ROOT p = f32[] parameter(0)", "never closed"},
      {"ENTRY e { p = f32[] parameter(0) }\nENTRY f { p = f32[] parameter(0) }", "second ENTRY"},
      {"e { p = f32[] parameter(0) }\ne { p = f32[] parameter(0) }", "defined twice"},
      {"ENTRY e { ROOT p = f32[] parameter(0)\n ROOT q = f32[] parameter(1) }", "second ROOT"},
      {"ENTRY e { p = f32[] parameter(0)\n p = f32[] parameter(1) }", "'p' is defined twice"},
      {"ENTRY e { p = f32[] parameter(0)\n q = f32[] parameter(0) }",
       "parameter 0 is defined twice"},
      {"ENTRY e { p = f32[] parameter(1) }", "parameter 0 is missing"},
      {"ENTRY e { p = f32[] parameter(-1) }", "negative parameter number"},
      {"%f (a: f32[]) -> f32[2] { ROOT %a = f32[] parameter(0) }", "the signature promises f32[2]"},
      {"%f (a: f32[]) f32[] { ROOT %a = f32[] parameter(0) }", "'->'"},
      {"%f (a f32[]) -> f32[] { ROOT %a = f32[] parameter(0) }", "':'"},
      {"/* never closed", "this comment is never closed"},
      {std::string("ENTRY e { p = f32[] para\0meter(0) }", 35), "NUL byte"},
      {"ENTRY e { p=f32[2] parameter(0) }", "put a space before '='"},
      {"ENTRY e { 7 = f32[2] parameter(0) }", "expected an instruction's name"},
      {"HloModule m, input_output_alias={ {0}: (3, {}) }\nENTRY e { ROOT p = f32[] parameter(0) }",
       "names parameter 3 of 1"},
      {"HloModule m, input_output_alias={ {2}: (0, {}) }\nENTRY e { ROOT p = f32[] parameter(0) }",
       "does not have"},
      {"HloModule m, input_output_alias={ {}: (0, {}), {}: (0, {}) }\n"
       "ENTRY e { ROOT p = f32[] parameter(0) }",
       "names one output twice"},
      {"HloModule m, input_output_alias={ {}: (0, {}) }\n"
       "ENTRY e { p = f32[] parameter(0)\n ROOT q = f32[2] broadcast(p) }",
       "ties f32[] to f32[2]"},
      {"HloModule m, input_output_alias={ {0} (0, {}) }\nENTRY e { ROOT p = f32[] parameter(0) }",
       "':'"},
      {"HloModule m, input_output_alias={ {0}: (0, {}\nENTRY e { ROOT p = f32[] parameter(0) }",
       "never closed"},
      {"ENTRY e { ROOT p = f32[?] parameter(0) }", "unknown size"},
      // Sizes that only come about.
      {"ENTRY e { p = pred[9223372036854775807] parameter(0)\n"
       " ROOT q = concatenate(p, p, p), dimensions={0} }",
       "t.hlo:2:7: 'q': concatenate: the size of a dim does not fit in 64 bits"},
      {"ENTRY e { p = f32[4294967296] parameter(0)\n ROOT q = dot(p, p) }",
       "t.hlo:2:7: 'q': dot: a product of sizes does not fit in 64 bits"},
      {"ENTRY e { p = f32[2,2,2,2,2,2,2,2] parameter(0)\n ROOT q = dot(p, p) }",
       "'q': dot: the result has more than 14 dims"},
      // Branches.
      {"b { ROOT p = f32[] parameter(0) }\nENTRY e { p = f32[] parameter(0)\n"
       " ROOT q = f32[] conditional(p, p, p), true_computation=b, false_computation=b }",
       "must be pred[], but it is f32[]"},
      {"b { ROOT p = f32[] parameter(0) }\nENTRY e { p = pred[] parameter(0)\n"
       " ROOT q = f32[] conditional(p, p), branch_computations={b} }",
       "must be s32[], but it is pred[]"},
      {"b { ROOT p = pred[] parameter(0) }\nENTRY e { p = pred[] parameter(0)\n"
       " ROOT q = pred[] conditional(p, p), true_computation=b }",
       "false_computation must name one computation"},
      {"ENTRY e { p = s32[] parameter(0)\n ROOT q = f32[] conditional(p), branch_computations={} }",
       "there are no branches"},
      {"b { ROOT p = f32[] parameter(0) }\nENTRY e { p = f32[] parameter(0)\n"
       " ROOT q = f32[] call(p), called_computations={b}, to_apply=c }",
       "'c' is not defined"},
      // Windows.
      {"b { a = f32[] parameter(0)\n c = f32[] parameter(1)\n ROOT d = f32[] add(a, c) }\n"
       "ENTRY e { p = f32[4] parameter(0)\n ROOT q = reduce-window(p, f32[] constant(0)), "
       "to_apply=b,"
       " window={size=2 pad=9223372036854775807_9223372036854775807} }",
       "the size of a dim does not fit in 64 bits"},
      {"b { a = f32[] parameter(0)\n c = f32[] parameter(1)\n ROOT d = f32[] add(a, c) }\n"
       "ENTRY e { p = f32[4] parameter(0)\n ROOT q = f32[4] reduce-window(p, f32[] constant(0)), "
       "to_apply=b, window={size=9223372036854775807 rhs_dilate=9223372036854775807} }",
       "declared f32[4], but it is f32[0]"},
  };
  for (const auto& test : cases) {
    const std::string& text = test.first;
    CAPTURE(text);
    const std::string message = error_of(text);
    CAPTURE(message);
    CHECK(message.starts_with("t.hlo:"));
    CHECK(message.find(test.second) != std::string::npos);
  }
}

TEST_CASE("single lines: the error names the line and what is wrong with it") {
  const std::pair<const char*, const char*> cases[] = {
      // Pieces.
      {"z = f33[2] parameter(6)", "'f33' is no element type"},
      {"z = f32[2 parameter(6)", "expected ']'"},
      {"z = f32[-2] parameter(6)", "negative size"},
      {"z = f32[99999999999999999999] parameter(6)", "does not fit in 64 bits"},
      {"z = f32[9999999999,9999999999] parameter(6)", "does not fit in 64 bits"},
      {"z = f32[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1] parameter(6)", "more than 14 dims"},
      {"z = f32[2,3]{0} parameter(6)", "lists 1 dims of a shape that has 2"},
      {"z = f32[2,3]{0,0} parameter(6)", "every dim of its shape once"},
      {"z = f32[2,3]{2,0} parameter(6)", "every dim of its shape once"},
      {"z = (f32[2] parameter(6)", "expected ')'"},
      {"z = f32[4,6] adds(x, y)", "unknown opcode 'adds'"},
      {"z = f32[4,6] add x, y)", "expected '('"},
      {"z = f32[4,6] add(x, y", "expected ')'"},
      {"z = f32[4,6] add(x y)", "expected ')'"},
      {"z = f32[4,6] add(x, )", "expected an operand"},
      {"z f32[4,6] add(x, y)", "expected '='"},
      {"z = ", "expected"},
      {"z = f32[4,6] add(x, y), ", "expected an attribute"},
      {"z = f32[4,6] add(x, y), metadata", "expected '='"},
      {"z = f32[4,6] add(x, y), metadata=", "expected a value"},
      {"z = f32[4,6] add(x, y), metadata={op_name=\"never closed}", "never closed"},
      {"z = f32[4,6] add(x, y), metadata={[}]", "expected ']' first"},
      // Operands.
      {"z = f32[4,6] add(x, q)", "operand 'q' is not defined"},
      {"z = f32[4,6] add(x, z)", "operand 'z' is not defined"},
      {"z = f32[4,6] add(x)", "add takes 2 operands, not 1"},
      {"z = f32[4,6] negate(x, y)", "negate takes 1 operands, not 2"},
      {"z = f32[4,6] add(f32[4] x, y)", "declared f32[4], but it is f32[4,6]"},
      {"z = f32[4,6] parameter(99999999999999999999)", "does not fit in 64 bits"},
      // Literals.
      {"z = f32[3] constant({1, 2})", "2 elements where 3 are required"},
      {"z = f32[2] constant({1, 2, 3})", "'}' after 2 elements"},
      {"z = f32[2,2] constant({1, 2, 3, 4})", "expected '{'"},
      {"z = f32[] constant({1})", "expected a number"},
      {"z = f32[] constant(one)", "expected a number"},
      {"z = (f32[]) constant(1)", "expected '('"},
      {"z = c64[] constant(((1, 2), 3))", "expected a number"},
      {"z = f32[6] custom-call(v), custom_call_target=\"c\", literal=s64[2] {0}",
       "1 elements where 2 are required"},
      // Shapes that do not follow.
      {"z = f32[4,7] add(x, y)", "declared f32[4,7], but it is f32[4,6]"},
      {"z = f32[4,6] add(x, v)", "operands f32[4,6] and f32[6] differ"},
      {"z = f32[4,6] compare(x, y), direction=LT", "but it is pred[4,6]"},
      {"z = pred[4,6] compare(x, y), direction=XX", "no direction"},
      {"z = pred[4,6] compare(x, y)", "compare needs the attribute direction"},
      {"z = f32[4,6] select(x, x, y)", "must be of type pred"},
      {"z = f32[4,6] clamp(v, x, s)", "does not fit"},
      {"z = f32[6,5] transpose(x), dimensions={1,0}", "but it is f32[6,4]"},
      {"z = f32[6,4] transpose(x), dimensions={1,1}", "names dim 1 twice"},
      {"z = f32[6,4] transpose(x), dimensions={1,2}", "names dim 2 of 2"},
      {"z = f32[6,4] transpose(x), dimensions={1}", "must name every dim"},
      {"z = f32[25] reshape(x)", "different numbers of elements"},
      {"z = f32[4,6,2] broadcast(x), dimensions={0}", "1 entries for an operand of 2 dims"},
      {"z = f32[6,4] broadcast(x), dimensions={0,1}", "dim 0 of f32[4,6] does not fit"},
      {"z = f32[8,6] concatenate(x, v), dimensions={0}", "do not join"},
      {"z = f32[8,6] concatenate(x, y), dimensions={0,1}", "must name one dim"},
      {"z = f32[2,6] slice(x), slice={[0:2]}", "1 ranges for 2 dims"},
      {"z = f32[2,6] slice(x), slice={[0:5], [0:6]}", "is not within dim 0"},
      {"z = f32[2,6] slice(x), slice={[0:4:1:2], [0:6]}", "expected ']'"},
      {"z = f32[2,6] slice(x), slice={[0:4:0], [0:6]}", "positive stride"},
      {"z = f32[4,6] pad(x, s), padding=1_1", "1 entries for 2 dims"},
      {"z = f32[4,6] pad(x, v), padding=0_0x0_0", "must be a scalar"},
      {"z = f32[0,6] pad(x, s), padding=-9_0x0_0", "negative, or too large"},
      {"z = f32[4,6] pad(x, s), padding=1x1", "expected '_'"},
      {"z = f32[4,4] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}",
       "differ in size"},
      {"z = f32[4,4] dot(x, y), lhs_contracting_dims={1}", "1 contracting dims on the left, 0"},
      {"z = f32[4,4] dot(x, y), lhs_contracting_dims={1}, lhs_contracting_dims={0}", "repeated"},
      {"z = f32[4,4] dot(x, y), lhs_contracting_dims={2}, rhs_contracting_dims={1}", "dim 2 of 2"},
      {"z = f32[4,4] dot(x, y), lhs_contracting_dims={1, rhs_contracting_dims={1}", "integer"},
      {"z = () bitcast(s)", "the result must be an array"},
      {"z = (f32[4,6], f32[4,6]) bitcast(x)", "the result must be an array"},
      {"z = (f32[4,6]) convert(x)", "the result must be an array"},
      {"z = f32[4,6] bitcast(f32[7] negate(v))",
       "t.hlo:11:24: 'negate.nested.6': negate: the result is declared f32[7], but it is f32[6]"},
      {"z = f32[4] reduce(x, i), dimensions={1}, to_apply=add",
       "operand 1 s32[] is reduced to f32"},
      {"z = s32[] reduce(s32[6] convert(v), i), dimensions={0}, to_apply=add",
       "operand 0 s32[6] is reduced to f32"},
      {"z = f32[4] reduce(x, s), dimensions={1}", "reduce needs the attribute to_apply"},
      {"z = f32[4] reduce(x, s), dimensions={1}, to_apply=later", "'later' is not defined"},
      {"z = f32[4] reduce(x, v), dimensions={1}, to_apply=add", "must be a scalar"},
      {"z = f32[6] reduce(x, s), dimensions={1}, to_apply=add", "but it is f32[4]"},
      {"z = f32[4,6] reduce-window(x, s), window={size=3x3 stride=2}, to_apply=add",
       "differ in their ranks"},
      {"z = f32[4,6] reduce-window(x, s), window={shape=3x3}, to_apply=add",
       "no field of a window"},
      {"z = f32[4,6] convolution(x, y), dim_labels=bf_oi", "not of the form"},
      {"z = f32[4,6] convolution(x, y), dim_labels=bf_io->b", "differ in their ranks"},
      {"z = f32[4,6] convolution(x, y), dim_labels=bf_ii->bf", "no list of dims"},
      {"z = f32[4,6] convolution(x, y), dim_labels=bf_io->bf", "the input has 6 features"},
      {"z = f32[4,7] convolution(x, f32[3,7] broadcast(s)), dim_labels=bf_io->bf, "
       "feature_group_count=2",
       "2 groups do not divide the 7 features"},
      {"z = f32[4,7] convolution(x, f32[6,7] broadcast(s)), dim_labels=bf_io->bf, "
       "batch_group_count=2",
       "2 groups do not divide the 7 features"},
      {"z = f32[4,9] convolution(x, f32[6,9] broadcast(s)), dim_labels=bf_io->bf, "
       "batch_group_count=3",
       "3 groups do not divide the 4 batches"},
      {"z = f32[4,6] select-and-scatter(x, y, s), select=add, scatter=add, window={size=2x1}",
       "the source f32[4,6] is not what the window selects of f32[4,6]: f32[3,6]"},
      {"z = f32[4,6] select-and-scatter(x, y, i), select=add, scatter=add, window={size=1x1}",
       "the initial value is of another type"},
      {"z = f32[4,6] get-tuple-element(x), index=0", "no tuple"},
      {"z = f32[4,6] get-tuple-element(t), index=2", "element 2 of a tuple of 2"},
      {"z = f32[4,6] add(t, t)", "must be an array"},
      {"z = f32[4,6] iota(), iota_dimension=2", "there are 2 dims"},
      {"z = f32[4,6] call(x, y), to_apply=add", "parameter 0 of 'add' is f32[]"},
      {"z = f32[] call(s), to_apply=add", "takes 2 parameters, not 1"},
      {"z = f32[] while(s), condition=add, body=add", "takes 2 parameters, not 1"},
      {"z = f32[4,6] sort(x), dimensions={0,1}, to_apply=add", "must name one dim"},
      {"z = f32[6] gather(x, i), offset_dims={0}, collapsed_slice_dims={0}, start_index_map={0}, "
       "index_vector_dim=0, slice_sizes={1}",
       "1 entries for 2 dims"},
      {"z = f32[6] gather(x, i), offset_dims={0}, collapsed_slice_dims={0}, start_index_map={0}, "
       "index_vector_dim=0, slice_sizes={1,7}",
       "is not within dim 1"},
      {"z = f32[6,4] gather(x, s32[1] broadcast(i)), offset_dims={1,0}, collapsed_slice_dims={}, "
       "start_index_map={0}, index_vector_dim=0, slice_sizes={4,6}",
       "offset_dims must be ascending"},
      {"z = f32[6] gather(x, s32[2] broadcast(i)), offset_dims={0}, collapsed_slice_dims={0}, "
       "start_index_map={0}, index_vector_dim=0, slice_sizes={1,6}",
       "start_index_map has 1 entries for index vectors of 2"},
      {"z = f32[5] gather(x, s32[5,1] broadcast(i)), offset_dims={}, collapsed_slice_dims={1}, "
       "start_index_map={1}, operand_batching_dims={0}, start_indices_batching_dims={0}, "
       "index_vector_dim=1, slice_sizes={1,1}",
       "batching dims 0 of the operand and 0 of the indices differ in size"},
      {"z = f32[4,6] scatter(x, s32[4,1] broadcast(i), y), update_window_dims={1}, "
       "inserted_window_dims={}, input_batching_dims={0}, scatter_indices_batching_dims={}, "
       "scatter_dims_to_operand_dims={1}, index_vector_dim=1, to_apply=add",
       "batching dims do not pair up"},
      {"z = f32[4,6] scatter(x, s32[5,1] broadcast(i), f32[5,6] broadcast(s)), "
       "update_window_dims={1}, inserted_window_dims={}, input_batching_dims={0}, "
       "scatter_indices_batching_dims={0}, scatter_dims_to_operand_dims={1}, index_vector_dim=1, "
       "to_apply=add",
       "batching dims 0 of the operand and 0 of the indices differ in size"},
      {"z = f32[4,6] scatter(x, s32[4,1] broadcast(i), f32[4] broadcast(s)), "
       "update_window_dims={}, inserted_window_dims={0}, input_batching_dims={0}, "
       "scatter_indices_batching_dims={0}, scatter_dims_to_operand_dims={1}, index_vector_dim=1, "
       "to_apply=add",
       "dim 0 is in both inserted_window_dims and input_batching_dims"},
      {"z = f32[4,6] scatter(x, s32[1,4] broadcast(i), f32[1,6] broadcast(s)), "
       "update_window_dims={1}, inserted_window_dims={}, input_batching_dims={0}, "
       "scatter_indices_batching_dims={1}, scatter_dims_to_operand_dims={1}, index_vector_dim=1, "
       "to_apply=add",
       "a batching dim is the index_vector_dim"},
      {"z = f32[4,6] scatter(x, s32[4,1] broadcast(i), y), update_window_dims={1}, "
       "inserted_window_dims={}, input_batching_dims={0}, scatter_indices_batching_dims={0}, "
       "scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add",
       "in both scatter_dims_to_operand_dims and input_batching_dims"},
      {"z = f32[4,6] scatter(x, s32[3,2] broadcast(i), f32[3] broadcast(s)), "
       "update_window_dims={}, "
       "inserted_window_dims={1,0}, scatter_dims_to_operand_dims={0,1}, index_vector_dim=1, "
       "to_apply=add",
       "inserted_window_dims must be ascending"},
      {"z = f32[4,6] scatter(x, s32[1] broadcast(i), f32[6,4] broadcast(s)), "
       "update_window_dims={1,0}, inserted_window_dims={}, scatter_dims_to_operand_dims={0}, "
       "index_vector_dim=0, to_apply=add",
       "update_window_dims must be ascending"},
      {"z = f32[4,6] scatter(x, i), update_window_dims={}, inserted_window_dims={}, "
       "scatter_dims_to_operand_dims={}, index_vector_dim=0, to_apply=add",
       "3 or more operands"},
      {"z = f32[4,6] all-reduce(x), replica_groups=[2,2,2]<=[8], to_apply=add", "have two dims"},
      {"z = f32[4,6] all-reduce(x), replica_groups=[2,4]<=[9], to_apply=add", "as many devices"},
      {"z = f32[4,6] all-reduce(x), replica_groups=[2,4]<=[2,4], to_apply=add", "T(...)"},
      {"z = f32[4,6] all-reduce(x), replica_groups={{0,1},{2,3}, to_apply=add",
       "'{' before a list of integers"},
      {"z = f32[4,6] copy(x), sharding={devices=[2,2]0,1,2}", "3 devices for 4 tiles"},
      {"z = f32[4,6] copy(x), sharding=replicated", "'{' before a sharding"},
      {"z = f32[4,6] all-reduce(x), channel_id=one, to_apply=add", "expected an integer"},
      {"z = f32[4,6] sort(x), dimensions={0}, is_stable=maybe, to_apply=add", "true or false"},
      {"z = f32[4,6] batch-norm-inference(x, v, v, v, v), epsilon=tiny, feature_index=1",
       "expected a number"},
      {"z = f32[4,6] batch-norm-inference(x, s, v, v, v), epsilon=1e-5, feature_index=1",
       "does not fit"},
  };
  for (const auto& test : cases) {
    const std::string line = test.first;
    CAPTURE(line);
    const std::string message = error_of(with_line(line));
    CAPTURE(message);
    CHECK(message.starts_with("t.hlo:"));
    CHECK(message.find(test.second) != std::string::npos);
    CHECK(message.size() < 400);
  }
}

TEST_CASE("the position is that of the text at fault") {
  const auto position_of_error = [](const std::string& text) {
    try {
      read_module(text, "t.hlo");
      return Position{0, 0};
    } catch (const InputError& error) {
      return error.position().value_or(Position{0, 0});
    }
  };
  CHECK(position_of_error("ENTRY e {\n  p = f32[2] parameter(0)\n  q = f32[2] add(p, lost)\n}") ==
        Position{3, 21});
  CHECK(position_of_error("ENTRY e {\n  p = f32[2] parametre(0)\n}") == Position{2, 14});
}

TEST_CASE("deep nesting of every kind is refused, not crashed upon") {
  constexpr int depth = 100'000;
  const std::string deep_tuple = "ENTRY e { p = " + std::string(depth, '(') +
                                 std::string(depth, ')') + " parameter(0) }";
  CHECK(error_of(deep_tuple).find("too deeply") != std::string::npos);
  std::string nested = "ENTRY e { p = f32[] parameter(0)\n q = f32[] ";
  for (int i = 0; i < depth; ++i) nested += "negate(";
  CHECK(error_of(nested).find("too deeply") != std::string::npos);
  CHECK(error_of("ENTRY e { p = f32[1] constant(" + std::string(depth, '{')).find("expected") !=
        std::string::npos);
  CHECK(error_of("HloModule m, a=" + std::string(depth, '[')).find("never closed") !=
        std::string::npos);
  CHECK(error_of("ENTRY e { p = c64[] constant(" + std::string(depth, '('))
            .find("expected a number") != std::string::npos);
  std::string tuples = "ENTRY e { t0 = f32[] parameter(0)\n";
  for (int i = 0; i < 1000; ++i)
    tuples += "t" + std::to_string(i + 1) + " = tuple(t" + std::to_string(i) + ")\n";
  CHECK(error_of(tuples).find("tuples nest too deeply") != std::string::npos);
  std::string inlined = "ENTRY e { x = f32[1] parameter(0)\n";
  for (int i = 0; i < 1000; ++i) inlined += "r = f32[] call(), to_apply={";
  CHECK_FALSE(error_of(inlined).empty());
}

TEST_CASE("shapes that double with every line are refused before they fill the memory") {
  std::string tuples = "ENTRY e { t0 = f32[] parameter(0)\n";
  for (int i = 0; i < 60; ++i) {
    const std::string before = "t" + std::to_string(i);
    tuples += "t" + std::to_string(i + 1) + " = tuple(" + before + ", " + before + ")\n";
  }
  CHECK(error_of(tuples).find("a tuple of over 1000000 parts") != std::string::npos);
  std::string copies = tuples.substr(0, tuples.find("t19 =")) + "c0 = copy(t18)\n";
  for (int i = 0; i < 60; ++i)
    copies += "c" + std::to_string(i + 1) + " = copy(c" + std::to_string(i) + ")\n";
  CHECK(error_of(copies).find("the shapes that the text leaves out") != std::string::npos);

  std::string calls = "f0 { x = f32[] parameter(0)\n ROOT y = f32[] negate(x) }\n";
  for (int i = 1; i <= 60; ++i) {
    const std::string callee = "f" + std::to_string(i - 1);
    calls += "f" + std::to_string(i) +
             " { x = f32[] parameter(0)\n a = f32[] call(x), to_apply=" + callee +
             "\n ROOT b = f32[] call(a), to_apply=" + callee + " }\n";
  }
  const std::string message = error_of(calls);
  CAPTURE(message);
  CHECK(message.starts_with("t.hlo:"));
  CHECK(message.find("with every call written out") != std::string::npos);
}

TEST_CASE("names of any length make messages that can be read") {
  const std::string name(100'000, 'n');
  const std::string line = name + " = f32[5] add(x, x)\n  w = f32[4,6] negate(" + name + ")";
  for (const std::string& text :
       {with_line(line), with_line("w = f32[4,6] negate(" + name + ")"),
        with_line("w = f32[4] reduce(x, s), dimensions={1}, to_apply=" + name),
        with_line("w = f32[4,6] negate(x), " + name + "=1, " + name + "=2")}) {
    const std::string message = error_of(text);
    CAPTURE(message.substr(0, 1000));
    CHECK(message.size() > 0);
    CHECK(message.size() < 400);
  }
  std::string tuple = "w = (";
  for (int i = 0; i < 1000; ++i) tuple += i == 0 ? "f32[7]" : ", f32[7]";
  const std::string message = error_of(with_line(tuple + ") tuple(x)"));
  CHECK(message.find("but it is (f32[4,6])") != std::string::npos);
  CHECK(message.size() < 400);
}

TEST_CASE("ten megabytes on one line are read, and an error at its end is placed") {
  std::string text = "ENTRY e { x0 = f32[2] parameter(0) ";
  int i = 0;
  for (; text.size() < 10'000'000; ++i)
    text += "x" + std::to_string(i + 1) + " = f32[2] negate(x" + std::to_string(i) + ") ";
  CHECK(error_of(text + "}").empty());
  const std::string message = error_of(text + "y = f32[2] negate(lost) }");
  CHECK(message.starts_with("t.hlo:1:"));
  CHECK(message.find("'lost' is not defined") != std::string::npos);
}

TEST_CASE("property: a valid text that is cut or has a byte changed is read or refused, no more") {
  const std::string text = with_line(
      "z = f32[4,4] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={1}, "
      "sharding={devices=[2,2]<=[4]}, metadata={op_name=\"a\" source_line=3}\n"
      "  w = (f32[4], f32[4]) reduce(x, y, s, s), dimensions={1}, to_apply={ a = f32[] "
      "parameter(0)\n"
      "   b = f32[] parameter(1)\n c = f32[] parameter(2)\n d = f32[] parameter(3)\n"
      "   ROOT t = (f32[], f32[]) tuple(a, b) }\n"
      "  ROOT k = f32[2,2] constant({ { 1, 2.5 }, { nan, -1e-05 } })");
  CHECK(error_of(text).empty());
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    std::string changed = text;
    if (random.once_in(3)) changed.resize(random.below(changed.size()));
    for (int edits = 0; edits < 3 && !changed.empty(); ++edits) {
      const std::size_t at = random.below(changed.size());
      switch (random.below(3)) {
        case 0: changed[at] = static_cast<char>(random.between(0, 127)); break;
        case 1: changed.erase(at, 1 + random.below(5)); break;
        default: changed.insert(at, 1, "{}()[],=%:;\"'x0-"[random.below(16)]); break;
      }
    }
    CHECK_NOTHROW(error_of(changed));  // anything but an InputError is a defect
  }
}

}  // namespace
