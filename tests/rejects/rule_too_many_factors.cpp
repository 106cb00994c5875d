// SPDX-License-Identifier: Apache-2.0
// expect: a rule written as a string has at most 26 factors
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule<"abcdefghijklmnopqrstuvwxyz->a">;
#else
auto& rule = tessera::graph::rule<"abcdefghijklmnopqrstuvwxyzA->a">;
#endif
