// SPDX-License-Identifier: Apache-2.0
//
// The update at the end of a pipeline's step, on one device.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/executor/detail/running/pipeline_device.hpp"

namespace tessera::executor::detail {

// @pre all passes of the step have run
void run_update(PipelineDevice& device);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/running/pipeline_update.ipp"
#endif
