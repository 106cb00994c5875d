// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of executor/, for src.hpp.  They need Eigen, and are left out where it is
// missing.
#pragma once
#if __has_include(<Eigen/Core>)
#include "tessera/executor/communicator.ipp"
#include "tessera/executor/detail/communication/call.ipp"
#include "tessera/executor/detail/kernels/combine.ipp"
#include "tessera/executor/detail/kernels/compute.ipp"
#include "tessera/executor/detail/kernels/elementwise.ipp"
#include "tessera/executor/detail/kernels/lookup.ipp"
#include "tessera/executor/detail/kernels/movement.ipp"
#include "tessera/executor/detail/kernels/normalisation.ipp"
#include "tessera/executor/detail/kernels/product.ipp"
#include "tessera/executor/detail/kernels/reduction.ipp"
#include "tessera/executor/detail/running/exchange.ipp"
#include "tessera/executor/detail/running/microbatches.ipp"
#include "tessera/executor/detail/running/op_runner.ipp"
#include "tessera/executor/detail/running/order.ipp"
#include "tessera/executor/detail/running/pipeline_device.ipp"
#include "tessera/executor/detail/running/pipeline_passes.ipp"
#include "tessera/executor/detail/running/pipeline_update.ipp"
#include "tessera/executor/detail/running/transfer.ipp"
#include "tessera/executor/detail/verification/findings.ipp"
#include "tessera/executor/detail/verification/tolerances.ipp"
#include "tessera/executor/device.ipp"
#include "tessera/executor/inputs.ipp"
#include "tessera/executor/interpret.ipp"
#include "tessera/executor/pipeline_program.ipp"
#include "tessera/executor/tensor.ipp"
#include "tessera/executor/threads.ipp"
#include "tessera/executor/verify.ipp"
#include "tessera/executor/verify_pipeline.ipp"
#include "tessera/report/execution_table.ipp"
#include "tessera/report/pipeline_execution_table.ipp"
#endif
