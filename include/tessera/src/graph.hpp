// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of core/, mesh/, sharding/, notation/, graph/ and models/, for src.hpp.
#pragma once
#include "tessera/core/error.ipp"
#include "tessera/core/number.ipp"
#include "tessera/core/wide.ipp"
#include "tessera/graph/graph.ipp"
#include "tessera/mesh/axis_set.ipp"
#include "tessera/mesh/detail/extents.ipp"
#include "tessera/mesh/mesh.ipp"
#include "tessera/mesh/replica_groups.ipp"
#include "tessera/notation/alpa.ipp"
#include "tessera/notation/detail/hlo_sharding_parser.ipp"
#include "tessera/notation/hlo_sharding.ipp"
#include "tessera/sharding/dynamic_sharding.ipp"
#include "tessera/sharding/local.ipp"
#include "tessera/sharding/shape.ipp"
