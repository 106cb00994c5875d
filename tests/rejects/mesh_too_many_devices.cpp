// SPDX-License-Identifier: Apache-2.0
// expect: the number of devices in a mesh must fit in 64 bits
#include "tessera/mesh.hpp"

#ifdef TWIN
tessera::Mesh<(1LL << 62), 1> mesh;
#else
tessera::Mesh<(1LL << 62), 2> mesh;
#endif
