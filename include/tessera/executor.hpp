// SPDX-License-Identifier: Apache-2.0
//
// Runs a program for real: devices that talk to each other.  (Included by themselves are
// executor/mpi.hpp, which needs MPI, and what runs plans, which needs Eigen: executor/verify.hpp
// with inputs.hpp, random_plan.hpp, training.hpp and numpy.hpp.)
#pragma once
#include "tessera/executor/call.hpp"
#include "tessera/executor/collectives.hpp"
#include "tessera/executor/combine.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/failure.hpp"
#include "tessera/executor/threads.hpp"
#include "tessera/executor/traffic.hpp"
