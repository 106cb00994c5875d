// SPDX-License-Identifier: Apache-2.0
//
// Lesson 7: a plan that is not true, and how running it tells.
//
// A plan says that devices which hold shards, and talk to each other here and there, compute what
// one device would.  The executor has them do so, a thread for each, and compares.
#include <cstdio>
#include <exception>
#include <span>
#include <string>

#include "tessera/cost.hpp"
#include "tessera/executor/inputs.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/graph.hpp"
#include "tessera/plan.hpp"
#include "tessera/report/execution_table.hpp"

using namespace tessera;

// Two layers, and a step of both weights.  The batch runs backwards through `flip`.
template<class Flip>
graph::Graph training_step(Flip&& flip) {
  graph::Builder b;
  const auto x = b.parameter("x", graph::f32, {256, 16});
  const auto up = b.parameter("up", graph::f32, {16, 32}),
             down = b.parameter("down", graph::f32, {32, 16});
  const auto hidden = einsum<"bm,mf->bf">(flip(x), up);
  const auto out = einsum<"bf,fm->bm">(hidden, down);
  const auto hidden_gradient = einsum<"bm,fm->bf">(out, down);
  b.update(down, down - einsum<"bf,bm->fm">(hidden, out) * 0.01);
  b.update(up, up - einsum<"bm,bf->mf">(flip(x), hidden_gradient) * 0.01);
  return b.graph();
}

// Says what came of a plan, and whether it is true.
bool try_out(const char* what, const graph::Graph& graph, const plan::Plan& plan) {
  std::printf("--- %s\n", what);
  try {
    const auto expected = executor::expectation_of(graph, executor::random_inputs(graph, 1));
    const executor::Report report = executor::verify_on_threads(graph, plan, expected);
    std::printf("%s\n", report::execution_table(graph, report).c_str());
    if (const auto wrong = executor::first_wrong_op(graph, plan, expected))
      std::printf("the first op to hand on something else: %s, planned as %s\n\n",
                  graph.op(*wrong).name.c_str(), plan.ops[*wrong].strategy.c_str());
    return report.is_true();
  } catch (const std::exception& error) {
    std::printf("%s\n\n", error.what());
    return false;
  }
}

int main() {
  const DynamicMesh mesh{4};
  const auto model = cost::Alpa::with_defaults(mesh.rank());

  // A rule of our own for turning the batch around: element by element, it says, so every dim may
  // be split.  The planner believes rules.  But the first device's rows are the last one's in the
  // operand, and it does not hold them.
  const graph::Graph wrong = training_step([](const graph::Tensor& x) {
    const Dims dims[] = {x.dims()};
    return x.builder().apply(graph::Opcode::reverse, {x}, x.type(),
                             graph::elementwise_rule(dims, x.dims()), graph::DimList{{0}});
  });
  const bool is_caught =
      !try_out("a rule that promises too much", wrong, plan::plan(wrong, mesh, model));

  // With the right rule the batch is split after it has been turned around.
  const graph::Graph step = training_step([](const graph::Tensor& x) { return reverse(x, {0}); });
  const plan::Plan right = plan::plan(step, mesh, model);
  const bool is_true = try_out("the plan", step, right);

  // A weight's gradient is a sum over the batch, so each device has a part of it.  A plan that
  // forgets to put them together hands on wrong numbers, of the right shape.
  plan::Plan forgetful = right;
  for (plan::PlannedOp& op : forgetful.ops)
    std::erase_if(op.steps, [](const plan::PlannedStep& planned) {
      return planned.step.kind == StepKind::all_reduce;
    });
  const bool is_found_out = !try_out("the same without its all-reduces", step, forgetful);

  return is_caught && is_true && is_found_out ? 0 : 1;
}
