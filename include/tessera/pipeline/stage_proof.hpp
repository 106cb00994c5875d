// SPDX-License-Identifier: Apache-2.0
//
// Checks the proof that comes with a choice of stages.
//
// The proof is a list of rectangles of thresholds.  The checker sees that they cover every choice,
// computes each one's least sum of latencies anew, and takes the least bound among them.  It shares
// no code with the search: its dynamic program has no windows, no cutoff and no narrow integers,
// and takes layers^3 * sizes * devices steps for each rectangle.  It is for tests and for doubts.
#pragma once
#include <optional>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/pipeline/stage_problem.hpp"
#include "tessera/pipeline/stage_search.hpp"

namespace tessera::pipeline {

struct StageVerdict {
  std::string fault;                ///< empty: the proof holds
  std::optional<Wide> lower_bound;  ///< what it proves; nothing: that there are no stages at all
};

/// The least sum of latencies of stages within `limits`; nothing where there are no such stages.
/// O(layers^3 * sizes * devices)
std::optional<Wide> plain_least_sum(const StageProblem& problem, Thresholds limits);

/// The lower bound that the proof proves, or what is wrong with it.  O(layers^3 * sizes * devices)
/// for each pair of upper ends that rectangles have.
StageVerdict check_stage_proof(const StageProblem& problem, Goal goal, const StageProof& proof);

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/stage_proof.ipp"
#endif
