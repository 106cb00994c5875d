// SPDX-License-Identifier: Apache-2.0
// expect: parentheses in a rule hold the factors of one merged dim
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule<"(hd)->hd">;
#else
auto& rule = tessera::graph::rule<"(hd->hd">;
#endif
