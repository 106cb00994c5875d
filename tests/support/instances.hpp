// SPDX-License-Identifier: Apache-2.0
// The templates that many tests use alike, compiled once in instances.cpp: the library is headers
// only, and its solver is not small.
#pragma once
#include "tessera/tessera.hpp"

extern template class tessera::solver::detail::Solve<std::int64_t>;
extern template class tessera::solver::detail::Solve<tessera::Wide>;
extern template class tessera::plan::detail::Planner<tessera::cost::Alpa, tessera::DynamicMesh>;
