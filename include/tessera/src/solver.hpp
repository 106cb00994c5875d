// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of solver/, for src.hpp.
#pragma once
#include "tessera/solver/check.ipp"
#include "tessera/solver/deadline.ipp"
#include "tessera/solver/evaluate.ipp"
#include "tessera/solver/problem.ipp"
#include "tessera/solver/solve.ipp"
