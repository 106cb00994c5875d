// SPDX-License-Identifier: Apache-2.0
// expect: a factor occurs twice in one tensor of a rule
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule<"mk->m">;
#else
auto& rule = tessera::graph::rule<"mm->m">;
#endif
