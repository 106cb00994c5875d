// SPDX-License-Identifier: Apache-2.0
// expect: a rule needs an arrow between operands and result
#include "tessera/graph/rule.hpp"

#ifdef TWIN
auto& rule = tessera::graph::rule<"mk,kn->mn">;
#else
auto& rule = tessera::graph::rule<"mk,kn">;
#endif
