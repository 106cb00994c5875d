// SPDX-License-Identifier: Apache-2.0
//
// Runs programs, plans and pipelines, on devices that are threads.  (executor/mpi.hpp, for devices that
// are MPI ranks, is included by itself, since it needs MPI.)
#pragma once
#include "tessera/executor/calls.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/device.hpp"
#include "tessera/executor/errors.hpp"
#include "tessera/executor/inputs.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/pipeline_program.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/executor/threads.hpp"
#include "tessera/executor/verify.hpp"
#include "tessera/executor/verify_pipeline.hpp"
