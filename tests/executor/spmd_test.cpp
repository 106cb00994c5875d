// SPDX-License-Identifier: Apache-2.0
// Plans, run: what devices compute together is what one computes alone, and what they send is what
// the plan says.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "support/random.hpp"
#include "support/sanitized.hpp"
#include "tessera/cost/alpa.hpp"
#include "tessera/executor/detail/verification/findings.hpp"
#include "tessera/executor/detail/verification/random_plan.hpp"
#include "tessera/executor/inputs.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/threads.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/graph.hpp"
#include "tessera/io.hpp"
#include "tessera/models.hpp"

namespace {
using namespace tessera;
using executor::Expectation;
using executor::Report;
using executor::Tensor;
using graph::ElementType;

// How many of a kind are tried: a few where all tests are run, and as many as are asked for.
std::uint64_t count_of_plans(std::uint64_t usual) {
  const char* const asked = std::getenv("TESSERA_RANDOM_PLANS");
  return asked == nullptr ? usual : std::strtoull(asked, nullptr, 10);
}

// Everything that is not as it should be, by name.
std::string faults_of(const graph::Graph& graph, const Report& report) {
  std::string faults;
  for (const executor::OutputReport& output : report.outputs)
    if (!output.agrees())
      faults += graph.op(output.value.op).name + " is off by " + std::to_string(output.difference) +
                " (" + std::to_string(output.tolerance) + "), in double " +
                std::to_string(output.difference_in_double) + '\n';
  for (const executor::CollectiveReport& collective : report.collectives)
    if (!collective.agrees)
      faults += executor::label_of(graph, collective.place) + ' ' + to_string(collective.kind) +
                " predicted " + std::to_string(collective.predicted) + " counted " +
                std::to_string(collective.counted) + '\n';
  if (!report.memory_agrees())
    faults += "memory predicted " + to_string(report.predicted_peak) + " held " +
              std::to_string(report.held_peak) + '\n';
  return faults;
}

// A plan is true; and what is predicted is no less than what the device that holds most has, and
// hardly more.
void check_report(const graph::Graph& graph, const Report& report) {
  CHECK(faults_of(graph, report) == "");
  CHECK(report.is_true() == faults_of(graph, report).empty());
  CHECK(report.memory_agrees());
  CHECK(report.predicted_peak * 10 <= Wide(report.held_peak) * 11);
}
void check_plan(const graph::Graph& graph, const plan::Plan& plan, const Expectation& expected) {
  check_report(graph, executor::verify_on_threads(graph, plan, expected));
}

// Many plans of one program on the same threads.
std::vector<Report> reports_of(const graph::Graph& graph, const std::vector<plan::Plan>& plans,
                               const Expectation& expected) {
  std::vector<Report> reports(plans.size());
  executor::run_on_threads(plans.at(0).mesh.device_count(), [&](executor::Communicator& comm) {
    for (std::size_t p = 0; p < plans.size(); ++p) {
      const Report report = executor::verify(graph, plans[p], expected, comm);
      if (comm.device() == 0) reports[p] = report;
    }
  });
  return reports;
}

// --- Every strategy of a product -----------------------------------------------------------------

// Alpa's prices, but no op need use every axis: so columns hold every strategy.
struct AnySpread : cost::Alpa {
  explicit AnySpread(std::size_t rank) : cost::Alpa(cost::Alpa::with_defaults(rank)) {}
  static bool spreads_heavy_ops() noexcept { return false; }
};

// |a| |b|, which bounds what rounding can do: every element is a sum of k products.
double rounding_bound(ElementType element, Extent k) {
  const double unit = element == ElementType::f64 ? 0x1p-53 : 0x1p-24;
  return 2 * static_cast<double>(k) * unit * static_cast<double>(k);  // of numbers from -1 to 1
}

// What one device has seen of a plan's run.
struct Seen {
  double difference = 0;         // of its part of the output
  std::vector<Extent> payloads;  // by collective
  Extent peak = 0;
};

// By plan and device.  There are very many, of next to no work: each is run in its own types alone,
// nothing is said between devices but what plans say, and all is looked at afterwards.
std::vector<std::vector<Seen>> runs_of(const graph::Graph& graph,
                                       const std::vector<plan::Plan>& plans,
                                       const std::vector<Tensor>& inputs, const Tensor& expected) {
  const Extent devices = plans.at(0).mesh.device_count();
  std::vector<std::vector<Seen>> seen(plans.size(),
                                      std::vector<Seen>(static_cast<std::size_t>(devices)));
  executor::run_on_threads(devices, [&](executor::Communicator& comm) {
    for (std::size_t p = 0; p < plans.size(); ++p) {
      Seen& own = seen[p][static_cast<std::size_t>(comm.device())];
      executor::DevicePlan device(graph, plans[p], comm);
      own.difference = executor::difference(device(device.shards_of(inputs))[0], expected);
      for (const executor::StepPlace place : executor::collectives_of(plans[p]))
        own.payloads.push_back(device.payloads()[place.op][place.step]);
      own.peak = device.memory().peak;
    }
  });
  return seen;
}

void check_seen(const plan::Plan& plan, const std::vector<Seen>& seen, double bound) {
  const std::vector<executor::StepPlace> places = executor::collectives_of(plan);
  std::vector<Wide> payloads(places.size(), 0);
  double difference = 0;
  Extent peak = 0;
  for (const Seen& device : seen) {
    difference = std::max(difference, device.difference);
    peak = std::max(peak, device.peak);
    for (std::size_t i = 0; i < places.size(); ++i) payloads[i] += device.payloads[i];
  }
  CHECK(difference <= bound);
  CHECK(peak <= plan.memory.bytes);
  CHECK(plan.memory.bytes * 10 <= Wide(peak) * 11);
  for (std::size_t i = 0; i < places.size(); ++i)
    CHECK(executor::detail::collective_report(plan, places[i], payloads[i], 0).agrees);
}

// Runs all strategies of the product, `stride` apart, each with operands that come as it happens.
std::size_t check_strategies(const graph::Graph& graph, const DynamicMesh& mesh, Extent k,
                             std::size_t stride) {
  plan::PlanSpace space(graph, mesh, AnySpread(mesh.rank()), {.prune = false});
  const graph::OpId product = graph.outputs[0].op;
  const strategy::Column& column = *space.formulation().columns[product];
  std::vector<plan::Plan> plans;
  tessera_test::Random random(column.size());
  for (std::size_t s = 0; s < column.size(); s += stride) {
    const solver::Problem& problem = space.formulation().problem;
    solver::Assignment assignment;
    for (solver::NodeId v = 0; v < problem.node_count(); ++v)
      assignment.push_back(static_cast<std::uint32_t>(random.below(problem.strategy_count(v))));
    assignment[space.formulation().nodes[product][0]] = static_cast<std::uint32_t>(s);
    plans.push_back(space.plan_of(assignment));
  }
  const std::vector<Tensor> inputs = executor::random_inputs(graph, column.size());
  const Tensor expected = executor::interpret(graph, inputs)[0];
  double scale = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    scale = std::max(scale, std::abs(expected.number(i)));
  const double bound = rounding_bound(expected.element(), k) / scale;
  const std::vector<std::vector<Seen>> seen = runs_of(graph, plans, inputs, expected);
  for (std::size_t p = 0; p < plans.size(); ++p) {
    CAPTURE(plans[p].ops[product].strategy);
    check_seen(plans[p], seen[p], bound);
  }
  return plans.size();
}

// Calls visit(mesh, element, is_even) for the settings in which products are checked.
template<class Visit>
void for_each_setting(Visit&& visit) {
  for (const DynamicMesh& mesh :
       {DynamicMesh{2}, DynamicMesh{4}, DynamicMesh{2, 2}, DynamicMesh{2, 4}, DynamicMesh{2, 2, 2}})
    for (const ElementType element : {graph::f32, graph::f64})
      for (const bool is_even : {true, false}) {
        CAPTURE(to_string(mesh));
        CAPTURE(is_even);
        visit(mesh, element, is_even);
      }
}

TEST_CASE("mk,kn->mn: every strategy on five meshes, in float and double, even and uneven") {
  std::size_t plans = 0;
  for_each_setting([&](const DynamicMesh& mesh, ElementType element, bool is_even) {
    const Extent m = is_even ? 8 : 11, k = is_even ? 16 : 13, n = is_even ? 24 : 9;
    graph::Builder b;
    const auto x = b.parameter("x", element, {m, k}), w = b.parameter("w", element, {k, n});
    b.output(einsum<"mk,kn->mn">(x, w));
    plans += check_strategies(b.graph(), mesh, k, tessera_test::is_sanitized ? 7 : 1);
  });
  CHECK(plans > (tessera_test::is_sanitized ? 100 : 500));
}

// On three axes there are thousands.
TEST_CASE("bmk,bkn->bmn: every strategy on five meshes, in float and double, even and uneven") {
  std::size_t plans = 0;
  for_each_setting([&](const DynamicMesh& mesh, ElementType element, bool is_even) {
    const Extent batch = is_even ? 8 : 9, m = is_even ? 8 : 10, k = is_even ? 8 : 11,
                 n = is_even ? 16 : 13;
    graph::Builder b;
    const auto x = b.parameter("x", element, {batch, m, k});
    const auto w = b.parameter("w", element, {batch, k, n});
    b.output(einsum<"bmk,bkn->bmn">(x, w));
    const std::size_t stride = tessera_test::is_sanitized ? (mesh.rank() == 3 ? 61U : 7U) : 1U;
    plans += check_strategies(b.graph(), mesh, k, stride);
  });
  CHECK(plans > (tessera_test::is_sanitized ? 200 : 20'000));
}

// --- Training steps ------------------------------------------------------------------------------

constexpr const char* steps[] = {
    "mlp:layers=2,width=12,classes=5,batch=8",
    "gpt:layers=2,hidden=8,heads=2,seq=4,vocab=12,batch=4",
    "moe:layers=2,hidden=8,heads=2,seq=4,vocab=8,batch=4,precision=f32",
    "unet:channels=2,depth=1,image=8,batch=4",
};

plan::Plan cheapest(const graph::Graph& graph, const DynamicMesh& mesh) {
  plan::Options options;
  options.solver.time_limit = 120;  // far more than it takes, on a machine that does other things
  return plan::plan(graph, mesh, cost::Alpa::with_defaults(mesh.rank()), options);
}

// A plan within a budget, where one is found soon: to prove that none is cheaper can take long.
plan::Plan tight(const graph::Graph& graph, const DynamicMesh& mesh, Extent budget) {
  plan::Options options;
  options.memory_budget = budget;
  options.solver.time_limit = 4;
  return plan::plan(graph, mesh, cost::Alpa::with_defaults(mesh.rank()), options);
}

TEST_CASE("training steps under the cheapest plan, and under tight budgets") {
  int within_budget = 0;
  for (const char* const name : steps) {
    CAPTURE(name);
    const graph::Graph graph = models::build(name);
    const Expectation expected = executor::expectation_of(graph, executor::random_inputs(graph, 5));
    for (const DynamicMesh& mesh : {DynamicMesh{4}, DynamicMesh{2, 3}}) {
      CAPTURE(to_string(mesh));
      const plan::Plan plan = cheapest(graph, mesh);
      REQUIRE(plan.has_ops());
      check_plan(graph, plan, expected);
      const auto less = static_cast<Extent>(plan.memory.bytes * 9 / 10);
      const plan::Plan thrifty = tight(graph, mesh, less);
      if (!thrifty.has_ops()) continue;
      CHECK(thrifty.memory_with_buffers <= less);
      check_plan(graph, thrifty, expected);
      ++within_budget;
    }
  }
  CHECK(within_budget > 0);
}

// Random plans on a mesh, each of them true.
void check_random_plans(const graph::Graph& graph, const DynamicMesh& mesh, std::uint64_t count) {
  CAPTURE(to_string(mesh));
  const Expectation expected = executor::expectation_of(graph, executor::random_inputs(graph, 6));
  plan::PlanSpace space(graph, mesh, cost::Alpa::with_defaults(mesh.rank()), {.prune = false});
  std::vector<plan::Plan> plans;
  for (std::uint64_t seed = 0; seed < count; ++seed)
    plans.push_back(space.plan_of(executor::detail::random_assignment(space.formulation(), seed)));
  const std::vector<Report> reports = reports_of(graph, plans, expected);
  for (std::uint64_t seed = 0; seed < count; ++seed) {
    CAPTURE(seed);
    check_report(graph, reports[seed]);
  }
}

TEST_CASE("property: training steps under random plans") {
  for (const char* const name : steps) {
    CAPTURE(name);
    const graph::Graph graph = models::build(name);
    const std::uint64_t count = count_of_plans(3);
    check_random_plans(graph, DynamicMesh{4}, count);
    check_random_plans(graph, DynamicMesh{2, 2}, count);
  }
}

TEST_CASE("complete programs as XLA dumps them, under the cheapest plan and under random ones") {
  for (const char* const name : {"hlo/mlp_train_step.hlo", "hlo/bert_forward_backward.hlo"}) {
    const auto file = tessera_test::shared_file(name);
    if (!file) continue;
    CAPTURE(name);
    const auto program = io::hlo::import_module(io::hlo::read_module(io::read_file(*file), *file));
    const Expectation expected =
        executor::expectation_of(program.graph, executor::random_inputs(program.graph, 5));
    const DynamicMesh mesh{2, 2};
    check_plan(program.graph, cheapest(program.graph, mesh), expected);
    check_random_plans(program.graph, mesh, count_of_plans(1));
  }
}

TEST_CASE("ten steps of a small GPT on eight devices follow the loss of one device") {
  const graph::Graph graph =
      models::build("gpt:layers=2,hidden=16,heads=4,seq=8,vocab=32,batch=8,precision=f32");
  const plan::Plan plan = cheapest(graph, DynamicMesh{2, 4});
  REQUIRE(plan.has_ops());
  const std::vector<Tensor> inputs = executor::random_inputs(graph, 9);
  constexpr std::size_t count = 10;
  const auto is_scalar = [&](graph::Value v) { return graph.type_of(v).dims.empty(); };
  const auto loss = static_cast<std::size_t>(
      std::find_if(graph.outputs.begin(), graph.outputs.end(), is_scalar) - graph.outputs.begin());
  REQUIRE(loss < graph.outputs.size());

  std::vector<double> expected, sharded;
  std::vector<Tensor> parameters = inputs;
  for (std::size_t step = 0; step < count; ++step) {
    std::vector<Tensor> outputs = executor::interpret(graph, parameters);
    expected.push_back(outputs[loss].number(0));
    executor::advance(graph, parameters, outputs);
  }
  executor::run_on_threads(8, [&](executor::Communicator& comm) {
    executor::DevicePlan device(graph, plan, comm);
    std::vector<executor::TensorPart> shards = device.shards_of(inputs);
    for (std::size_t step = 0; step < count; ++step) {
      std::vector<executor::TensorPart> outputs = device(shards);
      if (comm.device() == 0) sharded.push_back(outputs[loss].tensor.number(0));
      executor::advance(graph, shards, outputs);
    }
  });
  for (std::size_t step = 0; step < count; ++step) {
    CAPTURE(step);
    CHECK(sharded[step] == doctest::Approx(expected[step]).epsilon(1e-4));
  }
  CHECK(expected.front() != expected.back());
}

// --- Loops ---------------------------------------------------------------------------------------

// x = tanh(x w), so often, while two more states change places every round.
graph::Graph loop(const std::string& condition, int rounds = 0) {
  const std::string state = "(s32[], f32[8,8], f32[8,8], f32[8], f32[8])";
  const std::string text =
      "HloModule loop\n"
      "goes_on {\n s = " +
      state +
      " parameter(0)\n"
      " i = s32[] get-tuple-element(s), index=0\n"
      " n = s32[] constant(" +
      std::to_string(rounds) +
      ")\n"
      " ROOT less = pred[] " +
      condition +
      "\n}\n"
      "body {\n s = " +
      state +
      " parameter(0)\n"
      " i = s32[] get-tuple-element(s), index=0\n"
      " one = s32[] constant(1)\n"
      " next = s32[] add(i, one)\n"
      " x = f32[8,8] get-tuple-element(s), index=1\n"
      " w = f32[8,8] get-tuple-element(s), index=2\n"
      " a = f32[8] get-tuple-element(s), index=3\n"
      " b = f32[8] get-tuple-element(s), index=4\n"
      " y = f32[8,8] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}\n"
      " z = f32[8,8] tanh(y)\n"
      " ROOT r = " +
      state +
      " tuple(next, z, w, b, a)\n}\n"
      "ENTRY e {\n x = f32[8,8] parameter(0)\n w = f32[8,8] parameter(1)\n"
      " a = f32[8] parameter(2)\n b = f32[8] parameter(3)\n"
      " zero = s32[] constant(0)\n"
      " t = " +
      state +
      " tuple(zero, x, w, a, b)\n"
      " l = " +
      state +
      " while(t), condition=goes_on, body=body\n"
      " out = f32[8,8] get-tuple-element(l), index=1\n"
      " last = f32[8] get-tuple-element(l), index=3\n"
      " ROOT both = (f32[8,8], f32[8]) tuple(out, last)\n}\n";
  return io::hlo::import_module(io::hlo::read_module(text, "loop.hlo")).graph;
}
graph::Graph counted_loop(int rounds) { return loop("compare(i, n), direction=LT", rounds); }

TEST_CASE("loops run as often as their condition says, on one device and on four") {
  for (const int rounds : {0, 1, 3}) {
    CAPTURE(rounds);
    const graph::Graph graph = counted_loop(rounds);
    const std::vector<Tensor> inputs = executor::random_inputs(graph, 4);
    graph::Builder b;
    graph::Tensor x = b.parameter("x", graph::f32, {8, 8});
    const auto w = b.parameter("w", graph::f32, {8, 8});
    for (int round = 0; round < rounds; ++round) x = tanh(einsum<"mk,kn->mn">(x, w));
    b.output(x);
    const std::vector<Tensor> outputs = executor::interpret(graph, inputs);
    CHECK(outputs[0] == executor::interpret(b.graph(), std::span(inputs).first(2))[0]);
    CHECK(outputs[1] == inputs[rounds % 2 == 0 ? 2 : 3]);

    const Expectation expected = executor::expectation_of(graph, inputs);
    const DynamicMesh mesh{2, 2};
    plan::PlanSpace space(graph, mesh, cost::Alpa::with_defaults(2), {.prune = false});
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      CAPTURE(seed);
      const plan::Plan plan =
          space.plan_of(executor::detail::random_assignment(space.formulation(), seed));
      CHECK(faults_of(graph, executor::verify_on_threads(graph, plan, expected)) == "");
      CHECK_FALSE(executor::first_wrong_op(graph, plan, expected).has_value());
    }
  }
  const graph::Graph endless = loop("compare(i, i), direction=EQ");
  CHECK_THROWS_WITH_AS(executor::interpret(endless, executor::random_inputs(endless, 4)),
                       doctest::Contains("rounds and has not ended"), executor::Unsupported);
}

// --- Branches, and reductions by a computation of their own --------------------------------------

// A program and its outputs on one device, which random plans must come to as well.
std::vector<std::vector<double>> outputs_of(const std::string& text,
                                            const std::vector<Tensor>& inputs) {
  const graph::Graph graph = io::hlo::import_module(io::hlo::read_module(text, "t")).graph;
  const Expectation expected = executor::expectation_of(graph, inputs);
  for (const DynamicMesh& mesh : {DynamicMesh{3}, DynamicMesh{2, 2}}) {
    plan::PlanSpace space(graph, mesh, cost::Alpa::with_defaults(mesh.rank()), {.prune = false});
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      CAPTURE(seed);
      check_plan(graph,
                 space.plan_of(executor::detail::random_assignment(space.formulation(), seed)),
                 expected);
    }
  }
  std::vector<std::vector<double>> numbers;
  for (const Tensor& output : expected.outputs) {
    numbers.emplace_back();
    for (std::size_t i = 0; i < output.size(); ++i) numbers.back().push_back(output.number(i));
  }
  return numbers;
}
Tensor tensor_of(ElementType element, const Dims& dims, const std::vector<double>& values) {
  Tensor tensor(element, dims);
  for (std::size_t i = 0; i < tensor.size(); ++i) tensor.set_number(i, values[i]);
  return tensor;
}

TEST_CASE("the result of a conditional is that of the branch that is chosen") {
  const std::string branches =
      "twice { a = f32[4] parameter(0)\n ROOT b = f32[4] add(a, a) }\n"
      "minus { a = f32[4] parameter(0)\n ROOT b = f32[4] negate(a) }\n"
      "same { ROOT a = f32[4] parameter(0) }\n";
  const Tensor x = tensor_of(graph::f32, {4}, {1, 2, 3, 4});
  const Tensor y = tensor_of(graph::f32, {4}, {5, 6, 7, 8});
  for (const bool choice : {true, false})
    CHECK(outputs_of(branches + "ENTRY e { p = pred[] parameter(0)\n x = f32[4] parameter(1)\n"
                                " y = f32[4] parameter(2)\n ROOT c = f32[4] conditional(p, x, y), "
                                "true_computation=twice, false_computation=minus }",
                     {tensor_of(graph::pred, {}, {choice ? 1.0 : 0.0}), x, y})[0] ==
          (choice ? std::vector<double>{2, 4, 6, 8} : std::vector<double>{-5, -6, -7, -8}));
  for (const int choice : {-1, 0, 1, 2, 3})  // the last where there is no such branch
    CHECK(outputs_of(branches + "ENTRY e { i = s32[] parameter(0)\n x = f32[4] parameter(1)\n"
                                " ROOT c = f32[4] conditional(i, x, x, x), "
                                "branch_computations={twice, minus, same} }",
                     {tensor_of(graph::s32, {}, {static_cast<double>(choice)}), x})[0] ==
          (choice == 0   ? std::vector<double>{2, 4, 6, 8}
           : choice == 1 ? std::vector<double>{-1, -2, -3, -4}
                         : std::vector<double>{1, 2, 3, 4}));
}

TEST_CASE("several operands are reduced at once, by any computation of scalars") {
  // The largest of each row, and where it is first: as JAX's argmax has it.
  const Tensor x = tensor_of(graph::f32, {3, 4}, {3, 1, 4, 4, 5, 9, 2, 6, -5, -3, -5, -8});
  const auto both = outputs_of(
      "argmax { x = f32[] parameter(0)\n i = s32[] parameter(1)\n y = f32[] parameter(2)\n"
      " j = s32[] parameter(3)\n more = pred[] compare(x, y), direction=GT\n"
      " none = pred[] compare(x, x), direction=NE\n left = pred[] or(more, none)\n"
      " value = f32[] select(left, x, y)\n same = pred[] compare(x, y), direction=EQ\n"
      " first = pred[] compare(i, j), direction=LT\n tie = pred[] and(same, first)\n"
      " which = pred[] or(left, tie)\n place = s32[] select(which, i, j)\n"
      " ROOT both = (f32[], s32[]) tuple(value, place) }\n"
      "ENTRY e { x = f32[3,4] parameter(0)\n n = s32[3,4] iota(), iota_dimension=1\n"
      " least = f32[] constant(-inf)\n zero = s32[] constant(0)\n"
      " r = (f32[3], s32[3]) reduce(x, n, least, zero), dimensions={1}, to_apply=argmax\n"
      " v = f32[3] get-tuple-element(r), index=0\n i = s32[3] get-tuple-element(r), index=1\n"
      " ROOT t = (f32[3], s32[3]) tuple(v, i) }",
      {x});
  CHECK(both[0] == std::vector<double>{4, 9, -3});
  CHECK(both[1] == std::vector<double>{2, 1, 1});
  // One operand, over two dims, by a reducer that has no name: a sum of magnitudes.
  const auto sums = outputs_of(
      "far { a = f32[] parameter(0)\n b = f32[] parameter(1)\n c = f32[] abs(b)\n"
      " ROOT d = f32[] add(a, c) }\n"
      "ENTRY e { x = f32[3,4] parameter(0)\n s = f32[] constant(1)\n"
      " r = f32[3] reduce(x, s), dimensions={1}, to_apply=far\n"
      " all = f32[] reduce(x, s), dimensions={0,1}, to_apply=far\n"
      " ROOT t = (f32[3], f32[]) tuple(r, all) }",
      {x});
  CHECK(sums[0] == std::vector<double>{13, 23, 22});
  CHECK(sums[1] == std::vector<double>{56});
}

// --- What the executor is for --------------------------------------------------------------------

// Then only the run in double tells anything.
TEST_CASE("a plan that lacks a step is found out where the program's own numbers overflow") {
  graph::Builder b;
  const auto x = b.parameter("x", graph::f16, {8, 16}), w = b.parameter("w", graph::f16, {16, 8});
  b.output(einsum<"mk,kn->mn">(x, w) * 60000);
  const Expectation expected =
      executor::expectation_of(b.graph(), executor::random_inputs(b.graph(), 5));
  CHECK(expected.tolerances.own[0] > 1);
  CHECK(expected.tolerances.in_double[0] < 2e-6);
  plan::PlanSpace space(b.graph(), DynamicMesh{4}, cost::Alpa::with_defaults(1), {.prune = false});
  int forgotten = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    plan::Plan plan = space.plan_of(executor::detail::random_assignment(space.formulation(), seed));
    CHECK(executor::verify_on_threads(b.graph(), plan, expected).is_true());
    auto& taken = plan.ops[2].steps;
    if (taken.empty() || taken.back().step.kind != StepKind::all_reduce) continue;
    taken.pop_back();
    ++forgotten;
    CHECK_FALSE(executor::verify_on_threads(b.graph(), plan, expected).outputs_agree());
  }
  CHECK(forgotten > 0);
}

// The difference of two ways to add up the same is nothing but rounding, in any type.
TEST_CASE("an output that is nothing but rounding agrees with any other rounding") {
  graph::Builder b;
  const auto x = b.parameter("x", graph::f32, {16, 24, 32});
  const auto columns = reduce_sum(x, {0});
  b.output(reduce_sum(x, {0, 1}) - reduce_sum(columns, {0}));
  b.output(columns);
  check_random_plans(b.graph(), DynamicMesh{2, 2}, 20);
}

TEST_CASE("a plan that lacks a step, or takes another, is found out") {
  graph::Builder b;
  const auto x = b.parameter("x", graph::f32, {8, 16}), w = b.parameter("w", graph::f32, {16, 8});
  b.output(einsum<"mk,kn->mn">(x, w));
  const DynamicMesh mesh{4};
  plan::PlanSpace space(b.graph(), mesh, cost::Alpa::with_defaults(1), {.prune = false});
  const strategy::Column& column = *space.formulation().columns[2];
  solver::Assignment assignment = executor::detail::random_assignment(space.formulation(), 1);
  for (std::uint32_t s = 0; s < column.size(); ++s)
    if (!sharding_of(b.graph().op(2).rule, column[s].strategy, 2).partial_axes().empty() &&
        column[s].results[0].is_replicated())
      assignment[space.formulation().nodes[2][0]] = s;
  const plan::Plan right = space.plan_of(assignment);
  const Expectation expected =
      executor::expectation_of(b.graph(), executor::random_inputs(b.graph(), 5));
  check_plan(b.graph(), right, expected);
  REQUIRE(right.ops[2].steps.back().step.kind == StepKind::all_reduce);

  plan::Plan forgetful = right;
  forgetful.ops[2].steps.pop_back();
  const Report report = executor::verify_on_threads(b.graph(), forgetful, expected);
  CHECK_FALSE(report.outputs[0].agrees());
  CHECK(executor::first_wrong_op(b.graph(), forgetful, expected) == graph::OpId{2});
  CHECK_FALSE(executor::first_wrong_op(b.graph(), right, expected).has_value());

  plan::Plan optimistic = right;
  optimistic.ops[2].steps.back().message.bytes /= 2;
  CHECK_FALSE(executor::verify_on_threads(b.graph(), optimistic, expected).is_true());

  plan::Plan confused = right;
  confused.ops[2].steps.clear();
  confused.ops[0].computed[0] = confused.ops[0].results[0] =
      DynamicSharding::replicated(2).with_split(0, 0);
  CHECK_THROWS_AS(executor::verify_on_threads(b.graph(), confused, expected),
                  executor::DeviceError);

  const auto run_on_two = [&] {
    executor::run_on_threads(2, [&](executor::Communicator& comm) {
      executor::verify(b.graph(), right, expected, comm);
    });
  };
  CHECK_THROWS_WITH_AS(run_on_two(),
                       doctest::Contains("the plan is for 4 devices, and there are 2"),
                       executor::DeviceError);
}

}  // namespace
