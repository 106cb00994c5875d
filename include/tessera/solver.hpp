// SPDX-License-Identifier: Apache-2.0
//
// The 0-1 program and its exact solver.  Knows nothing of tensors.
#pragma once
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/evaluate.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/result.hpp"
#include "tessera/solver/solve.hpp"
