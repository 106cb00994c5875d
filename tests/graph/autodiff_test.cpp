// SPDX-License-Identifier: Apache-2.0
// Derivatives and optimizers: built programs are run, and finite differences are the judge.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/evaluate.hpp"
#include "tessera/graph.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;
using tessera_test::Array;
using tessera_test::Evaluator;
using tessera_test::Random;
using tessera_test::random_parameters;

using Parameters = std::map<std::string, Array>;

double value_of(const Graph& graph, const Parameters& parameters, Value value) {
  return Evaluator(graph).run(parameters)[value.op].data[0];
}

// Compares each derivative with the slope of a chord, and reports the worst.  Everything that is
// whole (labels, places) is left alone.
void check_by_differences(Builder& b, const Tensor& loss, std::uint64_t seed) {
  CAPTURE(seed);
  std::vector<Tensor> sources;
  for (OpId id = 0; id < b.graph().op_count(); ++id)
    if (b.graph().op(id).is_parameter && is_floating(b.graph().op(id).results[0].element))
      sources.push_back(b.tensor({id, 0}));
  const std::vector<Tensor> slopes = gradients(loss, sources);
  Random random(seed);
  Parameters parameters = random_parameters(b.graph(), random);
  const std::vector<Array> values = Evaluator(b.graph()).run(parameters);
  for (std::size_t s = 0; s < sources.size(); ++s) {
    REQUIRE(slopes[s].type() == sources[s].type());
    const std::string name = b.graph().op(sources[s].value().op).name;
    CAPTURE(name);
    const Array& found = values[slopes[s].value().op];
    Array& at = parameters.at(name);
    for (std::size_t i = 0; i < at.data.size(); ++i) {
      constexpr double step = 1e-5;
      const double here = at.data[i];
      at.data[i] = here + step;
      const double above = value_of(b.graph(), parameters, loss.value());
      at.data[i] = here - step;
      const double below = value_of(b.graph(), parameters, loss.value());
      at.data[i] = here;
      CAPTURE(i);
      CHECK(found.data[i] == doctest::Approx((above - below) / (2 * step)).epsilon(1e-5).scale(1));
    }
  }
}

// The loss is a weighted sum of what `build` gives, so that every element pulls in its own way.
void check(const std::function<Tensor(Builder&)>& build) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Builder b;
    const Tensor y = build(b);
    const Tensor weights = b.parameter("weights", y.type().element, y.dims());
    check_by_differences(b, reduce_sum(y * weights, graph::all_dims(y)), seed);
  }
}

Tensor x_of(Builder& b, const Dims& dims) { return b.parameter("x", f32, dims); }
Tensor y_of(Builder& b, const Dims& dims) { return b.parameter("y", f32, dims); }

TEST_CASE("derivatives element by element") {
  const Dims dims{2, 3};
  using Function = std::function<Tensor(const Tensor&, const Tensor&)>;
  const auto positive = [](const Tensor& x) { return x * x + constant_like(x, 0.5); };
  const std::map<std::string, Function> functions{
      {"add", [](auto& x, auto& y) { return x + y; }},
      {"subtract", [](auto& x, auto& y) { return x - y; }},
      {"multiply", [](auto& x, auto& y) { return x * y; }},
      {"divide", [&](auto& x, auto& y) { return x / positive(y); }},
      {"negate", [](auto& x, auto& y) { return -x * y; }},
      {"maximum", [](auto& x, auto& y) { return maximum(x, y); }},
      {"minimum", [](auto& x, auto& y) { return minimum(x, y); }},
      {"power", [&](auto& x, auto& y) { return power(positive(x), y); }},
      {"exponential", [](auto& x, auto& y) { return exp(x) * y; }},
      {"log", [&](auto& x, auto& y) { return log(positive(x)) * y; }},
      {"tanh", [](auto& x, auto& y) { return tanh(x) * y; }},
      {"sqrt", [&](auto& x, auto& y) { return sqrt(positive(x)) * y; }},
      {"rsqrt", [&](auto& x, auto& y) { return rsqrt(positive(x)) * y; }},
      {"logistic", [](auto& x, auto& y) { return logistic(x) * y; }},
      {"sine", [](auto& x, auto& y) { return sin(x) * y; }},
      {"cosine", [](auto& x, auto& y) { return cos(x) * y; }},
      {"convert", [](auto& x, auto& y) { return convert(convert(x, bf16), f32) * y; }},
      {"select", [](auto& x, auto& y) { return select(x > y, x * x, y); }},
      {"relu", [](auto& x, auto& y) { return relu(x) * y; }},
      {"silu", [](auto& x, auto& y) { return silu(x) * y; }},
      {"gelu", [](auto& x, auto& y) { return gelu(x) * y; }},
  };
  for (const auto& entry : functions) {
    const std::string& name = entry.first;
    const Function& function = entry.second;
    CAPTURE(name);
    check([&](Builder& b) { return function(x_of(b, dims), y_of(b, dims)); });
  }
}

TEST_CASE("derivatives of shapes") {
  check([](Builder& b) { return broadcast(x_of(b, {2, 3}), {2, 4, 3}, {0, 2}); });
  check([](Builder& b) { return broadcast(x_of(b, {2, 3}), {3, 4, 2}, {2, 0}); });
  check([](Builder& b) { return broadcast(x_of(b, {2, 3}), {2, 3}, {0, 1}); });
  check([](Builder& b) { return transpose(x_of(b, {2, 3, 4}), {2, 0, 1}); });
  check([](Builder& b) { return reshape(x_of(b, {2, 6}), {3, 4}); });
  check([](Builder& b) { return reverse(x_of(b, {2, 3, 2}), {0, 1}); });
  check([](Builder& b) {
    const Tensor parts[] = {x_of(b, {2, 3}), y_of(b, {2, 2}), b.parameter("z", f32, {2, 1})};
    return concatenate(parts, 1);
  });
  check([](Builder& b) { return slice(x_of(b, {5, 7}), {{1, 4, 1}, {1, 7, 3}}); });
  check([](Builder& b) {
    return pad(x_of(b, {2, 3}), b.constant(f32, {}, 5), {{1, 2, 0}, {0, 1, 2}});
  });
  check([](Builder& b) {
    return pad(x_of(b, {5, 3}), b.constant(f32), {{-1, -2, 1}, {2, -1, 0}});
  });
}

TEST_CASE("derivatives of products") {
  check([](Builder& b) { return einsum<"mk,kn->mn">(x_of(b, {2, 3}), y_of(b, {3, 4})); });
  check([](Builder& b) { return einsum<"mk,nk->nm">(x_of(b, {2, 3}), y_of(b, {4, 3})); });
  check([](Builder& b) {
    return einsum<"bqhd,bkhd->bhqk">(x_of(b, {2, 3, 2, 2}), y_of(b, {2, 2, 2, 2}));
  });
  check([](Builder& b) {
    return einsum<"abcd,dbe->ceab">(x_of(b, {2, 3, 2, 2}), y_of(b, {2, 3, 2}));
  });
  check([](Builder& b) { return einsum<"a,b->ba">(x_of(b, {2}), y_of(b, {3})); });
  check([](Builder& b) { return einsum<"ab,ab->">(x_of(b, {2, 3}), y_of(b, {2, 3})); });
}

TEST_CASE("derivatives of convolutions, whatever their windows") {
  Random random(11);
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    std::vector<WindowDim> window;
    Dims input{2, 0, 0, 2}, kernel{0, 0, 2, 3};
    for (std::size_t s = 0; s < 2; ++s) {
      WindowDim dim{random.between(1, 3), random.between(1, 2), random.between(-1, 2),
                    random.between(-1, 2)};
      dim.lhs_dilate = random.between(1, 2);
      dim.rhs_dilate = random.between(1, 2);
      dim.is_reversed = random.once_in(2);
      input[s + 1] = random.between(3, 5);
      kernel[s] = dim.size;
      if (dim.output_size(input[s + 1]) == 0) dim = {dim.size, 1, 2, 2};
      window.push_back(dim);
    }
    ConvolutionDims dims = graph::image_dims();
    if (round % 2 == 1) {  // features first, kernel transposed
      input = {2, 2, input[1], input[2]};
      dims.input_feature = dims.output_feature = 1;
      dims.input_space = dims.output_space = {2, 3};
      kernel = {3, kernel[1], 2, kernel[0]};
      dims.kernel_output = 0;
      dims.kernel_space = {3, 1};
    }
    check([&](Builder& b) { return convolution(x_of(b, input), y_of(b, kernel), {dims, window}); });
  }
}

TEST_CASE("derivatives of reductions and windows") {
  check([](Builder& b) { return reduce_sum(x_of(b, {2, 3, 4}), {0, 2}); });
  check([](Builder& b) { return reduce_max(x_of(b, {2, 3, 4}), {1}); });
  check([](Builder& b) { return reduce_min(x_of(b, {2, 3, 4}), {0, 1}); });
  check([](Builder& b) { return cumulative_sum(x_of(b, {2, 5}), 1); });
  check([](Builder& b) { return max_pool(x_of(b, {1, 5, 5, 2}), 3, 2, true); });
  check([](Builder& b) { return max_pool(x_of(b, {1, 4, 4, 1}), 2, 2); });
  check([](Builder& b) { return average_pool(x_of(b, {1, 5, 4, 2}), 3, 2, true); });
  check([](Builder& b) { return upsample(x_of(b, {1, 2, 3, 2}), 2); });
  check([](Builder& b) { return convolve_up(x_of(b, {1, 2, 3, 2}), y_of(b, {2, 2, 2, 3})); });
  check([](Builder& b) {
    std::vector<WindowDim> window{{2, 1, 1, 0}, {3, 2, 0, 1}};
    window[0].lhs_dilate = 2;
    window[1].rhs_dilate = 2;
    return reduce_window(x_of(b, {4, 7}), window, Reduction::sum);
  });
}

TEST_CASE("derivatives of lookups and of scatters that add rows") {
  check([](Builder& b) { return lookup(x_of(b, {4, 3}), b.parameter("rows", s32, {2, 3})); });
  check([](Builder& b) {
    return scatter_add(x_of(b, {4, 2}), b.parameter("rows", s32, {5}), y_of(b, {5, 2}));
  });
}

TEST_CASE("derivatives of layers") {
  check([](Builder& b) { return softmax(x_of(b, {2, 4})); });
  check([](Builder& b) { return softmax(causal_mask(x_of(b, {1, 3, 3}))); });
  check([](Builder& b) {
    return layer_norm(x_of(b, {3, 4}), y_of(b, {4}), b.parameter("shift", f32, {4}));
  });
  check([](Builder& b) { return rms_norm(x_of(b, {3, 4}), y_of(b, {4})); });
  check([](Builder& b) {
    return batch_norm(x_of(b, {2, 2, 3, 2}), y_of(b, {2}), b.parameter("shift", f32, {2}));
  });
  check([](Builder& b) { return rotate(x_of(b, {2, 3, 2, 4}), rotation(b, 3, 4, 100), 1); });
  check([](Builder& b) {
    return cross_entropy(x_of(b, {2, 3, 4}), b.parameter("labels", s32, {2, 3}));
  });
  check([](Builder& b) {
    const Routing routing = route(softmax(x_of(b, {2, 4, 3})), 2, 2);
    return einsum<"gsec,sc->ge">(routing.combine, y_of(b, {4, 2})) * routing.balance;
  });
}

TEST_CASE("the adjoint of a value is the sum of what its readers contribute") {
  check([](Builder& b) {
    const Tensor x = x_of(b, {3});
    return x * x + exp(x) * x - x;
  });
}

TEST_CASE("no adjoint passes through a detached value, or one that the loss does not depend on") {
  Builder b;
  const Tensor x = x_of(b, {3}), y = y_of(b, {3}), unused = b.parameter("unused", f32, {2});
  const Tensor loss = reduce_sum(x.detached() * y, {0});
  const Tensor late = b.parameter("late", f32, {2});
  const std::vector<Tensor> sources{x, y, unused, late}, slopes = gradients(loss, sources);
  Random random(1);
  const Parameters parameters = random_parameters(b.graph(), random);
  const std::vector<Array> values = Evaluator(b.graph()).run(parameters);
  const auto data = [&](std::size_t i) { return values[slopes[i].value().op].data; };
  CHECK(data(0) == std::vector<double>(3, 0));
  CHECK(data(1) == parameters.at("x").data);
  CHECK(data(2) == std::vector<double>(2, 0));
  CHECK(data(3) == std::vector<double>(2, 0));
}

TEST_CASE("equal maxima share the adjoint") {
  Builder b;
  const Tensor x = x_of(b, {4});
  const std::vector<Tensor> slopes = gradients(reduce_max(x, {0}), std::vector<Tensor>{x});
  Parameters parameters{{"x", Array({4})}};
  parameters.at("x").data = {1, 3, 2, 3};
  CHECK(Evaluator(b.graph()).run(parameters)[slopes[0].value().op].data ==
        std::vector<double>{0, 0.5, 0, 0.5});
}

TEST_CASE("an op without a derivative is named") {
  Builder b, other;
  const Tensor x = x_of(b, {2, 4});
  const std::vector<Tensor> sources{x};
  CHECK_THROWS_WITH(gradients(x, sources),
                    "gradients: the loss is f32[2,4] and no floating scalar");
  CHECK_THROWS_WITH(gradients(other.constant(f32), sources),
                    "gradients: a source belongs to another builder");
  const Dims dims = x.dims();
  const Tensor odd =
      b.apply(Opcode::cbrt, {x}, x.type(), elementwise_rule(std::span(&dims, 1), dims));
  CHECK_THROWS_WITH(gradients(reduce_sum(odd, {0, 1}), sources),
                    doctest::Contains("(cbrt) has no derivative here"));
  const Tensor product = graph::detail::reduce(x, {0, 1}, Reduction::product);
  CHECK_THROWS_WITH(gradients(product, sources), doctest::Contains("reduces by product"));
  // Where nothing depends on the odd op, nobody asks.
  CHECK_NOTHROW(gradients(reduce_sum(odd.detached() * x, {0, 1}), sources));
}

// --- Optimizers ----------------------------------------------------------------------------------

// A step on the loss sum(w * c), whose derivative is c, run twice.
struct TwoSteps {
  Builder b;
  Parameters parameters;

  explicit TwoSteps(const Optimizer& optimizer, ElementType element = f32) {
    const Tensor w = b.parameter("w", element, {2}), c = b.parameter("c", element, {2});
    train(convert(reduce_sum(w * c, {0}), f32), std::vector<Tensor>{w}, optimizer);
    for (OpId id = 0; id < b.graph().op_count(); ++id)
      if (const Op& op = b.graph().op(id); op.is_parameter)
        parameters.emplace(op.name, Array(op.results[0].dims));
    parameters.at("w").data = {1, -1};
    parameters.at("c").data = {0.5, 2};
    if (parameters.contains("w.master")) parameters.at("w.master").data = {1, -1};
    for (int step = 0; step < 2; ++step) {
      const std::vector<Array> values = Evaluator(b.graph()).run(parameters);
      for (const Alias& alias : b.graph().aliases)
        parameters.at(b.graph().op(alias.parameter).name) = values[alias.output.op];
    }
  }
  double weight(std::size_t i) const { return parameters.at("w").data[i]; }
};

TEST_CASE("two steps of each optimizer") {
  Optimizer optimizer;
  optimizer.learning_rate = 0.1;
  optimizer.kind = Optimizer::Kind::sgd;
  CHECK(TwoSteps(optimizer).weight(0) == doctest::Approx(1 - 2 * 0.1 * 0.5));
  optimizer.kind = Optimizer::Kind::momentum;
  CHECK(TwoSteps(optimizer).weight(1) == doctest::Approx(-1 - 0.1 * 2 - 0.1 * (0.9 * 2 + 2)));
  // With the same derivative in every step, Adam's corrected means are it and its square.
  optimizer.kind = Optimizer::Kind::adam;
  const TwoSteps adam(optimizer);
  for (const std::size_t i : {0U, 1U})
    CHECK(adam.weight(i) == doctest::Approx((i == 0 ? 1 : -1) - 2 * 0.1).epsilon(1e-6));
  CHECK(adam.parameters.at("step_count").data[0] == 2);
  CHECK(adam.parameters.at("w.mean").data[1] == doctest::Approx(2 * (0.1 + 0.1 * 0.9)));
}

TEST_CASE("narrow weights have a master copy in f32 unless that is disabled") {
  Optimizer optimizer;
  const TwoSteps mixed(optimizer, bf16);
  CHECK(mixed.parameters.contains("w.master"));
  CHECK(mixed.weight(0) == mixed.parameters.at("w.master").data[0]);
  CHECK(mixed.weight(0) < 1);
  optimizer.has_master_weights = false;
  CHECK_FALSE(TwoSteps(optimizer, bf16).parameters.contains("w.master"));
  CHECK_FALSE(TwoSteps(Optimizer{}).parameters.contains("w.master"));
}

TEST_CASE("micro-batches add up their derivatives") {
  Builder b;
  const Tensor w = b.parameter("w", bf16, {2}), c = b.parameter("c", bf16, {2});
  accumulate(reduce_sum(w * c, {0}), std::vector<Tensor>{w});
  Parameters parameters{{"w", Array({2}, 1)}, {"c", Array({2}, 3)}, {"w.gradient", Array({2}, 4)}};
  REQUIRE(b.graph().aliases.size() == 1);
  const Alias alias = b.graph().aliases[0];
  CHECK(b.graph().op(alias.parameter).name == "w.gradient");
  CHECK(b.graph().type_of(alias.output).element == f32);
  CHECK(Evaluator(b.graph()).run(parameters)[alias.output.op].data == std::vector<double>{7, 7});
}

TEST_CASE("accumulated gradients are applied once, and the sums start at zero again") {
  Optimizer optimizer;
  optimizer.kind = Optimizer::Kind::sgd;
  optimizer.learning_rate = 0.5;
  Builder b;
  const Tensor w = b.parameter("w", f32, {2});
  apply_accumulated(std::vector<Tensor>{w}, optimizer, 4);
  const Parameters parameters{{"w", Array({2}, 1)}, {"w.gradient", Array({2}, 8)}};
  const std::vector<Array> values = Evaluator(b.graph()).run(parameters);
  REQUIRE(b.graph().aliases.size() == 2);
  for (const Alias& alias : b.graph().aliases) {
    const bool is_weight = b.graph().op(alias.parameter).name == "w";
    const double expected = is_weight ? 1 - 0.5 * 8 / 4 : 0;
    CHECK(values[alias.output.op].data == std::vector<double>{expected, expected});
  }
}

}  // namespace
