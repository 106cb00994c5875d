// SPDX-License-Identifier: Apache-2.0
// expect: a tensor dim has a negative size
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Shape<4, 4> s;
#else
tessera::Shape<4, -4> s;
#endif
