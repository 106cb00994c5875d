// SPDX-License-Identifier: Apache-2.0
// expect: a partial sum needs a reduction
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Partial<tessera::Max, 0>> sharding;
#else
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Partial<int, 0>> sharding;
#endif
