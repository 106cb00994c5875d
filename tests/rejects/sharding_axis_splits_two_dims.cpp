// SPDX-License-Identifier: Apache-2.0
// expect: one mesh axis splits two tensor dims
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Split<0>, tessera::Split<1>> sharding;
#else
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Split<0>, tessera::Split<0>> sharding;
#endif
