// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis is listed twice among the partial (unreduced) axes
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Partial<tessera::Sum, 1, 0>> sharding;
#else
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Partial<tessera::Sum, 1, 1>> sharding;
#endif
