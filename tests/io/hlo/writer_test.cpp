// SPDX-License-Identifier: Apache-2.0
// Graphs written as HLO: what is read back is equal to what was written.
#include <doctest/doctest.h>

#include <filesystem>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/files.hpp"
#include "support/random.hpp"
#include "tessera/graph.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"
#include "tessera/io/hlo/writer.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;
using tessera_test::Random;

Graph read(const std::string& text) {
  return io::hlo::import_module(io::hlo::read_module(text, "test.hlo")).graph;
}
void check_round_trip(const Graph& graph) {
  const std::string text = io::hlo::write_hlo(graph, "test");
  CAPTURE(text);
  CHECK(difference(graph, read(text)) == "");
}

// Attributes stay attached to every op: nothing that was written is empty when it comes back.
TEST_CASE("the text of an op has its attributes") {
  const Graph graph = read(
      "HloModule t\n"
      "less { a = f32[] parameter(0)\n b = f32[] parameter(1)\n c = s32[] parameter(2)\n"
      " d = s32[] parameter(3)\n ROOT r = pred[] compare(a, b), direction=LT }\n"
      "last { a = f32[] parameter(0)\n ROOT b = f32[] parameter(1) }\n"
      "far { a = f32[] parameter(0)\n b = f32[] parameter(1)\n c = f32[] abs(b)\n"
      " ROOT d = f32[] maximum(a, c) }\n"
      "least { a = f32[] parameter(0)\n i = s32[] parameter(1)\n b = f32[] parameter(2)\n"
      " j = s32[] parameter(3)\n less = pred[] compare(a, b), direction=LE\n"
      " c = f32[] select(less, a, b)\n k = s32[] select(less, i, j)\n"
      " ROOT t = (f32[], s32[]) tuple(c, k) }\n"
      "ENTRY e {\n"
      "  x = f32[4,6] parameter(0)\n"
      "  n = s32[4,6] iota(), iota_dimension=1\n"
      "  s = (f32[4,6], s32[4,6]) sort(x, n), dimensions={1}, is_stable=true, to_apply=less\n"
      "  v = f32[4,6] get-tuple-element(s), index=0\n"
      "  i = s32[4,6] get-tuple-element(s), index=1\n"
      "  t = (f32[4,2], s32[4,2]) topk(v), k=2, largest=false\n"
      "  u = f32[4,2] get-tuple-element(t), index=0\n"
      "  at = s32[3,1] constant({{0}, {2}, {2}})\n"
      "  rows = f32[3,6] gather(x, at), offset_dims={1}, collapsed_slice_dims={0},"
      " start_index_map={0}, index_vector_dim=1, slice_sizes={1,6}\n"
      "  set = f32[4,6] scatter(x, at, rows), update_window_dims={1}, inserted_window_dims={0},"
      " scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=last\n"
      "  z = s32[] constant(1)\n"
      "  cut = f32[2,3] dynamic-slice(set, z, z), dynamic_slice_sizes={2,3}\n"
      "  put = f32[4,6] dynamic-update-slice(set, cut, z, z)\n"
      "  odd = f32[4,6] custom-call(put), custom_call_target=\"AwsNeuronGelu\"\n"
      "  zero = f32[] constant(0)\n"
      "  most = f32[4] reduce(odd, zero), dimensions={1}, to_apply=far\n"
      "  low = (f32[6], s32[6]) reduce(odd, i, zero, z), dimensions={0}, to_apply=least\n"
      "  where = s32[6] get-tuple-element(low), index=1\n"
      "  ROOT out = (f32[4,6], s32[4,6], f32[4,2], f32[4], s32[6])"
      " tuple(odd, i, u, most, where)\n}\n");
  const auto attributes = [&](const std::string& name) {
    for (OpId id = 0; id < graph.op_count(); ++id)
      if (graph.op(id).name == name) return graph.op(id).attributes;
    throw std::logic_error("no op " + name);
  };
  CHECK(attributes("n") == Dim{1});
  CHECK(attributes("s") == Sorting{1, Direction::lt, true});
  CHECK(attributes("t") == TopK{2, false});
  CHECK(attributes("at") == Literal{std::vector<std::int64_t>{0, 2, 2}});
  CHECK(attributes("z") == Literal{std::vector<std::int64_t>{1}});
  CHECK(attributes("rows") == GatherDims{{1}, {0}, {0}, {1, 6}, {}, {}, 1});
  CHECK(attributes("set") == Scattering{{{1}, {0}, {0}, {}, {}, 1}, Reduction::none});
  CHECK(attributes("odd") == Target{"AwsNeuronGelu"});
  CHECK(attributes("cut").empty());
  CHECK(attributes("most") ==
        ReducingBy{{1}, {{Opcode::abs, {1}}, {Opcode::maximum, {0, 2}}}, {3}});
  CHECK(attributes("low") == ReducingBy{{0},
                                        {{Opcode::compare, {0, 2}, Direction::le},
                                         {Opcode::select, {4, 0, 2}},
                                         {Opcode::select, {4, 1, 3}}},
                                        {5, 6}});
  check_round_trip(graph);
}

TEST_CASE("literals of every kind of element") {
  const auto literal_of = [](const std::string& constant) {
    const Graph graph = read("HloModule t\nENTRY e { ROOT c = " + constant + " }\n");
    check_round_trip(graph);
    return graph.op(0).attributes;
  };
  using Integers = std::vector<std::int64_t>;
  using Numbers = std::vector<double>;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK(literal_of("f32[] constant(0.1)") == Literal{Numbers{0.1}});
  CHECK(literal_of("f32[] constant(-inf)") == Literal{Numbers{-infinity}});
  CHECK(literal_of("f32[] constant(-0)") == Literal{Numbers{-0.0}});
  CHECK_FALSE(literal_of("f32[] constant(-0)") == Literal{Numbers{0.0}});
  CHECK(literal_of("f64[] constant(1e400)") == Literal{Numbers{infinity}});
  CHECK(literal_of("f64[] constant(-1e-400)") == Literal{Numbers{-0.0}});
  CHECK(literal_of("f32[] constant(nan)") == literal_of("f32[] constant(nan)"));
  CHECK(literal_of("f32[2,2] constant({{1, 2}, /*x*/ {3, 4e3}})") ==
        Literal{Numbers{1, 2, 3, 4e3}});
  CHECK(literal_of("f32[2,2] constant({{1, 1}, {1, 1}})") == Literal{Numbers{1}});
  CHECK(literal_of("pred[2] constant({true, false})") == Literal{Integers{1, 0}});
  CHECK(literal_of("s64[] constant(-9223372036854775808)") ==
        Literal{Integers{std::numeric_limits<std::int64_t>::min()}});
  CHECK(literal_of("u64[] constant(18446744073709551615)") == Literal{Integers{-1}});
  CHECK(literal_of("c64[2] constant({(1, 2), (1, 2)})") == Literal{Numbers{1, 2, 1, 2}});
  CHECK(literal_of("f32[0] constant({})") == Literal{Numbers{}});
  // A dump that leaves elements out says nothing about the others.
  CHECK(
      read("HloModule t\nENTRY e { ROOT c = f32[9] constant({...}) }\n").op(0).attributes.empty());
}

TEST_CASE("windows and paddings keep every field") {
  Random random(3);
  for (int round = 0; round < 50; ++round) {
    CAPTURE(round);
    Builder b;
    const Tensor x = b.parameter("x", f32, {2, 8, 9, 3}), w = b.parameter("w", f32, {2, 3, 3, 4});
    std::vector<WindowDim> window;
    for (const Extent size : {2, 3}) {
      WindowDim dim{size, random.between(1, 3), random.between(-1, 2), random.between(-1, 2)};
      dim.lhs_dilate = random.between(1, 2);
      dim.rhs_dilate = random.between(1, 2);
      dim.is_reversed = random.once_in(3);
      window.push_back(dim);
    }
    const Tensor y = convolution(x, w, {graph::image_dims(), window});
    for (WindowDim& dim : window) dim.is_reversed = false;
    window.insert(window.begin(), WindowDim{});
    window.push_back(WindowDim{});
    const Tensor z = reduce_window(x, window, Reduction::max);
    const auto range = [&] {
      return PaddingRange{random.between(-1, 2), random.between(-1, 2), random.between(0, 2)};
    };
    b.output(pad(y, b.constant(f32, {}, 1), {range(), range(), range(), range()}));
    b.output(z);
    b.output(y);
    check_round_trip(b.graph());
  }
}

TEST_CASE("outputs and aliases keep their places") {
  Builder b;
  const Tensor w = b.parameter("w", f32, {4}), v = b.parameter("v", f32, {4});
  b.output(w + v);
  b.update(v, w);  // handed over unchanged
  b.update(w, w + v);
  b.output(b.tensor({2, 0}));
  check_round_trip(b.graph());
  Builder empty;
  empty.parameter("outputs", f32, {2});
  check_round_trip(empty.graph());
}

TEST_CASE("dumps without loops and fusions are written back as they were read") {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(tessera_test::model_file("gpt_2_layer_step.hlo")).parent_path())) {
    const std::string path = entry.path().string();
    CAPTURE(path);
    check_round_trip(read(io::read_file(path)));
    ++count;
  }
  CHECK(count >= 5);
}

TEST_CASE("ops that have no text are refused by name") {
  const Dims dims{4};
  const auto refusal = [](Op op) {
    Graph graph;
    graph.add(std::move(op), {});
    try {
      io::hlo::write_hlo(graph);
    } catch (const tessera::InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  CHECK(refusal({"c", Opcode::constant, {{f32, dims}}, source_rule(dims)}) ==
        "op 'c' can not be written as HLO: its attributes are not known");
  CHECK(refusal({"while/x", Opcode::iota, {{f32, dims}}, source_rule(dims)}) ==
        "op 'while/x' can not be written as HLO: that is no name in HLO");
  Op magic{"r", Opcode::unknown, {{f32, dims}}, source_rule(dims)};
  magic.spelling = "magic";
  CHECK(refusal(magic) == "op 'r' can not be written as HLO: magic has no writer");
  const Dims both[] = {dims, dims};
  Op carried{"w", Opcode::while_loop, {{f32, dims}}, elementwise_rule(both, dims)};
  carried.is_loop_state = true;
  Graph loop;
  loop.add({"x", Opcode::parameter, {{f32, dims}}, source_rule(dims)}, {});
  loop.op(0).is_parameter = true;
  const Value x{0, 0};
  loop.add(std::move(carried), std::span(&x, 1));
  CHECK_THROWS_WITH(io::hlo::write_hlo(loop),
                    "op 'w' can not be written as HLO: it is a value that a loop carries");
}

TEST_CASE("an op without a buffer has a hint, which has one value only") {
  Builder b;
  const Tensor x = b.parameter("x", f32, {4}), e = exp(x);
  b.output(e * x);
  Graph graph = b.graph();
  graph.op(e.value().op).has_buffer = false;
  const std::string text = io::hlo::write_hlo(graph, "test");
  CHECK(text.find("exponential(x), frontend_attributes={tessera.buffer=\"none\"}\n") !=
        std::string::npos);
  check_round_trip(graph);

  const auto hinted = [](const std::string& hint) {
    const std::string hints = ", frontend_attributes={other=\"a\"," + hint + "}";
    return read(
        "HloModule t\nf { a = f32[4] parameter(0)\n b = f32[4] negate(a)\n"
        " ROOT c = f32[4] exponential(b) }\n"
        "ENTRY e {\n  x = f32[4] parameter(0)" +
        hints + "\n  y = f32[4] fusion(x), kind=kLoop, calls=f" + hints + "\n  z = f32[4] copy(y)" +
        hints + "\n  ROOT t = (f32[4], f32[4]) tuple(z, x)" + hints + "\n}\n");
  };
  // A fusion's result may have none either; parameters and what is returned always do.
  const Graph mixed = hinted("tessera.buffer=\"none\"");
  REQUIRE(mixed.op_count() == 4);
  for (OpId id = 0; id < 4; ++id) CHECK(mixed.op(id).has_buffer == (id == 0 || id == 3));
  CHECK(hinted("tessera.buffers=\"none\"").op(2).has_buffer);
  CHECK_THROWS_WITH(hinted("tessera.buffer=\"some\""),
                    doctest::Contains("'x': tessera.buffer is 'some'; it can only be \"none\""));
}

TEST_CASE("the first difference is named") {
  const auto program = [](double number, bool is_output) {
    Builder b;
    const Tensor x = b.parameter("x", f32, {2});
    const Tensor y = x * b.constant(f32, {}, number);
    if (is_output) b.output(y);
    return b.graph();
  };
  CHECK(difference(program(1, true), program(1, true)) == "");
  CHECK(difference(program(1, true), program(2, true)) ==
        "op 1 ('constant.1'): the attributes differ");
  CHECK(difference(program(1, true), program(1, false)) == "the outputs differ");
  Builder b;
  b.parameter("y", f32, {2});
  CHECK(difference(program(1, true), b.graph()) == "op 0 ('x'): the other's name is 'y'");
}

}  // namespace
