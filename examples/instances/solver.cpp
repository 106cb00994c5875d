// SPDX-License-Identifier: Apache-2.0
#include "tessera/solver/solve.hpp"

template tessera::solver::Result tessera::solver::solve(const Problem&, const Options&);
