// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis needs at least one device
#include "tessera/mesh.hpp"

#ifdef TWIN
tessera::Mesh<2, 1> mesh;
#else
tessera::Mesh<2, 0> mesh;
#endif
