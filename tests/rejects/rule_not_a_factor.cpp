// SPDX-License-Identifier: Apache-2.0
// expect: every factor is one letter
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule<"mk->m">;
#else
auto& rule = tessera::graph::rule<"m2->m">;
#endif
