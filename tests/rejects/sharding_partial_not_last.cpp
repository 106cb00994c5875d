// SPDX-License-Identifier: Apache-2.0
// expect: Partial comes once, after the dims
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Partial<tessera::Sum, 0>> sharding;
#else
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Partial<tessera::Sum, 0>, tessera::Whole> sharding;
#endif
