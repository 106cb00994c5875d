// SPDX-License-Identifier: Apache-2.0
//
// Runs a program for real: devices that talk to each other.  (executor/mpi.hpp is included by
// itself, since it needs MPI.)
#pragma once
#include "tessera/executor/call.hpp"
#include "tessera/executor/collectives.hpp"
#include "tessera/executor/combine.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/failure.hpp"
#include "tessera/executor/threads.hpp"
#include "tessera/executor/traffic.hpp"
