// SPDX-License-Identifier: Apache-2.0
// expect: the sharding has more dims than the tensor
#include "tessera/sharding.hpp"

using S = tessera::Sharding<tessera::Mesh<2, 4>, tessera::Split<0>, tessera::Whole>;
#ifdef TWIN
auto local = S::local_shape(tessera::shape<8, 8>);
#else
auto local = S::local_shape(tessera::shape<8>);
#endif
