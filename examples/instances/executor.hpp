// SPDX-License-Identifier: Apache-2.0
//
// The kernels, and what runs plans on threads, compiled once (plans.hpp).
#pragma once
#include "instances/plans.hpp"
#include "tessera/executor/threads.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/executor/verify_pipeline.hpp"
#include "tessera/plan/plan_pipeline.hpp"

namespace tessera::executor {

extern template std::vector<OwnedPart> compute(const graph::Op&, std::span<const Part>,
                                               std::span<const Slice>);
extern template Report verify(const graph::Graph&, const plan::Plan&, const Expectation&,
                              ThreadCommunicator&, const VerifyOptions&);
extern template PipelineReport verify(const PipelineProgram&, const StepExpectation&,
                                      ThreadCommunicator&, const VerifyOptions&);

}  // namespace tessera::executor
