// SPDX-License-Identifier: Apache-2.0
// expect: a tensor has at most fourteen dims
#include "tessera/sharding.hpp"

using W = tessera::Whole;
#ifdef TWIN
tessera::Sharding<tessera::Mesh<2>, W, W, W, W, W, W, W, W, W, W, W, W, W, W> sharding;
#else
tessera::Sharding<tessera::Mesh<2>, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W> sharding;
#endif
