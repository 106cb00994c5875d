// SPDX-License-Identifier: Apache-2.0
// expect: a partial sum needs at least one mesh axis
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Partial<tessera::Sum, 0>> sharding;
#else
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Partial<tessera::Sum>> sharding;
#endif
