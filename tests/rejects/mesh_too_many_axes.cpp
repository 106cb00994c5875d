// SPDX-License-Identifier: Apache-2.0
// expect: a mesh has at most eight axes
#include "tessera/mesh.hpp"

#ifdef TWIN
tessera::Mesh<1, 1, 1, 1, 1, 1, 1, 1> mesh;
#else
tessera::Mesh<1, 1, 1, 1, 1, 1, 1, 1, 1> mesh;
#endif
