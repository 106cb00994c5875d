// SPDX-License-Identifier: Apache-2.0
// expect: a sharding lists one Split or Whole for each dim
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Whole> sharding;
#else
tessera::Sharding<tessera::Mesh<2, 4>, int> sharding;
#endif
