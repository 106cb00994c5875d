// SPDX-License-Identifier: Apache-2.0
//
// Lesson 3: a training step, planned.
//
// Two linear layers, the gradient of a squared error, and new weights in place of the old.  The
// planner sees what an expert would: data parallelism when the batch is large, and what the fast
// axis of the mesh is good for.
#include <iostream>

#include "tessera/cost.hpp"
#include "tessera/graph.hpp"
#include "tessera/plan.hpp"
#include "tessera/report.hpp"

using namespace tessera;
using namespace tessera::graph;

Graph training_step(Extent batch, Extent width) {
  Builder b;
  auto x = b.parameter("x", f32, {batch, width}), y = b.parameter("y", f32, {batch, width});
  auto w1 = b.parameter("w1", f32, {width, width}), w2 = b.parameter("w2", f32, {width, width});

  auto h1 = einsum<"mk,kn->mn">(x, w1);
  auto h2 = einsum<"mk,kn->mn">(h1, w2);
  auto grad_h2 = (h2 - y) * 2;

  b.update(w2, w2 - einsum<"mk,mn->kn">(h1, grad_h2));
  auto grad_h1 = einsum<"mn,kn->mk">(grad_h2, w2);
  b.update(w1, w1 - einsum<"mk,mn->kn">(x, grad_h1));
  return b.graph();
}

int main() {
  const Graph step = training_step(1024, 128);

  // Four devices, equal links: the gradients of both weights are reduced over all of them.
  const plan::Plan row = plan::plan(step, Mesh<4>(), cost::Alpa::with_defaults(1));
  std::cout << report::plan_table(step, row) << '\n';

  // Two nodes of four devices, whose links are ten times as fast.
  const plan::Plan grid = plan::plan(step, Mesh<2, 4>(), cost::Alpa::with_defaults(2));
  std::cout << report::plan_table(step, grid);
  return grid.status == solver::Status::optimal ? 0 : 1;
}
