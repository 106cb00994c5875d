// SPDX-License-Identifier: Apache-2.0
#include "instances/executor.hpp"

namespace tessera::executor {

template Report verify(const graph::Graph&, const plan::Plan&, const Expectation&,
                       ThreadCommunicator&, const VerifyOptions&);
template PipelineReport verify(const PipelineProgram&, const StepExpectation&, ThreadCommunicator&,
                               const VerifyOptions&);

}  // namespace tessera::executor
