// SPDX-License-Identifier: Apache-2.0
// expect: a mesh axis both splits a dim and is partial (unreduced)
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Split<0>, tessera::Partial<tessera::Sum, 1>> s;
#else
tessera::Sharding<tessera::Mesh<2, 4>, tessera::Split<0>, tessera::Partial<tessera::Sum, 0>> s;
#endif
