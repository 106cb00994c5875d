// SPDX-License-Identifier: Apache-2.0
// expect: a sharding names an axis that its mesh does not have
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Split<1>> sharding;
#else
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Split<2>> sharding;
#endif
