// SPDX-License-Identifier: Apache-2.0
// expect: a sharding lists one Split or Whole for each dim
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Whole, tessera::Partial<tessera::Sum, 1>> sharding;
#else
tessera::Sharding<tessera::Mesh<2, 4>, int, tessera::Partial<tessera::Sum>> sharding;
#endif
