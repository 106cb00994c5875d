// SPDX-License-Identifier: Apache-2.0
// Import: plumbing dissolves, called computations are taken in, what has no rule is reported.
#include <doctest/doctest.h>

#include <array>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "support/files.hpp"
#include "support/opcode_samples.hpp"
#include "tessera/core/text.hpp"
#include "tessera/graph.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"

namespace {
using namespace tessera;
using namespace tessera::io::hlo;
using tessera::io::hlo::detail::opcode_entries;
using tessera::io::hlo::detail::OpcodeEntry;
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
  CHECK(op_named(program, "z/b").opcode == graph::Opcode::add);
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
  CHECK(op_named(program, "w/condition/l").opcode == graph::Opcode::compare);
}

TEST_CASE("every branch of a conditional is taken in") {
  const Program program = program_of(
      "same { ROOT a = f32[8] parameter(0) }\nneg { a = f32[8] parameter(0)\n"
      " ROOT b = f32[8] negate(a) }\nENTRY e { p = pred[] parameter(0)\n x = f32[8] parameter(1)\n"
      " ROOT c = f32[8] conditional(p, x, x), true_computation=same, false_computation=neg }");
  const graph::OpId id = program.graph.outputs[0].op;
  CHECK(program.graph.op(id).opcode == graph::Opcode::conditional);
  REQUIRE(program.graph.operand_count(id) == 3);
  CHECK(program.graph.op(program.graph.operand(id, 0).op).name == "p");
  CHECK(op_named(program, "c/branch1/b").opcode == graph::Opcode::negate);
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

TEST_CASE("ops without a rule are kept whole and counted by opcode") {
  const Program program = program_of(
      "ENTRY e { x = f32[4,4] parameter(0)\n a = f32[4,4] scaled-dot(x, x)\n b = f32[4,4] "
      "scaled-dot(a, x)\n"
      " c = f32[4,4] custom-call(b), custom_call_target=\"mystery\"\n"
      " d = f32[4,4] custom-call(c), custom_call_target=\"Sharding\"\n"
      " ROOT r = f32[4,4] custom-call(d), custom_call_target=\"known\" }",
      [] {
        ImportOptions options;
        options.custom_calls["known"] = CustomCall::elementwise;
        return options;
      }());
  CHECK(program.kept_whole.size() == 2);
  CHECK(program.kept_whole.at("scaled-dot") == 2);
  CHECK(program.kept_whole.at("custom-call mystery") == 1);
  CHECK(op_named(program, "a").rule.factor(0).kind == graph::FactorKind::whole);
  CHECK(op_named(program, "r").rule.factor(0).kind == graph::FactorKind::parallel);
}

TEST_CASE("branches follow their operands in whatever order the attributes stand") {
  const Program program = program_of(
      "same { ROOT a = f32[8] parameter(0) }\nneg { a = f32[8] parameter(0)\n"
      " ROOT b = f32[8] negate(a) }\nENTRY e { p = pred[] parameter(0)\n x = f32[8] parameter(1)\n"
      " ROOT c = f32[8] conditional(p, x, x), false_computation=neg, true_computation=same }");
  CHECK(op_named(program, "c/branch1/b").opcode == graph::Opcode::negate);
}

TEST_CASE("a tuple of constants is an op for each of its arrays") {
  const Program program = program_of(
      "ENTRY e { c = (f32[], (f32[2], ())) constant((1, ({1, 2}, ())))\n"
      " t = (f32[2], ()) get-tuple-element(c), index=1\n"
      " ROOT b = f32[2] get-tuple-element(t), index=0 }");
  CHECK(program.graph.op_count() == 2);
  CHECK(program.graph.op(program.graph.outputs[0].op).name == "c{1}");
  CHECK(op_named(program, "c{0}").opcode == graph::Opcode::constant);
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

// What splitting an op can mean, in the words of the table in graph/README.md.
std::set<std::string> splits_of(const Program& program, std::size_t entry) {
  std::set<std::string> words;
  if (!program.kept_whole.empty()) return {"none"};
  const OwnOps own = program.own_ops[entry].back()[0];
  if (own.begin == own.end) return {"plumbing"};
  for (graph::OpId id = own.begin; id < own.end; ++id) {
    const graph::Rule& rule = program.graph.op(id).rule;
    for (std::size_t f = 0; f < rule.factor_count(); ++f) switch (rule.factor(f).kind) {
        case graph::FactorKind::parallel: words.insert("free"); break;
        case graph::FactorKind::reduction: words.insert("partial"); break;
        case graph::FactorKind::window: words.insert("halo"); break;
        case graph::FactorKind::whole: words.insert("whole"); break;
      }
  }
  return words;
}
std::set<std::string> passes_of(const Program& program, std::size_t entry) {
  std::set<std::string> words;
  const OwnOps own = program.own_ops[entry].back()[0];
  for (graph::OpId id = own.begin; id < own.end; ++id) {
    const graph::Rule& rule = program.graph.op(id).rule;
    for (std::size_t p = 0; p < rule.pass_count(); ++p)
      for (unsigned r = 1; r < 8; ++r)
        if (rule.pass(p).reductions == graph::any_reduction)
          words.insert("any");
        else if ((rule.pass(p).reductions & (1U << r)) != 0)
          words.insert(to_string(static_cast<Reduction>(r)));
  }
  return words;
}

// The words of one cell: "free, halo".  "-" is none.
std::set<std::string> words_in(const std::string& cell) {
  std::set<std::string> words;
  std::string word;
  for (const char c : cell + ',') {
    if (c == ',') {
      if (!word.empty() && word != "-") words.insert(word);
      word.clear();
    } else if (c != ' ' && c != '`') {
      word += c;
    }
  }
  return words;
}

std::string list_of(const std::set<std::string>& words) {
  return joined(words, ", ", [](const std::string& word) { return word; });
}

TEST_CASE("every opcode splits as the table in graph/README.md says") {
  std::map<std::string, std::array<std::set<std::string>, 2>> table;  // splits, passes
  std::istringstream text(
      io::read_file(std::string(TESSERA_SOURCE_DIR) + "/include/tessera/graph/README.md"));
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("| `")) continue;
    std::array<std::string, 4> cells;
    std::istringstream row(line.substr(1));
    for (std::string& cell : cells) std::getline(row, cell, '|');
    for (const std::string& opcode : words_in(cells[0])) {
      CAPTURE(opcode);
      CHECK(table.emplace(opcode, std::array{words_in(cells[1]), words_in(cells[2])}).second);
    }
  }
  for (const OpcodeEntry& entry : opcode_entries()) {
    const std::string name(graph::to_string(entry.opcode));
    CAPTURE(name);
    REQUIRE(table.contains(name));
    std::array<std::set<std::string>, 2> found;
    for (const std::string& sample : tessera_test::opcode_samples(entry)) {
      CAPTURE(sample);
      const Module module = read_module(tessera_test::sample_module(sample), "t.hlo");
      const Program program = import_module(module);
      found[0].merge(splits_of(program, module.entry));
      found[1].merge(passes_of(program, module.entry));
    }
    const auto& told = table.at(name);
    CHECK(list_of(found[0]) == list_of(told[0]));
    CHECK(list_of(found[1]) == list_of(told[1]));
  }
  CHECK(table.size() == opcode_entries().size());
}

TEST_CASE("a loss that picks each row's target splits by rows, and by the vocabulary") {
  const auto loss = [](const std::string& rows, const std::string& map) {
    return program_of(
        "add { a = f32[] parameter(0)\n b = f32[] parameter(1)\n ROOT c = f32[] add(a, b) }\n"
        "ENTRY e { x = f32[16,100] parameter(0)\n t = s32[16] parameter(1)\n"
        " i = s32[16] iota(), iota_dimension=0\n w = s64[16] convert(i)\n n = s32[16] convert(w)\n"
        " r = s32[16,1] reshape(" +
        rows +
        ")\n u = s32[16,1] reshape(t)\n v = s32[16,2] concatenate(r, u), dimensions={1}\n"
        " g = f32[16] gather(x, v), offset_dims={}, collapsed_slice_dims={0,1}, start_index_map={" +
        map +
        "}, index_vector_dim=1, slice_sizes={1,1}\n"
        " ROOT s = f32[16,100] scatter(x, v, g), update_window_dims={}, "
        "inserted_window_dims={0,1}, scatter_dims_to_operand_dims={" +
        map + "}, index_vector_dim=1, to_apply=add }");
  };
  const Program program = loss("n", "0,1");
  const graph::Rule& gather = op_named(program, "g").rule;
  CHECK(gather.dim(0, 0)[0] == gather.dim(1, 0)[0]);
  CHECK(gather.dim(0, 0)[0] == gather.dim(2, 0)[0]);
  CHECK(gather.factor(gather.dim(0, 0)[0]).kind == graph::FactorKind::parallel);
  CHECK(gather.factor(gather.dim(0, 1)[0]).kind == graph::FactorKind::reduction);
  const graph::Rule& scatter = op_named(program, "s").rule;
  CHECK(scatter.dim(0, 0)[0] == scatter.dim(1, 0)[0]);
  // Rows that are not counted, or counted where they name the other dim, are like any others.
  for (const Program& other : {loss("t", "0,1"), loss("n", "1,0")}) {
    const graph::Rule& rule = op_named(other, "g").rule;
    CHECK(rule.dim(0, 0)[0] != rule.dim(1, 0)[0]);
    CHECK(rule.factor(rule.dim(0, 0)[0]).kind == graph::FactorKind::reduction);
  }
}

TEST_CASE("the real dumps become graphs, and none of their ops is kept whole") {
  const auto kept = [](const std::string& name) -> std::map<std::string, std::size_t> {
    const auto path = shared_file(name);
    if (!path) return {};
    return import_module(read_module(io::read_file(*path), *path)).kept_whole;
  };
  CHECK(kept("hlo/mlp_train_step.hlo").empty());
  CHECK(kept("hlo/gpt2_2layer_inference.hlo").empty());
  CHECK(kept("hlo/bert_forward_backward.hlo").empty());
}

}  // namespace
