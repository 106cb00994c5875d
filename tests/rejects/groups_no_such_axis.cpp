// SPDX-License-Identifier: Apache-2.0
// expect: the mesh has no such axis
#include "tessera/mesh.hpp"

#ifdef TWIN
auto groups = tessera::replica_groups<0>(tessera::Mesh<2, 4>());
#else
auto groups = tessera::replica_groups<5>(tessera::Mesh<2, 4>());
#endif
