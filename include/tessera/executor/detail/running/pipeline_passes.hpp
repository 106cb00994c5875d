// SPDX-License-Identifier: Apache-2.0
//
// One device's passes through its stage, in the order of the schedule.
#pragma once
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/executor/detail/running/pipeline_device.hpp"

namespace tessera::executor::detail {

// Takes the weights and the optimizer's state.  @pre a tensor for each parameter of the program
void load_weights(PipelineDevice& device, std::span<const Tensor> inputs);

// All passes of a step, and the update; fills device.outputs.  @pre load_weights() was called
void run_training_step(PipelineDevice& device, const StepInputs& inputs);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/running/pipeline_passes.ipp"
#endif
