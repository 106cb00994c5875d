// SPDX-License-Identifier: Apache-2.0
//
// Everything that needs no compiled library.  Each folder has a header of its own name, for those
// who want less: tessera/sharding.hpp costs a fraction of this one (README.md has the
// measurements).
#pragma once
#include "tessera/core.hpp"
#include "tessera/cost.hpp"
#include "tessera/fwd.hpp"
#include "tessera/graph.hpp"
#include "tessera/io.hpp"
#include "tessera/mesh.hpp"
#include "tessera/models.hpp"
#include "tessera/notation.hpp"
#include "tessera/pipeline.hpp"
#include "tessera/plan.hpp"
#include "tessera/report.hpp"
#include "tessera/sharding.hpp"
#include "tessera/solver.hpp"
#include "tessera/solver/check.hpp"
#include "tessera/strategy.hpp"
