// SPDX-License-Identifier: Apache-2.0
//
// experts: plans that experts make by hand, and the plan that is found, under the same prices.
//
//   experts [WORD]       only situations whose model or cluster has the word
//
// A line per expert: time and memory of the expert's plan, completed by the solver where the expert
// leaves something open, as a multiple of the plan that is found without being told anything.
// "does not fit" stands where the expert's plan needs more memory than the budget.
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "support/expert_situations.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/cost/presets.hpp"
#include "tessera/models/catalogue.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/report/text.hpp"

namespace {

using namespace tessera;
using namespace tessera_test;

void print(const char* name, const plan::Plan& plan, Wide least) {
  if (!plan.has_ops()) {
    std::printf("  %-34s %s\n", name,
                plan.status == solver::Status::infeasible ? "does not fit" : "not found in time");
    return;
  }
  std::printf("  %-34s %12s %10s  x%.3f%s\n", name, report::time_text(plan.cost).c_str(),
              report::bytes_text(plan.memory.bytes).c_str(),
              static_cast<double>(plan.cost) / static_cast<double>(least),
              plan.status == solver::Status::optimal ? "" : "  (not proven)");
  std::fflush(stdout);
}

void ask(const Situation& situation) {
  const Priced priced = price(situation);
  std::printf("%s on %s, mesh %s", situation.model.c_str(), situation.cluster.c_str(),
              to_string(priced.mesh).c_str());
  if (priced.budget) std::printf(", at most %s", report::bytes_text(*priced.budget).c_str());
  std::printf("\n");
  const TrainingStep step(priced.graph);
  const plan::Plan ours = priced.plan({});
  print("found", ours, ours.cost);
  if (ours.has_ops()) {
    std::printf("   ");
    for (const std::string& word : resemblance(step, ours)) std::printf(" %s", word.c_str());
    std::printf("\n");
  }
  for (const Expert& expert : situation.experts)
    print(expert.name.c_str(), priced.plan(expert.annotate(step)), ours.cost);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "";
  std::vector<Situation> all = situations(2);
  for (Situation& situation : large_situations()) all.push_back(std::move(situation));
  for (const Situation& situation : all)
    if ((situation.model + situation.cluster).find(word) != std::string::npos) ask(situation);
}
