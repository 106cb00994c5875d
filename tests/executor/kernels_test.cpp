// SPDX-License-Identifier: Apache-2.0
// Kernels, held against a plain evaluator of the tests' own, and ops that it does not know by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "support/evaluate.hpp"
#include "support/programs.hpp"
#include "support/random.hpp"
#include "tessera/executor/detail/verification/tolerances.hpp"
#include "tessera/executor/inputs.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/graph.hpp"
#include "tessera/io.hpp"
#include "tessera/models.hpp"

namespace {
using namespace tessera;
using executor::Tensor;
using graph::Builder;
using graph::ElementType;

Tensor tensor_of(ElementType element, const Dims& dims, const std::vector<double>& values) {
  Tensor tensor(element, dims);
  for (std::size_t i = 0; i < tensor.size(); ++i) tensor.set_number(i, values[i]);
  return tensor;
}
std::vector<double> numbers_of(const Tensor& tensor) {
  std::vector<double> numbers;
  for (std::size_t i = 0; i < tensor.size(); ++i) numbers.push_back(tensor.number(i));
  return numbers;
}

// Both ways, in double.
void check_program(const graph::Graph& program, std::uint64_t seed) {
  const graph::Graph graph = executor::with_floats(program, graph::f64);
  const std::vector<Tensor> inputs = executor::random_inputs(graph, seed);
  std::map<std::string, tessera_test::Array> parameters;
  const std::vector<graph::OpId> ids = executor::parameters_of(graph);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    tessera_test::Array array(inputs[i].dims());
    array.data = numbers_of(inputs[i]);
    parameters.emplace(graph.op(ids[i]).name, array);
  }
  const std::vector<tessera_test::Array> expected = tessera_test::Evaluator(graph).run(parameters);
  const std::vector<Tensor> outputs = executor::interpret(graph, inputs);
  REQUIRE(outputs.size() == graph.outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const graph::Op& op = graph.op(graph.outputs[i].op);
    CAPTURE(op.name);
    const Tensor plain =
        tensor_of(op.results[0].element, op.results[0].dims, expected[graph.outputs[i].op].data);
    CHECK(executor::detail::whole_difference(outputs[i], plain) < 1e-9);
  }
}

TEST_CASE("whole training steps come out as the plain evaluator has them") {
  for (const char* const name :
       {"mlp:layers=2,width=6,classes=5,batch=4",
        "gpt:layers=1,hidden=8,heads=2,seq=4,vocab=10,batch=2",
        "moe:layers=2,hidden=8,heads=2,seq=4,vocab=8,batch=2",
        "unet:channels=2,depth=1,image=8,batch=2",
        "llama:layers=1,hidden=8,heads=2,kv_heads=1,seq=4,vocab=8,batch=2",
        "wide-resnet:layers=50,channels=2,image=32,batch=1,classes=3,step=infer"}) {
    CAPTURE(name);
    check_program(models::build(name), 7);
  }
}

TEST_CASE("property: random programs come out as the plain evaluator has them") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    check_program(tessera_test::random_program(seed, {graph::f64, 1, 5, 1, 6}), seed);
  }
}

TEST_CASE("windows of every kind come out as the plain evaluator has them") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    Builder b;
    const Extent groups = random.once_in(2) ? 1 : 2,
                 batch_groups = groups == 1 && random.once_in(2) ? 2 : 1;
    const auto x = b.parameter("x", graph::f64, {2, random.between(5, 8), 4, 4});
    const auto kernel = b.parameter("k", graph::f64, {random.between(1, 3), 1, 4 / groups, 4});
    graph::ConvolutionDims dims;
    dims.input_batch = dims.output_batch = 0;
    dims.input_feature = dims.output_feature = 3;
    dims.input_space = dims.output_space = {1, 2};
    dims.kernel_space = {0, 1};
    dims.kernel_input = 2;
    dims.kernel_output = 3;
    dims.feature_groups = groups;
    dims.batch_groups = batch_groups;
    graph::WindowDim slide{kernel.dims()[0],     random.between(1, 2), random.between(0, 1),
                           random.between(0, 2), random.between(1, 2), random.between(1, 2),
                           random.once_in(2)};
    graph::WindowDim point;
    b.output(convolution(x, kernel, {dims, {slide, point}}));
    const graph::WindowDim pool{2, 2, random.between(0, 1), 1};
    const auto pooled = reduce_window(x, {point, pool, pool, point}, Reduction::max);
    b.output(pooled);
    b.output(select_and_scatter(x, pooled, {point, pool, pool, point}));
    check_program(b.graph(), seed);
  }
}

// The results of one HLO instruction named z, on inputs by parameter number.
std::vector<double> run_hlo(const std::string& entry, const std::vector<Tensor>& inputs,
                            std::size_t output = 0) {
  const auto module = io::hlo::read_module(
      "add { a = f32[] parameter(0)\n b = f32[] parameter(1)\n ROOT c = f32[] add(a, b) }\n"
      "gt { a = f32[] parameter(0)\n b = f32[] parameter(1)\n c = s32[] parameter(2)\n"
      " d = s32[] parameter(3)\n ROOT e = pred[] compare(a, b), direction=GT }\n"
      "ENTRY e {" +
          entry + "}",
      "test");
  return numbers_of(executor::interpret(io::hlo::import_module(module).graph, inputs)[output]);
}

TEST_CASE("integers wrap around as their type does, and divide as HLO has it") {
  const auto bytes = [](std::vector<double> values) {
    const Dims dims{static_cast<Extent>(values.size())};
    return tensor_of(ElementType::s8, dims, values);
  };
  const auto run = [&](const std::string& opcode, double a, double b) {
    return run_hlo(
        "x = s8[1] parameter(0)\n y = s8[1] parameter(1)\n ROOT z = s8[1] " + opcode + "(x, y)",
        {bytes({a}), bytes({b})})[0];
  };
  CHECK(run("add", 127, 1) == -128);
  CHECK(run("multiply", 100, 3) == 44);
  CHECK(run("divide", -7, 2) == -3);
  CHECK(run("divide", 5, 0) == -1);
  CHECK(run("divide", -128, -1) == -128);
  CHECK(run("remainder", -7, 3) == -1);
  CHECK(run("remainder", 7, 0) == 7);
  CHECK(run("power", 3, 4) == 81);
  CHECK(run("shift-left", 3, 6) == -64);
  CHECK(run("shift-left", 3, 8) == 0);
  CHECK(run("shift-right-logical", -1, 4) == 15);
  CHECK(run("shift-right-arithmetic", -128, 3) == -16);
  CHECK(run("shift-right-arithmetic", -128, 100) == -1);
}

TEST_CASE("conversions truncate and keep to what the type has") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor numbers =
      tensor_of(graph::f64, {6}, {1.9, -1.9, 1e20, -infinity, std::nan(""), 300});
  const auto to = [&](const std::string& type) {
    return run_hlo("x = f64[6] parameter(0)\n ROOT z = " + type + "[6] convert(x)", {numbers});
  };
  CHECK(to("s32") == std::vector<double>{1, -1, 2147483647, -2147483648.0, 0, 300});
  CHECK(to("u8") == std::vector<double>{1, 0, 255, 0, 0, 255});
  CHECK(to("pred") == std::vector<double>{1, 1, 1, 1, 1, 1});
  CHECK(run_hlo("x = f32[2] parameter(0)\n ROOT z = bf16[2] convert(x)",
                {tensor_of(graph::f32, {2}, {1.001, 3})}) == std::vector<double>{1, 3});
}

TEST_CASE("sorts carry others along, and the largest are found with their places") {
  const Tensor keys = tensor_of(graph::f32, {2, 4}, {3, 1, 4, 1, 5, 9, 2, 6});
  const Tensor places = tensor_of(graph::s32, {2, 4}, {0, 1, 2, 3, 0, 1, 2, 3});
  const std::string sort =
      "x = f32[2,4] parameter(0)\n y = s32[2,4] parameter(1)\n"
      " ROOT z = (f32[2,4], s32[2,4]) sort(x, y), dimensions={1}, to_apply=gt";
  CHECK(run_hlo(sort, {keys, places}) == std::vector<double>{4, 3, 1, 1, 9, 6, 5, 2});
  CHECK(run_hlo(sort, {keys, places}, 1) == std::vector<double>{2, 0, 1, 3, 1, 3, 0, 2});
  const std::string top = "x = f32[2,4] parameter(0)\n ROOT z = (f32[2,2], s32[2,2]) topk(x), k=2";
  CHECK(run_hlo(top, {keys}) == std::vector<double>{4, 3, 9, 6});
  CHECK(run_hlo(top, {keys}, 1) == std::vector<double>{2, 0, 1, 3});
}

TEST_CASE("dynamic slices stay inside, updates too; scatters that do not fit are not made") {
  const Tensor x = tensor_of(graph::f32, {5}, {0, 1, 2, 3, 4});
  const Tensor u = tensor_of(graph::f32, {2}, {7, 8});
  const auto at = [](double i) { return tensor_of(graph::s32, {}, {i}); };
  const std::string slice =
      "x = f32[5] parameter(0)\n i = s32[] parameter(1)\n"
      " ROOT z = f32[2] dynamic-slice(x, i), dynamic_slice_sizes={2}";
  CHECK(run_hlo(slice, {x, at(1)}) == std::vector<double>{1, 2});
  CHECK(run_hlo(slice, {x, at(9)}) == std::vector<double>{3, 4});
  const std::string update =
      "x = f32[5] parameter(0)\n u = f32[2] parameter(1)\n i = s32[] parameter(2)\n"
      " ROOT z = f32[5] dynamic-update-slice(x, u, i)";
  CHECK(run_hlo(update, {x, u, at(-3)}) == std::vector<double>{7, 8, 2, 3, 4});
  const std::string scatter =
      "x = f32[5] parameter(0)\n i = s32[2] parameter(1)\n u = f32[2] parameter(2)\n"
      " ROOT z = f32[5] scatter(x, i, u), update_window_dims={}, inserted_window_dims={0}, "
      "scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add";
  CHECK(run_hlo(scatter, {x, tensor_of(graph::s32, {2}, {4, 5}), u}) ==
        std::vector<double>{0, 1, 2, 3, 11});
}

TEST_CASE("a batch normalisation, in the parts that it falls into") {
  const Tensor x = tensor_of(graph::f64, {2, 2}, {1, 10, 3, 30});
  const Tensor scale = tensor_of(graph::f64, {2}, {2, 1}),
               offset = tensor_of(graph::f64, {2}, {0, 5});
  const std::string entry =
      "x = f64[2,2] parameter(0)\n s = f64[2] parameter(1)\n o = f64[2] parameter(2)\n"
      " ROOT z = (f64[2,2], f64[2], f64[2]) batch-norm-training(x, s, o), epsilon=0, "
      "feature_index=1";
  CHECK(run_hlo(entry, {x, scale, offset}) == std::vector<double>{-2, 4, 2, 6});
  CHECK(run_hlo(entry, {x, scale, offset}, 1) == std::vector<double>{2, 20});
  CHECK(run_hlo(entry, {x, scale, offset}, 2) == std::vector<double>{1, 100});
}

TEST_CASE("what can not be computed is refused by name") {
  Builder b;
  const auto x = b.parameter("x", graph::f32, {2});
  const Dims dims[] = {x.dims()};
  b.output(b.apply(graph::Opcode::fft, {x}, x.type(), graph::whole_rule(dims, dims)));
  const std::vector<Tensor> inputs = executor::random_inputs(b.graph(), 1);
  CHECK_THROWS_WITH_AS(executor::interpret(b.graph(), inputs),
                       "op 'fft.1' (fft): there is no kernel for it", executor::Unsupported);
  const std::vector<Tensor> none;
  CHECK_THROWS_WITH_AS(executor::interpret(b.graph(), none),
                       "the program has 1 parameters, and was given 0", tessera::InvalidArgument);
}

TEST_CASE("random inputs are what the program can take") {
  Builder b;
  const auto table = b.parameter("table", graph::f32, {7, 2});
  const auto rows = b.parameter("rows", graph::s32, {50});
  const auto variance = b.parameter("variance", graph::f32, {50});
  b.output(lookup(table, rows));
  b.output(sqrt(variance * 2));
  const std::vector<Tensor> inputs = executor::random_inputs(b.graph(), 3);
  double least_row = 9, largest_row = -1, least = 9, least_entry = 9;
  for (const double row : numbers_of(inputs[1])) {
    least_row = std::min(least_row, row);
    largest_row = std::max(largest_row, row);
  }
  for (const double number : numbers_of(inputs[2])) least = std::min(least, number);
  for (const double number : numbers_of(inputs[0])) least_entry = std::min(least_entry, number);
  CHECK(least_row == 0);
  CHECK(largest_row == 6);
  CHECK(least >= 0);
  CHECK(least_entry < 0);
  CHECK(executor::random_inputs(b.graph(), 3)[0] == inputs[0]);
  CHECK_FALSE(executor::random_inputs(b.graph(), 4)[0] == inputs[0]);
}

}  // namespace
