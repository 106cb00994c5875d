// SPDX-License-Identifier: Apache-2.0
//
// The 0-1 program and its exact solver.  Knows nothing of tensors.
#pragma once
#include "tessera/solver/arithmetic.hpp"
#include "tessera/solver/bound.hpp"
#include "tessera/solver/component.hpp"
#include "tessera/solver/descent.hpp"
#include "tessera/solver/evaluate.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/presolve.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/reduce.hpp"
#include "tessera/solver/reduced.hpp"
#include "tessera/solver/relaxation.hpp"
#include "tessera/solver/search.hpp"
#include "tessera/solver/solve.hpp"
