// SPDX-License-Identifier: Apache-2.0
//
// Lesson 5: a network, its derivatives, its optimizer; and networks that have a name.
//
// You write the forward pass.  The backward pass and the optimizer's step are ops like any others,
// so the plan is one for all three: gradients are partial sums over the axes that split the batch,
// and where they are summed, and on which devices Adam's moments lie, is for the solver to find.
#include <iostream>
#include <vector>

#include "tessera/cost.hpp"
#include "tessera/graph.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/io/hlo/reader.hpp"
#include "tessera/io/hlo/writer.hpp"
#include "tessera/models.hpp"
#include "tessera/plan.hpp"
#include "tessera/report.hpp"

using namespace tessera;
using namespace tessera::graph;

// A classifier: a normed hidden layer, and a product with one column for each class.
Graph classifier(Extent batch, Extent width, Extent classes) {
  Builder b;
  const Tensor x = b.parameter("x", bf16, {batch, width}), labels = b.parameter("y", s32, {batch});
  const Tensor up = b.parameter("up", bf16, {width, 4 * width});
  const Tensor scale = b.parameter("scale", bf16, {4 * width});
  const Tensor head = b.parameter("head", bf16, {4 * width, classes});

  const Tensor hidden = rms_norm(gelu(einsum<"bm,mf->bf">(x, up)), scale);
  const Tensor loss = cross_entropy(einsum<"bf,fc->bc">(hidden, head), labels);
  b.output(loss);

  // Weights are bf16: Adam adds up its steps in copies of f32, which are parameters too.
  train(loss, std::vector<Tensor>{up, scale, head}, Optimizer{});
  return b.graph();
}

int main() {
  const Graph step = classifier(256, 512, 50000);
  const cost::Alpa prices = cost::Alpa::with_defaults(2);
  const plan::Plan plan = plan::plan(step, Mesh<2, 4>(), prices);
  std::cout << report::plan_table(step, plan) << '\n';

  // Any program can be written as HLO, and read back as it was.
  const std::string text = io::hlo::write_hlo(step, "classifier");
  const Graph again = io::hlo::import_module(io::hlo::read_module(text, "classifier.hlo")).graph;
  std::cout << text.size() << " bytes of HLO, "
            << (difference(step, again).empty() ? "read back unchanged" : "changed!") << "\n\n";

  // Known networks go by name; a setting changes what the name stands for.
  const Graph gpt = models::build("gpt-1.3b:layers=2,batch=8");
  const plan::Plan megatron = plan::plan(gpt, Mesh<2, 4>(), prices);
  std::cout << report::plan_table(gpt, megatron);
  return plan.status == solver::Status::optimal && megatron.status == solver::Status::optimal ? 0
                                                                                              : 1;
}
