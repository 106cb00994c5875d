// SPDX-License-Identifier: Apache-2.0
// expect: the sharding has more dims than the tensor
#include "tessera/sharding.hpp"

using S = tessera::Sharding<tessera::Mesh<2, 4>, tessera::Split<0>, tessera::Whole>;
#ifdef TWIN
auto slice = S::slice(tessera::shape<8, 8>, 0);
#else
auto slice = S::slice(tessera::shape<8>, 0);
#endif
