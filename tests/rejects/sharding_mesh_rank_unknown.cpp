// SPDX-License-Identifier: Apache-2.0
// expect: a sharding that is a type needs a mesh whose type fixes the number of axes
#include "tessera/sharding.hpp"

#ifdef TWIN
tessera::Sharding<tessera::Mesh<tessera::dynamic, 4>, tessera::Split<1>> sharding;
#else
tessera::Sharding<tessera::DynamicMesh, tessera::Split<1>> sharding;
#endif
