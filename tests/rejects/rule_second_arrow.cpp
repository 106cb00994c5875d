// SPDX-License-Identifier: Apache-2.0
// expect: a rule has one arrow
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule<"mk->m">;
#else
auto& rule = tessera::graph::rule<"mk->m->m">;
#endif
