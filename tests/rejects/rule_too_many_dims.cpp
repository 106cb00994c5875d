// SPDX-License-Identifier: Apache-2.0
// expect: a rule written as a string has at most 64 dims
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule =
    tessera::graph::rule<"abcdefghijklmnopqrstuvwxyz,abcdefghijklmnopqrstuvwxyz->abcdefghijkl">;
#else
auto& rule =
    tessera::graph::rule<"abcdefghijklmnopqrstuvwxyz,abcdefghijklmnopqrstuvwxyz->abcdefghijklm">;
#endif
