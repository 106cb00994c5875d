// SPDX-License-Identifier: Apache-2.0
// expect: the mesh has no such axis
#include "tessera/mesh.hpp"

#ifdef TWIN
auto size = tessera::Mesh<2, 4>().extent<1>();
#else
auto size = tessera::Mesh<2, 4>().extent<2>();
#endif
