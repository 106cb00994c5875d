// SPDX-License-Identifier: Apache-2.0
//
// Meshes of devices: Mesh<2, 4>, DynamicMesh, axis sets, replica groups.
#pragma once
#include "tessera/mesh/axis_set.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/mesh/refine.hpp"
#include "tessera/mesh/replica_groups.hpp"
#include "tessera/mesh/rules.hpp"
