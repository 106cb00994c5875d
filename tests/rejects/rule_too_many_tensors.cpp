// SPDX-License-Identifier: Apache-2.0
// expect: a rule written as a string has at most 12 tensors
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule<"a,b,c,d,e,f,g,h,i,j,k->a">;
#else
auto& rule = tessera::graph::rule<"a,b,c,d,e,f,g,h,i,j,k,l->a">;
#endif
