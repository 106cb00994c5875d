// SPDX-License-Identifier: Apache-2.0
// See instances.hpp.
#include "support/instances.hpp"

template class tessera::solver::detail::Solve<std::int64_t>;
template class tessera::solver::detail::Solve<tessera::Wide>;
template class tessera::plan::detail::Planner<tessera::cost::Alpa, tessera::DynamicMesh>;
